//! A folder of files for the tests of this module.

use std::fs;
use std::path::{Path, PathBuf};

use clrp::image::Picture;
use tempfile::TempDir;

use super::{Dataset, DatasetOptions, Object};

/// A temporary folder.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A folder of these text files and pictures of 20x10 pixels.
    pub(super) fn with(texts: &[(&str, &str)], pictures: &[&str]) -> Self {
        let place = Self::new();
        texts.iter().for_each(|(name, text)| place.write(name, text));
        pictures.iter().for_each(|name| place.picture(name, 20, 10));
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("it can be made");
        fs::write(path, content).expect("it can be written");
    }

    pub(super) fn picture(&self, name: &str, width: u32, height: u32) {
        let pixels = vec![128; 3 * width as usize * height as usize];
        let picture = Picture::new(width, height, pixels).expect("the length fits");
        self.write(name, picture.encode_png());
    }

    /// Opens a folder in this one with more arguments, in which `@` stands for this folder.
    pub(super) fn open(&self, folder: &str, arguments: &[&str]) -> Result<Dataset, String> {
        let mut options = vec!["--dataset".to_owned(), self.path(folder).display().to_string()];
        let root = self.root().display().to_string();
        options.extend(arguments.iter().map(|argument| argument.replace('@', &root)));
        open(&options)
    }

    /// Why opening it fails, with `@` for this folder.
    pub(super) fn refused(&self, folder: &str, arguments: &[&str]) -> String {
        let message = self.open(folder, arguments).expect_err("it is refused");
        self.abridged(&message)
    }

    /// A message of one line with `@` for this folder.
    pub(super) fn abridged(&self, message: &str) -> String {
        assert!(!message.contains('\n'), "{message}");
        message.replace(&self.root().display().to_string(), "@").replace('\\', "/")
    }

    /// What picture `i` shows, or why not: class, left, top, right, bottom.
    pub(super) fn shown(&self, data: &Dataset, i: usize) -> Result<Vec<String>, String> {
        let sample = data.load(i).map_err(|failure| self.abridged(&failure.to_string()))?;
        Ok(sample.objects.iter().flat_map(lines).collect())
    }
}

/// Opens the data set of these arguments.
pub(super) fn open(arguments: &[String]) -> Result<Dataset, String> {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        data: DatasetOptions,
    }
    let line = ["test"].into_iter().chain(arguments.iter().map(String::as_str));
    let line = <Line as clap::Parser>::try_parse_from(line).map_err(|error| error.to_string())?;
    line.data.open().map_err(|failure| failure.to_string())
}

fn lines(object: &Object) -> Vec<String> {
    let line = |b: &clrp::evaluation::BoundingBox| {
        format!("{} {} {} {} {}", object.class, b.left, b.top, b.right, b.bottom)
    };
    if object.boxes.is_empty() {
        return vec![object.class.clone()];
    }
    object.boxes.iter().map(line).collect()
}

pub(super) fn names(data: &Dataset) -> Vec<String> {
    (0..data.len()).map(|i| data.name(i)).collect()
}
