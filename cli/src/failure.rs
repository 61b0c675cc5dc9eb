//! Why a command ended early.

use std::fmt;
use std::path::Path;

use clrp::Error;

/// A result with the command's [`Failure`].
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library's error.
    Library(Error),
    /// The library's error, about this file.
    About(String, Error),
    /// Something that only the command line knows of.
    Said(String),
    /// Nobody reads standard output any more.
    Closed,
}

impl Failure {
    /// The error with the name of the file that it is about, unless its message has one.
    pub(crate) fn about(path: &Path, error: Error) -> Self {
        let name = path.display().to_string();
        let message = error.to_string();
        if message.contains(&name) { Self::Library(error) } else { Self::About(name, error) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Library(error) => error.fmt(f),
            Failure::About(name, error) => write!(f, "`{name}`: {error}"),
            Failure::Said(message) => f.write_str(message),
            Failure::Closed => f.write_str("standard output is closed"),
        }
    }
}
