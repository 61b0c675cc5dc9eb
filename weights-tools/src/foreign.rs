//! What the readers of foreign files share: files mapped into memory, and what errors say of them.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// What does not fit: what was expected, and what was found.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Misfit {
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into() }
    }
}

/// The start of a text from a file, on one line.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut start: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        start.push_str("...");
    }
    start
}

/// Maps a regular file into memory.
pub(crate) fn map(path: &Path) -> Result<Arc<Mmap>> {
    // Asked before it is opened, as a pipe would be waited for.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "a pipe or device" };
        let message = format!("expected a regular file, found {found}");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    map_open(&std::fs::File::open(path)?).map(Arc::new)
}

#[expect(unsafe_code, reason = "a mapped file is only sound while nobody shortens or changes it")]
fn map_open(file: &std::fs::File) -> Result<Mmap> {
    // SAFETY: the map is read-only; that the file stays as it is, is stated in `pth::read` and
    // `onnx::read`.
    unsafe { Mmap::map(file) }
}
