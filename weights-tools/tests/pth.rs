//! The reader of PyTorch checkpoints, against files that PyTorch wrote and files that mean harm.
//!
//! `tests/checkpoints` is made by `scripts/make_checkpoints.py`.

#[path = "support/allocation.rs"]
mod allocation;
#[path = "pth/archive.rs"]
mod archive;
#[path = "pth/checkpoints.rs"]
mod checkpoints;
#[path = "pth/malformed.rs"]
mod malformed;
#[path = "pth/memory.rs"]
mod memory;
#[path = "support/mutation.rs"]
mod mutation;
#[path = "pth/mutations.rs"]
mod mutations;
#[path = "support/random.rs"]
mod random;
#[path = "pth/real.rs"]
mod real;
#[path = "pth/safetensors.rs"]
mod safetensors;

use std::path::{Path, PathBuf};

/// The most memory per byte of a checkpoint.
const PER_BYTE: usize = 10;

/// The small checkpoints, by path, with their bytes.
fn checkpoints() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints");
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension() != Some("safetensors".as_ref())).collect();
    paths.sort();
    assert!(paths.len() > 10, "the checkpoints are in `tests/checkpoints`");
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("it can be read");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

/// The safetensors that torch reads in a checkpoint.
fn expected_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".safetensors");
    name.into()
}
