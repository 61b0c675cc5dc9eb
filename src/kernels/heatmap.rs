//! A map's channels become one plane between -1 and 1, ready to be drawn. Twin of
//! `shaders/heatmap.wgsl`.

use super::{kernel, parallel, params};
use crate::num::Float;

params! {
    /// Maps of equal size, as planes.
    pub struct Params {
        /// Maps.
        pub maps: u32,
        /// Channels of a map.
        pub channels: u32,
        /// Rows.
        pub height: u32,
        /// Columns.
        pub width: u32,
        /// Values from one row of a plane to the next; those past the width are 0.
        pub stride: u32,
        /// Which [`Mode`].
        pub reduction: u32,
    }
}

kernel!("heatmap", [Read, Write]);

/// How the channels of a pixel become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// Their sum.
    Sum = 0,
    /// Their sum if that is above 0, else 0.
    PositiveSum = 1,
    /// Their largest magnitude.
    MaxAbs = 2,
}

/// Rows of a plane begin at multiples of so many values: copies to textures take rows that begin
/// at multiples of 256 bytes.
pub const ROW: u32 = 64;

impl Params {
    /// One workgroup a map.
    pub fn workgroups(&self) -> [u32; 3] {
        [self.maps, 1, 1]
    }
}

/// Operands: maps, planes.
pub fn cpu<F: Float>(p: &Params, maps: &[F], planes: &mut [F]) {
    let (width, stride) = (p.width as usize, p.stride as usize);
    let positions = p.height as usize * width;
    let joined = |map: &[F], position: usize| {
        let values = (0..p.channels as usize).map(|channel| map[channel * positions + position]);
        let value = match p.reduction {
            2 => values.fold(F::ZERO, |most, value| most.maximum(value.magnitude())),
            _ => values.fold(F::ZERO, |sum, value| sum + value),
        };
        if p.reduction == 1 { value.maximum(F::ZERO) } else { value }
    };
    let len = p.channels as usize * positions;
    let largest: Vec<F> = maps
        .chunks_exact(len)
        .map(|map| {
            let all = (0..positions).map(|position| joined(map, position).magnitude());
            all.fold(F::ZERO, F::maximum)
        })
        .collect();
    parallel::each(planes, |i, out| {
        let (map, y, x) =
            (i / stride / p.height as usize, i / stride % p.height as usize, i % stride);
        *out = match largest[map] > F::ZERO && x < width {
            true => joined(&maps[map * len..][..len], y * width + x) / largest[map],
            false => F::ZERO,
        };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_scaled_and_their_rows_padded() {
        // Two channels of two rows; -4 is the largest magnitude of the sums.
        let p = Params { maps: 1, channels: 2, height: 2, width: 1, stride: 3, reduction: 0 };
        let mut planes = [9.0; 6];
        cpu(&p, &[1.0, -5.0, 1.0, 1.0], &mut planes);
        assert_eq!(planes, [0.5, 0.0, 0.0, -1.0, 0.0, 0.0]);
        cpu(&Params { reduction: 1, ..p }, &[1.0, -5.0, 1.0, 1.0], &mut planes);
        assert_eq!(planes, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        cpu(&Params { reduction: 2, ..p }, &[1.0, -5.0, 1.0, 1.0], &mut planes);
        assert_eq!(planes, [0.2, 0.0, 0.0, 1.0, 0.0, 0.0]);
        cpu(&p, &[0.0; 4], &mut planes);
        assert_eq!(planes, [0.0; 6]);
    }
}
