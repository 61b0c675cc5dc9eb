//! Why a command ended early.

use std::fmt;
use std::path::Path;

use clrp::Error;

/// A result with the command's [`Failure`].
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One line for the user.
    Said(String),
    /// The same about a number that is not finite, which one picture can be the reason of.
    NotFinite(String),
    /// Nobody reads standard output any more.
    Closed,
    /// Nothing was asked for, and the help was shown.
    Helped,
}

impl Failure {
    /// The error with the name of the file that it is about, unless its message has that.
    pub(crate) fn about(path: &Path, error: Error) -> Self {
        let (name, message) = (format!("`{}`", path.display()), error.to_string());
        Self::Said(if message.contains(&name) { message } else { format!("{name}: {message}") })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::InputValue { .. } = &error {
            return Self::NotFinite(error.to_string());
        }
        let mut list = None;
        if let Error::UnknownName { kind, suggestions, expected, .. } = &error
            && suggestions.is_empty()
            && expected.is_empty()
        {
            list = LISTS.iter().find(|(of, _)| of == kind);
        }
        match list {
            Some((_, command)) => Self::Said(format!("{error}; `{command}` lists them")),
            None => Self::Said(error.to_string()),
        }
    }
}

/// The commands that list names of a kind.
const LISTS: [(&str, &str); 2] = [("layer", "clrp inspect"), ("model", "clrp models")];

/// The errors of foreign files and downloads, which are one line each.
macro_rules! said {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Said(error.to_string())
            }
        })+
    };
}

said!(
    clrp_weights::convert::Error,
    clrp_weights::fetch::Error,
    clrp_weights::onnx::Error,
    clrp_weights::pth::Error
);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Said(message) | Failure::NotFinite(message) => f.write_str(message),
            Failure::Closed => f.write_str("standard output is closed"),
            Failure::Helped => f.write_str("nothing was asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_name_is_near_a_command_lists_them() {
        let names: Vec<String> = (0..99).map(|i| format!("layer{i}")).collect();
        let message = |kind, name| {
            Failure::from(Error::unknown(kind, name, names.iter().map(String::as_str))).to_string()
        };
        assert_eq!(message("layer", "qqq"), "unknown layer `qqq`; `clrp inspect` lists them");
        assert_eq!(message("layer", ""), "unknown layer ``; `clrp inspect` lists them");
        assert_eq!(message("class", "qqq"), "unknown class `qqq`");
        assert!(message("layer", "layer100").contains("nearest: `layer10`"));
    }
}
