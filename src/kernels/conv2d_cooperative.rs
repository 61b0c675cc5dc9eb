//! Convolution by cooperative matrices: [`conv2d`](super::conv2d) with inputs and weights rounded to 16
//! bit. Twin of `shaders/conv2d_cooperative.wgsl`, and the same as that one's: it does not round.

use rayon::prelude::*;

use super::conv2d::TILE;
pub use super::conv2d::{Params as Geometry, cpu};
use super::linear::Rows;
use super::{Part, and_field, conv2d_quads, kernel};

/// A convolution, or the one whose transpose is taken, with what brings its weights to where 16 bit
/// hold most.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Params {
    /// The convolution.
    pub conv: Geometry,
    /// A power of two that weights are multiplied by: see [`scale`].
    pub scale: f32,
}

kernel!("conv2d_cooperative", [Read, ReadWeight, Read, Read, Update], told: ["part", "stored"]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = &and_field::<{ Geometry::FIELDS.len() + 1 }>(
        Geometry::FIELDS,
        ("scale", std::mem::offset_of!(Params, scale)),
    );

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        let mut words = self.conv.words();
        words.push(self.scale.to_bits());
        words
    }

    /// As those of `conv2d`.
    pub fn workgroups(&self) -> [u32; 3] {
        self.conv.workgroups()
    }
}

/// Channels of a group, in and out, from which on tiles of matrices are not empty for the most part.
const FEWEST_CHANNELS: u32 = TILE / 4;

/// Whether the shaders can run a convolution and its transpose, and gain.
pub const fn suits(p: &Geometry) -> bool {
    conv2d_quads::suits(p)
        && p.in_per_group() >= FEWEST_CHANNELS
        && p.out_per_group() >= FEWEST_CHANNELS
}

/// The power of two that brings the largest magnitude of a part of the weights to 1024 or less than
/// twice that: numbers of 16 bit end at 65504 and lose digits below 2^-14.
pub fn scale(weights: Rows<'_>, part: Part, gamma: f32) -> f32 {
    let numbers = (0..weights.len()).into_par_iter().with_min_len(1 << 16);
    let magnitudes = numbers.map(|i| part.of(weights.get::<f32>(i), gamma).abs());
    let largest = magnitudes.reduce(|| 0.0, f32::max);
    let exponent = largest.to_bits() >> 23;
    f32::from_bits(264_u32.saturating_sub(exponent).clamp(1, 253) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_to_the_middle_of_16_bit() {
        for (largest, expected) in [(1.0, 1024.0), (1.99, 1024.0), (-0.5, 2048.0), (3e4, 0.0625)] {
            assert_eq!(scale(Rows::F32(&[0.0, largest]), Part::All, 0.0), expected, "{largest}");
        }
        assert_eq!(scale(Rows::F32(&[-8.0, 0.25]), Part::Positive, 0.0), 4096.0);
        for (part, expected) in [
            (Part::RaisedPositive, 256.0),
            (Part::Square, 128.0),
            (Part::One, 1024.0),
            (Part::Negative, f32::from_bits(253 << 23)),
        ] {
            assert_eq!(scale(Rows::F32(&[3.0]), part, 1.0), expected, "{part:?}");
        }
    }

    #[test]
    fn nothing_and_the_least_numbers_have_a_scale_with_an_inverse() {
        for largest in [0.0, f32::from_bits(1), f32::MIN_POSITIVE, f32::MAX] {
            let scale = scale(Rows::F32(&[largest]), Part::All, 0.0);
            assert!(scale.is_normal() && (1.0 / scale).is_normal(), "{largest:e}: {scale:e}");
        }
    }
}
