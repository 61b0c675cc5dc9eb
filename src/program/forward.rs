//! The forward pass: one value a layer, and the switches of max pools.

use super::operator::{Operator, Parts, vector, word};
use super::{Builder, Element, Limits, Operand, Slot, Source};
use crate::graph::{MaxPool2d, Network, NodeId, Op};
use crate::kernels::{Call, add, channel_affine, clamp, copy_channels, max_pool2d, permute};
use crate::tensor::Shape;

/// What the layers gave.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    /// The output of each node that ran.
    pub(super) values: Vec<Option<Slot>>,
    /// The winners of each max pool that ran.
    pub(super) winners: Vec<Option<Slot>>,
}

impl Forward {
    /// Nothing has run.
    pub(super) fn new(nodes: usize) -> Self {
        Self { values: vec![None; nodes], winners: vec![None; nodes] }
    }

    /// The output of a node that ran.
    pub(super) fn value(&self, id: NodeId) -> Slot {
        self.values[id.0].expect("nodes run in order")
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
        let len = batch * node.shape.len();
        let operands: Vec<Operand> = inputs.iter().map(|slot| Operand::Value(*slot)).collect();
        b.at(&node.name, "forward");
        let value = match &node.op {
            Op::Input => return,
            Op::Conv2d(_) | Op::Linear(_) | Op::AvgPool2d(_) | Op::AdaptiveAvgPool2d(_) => {
                let operator = Operator::of(network, id, limits)
                    .expect("weights are bound, and these layers are operators");
                operator.apply(b, batch, inputs[0], Parts::LAYER, None)
            }
            Op::Relu => b.emit(Call::Clamp(clamp::Params::relu(word(len))), &operands, len),
            Op::MaxPool2d(pool) => {
                let out = b.value(Element::Float, len);
                let winners = b.value(Element::Index, len);
                let input = graph.node(node.inputs[0]).shape;
                let params = max_pool_geometry(pool, input, node.shape, batch);
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
            Op::Concat => {
                let out = b.value(Element::Float, len);
                for (first, input, shape) in slices(network, id) {
                    let params = copy_channels::Params {
                        positions: word(batch * shape.height * shape.width),
                        from_channels: word(shape.channels),
                        from_first: 0,
                        to_channels: word(node.shape.channels),
                        to_first: word(first),
                        count: word(shape.channels),
                    };
                    let from = Operand::Value(self.value(input));
                    b.emit_into(Call::CopyChannels(params), &[from], &[out]);
                }
                out
            }
            Op::Flatten => {
                let shape = graph.node(node.inputs[0]).shape;
                planes(b, shape, batch, inputs[0], true)
            }
            Op::Dropout => inputs[0],
        };
        self.values[id.0] = Some(value);
    }
}

/// From pixels to planes or back; nothing to do where a picture has one position or one channel.
pub(super) fn planes(
    b: &mut Builder,
    shape: Shape,
    rows: usize,
    from: Slot,
    to_planes: bool,
) -> Slot {
    if shape.is_vector() || shape.channels == 1 {
        return from;
    }
    let len = rows * shape.len();
    let params = permute::Params {
        total: word(len),
        channels: word(shape.channels),
        positions: word(shape.height * shape.width),
        to_planes: u32::from(to_planes),
    };
    b.emit(Call::Permute(params), &[Operand::Value(from)], len)
}

/// The inputs of a concatenation: first channel in the output, node, shape.
pub(super) fn slices(network: &Network, id: NodeId) -> Vec<(usize, NodeId, Shape)> {
    let graph = network.graph();
    let mut first = 0;
    let slice = |input: &NodeId| {
        let shape = graph.node(*input).shape;
        first += shape.channels;
        (first - shape.channels, *input, shape)
    };
    graph.node(id).inputs.iter().map(slice).collect()
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
        | Op::MaxPool2d(_)
        | Op::AvgPool2d(_)
        | Op::AdaptiveAvgPool2d(_)
        | Op::Add
        | Op::Concat
        | Op::Flatten
        | Op::Dropout => None,
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
