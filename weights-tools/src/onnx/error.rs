//! Why an ONNX file could not be imported.

use std::path::PathBuf;

/// A result with the importer's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an ONNX file could not be imported.
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

    /// Bytes that are no ONNX model, or a model that does not hold together.
    #[error("`{file}`: {what}: expected {expected}, found {found}")]
    Model {
        /// The file.
        file: String,
        /// The part of it, as `byte 17` or `input x`.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// A model that takes pictures of any size, where none was given.
    #[error("`{file}`: input `{input}`: expected a fixed height and width, found {found}")]
    OpenSize {
        /// The file.
        file: String,
        /// The input's name.
        input: String,
        /// Its sizes.
        found: String,
    },

    /// An operator that clrp does not have.
    #[error("`{file}`: node `{node}`: operator `{operator}` of {domain} is not supported{hint}")]
    Operator {
        /// The file.
        file: String,
        /// The node's name, or its output's where it has none.
        node: String,
        /// The operator.
        operator: String,
        /// `the default domain`, or the domain's name.
        domain: String,
        /// What could be done, if anything, with punctuation before it.
        hint: &'static str,
    },

    /// An operator that is used in a way that clrp does not have, or that makes no sense.
    #[error("`{file}`: node `{node}` ({operator}): expected {expected}, found {found}")]
    Node {
        /// The file.
        file: String,
        /// The node's name, or its output's where it has none.
        node: String,
        /// The operator.
        operator: String,
        /// What is supported.
        expected: String,
        /// What the file asks for.
        found: String,
    },

    /// A layer that does not fit its input.
    #[error("`{file}`: node `{node}` ({operator}): {source}")]
    Layer {
        /// The file.
        file: String,
        /// The node's name, or its output's where it has none.
        node: String,
        /// The operator.
        operator: String,
        /// What does not fit.
        source: Box<clrp::Error>,
    },

    /// A tensor whose numbers cannot be used.
    #[error("`{file}`: tensor `{name}`: expected {expected}, found {found}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor's name.
        name: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// Weights that a network cannot have.
    #[error(transparent)]
    Weights(#[from] clrp::Error),
}

/// The start of a list from a file.
pub(super) fn listed<T: std::fmt::Debug>(values: &[T]) -> String {
    const MOST: usize = 8;
    match values.get(..MOST) {
        Some(start) if values.len() > MOST => {
            let start = format!("{start:?}");
            format!("{}, ...] ({} values)", start.trim_end_matches(']'), values.len())
        }
        _ => format!("{values:?}"),
    }
}
