//! Planes of one value for each channel: the ones of w-square and flat, zeros where nothing came.
//! Twin of `shaders/channel_constant.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// Channels lie innermost.
    pub struct Params {
        /// Values.
        pub total: u32,
        /// Channels.
        pub channels: u32,
    }
}

kernel!("channel_constant", [Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: one value a channel, the planes.
pub fn cpu<F: Float>(p: &Params, values: &[F], out: &mut [F]) {
    parallel::pieces(out, p.channels as usize, |_, piece| {
        for pixel in piece.chunks_exact_mut(p.channels as usize) {
            pixel.copy_from_slice(values);
        }
    });
}
