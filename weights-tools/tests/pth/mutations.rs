//! Checkpoints changed at random.

use clrp_weights::pth;

use crate::mutation::{harmless, run};
use crate::random::Random;
use crate::{PER_BYTE, checkpoints};

/// Numbers that readers trip over.
const NUMBERS: [u64; 8] =
    [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// A change of any file.
pub(crate) fn mutate(bytes: &mut Vec<u8>, others: &[(String, Vec<u8>)], random: &mut Random) {
    let at = random.below(bytes.len());
    let length = random.below(40).min(bytes.len() - at);
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next().to_le_bytes()[0],
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..at + length)),
        4 => {
            let copy = bytes[at..at + length].to_vec();
            let repeats = 1 + random.below(8);
            bytes.splice(at..at, copy.repeat(repeats));
        }
        5 => {
            let other = &others[random.below(others.len())].1;
            let from = random.below(other.len());
            let taken = random.below(other.len() - from).min(400);
            bytes.splice(at..at + length, other[from..from + taken].iter().copied());
        }
        _ => {
            let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
            let size = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
            bytes[at..at + size].copy_from_slice(&number[..size]);
        }
    }
}

/// Reads the bytes in all ways; they are a checkpoint, broken or not.
fn check(what: &str, bytes: &[u8]) {
    let weights = harmless(what, bytes.len(), PER_BYTE, || {
        pth::from_bytes("file", bytes).map(|_| ()).map_err(|error| error.to_string())
    });
    let tensors = harmless(what, bytes.len(), PER_BYTE, || {
        let _ = pth::pickle_kind("file", bytes);
        pth::tensors_in("file", bytes).map(|_| ()).map_err(|error| error.to_string())
    });
    assert!(tensors.is_ok() || weights.is_err(), "{what}: {tensors:?}, {weights:?}");
}

#[test]
fn changed_checkpoints_do_no_harm() {
    let seeds: Vec<(String, Vec<u8>)> = checkpoints()
        .into_iter()
        .map(|(path, bytes)| (path.display().to_string(), bytes))
        .collect();
    for (name, bytes) in &seeds {
        check(name, bytes);
    }
    run(&seeds, mutate, check);
}
