//! Sanity checks (Adebayo et al. 2018): maps of a network whose weights are shuffled from the top
//! down, and maps of another class, must differ from those of the network and the class.

use clrp::graph::{Network, Op, Weights};
use clrp::image::Plane;
use clrp::num::mix;
use clrp::similarity::Similarity;
use clrp::weight::Weight;
use clrp::{Cancel, Tensor};

use super::part::{Part, Ready, Unit};
use super::record::{AlikeRecord, MethodRecord, ObjectRecord, Record};
use super::running::Prepared;
use super::subject::{Answer, Subject, Way};
use crate::datasets::Dataset;
use crate::failure::Result;

/// What is checked of maps.
pub(crate) struct SanityCheck<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) subjects: &'a [Subject],
    pub(crate) ways: &'a [Way],
    pub(crate) stop: &'a Cancel,
    /// For each network, the same with ever more layers shuffled, and the last of those layers.
    pub(crate) shuffled: Vec<Vec<(String, Subject)>>,
}

/// The name of the change that is another class.
pub(super) const CLASS: &str = "class";

impl SanityCheck<'_> {
    /// Measures a part of the data set.
    pub(crate) fn measure(&self, part: &[Prepared<Ready>]) -> Result<Vec<Record>> {
        let mut part = Part::new(self.dataset, part);
        for (network, subject) in self.subjects.iter().enumerate() {
            let units = part.units(self.dataset, network, subject)?;
            for (unit, object) in self.objects(network, &part.inputs(network), &units)? {
                part.record(unit).objects.push(object);
            }
        }
        Ok(part.records)
    }

    fn objects(
        &self,
        network: usize,
        inputs: &[&Tensor],
        units: &[Unit],
    ) -> Result<Vec<(Unit, ObjectRecord)>> {
        let subject = &self.subjects[network];
        let own = subject.answers(inputs, units, self.ways, self.stop)?;
        let mut objects: Vec<(Unit, ObjectRecord)> = own
            .iter()
            .map(|answer| {
                let methods = vec![MethodRecord::default(); self.ways.len()];
                (answer.unit, ObjectRecord::of(network, subject, answer, methods))
            })
            .collect();
        let least = |answer: &Answer| {
            let class = least(&answer.scores, answer.unit.class);
            Unit { class, ..answer.unit }
        };
        let others: Vec<Unit> = own.iter().map(least).collect();
        let changed = subject.answers(inputs, &others, self.ways, self.stop)?;
        compare(CLASS, &own, &changed, &mut objects)?;
        for (layer, shuffled) in &self.shuffled[network] {
            let changed = shuffled.answers(inputs, units, self.ways, self.stop)?;
            compare(layer, &own, &changed, &mut objects)?;
        }
        Ok(objects)
    }
}

/// The class that the network thinks of last, of all others if there are any.
fn least(scores: &[f32], own: usize) -> usize {
    let others = (0..scores.len()).filter(|class| *class != own);
    others.min_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(own)
}

/// Puts on record how like their maps are.
fn compare(
    change: &str,
    own: &[Answer],
    changed: &[Answer],
    objects: &mut [(Unit, ObjectRecord)],
) -> Result<()> {
    for ((own, changed), (_, object)) in own.iter().zip(changed).zip(objects) {
        let planes = own.planes.iter().zip(&changed.planes);
        for ((one, other), method) in planes.zip(&mut object.methods) {
            let Some(one) = one else {
                method.not_finite = true;
                continue;
            };
            // What was shuffled may overflow: that is like nothing.
            let Some(other) = other else { continue };
            let alike = Similarity::of(one, other)?;
            let of_absolute = Similarity::of(&absolute(one)?, &absolute(other)?)?;
            // Maps of nothing are neither like others nor unlike them.
            let (Some(alike), Some(of_absolute)) = (alike, of_absolute) else { continue };
            method.alike.push(AlikeRecord {
                change: change.to_owned(),
                spearman: alike.spearman,
                ssim: alike.ssim,
                spearman_abs: of_absolute.spearman,
            });
        }
    }
    Ok(())
}

fn absolute(plane: &Plane) -> clrp::Result<Plane> {
    let values = plane.values().iter().map(|value| value.abs()).collect();
    Plane::new(plane.height(), plane.width(), values)
}

/// The layers down to which weights are shuffled, in so many steps from the top of a network to its
/// bottom: for each step the last of them.
pub(crate) fn steps(network: &Network, count: usize) -> Vec<String> {
    let is_weighted = |op: &Op| matches!(op, Op::Conv2d(_) | Op::Linear(_));
    let nodes = network.graph().nodes().iter().rev().filter(|node| is_weighted(&node.op));
    let layers: Vec<String> = nodes.map(|node| node.name.clone()).collect();
    let count = count.min(layers.len());
    // The last step takes them all.
    (1..=count).map(|step| layers[(step * layers.len()).div_ceil(count) - 1].clone()).collect()
}

/// The network with the weights of its layers shuffled, from the last one down to `layer`. Each
/// tensor keeps its values, in another order.
pub(crate) fn shuffled(network: &Network, layer: &str, seed: u64) -> clrp::Result<Network> {
    let graph = network.graph();
    let first = graph.nodes().iter().position(|node| node.name == layer).unwrap_or(0);
    let is_shuffled = |name: &str| {
        let of = |node: &clrp::graph::Node| {
            name.strip_prefix(&node.name).is_some_and(|rest| rest.starts_with('.'))
                && matches!(node.op, Op::Conv2d(_) | Op::Linear(_))
        };
        graph.nodes()[first..].iter().any(of)
    };
    let weights =
        network.weights().enumerate().map(|(number, weight)| match is_shuffled(weight.name()) {
            true => reordered(weight, mix(seed ^ mix(number as u64))),
            false => weight.clone(),
        });
    Weights::from_weights("shuffled weights", weights).bind(graph.clone())
}

/// Fisher and Yates's shuffle.
fn reordered(weight: &Weight, seed: u64) -> Weight {
    let rows = weight.values();
    let mut values: Vec<f32> = (0..weight.len()).map(|i| rows.get::<f32>(i)).collect();
    for i in (1..values.len()).rev() {
        // A remainder prefers no number by more than 2^-30 for tensors of any size.
        let other = mix(seed.wrapping_add(mix(i as u64))) % (i as u64 + 1);
        values.swap(i, other as usize);
    }
    Weight::from_f32(weight.name(), weight.shape(), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_class_is_never_the_same() {
        assert_eq!(least(&[0.5, -1.0, 0.0], 0), 1);
        assert_eq!(least(&[0.5, -1.0, 0.0], 1), 2);
        assert_eq!(least(&[0.5], 0), 0);
    }

    #[test]
    fn steps_go_from_the_top_to_the_bottom() {
        let model = clrp::models::Model::find("digits").expect("it is bundled");
        let weights = model.bundled().expect("it is bundled").expect("it is whole");
        let network = model.network(model.input_shape(), weights).expect("they suit");
        let all = steps(&network, 99);
        assert_eq!(all.first().map(String::as_str), Some("classifier.2"));
        assert_eq!(all.last().map(String::as_str), Some("features.0"));
        let two = steps(&network, 2);
        assert_eq!((two.len(), two.last()), (2, all.last()));
        let changed = |layer: &str| -> Vec<String> {
            let other = shuffled(&network, layer, 1).expect("it is the same graph");
            let pairs = network.weights().zip(other.weights());
            let differ = |(one, other): &(&Weight, &Weight)| {
                (0..one.len()).any(|i| one.values().get::<f32>(i) != other.values().get::<f32>(i))
            };
            pairs.filter(differ).map(|(one, _)| one.name().to_owned()).collect()
        };
        assert_eq!(changed("classifier.2"), ["classifier.2.bias", "classifier.2.weight"]);
        assert_eq!(changed("features.0").len(), network.weights().count());
    }
}
