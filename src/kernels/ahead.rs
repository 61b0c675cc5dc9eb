//! What comes next, fetched while others are multiplied: memory is idle then, while products wait for it
//! where weights or values are met for the first time.

use std::ops::Range;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// What is brought into the second-level cache, bit by bit.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    rest: &'a [u8],
    /// Bytes of a step: whole lines.
    share: usize,
}

impl<'a> Ahead<'a> {
    /// In so many steps.
    pub(super) fn new(next: &'a [u8], steps: usize) -> Self {
        Self { rest: next, share: next.len().div_ceil(steps.max(1)).next_multiple_of(LINE) }
    }

    /// Asks for some of it.
    #[inline(always)]
    pub(super) fn step(&mut self) {
        if self.rest.is_empty() {
            return;
        }
        let (now, rest) = self.rest.split_at(self.share.min(self.rest.len()));
        self.rest = rest;
        for line in now.chunks(LINE) {
            fetch(line.as_ptr());
        }
    }
}

/// Asks for what lies so far from the first of these numbers, also outside of them.
#[inline(always)]
pub(super) fn fetch_further(numbers: &[f32], range: Range<usize>) {
    for at in range.step_by(LINE / size_of::<f32>()) {
        fetch(numbers.as_ptr().wrapping_add(at));
    }
}

/// Nothing waits for it, and nothing comes of it but that it may be near.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a hint to the processor")]
pub(super) fn fetch<T>(place: *const T) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: every processor of 64 bit has it, and it reads nothing that could be seen.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) };
}

#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn fetch<T>(_: *const T) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_asked_for_in_as_many_steps_as_there_are() {
        for (len, steps) in [(0, 3), (1, 1), (640, 4), (1000, 7), (64, 100)] {
            let next = vec![0; len];
            let mut ahead = Ahead::new(&next, steps);
            for _ in 0..steps {
                let before = ahead.rest.len();
                ahead.step();
                let asked_for = before - ahead.rest.len();
                assert!(asked_for < len.div_ceil(steps) + LINE, "{asked_for} of {len} in {steps}");
            }
            assert!(ahead.rest.is_empty(), "{len} in {steps}: {} are left", ahead.rest.len());
        }
    }
}
