//! Methods that run the network many times on changed pictures: SmoothGrad, integrated gradients,
//! occlusion, RISE.

use super::run::{Job, Progress, tensor};
use super::samples::Sample;
use super::target::Group;
use super::{Explainer, Explanation, Goal, softmax};
use crate::backend::Input;
use crate::error::Result;
use crate::graph::NodeId;
use crate::methods::{Method, Samples};
use crate::tensor::{Shape, Tensor};

/// A picture whose targets are explained.
pub(super) struct Sampled<'a> {
    pub(super) picture: &'a Tensor,
    pub(super) group: &'a Group,
    pub(super) at: NodeId,
    /// The values of the targets for the picture itself.
    pub(super) values: &'a [f64],
}

impl Explainer {
    /// The explanations of all targets of a picture by a sampled method.
    pub(super) fn sampled(
        &self,
        (method, kind): (Method, Samples),
        of: &Sampled<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Explanation>> {
        let start = std::time::Instant::now();
        let shape = of.picture.shape();
        let inner = kind.inner();
        let planes = if inner.is_some() { shape.channels } else { 1 };
        let at_once = self.samples_at_once(inner, of.at, of.group.targets(of.group.goals.len()))?;
        let count = of.group.goals.len();
        let len = planes * shape.height * shape.width;
        let mut sums = vec![vec![0.0; len]; count];
        let mut weights = vec![0.0; shape.height * shape.width];
        let mut samples = self.sampling.samples(kind, of.picture, self.seed).peekable();
        while samples.peek().is_some() {
            let batch: Vec<Sample> = samples.by_ref().take(at_once).collect();
            let results = self.of_samples(inner, of, &batch, progress)?;
            for (i, sample) in batch.iter().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    let result = &results[i * count + j];
                    add(kind, sum, sample, result, of.values[j]);
                }
                if let Some(mask) = &sample.mask {
                    weights.iter_mut().zip(mask).for_each(|(w, m)| *w += m);
                }
            }
            progress.advance(batch.len())?;
        }
        let seconds = start.elapsed().as_secs_f64() / count as f64;
        let layer = self.layer_name(of.at);
        let explanation = |(j, mut sum): (usize, Vec<f64>)| {
            finish(kind, &mut sum, of.picture, &weights);
            let shape = Shape::new(planes, shape.height, shape.width);
            let of_what = (method, &of.group.goals[j], layer.clone());
            let map = tensor(shape, &sum)?;
            let made = Explanation::of_map(
                of_what,
                of.values[j],
                map,
                sum.iter().sum(),
                self.device.roundoff(),
            );
            Ok(Explanation { seconds, ..made })
        };
        sums.into_iter().enumerate().map(explanation).collect()
    }

    /// For each sample and target: the map of the inner method, or the target's value alone.
    fn of_samples(
        &self,
        inner: Option<Method>,
        of: &Sampled<'_>,
        samples: &[Sample],
        progress: &Progress<'_>,
    ) -> Result<Vec<Vec<f64>>> {
        let count = of.group.goals.len();
        let (targets, rows) = Group::joined(&vec![of.group; samples.len()]);
        let job = Job::of_samples(inner, of.at, targets, samples.len());
        let pictures: Vec<f64> = samples.iter().flat_map(|s| s.picture.iter().copied()).collect();
        let results = self.execute(&job, Input::Double(&pictures), Some(&rows), progress)?;
        if let Some((maps, _)) = inner.and_then(|method| results.maps(method)) {
            let len = maps.len() / (samples.len() * count);
            return Ok(maps.chunks_exact(len).map(<[f64]>::to_vec).collect());
        }
        let scores = results.scores();
        let values = results.values();
        let classes = scores.len() / samples.len();
        // Only classes have probabilities.
        let shares: Vec<Vec<f64>> = match of.at == self.network.graph().output() {
            true => scores.chunks_exact(classes).map(softmax).collect(),
            false => Vec::new(),
        };
        let value = |(i, value): (usize, &f64)| {
            let shares = shares.get(i / count).map(|shares| (shares, &of.group.goals[i % count]));
            let probability = shares.and_then(|(shares, goal)| probability(goal, shares));
            vec![*value, probability.unwrap_or(*value)]
        };
        Ok(values.iter().enumerate().map(value).collect())
    }
}

/// From the sum over samples to the map.
fn finish(kind: Samples, sum: &mut [f64], picture: &Tensor, weights: &[f64]) {
    match kind {
        Samples::Path(_) => {
            sum.iter_mut().zip(picture.values()).for_each(|(s, x)| *s *= f64::from(*x));
        }
        // Where windows overlap, their mean.
        Samples::Windows => {
            sum.iter_mut().zip(weights).filter(|(_, w)| **w > 0.0).for_each(|(s, w)| *s /= w);
        }
        Samples::Noise(_) | Samples::Masks => {}
    }
}

/// Adds what a sample says of a target.
fn add(kind: Samples, sum: &mut [f64], sample: &Sample, result: &[f64], value: f64) {
    let by_mask = |sum: &mut [f64], factor: f64| {
        let mask = sample.mask.iter().flatten();
        sum.iter_mut().zip(mask).for_each(|(s, m)| *s += factor * m);
    };
    match kind {
        Samples::Windows => by_mask(sum, value - result[0]),
        Samples::Masks => by_mask(sum, sample.weight * result[1]),
        Samples::Noise(_) | Samples::Path(_) => {
            sum.iter_mut().zip(result).for_each(|(s, r)| *s += sample.weight * r);
        }
    }
}

/// The probability of what is explained, if that are classes.
fn probability(goal: &Goal, shares: &[f64]) -> Option<f64> {
    Some(match goal {
        Goal::Class(class) | Goal::Against { class, .. } => shares[*class],
        Goal::Mixture(parts) => {
            let sum: f64 = parts.iter().map(|(_, weight)| f64::from(*weight)).sum();
            parts.iter().map(|(class, weight)| shares[*class] * f64::from(*weight) / sum).sum()
        }
        Goal::Channel(_) | Goal::Neuron { .. } => return None,
    })
}
