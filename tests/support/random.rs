//! Seeded random numbers: splitmix64 (Steele et al. 2014).

use std::ops::RangeInclusive;

/// The finalizer of splitmix64.
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The upper bits as a number in -1..1, in steps of 2^-23.
pub(crate) fn signed_unit(bits: u64) -> f64 {
    (bits >> 40) as f64 / f64::from(1 << 24) * 2.0 - 1.0
}

/// A stream of random numbers. A test that fails while it holds one says the seed.
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// `CLRP_SEED` is added to the seed, to run the tests on other numbers.
    pub(crate) fn new(seed: u64) -> Self {
        let other = std::env::var("CLRP_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.wrapping_add(other.unwrap_or(0));
        Self { seed, state: mix(seed) }
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    pub(crate) fn of(&mut self, range: RangeInclusive<usize>) -> usize {
        let count = (range.end() - range.start() + 1) as u64;
        range.start() + (self.bits() % count) as usize
    }

    pub(crate) fn yes(&mut self) -> bool {
        self.of(0..=1) == 1
    }

    /// Numbers in -1..1.
    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| signed_unit(self.bits()) as f32).collect()
    }

    /// Whole numbers from -2 to 2: many of them are equal, and many 0.
    pub(crate) fn ties(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.of(0..=4) as f32 - 2.0).collect()
    }

    /// Numbers of either sign, at least 0.1 from 0.
    pub(crate) fn away_from_zero(&mut self, count: usize) -> Vec<f32> {
        self.floats(count).into_iter().map(|v| v * 0.9 + 0.1_f32.copysign(v)).collect()
    }
}

impl Drop for Random {
    #[expect(clippy::print_stderr, reason = "a failed test tells its seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the random numbers came from seed {}", self.seed);
        }
    }
}
