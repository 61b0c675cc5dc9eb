//! Files mapped into memory, so that what lies in them need not be copied.

use std::fs::{File, metadata};
use std::io::{Error, ErrorKind, Result};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// The bytes of a regular file, mapped into memory. Cheap to clone: the map is shared.
///
/// The file must not change while the map is in use.
#[derive(Clone, Debug)]
pub struct MappedFile(Arc<Mmap>);

impl MappedFile {
    /// Maps a file, which must be a regular one.
    ///
    /// # Errors
    /// What the system says of the file, or that it is a folder, a pipe or a device.
    #[expect(unsafe_code, reason = "a map is only sound while nobody shortens or changes its file")]
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // Asked before it is opened, as a pipe would be waited for.
        let metadata = metadata(path)?;
        if !metadata.is_file() {
            let found = if metadata.is_dir() { "a folder" } else { "a pipe or device" };
            let message = format!("expected a regular file, found {found}");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        let file = File::open(path)?;
        // SAFETY: the map is read-only; that the file stays as it is, is the caller's promise.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(Arc::new(map)))
    }

    /// Lets go of the memory that holds these bytes; it comes back when they are read again.
    #[cfg_attr(unix, expect(unsafe_code, reason = "advice on memory is unsafe"))]
    #[cfg_attr(not(unix), expect(unused_variables, reason = "only Unix takes the advice"))]
    pub(crate) fn release(&self, range: &Range<usize>) {
        #[cfg(unix)]
        {
            use memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the map is of a file, as `open` is the only way to make one, and read-only,
            // so that pages which are dropped come back as they were. It is advice: nobody minds
            // if it is not taken.
            let _ = unsafe { self.0.unchecked_advise_range(DontNeed, range.start, range.len()) };
        }
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_released_comes_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("bytes");
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &bytes).expect("there is room");
        let map = MappedFile::open(&path).expect("it is a file");
        map.release(&(10..300_000));
        assert!(*map == *bytes);
    }

    #[test]
    fn only_regular_files_are_mapped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let said = |path: &Path| MappedFile::open(path).expect_err("it is refused").to_string();
        assert_eq!(said(folder.path()), "expected a regular file, found a folder");
        #[cfg(unix)]
        {
            let pipe = folder.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(made.expect("every Unix has it").success());
            assert_eq!(said(&pipe), "expected a regular file, found a pipe or device");
        }
    }
}
