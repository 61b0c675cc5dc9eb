//! `y = a * scale + shift`, each channel with its own: batch normalisation in evaluation mode,
//! its transpose (without the shift) and input transforms. Twin of `shaders/channel_affine.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// Channels lie innermost.
    pub struct Params {
        /// Values.
        pub total: u32,
        /// Channels.
        pub channels: u32,
        /// 1: add the shift.
        pub shifted: u32,
    }
}

kernel!("channel_affine", [Read, Read, Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: `a`, scales, shifts, `y`.
pub fn cpu<F: Float>(p: &Params, a: &[F], scale: &[F], shift: &[F], y: &mut [F]) {
    let channels = p.channels as usize;
    parallel::pieces(
        y,
        channels,
        #[inline(always)]
        |first, piece| {
            let pixels = piece.chunks_exact_mut(channels).zip(a[first..].chunks_exact(channels));
            for (y, a) in pixels {
                for c in 0..channels {
                    let shift = if p.shifted == 1 { shift[c] } else { F::ZERO };
                    y[c] = a[c] * scale[c] + shift;
                }
            }
        },
    );
}
