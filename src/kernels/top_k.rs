//! The highest scores of each picture, best first; of equal scores the first class.
//! Twin of `shaders/top_k.wgsl`.

use super::{kernel, params};
use crate::num::Float;

params! {
    /// One list a picture.
    pub struct Params {
        /// Pictures.
        pub batch: u32,
        /// Scores of a picture.
        pub classes: u32,
        /// Length of the list, at most `classes`.
        pub k: u32,
    }
}

kernel!("top_k", [Read, WriteIndex]);

impl Params {
    /// One workgroup a picture.
    pub fn workgroups(&self) -> [u32; 3] {
        [self.batch, 1, 1]
    }
}

/// Operands: scores, classes.
pub fn cpu<F: Float>(p: &Params, scores: &[F], top: &mut [u32]) {
    let pictures = top.chunks_exact_mut(p.k as usize).zip(scores.chunks_exact(p.classes as usize));
    for (top, scores) in pictures {
        let mut order: Vec<u32> = (0..p.classes).collect();
        order.sort_by(|&a, &b| {
            // A total order even if some are not numbers.
            let (a_score, b_score) = (scores[a as usize].to_f64(), scores[b as usize].to_f64());
            b_score.total_cmp(&a_score).then(a.cmp(&b))
        });
        top.copy_from_slice(&order[..top.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_comes_first() {
        let mut top = [9; 3];
        cpu(&Params { batch: 1, classes: 4, k: 3 }, &[1.0, 5.0, 5.0, -1.0], &mut top);
        assert_eq!(top, [1, 2, 0]);
    }
}
