//! Planes brought to a larger size, as torch's `interpolate` without aligned corners does: by the
//! nearest cell or bilinearly. Twin of `shaders/upsample2d.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// Planes of equal size.
    pub struct Params {
        /// Values of all larger planes.
        pub total: u32,
        /// Rows of a plane.
        pub in_height: u32,
        /// Columns of a plane.
        pub in_width: u32,
        /// Rows of a larger plane.
        pub out_height: u32,
        /// Columns of a larger plane.
        pub out_width: u32,
        /// 1: bilinearly; 0: by the nearest cell.
        pub bilinear: u32,
    }
}

kernel!("upsample2d", [Read, Write]);

impl Params {
    /// One invocation a value of the larger planes.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: planes, larger planes.
pub fn cpu<F: Float>(p: &Params, planes: &[F], larger: &mut [F]) {
    let (height, width) = (p.in_height as usize, p.in_width as usize);
    let (out_height, out_width) = (p.out_height as usize, p.out_width as usize);
    // Two cells, and the share of the second.
    let between = |at: usize, inner: usize, outer: usize| {
        if p.bilinear == 0 {
            return (at * inner / outer, at * inner / outer, F::ZERO);
        }
        let place = ((at as f64 + 0.5) * inner as f64 / outer as f64 - 0.5).max(0.0);
        let first = place.floor();
        let cell = first as usize;
        (cell, (cell + 1).min(inner - 1), F::from_f64(place - first))
    };
    let mix = |a: F, b: F, share: F| a + (b - a) * share;
    parallel::each(larger, |i, out| {
        let (left, right, x) = between(i % out_width, width, out_width);
        let (above, below, y) = between(i / out_width % out_height, height, out_height);
        let plane = &planes[i / out_width / out_height * height * width..][..height * width];
        let upper = mix(plane[above * width + left], plane[above * width + right], x);
        let lower = mix(plane[below * width + left], plane[below * width + right], x);
        *out = mix(upper, lower, y);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn larger(bilinear: u32) -> [f64; 4] {
        let (in_height, in_width, out_height, out_width) = (1, 2, 1, 4);
        let p = Params { total: 4, in_height, in_width, out_height, out_width, bilinear };
        let mut out = [9.0; 4];
        cpu(&p, &[1.0, 3.0], &mut out);
        out
    }

    #[test]
    fn a_place_lies_between_two_cells_or_in_one() {
        // Places -0.25, 0.25, 0.75, 1.25 between cells 0 and 1.
        assert_eq!(larger(1), [1.0, 1.5, 2.5, 3.0]);
        assert_eq!(larger(0), [1.0, 1.0, 3.0, 3.0]);
    }
}
