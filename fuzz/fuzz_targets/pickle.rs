//! Any bytes as a lone pickle, which needs no archive around it to be reached.
//!
//! `cargo +nightly fuzz run pickle fuzz/corpus/pickle weights-tools/tests/checkpoints`; the legacy
//! streams among them start with pickles.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = clrp_weights::pth::pickle_kind("input", bytes);
});
