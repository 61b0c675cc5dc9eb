//! Reads PyTorch checkpoints (`.pth`, `.pt`, `.th`) without Python, and without running code.
//!
//! A checkpoint is a pickled object and its storages, in one of three containers: a ZIP archive
//! (torch 1.6 and later), a stream of pickles (before), a TAR archive (before 0.1.10). The
//! pickle is read by a machine that knows the few names which tensors need; a file that asks for
//! any other is refused, and the error says for which.
//!
//! The object may be a state dict, plain or ordered, with or without `DataParallel`'s `module.`,
//! alone or within one or two dicts under `state_dict`, `model_state_dict`, `model` or `net`.
//! What lies beside it in those dicts is passed over. Tensors may share storages and may be
//! strided; numbers keep their type, and those that lie side by side and aligned in a mapped file
//! stay there. Integers cannot be weights: [`tensors`] lists them, and the weights know them by type
//! only.
//!
//! A file from a stranger costs no more than time and memory in proportion to its size: some ten
//! times its bytes for what it says, as much again for numbers that must be copied, and a fixed
//! amount below a megabyte. Numbers of the big-endian order are refused.

mod allowance;
mod checkpoint;
mod cursor;
mod element;
mod error;
mod legacy;
mod machine;
mod opcode;
mod tar;
mod tensor;
mod text;
mod value;
mod zip;

use std::collections::BTreeMap;
use std::path::Path;

use clrp::file::MappedFile;
use clrp::graph::Weights;

pub use self::element::Element;
pub use self::error::{Error, Result};

use self::allowance::Allowance;
use self::checkpoint::Checkpoint;
use self::cursor::Cursor;
use self::machine::Persistent;
use self::tensor::{Source, View};
use crate::foreign::shown;

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The state-dict key, without `module.` where all have it.
    pub name: String,
    /// Torch's shape.
    pub shape: Vec<usize>,
    /// The type of its numbers.
    pub element: Element,
}

/// How many bytes [`is_checkpoint`] looks at.
pub const SNIFFED: usize = 512;

/// Whether a file that starts with these bytes, [`SNIFFED`] or all it has, is in one of the
/// containers of checkpoints.
pub fn is_checkpoint(start: &[u8]) -> bool {
    start.starts_with(zip::START) || legacy::is_legacy(start) || tar::is_tar(start)
}

/// Maps a checkpoint into memory and gives the weights of its state dict.
///
/// The file must not change while the weights are in use.
///
/// # Errors
/// [`enum@Error`], naming the file and what in it is not as it should be.
pub fn read(path: impl AsRef<Path>) -> Result<Weights> {
    let path = path.as_ref();
    let map = open(path)?;
    weights(&path.display().to_string(), &map, Some(&map))
}

/// As [`read`], from a file in memory, which is copied as far as it holds weights. `source` names
/// it in errors.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(source: &str, bytes: &[u8]) -> Result<Weights> {
    weights(source, bytes, None)
}

/// The tensors of a checkpoint's state dict, by name.
///
/// # Errors
/// As [`read`].
pub fn tensors(path: impl AsRef<Path>) -> Result<Vec<TensorInfo>> {
    let path = path.as_ref();
    tensors_in(&path.display().to_string(), &open(path)?)
}

/// As [`tensors`], from a file in memory. `source` names it in errors.
///
/// # Errors
/// As [`read`].
pub fn tensors_in(source: &str, bytes: &[u8]) -> Result<Vec<TensorInfo>> {
    let views = views(source, bytes, &Allowance::of(bytes.len()))?.into_iter();
    Ok(views
        .map(|(name, view)| TensorInfo { name, shape: view.shape, element: view.element })
        .collect())
}

/// Reads a lone pickle, as a ZIP archive's `data.pkl`, and says what it holds, as `a dict`.
/// `source` names it in errors.
///
/// # Errors
/// [`Error::Stream`] or [`Error::Global`].
pub fn pickle_kind(source: &str, bytes: &[u8]) -> Result<&'static str> {
    let mut cursor = Cursor::new(source, "pickle", bytes);
    let mut allowance = Allowance::of(bytes.len());
    let pickle = machine::load(&mut cursor, Persistent::Storages, &mut allowance)?;
    Ok(pickle.root().kind())
}

fn load<'a>(file: &str, bytes: &'a [u8], allowance: &mut Allowance) -> Result<Checkpoint<'a>> {
    if bytes.starts_with(zip::START) {
        zip::load(file, bytes, allowance)
    } else if legacy::is_legacy(bytes) {
        legacy::load(file, bytes, allowance)
    } else if tar::is_tar(bytes) {
        tar::load(file, bytes, allowance)
    } else {
        Err(Error::Container {
            file: file.to_owned(),
            what: "the start".to_owned(),
            expected: "a PyTorch checkpoint (ZIP, legacy stream or TAR)".to_owned(),
            found: format!("other content of {} bytes", bytes.len()),
        })
    }
}

/// The views of a state dict's tensors; the pickle is gone when they are there.
fn views(file: &str, bytes: &[u8], allowance: &Allowance) -> Result<BTreeMap<String, View>> {
    let mut allowance = allowance.clone();
    load(file, bytes, &mut allowance)?.tensors(file, &mut allowance)
}

fn weights(file: &str, bytes: &[u8], map: Option<&MappedFile>) -> Result<Weights> {
    let allowance = Allowance::of(bytes.len());
    let views = views(file, bytes, &allowance)?;
    let mut source = Source::new(bytes, map, allowance);
    let (mut usable, mut others) = (Vec::with_capacity(views.len()), Vec::new());
    for (name, view) in views {
        let weight = source.weight(&name, &view).map_err(|misfit| Error::Tensor {
            file: file.to_owned(),
            name: shown(&name),
            expected: misfit.expected,
            found: misfit.found,
        })?;
        match weight {
            Some(weight) => usable.push(weight),
            None => others.push((name, view.element.to_string())),
        }
    }
    Ok(Weights::from_weights(file, usable).with_others(others))
}

fn open(path: &Path) -> Result<MappedFile> {
    MappedFile::open(path).map_err(|source| Error::File { path: path.to_path_buf(), source })
}
