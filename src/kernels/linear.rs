//! Matrix product with a part of the weights: `z[o] = sum over i of M(w[o, i]) a[i], + M(b[o])`,
//! for a shard of the rows of `w`. Twin of `shaders/linear.wgsl`.

use half::slice::HalfFloatSliceExt;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::ahead::fetch;
use super::sums::added;
use super::weighted_rows::WeightedRows;
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
    /// Whether it has 32 bit or less.
    const IS_NARROW: bool;
    /// Its value, rounded where it is wider.
    fn get<F: Float>(self) -> F;
    /// The same numbers in 32 bit, in `room` if they are not stored so; none of wider ones.
    fn as_f32<'a>(weights: &'a [Self], room: &'a mut Vec<f32>) -> Option<&'a [f32]>;
}

impl Stored for f32 {
    const IS_NARROW: bool = true;

    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f32(self)
    }

    fn as_f32<'a>(weights: &'a [Self], _room: &'a mut Vec<f32>) -> Option<&'a [f32]> {
        Some(weights)
    }
}

impl Stored for half::f16 {
    const IS_NARROW: bool = true;

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
    const IS_NARROW: bool = true;

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
    const IS_NARROW: bool = false;

    #[inline(always)]
    fn get<F: Float>(self) -> F {
        F::from_f64(self)
    }

    fn as_f32<'a>(_weights: &'a [Self], _room: &'a mut Vec<f32>) -> Option<&'a [f32]> {
        None
    }
}

/// A shard's matrix.
#[derive(Clone, Copy, Debug)]
pub enum Matrix<'a> {
    /// The weights of one output after the other, as layers store them.
    Rows(Rows<'a>),
    /// Those of one input after the other: where many inputs are 0, as behind a ReLU, their weights need not
    /// come from memory.
    Columns(Rows<'a>),
}

/// Sums in f64, or in f32 with what that loses: the weights' way from memory takes longer, and
/// contrastive relevance is a small difference of large sums.
///
/// `out` has all `out_features` of each picture; the shard's are written or added to.
pub fn cpu<F: Float>(p: &Params, a: &[F], w: Matrix<'_>, b: &[F], out: &mut [F]) {
    let parts = [Part::from_code(p.part), Part::from_code(p.bias_part)];
    multiply(p, a, w, b, [(parts, out)]);
}

/// The same for several parts of weights and bias, each with its output, in one reading of the
/// weights.
pub(super) fn multiply<F: Float, const N: usize>(
    p: &Params,
    a: &[F],
    w: Matrix<'_>,
    b: &[F],
    outs: [([Part; 2], &mut [F]); N],
) {
    let parts: [Part; N] = std::array::from_fn(|n| outs[n].0[0]);
    let sums = match w {
        Matrix::Rows(Rows::F32(w)) => of_rows(p, a, w, parts),
        Matrix::Rows(Rows::F16(w)) => of_rows(p, a, w, parts),
        Matrix::Rows(Rows::BF16(w)) => of_rows(p, a, w, parts),
        Matrix::Rows(Rows::F64(w)) => of_rows(p, a, w, parts),
        Matrix::Columns(Rows::F32(w)) => of_columns(p, a, w, parts),
        Matrix::Columns(Rows::F16(w)) => of_columns(p, a, w, parts),
        Matrix::Columns(Rows::BF16(w)) => of_columns(p, a, w, parts),
        Matrix::Columns(Rows::F64(w)) => of_columns(p, a, w, parts),
    };
    let (batch, gamma) = (p.batch as usize, f64::from(p.gamma));
    for (n, ([_, bias_part], out)) in outs.into_iter().enumerate() {
        for (row, sums) in sums.chunks_exact(batch.max(1)).enumerate() {
            let o = p.first as usize + row;
            // Without one there is nothing to read.
            let bias =
                if bias_part == Part::Nothing { 0.0 } else { bias_part.of(b[o].to_f64(), gamma) };
            for (image, sum) in sums.iter().enumerate() {
                let z = &mut out[image * p.out_features as usize + o];
                let old = if p.accumulate == 1 { z.to_f64() } else { 0.0 };
                *z = F::from_f64(old + sum[n] + bias);
            }
        }
    }
}

/// For each output of the shard, of each picture, the sums of all parts.
fn of_columns<F: Float, S: Stored, const N: usize>(
    p: &Params,
    a: &[F],
    w: &[S],
    parts: [Part; N],
) -> Vec<[f64; N]> {
    let (columns, batch) = (p.in_features as usize, p.batch as usize);
    assert_eq!(w.len(), p.rows as usize * columns, "weights of an output for each input");
    assert_eq!(a.len(), batch * columns, "inputs of each picture");
    let mut found = vec![[0.0; N]; p.rows as usize * batch];
    let rows = WeightedRows {
        w,
        columns: p.rows as usize,
        numbers: a,
        first: 0,
        stride: columns,
        batch,
        parts,
        gamma: f64::from(p.gamma),
    };
    rows.sum(|n, image, outputs, sums| {
        for (o, sum) in outputs.zip(sums) {
            found[o * batch + image][n] = *sum;
        }
    });
    found
}

/// The same of weights that lie output by output.
fn of_rows<F: Float, S: Stored, const N: usize>(
    p: &Params,
    a: &[F],
    w: &[S],
    parts: [Part; N],
) -> Vec<[f64; N]> {
    let columns = p.in_features as usize;
    let batch = p.batch as usize;
    assert_eq!(w.len(), p.rows as usize * columns, "weights of a row for each output");
    assert_eq!(a.len(), batch * columns, "inputs of each picture");
    let mut sums = vec![[0.0; N]; p.rows as usize * batch];
    let gamma = f64::from(p.gamma);
    let groups = sums.par_chunks_mut(ROWS * batch.max(1)).zip(w.par_chunks(ROWS * columns.max(1)));
    groups.with_min_len(2).for_each_init(Vec::new, |room, (sums, w)| {
        // The reference sums in 64 bit.
        let rows = (!F::IS_REFERENCE).then(|| S::as_f32(w, room)).flatten();
        for (image, a) in a.chunks_exact(columns).enumerate() {
            let mut put = |row: usize, sum: [f64; N]| sums[row * batch + image] = sum;
            if let Some(found) = rows.and_then(|rows| four_dots(parts, rows, a)) {
                found.into_iter().enumerate().for_each(|(row, sum)| put(row, sum));
                continue;
            }
            for (row, w) in w.chunks_exact(columns).enumerate() {
                put(row, parts.map(|part| part_dot(part, gamma, w, a)));
            }
        }
    });
    sums
}

/// Rows that share a reading of the input.
const ROWS: usize = 4;

/// The products of four rows with the input, if there are as many and the parts are simple ones.
fn four_dots<F: Float, const N: usize>(
    parts: [Part; N],
    w: &[f32],
    a: &[F],
) -> Option<[[f64; N]; ROWS]> {
    let a = F::as_f32(a)?;
    if w.len() != ROWS * a.len() {
        return None;
    }
    let mut bounds = [[0.0; 2]; N];
    for (bound, part) in bounds.iter_mut().zip(parts) {
        *bound = bounds_of(part)?;
    }
    let rows = std::array::from_fn(|row| &w[row * a.len()..][..a.len()]);
    Some(pulp::Arch::new().dispatch(Dots { rows, a, bounds }))
}

/// Between which bounds the part of a weight lies, if it is the weight or the nearest of them.
pub(super) fn bounds_of(part: Part) -> Option<[f32; 2]> {
    match part {
        Part::All => Some([f32::NEG_INFINITY, f32::INFINITY]),
        Part::Positive => Some([0.0, f32::INFINITY]),
        Part::Negative => Some([f32::NEG_INFINITY, 0.0]),
        Part::RaisedPositive | Part::RaisedNegative | Part::Square | Part::One | Part::Nothing => {
            None
        }
    }
}

/// Vectors of a row that are fetched before they are needed. Processors do so themselves, but not past the end
/// of a page of memory, which a row has several of.
const AHEAD: usize = 64;

/// Products of a vector's lane that are added up in f32 alone.
const PIECE: usize = 8;

/// Weights between bounds times the input, for four rows.
struct Dots<'a, const N: usize> {
    rows: [&'a [f32]; ROWS],
    a: &'a [f32],
    bounds: [[f32; 2]; N],
}

impl<const N: usize> WithSimd for Dots<'_, N> {
    type Output = [[f64; N]; ROWS];

    /// In pieces of a few products, which are added up with what f32 loses: what is left are the
    /// roundings inside of pieces.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [[f64; N]; ROWS] {
        let bounds = self.bounds.map(|bound| bound.map(|bound| simd.splat_f32s(bound)));
        let (a, a_rest) = S::as_simd_f32s(self.a);
        let vectors = a.len();
        let rows = self.rows.map(|row| S::as_simd_f32s(row));
        let zero = simd.splat_f32s(0.0);
        let mut total = [[(zero, zero); N]; ROWS];
        for (i, a) in a.chunks(PIECE).enumerate() {
            let mut piece = [[zero; N]; ROWS];
            let w = rows.map(|(w, _)| &w[i * PIECE..][..a.len()]);
            // Of the next four rows, where these end.
            let ahead = i * PIECE + AHEAD;
            let ahead = if ahead < vectors { ahead } else { ahead + (ROWS - 1) * vectors };
            for (row, _) in rows {
                for line in 0..PIECE {
                    fetch(row.as_ptr().wrapping_add(ahead + line));
                }
            }
            for (k, &a) in a.iter().enumerate() {
                for row in 0..ROWS {
                    for (n, [low, high]) in bounds.into_iter().enumerate() {
                        let w = simd.min_f32s(simd.max_f32s(w[row][k], low), high);
                        piece[row][n] = simd.mul_add_e_f32s(w, a, piece[row][n]);
                    }
                }
            }
            for (total, piece) in total.as_flattened_mut().iter_mut().zip(piece.as_flattened()) {
                *total = added(simd, *total, *piece);
            }
        }
        std::array::from_fn(|row| {
            std::array::from_fn(|n| {
                let [low, high] = self.bounds[n];
                let lanes = [total[row][n].0, total[row][n].1];
                let lanes: &[f32] = bytemuck::cast_slice(&lanes);
                let rest = rows[row].1.iter().zip(a_rest);
                let rest = rest.map(|(w, a)| f64::from(w.max(low).min(high)) * f64::from(*a));
                lanes.iter().map(|&sum| f64::from(sum)).sum::<f64>() + rest.sum::<f64>()
            })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that 16 bit hold.
    fn number(i: usize) -> f32 {
        ((i * 7919 % 257) as f32 - 128.0) / 128.0
    }

    /// Some columns more than whole vectors of several tasks, some inputs more than whole pieces; most of these
    /// are 0.
    const P: Params = Params {
        batch: 3,
        in_features: 133,
        out_features: 1300,
        first: 7,
        rows: 1211,
        part: Part::All.code(),
        bias_part: Part::All.code(),
        gamma: 0.25,
        accumulate: 1,
        stored: super::super::Encoding::F32.code(),
    };

    fn check(part: Part, [rows, columns]: [Matrix<'_>; 2]) {
        let a: Vec<f32> = (0..P.batch * P.in_features)
            .map(|i| (number(i as usize * 31) - 0.4).max(0.0))
            .collect();
        let b: Vec<f32> = (0..P.out_features).map(|i| number(i as usize + 5)).collect();
        let of = |w: Matrix<'_>| {
            let mut outs = [(); 2].map(|()| vec![0.5; (P.batch * P.out_features) as usize]);
            let [y, z] = &mut outs;
            multiply(&P, &a, w, &b, [([Part::All; 2], y), ([part; 2], z)]);
            outs.concat()
        };
        let [rows, columns] = [rows, columns].map(of);
        let apart = rows.iter().zip(&columns).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let largest = rows.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(largest > 1.0 && apart <= 1e-6 * largest, "{part:?}: {apart} of {largest}");
    }

    #[test]
    fn columns_give_what_rows_do() {
        let (inputs, rows) = (P.in_features as usize, P.rows as usize);
        let w: Vec<f32> = (0..rows * inputs).map(number).collect();
        let columns: Vec<f32> =
            (0..rows * inputs).map(|i| w[i % rows * inputs + i / rows]).collect();
        let halves =
            [&w, &columns].map(|w| w.iter().map(|w| half::f16::from_f32(*w)).collect::<Vec<_>>());
        // Of the last part sums are made in 64 bit.
        for part in [Part::All, Part::Positive, Part::Negative, Part::RaisedPositive] {
            check(part, [Matrix::Rows(Rows::F32(&w)), Matrix::Columns(Rows::F32(&columns))]);
            let [w, columns] = [&halves[0], &halves[1]].map(|w| Rows::F16(w));
            check(part, [Matrix::Rows(w), Matrix::Columns(columns)]);
        }
    }
}
