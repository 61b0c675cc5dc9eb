//! What PyTorch wrote is read as PyTorch reads it.

use std::collections::BTreeMap;
use std::path::Path;

use clrp::graph::Weights;
use clrp::weight::{Dtype, Weight};
use clrp_weights::pth::{self, Element};

use crate::{checkpoints, expected_beside};

/// Names, types, shapes and all numbers.
fn content(weights: &Weights) -> BTreeMap<String, (Vec<usize>, Vec<f64>)> {
    let numbers = |weight: &Weight| (0..weight.len()).map(|i| weight.values().get(i)).collect();
    weights
        .iter()
        .map(|weight| (weight.name().to_owned(), (weight.shape().to_vec(), numbers(weight))))
        .collect()
}

fn others(weights: &Weights) -> Vec<(String, String)> {
    weights.others().map(|(name, found)| (name.to_owned(), found.to_owned())).collect()
}

fn expected(path: &Path) -> Weights {
    Weights::open(expected_beside(path)).expect("it is safetensors")
}

#[test]
fn all_numbers_are_those_that_torch_reads() {
    for (path, bytes) in checkpoints() {
        let expected = expected(&path);
        let mapped = pth::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let copied = pth::from_bytes("bytes", &bytes).unwrap_or_else(|error| panic!("{error}"));
        for found in [mapped, copied] {
            assert_eq!(content(&found), content(&expected), "{}", path.display());
            assert_eq!(others(&found), others(&expected), "{}", path.display());
            for (a, b) in found.iter().zip(expected.iter()) {
                assert_eq!(a.dtype(), b.dtype(), "{}: {}", path.display(), a.name());
            }
        }
    }
}

#[test]
fn the_list_of_tensors_has_integers_too() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints/types.zip.pt");
    let tensors = pth::tensors(&path).expect("it is a checkpoint");
    let found: Vec<(&str, &[usize], Element)> =
        tensors.iter().map(|info| (&*info.name, &*info.shape, info.element)).collect();
    let expected: [(&str, &[usize], Element); 12] = [
        ("bf16", &[5], Element::BF16),
        ("bool", &[2], Element::Bool),
        ("empty", &[0, 3], Element::F32),
        ("f16", &[3, 3], Element::F16),
        ("f32", &[3, 2], Element::F32),
        ("f64", &[3, 2], Element::F64),
        ("int16", &[3], Element::I16),
        ("int32", &[3], Element::I32),
        ("int64", &[3], Element::I64),
        ("int8", &[3], Element::I8),
        ("scalar", &[], Element::F32),
        ("uint8", &[3], Element::U8),
    ];
    assert_eq!(found, expected);
}

#[test]
fn aligned_numbers_stay_in_the_mapped_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints/views.zip.pt");
    let weights = pth::read(&path).expect("it is a checkpoint");
    let debug = |name: &str| {
        let weight = weights.iter().find(|weight| weight.name() == name).expect("it is there");
        (weight.dtype(), format!("{weight:?}"))
    };
    for (name, dtype) in [("base", Dtype::F32), ("rows", Dtype::F32), ("half.row", Dtype::F16)] {
        let (found, debug) = debug(name);
        assert_eq!(found, dtype);
        assert!(debug.contains("mapped bytes"), "{debug}");
    }
    assert!(!debug("transposed").1.contains("mapped"));
    let identity = |name: &str| {
        weights.iter().find(|weight| weight.name() == name).expect("it is there").identity()
    };
    assert_eq!(identity("base"), identity("same"));
}

#[test]
fn checkpoints_are_known_by_their_start() {
    for (path, bytes) in checkpoints() {
        let start = &bytes[..bytes.len().min(pth::SNIFFED)];
        assert!(pth::is_checkpoint(start), "{}", path.display());
    }
    for other in
        [&b""[..], b"P", b"PK\x05\x06", b"\x80\x02}q\x00.", b"\x89PNG\r\n\x1a\n", &[0; 600]]
    {
        assert!(!pth::is_checkpoint(other), "{}", other.escape_ascii());
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = pth::read("no/such.pth").expect_err("it is missing").to_string();
    assert!(error.starts_with("cannot read `no/such.pth`: "), "{error}");
    let error = pth::read(env!("CARGO_MANIFEST_DIR")).expect_err("it is a folder").to_string();
    assert!(error.ends_with("expected a regular file, found a folder"), "{error}");
}
