//! Every channel of a map times one plane. Twin of `shaders/multiply_planes.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// A plane for each map (NCHW).
    pub struct Params {
        /// Values of all maps.
        pub total: u32,
        /// Values of a map.
        pub count: u32,
        /// Values of a plane.
        pub positions: u32,
    }
}

kernel!("multiply_planes", [Read, Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: maps, planes, products.
pub fn cpu<F: Float>(p: &Params, maps: &[F], planes: &[F], products: &mut [F]) {
    let (count, positions) = (p.count as usize, p.positions as usize);
    parallel::each(products, |i, product| {
        *product = maps[i] * planes[i / count * positions + i % positions];
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_channels_meet_the_plane_of_their_map() {
        // Two maps of two channels with one pixel.
        let p = Params { total: 4, count: 2, positions: 1 };
        let mut products = [9.0; 4];
        cpu(&p, &[1.0, 2.0, 3.0, 4.0], &[10.0, -1.0], &mut products);
        assert_eq!(products, [10.0, 20.0, -3.0, -4.0]);
    }
}
