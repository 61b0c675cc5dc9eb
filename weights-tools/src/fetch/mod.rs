//! Downloads of published weights into the user's cache folder.
//!
//! [`PUBLISHED`] says which files there are, [`Cache`] where they lie, and [`fetch`] brings one
//! there: it goes on where an earlier download broke off, and gives a file its name only once its
//! SHA-256 starts as the name says. So whatever has the name is whole.

mod address;
mod cache;
mod download;
mod error;
mod hash;
mod part;
mod published;
mod request;
mod source;
#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use download::{Fetched, Phase, Progress, Settings, fetch, fetch_with};
pub use error::{Error, Result};
pub use hash::{sha256_file, verify};
pub use published::{BASE, PUBLISHED, Published};
pub use source::Source;
