//! MNASNet 0.5 and 1.0 (Tan et al. 2018), variant B1.

use super::model::Plan;
use super::sequential::{Sequential, global_average};
use crate::error::Result;
use crate::graph::{Conv2d, Graph, NodeId};

/// Channels of the stem, behind it and of the six stacks. The scaled ones are rounded to multiples
/// of 8: to the nearest, unless a tenth and more would be lost.
type Depths = [usize; 8];

const WHOLE: Depths = [32, 16, 24, 40, 80, 96, 192, 320];
const HALF: Depths = [16, 8, 16, 24, 40, 48, 96, 160];

/// Blocks of a kind: window, stride of the first, how often they widen, number.
const STACKS: [(usize, usize, usize, usize); 6] =
    [(3, 2, 3, 3), (5, 2, 3, 3), (5, 2, 6, 3), (3, 1, 6, 2), (5, 2, 6, 4), (3, 1, 6, 1)];

pub(super) fn mnasnet0_5(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, HALF)
}

pub(super) fn mnasnet1_0(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, WHOLE)
}

fn build(g: &mut Graph, x: NodeId, plan: Plan, depths: Depths) -> Result<()> {
    let [stem, first, stacks @ ..] = depths;
    let mut layers = Sequential::new(g, "layers", x)
        .conv2d(Conv2d::new(stem, 3).stride(2).padding(1).no_bias())?
        .batch_norm2d()?
        .relu()?
        .conv2d(Conv2d::new(stem, 3).padding(1).groups(stem).no_bias())?
        .batch_norm2d()?
        .relu()?
        .conv2d(Conv2d::new(first, 1).no_bias())?
        .batch_norm2d()?;
    for ((kernel, stride, expansion, blocks), channels) in STACKS.into_iter().zip(stacks) {
        layers = layers.block(|g, name, x| {
            let mut stack = Sequential::new(g, name, x);
            for number in 0..blocks {
                let stride = if number == 0 { stride } else { 1 };
                let depthwise = Conv2d::new(0, kernel).stride(stride).padding(kernel / 2);
                stack = stack.block(|g, name, x| {
                    inverted_residual(g, name, x, expansion, depthwise, channels)
                })?;
            }
            Ok(stack.output())
        })?;
    }
    let x = layers.conv2d(Conv2d::new(1280, 1).no_bias())?.batch_norm2d()?.relu()?.output();
    let x = global_average(g, x)?;
    Sequential::new(g, "classifier", x).dropout()?.linear(plan.classes)?;
    Ok(())
}

/// Narrow outside, wide inside, and linear at its end. The channels of `depthwise` follow from
/// the input's.
fn inverted_residual(
    g: &mut Graph,
    name: &str,
    input: NodeId,
    expansion: usize,
    depthwise: Conv2d,
    channels: usize,
) -> Result<NodeId> {
    let in_channels = g.node(input).shape.channels;
    let inner = in_channels * expansion;
    let x = Sequential::new(g, format!("{name}.layers"), input)
        .conv2d(Conv2d::new(inner, 1).no_bias())?
        .batch_norm2d()?
        .relu()?
        .conv2d(Conv2d { out_channels: inner, groups: inner, bias: false, ..depthwise })?
        .batch_norm2d()?
        .relu()?
        .conv2d(Conv2d::new(channels, 1).no_bias())?
        .batch_norm2d()?
        .output();
    if depthwise.stride == [1; 2] && in_channels == channels {
        return g.add(format!("{name}.add"), x, input);
    }
    Ok(x)
}
