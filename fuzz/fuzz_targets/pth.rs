//! Any bytes as a PyTorch checkpoint.
//!
//! `cargo +nightly fuzz run pth fuzz/corpus/pth weights-tools/tests/checkpoints`

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let listed = clrp_weights::pth::tensors_in("input", bytes).is_ok();
    let read = clrp_weights::pth::from_bytes("input", bytes).is_ok();
    assert!(listed || !read, "what is read can be listed");
});
