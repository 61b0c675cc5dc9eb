//! Transpose of a linear layer: `c[i] = sum over o of M(w[o, i]) s[o]`, for a shard of the rows
//! of `w`. Twin of `shaders/linear_transpose.wgsl`.

use rayon::prelude::*;

pub use super::linear::Params as Geometry;
use super::linear::{Rows, Stored};
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
/// at a stretch; their sums stay in the second-level cache.
const COLUMNS: [usize; 2] = [1024, 16_384];

/// Tasks for each thread.
const TASKS: usize = 2;

/// Sums in f64 whatever the numbers' type, and passes over outputs that carry no signal: behind
/// a ReLU that is most of them, and their weights need not come from memory.
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
    let length = wanted.clamp(COLUMNS[0], COLUMNS[1]);
    let blocks = columns.div_ceil(length);
    let sums: Vec<Vec<f64>> = (0..blocks)
        .into_par_iter()
        .map(|block| {
            let first = block * length;
            let width = length.min(columns - first);
            let mut sums = vec![0.0; batch * width];
            for &row in &live {
                let w = &w[row * columns + first..][..width];
                for (b, sums) in sums.chunks_exact_mut(width).enumerate() {
                    let s = signal(p, s, b, row);
                    if s != 0.0 {
                        add_part(Part::from_code(p.part), f64::from(p.gamma), s, w, sums);
                    }
                }
            }
            sums
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
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += part(w.get::<f64>()) * s;
            }
        },
    );
}
