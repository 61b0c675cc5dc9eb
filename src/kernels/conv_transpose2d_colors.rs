//! Transpose of a convolution to few channels: [`conv_transpose2d`](super::conv_transpose2d) with a
//! shader whose invocations make all channels of a position. Twin of
//! `shaders/conv_transpose2d_colors.wgsl`, and the same as that one's.

pub use super::conv_transpose2d::{Params, cpu};
use super::{Encoding, kernel};

kernel!("conv_transpose2d_colors", [Read, ReadWeight, Update]);

/// Channels that an invocation makes.
const MOST_CHANNELS: u32 = 4;

/// Whether the shader can run it: few channels come out, those that go in come in fours, and weights
/// have 32 bit.
pub const fn suits(Params(p): &Params) -> bool {
    p.groups == 1
        && p.in_channels <= MOST_CHANNELS
        && p.out_channels.is_multiple_of(4)
        && p.stored == Encoding::F32.code()
}
