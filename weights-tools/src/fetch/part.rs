//! A file that is not whole yet, and the lock that keeps it to one process.
//!
//! The part has one name for all runs, so that each goes on where the last one ended, however that
//! ended. Hence a lock and no names of their own for processes that fetch the same file: the
//! second one waits and then finds the file. The system frees the lock of a process that dies. The
//! lock file stays: were it removed, two processes could hold locks on two files of its name.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};

use super::error::{Error, Result};

/// How often a taken lock is tried.
const POLL: Duration = Duration::from_millis(50);

/// The right to write the part.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as its file")] File);

impl Lock {
    /// Takes the lock of `target`, and asks `wait` each time that it is taken.
    pub(super) fn take(target: &Path, mut wait: impl FnMut() -> Result<()>) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.lock"));
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Error::file("create", &path))?;
        loop {
            // By its full name, since the standard library has one of that name from 1.89 on.
            match FileExt::try_lock(&file) {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => wait()?,
                Err(TryLockError::Error(source)) => return Err(Error::file("lock", &path)(source)),
            }
            thread::sleep(POLL);
        }
    }
}

/// The bytes that came so far.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Part {
    /// What there is of `target`, maybe nothing.
    pub(super) fn open(target: &Path) -> Result<Self> {
        let mut name: OsString = target.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let mut file = file.map_err(Error::file("create", &path))?;
        let length = file.seek(SeekFrom::End(0)).map_err(Error::file("read", &path))?;
        Ok(Self { path, file, length })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Forgets what there is.
    pub(super) fn restart(&mut self) -> Result<()> {
        if self.length > 0 {
            let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
            emptied.map_err(Error::file("write", &self.path))?;
            self.length = 0;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| Error::write(&self.path, self.length, source))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Gives the whole file its name.
    pub(super) fn finish(self, target: &Path) -> Result<()> {
        // Else a power cut could leave the name to an empty file.
        let synced = self.file.sync_all();
        synced.map_err(|source| Error::write(&self.path, self.length, source))?;
        fs::rename(&self.path, target).map_err(Error::file("write", target))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.length == 0 {
            // An empty file is of no use, and one that stays does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}
