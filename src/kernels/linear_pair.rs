//! Matrix product with the weights and with a part of them, in one reading: `y[o] = sum over i of
//! w[o, i] a[i], + b[o]` and `z[o] = sum over i of M(w[o, i]) a[i], + M(b[o])`, for a shard of the rows
//! of `w`. Twin of `shaders/linear_pair.wgsl`.

pub use super::linear::Params as Geometry;
use super::linear::{Matrix, multiply};
use super::{Part, and_field, kernel};
use crate::num::Float;

/// A shard of a linear layer and of its denominators.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Params {
    /// The denominators; `accumulate` is 0.
    pub z: Geometry,
    /// Which [`Part`] of the bias enters `y`: all of it, or nothing where there is none.
    pub own_bias_part: u32,
}

kernel!("linear_pair", [Read, ReadWeight, Read, Update, Update]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = &and_field::<{ Geometry::FIELDS.len() + 1 }>(
        Geometry::FIELDS,
        ("own_bias_part", std::mem::offset_of!(Params, own_bias_part)),
    );

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        let mut words = self.z.words();
        words.push(self.own_bias_part);
        words
    }

    /// One workgroup for each row of the shard, looping over the pictures.
    pub fn workgroups(&self) -> [u32; 3] {
        self.z.workgroups()
    }

    /// The layer alone.
    pub fn layer(&self) -> Geometry {
        Geometry { part: Part::All.code(), bias_part: self.own_bias_part, ..self.z }
    }
}

/// Sums as `linear` does. `y` and `z` have all `out_features` of each picture; the shard's are
/// written.
pub fn cpu<F: Float>(p: &Params, a: &[F], w: Matrix<'_>, b: &[F], y: &mut [F], z: &mut [F]) {
    let own = [Part::All, Part::from_code(p.own_bias_part)];
    let part = [Part::from_code(p.z.part), Part::from_code(p.z.bias_part)];
    multiply(&p.z, a, w, b, [(own, y), (part, z)]);
}
