//! The numbers of an object and a method that are averaged.

use clrp::evaluation::area_under;

use super::record::{MethodRecord, ObjectRecord, PointingRecord};
use super::records::Records;
use crate::failure::Result;

/// The shares of energy, in percent, at which the curve of Gu et al. (2018), figure 4, is given.
pub(crate) const PERCENT: [u8; 22] =
    [1, 2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100];

/// Numbers that come together: an object has all of a family's, or none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Family {
    Pointing,
    Ablation,
    /// Areas under deletion and insertion.
    Curves,
    /// How like the original map that of a change is, which is named.
    Alike(String),
}

impl Family {
    /// Those that records have, or that the experiment is about.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub(crate) fn of(experiment: &str, records: &(impl Records + ?Sized)) -> Result<Vec<Family>> {
        // Where all maps are of nothing the game has been played too.
        let mut has_pointing = experiment == "pointing-game";
        let (mut has_ablation, mut has_curves) = (false, false);
        let mut changes: Vec<String> = Vec::new();
        records.all(|record| {
            for method in record.objects.iter().flat_map(|object| &object.methods) {
                has_pointing |= method.pointing.is_some();
                has_ablation |= method.ablation.is_some();
                has_curves |= method.curves.is_some();
                for alike in &method.alike {
                    if !changes.contains(&alike.change) {
                        changes.push(alike.change.clone());
                    }
                }
            }
        })?;
        let single = [
            (has_pointing, Family::Pointing),
            (has_ablation, Family::Ablation),
            (has_curves, Family::Curves),
        ];
        let single = single.into_iter().filter_map(|(is_there, family)| is_there.then_some(family));
        Ok(single.chain(changes.into_iter().map(Family::Alike)).collect())
    }

    /// The names of the numbers of which methods are compared: the first of [`Self::values`].
    pub(crate) fn compared(&self) -> Vec<String> {
        let names: &[&str] = match self {
            Family::Pointing => {
                // The summary's `within_tolerance` is a mean over classes.
                &[
                    "by_maximum",
                    "within_tolerance_by_object",
                    "by_any_maximum",
                    "reach",
                    "mass",
                    "rank",
                ]
            }
            Family::Ablation => &["drop_logit", "drop_probability"],
            Family::Curves => &["deletion_area", "insertion_area"],
            Family::Alike(_) => &["spearman", "ssim", "spearman_abs"],
        };
        let full = |name: &&str| match self {
            Family::Alike(change) => format!("{name}: {change}"),
            Family::Pointing | Family::Ablation | Family::Curves => (*name).to_owned(),
        };
        names.iter().map(full).collect()
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Family::Pointing => self.compared().len() + PERCENT.len(),
            Family::Ablation | Family::Curves | Family::Alike(_) => self.compared().len(),
        }
    }

    /// The numbers of one of the object's methods; none where it has none that are finite.
    pub(crate) fn values(&self, object: &ObjectRecord, method: usize) -> Option<Vec<f64>> {
        let method = object.methods.get(method);
        let values = match self {
            Family::Pointing => pointing(object.area, method.and_then(|m| m.pointing.as_ref()))?,
            Family::Ablation => {
                let ablation = method?.ablation.as_ref()?;
                vec![ablation.drop_logit, ablation.drop_probability]
            }
            Family::Curves => {
                let curves = method?.curves.as_ref()?;
                vec![area_under(&curves.deletion), area_under(&curves.insertion)]
            }
            Family::Alike(change) => {
                let alike = method?.alike.iter().find(|alike| alike.change == *change)?;
                vec![alike.spearman, alike.ssim, alike.spearman_abs]
            }
        };
        values.iter().all(|value| value.is_finite()).then_some(values)
    }
}

/// A map that points nowhere misses in every game; without a region there is none.
fn pointing(area: Option<f64>, found: Option<&PointingRecord>) -> Option<Vec<f64>> {
    let Some(found) = found else {
        return area.map(|_| vec![0.0; Family::Pointing.len()]);
    };
    let hit = |hit: bool| f64::from(u8::from(hit));
    let mut values =
        [found.hit, found.hit_within_tolerance, found.hit_by_any_maximum].map(hit).to_vec();
    values.extend([found.reach, found.mass, found.rank]);
    values.extend(PERCENT.map(|percent| hit(is_hit_at(found.reach, percent))));
    Some(values)
}

/// Whether all pixels that hold the most energy up to that share lie in the region.
pub(crate) fn is_hit_at(reach: f64, percent: u8) -> bool {
    reach > 0.0 && reach >= f64::from(percent) / 100.0
}

/// Whether the object was played for and the map has no maximum to point with.
pub(crate) fn points_nowhere(object: &ObjectRecord, method: usize) -> bool {
    let pointing = |method: &MethodRecord| method.pointing.is_some_and(|p| p.maximum.is_some());
    object.area.is_some() && !object.methods.get(method).is_some_and(pointing)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{object, pointing};
    use super::*;

    #[test]
    fn a_hit_at_a_share_reaches_that_far() {
        assert!(is_hit_at(0.35, 35) && !is_hit_at(0.349, 35));
        // Of no energy at all nothing lies inside.
        assert!(!is_hit_at(0.0, 0) && is_hit_at(1e-9, 0) && is_hit_at(1.0, 100));
    }

    #[test]
    fn an_object_with_a_region_is_missed_by_a_map_of_nothing() {
        let nowhere = object(0, vec![MethodRecord::default()]);
        assert_eq!(Family::Pointing.values(&nowhere, 0), Some(vec![0.0; 28]));
        assert!(points_nowhere(&nowhere, 0));
        let unseen = ObjectRecord { area: None, ..nowhere };
        assert_eq!(Family::Pointing.values(&unseen, 0), None);
        assert!(!points_nowhere(&unseen, 0));
    }

    #[test]
    fn numbers_are_in_the_order_of_their_names() {
        let hit = object(0, vec![pointing(true, 0.2)]);
        let values = Family::Pointing.values(&hit, 0).expect("it was measured");
        // Maximum, tolerance, any maximum, reach, mass, rank; then 1, 2, 5, 10, 15, 20 % and more.
        assert_eq!(values[..6], [1.0, 1.0, 1.0, 0.2, 0.5, 0.25]);
        assert_eq!(values[6..].iter().sum::<f64>(), 6.0);
        assert_eq!((values.len(), Family::Pointing.len()), (28, 28));
        assert_eq!(Family::Alike("fc".to_owned()).compared()[1], "ssim: fc");
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let odd = object(0, vec![pointing(true, f64::NAN)]);
        assert_eq!(Family::Pointing.values(&odd, 0), None);
        assert_eq!(Family::Ablation.values(&odd, 0), None);
        // A method that the records lack.
        assert_eq!(Family::Ablation.values(&odd, 9), None);
    }
}
