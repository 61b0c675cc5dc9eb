//! Batch norm folded into the linear layers beside it (as zennit's canonizers do), so that rules
//! see the weights that the network acts by. Folding leaves the scores as they are.

use crate::error::{Error, Result};
use crate::graph::{Conv2d, Graph, Linear, Network, Node, NodeId, Op, Weights};
use crate::weight::Weight;

/// What becomes of batch norm before rules apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchNorm {
    /// It stays, and relevance passes it as it is (Gu et al. 2018).
    #[default]
    Bypass,
    /// It is folded into the layer before it, else into the convolution after it; where neither
    /// is next to it, as between a concatenation and a ReLU, it stays and is passed.
    Fold,
}

/// The network with batch norm folded where a linear layer is next to it; what was folded is an
/// [`Op::Identity`] afterwards, and the changed weights are 64-bit numbers.
///
/// # Errors
/// [`Error::Unsupported`] naming a batch norm whose shift would have to go into a convolution
/// that pads with zeros: at the border no bias can stand for it.
pub fn fold_batch_norm(network: &Network) -> Result<Network> {
    let graph = network.graph();
    let mut folding = Folding { network, folded: vec![None; graph.nodes().len()] };
    let mut identities = vec![false; graph.nodes().len()];
    for (id, node) in graph.nodes().iter().enumerate() {
        let Op::BatchNorm2d { epsilon } = node.op else { continue };
        let Some(affine) = Affine::of(network, node, epsilon) else { continue };
        let before = node.inputs[0];
        if is_linear(graph.node(before)) && graph.readers(before).count() == 1 {
            folding.fold_back(before, &affine);
            identities[id] = true;
        } else if let Some(after) = folding.convolution_after(NodeId(id))? {
            folding.fold_ahead(after, &affine);
            identities[id] = true;
        }
    }
    folding.finish(&identities)
}

fn is_linear(node: &Node) -> bool {
    matches!(node.op, Op::Conv2d(_) | Op::Linear(_))
}

/// `y = scale * x + shift` for each channel.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    fn of(network: &Network, node: &Node, epsilon: f64) -> Option<Self> {
        let of = |suffix| network.weight(&node.name, suffix).map(values);
        let (weight, bias) = (of("weight")?, of("bias")?);
        let (mean, variance) = (of("running_mean")?, of("running_var")?);
        let scale: Vec<f64> =
            weight.iter().zip(&variance).map(|(w, v)| w / (v + epsilon).sqrt()).collect();
        let shift = (0..scale.len()).map(|c| bias[c] - mean[c] * scale[c]).collect();
        Some(Self { scale, shift })
    }
}

fn values(weight: &Weight) -> Vec<f64> {
    (0..weight.len()).map(|i| weight.values().get(i)).collect()
}

/// Weight and bias of a layer that something was folded into.
#[derive(Clone)]
struct Folded {
    weight: Vec<f64>,
    bias: Vec<f64>,
}

struct Folding<'a> {
    network: &'a Network,
    folded: Vec<Option<Folded>>,
}

impl Folding<'_> {
    /// The layer's weight and bias as they are by now.
    fn layer(&mut self, id: NodeId) -> &mut Folded {
        let node = self.network.graph().node(id);
        let of = |suffix| self.network.weight(&node.name, suffix).map(values);
        self.folded[id.0].get_or_insert_with(|| Folded {
            weight: of("weight").expect("linear layers have weights"),
            bias: of("bias").unwrap_or_else(|| vec![0.0; node.shape.channels]),
        })
    }

    fn fold_back(&mut self, id: NodeId, affine: &Affine) {
        let layer = self.layer(id);
        let of_a_channel = layer.weight.len() / layer.bias.len();
        let channels = layer.weight.chunks_exact_mut(of_a_channel).zip(&mut layer.bias);
        for ((weight, bias), (scale, shift)) in channels.zip(affine.scale.iter().zip(&affine.shift))
        {
            weight.iter_mut().for_each(|w| *w *= scale);
            *bias = *bias * scale + shift;
        }
    }

    /// The convolution that alone reads a node, if there is one.
    fn convolution_after(&self, id: NodeId) -> Result<Option<NodeId>> {
        let graph = self.network.graph();
        let mut readers = graph.readers(id);
        let (Some(after), None) = (readers.next(), readers.next()) else { return Ok(None) };
        let Op::Conv2d(conv) = graph.node(after).op else { return Ok(None) };
        if [conv.padding, conv.more_padding].concat().iter().any(|&zeros| zeros > 0) {
            let (name, after) = (&graph.node(id).name, &graph.node(after).name);
            return Err(Error::Unsupported {
                what: format!("folding batch norm `{name}`"),
                why: format!("`{after}` after it pads with zeros, which no bias can stand for"),
            });
        }
        Ok(Some(after))
    }

    fn fold_ahead(&mut self, id: NodeId, affine: &Affine) {
        let node = self.network.graph().node(id);
        let Op::Conv2d(Conv2d { groups, kernel, .. }) = node.op else { return };
        let taps = kernel[0] * kernel[1];
        let layer = self.layer(id);
        let inputs = layer.weight.len() / layer.bias.len() / taps;
        let outputs = layer.bias.len() / groups;
        for (o, weight) in layer.weight.chunks_exact_mut(inputs * taps).enumerate() {
            for (i, taps) in weight.chunks_exact_mut(taps).enumerate() {
                let channel = o / outputs * inputs + i;
                layer.bias[o] += taps.iter().sum::<f64>() * affine.shift[channel];
                taps.iter_mut().for_each(|w| *w *= affine.scale[channel]);
            }
        }
    }

    /// The network with the new weights.
    fn finish(self, identities: &[bool]) -> Result<Network> {
        let old = self.network.graph();
        let mut graph = Graph::new(old.name(), old.input_shape());
        for (id, node) in old.nodes().iter().enumerate().skip(1) {
            let mut op = if identities[id] { Op::Identity } else { node.op.clone() };
            if let (Op::Conv2d(Conv2d { bias, .. }) | Op::Linear(Linear { bias, .. }), Some(_)) =
                (&mut op, &self.folded[id])
            {
                *bias = true;
            }
            graph.push(&node.name, op, &node.inputs)?;
        }
        let mut weights = Vec::new();
        for (id, node) in graph.nodes().iter().enumerate() {
            let of = |suffix| self.network.weight(&node.name, suffix);
            if let Some(folded) = &self.folded[id] {
                let weight = of("weight").expect("linear layers have weights");
                let (name, bias) = (weight.name(), format!("{}.bias", node.name));
                weights.push(Weight::from_f64(name, weight.shape(), folded.weight.clone()));
                weights.push(Weight::from_f64(bias, &[folded.bias.len()], folded.bias.clone()));
            } else if !identities[id] {
                let suffixes = ["weight", "bias", "running_mean", "running_var"];
                weights.extend(suffixes.iter().filter_map(|suffix| of(suffix)).cloned());
            }
        }
        Weights::from_weights(old.name(), weights).bind(graph)
    }
}
