//! Scores become probabilities. Twin of `shaders/softmax.wgsl`.

use super::{kernel, params};
use crate::num::Float;

params! {
    /// One distribution a picture.
    pub struct Params {
        /// Pictures.
        pub batch: u32,
        /// Scores of a picture.
        pub count: u32,
    }
}

kernel!("softmax", [Read, Write]);

impl Params {
    /// One workgroup a picture.
    pub fn workgroups(&self) -> [u32; 3] {
        [self.batch, 1, 1]
    }
}

/// Operands: scores, shares.
pub fn cpu<F: Float>(p: &Params, scores: &[F], shares: &mut [F]) {
    let count = p.count as usize;
    for (shares, scores) in shares.chunks_exact_mut(count).zip(scores.chunks_exact(count)) {
        let top = scores.iter().fold(f64::NEG_INFINITY, |top, score| top.max(score.to_f64()));
        let of = |score: &F| (score.to_f64() - top).exp();
        let sum: f64 = scores.iter().map(of).sum();
        for (share, score) in shares.iter_mut().zip(scores) {
            *share = F::from_f64(of(score) / sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_survive_large_scores() {
        let mut shares = [9.0; 3];
        cpu(&Params { batch: 1, count: 3 }, &[1000.0, 1000.0, -1000.0], &mut shares);
        assert_eq!(shares, [0.5, 0.5, 0.0]);
    }
}
