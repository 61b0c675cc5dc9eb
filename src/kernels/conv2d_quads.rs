//! Convolution where channels come in fours: [`conv2d`](super::conv2d) with a shader that reads four
//! numbers at a time. Twin of `shaders/conv2d_quads.wgsl`, and the same as that one's.

pub use super::conv2d::{Params, cpu};
use super::kernel;

kernel!("conv2d_quads", [Read, ReadWeight, Read, Update]);

/// Whether the shader can run it: channels of a group come in fours, in and out, weights have 32 bit,
/// and sums need not keep what f32 loses.
pub const fn suits(p: &Params) -> bool {
    let are_quads = p.in_per_group().is_multiple_of(4) && p.out_per_group().is_multiple_of(4);
    are_quads && p.stored == super::Encoding::F32.code() && p.exact == 0
}
