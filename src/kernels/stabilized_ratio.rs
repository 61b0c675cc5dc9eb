//! `s = r / (z + epsilon * sign(z))`, with `sign(0) = 1` and `0 / 0 = 0`.
//! Twin of `shaders/stabilized_ratio.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// The denominators of each picture serve all its rows.
    pub struct Params {
        /// Values in all rows.
        pub total: u32,
        /// Values of a row.
        pub count: u32,
        /// Rows of a picture.
        pub repeat: u32,
        /// From the denominators of one picture to the next: `count`, or 0 if they are the same.
        pub stride: u32,
        /// The stabilizer.
        pub epsilon: f32,
    }
}

kernel!("stabilized_ratio", [Read, Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: relevance `r`, denominators `z`, ratios `s`.
pub fn cpu<F: Float>(p: &Params, r: &[F], z: &[F], s: &mut [F]) {
    let epsilon = F::from_f32(p.epsilon);
    let count = p.count as usize;
    parallel::rows(
        s,
        count,
        #[inline(always)]
        |row, start, s| {
            let z = &z[row / p.repeat as usize * p.stride as usize + start..][..s.len()];
            let r = &r[row * count + start..][..s.len()];
            for ((s, &r), &z) in s.iter_mut().zip(r).zip(z) {
                *s = ratio(r, z, epsilon);
            }
        },
    );
}

#[inline(always)]
fn ratio<F: Float>(r: F, z: F, epsilon: F) -> F {
    let stable = if z < F::ZERO { z - epsilon } else { z + epsilon };
    if r == F::ZERO || stable == F::ZERO { F::ZERO } else { r / stable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stabilizer_follows_the_sign_of_the_denominator() {
        let p = Params { total: 4, count: 2, repeat: 2, stride: 2, epsilon: 0.5 };
        let mut s = [0.0; 4];
        cpu(&p, &[3.0, 3.0, 6.0, 0.0], &[1.0, -1.0], &mut s);
        // 3 / 1.5, 3 / -1.5, 6 / 1.5, 0
        assert_eq!(s, [2.0, -2.0, 4.0, 0.0]);
    }

    #[test]
    fn nothing_over_nothing_is_nothing() {
        let p = Params { total: 2, count: 2, repeat: 1, stride: 0, epsilon: 0.0 };
        let mut s = [1.0; 2];
        cpu(&p, &[0.0, 5.0], &[0.0, 0.0], &mut s);
        assert_eq!(s, [0.0, 0.0]);
    }
}
