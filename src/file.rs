//! Whole files: read up to a limit, mapped, written so that they appear complete or not at all.

mod mapped;

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

pub use self::mapped::MappedFile;

/// Opens a file to read as much of it as is wanted.
pub(crate) fn open_file(path: &Path) -> Result<BufReader<File>> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    File::open(path).map(BufReader::new).map_err(failed)
}

/// Reads a file of at most `limit` bytes; `expected` is what it should be.
pub(crate) fn read_file(path: &Path, limit: u64, expected: &'static str) -> Result<Vec<u8>> {
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

/// Writes `bytes` to `path` as an [`AtomicFile`].
///
/// # Errors
/// [`Error::File`] naming `path`.
pub fn write_file_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write(bytes)?;
    file.commit()
}

/// Lets `write` make the file under another name beside its own, then gives it its name; for
/// writers that want a path.
///
/// # Errors
/// [`Error::File`] naming `path`, or what `write` says.
pub fn write_beside<E: From<Error>>(
    path: impl AsRef<Path>,
    write: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut file = AtomicFile::create(path)?;
    // A pipe or device is written to directly.
    let place = file.temporary.as_ref().map_or(file.path.clone(), |(place, _)| place.clone());
    file.writer = None;
    let permissions = fs::metadata(&place).map(|metadata| metadata.permissions());
    write(&place)?;
    // Some writers put a file of their own there, which nobody else may read.
    permissions
        .and_then(|permissions| fs::set_permissions(&place, permissions))
        .map_err(|source| failed(&file.path, source))?;
    Ok(file.commit()?)
}

/// A file that is written piece by piece, under another name beside its own until
/// [`commit`](Self::commit).
///
/// So the path holds either what it held before or all that was written, and nothing is left
/// behind when the value is dropped before. A link is followed, and what is not a regular file
/// (a pipe, `/dev/stdout`) is written to directly.
#[derive(Debug)]
pub struct AtomicFile {
    /// As given, for errors.
    path: PathBuf,
    /// None once it is closed.
    writer: Option<BufWriter<File>>,
    /// What is to be renamed or removed, and to what; none where `path` is a pipe or device.
    temporary: Option<(PathBuf, PathBuf)>,
}

impl AtomicFile {
    /// Starts the file.
    ///
    /// # Errors
    /// [`Error::File`] naming `path`.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, temporary) = start(path).map_err(|source| failed(path, source))?;
        Ok(Self { path: path.to_owned(), writer: Some(BufWriter::new(file)), temporary })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::File`] naming the path.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let writer = self.writer.as_mut().expect("only `commit` closes it");
        writer.write_all(bytes).map_err(|source| failed(&self.path, source))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::File`] naming the path.
    pub fn commit(mut self) -> Result<()> {
        let mut close = || -> io::Result<()> {
            // Windows renames closed files only. A name must not last longer than what is behind it.
            if let Some(writer) = self.writer.take() {
                let file = writer.into_inner()?;
                if self.temporary.is_some() {
                    file.sync_all()?;
                }
            }
            if let Some((temporary, target)) = &self.temporary {
                fs::rename(temporary, target)?;
            }
            Ok(())
        };
        close().map_err(|source| failed(&self.path, source))?;
        self.temporary = None;
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.temporary {
            self.writer = None;
            // The failure that led here is the one to report.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// The open file and, if it is a temporary one, its name and the one it is to get.
fn start(path: &Path) -> io::Result<(File, Option<(PathBuf, PathBuf)>)> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&target) {
        Ok(found) if found.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            return Ok((File::options().write(true).open(path)?, None));
        }
        Ok(_) | Err(_) => {}
    }
    let (file, temporary) = create_beside(&target)?;
    Ok((file, Some((temporary, target))))
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File { action: "write", path: path.to_owned(), source }
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

    #[test]
    fn a_file_that_is_dropped_half_way_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut file = AtomicFile::create(folder.path().join("half")).expect("it can be written");
        file.write(b"half").expect("it can be written");
        drop(file);
        assert!(names_in(folder.path()).is_empty());
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
