//! How neurons of a layer differ (Gu et al. 2018, section 5.3): the patch that each depends on, and
//! what becomes of all of them without it.

use clrp::evaluation::Ablation;
use clrp::image::Plane;
use clrp::{Cancel, Explanation, Goal, Method, Request, Target, Tensor};

use super::part::{Part, Ready};
use super::plot::{Figure, Matrix, matrix};
use super::record::{Header, NeuronsRecord, Record};
use super::running::Prepared;
use super::subject::{Subject, Way};
use crate::datasets::Dataset;
use crate::failure::Result;

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
pub(crate) struct NeuronMaps {
    pub(crate) method: Method,
    pub(crate) neurons: Vec<Goal>,
    pub(crate) values: Vec<f32>,
    pub(crate) planes: Vec<Plane>,
}

impl NeuronStudy<'_> {
    /// Measures a part of the data set.
    pub(crate) fn measure(&self, part: Vec<Prepared<Ready>>) -> Result<Vec<Record>> {
        let mut part = Part::new(self.dataset, part);
        for (network, subject) in self.subjects.iter().enumerate() {
            let mut measured = Vec::new();
            {
                let inputs = part.inputs(network);
                for (input, maps) in inputs.iter().zip(self.maps(subject, &inputs)?) {
                    let of_ways = maps.iter().map(|maps| self.record(network, input, maps));
                    measured.push(of_ways.collect::<Result<Vec<_>>>()?);
                }
            }
            for (picture, neurons) in measured.into_iter().enumerate() {
                part.record_of(picture).neurons.extend(neurons);
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
        for explained in subject.explainer.explain_all(inputs, &request)? {
            let of_method = |method: &Method| {
                let own = explained.explanations.iter().filter(|one| one.method == *method);
                let own: Vec<&Explanation> = own.collect();
                Ok(NeuronMaps {
                    method: *method,
                    neurons: own.iter().map(|one| one.goal.clone()).collect(),
                    values: own.iter().map(|one| one.score).collect(),
                    planes: own.iter().map(|one| one.plane()).collect::<clrp::Result<_>>()?,
                })
            };
            all.push(methods.iter().map(of_method).collect::<Result<Vec<_>>>()?);
        }
        Ok(all)
    }

    /// The matrix of figure 5c: row i without the patch of neuron i, column j the drop of neuron j.
    fn record(&self, network: usize, input: &Tensor, maps: &NeuronMaps) -> Result<NeuronsRecord> {
        let (mut centres, mut ablated) = (Vec::new(), Vec::new());
        for plane in &maps.planes {
            let places = self.ablation.centres(plane)?;
            ablated.push(self.ablation.apply(input, &self.means[network], &places)?);
            centres.extend(places.first());
        }
        let layer = self.target.layer().unwrap_or_default();
        let without = self.values(&self.subjects[network], &ablated, &maps.neurons, layer)?;
        let drops = |values: &Vec<f32>| {
            let pairs = maps.values.iter().zip(values);
            pairs.map(|(with, without)| f64::from(*with) - f64::from(*without)).collect()
        };
        Ok(NeuronsRecord {
            network,
            layer: layer.to_owned(),
            method: maps.method.name().to_owned(),
            neurons: maps.neurons.iter().map(ToString::to_string).collect(),
            values: maps.values.iter().map(|value| f64::from(*value)).collect(),
            centres,
            drops: without.iter().map(drops).collect(),
        })
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
        let explained = subject.explainer.explain_all(inputs, &request)?;
        let values =
            explained.iter().map(|of| of.explanations.iter().map(|one| one.score).collect());
        Ok(values.collect())
    }
}

/// Pictures whose matrices are drawn.
const DRAWN: usize = 4;

/// Figure 5c of the first pictures, by each method.
pub(crate) fn matrices(header: &Header, records: &[Record]) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let with_neurons = records.iter().filter(|record| !record.neurons.is_empty());
    for record in with_neurons.take(DRAWN) {
        for neurons in &record.neurons {
            let network = &header.networks[neurons.network].name;
            let title = format!("{}: {} of {network}", record.name, neurons.method);
            let plotted = matrix(&Matrix {
                title: title.clone(),
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
