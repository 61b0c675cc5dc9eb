//! `s = scale * c * a / (a + epsilon * sign(a))`, 0 where `a` is 0: the ratio of the product
//! `scale * a * c` to `a` itself, without that product. Twin of `shaders/stabilized_gate.wgsl`.

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
        /// The stabilizer.
        pub epsilon: f32,
    }
}

kernel!("stabilized_gate", [Read, Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: inputs `a`, what the transpose handed down `c`, ratios `s`.
pub fn cpu<F: Float>(p: &Params, a: &[F], c: &[F], s: &mut [F]) {
    let (scale, epsilon) = (F::from_f32(p.scale), F::from_f32(p.epsilon));
    let count = p.count as usize;
    parallel::rows(
        s,
        count,
        #[inline(always)]
        |row, start, s| {
            let a = &a[row / p.repeat as usize * p.stride as usize + start..][..s.len()];
            let c = &c[row * count + start..][..s.len()];
            for ((s, &a), &c) in s.iter_mut().zip(a).zip(c) {
                let stable = if a < F::ZERO { a - epsilon } else { a + epsilon };
                *s = if a == F::ZERO { F::ZERO } else { scale * c * (a / stable) };
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_what_the_product_over_its_factor_is() {
        let p = Params { total: 6, count: 3, repeat: 2, stride: 3, scale: 2.0, epsilon: 0.5 };
        let mut s = [9.0; 6];
        cpu(&p, &[1.5, 0.0, -1.5], &[1.0, 7.0, 4.0, -2.0, 0.0, 1.0], &mut s);
        // 2 * 1.5 / 2 and 2 * 4 * 1.5 / 2, then 2 * -2 * 1.5 / 2 and 2 * 1.5 / 2
        assert_eq!(s, [1.5, 0.0, 6.0, -3.0, 0.0, 1.5]);
    }

    #[test]
    fn without_a_stabilizer_signals_pass_whole() {
        let p = Params { total: 3, count: 3, repeat: 1, stride: 3, scale: 1.0, epsilon: 0.0 };
        let mut s = [9.0; 3];
        cpu(&p, &[1e-40, 0.0, 3.0], &[5.0, 5.0, 0.1], &mut s);
        assert_eq!(s, [5.0, 0.0, 0.1]);
    }
}
