//! Ablation: what a map points at is taken out of the input.

use super::perturbation::strongest;
use crate::error::{Error, Result, check_shape};
use crate::image::Plane;
use crate::tensor::Tensor;

/// Squares that are taken out of an input (Gu et al. 2018, section 5.2: one of 9x9 pixels).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ablation {
    /// Length of a side in pixels. Where it is even, one pixel more lies above and to the left.
    pub size: usize,
    /// How many squares.
    pub count: usize,
}

/// Less than any finite value.
const TAKEN: f32 = f32::NEG_INFINITY;

impl Default for Ablation {
    fn default() -> Self {
        Self { size: 9, count: 1 }
    }
}

impl Ablation {
    /// The centres, column and row: the largest value, then the largest outside the squares so
    /// far; of equal values the first, row by row. Fewer than asked for where nothing is left,
    /// none where a square has no pixels.
    ///
    /// # Errors
    /// [`Error::InputValue`] if the map holds a value that is not finite.
    pub fn centres(&self, map: &Plane) -> Result<Vec<(usize, usize)>> {
        map.check_finite("heatmap")?;
        let (width, height) = (map.width(), map.height());
        let mut centres = Vec::new();
        if self.size == 0 {
            return Ok(centres);
        }
        let mut left = map.values().to_vec();
        while centres.len() < self.count {
            let at = strongest(&left, 1)[0];
            if left[at] == TAKEN {
                break;
            }
            let (x, y) = (at % width, at / width);
            centres.push((x, y));
            let columns = self.side(x, width);
            for row in self.side(y, height) {
                left[row * width..][columns.clone()].fill(TAKEN);
            }
        }
        Ok(centres)
    }

    /// The input with squares around the centres, column and row, replaced by those of `mean`,
    /// clipped at borders.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if `mean` has another shape than the input; [`Error::Setting`] if
    /// a centre lies outside.
    pub fn apply(
        &self,
        input: &Tensor,
        mean: &Tensor,
        centres: &[(usize, usize)],
    ) -> Result<Tensor> {
        let shape = input.shape();
        check_shape(("mean", &mean.shape().dims()), ("the input", &shape.dims()))?;
        let mut values = input.values().to_vec();
        for &(x, y) in centres {
            if x >= shape.width || y >= shape.height {
                let expected = format!("below {}, {}", shape.width, shape.height);
                return Err(Error::Setting {
                    what: "centre",
                    found: format!("{x}, {y}"),
                    expected,
                });
            }
            for channel in 0..shape.channels {
                for row in self.side(y, shape.height) {
                    let start = (channel * shape.height + row) * shape.width;
                    let columns = self.side(x, shape.width);
                    let line = start + columns.start..start + columns.end;
                    values[line.clone()].copy_from_slice(&mean.values()[line]);
                }
            }
        }
        Tensor::new(shape, values)
    }

    /// What a square around a centre covers of an axis.
    fn side(&self, centre: usize, length: usize) -> std::ops::Range<usize> {
        let before = self.size / 2;
        centre.saturating_sub(before)..centre.saturating_add(self.size - before).min(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    fn map(width: usize, values: &[f32]) -> Plane {
        Plane::new(values.len() / width, width, values.to_vec()).expect("it fits")
    }

    fn centres(size: usize, count: usize, map: &Plane) -> Vec<(usize, usize)> {
        Ablation { size, count }.centres(map).expect("it is finite")
    }

    #[test]
    fn squares_are_clipped_at_borders() {
        let input = Tensor::new(Shape::new(2, 3, 3), vec![1.0; 18]).expect("it fits");
        let mean = Tensor::new(Shape::new(2, 3, 3), (0..18_u8).map(f32::from).collect());
        let mean = mean.expect("it fits");
        let three = Ablation { size: 3, count: 1 };
        let found = three.apply(&input, &mean, &[(2, 0)]).expect("it fits");
        #[rustfmt::skip]
        assert_eq!(found.values(), [
            1.0, 1.0, 2.0,
            1.0, 4.0, 5.0,
            1.0, 1.0, 1.0,

            1.0, 10.0, 11.0,
            1.0, 13.0, 14.0,
            1.0, 1.0, 1.0,
        ]);
    }

    #[test]
    fn even_squares_have_one_pixel_more_above_and_to_the_left() {
        let input = Tensor::zeros(Shape::new(1, 4, 4));
        let ones = Tensor::new(input.shape(), vec![1.0; 16]).expect("it fits");
        let two = Ablation { size: 2, count: 2 };
        let found = two.apply(&input, &ones, &[(2, 2)]).expect("it fits");
        #[rustfmt::skip]
        assert_eq!(found.values(), [
            0.0, 0.0, 0.0, 0.0,
            0.0, 1.0, 1.0, 0.0,
            0.0, 1.0, 1.0, 0.0,
            0.0, 0.0, 0.0, 0.0,
        ]);
        // The same ones are gone for the next centre: 8 on the left is, 7 on the right is not.
        assert_eq!(two.centres(&map(4, &[0.0, 8.0, 9.0, 7.0])).expect("ok"), [(2, 0), (3, 0)]);
    }

    #[test]
    fn the_next_square_is_centred_outside_those_before() {
        let found = |count| centres(3, count, &map(6, &[0.0, 9.0, 8.0, 7.0, 7.0, -1.0]));
        // 8 is gone with 9; then of the two 7 the first, with it the second.
        assert_eq!(found(2), [(1, 0), (3, 0)]);
        assert_eq!(found(99), [(1, 0), (3, 0), (5, 0)]);
        assert_eq!(found(0), []);
    }

    #[test]
    fn equal_values_are_taken_row_by_row() {
        let zeros = [0.0, -0.0, -0.0, 0.0];
        assert_eq!(centres(1, 3, &map(2, &zeros)), [(0, 0), (1, 0), (0, 1)]);
        assert_eq!(centres(0, 3, &map(2, &zeros)), []);
    }

    #[test]
    fn squares_may_be_larger_than_the_input() {
        assert_eq!(centres(usize::MAX, 2, &map(2, &[1.0, 2.0])), [(1, 0)]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let input = Tensor::new(Shape::new(1, 2, 2), vec![0.0; 4]).expect("it fits");
        let other = Tensor::new(Shape::new(1, 1, 4), vec![0.0; 4]).expect("it fits");
        let message = |mean, centre| {
            Ablation::default().apply(&input, mean, &[centre]).expect_err("no fit").to_string()
        };
        let expected = "mean has shape [1, 1, 4], expected [1, 2, 2] as the input";
        assert_eq!(message(&other, (0, 0)), expected);
        assert_eq!(message(&input, (2, 0)), "centre is 2, 0, expected below 2, 2");
        let infinite = map(2, &[0.0, f32::INFINITY]);
        let error = Ablation::default().centres(&infinite).expect_err("not finite");
        let expected = "`heatmap` holds inf at element 1, expected finite numbers";
        assert_eq!(error.to_string(), expected);
    }
}
