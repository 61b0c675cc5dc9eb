//! `r = (y - b) * c`: what [`multiply_add`](super::multiply_add) makes of one term of a sum `y = a + b` of
//! which the other is at hand. Twin of `shaders/multiply_difference.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// Sums and terms of each picture serve all its rows.
    pub struct Params {
        /// Values in all rows.
        pub total: u32,
        /// Values of a row.
        pub count: u32,
        /// Rows of a picture.
        pub repeat: u32,
    }
}

kernel!("multiply_difference", [Read, Read, Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: sums `y`, their other term `b`, what the transpose handed down `c`, relevance `r`.
pub fn cpu<F: Float>(p: &Params, y: &[F], b: &[F], c: &[F], r: &mut [F]) {
    let count = p.count as usize;
    parallel::rows(
        r,
        count,
        #[inline(always)]
        |row, start, r| {
            let of_picture = row / p.repeat as usize * count + start;
            let [y, b] = [y, b].map(|values| &values[of_picture..][..r.len()]);
            let c = &c[row * count + start..][..r.len()];
            for ((r, (&y, &b)), &c) in r.iter_mut().zip(y.iter().zip(b)).zip(c) {
                *r = (y - b) * c;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_a_picture_meets_its_sums() {
        let p = Params { total: 4, count: 2, repeat: 2 };
        let mut r = [9.0; 4];
        cpu(&p, &[3.0, 1.0], &[1.0, 4.0], &[1.0, 7.0, -1.0, 0.5], &mut r);
        // 2 * 1, -3 * 7, 2 * -1, -3 / 2
        assert_eq!(r, [2.0, -21.0, -2.0, -1.5]);
    }
}
