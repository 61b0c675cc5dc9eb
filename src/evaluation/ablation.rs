//! Ablation: what a map points at is taken out of the input.

use super::pointing::first_maximum;
use crate::error::{Error, Result};
use crate::image::Plane;
use crate::tensor::{Shape, Tensor};

/// Squares that are taken out of an input (Gu et al. 2018, section 5.2: one of 9x9 pixels).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ablation {
    /// Length of a side in pixels. Where it is even, one pixel more lies above and to the left.
    pub size: usize,
    /// How many squares.
    pub count: usize,
}

impl Default for Ablation {
    fn default() -> Self {
        Self { size: 9, count: 1 }
    }
}

impl Ablation {
    /// The centres, column and row: the largest value, then the largest outside the squares so
    /// far; of equal values the first, row by row. Fewer than asked for where nothing is left.
    pub fn centres(&self, map: &Plane) -> Vec<(usize, usize)> {
        let (width, height) = (map.width(), map.height());
        // Those that are not numbers, and those taken, lie below all others.
        let number = |value: &f32| if value.is_nan() { f32::NEG_INFINITY } else { *value };
        let mut values: Vec<f32> = map.values().iter().map(number).collect();
        let mut left = values.len();
        let mut taken = vec![false; values.len()];
        let mut centres = Vec::new();
        while centres.len() < self.count && self.size > 0 && left > 0 {
            let mut at = first_maximum(&values);
            if taken[at] {
                // All that is left is minus infinity too.
                at = taken.iter().position(|taken| !taken).unwrap_or(at);
            }
            let centre = (at % width, at / width);
            centres.push(centre);
            let (columns, rows) = (self.side(centre.0, width), self.side(centre.1, height));
            for place in rows.flat_map(|row| columns.clone().map(move |x| row * width + x)) {
                left -= usize::from(!taken[place]);
                taken[place] = true;
                values[place] = f32::NEG_INFINITY;
            }
        }
        centres
    }

    /// The input with squares around the centres replaced by those of `mean`, clipped at borders.
    ///
    /// # Errors
    /// [`Error::InputShape`] if `mean` has another shape than the input; [`Error::Setting`] if a
    /// centre lies outside.
    pub fn apply(
        &self,
        input: &Tensor,
        mean: &Tensor,
        centres: &[(usize, usize)],
    ) -> Result<Tensor> {
        let shape = input.shape();
        if mean.shape() != shape {
            let list = |shape: Shape| vec![shape.channels, shape.height, shape.width];
            let (expected, found) = (list(shape), list(mean.shape()));
            return Err(Error::InputShape { name: "mean".to_owned(), expected, found });
        }
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

    fn side(&self, centre: usize, length: usize) -> std::ops::Range<usize> {
        let before = self.size / 2;
        centre.saturating_sub(before)..centre.saturating_add(self.size - before).min(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(width: usize, values: &[f32]) -> Plane {
        Plane::new(values.len() / width, width, values.to_vec()).expect("it fits")
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
    fn the_next_square_is_centred_outside_those_before() {
        let found =
            |count| Ablation { size: 3, count }.centres(&map(6, &[0.0, 9.0, 8.0, 7.0, 7.0, -1.0]));
        // 8 is gone with 9; then of the two 7 the first, with it the second.
        assert_eq!(found(2), [(1, 0), (3, 0)]);
        assert_eq!(found(99), [(1, 0), (3, 0), (5, 0)]);
        assert_eq!(found(0), []);
    }

    #[test]
    fn maps_without_a_number_have_centres_all_the_same() {
        let one = Ablation { size: 1, count: 3 };
        assert_eq!(one.centres(&map(2, &[f32::NAN, f32::NAN])), [(0, 0), (1, 0)]);
        assert_eq!(Ablation { size: 0, count: 3 }.centres(&map(1, &[1.0])), []);
    }

    #[test]
    fn squares_may_be_larger_than_the_input() {
        let all = Ablation { size: usize::MAX, count: 2 };
        assert_eq!(all.centres(&map(2, &[1.0, 2.0])), [(1, 0)]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let input = Tensor::new(Shape::new(1, 2, 2), vec![0.0; 4]).expect("it fits");
        let other = Tensor::new(Shape::new(1, 1, 4), vec![0.0; 4]).expect("it fits");
        let message = |mean, centre| {
            Ablation::default().apply(&input, mean, &[centre]).expect_err("no fit").to_string()
        };
        assert!(message(&other, (0, 0)).contains("mean"));
        assert_eq!(message(&input, (2, 0)), "centre is 2, 0, expected below 2, 2");
    }
}
