//! What is to be fetched.

use super::address::Address;
use super::error::{Error, Result};

/// A file at an address, whose name says how its SHA-256 starts.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) address: Address,
    file: String,
    size: Option<u64>,
}

impl Source {
    /// The file below the address `base`; `size` is about how many bytes it has, if that is known.
    ///
    /// # Errors
    /// [`Error::FileName`] if the name has no hash, [`Error::Address`] if `base` is neither https
    /// nor http on this machine.
    pub fn new(base: &str, file: &str, size: Option<u64>) -> Result<Self> {
        if prefix(file).is_none() || file.contains(['/', '\\']) {
            return Err(Error::FileName { found: file.to_owned() });
        }
        let address = Address::new(&format!("{}/{file}", base.trim_end_matches('/')))?;
        Ok(Self { address, file: file.to_owned(), size })
    }

    /// The whole address.
    pub fn url(&self) -> &str {
        self.address.url()
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// How the file's SHA-256 starts, in lower-case hexadecimal.
    pub fn prefix(&self) -> &str {
        prefix(&self.file).unwrap_or_default()
    }

    /// More bytes than this cannot be the file.
    pub(super) fn limit(&self) -> u64 {
        // An eighth and a MiB: far more than what a stated size is wrong by, and little enough
        // that no disk is filled by a page that never ends.
        const UNKNOWN: u64 = 4 << 30;
        self.size.map_or(UNKNOWN, |size| size + size / 8 + (1 << 20))
    }
}

/// The hexadecimal digits between the last dash and the first dot behind it; too few say nothing.
fn prefix(file: &str) -> Option<&str> {
    let (_, rest) = file.rsplit_once('-')?;
    let digits = rest.split('.').next()?;
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    ((8..=64).contains(&digits.len()) && digits.bytes().all(hexadecimal)).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_hash() {
        assert_eq!(prefix("vgg16-397923af.pth"), Some("397923af"));
        assert_eq!(prefix("alexnet-owt-7be5be79.pth"), Some("7be5be79"));
        assert_eq!(prefix("mnasnet0.5_top1_67.823-3ffadce67e.pth"), Some("3ffadce67e"));
        for file in ["vgg16.pth", "vgg16-397923.pth", "vgg16-397923AF.pth", "vgg16-nohashes.pth"] {
            assert_eq!(prefix(file), None, "{file}");
        }
        assert!(Source::new("https://host", "../x-397923af.pth", None).is_err());
    }

    #[test]
    fn a_mirror_is_given_with_or_without_a_slash() {
        for base in ["https://host/models", "https://host/models/"] {
            let source = Source::new(base, "x-397923af.pth", None).expect("it is good");
            assert_eq!(source.url(), "https://host/models/x-397923af.pth");
        }
    }
}
