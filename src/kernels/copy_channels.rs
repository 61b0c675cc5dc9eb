//! Copies a range of channels into a range of channels: concatenation, and its way back.
//! Twin of `shaders/copy_channels.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// Both sides have the same positions.
    pub struct Params {
        /// Positions: pictures (or rows) times height times width.
        pub positions: u32,
        /// Channels of the source.
        pub from_channels: u32,
        /// The first channel that is read.
        pub from_first: u32,
        /// Channels of the destination.
        pub to_channels: u32,
        /// The first channel that is written; the others keep what they hold.
        pub to_first: u32,
        /// How many channels are copied.
        pub count: u32,
    }
}

kernel!("copy_channels", [Read, Update]);

impl Params {
    /// One invocation a copied value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.positions * self.count)
    }
}

/// Operands: source, destination.
pub fn cpu<F: Float>(p: &Params, from: &[F], to: &mut [F]) {
    let (from_channels, to_channels) = (p.from_channels as usize, p.to_channels as usize);
    let count = p.count as usize;
    parallel::pieces(to, to_channels, |first, piece| {
        let from = from[first / to_channels * from_channels..].chunks_exact(from_channels);
        for (to, from) in piece.chunks_exact_mut(to_channels).zip(from) {
            to[p.to_first as usize..][..count]
                .copy_from_slice(&from[p.from_first as usize..][..count]);
        }
    });
}
