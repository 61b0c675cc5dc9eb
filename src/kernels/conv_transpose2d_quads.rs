//! Transpose of a convolution where channels come in fours:
//! [`conv_transpose2d`](super::conv_transpose2d) with a shader that reads four numbers at a time. Twin
//! of `shaders/conv_transpose2d_quads.wgsl`, and the same as that one's.

pub use super::conv_transpose2d::{Params, cpu};
use super::kernel;

kernel!("conv_transpose2d_quads", [Read, ReadWeight, Update], told: ["part", "stored"], follows: true);
