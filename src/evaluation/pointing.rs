//! Pointing games: whether a map points at the object that it explains.

use super::region::Region;
use crate::error::Result;
use crate::image::Plane;

/// What one map and the region of its object say in every pointing game.
///
/// Energy is the sum of the values above 0. A value that is not finite counts as 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pointing {
    /// Column and row of the largest value; the first of several, row by row.
    pub maximum: (usize, usize),
    /// The plain game (Zhang et al. 2016): whether [`maximum`](Self::maximum) lies in the region.
    pub hit: bool,
    /// `TorchRay`'s: whether a pixel of the region lies within [`Pointing::TOLERANCE`] of it.
    pub near: bool,
    /// Quantus's: whether any of the pixels with the largest value lies in the region.
    pub any: bool,
    /// The share of the energy, 0 to 1, that thresholding keeps before the first pixel outside
    /// the region is kept too; see [`Pointing::is_hit_at`].
    pub reach: f64,
    /// Relevance mass accuracy (Arras et al. 2022): the share of the energy in the region.
    pub mass: f64,
    /// Relevance rank accuracy (Arras et al. 2022): of as many of the largest values as the region
    /// has pixels, the share in the region; of equal values the first ones, row by row.
    pub rank: f64,
}

impl Pointing {
    /// How far from the object `TorchRay` lets the maximum lie, in pixels.
    pub const TOLERANCE: usize = 15;

    /// Measures a map.
    ///
    /// A map that is 0 or less everywhere points nowhere: no game counts it as a hit.
    ///
    /// # Errors
    /// [`Error::InputShape`](crate::Error::InputShape) if map and region have different sizes.
    pub fn of(map: &Plane, region: &Region) -> Result<Self> {
        region.check_size(map)?;
        let energy: Vec<f32> = map.values().iter().map(finite).collect();
        let at = first_maximum(&energy);
        let maximum = (at % map.width(), at / map.width());
        let inside = region.inside();
        let (most_inside, most_outside) =
            (largest(&energy, inside, true), largest(&energy, inside, false));
        let points = energy[at] > 0.0;
        let total = sum(energy.iter());
        let share = |part: f64| if total > 0.0 { part / total } else { 0.0 };
        let clear = sum(energy.iter().filter(|&&value| value > most_outside));
        let within = sum(energy.iter().zip(inside).filter(|(_, inside)| **inside).map(|(e, _)| e));
        Ok(Self {
            maximum,
            hit: points && inside[at],
            near: points && region.is_near(maximum.0, maximum.1, Self::TOLERANCE),
            any: points && most_inside == energy[at],
            reach: share(clear),
            mass: share(within),
            rank: if points { rank(&energy, inside) } else { 0.0 },
        })
    }

    /// The paper's game (Gu et al. 2018, section 5.2): whether all pixels that are kept lie in the
    /// region, where the threshold is the highest that keeps `share` of the energy, 0 to 1.
    pub fn is_hit_at(&self, share: f64) -> bool {
        // Pixels as strong as the strongest outside are kept together with it.
        self.reach > 0.0 && self.reach >= share
    }
}

fn finite(value: &f32) -> f32 {
    if value.is_finite() { value.max(0.0) } else { 0.0 }
}

/// The place of the largest value, the first of equal ones; no value is NaN.
pub(super) fn first_maximum(values: &[f32]) -> usize {
    let mut at = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[at] {
            at = i;
        }
    }
    at
}

/// The largest value on one side of the region's border, at least 0.
fn largest(energy: &[f32], inside: &[bool], side: bool) -> f32 {
    let values = energy.iter().zip(inside).filter(|(_, inside)| **inside == side);
    values.fold(0.0, |most, (value, _)| most.max(*value))
}

fn sum<'a>(values: impl Iterator<Item = &'a f32>) -> f64 {
    values.map(|&value| f64::from(value)).sum()
}

fn rank(energy: &[f32], inside: &[bool]) -> f64 {
    let area = inside.iter().filter(|inside| **inside).count();
    let mut order: Vec<usize> = (0..energy.len()).collect();
    // Stable: equal values stay row by row.
    order.sort_by(|&a, &b| energy[b].total_cmp(&energy[a]));
    let hits = order[..area].iter().filter(|&&i| inside[i]).count();
    if area > 0 { hits as f64 / area as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::BoundingBox;

    fn region(width: usize, height: usize, left: f64, right: f64) -> Region {
        let bounds = BoundingBox { left, top: 0.0, right, bottom: height as f64 };
        Region::union((width, height), &[bounds]).expect("it has an area").0
    }

    fn of(values: &[f32], left: f64, right: f64) -> Pointing {
        let map = Plane::new(1, values.len(), values.to_vec()).expect("it fits");
        Pointing::of(&map, &region(values.len(), 1, left, right)).expect("one size")
    }

    #[test]
    fn kept_pixels_must_all_lie_inside() {
        // 10 in all; 4 and 3 are kept before the 2 outside.
        let found = of(&[4.0, 3.0, 1.0, 2.0], 0.0, 3.0);
        assert_eq!((found.reach, found.mass), (0.7, 0.8));
        assert!(found.is_hit_at(0.0) && found.is_hit_at(0.7) && !found.is_hit_at(0.71));
        // Of the three largest two are inside.
        assert!((found.rank - 2.0 / 3.0).abs() < 1e-12);
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
        assert_eq!(found.maximum, (0, 0));
        // The first is outside, another inside, and 15 pixels reach it.
        assert!(!found.hit && found.any && found.near);
        // Both are kept at once.
        assert!(!found.is_hit_at(0.0));
    }

    #[test]
    fn the_tolerance_is_15_pixels() {
        let mut values = vec![0.0; 40];
        values[10] = 1.0;
        assert!(of(&values, 25.0, 30.0).near && !of(&values, 26.0, 30.0).near);
    }

    #[test]
    fn a_map_of_nothing_points_nowhere() {
        for values in [[0.0, 0.0], [-1.0, -2.0], [f32::NAN, 0.0], [f32::INFINITY, 0.0]] {
            let found = of(&values, 0.0, 2.0);
            assert!(!(found.hit || found.near || found.any || found.is_hit_at(0.0)));
            assert_eq!((found.mass, found.rank), (0.0, 0.0));
        }
    }

    #[test]
    fn a_map_of_another_size_is_an_error() {
        let map = Plane::new(2, 2, vec![0.0; 4]).expect("it fits");
        let error = Pointing::of(&map, &region(4, 1, 0.0, 1.0)).expect_err("sizes differ");
        assert!(error.to_string().contains("heatmap"), "{error}");
    }
}
