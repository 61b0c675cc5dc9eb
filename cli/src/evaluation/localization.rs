//! The pointing game and the ablation study: records of a part of the data set.

use clrp::evaluation::{Ablation, Perturbation, Pointing, Region};
use clrp::explainer::probabilities;
use clrp::image::Plane;
use clrp::{Cancel, Tensor};

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
        let mut objects = Vec::new();
        for answer in &answers {
            let ready = &pictures[answer.unit.picture];
            objects.push((answer.unit, self.object(network, subject, answer, ready)?));
        }
        if let Some(removal) = &self.removal {
            for way in 0..self.ways.len() {
                let removed = removal.measure(subject, network, &inputs, &answers, way)?;
                for ((_, object), (ablation, curves)) in objects.iter_mut().zip(removed) {
                    object.methods[way].ablation = Some(ablation);
                    object.methods[way].curves = curves;
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
        let mut methods = Vec::new();
        for plane in &answer.planes {
            let pointing = seen.filter(|_| self.pointing).map(|region| pointing(plane, region));
            methods
                .push(MethodRecord { pointing: pointing.transpose()?, ..MethodRecord::default() });
        }
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
    /// What the network says of each unit without what one of the ways points at.
    fn measure(
        &self,
        subject: &Subject,
        network: usize,
        inputs: &[&Tensor],
        answers: &[Answer],
        way: usize,
    ) -> Result<Vec<(AblationRecord, Option<CurvesRecord>)>> {
        let mean = &self.means[network];
        let (mut centres, mut ablated) = (Vec::new(), Vec::new());
        for answer in answers {
            let places = self.ablation.centres(&answer.planes[way])?;
            ablated.push(self.ablation.apply(inputs[answer.unit.picture], mean, &places)?);
            centres.push(places);
        }
        let scores = subject.explainer.scores(&ablated)?;
        let mut measured = Vec::new();
        for ((answer, centres), scores) in answers.iter().zip(centres).zip(scores) {
            let class = answer.unit.class;
            let ablation = AblationRecord {
                centres,
                drop_logit: answer.score() - f64::from(scores[class]),
                drop_probability: answer.probability() - probabilities(&scores)[class],
            };
            let input = inputs[answer.unit.picture];
            let curves = self.curves.map(|curves| curve(curves, subject, answer, way, input, mean));
            measured.push((ablation, curves.transpose()?));
        }
        Ok(measured)
    }
}

/// The probabilities of a class while its picture is deleted, and inserted.
fn curve(
    curves: Perturbation,
    subject: &Subject,
    answer: &Answer,
    way: usize,
    input: &Tensor,
    mean: &Tensor,
) -> Result<CurvesRecord> {
    let order = Perturbation::order(&answer.planes[way])?;
    let probabilities = |inputs: Vec<Tensor>| -> Result<Vec<f64>> {
        let scores = subject.explainer.scores(&inputs)?;
        Ok(scores.iter().map(|scores| probabilities(scores)[answer.unit.class]).collect())
    };
    let steps = || 0..=curves.steps;
    let deleted = steps().map(|step| curves.deletion(input, mean, &order, step));
    let inserted = steps().map(|step| curves.insertion(input, mean, &order, step));
    Ok(CurvesRecord {
        deletion: probabilities(deleted.collect::<clrp::Result<_>>()?)?,
        insertion: probabilities(inserted.collect::<clrp::Result<_>>()?)?,
    })
}
