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

/// Pictures of a curve that are made at once.
const AT_ONCE: usize = 64;

impl Localization<'_> {
    /// Measures a part of the data set.
    pub(crate) fn measure(&self, part: &[Prepared<Ready>]) -> Result<Vec<Record>> {
        let mut part = Part::new(self.dataset, part);
        for (network, subject) in self.subjects.iter().enumerate() {
            let units = part.units(self.dataset, network, subject)?;
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
        pictures: &[&Ready],
        units: &[Unit],
    ) -> Result<Vec<(Unit, ObjectRecord)>> {
        let subject = &self.subjects[network];
        let inputs: Vec<&Tensor> =
            pictures.iter().map(|ready| &ready.views[network].input).collect();
        let answers = subject.answers(&inputs, units, self.ways, self.stop)?;
        let object = |answer: &Answer| {
            let ready = pictures[answer.unit.picture];
            Ok((answer.unit, self.object(network, subject, answer, ready)?))
        };
        let mut objects = answers.par_iter().map(object).collect::<Result<Vec<_>>>()?;
        if let Some(removal) = &self.removal {
            for way in 0..self.ways.len() {
                let removed = removal.measure(self, network, &inputs, &answers, way)?;
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
        let method = |(plane, without_contrast): (&Option<Plane>, &bool)| {
            let pointing = plane.as_ref().zip(game).map(|(plane, region)| pointing(plane, region));
            let (pointing, not_finite) = (pointing.transpose()?, plane.is_none());
            let without_contrast = *without_contrast;
            Ok(MethodRecord { pointing, not_finite, without_contrast, ..MethodRecord::default() })
        };
        let ways = answer.planes.par_iter().zip(&answer.without_contrast);
        let methods = ways.map(method).collect::<Result<_>>()?;
        Ok(ObjectRecord {
            difficult: ready.difficult[unit.object],
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
        work: &Localization<'_>,
        network: usize,
        inputs: &[&Tensor],
        answers: &[Answer],
        way: usize,
    ) -> Result<Vec<(Option<AblationRecord>, Option<CurvesRecord>)>> {
        let subject = &work.subjects[network];
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
        let scores = subject.scores(&ablated.collect::<clrp::Result<Vec<_>>>()?, work.stop)?;
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
            let curve = |steps| {
                Curve { steps, work, subject, class, input: input(answer), mean }.measure(plane)
            };
            measured.push((Some(ablation), self.curves.map(curve).transpose()?));
        }
        Ok(measured)
    }
}

/// What becomes of the probability of a class while its picture is deleted, and inserted.
struct Curve<'a> {
    steps: Perturbation,
    work: &'a Localization<'a>,
    subject: &'a Subject,
    class: usize,
    input: &'a Tensor,
    mean: &'a Tensor,
}

impl Curve<'_> {
    fn measure(&self, plane: &Plane) -> Result<CurvesRecord> {
        let (steps, input, mean) = (self.steps, self.input, self.mean);
        let order = Perturbation::order(plane)?;
        Ok(CurvesRecord {
            deletion: self.probabilities(|step| steps.deletion(input, mean, &order, step))?,
            insertion: self.probabilities(|step| steps.insertion(input, mean, &order, step))?,
        })
    }

    /// Some steps at once, as the pictures of all may be many.
    fn probabilities(&self, changed: impl Fn(usize) -> clrp::Result<Tensor>) -> Result<Vec<f64>> {
        let all: Vec<usize> = (0..=self.steps.steps).collect();
        let mut found = Vec::new();
        for steps in all.chunks(AT_ONCE) {
            let inputs =
                steps.iter().map(|step| changed(*step)).collect::<clrp::Result<Vec<_>>>()?;
            let scores = self.subject.scores(&inputs, self.work.stop)?;
            found.extend(scores.iter().map(|scores| probabilities(scores)[self.class]));
        }
        Ok(found)
    }
}
