//! Files changed at random, by seed: none may panic, hang, or take memory beyond its size.
//!
//! `CLRP_FUZZ_SECONDS` lets it run on with fresh seeds for so long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::allocation::{allowed, measured};
use crate::random::Random;

/// Mutations of each file.
const CASES: u64 = 600;

/// Far more than any case needs, on any machine.
const TIME: Duration = Duration::from_secs(20);

/// What `read` makes of a file of `length` bytes, broken or not, or the line that it says of it;
/// it may take `per_byte` bytes of memory for each of the file's.
pub(crate) fn harmless<T>(
    what: &str,
    length: usize,
    per_byte: usize,
    read: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    let (result, most) = measured(|| catch_unwind(AssertUnwindSafe(read)));
    let result = result.unwrap_or_else(|_| panic!("{what} panics"));
    if let Err(error) = &result {
        assert!(!error.contains('\n') && error.len() < 1000, "{what}: {error}");
    }
    assert!(most <= allowed(per_byte, length), "{what}: {most} bytes of memory for {length}");
    let taken = start.elapsed();
    assert!(taken < TIME, "{what}: {taken:?}");
    result
}

/// Hands the files to `check`, each changed a few times by `mutate`, with their names and seeds.
pub(crate) fn run(
    seeds: &[(String, Vec<u8>)],
    mutate: impl Fn(&mut Vec<u8>, &[(String, Vec<u8>)], &mut Random),
    check: impl Fn(&str, &[u8]),
) {
    let seconds = std::env::var("CLRP_FUZZ_SECONDS")
        .ok()
        .map(|seconds| seconds.parse().expect("CLRP_FUZZ_SECONDS is a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    for round in 0.. {
        for (name, bytes) in seeds {
            for case in round * CASES..(round + 1) * CASES {
                let mut random = Random(case);
                let mut changed = bytes.clone();
                for _ in 0..=random.below(4) {
                    mutate(&mut changed, seeds, &mut random);
                }
                check(&format!("{name}, seed {case}"), &changed);
            }
        }
        if Instant::now() >= end {
            break;
        }
    }
}
