//! Transpose of a linear layer: `c[i] = sum over o of M(w[o, i]) s[o]`, for a shard of the rows
//! of `w`. Twin of `shaders/linear_transpose.wgsl`.

pub use super::linear::Params as Geometry;
use super::linear::{Rows, Stored};
use super::weighted_rows::WeightedRows;
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
    let rows = WeightedRows {
        w,
        columns,
        numbers: s,
        first: p.first as usize,
        stride: p.out_features as usize,
        batch: p.batch as usize,
        parts: [Part::from_code(p.part)],
        gamma: f64::from(p.gamma),
    };
    rows.sum(|_, row, of, sums| {
        for (c, sum) in out[row * columns..][of].iter_mut().zip(sums) {
            let old = if p.accumulate == 1 { c.to_f64() } else { 0.0 };
            *c = F::from_f64(old + sum);
        }
    });
}
