//! What a backward walk starts with at the scores. Twin of `shaders/seed.wgsl`.

use super::{kernel, lanes, params};
use crate::num::Float;

params! {
    /// Fills `targets` of the `rows` rows that each picture has.
    pub struct Params {
        /// Pictures.
        pub batch: u32,
        /// Scores of a picture.
        pub classes: u32,
        /// Rows of a picture.
        pub rows: u32,
        /// The first row that is filled; the others keep what they hold.
        pub first: u32,
        /// Targets of a picture, one row each.
        pub targets: u32,
        /// Which [`Mode`].
        pub mode: u32,
    }
}

kernel!("seed", [Read, ReadIndex, Update]);

/// What stands at the target and at the other classes; `S` is the target's score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// `|S|` and 0.
    Score = 0,
    /// `|S|` and `-|S| / (classes - 1)`: CLRP1 (Gu et al. 2018, section 4) in one walk.
    Contrast = 1,
    /// 0 and each class its own `|score|`: the dual of `clrp1-logits`.
    OtherScores = 2,
    /// 1 and 0: gradients.
    One = 3,
}

impl Params {
    /// One invocation a filled value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.batch * self.targets * self.classes)
    }
}

/// Operands: scores, targets (`batch * targets` classes; beyond the last one, the last), rows.
pub fn cpu<F: Float>(p: &Params, scores: &[F], targets: &[u32], rows: &mut [F]) {
    let classes = p.classes as usize;
    let per_picture = p.targets as usize;
    for (i, &target) in targets.iter().enumerate() {
        let target = (target as usize).min(classes - 1);
        let (image, j) = (i / per_picture, i % per_picture);
        let scores = &scores[image * classes..][..classes];
        let row = image * p.rows as usize + p.first as usize + j;
        let row = &mut rows[row * classes..][..classes];
        let score = scores[target].magnitude();
        for (class, r) in row.iter_mut().enumerate() {
            let is_target = class == target;
            *r = match (p.mode, is_target) {
                (0 | 1, true) => score,
                (1, false) => -score / F::from_f64(classes as f64 - 1.0),
                (2, false) => scores[class].magnitude(),
                (3, true) => F::ONE,
                _ => F::ZERO,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contrast_sums_to_nothing() {
        let p = Params { batch: 1, classes: 3, rows: 2, first: 1, targets: 1, mode: 1 };
        let mut rows = [7.0; 6];
        cpu(&p, &[1.0, -4.0, 2.0], &[1], &mut rows);
        assert_eq!(rows, [7.0, 7.0, 7.0, -2.0, 4.0, -2.0]);
    }
}
