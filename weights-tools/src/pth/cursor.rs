//! Reads from a stream of bytes, and says in errors where it is.

use super::error::{Error, Result};
use crate::foreign::shown;

/// A place in the bytes of an entry. Whatever it hands out lies inside them.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    file: String,
    entry: String,
    data: &'a [u8],
    at: usize,
    start: usize,
    part: &'static str,
}

impl<'a> Cursor<'a> {
    /// The start of the bytes of an entry of a file.
    pub(super) fn new(file: &str, entry: &str, data: &'a [u8]) -> Self {
        let (file, entry) = (file.to_owned(), entry.to_owned());
        Self { file, entry, data, at: 0, start: 0, part: "the start" }
    }

    /// Errors up to the next call name this part and say that it starts here.
    pub(super) fn begin(&mut self, part: &'static str) {
        self.part = part;
        self.start = self.at;
    }

    /// Gives the part that was begun its name.
    pub(super) fn name(&mut self, part: &'static str) {
        self.part = part;
    }

    /// Bytes before this place.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Bytes of the whole entry.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// What is wrong with the part that was begun.
    pub(super) fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Stream {
            file: self.file.clone(),
            entry: self.entry.clone(),
            part: self.part,
            at: self.start,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// That the part that was begun asks for something that is not allowed.
    pub(super) fn refused(&self, module: &str, name: &str) -> Error {
        let (file, entry) = (self.file.clone(), self.entry.clone());
        let name = format!("{}.{}", shown(module), shown(name));
        // A state dict has no layers; what is of these modules is one.
        if ["torch.nn.", "torchvision.models."].iter().any(|of| module.starts_with(of)) {
            return Error::WholeModel { file, found: format!("a whole model with `{name}`") };
        }
        Error::Global { file, entry, at: self.start, name }
    }

    /// The next bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let rest = &self.data[self.at..];
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count));
        let taken = taken
            .ok_or_else(|| self.error(format!("{count} more bytes"), rest.len().to_string()))?;
        self.at += taken.len();
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.try_into().expect("`take` gives as many as were asked for"))
    }

    /// The bytes up to the end of the line, which is passed.
    pub(super) fn line(&mut self) -> Result<&'a [u8]> {
        let rest = &self.data[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| self.error("a line", "no end of it"))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// The line as text.
    pub(super) fn text_line(&mut self) -> Result<&'a str> {
        let line = self.line()?;
        let line = std::str::from_utf8(line).map_err(|_| self.error("UTF-8", "other bytes"))?;
        Ok(line.strip_suffix('\r').unwrap_or(line))
    }
}
