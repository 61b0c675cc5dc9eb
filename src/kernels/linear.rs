//! Matrix product with a part of the weights: `z[o] = sum over i of M(w[o, i]) a[i], + M(b[o])`,
//! for a shard of the rows of `w`. Twin of `shaders/linear.wgsl`.

use half::slice::HalfFloatSliceExt;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::panels::added;
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
    /// The same numbers in 32 bit, in `room` if they are not stored so; none of wider ones.
    fn as_f32<'a>(weights: &'a [Self], room: &'a mut Vec<f32>) -> Option<&'a [f32]>;
}

impl Stored for f32 {
    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f32(self)
    }

    fn as_f32<'a>(weights: &'a [Self], _room: &'a mut Vec<f32>) -> Option<&'a [f32]> {
        Some(weights)
    }
}

impl Stored for half::f16 {
    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f32(self.to_f32())
    }

    fn as_f32<'a>(weights: &'a [Self], room: &'a mut Vec<f32>) -> Option<&'a [f32]> {
        room.resize(weights.len(), 0.0);
        weights.convert_to_f32_slice(room);
        Some(room)
    }
}

impl Stored for half::bf16 {
    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f32(self.to_f32())
    }

    fn as_f32<'a>(weights: &'a [Self], room: &'a mut Vec<f32>) -> Option<&'a [f32]> {
        room.resize(weights.len(), 0.0);
        weights.convert_to_f32_slice(room);
        Some(room)
    }
}

impl Stored for f64 {
    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f64(self)
    }

    fn as_f32<'a>(_weights: &'a [Self], _room: &'a mut Vec<f32>) -> Option<&'a [f32]> {
        None
    }
}

/// Sums in f64, or in f32 with what that loses: the weights' way from memory takes longer, and
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
    assert_eq!(w.len(), p.rows as usize * columns, "weights of a row for each output");
    assert_eq!(a.len(), batch * columns, "inputs of each picture");
    let part = Part::from_code(p.part);
    let mut sums = vec![0.0; p.rows as usize * batch];
    let gamma = f64::from(p.gamma);
    let groups = sums.par_chunks_mut(ROWS * batch.max(1)).zip(w.par_chunks(ROWS * columns.max(1)));
    groups.with_min_len(2).for_each_init(Vec::new, |room, (sums, w)| {
        // The reference sums in 64 bit.
        let rows = (!F::IS_REFERENCE).then(|| S::as_f32(w, room)).flatten();
        for (image, a) in a.chunks_exact(columns).enumerate() {
            let mut put = |row: usize, sum: f64| sums[row * batch + image] = sum;
            if let Some(found) = rows.and_then(|rows| four_dots(part, rows, a)) {
                found.into_iter().enumerate().for_each(|(row, sum)| put(row, sum));
                continue;
            }
            for (row, w) in w.chunks_exact(columns).enumerate() {
                put(row, part_dot(part, gamma, w, a));
            }
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

/// Rows that share a reading of the input.
const ROWS: usize = 4;

/// The products of four rows with the input, if there are as many and the part is a simple one.
fn four_dots<F: Float>(part: Part, w: &[f32], a: &[F]) -> Option<[f64; ROWS]> {
    let a = F::as_f32(a)?;
    if w.len() != ROWS * a.len() {
        return None;
    }
    let rows = std::array::from_fn(|row| &w[row * a.len()..][..a.len()]);
    let arch = pulp::Arch::new();
    match part {
        Part::All => {
            Some(arch.dispatch(Dots { rows, a, bound: [f32::NEG_INFINITY, f32::INFINITY] }))
        }
        Part::Positive => Some(arch.dispatch(Dots { rows, a, bound: [0.0, f32::INFINITY] })),
        Part::Negative => Some(arch.dispatch(Dots { rows, a, bound: [f32::NEG_INFINITY, 0.0] })),
        Part::RaisedPositive | Part::RaisedNegative | Part::Square | Part::One | Part::Nothing => {
            None
        }
    }
}

/// Products of a vector's lane that are added up in f32 alone.
const PIECE: usize = 8;

/// Weights between two bounds times the input, for four rows.
struct Dots<'a> {
    rows: [&'a [f32]; ROWS],
    a: &'a [f32],
    bound: [f32; 2],
}

impl WithSimd for Dots<'_> {
    type Output = [f64; ROWS];

    /// In pieces of a few products, which are added up with what f32 loses: the rest is far below
    /// the rounding of the result.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; ROWS] {
        let [low, high] = self.bound.map(|bound| simd.splat_f32s(bound));
        let (a, a_rest) = S::as_simd_f32s(self.a);
        let rows = self.rows.map(|row| S::as_simd_f32s(row));
        let zero = simd.splat_f32s(0.0);
        let mut total = [(zero, zero); ROWS];
        for (i, a) in a.chunks(PIECE).enumerate() {
            let mut piece = [zero; ROWS];
            let w = rows.map(|(w, _)| &w[i * PIECE..][..a.len()]);
            for (k, &a) in a.iter().enumerate() {
                for row in 0..ROWS {
                    let w = simd.min_f32s(simd.max_f32s(w[row][k], low), high);
                    piece[row] = simd.mul_add_e_f32s(w, a, piece[row]);
                }
            }
            for row in 0..ROWS {
                total[row] = added(simd, total[row], piece[row]);
            }
        }
        std::array::from_fn(|row| {
            let lanes = [total[row].0, total[row].1];
            let lanes: &[f32] = bytemuck::cast_slice(&lanes);
            let rest = rows[row].1.iter().zip(a_rest);
            let rest = rest
                .map(|(w, a)| f64::from(w.max(self.bound[0]).min(self.bound[1])) * f64::from(*a));
            lanes.iter().map(|&sum| f64::from(sum)).sum::<f64>() + rest.sum::<f64>()
        })
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
