//! How alike two maps are: the discriminativeness of explanations, measured (Gu et al. 2018,
//! section 3.1, says that maps of LRP are nearly the same whatever the class).

use crate::error::{Result, check_shape};
use crate::image::Plane;

/// How alike two maps are; each is 1 for equal ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// The cosine of the angle between them as vectors.
    pub cosine: f64,
    /// Spearman's rank correlation, ties by their mean rank.
    pub spearman: f64,
    /// Structural similarity (Wang et al. 2004) of the maps over their largest absolute values:
    /// the mean over all 7x7 windows, with sample covariances, as scikit-image has it for a range
    /// of 1 (2 if a map has negative values).
    pub ssim: f64,
}

/// A map made ready to be compared with several others.
#[derive(Clone, Debug)]
pub struct Comparable {
    size: [usize; 2],
    values: Vec<f64>,
    /// Of the values; none if they are all the same.
    ranks: Option<Vec<f64>>,
}

impl Comparable {
    /// Ranks the map's values.
    ///
    /// # Errors
    /// [`Error::InputValue`](crate::Error::InputValue) if one is not finite.
    pub fn new(plane: &Plane) -> Result<Self> {
        Self::named(plane, "map")
    }

    fn named(plane: &Plane, name: &'static str) -> Result<Self> {
        plane.check_finite(name)?;
        let values: Vec<f64> = plane.values().iter().map(|&value| f64::from(value)).collect();
        let is_flat = values.iter().all(|value| *value == values[0]);
        let ranks = (!is_flat).then(|| ranks(&values));
        Ok(Self { size: plane.size(), values, ranks })
    }
}

impl Similarity {
    /// Compares two maps; none if one of them is the same everywhere, which is like nothing and
    /// unlike nothing.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if their sizes differ,
    /// [`Error::InputValue`](crate::Error::InputValue) if one holds a value that is not finite.
    pub fn of(a: &Plane, b: &Plane) -> Result<Option<Self>> {
        check_shape(("second map", &b.size()), ("the first", &a.size()))?;
        Self::between(&Comparable::named(a, "first map")?, &Comparable::named(b, "second map")?)
    }

    /// The same of maps that were made ready before.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) if their sizes differ.
    pub fn between(a: &Comparable, b: &Comparable) -> Result<Option<Self>> {
        check_shape(("second map", &b.size), ("the first", &a.size))?;
        let (Some(of_a), Some(of_b)) = (&a.ranks, &b.ranks) else { return Ok(None) };
        let [height, width] = a.size;
        Ok(Some(Self {
            cosine: cosine(&a.values, &b.values),
            spearman: correlation(of_a, of_b),
            ssim: ssim(&normalized(&a.values), &normalized(&b.values), height, width),
        }))
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn cosine(x: &[f64], y: &[f64]) -> f64 {
    let lengths = (dot(x, x) * dot(y, y)).sqrt();
    if lengths > 0.0 { dot(x, y) / lengths } else { 0.0 }
}

/// Pearson's correlation.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let centered = |values: &[f64]| -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| value - mean).collect()
    };
    cosine(&centered(x), &centered(y))
}

/// The rank of each value, the mean rank for equal ones.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = before as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|&i| ranks[i] = mean);
        before += equal.len();
    }
    ranks
}

/// Over the largest absolute value.
fn normalized(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    values.iter().map(|value| value / scale).collect()
}

/// Side of a window.
const WINDOW: usize = 7;

fn ssim(x: &[f64], y: &[f64], height: usize, width: usize) -> f64 {
    let range = if x.iter().chain(y).any(|value| *value < 0.0) { 2.0 } else { 1.0 };
    let (c1, c2) = ((0.01_f64 * range).powi(2), (0.03_f64 * range).powi(2));
    let (rows, columns) = (WINDOW.min(height), WINDOW.min(width));
    let count = (rows * columns) as f64;
    // Means of a window become a sample covariance.
    let sample = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
    let (mut sum, mut windows) = (0.0, 0.0);
    for top in 0..=height - rows {
        for left in 0..=width - columns {
            let mut sums = [0.0; 5];
            for row in top..top + rows {
                let line = row * width + left..row * width + left + columns;
                for (x, y) in x[line.clone()].iter().zip(&y[line]) {
                    for (sum, term) in sums.iter_mut().zip([*x, *y, x * x, y * y, x * y]) {
                        *sum += term;
                    }
                }
            }
            let [mean_x, mean_y, xx, yy, xy] = sums.map(|sum| sum / count);
            let covariance = |product: f64, a: f64, b: f64| sample * (product - a * b);
            let (of_x, of_y) = (covariance(xx, mean_x, mean_x), covariance(yy, mean_y, mean_y));
            let both = covariance(xy, mean_x, mean_y);
            sum += (2.0 * mean_x * mean_y + c1) * (2.0 * both + c2)
                / ((mean_x * mean_x + mean_y * mean_y + c1) * (of_x + of_y + c2));
            windows += 1.0;
        }
    }
    sum / windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(height: usize, values: &[f32]) -> Plane {
        Plane::new(height, values.len() / height, values.to_vec()).expect("it fits")
    }

    fn similarity(a: &Plane, b: &Plane) -> Similarity {
        Similarity::of(a, b).expect("one size").expect("neither is flat")
    }

    #[test]
    fn equal_maps_are_alike_and_opposite_ones_are_not() {
        let a = plane(2, &[1.0, -2.0, -3.0, 4.0]);
        let b = plane(2, &[-1.0, 2.0, 3.0, -4.0]);
        let same = similarity(&a, &a);
        assert!([same.cosine, same.spearman, same.ssim].iter().all(|s| (s - 1.0).abs() < 1e-12));
        let opposite = similarity(&a, &b);
        assert!((opposite.cosine + 1.0).abs() < 1e-12 && (opposite.spearman + 1.0).abs() < 1e-12);
        // The mean is 0: those of opposite sign would turn it round once more.
        assert!(opposite.ssim < -0.9, "{}", opposite.ssim);
    }

    #[test]
    fn maps_of_two_sizes_or_with_values_that_are_not_finite_are_errors() {
        let message =
            |a: &Plane, b: &Plane| Similarity::of(a, b).expect_err("unlike anything").to_string();
        let (flat, tall) = (plane(1, &[1.0, 2.0]), plane(2, &[1.0, 2.0]));
        let expected = "second map has shape [2, 1], expected [1, 2] as the first";
        assert_eq!(message(&flat, &tall), expected);
        let nan = plane(1, &[0.0, f32::NAN]);
        let infinite = plane(1, &[f32::NEG_INFINITY, 0.0]);
        let expected = "`first map` holds NaN at element 1, expected finite numbers";
        assert_eq!(message(&nan, &infinite), expected);
        let expected = "`second map` holds -inf at element 0, expected finite numbers";
        assert_eq!(message(&flat, &infinite), expected);
    }

    #[test]
    fn ties_have_their_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
        // Of (1, 2, 3) and (1, 3, 2): 1 - 6 * 2 / (3 * 8) = 0.5.
        let (a, b) = (plane(1, &[1.0, 2.0, 3.0]), plane(1, &[1.0, 3.0, 2.0]));
        assert!((similarity(&a, &b).spearman - 0.5).abs() < 1e-12);
    }

    #[test]
    fn nothing_is_like_nothing() {
        let (zero, map) = (plane(1, &[0.0, 0.0]), plane(1, &[1.0, 0.0]));
        for (a, b) in [(&zero, &map), (&map, &zero), (&zero, &zero)] {
            assert_eq!(Similarity::of(a, b).expect("one size"), None);
        }
    }

    #[test]
    fn structure_is_compared_window_by_window() {
        // What scikit-image 0.26.0 says: structural_similarity(a, b, data_range=1) of
        // a = i % 5 / 4 and b = i % 7 / 6, 9 rows of 10.
        let a: Vec<f32> = (0..90).map(|i| (i % 5) as f32 / 4.0).collect();
        let b: Vec<f32> = (0..90).map(|i| (i % 7) as f32 / 6.0).collect();
        let found = similarity(&plane(9, &a), &plane(9, &b)).ssim;
        assert!((found - 0.003_940_618_298_80).abs() < 1e-7, "{found}");
    }
}
