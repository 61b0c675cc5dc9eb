//! Any bytes as a safetensors file.
//!
//! `cargo +nightly fuzz run safetensors fuzz/corpus/safetensors weights-tools/tests/checkpoints`;
//! the files ending in `.safetensors` among them are seeds.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = clrp::graph::Weights::from_bytes("input", bytes);
});
