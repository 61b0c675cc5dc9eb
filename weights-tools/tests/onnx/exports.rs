//! Models that PyTorch's exporters wrote, with the logits of PyTorch: every `NAME.onnx` with a
//! `NAME.json` beside it in `tests/onnx`, or in the folder that `CLRP_ONNX_EXPORTS` names.

use std::path::{Path, PathBuf};

use clrp_weights::onnx::{Options, read};

use crate::scores;

/// Largest difference of a logit, in parts of the largest logit: the models run in 32 bit there.
const TOLERANCE: f32 = 1e-5;

/// The numbers of a list in a JSON file of plain lists.
fn numbers(text: &str, key: &str) -> Vec<f32> {
    let start = text.find(&format!("\"{key}\"")).unwrap_or_else(|| panic!("`{key}` is there"));
    let list = text[start..].split(['[', ']']).nth(1).expect("it is a list");
    let number = |number: &str| number.trim().parse().expect("it is a list of numbers");
    list.split(',').map(number).collect()
}

fn exports() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
    let folder = std::env::var_os("CLRP_ONNX_EXPORTS").map_or(own, PathBuf::from);
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension() == Some("onnx".as_ref())).collect();
    paths.sort();
    paths
}

#[test]
fn exports_score_as_in_pytorch() {
    for path in exports() {
        let text = std::fs::read_to_string(path.with_extension("json")).expect("it is beside it");
        let found = read(&path, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        let expected = numbers(&text, "logits");
        let actual = scores(&found.network, numbers(&text, "input"));
        assert_eq!(actual.len(), expected.len(), "{}", path.display());
        let most = expected.iter().fold(0.0_f32, |most, logit| most.max(logit.abs()));
        for (class, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
            let off = (actual - expected).abs() / most;
            assert!(
                off <= TOLERANCE,
                "{}, class {class}: {actual}, not {expected}",
                path.display()
            );
        }
    }
}
