//! What a backward walk starts with at the layer that is explained. Twin of `shaders/seed.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// Fills `targets` of the `rows` rows that each picture has.
    pub struct Params {
        /// Pictures.
        pub batch: u32,
        /// Values of a row.
        pub count: u32,
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

kernel!("seed", [Read, Read, Read, Read, Read, Update]);

/// What a row starts with at a unit, where the target is `S = sum of w y` over all units: for a
/// class or a neuron `w` is 1 at that unit and 0 elsewhere. `d` is the dual: 1 at each unit that the
/// target is set against, over their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// `sign(S) w y`, for a class `|S|` there and 0 elsewhere.
    Score = 0,
    /// `sign(S) w y - |S| d`: CLRP1 (Gu et al. 2018, section 4) in one walk, where `d` is spread
    /// evenly over the other classes.
    Contrast = 1,
    /// `|y|` where `w` is 0: the dual of `clrp1-logits`.
    OtherScores = 2,
    /// `w`: gradients of `S`.
    One = 3,
    /// `w - d`: gradients of the difference to what the dual stands for.
    OneAgainst = 4,
    /// `y (w - S)` where `y` are probabilities: their gradient by the scores. As they sum to 1,
    /// `w - S` is the sum of `(w - w_k) y_k` over all units `k`, which keeps its digits where one of
    /// them has nearly all of the probability.
    Probability = 5,
}

impl Params {
    /// One invocation a filled value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.batch * self.targets * self.count)
    }
}

/// Operands: outputs `y` of each picture, weights `w` and duals of each target, sums `S`, sums of
/// the duals, rows.
pub fn cpu<F: Float>(
    p: &Params,
    y: &[F],
    w: &[F],
    duals: &[F],
    sums: &[F],
    dual_sums: &[F],
    rows: &mut [F],
) {
    let (count, of_picture) = (p.count as usize, p.rows as usize);
    let filled = p.first as usize..(p.first + p.targets) as usize;
    parallel::pieces(rows, count, |first, piece| {
        for (i, row) in piece.chunks_exact_mut(count).enumerate() {
            let (image, j) = ((first / count + i) / of_picture, (first / count + i) % of_picture);
            if !filled.contains(&j) {
                continue;
            }
            let target = image * p.targets as usize + j - filled.start;
            let y = &y[image * count..][..count];
            let (w, duals) = (&w[target * count..][..count], &duals[target * count..][..count]);
            // Nothing to set the target against: then there is no dual.
            let (sum, dual_sum) = (sums[target], dual_sums[target].maximum(F::ONE));
            // `sum of (w - w_k) y_k`, without the units that have the same weight.
            let others = |own: F| {
                let parts = w.iter().zip(y).filter(|(w, _)| **w != own);
                parts.fold(F::ZERO, |sum, (w, y)| sum + (own - *w) * *y)
            };
            for (unit, r) in row.iter_mut().enumerate() {
                let score = if sum < F::ZERO { -(w[unit] * y[unit]) } else { w[unit] * y[unit] };
                let d = duals[unit] / dual_sum;
                *r = match p.mode {
                    0 => score,
                    1 => score - sum.magnitude() * d,
                    2 if w[unit] == F::ZERO => y[unit].magnitude(),
                    2 => F::ZERO,
                    3 => w[unit],
                    4 => w[unit] - d,
                    _ => y[unit] * others(w[unit]),
                };
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of one picture, of which the second is filled.
    fn seeded(mode: Mode, y: [f64; 3], w: [f64; 3], d: [f64; 3]) -> [f64; 6] {
        let mode = mode as u32;
        let p = Params { batch: 1, count: 3, rows: 2, first: 1, targets: 1, mode };
        let sum = y.iter().zip(&w).map(|(y, w)| y * w).sum();
        let mut rows = [7.0; 6];
        cpu(&p, &y, &w, &d, &[sum], &[d.iter().sum()], &mut rows);
        rows
    }

    #[test]
    fn the_contrast_sums_to_nothing() {
        let rows = seeded(Mode::Contrast, [1.0, -4.0, 2.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]);
        assert_eq!(rows, [7.0, 7.0, 7.0, -2.0, 4.0, -2.0]);
    }

    #[test]
    fn a_mixture_starts_with_its_parts() {
        // S = 0.5 * 1 - 0.5 * 4 = -1.5, of which the second part has 2 and the first -0.5.
        let rows = seeded(Mode::Score, [1.0, -4.0, 2.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]);
        assert_eq!(rows[3..], [-0.5, 2.0, 0.0]);
    }

    #[test]
    fn a_probability_has_its_softmax_gradient() {
        // y (1 - y) at the target, -y_t y_k elsewhere.
        let rows = seeded(Mode::Probability, [0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.0; 3]);
        assert_eq!(rows[3..], [0.25, -0.125, -0.125]);
        // Of 1 in 32 bit nothing is left for the target, of what the others have 1e-10.
        let p = Params { batch: 1, count: 2, rows: 1, first: 0, targets: 1, mode: 5 };
        let mut rows = [7.0_f32; 2];
        cpu(&p, &[1.0, 1e-10], &[1.0, 0.0], &[0.0; 2], &[1.0], &[0.0], &mut rows);
        assert_eq!(rows, [1e-10, -1e-10]);
    }
}
