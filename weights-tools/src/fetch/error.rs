//! Why a file could not be fetched.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A result with the downloads' [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a file could not be fetched.
///
/// Every message is one line and names the address, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system does not say where the user's files are.
    #[error("cannot tell where the cache folder is: set CLRP_CACHE to a folder")]
    NoCacheFolder,

    /// A file name that does not say how its SHA-256 starts.
    #[error("`{found}` does not say its hash, expected a name as `vgg16-397923af.pth`")]
    FileName {
        /// The name.
        found: String,
    },

    /// An address that is not to be trusted, or none at all.
    #[error("cannot fetch `{url}`: expected https (or http on this machine), found {found}")]
    Address {
        /// The address that was asked for.
        url: String,
        /// What it is, or led to.
        found: String,
    },

    /// No connection to the server.
    #[error("cannot reach {host} ({cause}) to fetch {url}")]
    Unreachable {
        /// The server.
        host: String,
        /// What stood in the way.
        cause: String,
        /// The file's address.
        url: String,
        /// Where the file is looked for.
        path: PathBuf,
    },

    /// The server refuses.
    #[error("cannot fetch {url}: expected status 200 or 206, found {found}")]
    Status {
        /// The file's address.
        url: String,
        /// The HTTP status.
        found: u16,
    },

    /// The server sends from one address to the next.
    #[error("cannot fetch {url}: expected at most {most} redirects, found more")]
    Redirects {
        /// The file's address.
        url: String,
        /// How many are followed.
        most: u32,
    },

    /// The connection broke off each time.
    #[error(
        "cannot fetch {url}: expected {}, found {found} after {tries} tries: {cause}",
        expected.map_or("more bytes".to_owned(), |bytes| format!("{bytes} bytes"))
    )]
    Broken {
        /// The file's address.
        url: String,
        /// The file's size, where the server told it.
        expected: Option<u64>,
        /// How many bytes came; they are kept.
        found: u64,
        /// How often it was tried.
        tries: u32,
        /// What happened last.
        cause: String,
    },

    /// The server sends or announces more than the file has.
    #[error("cannot fetch {url}: expected at most {expected} bytes, found {found} or more")]
    Size {
        /// The file's address.
        url: String,
        /// How many there may be.
        expected: u64,
        /// How many are announced or came.
        found: u64,
    },

    /// The file is not the published one.
    #[error(
        "{url} is not the published file: expected a SHA-256 that starts with {expected}, found \
         {found}"
    )]
    Hash {
        /// The file's address.
        url: String,
        /// How the hash should start.
        expected: String,
        /// How it starts.
        found: String,
    },

    /// A file that was fetched before and is not the published one.
    #[error(
        "`{}` is damaged: expected a SHA-256 that starts with {expected}, found {found}",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How the hash should start, in at least 8 digits.
        expected: String,
        /// How it starts.
        found: String,
    },

    /// There is no room for the file.
    #[error("the disk is full: `{}` has {found} bytes and cannot grow", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// How many bytes it has; they are kept.
        found: u64,
    },

    /// A file that could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    File {
        /// `read`, `write`, `create`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The progress function asked for an end.
    #[error("the download of {url} was cancelled after {found} bytes")]
    Cancelled {
        /// The file's address.
        url: String,
        /// How many bytes came; they are kept.
        found: u64,
    },
}

impl Error {
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::File { action, path: path.to_owned(), source }
    }

    /// That of a file which has `found` bytes and did not take more.
    pub(super) fn write(path: &Path, found: u64, source: io::Error) -> Self {
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            return Error::DiskFull { path: path.to_owned(), found };
        }
        Error::File { action: "write", path: path.to_owned(), source }
    }
}
