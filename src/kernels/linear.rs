//! Matrix product with a part of the weights: `z[o] = sum over i of M(w[o, i]) a[i], + M(b[o])`,
//! for a shard of the rows of `w`. Twin of `shaders/linear.wgsl`.

use rayon::prelude::*;

use super::{Part, kernel, params};
use crate::num::Float;

params! {
    /// A shard of a linear layer; its transpose takes the same, seen from the forward side.
    pub struct Params {
        /// Pictures (for the transpose: rows of the signal).
        pub batch: u32,
        /// Inputs, the columns of `w`.
        pub in_features: u32,
        /// Outputs of the whole layer.
        pub out_features: u32,
        /// The first output of the shard; the weight operand starts with its row.
        pub first: u32,
        /// Outputs of the shard.
        pub rows: u32,
        /// Which [`Part`] of the weights.
        pub part: u32,
        /// Which [`Part`] of the bias (the transpose has none).
        pub bias_part: u32,
        /// The factor of the raised parts.
        pub gamma: f32,
        /// 1: add to the output.
        pub accumulate: u32,
        /// Which [`Encoding`](super::Encoding) the weights have on the GPU.
        pub stored: u32,
    }
}

kernel!("linear", [Read, ReadWeight, Read, Update]);

impl Params {
    /// One workgroup for each row of the shard, looping over the pictures.
    pub fn workgroups(&self) -> [u32; 3] {
        let x = self.rows.clamp(1, 65_535);
        [x, self.rows.div_ceil(x), 1]
    }
}

/// A shard's rows as they are stored.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// 32 bit.
    F32(&'a [f32]),
    /// 16 bit, IEEE.
    F16(&'a [half::f16]),
    /// 16 bit, the upper half of 32.
    BF16(&'a [half::bf16]),
    /// 64 bit: weights made here, in the reference backend.
    F64(&'a [f64]),
}

/// A stored weight.
pub trait Stored: Copy + Send + Sync {
    /// Its value, rounded where it is wider.
    fn get<F: Float>(self) -> F;
}

impl Stored for f32 {
    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f32(self)
    }
}

impl Stored for half::f16 {
    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f32(self.to_f32())
    }
}

impl Stored for half::bf16 {
    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f32(self.to_f32())
    }
}

impl Stored for f64 {
    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f64(self)
    }
}

/// Sums in f64 whatever the numbers' type: the weights' way from memory takes longer, and
/// contrastive relevance is a small difference of large sums.
///
/// `out` has all `out_features` of each picture; the shard's are written or added to.
pub fn cpu<F: Float>(p: &Params, a: &[F], w: Rows<'_>, b: &[F], out: &mut [F]) {
    match w {
        Rows::F32(w) => stored(p, a, w, b, out),
        Rows::F16(w) => stored(p, a, w, b, out),
        Rows::BF16(w) => stored(p, a, w, b, out),
        Rows::F64(w) => stored(p, a, w, b, out),
    }
}

fn stored<F: Float, S: Stored>(p: &Params, a: &[F], w: &[S], b: &[F], out: &mut [F]) {
    let columns = p.in_features as usize;
    let batch = p.batch as usize;
    let part = Part::from_code(p.part);
    let mut sums = vec![0.0; p.rows as usize * batch];
    let rows = sums.par_chunks_mut(batch.max(1)).zip(w.par_chunks(columns.max(1)));
    rows.with_min_len(8).for_each(|(sums, w)| {
        for (sum, a) in sums.iter_mut().zip(a.chunks_exact(columns)) {
            *sum = part_dot(part, f64::from(p.gamma), w, a);
        }
    });
    let bias_part = Part::from_code(p.bias_part);
    for (row, sums) in sums.chunks_exact(batch.max(1)).enumerate() {
        let o = p.first as usize + row;
        let bias = if bias_part == Part::Nothing {
            0.0
        } else {
            bias_part.of(b[o].to_f64(), f64::from(p.gamma))
        };
        for (image, sum) in sums.iter().enumerate() {
            let z = &mut out[image * p.out_features as usize + o];
            let old = if p.accumulate == 1 { z.to_f64() } else { 0.0 };
            *z = F::from_f64(old + sum + bias);
        }
    }
}

fn part_dot<F: Float, S: Stored>(part: Part, gamma: f64, w: &[S], a: &[F]) -> f64 {
    // One loop a part, so that the choice does not stand inside it.
    match part {
        Part::All => dot(w, a, |w| w),
        Part::Positive => dot(w, a, |w| w.max(0.0)),
        Part::Negative => dot(w, a, |w| w.min(0.0)),
        Part::RaisedPositive | Part::RaisedNegative | Part::Square | Part::One | Part::Nothing => {
            dot(w, a, |w| part.of(w, gamma))
        }
    }
}

/// Sums eight interleaved streams, which vector units do at once.
fn dot<F: Float, S: Stored>(w: &[S], a: &[F], part: impl Fn(f64) -> f64 + Copy) -> f64 {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut sums = [0.0; 8];
            let (w_eights, w_rest) = w.as_chunks::<8>();
            let (a_eights, a_rest) = a.as_chunks::<8>();
            for (w, a) in w_eights.iter().zip(a_eights) {
                for lane in 0..8 {
                    sums[lane] += part(w[lane].get::<f64>()) * a[lane].to_f64();
                }
            }
            let rest = w_rest.iter().zip(a_rest).map(|(w, a)| part(w.get::<f64>()) * a.to_f64());
            sums.iter().sum::<f64>() + rest.sum::<f64>()
        },
    )
}
