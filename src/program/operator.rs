//! Layers that are linear in their input: how one is applied, and its transpose.

use std::ops::Range;

use super::{Builder, Form, Limits, Operand, Slot, Source, WeightUse};
use crate::graph::{Graph, Network, NodeId, Op};
use crate::kernels::conv2d::{Packing, Rounding};
use crate::kernels::{
    Call, Encoding, Part, avg_pool2d, avg_pool2d_backward, box_denominators, box_relevance,
    conv_transpose2d, conv_transpose2d_colors, conv_transpose2d_cooperative, conv2d,
    conv2d_cooperative, conv2d_quads, linear, linear_pair, linear_transpose,
};
use crate::tensor::Shape;
use crate::weight::Weight;

/// A convolution, a fully connected layer or an average pool.
pub(super) enum Operator {
    Conv2d {
        geometry: conv2d::Params,
        packing: Packing,
        limits: Limits,
        weight: Weight,
        bias: Option<Weight>,
    },
    Linear {
        shards: Vec<Range<usize>>,
        /// Whether it comes behind a ReLU, so that many inputs may be 0.
        many_zeros: bool,
        weight: Weight,
        bias: Option<Weight>,
    },
    AvgPool2d(avg_pool2d::Params),
}

/// Which part of an operator's weights and bias takes part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parts {
    pub(super) weight: Part,
    pub(super) bias: Part,
    pub(super) gamma: f32,
}

impl Parts {
    /// The layer itself.
    pub(super) const LAYER: Parts = Parts { weight: Part::All, bias: Part::All, gamma: 0.0 };
}

pub(super) fn word(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl Operator {
    /// The operator of a node, if it is one.
    pub(super) fn of(network: &Network, id: NodeId, limits: Limits) -> Option<Self> {
        let graph = network.graph();
        let node = graph.node(id);
        let input = node.inputs.first().map(|input| graph.node(*input).shape);
        let weight = |suffix| network.weight(&node.name, suffix).cloned();
        match (&node.op, input) {
            (Op::Conv2d(conv), Some(input)) => {
                let filters = weight("weight")?;
                let geometry = conv2d::Params {
                    stored: Encoding::of(filters.values()).code(),
                    ..conv_geometry(conv, input, node.shape)
                };
                Some(Operator::Conv2d {
                    limits,
                    geometry,
                    packing: Packing {
                        groups: conv.groups,
                        out_per_group: conv.out_channels / conv.groups,
                        in_per_group: input.channels / conv.groups,
                        taps: conv.kernel[0] * conv.kernel[1],
                    },
                    weight: filters,
                    bias: weight("bias"),
                })
            }
            (Op::Linear(_), Some(_)) => {
                let weight_matrix = weight("weight")?;
                let shards = limits.shards(&weight_matrix);
                let many_zeros = is_behind_relu(graph, node.inputs[0]);
                let (weight, bias) = (weight_matrix, weight("bias"));
                Some(Operator::Linear { shards, many_zeros, weight, bias })
            }
            (Op::AvgPool2d(pool), Some(input)) => Some(Operator::AvgPool2d(avg_pool2d::Params {
                kernel_height: word(pool.kernel[0]),
                kernel_width: word(pool.kernel[1]),
                stride_height: word(pool.stride[0]),
                stride_width: word(pool.stride[1]),
                padding_height: word(pool.padding[0]),
                padding_width: word(pool.padding[1]),
                end_height: word(pool.padding[0] + pool.more_padding[0]),
                end_width: word(pool.padding[1] + pool.more_padding[1]),
                count_include_pad: u32::from(pool.count_include_pad),
                ..pool_geometry(input, node.shape)
            })),
            (Op::AdaptiveAvgPool2d(_), Some(input)) => {
                let geometry = pool_geometry(input, node.shape);
                Some(Operator::AvgPool2d(avg_pool2d::Params { adaptive: 1, ..geometry }))
            }
            (
                Op::Input
                | Op::Conv2d(_)
                | Op::Linear(_)
                | Op::Relu
                | Op::Hardtanh { .. }
                | Op::MaxPool2d(_)
                | Op::AvgPool2d(_)
                | Op::AdaptiveAvgPool2d(_)
                | Op::BatchNorm2d { .. }
                | Op::ChannelAffine { .. }
                | Op::LocalResponseNorm(_)
                | Op::Add
                | Op::Concat
                | Op::Narrow { .. }
                | Op::ChannelShuffle { .. }
                | Op::ZeroPad2d(_)
                | Op::Flatten
                | Op::Dropout
                | Op::Identity,
                _,
            ) => None,
        }
    }

    /// Values of one picture's output.
    fn out_len(&self) -> usize {
        match self {
            Operator::Conv2d { geometry: p, .. } => {
                (p.out_height * p.out_width * p.out_channels) as usize
            }
            Operator::Linear { weight, .. } => weight.shape()[0],
            Operator::AvgPool2d(p) => (p.out_height * p.out_width * p.channels) as usize,
        }
    }

    /// Values of one picture's input.
    fn in_len(&self) -> usize {
        match self {
            Operator::Conv2d { geometry: p, .. } => {
                (p.in_height * p.in_width * p.in_channels) as usize
            }
            Operator::Linear { weight, .. } => weight.shape()[1],
            Operator::AvgPool2d(p) => (p.in_height * p.in_width * p.channels) as usize,
        }
    }

    /// The same, where a convolution sums as precisely; a linear layer always keeps what sums in f32
    /// lose, and a pool sums too little to lose much.
    pub(super) fn with_rounding(mut self, rounding: Rounding) -> Self {
        match &mut self {
            Operator::Conv2d { geometry, .. } => geometry.rounding = rounding.code(),
            Operator::Linear { .. } | Operator::AvgPool2d(_) => {}
        }
        self
    }

    /// The bias as [`bias_operand`] gives it; none where no part of it takes part.
    pub(super) fn bias(&self, b: &mut Builder, part: Part) -> (Operand, Part, usize) {
        let bias = match self {
            Operator::Conv2d { bias, .. } | Operator::Linear { bias, .. } => bias.as_ref(),
            Operator::AvgPool2d(_) => None,
        };
        bias_operand(b, bias.filter(|_| part != Part::Nothing), part)
    }

    /// `M(W) a + M(b)` for `batch` pictures; added to `into` if that is given.
    pub(super) fn apply(
        &self,
        b: &mut Builder,
        batch: usize,
        a: Slot,
        parts: Parts,
        into: Option<Slot>,
    ) -> Slot {
        let accumulate = u32::from(into.is_some());
        let len = batch * self.out_len();
        let out = into.unwrap_or_else(|| b.value(super::Element::Float, len));
        match self {
            Operator::Conv2d { geometry, packing, limits, weight, bias } => {
                let (bias, bias_part, _) = bias_operand(b, bias.as_ref(), parts.bias);
                let w = filters(b, weight, *packing, parts);
                // Sums of terms of either sign may be small because these cancel.
                let rounding = match geometry.rounding == Rounding::Checked.code()
                    && !parts.weight.is_of_one_sign()
                {
                    true => Rounding::Own.code(),
                    false => geometry.rounding,
                };
                let params = conv2d::Params {
                    batch: word(batch),
                    part: parts.weight.code(),
                    bias_part: bias_part.code(),
                    gamma: parts.gamma,
                    accumulate,
                    rounding,
                    ..*geometry
                };
                if limits.cooperative && may_be_16_bit(&params) {
                    let largest = b.largest(a, batch);
                    let call = Call::Conv2dCooperative(conv2d_cooperative::Params {
                        conv: params,
                        scale: conv2d_cooperative::scale(
                            weight.values(),
                            parts.weight,
                            parts.gamma,
                        ),
                    });
                    b.emit_into(
                        call,
                        &[Operand::Value(a), w, bias, Operand::Value(largest)],
                        &[out],
                    );
                } else {
                    let call = match limits.has_variants && conv2d_quads::suits(&params) {
                        true => Call::Conv2dQuads(params),
                        false => Call::Conv2d(params),
                    };
                    b.emit_into(call, &[Operand::Value(a), w, bias], &[out]);
                }
            }
            Operator::Linear { shards, many_zeros, weight, bias } => {
                let (bias, bias_part, _) = bias_operand(b, bias.as_ref(), parts.bias);
                for shard in shards {
                    let w = rows(b, weight, shard, *many_zeros);
                    let params = linear_geometry(weight, shard, batch, parts);
                    let call = Call::Linear(linear::Params {
                        bias_part: bias_part.code(),
                        accumulate,
                        ..params
                    });
                    b.emit_into(call, &[Operand::Value(a), w, bias], &[out]);
                }
            }
            Operator::AvgPool2d(geometry) => {
                let params = avg_pool2d::Params { batch: word(batch), ..*geometry };
                b.emit_into(Call::AvgPool2d(params), &[Operand::Value(a)], &[out]);
            }
        }
        out
    }

    /// The denominators `sum of w+ (a - low) + w- (a - high)` of a convolution that gave `y` of `a`, where
    /// the device makes them so.
    pub(super) fn box_denominators(
        &self,
        b: &mut Builder,
        batch: usize,
        [y, a]: [Slot; 2],
        [low, high]: [&[f64]; 2],
    ) -> Option<Slot> {
        let Operator::Conv2d { geometry, packing, limits, weight, bias } = self else {
            return None;
        };
        let own = conv2d::Params { batch: word(batch), ..*geometry };
        let params = box_denominators::Params(own);
        let rounds_to_16_bit = limits.cooperative && conv2d_cooperative::suits(&own);
        if !limits.box_kernels || rounds_to_16_bit || !box_denominators::suits(&params) {
            return None;
        }
        let w = filters(b, weight, *packing, Parts { bias: Part::Nothing, ..Parts::LAYER });
        let bias = bias.as_ref().map(Weight::values);
        let constants = box_denominators::constants(&params, weight.values(), bias, [low, high]);
        let bounds = vector(b, Source::Made([low, high].concat()));
        let constants = vector(b, Source::Made(constants));
        let reads = [Operand::Value(y), Operand::Value(a), w, bounds, constants];
        Some(b.emit(Call::BoxDenominators(params), &reads, batch * self.out_len()))
    }

    /// What z-box hands down through a convolution that gave signals of `a`, where the device makes it in one
    /// step.
    pub(super) fn box_relevance(
        &self,
        b: &mut Builder,
        [rows, repeat]: [usize; 2],
        [s, a]: [Slot; 2],
        [low, high]: [&[f64]; 2],
    ) -> Option<Slot> {
        let Operator::Conv2d { geometry, packing, limits, weight, .. } = self else { return None };
        // GPUs alone have variants.
        let suits = match limits.has_variants {
            true => box_relevance::suits_shader(geometry),
            false => box_relevance::suits(geometry),
        };
        if !limits.box_kernels || !suits {
            return None;
        }
        let conv = conv2d::Params { batch: word(rows), ..*geometry };
        let params = box_relevance::Params { conv, repeat: word(repeat) };
        let w = filters(b, weight, *packing, Parts { bias: Part::Nothing, ..Parts::LAYER });
        let bounds = vector(b, Source::Made([low, high].concat()));
        let reads = [Operand::Value(s), w, Operand::Value(a), bounds];
        Some(b.emit(Call::BoxRelevance(params), &reads, rows * self.in_len()))
    }

    /// A fully connected layer and its denominators `M(W) a + M(b)`, in one reading of its weights.
    pub(super) fn apply_pair(
        &self,
        b: &mut Builder,
        batch: usize,
        a: Slot,
        parts: Parts,
    ) -> Option<[Slot; 2]> {
        let Operator::Linear { shards, many_zeros, weight, bias } = self else { return None };
        let (bias, own_bias_part, _) = bias_operand(b, bias.as_ref(), Part::All);
        let has_bias = own_bias_part != Part::Nothing;
        let outs = [(); 2].map(|()| b.value(super::Element::Float, batch * self.out_len()));
        for shard in shards {
            let w = rows(b, weight, shard, *many_zeros);
            let call = Call::LinearPair(linear_pair::Params {
                z: linear::Params {
                    bias_part: if has_bias { parts.bias } else { Part::Nothing }.code(),
                    ..linear_geometry(weight, shard, batch, parts)
                },
                own_bias_part: own_bias_part.code(),
            });
            b.emit_into(call, &[Operand::Value(a), w, bias], &outs);
        }
        Some(outs)
    }

    /// `M(W)^T s` for `rows` rows of the signal.
    pub(super) fn transpose(&self, b: &mut Builder, rows_: usize, s: Slot, parts: Parts) -> Slot {
        let len = rows_ * self.in_len();
        match self {
            Operator::Conv2d { geometry, packing, limits, weight, .. } => {
                let w = filters(b, weight, *packing, parts);
                let params = conv2d::Params {
                    batch: word(rows_),
                    part: parts.weight.code(),
                    bias_part: Part::Nothing.code(),
                    gamma: parts.gamma,
                    ..*geometry
                };
                if limits.cooperative && may_be_16_bit(&params) {
                    let largest = b.largest(s, rows_);
                    let scale =
                        conv2d_cooperative::scale(weight.values(), parts.weight, parts.gamma);
                    let params = conv2d_cooperative::Params { conv: params, scale };
                    let call = Call::ConvTranspose2dCooperative(
                        conv_transpose2d_cooperative::Params(params),
                    );
                    return b.emit(call, &[Operand::Value(s), w, Operand::Value(largest)], len);
                }
                let quads = limits.has_variants && conv2d_quads::suits(&params);
                let params = conv_transpose2d::Params(params);
                let call = if limits.has_variants && conv_transpose2d_colors::suits(&params) {
                    Call::ConvTranspose2dColors(params)
                } else if quads {
                    Call::ConvTranspose2dQuads(params)
                } else {
                    Call::ConvTranspose2d(params)
                };
                b.emit(call, &[Operand::Value(s), w], len)
            }
            Operator::Linear { shards, many_zeros, weight, .. } => {
                let out = b.value(super::Element::Float, len);
                for (i, shard) in shards.iter().enumerate() {
                    let w = rows(b, weight, shard, *many_zeros);
                    let params = linear::Params {
                        accumulate: u32::from(i > 0),
                        ..linear_geometry(weight, shard, rows_, parts)
                    };
                    let call = Call::LinearTranspose(linear_transpose::Params(params));
                    b.emit_into(call, &[Operand::Value(s), w], &[out]);
                }
                out
            }
            Operator::AvgPool2d(geometry) => {
                let params = avg_pool2d::Params { batch: word(rows_), ..*geometry };
                let call = Call::AvgPool2dBackward(avg_pool2d_backward::Params(params));
                b.emit(call, &[Operand::Value(s)], len)
            }
        }
    }
}

/// Whether what a node gives is what a ReLU let through, or pools of that: average pools, too, which keep the
/// size of the map before the linear layers of AlexNet and VGG.
fn is_behind_relu(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let passes_zeros = matches!(
        node.op,
        Op::Dropout
            | Op::Identity
            | Op::Flatten
            | Op::MaxPool2d(_)
            | Op::AvgPool2d(_)
            | Op::AdaptiveAvgPool2d(_)
    );
    match passes_zeros {
        true => is_behind_relu(graph, node.inputs[0]),
        false => node.op == Op::Relu,
    }
}

/// Whether a convolution may be rounded to 16 bit and gains: where its sums may be rounded by more than
/// their own terms are by f32.
fn may_be_16_bit(p: &conv2d::Params) -> bool {
    let roundings = [Rounding::Shared, Rounding::Checked].map(Rounding::code);
    roundings.contains(&p.rounding) && conv2d_cooperative::suits(p)
}

fn filters(b: &mut Builder, weight: &Weight, packing: Packing, parts: Parts) -> Operand {
    b.weight(WeightUse {
        source: Source::Stored(weight.clone()),
        form: Form::Filters(packing),
        part: (parts.weight, parts.gamma),
    })
}

fn rows(b: &mut Builder, weight: &Weight, shard: &Range<usize>, many_zeros: bool) -> Operand {
    b.weight(WeightUse {
        source: Source::Stored(weight.clone()),
        form: Form::Rows { rows: shard.clone(), columns: weight.shape()[1], many_zeros },
        part: (Part::All, 0.0),
    })
}

/// The bias, the part of it that takes part, and its channels; where there is none, a single zero.
pub(super) fn bias_operand(
    b: &mut Builder,
    bias: Option<&Weight>,
    part: Part,
) -> (Operand, Part, usize) {
    match bias {
        Some(bias) => (vector(b, Source::Stored(bias.clone())), part, bias.len()),
        None => (vector(b, Source::Made(vec![0.0])), Part::Nothing, 1),
    }
}

/// A weight in torch's order, as floats.
pub(super) fn vector(b: &mut Builder, source: Source) -> Operand {
    b.weight(WeightUse { source, form: Form::Vector, part: (Part::All, 0.0) })
}

fn linear_geometry(
    weight: &Weight,
    shard: &Range<usize>,
    batch: usize,
    parts: Parts,
) -> linear::Params {
    linear::Params {
        batch: word(batch),
        in_features: word(weight.shape()[1]),
        out_features: word(weight.shape()[0]),
        first: word(shard.start),
        rows: word(shard.len()),
        part: parts.weight.code(),
        bias_part: Part::Nothing.code(),
        gamma: parts.gamma,
        accumulate: 0,
        stored: Encoding::of(weight.values()).code(),
    }
}

fn conv_geometry(conv: &crate::graph::Conv2d, input: Shape, output: Shape) -> conv2d::Params {
    conv2d::Params {
        batch: 0,
        in_height: word(input.height),
        in_width: word(input.width),
        in_channels: word(input.channels),
        out_height: word(output.height),
        out_width: word(output.width),
        out_channels: word(output.channels),
        kernel_height: word(conv.kernel[0]),
        kernel_width: word(conv.kernel[1]),
        stride_height: word(conv.stride[0]),
        stride_width: word(conv.stride[1]),
        padding_height: word(conv.padding[0]),
        padding_width: word(conv.padding[1]),
        dilation_height: word(conv.dilation[0]),
        dilation_width: word(conv.dilation[1]),
        groups: word(conv.groups),
        part: Part::All.code(),
        bias_part: Part::Nothing.code(),
        gamma: 0.0,
        accumulate: 0,
        stored: Encoding::F32.code(),
        rounding: Rounding::Own.code(),
    }
}

pub(super) fn pool_geometry(input: Shape, output: Shape) -> avg_pool2d::Params {
    avg_pool2d::Params {
        batch: 0,
        channels: word(input.channels),
        in_height: word(input.height),
        in_width: word(input.width),
        out_height: word(output.height),
        out_width: word(output.width),
        kernel_height: 1,
        kernel_width: 1,
        stride_height: 1,
        stride_width: 1,
        padding_height: 0,
        padding_width: 0,
        end_height: 0,
        end_width: 0,
        count_include_pad: 0,
        adaptive: 0,
    }
}
