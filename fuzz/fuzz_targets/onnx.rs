//! Any bytes as an ONNX model.
//!
//! `cargo +nightly fuzz run onnx fuzz/corpus/onnx weights-tools/tests/onnx`; the files ending in
//! `.onnx` among them are seeds.

#![no_main]

use clrp_weights::onnx::{Options, from_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let fixed = from_bytes("input", bytes, None, &Options::default());
    let options = Options { input: Some([32, 32]), output: None };
    let sized = from_bytes("input", bytes, None, &options);
    for imported in [fixed, sized].into_iter().flatten() {
        let scores = imported.network.graph().output_shape();
        assert_eq!(scores.len(), imported.class_count);
    }
});
