//! A part of a data set: pictures as networks see them, and the records that they become.

use clrp::evaluation::Region;
use clrp::image::{Picture, Preprocess};
use clrp::{Error, Tensor};

use super::record::Record;
use super::running::Prepared;
use super::subject::Subject;
use crate::datasets::{Dataset, Object, Sample};
use crate::failure::{Failure, Result};

/// A picture as one network sees it.
pub(crate) struct View {
    pub(crate) input: Tensor,
    pub(crate) seen: Picture,
    /// What the boxes of each object cover of the input; none without boxes.
    pub(crate) regions: Vec<Option<Region>>,
}

/// A picture that is ready.
pub(crate) struct Ready {
    pub(crate) objects: Vec<Object>,
    /// Whether each object is difficult: small in the picture, and not alone in it.
    pub(crate) difficult: Vec<bool>,
    /// One for each network.
    pub(crate) views: Vec<View>,
}

impl Ready {
    /// Brings a picture of the data set to all networks.
    pub(crate) fn load(dataset: &Dataset, index: usize, subjects: &[Subject]) -> Result<Self> {
        let Sample { picture, objects } = dataset.load(index)?;
        let views = subjects.iter().map(|subject| {
            let view = View::of(&picture, &objects, subject.explainer.preprocess())?;
            let (found, expected) =
                (view.input.shape(), subject.explainer.network().graph().input_shape());
            if found != expected {
                return Err(Failure::Said(format!(
                    "it becomes an input of {found}, `{}` takes {expected}",
                    subject.name
                )));
            }
            Ok(view)
        });
        let views = views.collect::<Result<_>>()?;
        Ok(Self { views, difficult: difficult(&picture, &objects)?, objects })
    }
}

/// An object is difficult if its boxes cover less of the picture than this, and the picture shows
/// another one (Zhang et al. 2016).
const DIFFICULT: f64 = 0.25;

fn difficult(picture: &Picture, objects: &[Object]) -> Result<Vec<bool>> {
    let size = [picture.height() as usize, picture.width() as usize];
    let is_small = |object: &Object| -> clrp::Result<bool> {
        let covered = Region::union(size, &object.boxes)?.area() as f64;
        Ok(covered < DIFFICULT * (size[0] * size[1]) as f64)
    };
    let is_difficult =
        |object: &Object| Ok(objects.len() > 1 && !object.boxes.is_empty() && is_small(object)?);
    objects.iter().map(is_difficult).collect()
}

impl View {
    fn of(picture: &Picture, objects: &[Object], preprocess: &Preprocess) -> Result<Self> {
        let geometry = preprocess.geometry(picture.width(), picture.height())?;
        let (input, seen) = preprocess.apply(picture)?;
        let size = [seen.height() as usize, seen.width() as usize];
        let region = |object: &Object| {
            let placed: Vec<_> = object.boxes.iter().map(|b| b.placed(&geometry)).collect();
            let region = (!placed.is_empty()).then(|| Region::union(size, &placed));
            region.transpose()
        };
        let regions = objects.iter().map(region).collect::<clrp::Result<_>>()?;
        Ok(Self { input, seen, regions })
    }
}

/// An object of a picture, as the class of a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// Which of the pictures that run together.
    pub(crate) picture: usize,
    /// Which of its objects.
    pub(crate) object: usize,
    pub(crate) class: usize,
}

/// Pictures that run together.
pub(crate) struct Part<'a> {
    /// One for each picture, read or not.
    pub(crate) records: Vec<Record>,
    /// Those that could be read.
    pub(crate) pictures: Vec<&'a Ready>,
    /// Which records are theirs.
    places: Vec<usize>,
}

impl<'a> Part<'a> {
    pub(crate) fn new(dataset: &Dataset, prepared: &'a [Prepared<Ready>]) -> Self {
        let mut part = Self { records: Vec::new(), pictures: Vec::new(), places: Vec::new() };
        for Prepared { index, picture } in prepared {
            let (index, name) = (*index, dataset.name(*index));
            let record = match picture {
                Ok(ready) => {
                    part.places.push(part.records.len());
                    part.pictures.push(ready);
                    Record::new(index, name)
                }
                Err(error) => Record::failed(index, name, error.clone()),
            };
            part.records.push(record);
        }
        part
    }

    /// The record of a unit's picture.
    pub(crate) fn record(&mut self, unit: Unit) -> &mut Record {
        self.record_of(unit.picture)
    }

    /// The record of a picture that could be read.
    pub(crate) fn record_of(&mut self, picture: usize) -> &mut Record {
        &mut self.records[self.places[picture]]
    }

    /// All objects as classes of the network; those of classes that it lacks go on record.
    ///
    /// # Errors
    /// If a class may be several of the network's.
    pub(crate) fn units(
        &mut self,
        dataset: &Dataset,
        network: usize,
        subject: &Subject,
    ) -> Result<Vec<Unit>> {
        let mut units = Vec::new();
        for (picture, ready) in self.pictures.iter().enumerate() {
            for (object, Object { class, .. }) in ready.objects.iter().enumerate() {
                match dataset.class_of(class, &subject.labels, &subject.name) {
                    Ok(class) => units.push(Unit { picture, object, class }),
                    Err(Error::UnknownName { .. } | Error::TargetOutOfRange { .. }) => {
                        let record = &mut self.records[self.places[picture]];
                        record.lacking.push((network, class.clone()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(units)
    }

    /// What a network gets of each picture.
    pub(crate) fn inputs(&self, network: usize) -> Vec<&'a Tensor> {
        self.pictures.iter().map(|ready| &ready.views[network].input).collect()
    }
}
