//! Pointing games: whether a map points at the object that it explains.

use super::perturbation::strongest;
use super::region::Region;
use crate::error::{Error, Result};
use crate::image::Plane;

/// What one map and the region of its object say in every pointing game.
///
/// Energy is the sum of the values above 0. A map that is 0 or less everywhere points nowhere: no
/// game counts it as a hit, and both accuracies are 0. (Quantus asks only where the largest value
/// lies, whatever it is: of a map of zeros every pixel has it, so that it always hits.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pointing {
    /// Column and row of the largest value, the first of several, row by row; none if the map
    /// points nowhere.
    pub maximum: Option<(usize, usize)>,
    /// The plain game (Zhang et al. 2016): whether [`maximum`](Self::maximum) lies in the region.
    pub is_hit: bool,
    /// `TorchRay`'s: whether a pixel of the region lies less than [`Pointing::TOLERANCE`] pixels
    /// away from it. Those are pixels of the network's input; `TorchRay` counts those of the
    /// picture that the boxes were drawn in.
    pub is_hit_within_tolerance: bool,
    /// Quantus's: whether any of the pixels with the largest value lies in the region.
    pub is_hit_by_any_maximum: bool,
    /// The share of the energy, 0 to 1, that thresholding keeps before the first pixel outside
    /// the region is kept too; see [`Pointing::is_hit_at`].
    pub energy_before_outside: f64,
    /// Relevance mass accuracy (Arras et al. 2022): the share of the energy in the region.
    pub mass_accuracy: f64,
    /// Relevance rank accuracy (Arras et al. 2022): of as many of the largest values as the region
    /// has pixels, the share in the region. Values of 0 or less tie; of equal values the first
    /// ones count, row by row.
    pub rank_accuracy: f64,
}

impl Pointing {
    /// Nearer than so many pixels of the input the maximum must be to the object in `TorchRay`'s
    /// game: exactly so many are a miss.
    pub const TOLERANCE: usize = 15;

    /// Measures a map.
    ///
    /// Where no pixel belongs to the object, because a crop cut it away, there is nothing to point
    /// at; leave such pictures out (Quantus answers not-a-number): ask [`Region::area`] first.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if map and region have different sizes, [`Error::InputValue`] if
    /// the map holds a value that is not finite, [`Error::Setting`] if the region has no pixels.
    pub fn of(map: &Plane, region: &Region) -> Result<Self> {
        region.check_size(map)?;
        map.check_finite("heatmap")?;
        let area = region.area();
        if area == 0 {
            let (found, expected) = ("0".to_owned(), "1 pixel or more".to_owned());
            return Err(Error::Setting { what: "area of the region", found, expected });
        }
        // Not `max`, which may keep -0.
        let energy: Vec<f32> =
            map.values().iter().map(|&value| if value > 0.0 { value } else { 0.0 }).collect();
        let (at, inside) = (strongest(&energy, 1)[0], region.inside());
        if energy[at] == 0.0 {
            return Ok(Self::NOWHERE);
        }
        let (x, y) = (at % map.width(), at / map.width());
        let total = sum(energy.iter());
        let most_outside = largest(&energy, inside, false);
        let before = sum(energy.iter().filter(|&&value| value > most_outside));
        let within = sum(energy.iter().zip(inside).filter(|(_, inside)| **inside).map(|(e, _)| e));
        let ranked = strongest(&energy, area).into_iter().filter(|&i| inside[i]).count();
        Ok(Self {
            maximum: Some((x, y)),
            is_hit: inside[at],
            is_hit_within_tolerance: region.is_near(x, y, Self::TOLERANCE),
            is_hit_by_any_maximum: largest(&energy, inside, true) == energy[at],
            energy_before_outside: before / total,
            mass_accuracy: within / total,
            rank_accuracy: ranked as f64 / area as f64,
        })
    }

    /// What a map says that points nowhere.
    const NOWHERE: Self = Self {
        maximum: None,
        is_hit: false,
        is_hit_within_tolerance: false,
        is_hit_by_any_maximum: false,
        energy_before_outside: 0.0,
        mass_accuracy: 0.0,
        rank_accuracy: 0.0,
    };

    /// The paper's game (Gu et al. 2018, section 5.2): whether all pixels that are kept lie in the
    /// region, where the threshold is the highest that keeps `share` of the energy, 0 to 1.
    pub fn is_hit_at(&self, share: f64) -> bool {
        // Pixels as strong as the strongest outside are kept together with it.
        self.energy_before_outside > 0.0 && self.energy_before_outside >= share
    }
}

/// The largest value on one side of the region's border, at least 0.
fn largest(energy: &[f32], inside: &[bool], side: bool) -> f32 {
    let values = energy.iter().zip(inside).filter(|(_, inside)| **inside == side);
    values.fold(0.0, |most, (value, _)| most.max(*value))
}

fn sum<'a>(values: impl Iterator<Item = &'a f32>) -> f64 {
    // Nothing adds up to -0.
    values.map(|&value| f64::from(value)).sum::<f64>() + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::BoundingBox;

    fn row(values: &[f32]) -> Plane {
        Plane::new(1, values.len(), values.to_vec()).expect("it fits")
    }

    fn region(width: usize, left: f64, right: f64) -> Region {
        let bounds = BoundingBox { left, top: 0.0, right, bottom: 1.0 };
        Region::union([1, width], &[bounds]).expect("it has an area")
    }

    fn of(values: &[f32], left: f64, right: f64) -> Pointing {
        Pointing::of(&row(values), &region(values.len(), left, right)).expect("one size")
    }

    #[test]
    fn kept_pixels_must_all_lie_inside() {
        // 10 in all; 4 and 3 are kept before the 2 outside.
        let found = of(&[4.0, 3.0, 1.0, 2.0], 0.0, 3.0);
        assert_eq!((found.energy_before_outside, found.mass_accuracy), (0.7, 0.8));
        assert!(found.is_hit_at(0.0) && found.is_hit_at(0.7) && !found.is_hit_at(0.71));
        // Of the three largest two are inside.
        assert!((found.rank_accuracy - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_curve_is_that_of_thresholding_step_by_step() {
        let values: Vec<f32> = (0..60_u32).map(|i| (i * 37 % 23) as f32).collect();
        for (left, right) in [(0.0, 50.0), (10.0, 60.0), (16.0, 60.0)] {
            let found = of(&values, left, right);
            let total: f32 = values.iter().sum();
            for percent in 1..=100_u8 {
                let share = f64::from(percent) / 100.0;
                // Straight from the paper: lower the threshold until enough is kept.
                let kept = |threshold: f32| {
                    values.iter().enumerate().filter(move |(_, v)| **v >= threshold)
                };
                let enough = |t: &f32| {
                    f64::from(kept(*t).map(|(_, v)| v).sum::<f32>()) >= share * f64::from(total)
                };
                let threshold = (0..23_u8).rev().map(f32::from).find(enough).expect("0 keeps all");
                let hit = kept(threshold).all(|(i, _)| (left..right).contains(&(i as f64)));
                assert_eq!(found.is_hit_at(share), hit, "{percent} % in {left} to {right}");
            }
        }
    }

    #[test]
    fn games_differ_where_the_maximum_is_not_alone() {
        let found = of(&[5.0, 0.0, 5.0], 2.0, 3.0);
        assert_eq!(found.maximum, Some((0, 0)));
        // The first is outside, another inside, and within 15 pixels.
        assert!(!found.is_hit && found.is_hit_by_any_maximum && found.is_hit_within_tolerance);
        // Both are kept at once; of equal values the first counts.
        assert!(!found.is_hit_at(0.0));
        assert_eq!((found.mass_accuracy, found.rank_accuracy), (0.5, 0.0));
        let first = of(&[5.0, 0.0, 5.0], 0.0, 1.0);
        assert!(first.is_hit && first.is_hit_by_any_maximum && !first.is_hit_at(0.0));
        assert_eq!((first.mass_accuracy, first.rank_accuracy), (0.5, 1.0));
    }

    #[test]
    fn columns_come_before_rows() {
        let map = Plane::new(2, 3, vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).expect("it fits");
        let bounds = BoundingBox { left: 2.0, top: 1.0, right: 3.0, bottom: 2.0 };
        let region = Region::union([2, 3], &[bounds]).expect("it has an area");
        let found = Pointing::of(&map, &region).expect("one size");
        assert!(found.is_hit && found.maximum == Some((2, 1)));
    }

    #[test]
    fn exactly_15_pixels_are_a_miss() {
        let mut values = vec![0.0; 40];
        values[10] = 1.0;
        let near = |left| of(&values, left, 30.0).is_hit_within_tolerance;
        assert!(near(24.0) && !near(25.0));
    }

    #[test]
    fn values_of_0_or_less_tie() {
        // Of the two places the first is the maximum's; the next goes to the first of the others.
        for values in [[-0.0, 0.0, 1.0], [0.0, -0.0, 1.0], [-3.0, -1.0, 1.0], [-1.0, -3.0, 1.0]] {
            assert_eq!(of(&values, 1.0, 3.0).rank_accuracy, 0.5, "{values:?}");
            assert_eq!(of(&values, 0.0, 1.0).rank_accuracy, 0.0, "{values:?}");
        }
    }

    #[test]
    fn a_map_of_nothing_points_nowhere() {
        for values in [[0.0, 0.0], [-0.0, 0.0], [-1.0, -2.0]] {
            for right in [1.0, 2.0] {
                let found = of(&values, 0.0, right);
                assert_eq!(found, Pointing::NOWHERE, "{values:?}");
                assert!(!found.is_hit_at(0.0) && found.maximum.is_none());
                assert_eq!((found.energy_before_outside, found.rank_accuracy), (0.0, 0.0));
            }
        }
    }

    #[test]
    fn maps_that_suit_no_region_are_errors() {
        let message = |map: &Plane, region: &Region| {
            Pointing::of(map, region).expect_err("it does not suit").to_string()
        };
        let square = Plane::new(2, 2, vec![0.0; 4]).expect("it fits");
        let expected = "heatmap has shape [2, 2], expected [1, 4] as the region";
        assert_eq!(message(&square, &region(4, 0.0, 1.0)), expected);
        let expected = "area of the region is 0, expected 1 pixel or more";
        assert_eq!(message(&row(&[1.0, 2.0]), &region(2, 5.0, 6.0)), expected);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let expected = format!("`heatmap` holds {value} at element 1, expected finite numbers");
            assert_eq!(message(&row(&[1.0, value]), &region(2, 0.0, 1.0)), expected);
        }
    }
}
