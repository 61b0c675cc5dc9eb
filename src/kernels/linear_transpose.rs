//! Transpose of a linear layer: `c[i] = sum over o of M(w[o, i]) s[o]`, for a shard of the rows
//! of `w`. Twin of `shaders/linear_transpose.wgsl`.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::ahead::fetch;
pub use super::linear::Params as Geometry;
use super::linear::{Rows, Stored, bounds_of};
use super::panels::WIDTH;
use super::sums::added;
use super::{Part, kernel};
use crate::num::Float;

/// The layer whose transpose is taken, seen from the forward side; `batch` counts rows of the
/// signal, the bias fields play no part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params(pub Geometry);

kernel!("linear_transpose", [Read, ReadWeight, Update]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = Geometry::FIELDS;

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        self.0.words()
    }

    /// Blocks of 32 columns, fours of the signal's rows, which share a read of the weights.
    pub fn workgroups(&self) -> [u32; 3] {
        [self.0.in_features.div_ceil(32), self.0.batch.div_ceil(4), 1]
    }
}

/// Columns a task sums at once, at least and at most: the more, the longer the pieces that are read
/// at a stretch; the sums of a row or a few stay in the second-level cache.
const COLUMNS: [usize; 2] = [1024, 16_384];

/// Tasks for each thread.
const TASKS: usize = 2;

/// Outputs whose weights are read at once in 32 bit; their products are added up in f32 alone.
const PIECE: usize = 8;

/// Sums in f64, or in f32 with what pieces of a few products lose, and passes over outputs that carry
/// no signal: behind a ReLU that is most of them, and their weights need not come from memory. Which
/// rows run together decides the last bits, and each shard's sum is rounded by itself.
///
/// `s` has all `out_features` of each row; the shard's are read.
pub fn cpu<F: Float>(p: &Params, s: &[F], w: Rows<'_>, out: &mut [F]) {
    match w {
        Rows::F32(w) => stored(&p.0, s, w, out),
        Rows::F16(w) => stored(&p.0, s, w, out),
        Rows::BF16(w) => stored(&p.0, s, w, out),
        Rows::F64(w) => stored(&p.0, s, w, out),
    }
}

fn stored<F: Float, S: Stored>(p: &Geometry, s: &[F], w: &[S], out: &mut [F]) {
    let columns = p.in_features as usize;
    let batch = p.batch as usize;
    let live: Vec<usize> = (0..p.rows as usize)
        .filter(|row| (0..batch).any(|b| signal(p, s, b, *row) != 0.0))
        .collect();
    let wanted = columns.div_ceil(TASKS * rayon::current_num_threads());
    // Whole vectors, so that cuts, which the threads decide, do not decide how a column is summed.
    let length = wanted.clamp(COLUMNS[0], COLUMNS[1]).next_multiple_of(WIDTH);
    let blocks = columns.div_ceil(length);
    let in_32_bit = S::IS_NARROW && !F::IS_REFERENCE;
    let bounds = bounds_of(Part::from_code(p.part)).filter(|_| in_32_bit);
    let sums: Vec<Vec<f64>> = (0..blocks)
        .into_par_iter()
        .map(|block| {
            let of_block =
                Block { p, w, first: block * length, width: length.min(columns - block * length) };
            match bounds {
                Some(bounds) => of_block.in_32_bit(bounds, s, &live),
                None => of_block.in_64_bit(s, &live),
            }
        })
        .collect();
    for (block, sums) in sums.iter().enumerate() {
        let first = block * length;
        let width = length.min(columns - first);
        for (b, sums) in sums.chunks_exact(width).enumerate() {
            for (c, sum) in out[b * columns + first..][..width].iter_mut().zip(sums) {
                let old = if p.accumulate == 1 { c.to_f64() } else { 0.0 };
                *c = F::from_f64(old + sum);
            }
        }
    }
}

/// Some columns of the weights.
struct Block<'a, S> {
    p: &'a Geometry,
    w: &'a [S],
    first: usize,
    width: usize,
}

impl<S: Stored> Block<'_, S> {
    fn row(&self, row: usize) -> &[S] {
        &self.w[row * self.p.in_features as usize + self.first..][..self.width]
    }

    fn in_64_bit<F: Float>(&self, s: &[F], live: &[usize]) -> Vec<f64> {
        let p = self.p;
        let mut sums = vec![0.0; p.batch as usize * self.width];
        for &row in live {
            for (b, sums) in sums.chunks_exact_mut(self.width).enumerate() {
                let s = signal(p, s, b, row);
                if s != 0.0 {
                    add_part(Part::from_code(p.part), f64::from(p.gamma), s, self.row(row), sums);
                }
            }
        }
        sums
    }

    /// The same where parts of weights lie between bounds. Products with 0 fill the last piece.
    fn in_32_bit<F: Float>(&self, bounds: [f32; 2], s: &[F], live: &[usize]) -> Vec<f64> {
        let mut sums = vec![0.0; self.p.batch as usize * self.width];
        let mut lost = sums.clone();
        let mut rooms = [const { Vec::new() }; PIECE];
        let mut groups = live.chunks(PIECE).peekable();
        while let Some(live) = groups.next() {
            let of_next = groups.peek().copied().unwrap_or(live);
            let next = std::array::from_fn(|k| {
                self.row(of_next[k.min(of_next.len() - 1)]).as_ptr().cast::<u8>()
            });
            let mut rooms = rooms.iter_mut();
            let rows: [&[f32]; PIECE] = std::array::from_fn(|k| {
                let row = self.row(live[k.min(live.len() - 1)]);
                let room = rooms.next().expect("one for each");
                S::as_f32(row, room).expect("the weights are not wider")
            });
            let of_rows = sums.chunks_exact_mut(self.width).zip(lost.chunks_exact_mut(self.width));
            for (b, (sums, lost)) in of_rows.enumerate() {
                let signals = std::array::from_fn(|k| {
                    live.get(k).map_or(0.0, |row| signal(self.p, s, b, *row) as f32)
                });
                if signals != [0.0; PIECE] {
                    let (next, size) = ((b == 0).then_some(next), size_of::<S>());
                    Arch::new().dispatch(Add { bounds, rows, next, size, signals, sums, lost });
                }
            }
        }
        sums.iter().zip(lost).map(|(sum, lost)| f64::from(*sum) + f64::from(lost)).collect()
    }
}

/// Weights between bounds times the signals of their outputs, to sums that keep what f32 loses.
struct Add<'a> {
    bounds: [f32; 2],
    rows: [&'a [f32]; PIECE],
    /// The rows that come next, as they are stored, which are to be fetched meanwhile.
    next: Option<[*const u8; PIECE]>,
    /// Bytes of a number there.
    size: usize,
    signals: [f32; PIECE],
    sums: &'a mut [f32],
    lost: &'a mut [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [low, high] = self.bounds.map(|bound| simd.splat_f32s(bound));
        let signals = self.signals.map(|signal| simd.splat_f32s(signal));
        let rows = self.rows.map(|row| S::as_simd_f32s(row));
        let (sums, sums_rest) = S::as_mut_simd_f32s(self.sums);
        let (lost, lost_rest) = S::as_mut_simd_f32s(self.lost);
        for (i, (sum, lost)) in sums.iter_mut().zip(lost).enumerate() {
            let mut piece = simd.splat_f32s(0.0);
            if let Some(next) = self.next {
                for row in next {
                    fetch(row.wrapping_add(i * S::F32_LANES * self.size));
                }
            }
            for k in 0..PIECE {
                let w = simd.min_f32s(simd.max_f32s(rows[k].0[i], low), high);
                piece = simd.mul_add_e_f32s(w, signals[k], piece);
            }
            (*sum, *lost) = added(simd, (*sum, *lost), piece);
        }
        for (i, (sum, lost)) in sums_rest.iter_mut().zip(lost_rest).enumerate() {
            let mut exact = f64::from(*sum) + f64::from(*lost);
            for k in 0..PIECE {
                let w = rows[k].1[i].max(self.bounds[0]).min(self.bounds[1]);
                exact += f64::from(w) * f64::from(self.signals[k]);
            }
            *sum = exact as f32;
            *lost = (exact - f64::from(*sum)) as f32;
        }
    }
}

fn signal<F: Float>(p: &Geometry, s: &[F], row: usize, output: usize) -> f64 {
    s[row * p.out_features as usize + p.first as usize + output].to_f64()
}

fn add_part<S: Stored>(part: Part, gamma: f64, s: f64, w: &[S], sums: &mut [f64]) {
    // One loop a part, so that the choice does not stand inside it.
    match part {
        Part::All => add(s, w, sums, |w| w),
        Part::Positive => add(s, w, sums, |w| w.max(0.0)),
        Part::Negative => add(s, w, sums, |w| w.min(0.0)),
        Part::RaisedPositive | Part::RaisedNegative | Part::Square | Part::One | Part::Nothing => {
            add(s, w, sums, |w| part.of(w, gamma));
        }
    }
}

fn add<S: Stored>(s: f64, w: &[S], sums: &mut [f64], part: impl Fn(f64) -> f64 + Copy) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += part(w.get::<f64>()) * s;
            }
        },
    );
}
