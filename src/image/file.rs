//! Reading and writing whole files.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Reads a file of at most `limit` bytes; `expected` is what it should be.
pub(super) fn read_file(path: &Path, limit: u64, expected: &'static str) -> Result<Vec<u8>> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        let found = format!("it has more than {limit} bytes");
        return Err(Error::Malformed { path: path.to_owned(), expected, found });
    }
    Ok(bytes)
}

/// Writes `bytes` to a temporary file beside `path` and renames it to `path`.
///
/// So `path` holds either what it held before or all of `bytes`, and nothing is
/// left behind on failure. A link is followed, and what is not a regular file
/// (a pipe, `/dev/stdout`) is written to directly.
///
/// # Errors
/// [`Error::File`] naming `path`.
pub fn write_file_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    write(path, bytes).map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&target) {
        Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => return fs::write(path, bytes),
        Ok(_) | Err(_) => {}
    }
    let (mut file, temporary) = create_beside(&target)?;
    let written = file.write_all(bytes);
    drop(file);
    written.and_then(|()| fs::rename(&temporary, &target)).inspect_err(|_| {
        // The first failure is the one to report.
        let _ = fs::remove_file(&temporary);
    })
}

/// A new file `.name.random.tmp` in the folder of `target`.
fn create_beside(target: &Path) -> io::Result<(File, PathBuf)> {
    let name = target.file_name().ok_or(ErrorKind::InvalidFilename)?;
    loop {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{:016x}.tmp", RandomState::new().build_hasher().finish()));
        let temporary = target.with_file_name(hidden);
        match File::create_new(&temporary) {
            Ok(file) => return Ok((file, temporary)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).expect("the folder exists");
        entries.map(|entry| entry.expect("it can be listed").file_name()).collect()
    }

    #[test]
    fn writing_replaces_the_whole_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("map.png");
        write_file_atomically(&path, b"a longer first content").expect("it can be written");
        write_file_atomically(&path, b"second").expect("it can be replaced");
        assert_eq!(read_file(&path, 6, "text").expect("it can be read"), b"second");
        assert_eq!(names_in(folder.path()), ["map.png"]);
    }

    #[test]
    fn a_failed_write_names_the_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("taken");
        fs::create_dir(&path).expect("it can be created");
        let error = write_file_atomically(&path, b"x").expect_err("a folder is in the way");
        assert!(error.to_string().starts_with("cannot write `"), "{error}");
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(names_in(folder.path()), ["taken"]);
        assert!(write_file_atomically(folder.path().join("no/such/folder"), b"x").is_err());
        assert!(write_file_atomically("..", b"x").is_err());
        assert!(write_file_atomically("", b"x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn writing_follows_a_link_and_writes_to_a_device() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"before").expect("it can be written");
        std::os::unix::fs::symlink(&file, &link).expect("it can be linked");
        write_file_atomically(&link, b"after").expect("it can be written");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).expect("it can be read"), b"after");
        write_file_atomically("/dev/null", b"x").expect("it can be written");
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("large");
        fs::write(&path, b"1234").expect("it can be written");
        assert_eq!(read_file(&path, 4, "text").expect("it fits"), b"1234");
        let error = read_file(&path, 3, "text").expect_err("it is too large");
        assert!(error.to_string().ends_with("is not a usable text: it has more than 3 bytes"));
    }
}
