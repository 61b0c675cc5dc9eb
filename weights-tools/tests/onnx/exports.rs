//! Models that PyTorch's exporters wrote, and models with what they do not write, score as
//! PyTorch and onnxruntime do.
//!
//! `tests/onnx/README.md` says how they were made. `CLRP_ONNX_EXPORTS` names a folder of others,
//! which `export_onnx.py --torchvision` fills.

use std::io::Write;
use std::path::{Path, PathBuf};

use clrp_weights::onnx::{Options, read};
use safetensors::{Dtype, SafeTensors};

use crate::random::mix;
use crate::scores;

/// Largest difference of a score, in parts of the largest: the models' weights have 32 bit.
const TOLERANCE: f64 = 1e-5;

/// The picture of those sizes that all networks saw: tensor 1000 of the recipe in
/// `tests/golden/README.md`.
pub(crate) fn picture(count: usize) -> Vec<f32> {
    let start =
        0x9e37_79b9_7f4a_7c15_u64.wrapping_add(0xd1b5_4a32_d192_ed03_u64.wrapping_mul(1000));
    let number = |i: usize| {
        let mixed = mix(start.wrapping_add(i as u64)) >> 40;
        (2.0 * (mixed as f64 / f64::from(1 << 24) * 2.0 - 1.0)) as f32
    };
    (0..count).map(number).collect()
}

/// The numbers that a safetensors file of the folder has under that name, if both are there.
pub(crate) fn numbers(folder: &Path, file: &str, name: &str) -> Option<Vec<f64>> {
    let bytes = std::fs::read(folder.join(file)).ok()?;
    let tensors = SafeTensors::deserialize(&bytes).expect("it is safetensors");
    let view = tensors.tensor(name).ok()?;
    let (eights, fours) = (view.data().as_chunks::<8>().0, view.data().as_chunks::<4>().0);
    let dtype = view.dtype();
    Some(if dtype == Dtype::F64 {
        eights.iter().map(|x| f64::from_le_bytes(*x)).collect()
    } else if dtype == Dtype::I64 {
        eights.iter().map(|x| i64::from_le_bytes(*x) as f64).collect()
    } else {
        assert_eq!(dtype, Dtype::F32, "{file}: type of `{name}`");
        fours.iter().map(|x| f32::from_le_bytes(*x).into()).collect()
    })
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().fold(f64::NEG_INFINITY, |most, score| most.max(*score));
    let parts: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|part| part / sum).collect()
}

/// Imports a model and compares its scores; gives back what is wrong.
fn check(folder: &Path, path: &Path) -> Result<(), String> {
    let file = path.file_name().expect("it has a name").to_string_lossy();
    let imported = read(path, &Options::default()).map_err(|error| error.to_string())?;
    let mut parts = file.split('.');
    let first = parts.next().expect("there is a first part");
    let expected = match first {
        "handmade" => numbers(folder, "handmade.safetensors", parts.next().expect("a name")),
        name => numbers(folder, "logits.safetensors", name),
    };
    let expected = expected.expect("the models' scores lie beside them");
    let shape = imported.network.graph().input_shape();
    let actual = scores(&imported.network, picture(shape.len()));
    let mut actual: Vec<f64> = actual.into_iter().map(f64::from).collect();
    if first == "handmade" && imported.notes.iter().any(|note| note.contains("Softmax")) {
        actual = softmax(&actual);
    }
    if actual.len() != expected.len() {
        return Err(format!("{file}: {} scores, not {}", actual.len(), expected.len()));
    }
    let most = expected.iter().fold(0.0_f64, |most, score| most.max(score.abs()));
    let off = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs() / most);
    match off.fold(0.0_f64, f64::max) {
        off if off <= TOLERANCE => Ok(()),
        off => Err(format!("{file}: scores differ by {off:e}: {actual:?}, not {expected:?}")),
    }
}

/// The folder of small models.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx")
}

/// The folder of others, if it is named; without one it is told that `what` of them is left out.
pub(crate) fn other_folder(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CLRP_ONNX_EXPORTS").map(PathBuf::from);
    if folder.is_none() {
        // There is nobody to tell if this fails.
        let _ = writeln!(
            std::io::stderr(),
            "the sweep over the {what} of other exports is left out: CLRP_ONNX_EXPORTS is not set"
        );
    }
    folder
}

/// The models of a folder.
pub(crate) fn exports(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension() == Some("onnx".as_ref())).collect();
    paths.sort();
    paths
}

/// Checks all models of a folder; how many there are.
fn check_all(folder: &Path) -> usize {
    let paths = exports(folder);
    let wrong: Vec<String> = paths.iter().filter_map(|path| check(folder, path).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
    paths.len()
}

#[test]
fn exports_score_as_in_pytorch() {
    assert!(check_all(&folder()) > 30, "the small models are in `tests/onnx`");
    if let Some(folder) = other_folder("scores") {
        assert!(check_all(&folder) > 0, "the folder has models");
    }
}
