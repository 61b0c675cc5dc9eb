//! Sums of a matrix's rows, each times a number of its own, of which many are 0: a transposed linear layer's
//! signals behind a ReLU, or the inputs of one whose matrix is stored transposed. Rows whose number is 0 need not
//! come from memory.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Part;
use super::ahead::fetch;
use super::linear::{Stored, bounds_of};
use super::panels::WIDTH;
use super::sums::added;
use crate::num::Float;

/// Columns a task sums at once, at least and at most: the more, the longer the pieces that are read
/// at a stretch; the sums of a row or a few stay in the second-level cache.
const COLUMNS: [usize; 2] = [1024, 16_384];

/// The same at least where there would be fewer tasks than threads.
const FEWEST_COLUMNS: usize = 256;

/// Tasks for each thread.
const TASKS: usize = 2;

/// Rows that are read at once in 32 bit; their products are added up in f32 alone.
const PIECE: usize = 8;

/// A matrix and the numbers of its rows, for each of a batch; for each of `N` parts there are sums.
pub(super) struct WeightedRows<'a, F, S, const N: usize> {
    /// The matrix.
    pub(super) w: &'a [S],
    /// Its columns.
    pub(super) columns: usize,
    /// Numbers of a batch's items, `stride` apart, from `first` on one for each row.
    pub(super) numbers: &'a [F],
    pub(super) first: usize,
    pub(super) stride: usize,
    /// How many items.
    pub(super) batch: usize,
    /// The parts of the matrix, and the factor of those that are raised.
    pub(super) parts: [Part; N],
    pub(super) gamma: f64,
}

impl<F: Float, S: Stored, const N: usize> WeightedRows<'_, F, S, N> {
    /// Sums in f64, or in f32 with what pieces of a few products lose. Which rows run together decides the last
    /// bits. `put` gets, for each part and item, the sums of some columns.
    pub(super) fn sum(&self, mut put: impl FnMut(usize, usize, Range<usize>, &[f64])) {
        let rows = self.w.len().checked_div(self.columns).unwrap_or(0);
        let live: Vec<usize> = (0..rows)
            .filter(|row| (0..self.batch).any(|item| self.number(item, *row) != 0.0))
            .collect();
        let length = self.columns_of_a_task();
        let bounds = self.bounds();
        let blocks: Vec<Range<usize>> = (0..self.columns)
            .step_by(length)
            .map(|first| first..self.columns.min(first + length))
            .collect();
        let sums: Vec<Vec<f64>> = blocks
            .par_iter()
            .map(|columns| match bounds {
                Some(bounds) => self.in_32_bit(columns, bounds, &live),
                None => self.in_64_bit(columns, &live),
            })
            .collect();
        for (columns, sums) in blocks.into_iter().zip(sums) {
            for (i, sums) in sums.chunks_exact(columns.len()).enumerate() {
                put(i % N, i / N, columns.clone(), sums);
            }
        }
    }

    /// Whole vectors, so that cuts, which the threads decide, do not decide how a column is summed.
    fn columns_of_a_task(&self) -> usize {
        let threads = rayon::current_num_threads();
        let wanted = self.columns.div_ceil(TASKS * threads);
        let tasks = self.columns.div_ceil(wanted.clamp(COLUMNS[0], COLUMNS[1]));
        let even = self.columns.div_ceil(tasks.next_multiple_of(threads).max(1));
        even.max(FEWEST_COLUMNS).next_multiple_of(WIDTH)
    }

    /// Bounds of all parts, if sums are made in 32 bit.
    fn bounds(&self) -> Option<[[f32; 2]; N]> {
        let mut bounds = [[0.0; 2]; N];
        for (bounds, part) in bounds.iter_mut().zip(self.parts) {
            *bounds = bounds_of(part)?;
        }
        (S::IS_NARROW && !F::IS_REFERENCE).then_some(bounds)
    }

    fn number(&self, item: usize, row: usize) -> f64 {
        self.numbers[item * self.stride + self.first + row].to_f64()
    }

    fn row(&self, row: usize, columns: &Range<usize>) -> &[S] {
        &self.w[row * self.columns..][columns.clone()]
    }

    fn in_64_bit(&self, columns: &Range<usize>, live: &[usize]) -> Vec<f64> {
        let mut sums = vec![0.0; self.batch * N * columns.len()];
        for &row in live {
            for (i, sums) in sums.chunks_exact_mut(columns.len()).enumerate() {
                let number = self.number(i / N, row);
                if number != 0.0 {
                    add_part(self.parts[i % N], self.gamma, number, self.row(row, columns), sums);
                }
            }
        }
        sums
    }

    /// The same where parts of weights lie between bounds. Products with 0 fill the last piece.
    fn in_32_bit(&self, columns: &Range<usize>, bounds: [[f32; 2]; N], live: &[usize]) -> Vec<f64> {
        let width = columns.len();
        let mut sums = vec![0.0; self.batch * N * width];
        let mut lost = sums.clone();
        let mut rooms = [const { Vec::new() }; PIECE];
        let mut groups = live.chunks(PIECE).peekable();
        while let Some(live) = groups.next() {
            let of_next = groups.peek().copied().unwrap_or(live);
            let next = std::array::from_fn(|k| {
                let row = of_next[k.min(of_next.len() - 1)];
                self.row(row, columns).as_ptr().cast::<u8>()
            });
            let mut rooms = rooms.iter_mut();
            let rows: [&[f32]; PIECE] = std::array::from_fn(|k| {
                let row = self.row(live[k.min(live.len() - 1)], columns);
                let room = rooms.next().expect("one for each");
                S::as_f32(row, room).expect("the weights are not wider")
            });
            let of_items = sums.chunks_exact_mut(N * width).zip(lost.chunks_exact_mut(N * width));
            for (item, (sums, lost)) in of_items.enumerate() {
                let numbers = std::array::from_fn(|k| {
                    live.get(k).map_or(0.0, |row| self.number(item, *row) as f32)
                });
                if numbers != [0.0; PIECE] {
                    let (next, size) = ((item == 0).then_some(next), size_of::<S>());
                    Arch::new().dispatch(Add { bounds, rows, next, size, numbers, sums, lost });
                }
            }
        }
        sums.iter().zip(lost).map(|(sum, lost)| f64::from(*sum) + f64::from(lost)).collect()
    }
}

/// Weights between bounds times the numbers of their rows, to sums that keep what f32 loses.
struct Add<'a, const N: usize> {
    bounds: [[f32; 2]; N],
    rows: [&'a [f32]; PIECE],
    /// The rows that come next, as they are stored, which are to be fetched meanwhile.
    next: Option<[*const u8; PIECE]>,
    /// Bytes of a number there.
    size: usize,
    numbers: [f32; PIECE],
    /// Those of each part one after the other.
    sums: &'a mut [f32],
    lost: &'a mut [f32],
}

impl<const N: usize> WithSimd for Add<'_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.rows[0].len();
        let bounds = self.bounds.map(|bounds| bounds.map(|bound| simd.splat_f32s(bound)));
        let numbers = self.numbers.map(|number| simd.splat_f32s(number));
        let rows = self.rows.map(|row| S::as_simd_f32s(row));
        let mut sums = self.sums.chunks_exact_mut(width).map(|sums| S::as_mut_simd_f32s(sums));
        let mut lost = self.lost.chunks_exact_mut(width).map(|lost| S::as_mut_simd_f32s(lost));
        let sums: [_; N] = std::array::from_fn(|_| sums.next().expect("one for each part"));
        let lost: [_; N] = std::array::from_fn(|_| lost.next().expect("one for each part"));
        for i in 0..rows[0].0.len() {
            let mut pieces = [simd.splat_f32s(0.0); N];
            if let Some(next) = self.next {
                for row in next {
                    fetch(row.wrapping_add(i * S::F32_LANES * self.size));
                }
            }
            for k in 0..PIECE {
                for n in 0..N {
                    let [low, high] = bounds[n];
                    let w = simd.min_f32s(simd.max_f32s(rows[k].0[i], low), high);
                    pieces[n] = simd.mul_add_e_f32s(w, numbers[k], pieces[n]);
                }
            }
            for n in 0..N {
                let before = (sums[n].0[i], lost[n].0[i]);
                (sums[n].0[i], lost[n].0[i]) = added(simd, before, pieces[n]);
            }
        }
        for n in 0..N {
            let [low, high] = self.bounds[n];
            for (i, (sum, lost)) in sums[n].1.iter_mut().zip(lost[n].1.iter_mut()).enumerate() {
                let mut exact = f64::from(*sum) + f64::from(*lost);
                for k in 0..PIECE {
                    let w = rows[k].1[i].max(low).min(high);
                    exact += f64::from(w) * f64::from(self.numbers[k]);
                }
                *sum = exact as f32;
                *lost = (exact - f64::from(*sum)) as f32;
            }
        }
    }
}

fn add_part<S: Stored>(part: Part, gamma: f64, number: f64, w: &[S], sums: &mut [f64]) {
    // One loop a part, so that the choice does not stand inside it.
    match part {
        Part::All => add(number, w, sums, |w| w),
        Part::Positive => add(number, w, sums, |w| w.max(0.0)),
        Part::Negative => add(number, w, sums, |w| w.min(0.0)),
        Part::RaisedPositive | Part::RaisedNegative | Part::Square | Part::One | Part::Nothing => {
            add(number, w, sums, |w| part.of(w, gamma));
        }
    }
}

fn add<S: Stored>(number: f64, w: &[S], sums: &mut [f64], part: impl Fn(f64) -> f64 + Copy) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += part(w.get::<f64>()) * number;
            }
        },
    );
}
