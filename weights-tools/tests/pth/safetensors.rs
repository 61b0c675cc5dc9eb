//! Safetensors changed at random, from memory and from a mapped file.

use clrp::graph::Weights;

use crate::mutation::{harmless, run};
use crate::mutations::mutate;
use crate::{checkpoints, expected_beside};

/// The most memory for each byte of a file: a header's entry of some 60 bytes is a weight with
/// its name and shape, on the way three times.
const PER_BYTE: usize = 32;

/// Reads the bytes in both ways, which agree; whether they are safetensors.
fn check(what: &str, bytes: &[u8]) -> bool {
    let file = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(file.path(), bytes).expect("there is room");
    let summary = |weights: Weights| {
        let of = |weight: &clrp::weight::Weight| {
            (weight.name().to_owned(), weight.dtype(), weight.shape().to_vec())
        };
        weights.iter().map(of).collect::<Vec<_>>()
    };
    let said = |error: clrp::Error| error.to_string();
    let copied = harmless(what, bytes.len(), PER_BYTE, || {
        Weights::from_bytes(&file.path().display().to_string(), bytes).map_err(said)
    });
    let mapped = harmless(what, bytes.len(), PER_BYTE, || Weights::open(file.path()).map_err(said));
    let (copied, mapped) = (copied.map(summary), mapped.map(summary));
    assert_eq!(copied, mapped, "{what}");
    copied.is_ok()
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let read = |(path, _): (std::path::PathBuf, Vec<u8>)| {
        let path = expected_beside(&path);
        let bytes = std::fs::read(&path).expect("it can be read");
        (path.display().to_string(), bytes)
    };
    let mut seeds: Vec<(String, Vec<u8>)> = checkpoints().into_iter().map(read).collect();
    // One object lies in several containers.
    seeds.sort_by(|a, b| a.1.cmp(&b.1));
    seeds.dedup_by(|a, b| a.1 == b.1);
    seeds
}

#[test]
fn changed_safetensors_do_no_harm() {
    for (name, bytes) in &seeds() {
        assert!(check(name, bytes), "{name}");
    }
    run(&seeds(), mutate, |what, bytes| {
        check(what, bytes);
    });
}

/// A file with that header.
fn with_header(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

#[test]
fn headers_of_many_tensors_take_memory_by_their_size() {
    let entry = |i: usize| format!(r#""{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
    let entries: Vec<String> = (0..20_000).map(entry).collect();
    assert!(check("many tensors", &with_header(&format!("{{{}}}", entries.join(",")))));
}

#[test]
fn long_names_in_headers_are_told_in_part() {
    let name = "a\\nb".repeat(1000);
    let entry = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}}}"#);
    assert!(!check("a long name", &with_header(&entry)));
}
