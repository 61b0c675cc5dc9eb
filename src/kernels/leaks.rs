//! What a division by denominators keeps from the inputs, by cause: of the relevance `r` of an
//! output, `r (b + e) / (z + e)` with the stabilizer `e = epsilon sign(z)` goes to the bias `b` and
//! to `e`; where no input contributes at all, everything is lost. Twin of `shaders/leaks.wgsl`.

use super::{Part, kernel, params};
use crate::num::Float;

params! {
    /// The denominators of each picture serve all its rows.
    pub struct Params {
        /// Rows.
        pub rows: u32,
        /// Values of a row.
        pub count: u32,
        /// Rows of a picture.
        pub repeat: u32,
        /// From the denominators of one picture to the next: `count`, or 0 if they are the same.
        pub stride: u32,
        /// Channels, of which each has its bias; 1 where no bias takes part.
        pub channels: u32,
        /// The stabilizer.
        pub epsilon: f32,
        /// The [`Part`] of the bias in the denominators.
        pub bias_part: u32,
        /// The factor of raised parts.
        pub gamma: f32,
    }
}

kernel!("leaks", [Read, Read, Read, Write]);

/// Causes of a row: bias, stabilizer, dead denominators.
pub const CAUSES: usize = 3;

impl Params {
    /// One workgroup a row.
    pub fn workgroups(&self) -> [u32; 3] {
        [self.rows, 1, 1]
    }
}

/// Operands: relevance `r`, denominators `z`, biases `b`, what each row lost to each cause.
pub fn cpu<F: Float>(p: &Params, r: &[F], z: &[F], b: &[F], lost: &mut [F]) {
    let (count, part) = (p.count as usize, Part::from_code(p.bias_part));
    let gamma = F::from_f32(p.gamma);
    let rows = lost.chunks_exact_mut(CAUSES).zip(r.chunks_exact(count)).enumerate();
    for (row, (lost, r)) in rows {
        let z = &z[row / p.repeat as usize * p.stride as usize..][..count];
        let mut sums = [0.0; CAUSES];
        for (i, (r, z)) in r.iter().zip(z).enumerate().filter(|(_, (r, _))| **r != F::ZERO) {
            let bias = part.of(b[i % p.channels as usize], gamma).to_f64();
            let (r, z) = (r.to_f64(), z.to_f64());
            let epsilon = if z < 0.0 { -p.epsilon } else { p.epsilon };
            let stable = z + f64::from(epsilon);
            if stable == 0.0 || (z == 0.0 && bias == 0.0) {
                sums[2] += r;
            } else {
                sums[0] += r * (bias / stable);
                sums[1] += r * (f64::from(epsilon) / stable);
            }
        }
        for (lost, sum) in lost.iter_mut().zip(sums) {
            *lost = F::from_f64(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_gets_its_share() {
        // Denominators 1 + bias 3, nothing at all, and -2 with a stabilizer of -2 beside it.
        let p = Params {
            rows: 1,
            count: 3,
            repeat: 1,
            stride: 3,
            channels: 3,
            epsilon: 2.0,
            bias_part: Part::All.code(),
            gamma: 0.0,
        };
        let mut lost = [9.0; 3];
        cpu(&p, &[6.0, 5.0, 4.0], &[4.0, 0.0, -2.0], &[3.0, 0.0, 0.0], &mut lost);
        // 6 * 3 / 6 = 3 to the bias, 6 * 2 / 6 + 4 * -2 / -4 = 4 to the stabilizer, 5 nowhere.
        assert_eq!(lost, [3.0, 4.0, 5.0]);
    }
}
