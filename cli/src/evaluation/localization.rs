//! The pointing game and the ablation study: records of a part of the data set.

use clrp::evaluation::{Ablation, Perturbation, Pointing, Region};
use clrp::explainer::probabilities;
use clrp::image::Plane;
use clrp::{Cancel, Tensor};
use rayon::prelude::*;

use super::part::{Part, Ready, Unit};
use super::record::{
    AblationRecord, CurvesRecord, MethodRecord, ObjectRecord, PointingRecord, Record,
};
use super::running::Prepared;
use super::subject::{Answer, Subject, Way};
use crate::datasets::Dataset;
use crate::failure::Result;

/// What is measured of maps.
pub(crate) struct Localization<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) subjects: &'a [Subject],
    pub(crate) ways: &'a [Way],
    pub(crate) stop: &'a Cancel,
    /// Whether maps play pointing games.
    pub(crate) pointing: bool,
    /// What replaces pixels, where they are replaced.
    pub(crate) removal: Option<Removal>,
}

/// How pixels are taken out.
pub(crate) struct Removal {
    pub(crate) ablation: Ablation,
    /// Deletion and insertion, where they are wanted.
    pub(crate) curves: Option<Perturbation>,
    /// The mean of the data set as an input, one for each network.
    pub(crate) means: Vec<Tensor>,
}

/// An object is difficult if its boxes cover less of the picture than this, and the picture shows
/// another one (Zhang et al. 2016).
const DIFFICULT: f64 = 0.25;

impl Localization<'_> {
    /// Measures a part of the data set.
    pub(crate) fn measure(&self, part: Vec<Prepared<Ready>>) -> Result<Vec<Record>> {
        let mut part = Part::new(self.dataset, part);
        for (network, subject) in self.subjects.iter().enumerate() {
            let units = part.units(self.dataset, network, subject);
            for (unit, object) in self.objects(network, &part.pictures, &units)? {
                part.record(unit).objects.push(object);
            }
        }
        Ok(part.records)
    }

    /// What is measured of all units of a network.
    fn objects(
        &self,
        network: usize,
        pictures: &[Ready],
        units: &[Unit],
    ) -> Result<Vec<(Unit, ObjectRecord)>> {
        let subject = &self.subjects[network];
        let inputs: Vec<&Tensor> =
            pictures.iter().map(|ready| &ready.views[network].input).collect();
        let answers = subject.answers(&inputs, units, self.ways, self.stop)?;
        let object = |answer: &Answer| {
            let ready = &pictures[answer.unit.picture];
            Ok((answer.unit, self.object(network, subject, answer, ready)?))
        };
        let mut objects = answers.par_iter().map(object).collect::<Result<Vec<_>>>()?;
        if let Some(removal) = &self.removal {
            for way in 0..self.ways.len() {
                let removed = removal.measure(subject, network, &inputs, &answers, way)?;
                for ((_, object), (ablation, curves)) in objects.iter_mut().zip(removed) {
                    let method = &mut object.methods[way];
                    (method.ablation, method.curves) = (ablation, curves);
                }
            }
        }
        Ok(objects)
    }

    fn object(
        &self,
        network: usize,
        subject: &Subject,
        answer: &Answer,
        ready: &Ready,
    ) -> Result<ObjectRecord> {
        let unit = answer.unit;
        let region = ready.views[network].regions[unit.object].as_ref();
        let seen = region.filter(|region| region.area() > 0);
        let share =
            |region: &Region| region.area() as f64 / (region.height() * region.width()) as f64;
        let area = seen.map(share);
        let game = seen.filter(|_| self.pointing);
        let method = |plane: &Option<Plane>| {
            let pointing = plane.as_ref().zip(game).map(|(plane, region)| pointing(plane, region));
            let (pointing, not_finite) = (pointing.transpose()?, plane.is_none());
            Ok(MethodRecord { pointing, not_finite, ..MethodRecord::default() })
        };
        let methods = answer.planes.par_iter().map(method).collect::<Result<_>>()?;
        Ok(ObjectRecord {
            difficult: ready.objects.len() > 1 && area.is_some_and(|area| area < DIFFICULT),
            cut_away: region.map_or(0, Region::boxes_without_pixels),
            area,
            ..ObjectRecord::of(network, subject, answer, methods)
        })
    }
}

fn pointing(plane: &Plane, region: &Region) -> Result<PointingRecord> {
    let pointing = Pointing::of(plane, region)?;
    Ok(PointingRecord {
        maximum: pointing.maximum,
        hit: pointing.is_hit,
        hit_within_tolerance: pointing.is_hit_within_tolerance,
        hit_by_any_maximum: pointing.is_hit_by_any_maximum,
        reach: pointing.energy_before_outside,
        mass: pointing.mass_accuracy,
        rank: pointing.rank_accuracy,
    })
}

impl Removal {
    /// What the network says of each unit without what one of the ways points at; nothing of maps
    /// that are not finite.
    fn measure(
        &self,
        subject: &Subject,
        network: usize,
        inputs: &[&Tensor],
        answers: &[Answer],
        way: usize,
    ) -> Result<Vec<(Option<AblationRecord>, Option<CurvesRecord>)>> {
        let mean = &self.means[network];
        let input = |answer: &Answer| inputs[answer.unit.picture];
        let centres = |answer: &Answer| match &answer.planes[way] {
            Some(plane) => self.ablation.centres(plane),
            None => Ok(Vec::new()),
        };
        let centres = answers.par_iter().map(centres).collect::<clrp::Result<Vec<_>>>()?;
        let ablated = answers.iter().zip(&centres);
        let ablated = ablated.map(|(answer, centres)| {
            // Where no map says what to take out nothing is; that many run at once does not depend
            // on maps.
            self.ablation.apply(input(answer), mean, centres)
        });
        let scores = subject.explainer.scores(&ablated.collect::<clrp::Result<Vec<_>>>()?)?;
        let mut measured = Vec::new();
        for ((answer, centres), scores) in answers.iter().zip(centres).zip(scores) {
            let Some(plane) = &answer.planes[way] else {
                measured.push((None, None));
                continue;
            };
            let class = answer.unit.class;
            let ablation = AblationRecord {
                centres,
                drop_logit: answer.score() - f64::from(scores[class]),
                drop_probability: answer.probability() - probabilities(&scores)[class],
            };
            let curve = |curves| curve(curves, subject, class, plane, input(answer), mean);
            measured.push((Some(ablation), self.curves.map(curve).transpose()?));
        }
        Ok(measured)
    }
}

/// The probabilities of a class while its picture is deleted, and inserted.
fn curve(
    curves: Perturbation,
    subject: &Subject,
    class: usize,
    plane: &Plane,
    input: &Tensor,
    mean: &Tensor,
) -> Result<CurvesRecord> {
    let order = Perturbation::order(plane)?;
    let probabilities = |inputs: Vec<Tensor>| -> Result<Vec<f64>> {
        let scores = subject.explainer.scores(&inputs)?;
        Ok(scores.iter().map(|scores| probabilities(scores)[class]).collect())
    };
    let steps = || 0..=curves.steps;
    let deleted = steps().map(|step| curves.deletion(input, mean, &order, step));
    let inserted = steps().map(|step| curves.insertion(input, mean, &order, step));
    Ok(CurvesRecord {
        deletion: probabilities(deleted.collect::<clrp::Result<_>>()?)?,
        insertion: probabilities(inserted.collect::<clrp::Result<_>>()?)?,
    })
}
