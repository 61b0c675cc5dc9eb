//! Checkpoints changed at random, by seed: none may panic, hang, or take memory beyond its size.
//!
//! `CLRP_FUZZ_SECONDS` lets it run on with fresh seeds for so long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use clrp_weights::pth;

use crate::PER_BYTE;
use crate::allocation::{allowed, measured};
use crate::checkpoints;

/// Mutations of each checkpoint.
const CASES: u64 = 600;

/// Far more than any case needs, on any machine.
const TIME: Duration = Duration::from_secs(20);

/// Numbers that readers trip over.
const NUMBERS: [u64; 8] =
    [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("it is below a usize")
    }
}

fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
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
            let other = &others[random.below(others.len())];
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
    let start = Instant::now();
    let read = || {
        let tensors = pth::tensors_in("file", bytes).map(|_| ()).map_err(|error| error.to_string());
        let weights = pth::from_bytes("file", bytes).map(|_| ()).map_err(|error| error.to_string());
        let _ = pth::pickle_kind("file", bytes);
        (tensors, weights)
    };
    let (result, most) = measured(|| catch_unwind(AssertUnwindSafe(read)));
    let (tensors, weights) = result.unwrap_or_else(|_| panic!("{what} panics"));
    assert!(tensors.is_ok() || weights.is_err(), "{what}: {tensors:?}, {weights:?}");
    if let Err(error) = weights {
        assert!(!error.contains('\n') && error.len() < 1000, "{what}: {error}");
    }
    assert!(
        most <= allowed(PER_BYTE, bytes.len()),
        "{what}: {most} bytes of memory for {}",
        bytes.len()
    );
    let taken = start.elapsed();
    assert!(taken < TIME, "{what}: {taken:?}");
}

fn run(seeds: &[(String, Vec<u8>)], round: u64) {
    let all: Vec<Vec<u8>> = seeds.iter().map(|(_, bytes)| bytes.clone()).collect();
    for (name, bytes) in seeds {
        check(name, bytes);
        for case in round * CASES..(round + 1) * CASES {
            let mut random = Random(case);
            let mut changed = bytes.clone();
            for _ in 0..=random.below(4) {
                mutate(&mut changed, &all, &mut random);
            }
            check(&format!("{name}, seed {case}"), &changed);
        }
    }
}

#[test]
fn changed_checkpoints_do_no_harm() {
    let seeds: Vec<(String, Vec<u8>)> = checkpoints()
        .into_iter()
        .map(|(path, bytes)| (path.display().to_string(), bytes))
        .collect();
    let seconds = std::env::var("CLRP_FUZZ_SECONDS")
        .ok()
        .map(|seconds| seconds.parse().expect("CLRP_FUZZ_SECONDS is a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    for round in 0.. {
        run(&seeds, round);
        if Instant::now() >= end {
            break;
        }
    }
}
