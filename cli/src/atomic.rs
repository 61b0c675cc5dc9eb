//! A file that is written piece by piece and appears whole, or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clrp::Error;

use crate::failure::Result;

/// A file that grows under another name until [`commit`](Self::commit).
pub(crate) struct AtomicFile {
    path: PathBuf,
    writer: BufWriter<File>,
    /// What is to be renamed or removed; none where `path` is a pipe or device.
    temporary: Option<PathBuf>,
}

impl AtomicFile {
    /// Starts the file. A link is followed.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let open = || -> io::Result<(File, Option<PathBuf>)> {
            match fs::metadata(path) {
                Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
                Ok(found) if !found.is_file() => {
                    return Ok((File::options().write(true).open(path)?, None));
                }
                Ok(_) | Err(_) => {}
            }
            let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
            let hidden = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
            let temporary = path.with_file_name(hidden);
            Ok((File::create(&temporary)?, Some(temporary)))
        };
        let (file, temporary) = open().map_err(|source| failed(path, source))?;
        Ok(Self { path: path.to_owned(), writer: BufWriter::new(file), temporary })
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|source| failed(&self.path, source).into())
    }

    /// Gives the file its name.
    pub(crate) fn commit(mut self) -> Result<()> {
        self.writer.flush().map_err(|source| failed(&self.path, source))?;
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.path).map_err(|source| failed(&self.path, source))?;
        }
        self.temporary = None;
        Ok(())
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The failure that led here is the one to report.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File { action: "write", path: path.to_owned(), source }
}
