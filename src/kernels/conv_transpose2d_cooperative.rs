//! Transpose of a convolution by cooperative matrices: [`conv_transpose2d`] with signals and weights
//! rounded to 16 bit. Twin of `shaders/conv_transpose2d_cooperative.wgsl`, and the same as that one's: it
//! does not round.

pub use super::conv_transpose2d::cpu;
use super::{conv_transpose2d, conv2d_cooperative, kernel};

/// The convolution whose transpose is taken, seen from the forward side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params(pub conv2d_cooperative::Params);

kernel!("conv_transpose2d_cooperative", [Read, ReadWeight, Read, Update], told: ["part", "stored"]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = conv2d_cooperative::Params::FIELDS;

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        self.0.words()
    }

    /// The same in full precision.
    pub fn plain(&self) -> conv_transpose2d::Params {
        conv_transpose2d::Params(self.0.conv)
    }

    /// As those of `conv_transpose2d`.
    pub fn workgroups(&self) -> [u32; 3] {
        self.plain().workgroups()
    }
}
