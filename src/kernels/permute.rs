//! Between planes (NCHW, torch's order) and pixels (NHWC). Twin of `shaders/permute.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// The same values in another order.
    pub struct Params {
        /// Values.
        pub total: u32,
        /// Channels.
        pub channels: u32,
        /// Height times width.
        pub positions: u32,
        /// 0: planes to pixels; 1: pixels to planes.
        pub to_planes: u32,
    }
}

kernel!("permute", [Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: source, destination.
pub fn cpu<F: Float>(p: &Params, from: &[F], to: &mut [F]) {
    let (channels, positions) = (p.channels as usize, p.positions as usize);
    let (inner, outer) =
        if p.to_planes == 1 { (positions, channels) } else { (channels, positions) };
    let plane = channels * positions;
    parallel::pieces(to, inner, |first, piece| {
        for (i, run) in piece.chunks_exact_mut(inner).enumerate() {
            let at = first / inner + i;
            let from = &from[at / outer * plane..][..plane];
            for (to, &from) in run.iter_mut().zip(from[at % outer..].iter().step_by(outer)) {
                *to = from;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_become_pixels_and_planes_again() {
        // Two channels of three positions.
        let planes = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
        let mut pixels = [0.0; 6];
        let p = Params { total: 6, channels: 2, positions: 3, to_planes: 0 };
        cpu(&p, &planes, &mut pixels);
        assert_eq!(pixels, [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
        let mut back = [0.0; 6];
        cpu(&Params { to_planes: 1, ..p }, &pixels, &mut back);
        assert_eq!(back, planes);
    }
}
