//! The forward pass: one value a layer, and the switches of max pools.

use super::moves;
use super::operator::{Operator, Parts, vector, word};
use super::{Builder, Element, Limits, Operand, Slot, Source};
use crate::graph::{Graph, MaxPool2d, Network, NodeId, Op};
use crate::kernels::conv2d::Rounding;
use crate::kernels::{Call, add, channel_affine, clamp, local_response_norm, max_pool2d};
use crate::tensor::Shape;

/// What the layers gave.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    /// The output of each node that ran.
    pub(super) values: Vec<Option<Slot>>,
    /// The winners of each max pool that ran.
    pub(super) winners: Vec<Option<Slot>>,
    needs: Needs,
    denominators: Vec<MadeAlong>,
}

/// Denominators that were made along with a fully connected layer.
#[derive(Clone, Copy, Debug)]
struct MadeAlong {
    layer: NodeId,
    input: Slot,
    parts: Parts,
    z: Slot,
}

/// What is wanted of the forward pass besides its layers' outputs.
#[derive(Clone, Debug)]
pub(super) struct Needs {
    /// How the sums of convolutions are rounded; linear layers always keep what f32 loses, pools
    /// never.
    pub(super) of_forward: Rounding,
    /// The same for denominators of relevance and transposes.
    pub(super) of_relevance: Rounding,
    /// For each node, which denominators are wanted along with it, of fully connected layers.
    pub(super) denominators: Vec<Option<Parts>>,
}

impl Needs {
    /// Nothing but the layers.
    pub(super) fn plain(graph: &Graph) -> Self {
        let own = Rounding::Own;
        let denominators = vec![None; graph.nodes().len()];
        Self { of_forward: own, of_relevance: own, denominators }
    }
}

impl Forward {
    /// Nothing has run but the input's node, which brings pictures (NCHW) into the order of
    /// activations.
    pub(super) fn start(
        b: &mut Builder,
        graph: &Graph,
        batch: usize,
        pictures: Slot,
        needs: Needs,
    ) -> Self {
        let nodes = graph.nodes().len();
        let (mut values, winners) = (vec![None; nodes], vec![None; nodes]);
        b.at("input", "forward");
        values[0] = Some(moves::planes(b, graph.input_shape(), batch, pictures, false));
        Self { values, winners, needs, denominators: Vec::new() }
    }

    /// The output of a node that ran.
    pub(super) fn value(&self, id: NodeId) -> Slot {
        self.values[id.0].expect("nodes run in order")
    }

    /// The denominators of a fully connected layer with this input, if they were made along with it:
    /// those of all of its weights are its outputs.
    pub(super) fn denominators(&self, id: NodeId, input: Slot, parts: Parts) -> Option<Slot> {
        let is_it = |made: &&MadeAlong| (made.layer, made.input, made.parts) == (id, input, parts);
        self.denominators.iter().find(is_it).map(|made| made.z)
    }

    /// How denominators of relevance and transposes are rounded.
    pub(super) fn rounding_of_relevance(&self) -> Rounding {
        self.needs.of_relevance
    }

    /// The winners of a max pool that ran.
    pub(super) fn winners(&self, id: NodeId) -> Slot {
        self.winners[id.0].expect("max pools record their winners")
    }

    /// Runs one node, whose inputs have run.
    pub(super) fn run(
        &mut self,
        b: &mut Builder,
        network: &Network,
        id: NodeId,
        batch: usize,
        limits: Limits,
    ) {
        let graph = network.graph();
        let node = graph.node(id);
        let inputs: Vec<Slot> = node.inputs.iter().map(|input| self.value(*input)).collect();
        let input = |i: usize| graph.node(node.inputs[i]).shape;
        let len = batch * node.shape.len();
        let operands: Vec<Operand> = inputs.iter().map(|slot| Operand::Value(*slot)).collect();
        b.at(&node.name, "forward");
        let value = match &node.op {
            Op::Input => return,
            Op::Linear(_) => {
                let operator = Operator::of(network, id, limits)
                    .expect("weights are bound, and these layers are operators");
                let wanted = self.needs.denominators[id.0];
                let pair = wanted.and_then(|parts| operator.apply_pair(b, batch, inputs[0], parts));
                let value = match pair {
                    Some([value, _]) => value,
                    None => operator.apply(b, batch, inputs[0], Parts::LAYER, None),
                };
                let mut made = vec![(Parts::LAYER, value)];
                made.extend(wanted.zip(pair.map(|[_, z]| z)));
                self.denominators.extend(made.into_iter().map(|(parts, z)| MadeAlong {
                    layer: id,
                    input: inputs[0],
                    parts,
                    z,
                }));
                value
            }
            Op::Conv2d(_) | Op::AvgPool2d(_) | Op::AdaptiveAvgPool2d(_) => {
                let operator = Operator::of(network, id, limits)
                    .expect("weights are bound, and these layers are operators");
                let operator = operator.with_rounding(self.needs.of_forward);
                operator.apply(b, batch, inputs[0], Parts::LAYER, None)
            }
            Op::Relu => b.emit(Call::Clamp(clamp::Params::relu(word(len))), &operands, len),
            Op::Hardtanh { low, high } => {
                let params = clamp::Params { total: word(len), low: *low, high: *high, scale: 1.0 };
                b.emit(Call::Clamp(params), &operands, len)
            }
            Op::MaxPool2d(pool) => {
                let out = b.value(Element::Float, len);
                let winners = b.value(Element::Index, len);
                let params = max_pool_geometry(pool, input(0), node.shape, batch);
                b.emit_into(Call::MaxPool2d(params), &operands, &[out, winners]);
                self.winners[id.0] = Some(winners);
                out
            }
            Op::BatchNorm2d { .. } | Op::ChannelAffine { .. } => {
                let (scale, shift) = affine(network, id).expect("both scale channels");
                let scale = vector(b, Source::Made(scale));
                let shift = vector(b, Source::Made(shift));
                let channels = word(node.shape.channels);
                let params = channel_affine::Params { total: word(len), channels, shifted: 1 };
                b.emit(Call::ChannelAffine(params), &[operands[0], scale, shift], len)
            }
            Op::Add => b.emit(Call::Add(add::Params { total: word(len) }), &operands, len),
            Op::Concat => moves::concat(b, network, id, batch, |input| self.value(input)),
            Op::Narrow { start, length } => {
                moves::narrow(b, input(0), batch, inputs[0], *start, *length)
            }
            Op::ChannelShuffle { groups } => {
                moves::shuffle(b, node.shape, batch, inputs[0], *groups)
            }
            Op::ZeroPad2d(zeros) => moves::pad(b, input(0), batch, inputs[0], *zeros),
            Op::LocalResponseNorm(norm) => {
                let call = Call::LocalResponseNorm(local_response_norm::Params {
                    total: word(len),
                    channels: word(node.shape.channels),
                    before: word(norm.size / 2),
                    after: word((norm.size - 1) / 2),
                    share: norm.alpha / norm.size as f32,
                    beta: norm.beta,
                    k: norm.k,
                });
                b.emit(call, &operands, len)
            }
            Op::Flatten => moves::planes(b, input(0), batch, inputs[0], true),
            Op::Dropout | Op::Identity => inputs[0],
        };
        self.values[id.0] = Some(value);
    }
}

/// Scale and shift of each channel, where that is what the layer does.
pub(super) fn affine(network: &Network, id: NodeId) -> Option<(Vec<f64>, Vec<f64>)> {
    let node = network.graph().node(id);
    match &node.op {
        Op::ChannelAffine { scale, shift } => Some((scale.clone(), shift.clone())),
        Op::BatchNorm2d { epsilon } => {
            let of = |suffix| {
                let weight = network.weight(&node.name, suffix)?;
                Some((0..weight.len()).map(|i| weight.values().get::<f64>(i)).collect::<Vec<_>>())
            };
            let (weight, bias) = (of("weight")?, of("bias")?);
            let (mean, variance) = (of("running_mean")?, of("running_var")?);
            let scale: Vec<f64> =
                weight.iter().zip(&variance).map(|(w, v)| w / (v + epsilon).sqrt()).collect();
            let shift = (0..scale.len()).map(|c| bias[c] - mean[c] * scale[c]).collect();
            Some((scale, shift))
        }
        Op::Input
        | Op::Conv2d(_)
        | Op::Linear(_)
        | Op::Relu
        | Op::Hardtanh { .. }
        | Op::MaxPool2d(_)
        | Op::AvgPool2d(_)
        | Op::AdaptiveAvgPool2d(_)
        | Op::LocalResponseNorm(_)
        | Op::Add
        | Op::Concat
        | Op::Narrow { .. }
        | Op::ChannelShuffle { .. }
        | Op::ZeroPad2d(_)
        | Op::Flatten
        | Op::Dropout
        | Op::Identity => None,
    }
}

pub(super) fn max_pool_geometry(
    pool: &MaxPool2d,
    input: Shape,
    output: Shape,
    batch: usize,
) -> max_pool2d::Params {
    max_pool2d::Params {
        batch: word(batch),
        channels: word(input.channels),
        in_height: word(input.height),
        in_width: word(input.width),
        out_height: word(output.height),
        out_width: word(output.width),
        kernel_height: word(pool.kernel[0]),
        kernel_width: word(pool.kernel[1]),
        stride_height: word(pool.stride[0]),
        stride_width: word(pool.stride[1]),
        padding_height: word(pool.padding[0]),
        padding_width: word(pool.padding[1]),
        dilation_height: word(pool.dilation[0]),
        dilation_width: word(pool.dilation[1]),
    }
}
