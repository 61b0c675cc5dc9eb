//! Why a checkpoint could not be read.

use std::path::PathBuf;

/// A result with the reader's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a PyTorch checkpoint could not be read.
///
/// Every message is one line and names the file, the thing, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that the system does not give.
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file or an archive that is not as PyTorch writes it.
    #[error("`{file}`: {what}: expected {expected}, found {found}")]
    Container {
        /// The file.
        file: String,
        /// The part of it, as an archive's entry.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// An opcode of a pickle, or numbers between pickles, that make no sense.
    #[error("`{file}`: `{entry}`: {part} at byte {at}: expected {expected}, found {found}")]
    Stream {
        /// The file.
        file: String,
        /// The entry of the archive.
        entry: String,
        /// The opcode, or what is stored there.
        part: &'static str,
        /// Where it starts in the entry.
        at: usize,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A class or function that is not on the list of harmless ones.
    #[error(
        "`{file}`: `{entry}`: byte {at} asks for `{name}`, expected only tensors, plain values \
         and their containers; save the state dict alone: `torch.save(model.state_dict(), FILE)`"
    )]
    Global {
        /// The file.
        file: String,
        /// The entry of the archive.
        entry: String,
        /// Where the opcode starts in the entry.
        at: usize,
        /// `module.name`.
        name: String,
    },

    /// A file that holds layers and code beside their weights.
    #[error(
        "`{file}`: expected a state dict, found {found}; load it in Python and save its weights: \
         `torch.save(model.state_dict(), FILE)`"
    )]
    WholeModel {
        /// The file.
        file: String,
        /// What it holds.
        found: String,
    },

    /// A tensor that does not fit its storage, or that cannot be held.
    #[error("`{file}`: tensor `{name}`: expected {expected}, found {found}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor's state-dict key.
        name: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// A file with no state dict, or an empty one.
    #[error("`{file}`: expected a state dict with tensors, found {found}")]
    NoTensors {
        /// The file.
        file: String,
        /// What it holds instead.
        found: String,
    },
}
