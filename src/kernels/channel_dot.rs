//! The sum over channels, each with its weight: one plane a row.
//! Twin of `shaders/channel_dot.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// The activations of each picture serve all its rows.
    pub struct Params {
        /// Positions in all rows.
        pub total: u32,
        /// Positions of a row.
        pub positions: u32,
        /// Channels.
        pub channels: u32,
        /// Rows of a picture.
        pub repeat: u32,
    }
}

kernel!("channel_dot", [Read, Read, Write]);

impl Params {
    /// One invocation a position.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: activations `a`, a weight for each row and channel `w`, planes.
pub fn cpu<F: Float>(p: &Params, a: &[F], w: &[F], planes: &mut [F]) {
    let (positions, channels) = (p.positions as usize, p.channels as usize);
    parallel::each(planes, |i, sum| {
        let row = i / positions;
        let pixel = row / p.repeat as usize * positions + i % positions;
        let (a, w) = (&a[pixel * channels..][..channels], &w[row * channels..][..channels]);
        *sum = a.iter().zip(w).map(|(&a, &w)| w * a).sum();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_weighs_the_channels_of_its_picture() {
        // One picture of two pixels with two channels, two rows.
        let p = Params { total: 4, positions: 2, channels: 2, repeat: 2 };
        let mut planes = [9.0; 4];
        cpu(&p, &[1.0, 2.0, 3.0, 4.0], &[1.0, 0.0, -1.0, 1.0], &mut planes);
        assert_eq!(planes, [1.0, 3.0, 1.0, 1.0]);
    }
}
