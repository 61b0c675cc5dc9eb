//! `r = scale * a * c`, or added to what `r` holds. Twin of `shaders/multiply_add.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// The inputs of each picture serve all its rows.
    pub struct Params {
        /// Values in all rows.
        pub total: u32,
        /// Values of a row.
        pub count: u32,
        /// Rows of a picture.
        pub repeat: u32,
        /// From the inputs of one picture to the next: `count`, or 0 if they are the same.
        pub stride: u32,
        /// The factor.
        pub scale: f32,
        /// 1: add to the output.
        pub accumulate: u32,
    }
}

kernel!("multiply_add", [Read, Read, Update]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: inputs `a`, what the transpose handed down `c`, relevance `r`.
pub fn cpu<F: Float>(p: &Params, a: &[F], c: &[F], r: &mut [F]) {
    let scale = F::from_f32(p.scale);
    let count = p.count as usize;
    parallel::rows(
        r,
        count,
        #[inline(always)]
        |row, start, r| {
            let a = &a[row / p.repeat as usize * p.stride as usize + start..][..r.len()];
            let c = &c[row * count + start..][..r.len()];
            let products = a.iter().zip(c).map(|(&a, &c)| scale * a * c);
            match p.accumulate {
                1 => r.iter_mut().zip(products).for_each(|(r, product)| *r += product),
                _ => r.iter_mut().zip(products).for_each(|(r, product)| *r = product),
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_a_picture_meets_its_inputs() {
        let p = Params { total: 4, count: 2, repeat: 2, stride: 2, scale: 2.0, accumulate: 1 };
        let mut r = [1.0, 1.0, 1.0, 1.0];
        cpu(&p, &[3.0, 0.0], &[1.0, 7.0, -1.0, 7.0], &mut r);
        // 1 + 2 * 3 * 1, 1 + 0, 1 + 2 * 3 * -1, 1 + 0
        assert_eq!(r, [7.0, 1.0, -5.0, 1.0]);
    }
}
