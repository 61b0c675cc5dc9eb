//! Text files of a bounded size, in UTF-8.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clrp::Error;

use crate::failure::{Failure, Result};

/// An error about a file.
pub(super) fn wrong(path: &Path, what: impl Display) -> Failure {
    Failure::Said(format!("`{}`: {what}", path.display()))
}

/// An error about a part of a file, as `line` number 7.
pub(super) fn wrong_at(
    path: &Path,
    part: &str,
    number: impl Display,
    what: impl Display,
) -> Failure {
    Failure::Said(format!("`{}`, {part} {number}: {what}", path.display()))
}

/// Reads a text of at most `limit` bytes, without a byte order mark.
pub(super) fn read(path: &Path, limit: u64) -> Result<String> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(wrong(path, format!("it has more than {limit} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = line_of(bytes, at);
        wrong_at(
            path,
            "line",
            line,
            format!("expected text in UTF-8, found byte {:#04x}", bytes[at]),
        )
    })?;
    // Editors of Windows start files with it.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The line that the byte at `at` lies in.
pub(super) fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at.min(bytes.len())].iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::super::support::Place;
    use super::*;

    #[test]
    fn what_is_no_short_text_is_refused() {
        let place = Place::new();
        place.write("mark", "\u{feff}a");
        assert_eq!(read(&place.path("mark"), 4).expect("a text"), "a");
        let refused = |limit| read(&place.path("bytes"), limit).expect_err("no text").to_string();
        place.write("bytes", b"a\nb\xff");
        assert!(refused(4).ends_with("bytes`, line 2: expected text in UTF-8, found byte 0xff"));
        assert!(refused(3).ends_with("bytes`: it has more than 3 bytes"));
    }
}
