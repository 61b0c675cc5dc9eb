//! Matrix product with the weights and with a part of them, in one reading: `y[o] = sum over i of
//! w[o, i] a[i], + b[o]` and `z[o] = sum over i of M(w[o, i]) a[i], + M(b[o])`, for a shard of the rows
//! of `w`. Twin of `shaders/linear_pair.wgsl`.

use super::linear::{Rows, multiply};
use super::{Part, kernel, params};
use crate::num::Float;

params! {
    /// A shard of a linear layer and of its denominators.
    pub struct Params {
        /// Pictures.
        pub batch: u32,
        /// Inputs, the columns of `w`.
        pub in_features: u32,
        /// Outputs of the whole layer.
        pub out_features: u32,
        /// The first output of the shard; the weight operand starts with its row.
        pub first: u32,
        /// Outputs of the shard.
        pub rows: u32,
        /// Which [`Part`] of the weights enters `z`.
        pub part: u32,
        /// Which [`Part`] of the bias enters `z`.
        pub bias_part: u32,
        /// The factor of the raised parts.
        pub gamma: f32,
        /// Which [`Part`] of the bias enters `y`: all of it, or nothing where there is none.
        pub own_bias_part: u32,
        /// Which [`Encoding`](super::Encoding) the weights have on the GPU.
        pub stored: u32,
        /// 0, which no compiler knows: it keeps sums of sums from being taken apart.
        pub zero: u32,
    }
}

kernel!("linear_pair", [Read, ReadWeight, Read, Update, Update]);

impl Params {
    /// One workgroup for each row of the shard, looping over the pictures.
    pub fn workgroups(&self) -> [u32; 3] {
        let x = self.rows.clamp(1, 65_535);
        [x, self.rows.div_ceil(x), 1]
    }

    /// The layer alone.
    pub fn layer(&self) -> super::linear::Params {
        super::linear::Params {
            batch: self.batch,
            in_features: self.in_features,
            out_features: self.out_features,
            first: self.first,
            rows: self.rows,
            part: Part::All.code(),
            bias_part: self.own_bias_part,
            gamma: self.gamma,
            accumulate: 0,
            stored: self.stored,
        }
    }
}

/// Sums as `linear` does. `y` and `z` have all `out_features` of each picture; the shard's are
/// written.
pub fn cpu<F: Float>(p: &Params, a: &[F], w: Rows<'_>, b: &[F], y: &mut [F], z: &mut [F]) {
    let own = [Part::All, Part::from_code(p.own_bias_part)];
    let part = [Part::from_code(p.part), Part::from_code(p.bias_part)];
    multiply(&p.layer(), a, w, b, [(own, y), (part, z)]);
}
