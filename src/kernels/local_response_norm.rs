//! Local response normalisation (Krizhevsky et al. 2012): `y = a / s^beta` with
//! `s = k + alpha / size * sum of a^2` over the channels around.
//! Twin of `shaders/local_response_norm.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// One normalisation for all positions.
    pub struct Params {
        /// Values.
        pub total: u32,
        /// Channels.
        pub channels: u32,
        /// Channels of the sum below its own.
        pub before: u32,
        /// Channels of the sum above its own.
        pub after: u32,
        /// `alpha / size`.
        pub share: f32,
        /// The power of the denominator.
        pub beta: f32,
        /// What is added to the sum.
        pub k: f32,
    }
}

kernel!("local_response_norm", [Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }

    /// `s` of each channel of a position.
    pub(super) fn denominators<F: Float>(&self, a: &[F]) -> Vec<f64> {
        let (before, after) = (self.before as usize, self.after as usize);
        let of = |c: usize| {
            let around = &a[c.saturating_sub(before)..(c + after + 1).min(a.len())];
            let sum: f64 = around.iter().map(|a| a.to_f64() * a.to_f64()).sum();
            f64::from(self.k) + f64::from(self.share) * sum
        };
        (0..a.len()).map(of).collect()
    }
}

/// Operands: `a`, `y`.
pub fn cpu<F: Float>(p: &Params, a: &[F], y: &mut [F]) {
    let channels = p.channels as usize;
    parallel::pieces(y, channels, |first, piece| {
        let a = &a[first..][..piece.len()];
        for (y, a) in piece.chunks_exact_mut(channels).zip(a.chunks_exact(channels)) {
            let s = p.denominators(a);
            for ((y, a), s) in y.iter_mut().zip(a).zip(s) {
                *y = F::from_f64(a.to_f64() * s.powf(-f64::from(p.beta)));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_of_the_neighbours_divide() {
        // s = 1 + 0.5 * (1 + 4), 1 + 0.5 * (1 + 4 + 9), 1 + 0.5 * (4 + 9).
        let p =
            Params { total: 3, channels: 3, before: 1, after: 1, share: 0.5, beta: 1.0, k: 1.0 };
        let mut y = [0.0; 3];
        cpu(&p, &[1.0, -2.0, 3.0], &mut y);
        assert_eq!(y, [1.0 / 3.5, -2.0 / 8.0, 3.0 / 7.5]);
    }
}
