//! How neurons of a layer differ (Gu et al. 2018, section 5.3): the patch that each depends on, and
//! what becomes of all of them without it.

use clrp::evaluation::Ablation;
use clrp::image::{Picture, Plane, Sheet, SheetRow, render};
use clrp::{Cancel, Explanation, Goal, Method, Request, Shape, Target, Tensor};

use super::part::{Part, Ready};
use super::plot::{Figure, Head, Matrix, matrix};
use super::record::{Header, NeuronsRecord, Record};
use super::records::{Records, first_of};
use super::results::{Example, Examples};
use super::running::Prepared;
use super::subject::{Subject, Way};
use crate::datasets::Dataset;
use crate::failure::Result;
use crate::maps::palette;

/// What is measured of neurons.
pub(crate) struct NeuronStudy<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) subjects: &'a [Subject],
    pub(crate) ways: &'a [Way],
    pub(crate) stop: &'a Cancel,
    /// The strongest ones of a layer, or those named.
    pub(crate) target: Target,
    pub(crate) ablation: Ablation,
    /// The mean of the data set as an input, one for each network.
    pub(crate) means: Vec<Tensor>,
}

/// The maps of a picture's neurons by one way.
#[derive(Clone)]
pub(crate) struct NeuronMaps {
    pub(crate) method: Method,
    pub(crate) neurons: Vec<Goal>,
    pub(crate) values: Vec<f32>,
    /// None where one is not finite.
    pub(crate) planes: Option<Vec<Plane>>,
}

impl NeuronStudy<'_> {
    /// Measures a part of the data set.
    pub(crate) fn measure(&self, part: &[Prepared<Ready>]) -> Result<Vec<Record>> {
        let mut part = Part::new(self.dataset, part);
        for (network, subject) in self.subjects.iter().enumerate() {
            let inputs = part.inputs(network);
            let all = self.maps(subject, &inputs)?;
            for (picture, (input, maps)) in inputs.iter().zip(all).enumerate() {
                for maps in &maps {
                    let neurons = self.record(network, input, maps)?;
                    part.record_of(picture).neurons.push(neurons);
                }
            }
        }
        Ok(part.records)
    }

    /// For each picture, the maps of each way.
    pub(crate) fn maps(
        &self,
        subject: &Subject,
        inputs: &[&Tensor],
    ) -> Result<Vec<Vec<NeuronMaps>>> {
        let methods: Vec<Method> = self.ways.iter().filter_map(|way| way.method()).collect();
        let request = Request::new(methods.clone(), self.target.clone()).cancel(self.stop);
        let mut all = Vec::new();
        for explained in subject.explained(inputs, &request)? {
            let of_method = |method: &Method| {
                let own = explained.explanations.iter().filter(|one| one.method == *method);
                let own: Vec<&Explanation> = own.collect();
                let planes: Vec<Plane> =
                    own.iter().map(|one| one.plane()).collect::<clrp::Result<_>>()?;
                let is_finite = |plane: &Plane| plane.values().iter().all(|v| v.is_finite());
                Ok(NeuronMaps {
                    method: *method,
                    neurons: own.iter().map(|one| one.goal.clone()).collect(),
                    values: own.iter().map(|one| one.score).collect(),
                    planes: planes.iter().all(is_finite).then_some(planes),
                })
            };
            all.push(methods.iter().map(of_method).collect::<Result<Vec<_>>>()?);
        }
        Ok(all)
    }

    /// The matrix of figure 5c: row i without the patch of neuron i, column j the drop of neuron j.
    fn record(&self, network: usize, input: &Tensor, maps: &NeuronMaps) -> Result<NeuronsRecord> {
        let layer = self.target.layer().unwrap_or_default();
        let record = NeuronsRecord {
            network,
            layer: layer.to_owned(),
            method: maps.method.name().to_owned(),
            neurons: maps.neurons.iter().map(ToString::to_string).collect(),
            values: maps.values.iter().map(|value| f64::from(*value)).collect(),
            not_finite: maps.planes.is_none(),
            centres: Vec::new(),
            drops: Vec::new(),
        };
        let Some(planes) = &maps.planes else { return Ok(record) };
        let (mut centres, mut ablated) = (Vec::new(), Vec::new());
        for plane in planes {
            let places = self.ablation.centres(plane)?;
            ablated.push(self.ablation.apply(input, &self.means[network], &places)?);
            centres.extend(places.first());
        }
        let without = self.values(&self.subjects[network], &ablated, &maps.neurons, layer)?;
        let drops = |values: &Vec<f32>| {
            let pairs = maps.values.iter().zip(values);
            pairs.map(|(with, without)| f64::from(*with) - f64::from(*without)).collect()
        };
        Ok(NeuronsRecord { centres, drops: without.iter().map(drops).collect(), ..record })
    }

    /// The values of the neurons for each input.
    fn values(
        &self,
        subject: &Subject,
        inputs: &[Tensor],
        neurons: &[Goal],
        layer: &str,
    ) -> Result<Vec<Vec<f32>>> {
        // Noise is the map that costs nothing.
        let target = Target::goals(neurons.iter().cloned()).at(layer);
        let request = Request::new(Method::Random, target).cancel(self.stop);
        let explained = subject.explained(inputs, &request)?;
        let values =
            explained.iter().map(|of| of.explanations.iter().map(|one| one.score).collect());
        Ok(values.collect())
    }

    /// The first pictures for the report: the maps of the first network's neurons by each way, and
    /// below them the patch that each depends on in what the network sees.
    pub(crate) fn examples(&self, records: &impl Records) -> Result<Vec<Examples>> {
        let Some(subject) = self.subjects.first() else { return Ok(Vec::new()) };
        let mut pictures = Vec::new();
        for record in first_of(records, DRAWN, |record| !record.neurons.is_empty())? {
            let ready = Ready::load(self.dataset, record.index, &self.subjects[..1])?;
            let view = &ready.views[0];
            for maps in self.maps(subject, &[&view.input])?.concat() {
                let Some(planes) = &maps.planes else { continue };
                let page = self.page(&view.seen, planes, &maps.neurons)?;
                pictures.push(Example {
                    title: format!("{}: {}", record.name, maps.method.title()),
                    caption: format!("neurons of {}", self.target.layer().unwrap_or_default()),
                    png: page.encode_png(),
                });
            }
        }
        let caption = "For each neuron its map, and below it, as it was, the patch at the map's \
                       maximum that is taken out";
        let (title, caption) = ("Maps and patches".to_owned(), caption.to_owned());
        Ok(vec![Examples { title, caption, pictures }])
    }

    /// Maps over patches, a column for each neuron.
    fn page(&self, seen: &Picture, planes: &[Plane], neurons: &[Goal]) -> Result<Picture> {
        let maps = planes.iter().map(|plane| render(plane, palette(plane))).collect();
        let patches = planes.iter().map(|plane| self.patch(seen, plane));
        let patches = patches.collect::<Result<_>>()?;
        let row = |label: &str, pictures| SheetRow {
            label: label.to_owned(),
            pictures,
            ..SheetRow::default()
        };
        let captions = neurons.iter().map(ToString::to_string).collect();
        let rows = vec![row("map", maps), row("patch", patches)];
        Ok(Sheet { captions, rows }.render()?)
    }

    /// The picture, dim but for the patch that the map points at.
    fn patch(&self, seen: &Picture, plane: &Plane) -> Result<Picture> {
        let (width, height) = (seen.width(), seen.height());
        let shape = Shape::new(1, height as usize, width as usize);
        let ones = Tensor::new(shape, vec![1.0; shape.len()])?;
        let centres = self.ablation.centres(plane)?;
        let kept = self.ablation.apply(&ones, &Tensor::zeros(shape), &centres)?;
        let pixels = seen.pixels().iter().enumerate().map(|(at, value)| {
            let is_dim = kept.values()[at / 3] > 0.0;
            if is_dim { value / DIMMED } else { *value }
        });
        Ok(Picture::new(width, height, pixels.collect())?)
    }
}

/// How much darker a picture is beside a patch.
const DIMMED: u8 = 4;

/// Pictures whose matrices are drawn.
const DRAWN: usize = 4;

/// Figure 5c of the first pictures, by each method.
pub(crate) fn matrices(header: &Header, records: &impl Records) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for record in first_of(records, DRAWN, |record| !record.neurons.is_empty())? {
        for neurons in record.neurons.iter().filter(|neurons| neurons.is_square()) {
            let Some(network) = header.networks.get(neurons.network) else { continue };
            let network = &network.name;
            let title = format!("{}: {} of {network}", record.name, neurons.method);
            let note = format!(
                "what a neuron's value loses (as itself, no unit); white 0, orange a loss, blue a \
                 gain; composite {}",
                header.composite
            );
            let plotted = matrix(&Matrix {
                head: Head { title: title.clone(), note },
                row_title: "patch of".to_owned(),
                column_title: format!("drop of {}", neurons.layer),
                rows: neurons.neurons.clone(),
                columns: neurons.neurons.clone(),
                values: neurons.drops.clone(),
            })?;
            let name = format!("neurons-{}-{}-{}", neurons.network, neurons.method, record.index);
            figures.push(Figure { name, title, plotted });
        }
    }
    Ok(figures)
}
