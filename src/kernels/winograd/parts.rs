//! Filters of more than three rows and columns, as parts that have no more.

use std::ops::Range;

use super::{SIDE, STEP};
use crate::kernels::panels::Tap;

/// How filters are cut into parts of three rows and columns or less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// Rows and columns of a filter.
    pub(super) kernel: usize,
}

impl Split {
    pub(super) fn of_taps(taps: usize) -> Self {
        Self { kernel: taps.isqrt() }
    }

    /// Parts along an axis.
    pub(super) const fn along(self) -> usize {
        (self.kernel - 1) / STEP
    }

    pub(super) const fn parts(self) -> usize {
        self.along() * self.along()
    }

    /// The taps of part `i` along an axis: all but the last have one less than three.
    pub(super) const fn taps(self, i: usize) -> Range<usize> {
        let first = STEP * i;
        if i + 1 < self.along() { first..first + STEP } else { first..self.kernel }
    }

    /// The parts that are not 0 at a point; their shifts are in windows.
    pub(super) fn parts_at(self, point: usize) -> Vec<Tap> {
        let of_axis = |at: usize| {
            (0..self.along()).filter(move |i| at + 1 < SIDE || self.taps(*i).len() > STEP)
        };
        let rows = of_axis(point / SIDE);
        let parts = rows.flat_map(|row| of_axis(point % SIDE).map(move |column| [row, column]));
        let tap = |[row, column]: [usize; 2]| Tap {
            number: row * self.along() + column,
            shift: [row as isize, column as isize],
        };
        parts.map(tap).collect()
    }
}
