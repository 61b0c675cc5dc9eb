//! Perturbation: the input changes step by step in the order of a map, and the score with it.

use std::cmp::Ordering;

use crate::error::{Error, Result, check_shape};
use crate::image::Plane;
use crate::tensor::Tensor;

/// Deletion and insertion (pixel flipping: Samek et al. 2017 with squares, RISE: Petsiuk et al.
/// 2018 with single pixels as here): positions are replaced by those of a mean, the most important
/// first, in equal steps.
///
/// Step 0 changes nothing, the last step changes every position. The scores of all steps make a
/// curve; [`area_under`] is small for deletion and large for insertion if the map tells what
/// matters. Any input of the same shape can stand in for the mean: RISE deletes towards zeros and
/// inserts into the picture blurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perturbation {
    /// How many steps lead from nothing changed to everything changed; a curve has one value more.
    pub steps: usize,
}

impl Perturbation {
    /// All positions of a map, row by row, by falling value; equal ones stay row by row.
    ///
    /// # Errors
    /// [`Error::InputValue`] if the map holds a value that is not finite.
    pub fn order(map: &Plane) -> Result<Vec<usize>> {
        map.check_finite("heatmap")?;
        Ok(falling(map.values()))
    }

    /// How many of the positions are replaced in a step: `step * positions / steps`, rounded to the
    /// nearest, halves up.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no steps or the step comes after the last.
    pub fn replaced(&self, step: usize, positions: usize) -> Result<usize> {
        if self.steps == 0 {
            let (found, expected) = ("0".to_owned(), "1 or more".to_owned());
            return Err(Error::Setting { what: "number of steps", found, expected });
        }
        if step > self.steps {
            let (found, expected) = (step.to_string(), format!("0 to {}", self.steps));
            return Err(Error::Setting { what: "step", found, expected });
        }
        // Wide enough for every product; the result is at most `positions`.
        let (product, steps) = (step as u128 * positions as u128, self.steps as u128);
        Ok((product / steps) as usize + usize::from(product % steps * 2 >= steps))
    }

    /// The input of a step in which the first positions of `order` are those of `mean`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if `mean` has another shape than the input; [`Error::Setting`] for
    /// a step there is not, or if `order` does not hold each position of the input once.
    pub fn deletion(
        &self,
        input: &Tensor,
        mean: &Tensor,
        order: &[usize],
        step: usize,
    ) -> Result<Tensor> {
        check_shape(("mean", &mean.shape().dims()), ("the input", &input.shape().dims()))?;
        self.replace(input, mean, order, step)
    }

    /// The input of a step in which all but the first positions of `order` are those of `mean`.
    ///
    /// # Errors
    /// As [`deletion`](Self::deletion).
    pub fn insertion(
        &self,
        input: &Tensor,
        mean: &Tensor,
        order: &[usize],
        step: usize,
    ) -> Result<Tensor> {
        check_shape(("mean", &mean.shape().dims()), ("the input", &input.shape().dims()))?;
        self.replace(mean, input, order, step)
    }

    /// `from` with the first positions of `order` as they are in `to`, in all channels.
    fn replace(&self, from: &Tensor, to: &Tensor, order: &[usize], step: usize) -> Result<Tensor> {
        let shape = from.shape();
        let positions = shape.height * shape.width;
        let replaced = self.replaced(step, positions)?;
        check_order(order, positions)?;
        let mut values = from.values().to_vec();
        for channel in 0..shape.channels {
            let plane = &mut values[channel * positions..][..positions];
            order[..replaced].iter().for_each(|&at| plane[at] = to.plane(channel)[at]);
        }
        Tensor::new(shape, values)
    }
}

/// That each position stands in `order` once.
fn check_order(order: &[usize], positions: usize) -> Result<()> {
    let wrong = |found| {
        let expected = format!("each of {positions} positions once");
        Err(Error::Setting { what: "order of positions", found, expected })
    };
    if order.len() != positions {
        return wrong(format!("of length {}", order.len()));
    }
    let mut seen = vec![false; positions];
    for (index, &at) in order.iter().enumerate() {
        if at >= positions || seen[at] {
            return wrong(format!("{at} at element {index}"));
        }
        seen[at] = true;
    }
    Ok(())
}

/// The area under a curve whose values lie evenly over 0 to 1, by trapezoids; not a number if
/// there are fewer than two values.
pub fn area_under(curve: &[f64]) -> f64 {
    let trapezoids: f64 = curve.windows(2).map(|ends| (ends[0] + ends[1]) / 2.0).sum();
    match curve.len() {
        0 | 1 => f64::NAN,
        count => trapezoids / (count - 1) as f64,
    }
}

/// The places of finite values by falling value; equal ones, 0 and -0 too, stay in order.
pub(super) fn falling(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| by_falling(values, a, b));
    order
}

/// The first so many places of [`falling`], in any order.
pub(super) fn strongest(values: &[f32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    if (1..values.len()).contains(&count) {
        places.select_nth_unstable_by(count - 1, |&a, &b| by_falling(values, a, b));
    }
    places.truncate(count);
    places
}

/// Which of two places comes first.
fn by_falling(values: &[f32], a: usize, b: usize) -> Ordering {
    // `total_cmp` would put 0 before -0.
    values[b].partial_cmp(&values[a]).unwrap_or(Ordering::Equal).then(a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    const THREE: Perturbation = Perturbation { steps: 3 };

    /// Two channels of 2x2 pixels: the first digit is the channel's, the second the position's.
    fn input() -> Tensor {
        let values = vec![10.0, 11.0, 12.0, 13.0, 20.0, 21.0, 22.0, 23.0];
        Tensor::new(Shape::new(2, 2, 2), values).expect("it fits")
    }

    fn mean() -> Tensor {
        Tensor::new(Shape::new(2, 2, 2), [vec![1.0; 4], vec![2.0; 4]].concat()).expect("it fits")
    }

    #[test]
    fn positions_go_by_falling_value_and_ties_row_by_row() {
        let map = Plane::new(2, 3, vec![-0.0, 2.0, 0.0, -1.0, 2.0, 3.0]).expect("it fits");
        assert_eq!(Perturbation::order(&map).expect("finite"), [5, 1, 4, 0, 2, 3]);
        let nan = Plane::new(1, 2, vec![0.0, f32::NAN]).expect("it fits");
        let expected = "`heatmap` holds NaN at element 1, expected finite numbers";
        assert_eq!(Perturbation::order(&nan).expect_err("not finite").to_string(), expected);
    }

    #[test]
    fn steps_are_equal_up_to_rounding() {
        let counts = |steps: usize, positions| -> Vec<usize> {
            let all = Perturbation { steps };
            (0..=steps).map(|step| all.replaced(step, positions).expect("it is one")).collect()
        };
        assert_eq!(counts(4, 4), [0, 1, 2, 3, 4]);
        // 10 / 3 = 3.3 and 20 / 3 = 6.7.
        assert_eq!(counts(3, 10), [0, 3, 7, 10]);
        // 2.5 and 0.5: halves up. More steps than positions repeat.
        assert_eq!(counts(2, 5), [0, 3, 5]);
        assert_eq!(counts(4, 2), [0, 1, 1, 2, 2]);
        assert_eq!(counts(1, 0), [0, 0]);
        let huge = Perturbation { steps: usize::MAX };
        assert_eq!(huge.replaced(usize::MAX, usize::MAX).expect("the last"), usize::MAX);
    }

    #[test]
    fn deletion_takes_the_first_positions_and_insertion_leaves_them() {
        let order = [2, 0, 3, 1];
        // 4 / 3 rounds to 1, 8 / 3 to 3.
        let deleted = |step| THREE.deletion(&input(), &mean(), &order, step).expect("ok");
        assert_eq!(deleted(0), input());
        assert_eq!(deleted(1).values(), [10.0, 11.0, 1.0, 13.0, 20.0, 21.0, 2.0, 23.0]);
        assert_eq!(deleted(2).values(), [1.0, 11.0, 1.0, 1.0, 2.0, 21.0, 2.0, 2.0]);
        assert_eq!(deleted(3), mean());
        let inserted = |step| THREE.insertion(&input(), &mean(), &order, step).expect("ok");
        assert_eq!(inserted(0), mean());
        assert_eq!(inserted(1).values(), [1.0, 1.0, 12.0, 1.0, 2.0, 2.0, 22.0, 2.0]);
        assert_eq!(inserted(2).values(), [10.0, 1.0, 12.0, 13.0, 20.0, 2.0, 22.0, 23.0]);
        assert_eq!(inserted(3), input());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let other = Tensor::zeros(Shape::new(2, 1, 4));
        let expected = "mean has shape [2, 1, 4], expected [2, 2, 2] as the input";
        let order = [0, 1, 2, 3];
        for error in [
            THREE.deletion(&input(), &other, &order, 0),
            THREE.insertion(&input(), &other, &order, 0),
        ] {
            assert_eq!(error.expect_err("another shape").to_string(), expected);
        }
        let message = |perturbation: Perturbation, order: &[usize], step| {
            perturbation.deletion(&input(), &mean(), order, step).expect_err("no fit").to_string()
        };
        assert_eq!(message(THREE, &order, 4), "step is 4, expected 0 to 3");
        let none = Perturbation { steps: 0 };
        assert_eq!(message(none, &order, 0), "number of steps is 0, expected 1 or more");
        let expected = "expected each of 4 positions once";
        let short = format!("order of positions is of length 3, {expected}");
        assert_eq!(message(THREE, &[0, 1, 2], 0), short);
        let outside = format!("order of positions is 4 at element 1, {expected}");
        assert_eq!(message(THREE, &[0, 4, 1, 2], 0), outside);
        let twice = format!("order of positions is 0 at element 3, {expected}");
        assert_eq!(message(THREE, &[0, 1, 2, 0], 0), twice);
    }

    #[test]
    fn the_area_is_that_of_trapezoids() {
        assert_eq!(area_under(&[2.0, 2.0, 2.0]), 2.0);
        assert_eq!(area_under(&[1.0, 0.0]), 0.5);
        // (1 + 0.5) / 2 * 0.5 + (0.5 + 0) / 2 * 0.5.
        assert_eq!(area_under(&[1.0, 0.5, 0.0]), 0.5);
        // 0.5 / 4 + 1.5 / 4 + 3 / 4 + 4.5 / 4.
        assert_eq!(area_under(&[0.0, 1.0, 2.0, 4.0, 5.0]), 2.375);
        assert!(area_under(&[]).is_nan() && area_under(&[1.0]).is_nan());
    }
}
