//! Runs the binary in a folder of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clrp::image::Npy;
use serde_json::Value;
use tempfile::TempDir;

/// A server that nobody runs.
pub(crate) const NOBODY: &str = "http://127.0.0.1:9";

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder for one test.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A folder with `scene-00000.png` and so on, two digits each.
    pub(crate) fn with_scenes(count: usize) -> Self {
        let place = Self::new();
        let count = count.to_string();
        place.good(["scenes", "--split", "test", "--digits", "2", "--count", &count, "-o", "."]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("the folder can be written");
    }

    pub(crate) fn npy(&self, name: &str) -> Npy {
        Npy::read(self.path(name)).expect("it is an array")
    }

    /// Every file and folder below the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self.folder.path(), self.folder.path(), &mut found);
        found.sort();
        found
    }

    pub(crate) fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Run {
        self.run_with(&[], args)
    }

    /// A run with those environment variables. Without them nothing is fetched, and the user's own
    /// cache is left alone.
    pub(crate) fn run_with<I: AsRef<OsStr>>(
        &self,
        variables: &[(&str, &str)],
        args: impl IntoIterator<Item = I>,
    ) -> Run {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_clrp"))
            .current_dir(self.folder.path())
            .env("CLRP_CACHE", self.path("cache"))
            .env("CLRP_MIRROR", NOBODY)
            .envs(variables.iter().copied())
            .args(args)
            .output()
            .expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
        Run { code: status.code().expect("no signal"), out: text(stdout), err: text(stderr) }
    }

    /// A run that succeeds.
    pub(crate) fn good<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, 0, "{}", run.err);
        run
    }

    /// The object that a run prints.
    pub(crate) fn json<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Value {
        serde_json::from_str(&self.good(args).out).expect("it is one JSON object")
    }

    /// A run that fails with one line, and leaves no new file or folder.
    pub(crate) fn bad<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> String {
        let before = self.files();
        let run = self.run(args);
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
        assert_eq!(self.files(), before, "{}", run.err);
        let line = run.err.strip_suffix('\n').expect("a line");
        assert!(!line.contains('\n'), "{line}");
        line.strip_prefix("error: ").expect(line).to_owned()
    }
}

/// Splits a line of arguments at blanks.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        let name = path.strip_prefix(root).expect("it lies below").to_string_lossy();
        found.push(name.into_owned());
        if path.is_dir() {
            collect(root, &path, found);
        }
    }
}
