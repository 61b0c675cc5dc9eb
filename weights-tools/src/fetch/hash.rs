//! SHA-256 of files of any size.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::{Error, Result};

/// The file's SHA-256, in lower-case hexadecimal.
///
/// # Errors
/// [`Error::File`] if it cannot be read.
pub fn sha256_file(path: impl AsRef<Path>) -> Result<String> {
    Ok(measure(path.as_ref())?.0)
}

/// Checks that the file's SHA-256 starts with `prefix`, at least 8 hexadecimal digits.
///
/// # Errors
/// [`Error::Damaged`] if it does not, [`Error::File`] if it cannot be read.
pub fn verify(path: impl AsRef<Path>, prefix: &str) -> Result<()> {
    let (path, hash) = (path.as_ref(), sha256_file(&path)?);
    if agrees(&hash, prefix) {
        return Ok(());
    }
    let found = hash[..prefix.len().clamp(8, hash.len())].to_owned();
    Err(Error::Damaged { path: path.to_owned(), expected: prefix.to_owned(), found })
}

/// Whether the hash is the one meant; a prefix of few digits fits too many.
pub(super) fn agrees(hash: &str, prefix: &str) -> bool {
    prefix.len() >= 8 && hash.starts_with(&prefix.to_ascii_lowercase())
}

/// The file's SHA-256 and its bytes.
pub(super) fn measure(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).map_err(Error::file("read", path))?;
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                hasher.update(&buffer[..length]);
                bytes += length as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::file("read", path)(error)),
        }
    }
    Ok((hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_hash_is_that_of_fips_180() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("abc");
        fs::write(&path, b"abc").expect("it can be written");
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_file(&path).expect("it can be read"), hash);
        let fits = |prefix: &str| verify(&path, prefix).is_ok();
        assert!(fits("ba7816bf") && fits("BA7816BF") && fits(hash));
        assert!(!fits("ba7816be") && !fits("ba7816b") && !fits(""));
        let error = verify(&path, "ba7816be").expect_err("another digit").to_string();
        assert!(error.ends_with("that starts with ba7816be, found ba7816bf"), "{error}");
        let error = verify(folder.path().join("none"), "ba7816bf").expect_err("there is none");
        assert!(matches!(error, Error::File { .. }), "{error}");
    }
}
