//! MobileNetV2 (Sandler et al. 2018).

use super::model::Plan;
use super::sequential::{Sequential, global_average};
use crate::error::Result;
use crate::graph::{Conv2d, Graph, NodeId};

/// Blocks of a kind: how often they widen, channels, number, stride of the first.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

pub(super) fn mobilenet_v2(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    let stem = Conv2d::new(32, 3).stride(2).padding(1);
    let mut features =
        Sequential::new(g, "features", x).block(|g, name, x| conv_norm_relu6(g, name, x, stem))?;
    for (expansion, channels, blocks, stride) in STAGES {
        for number in 0..blocks {
            let stride = if number == 0 { stride } else { 1 };
            features = features
                .block(|g, name, x| inverted_residual(g, name, x, expansion, channels, stride))?;
        }
    }
    let x =
        features.block(|g, name, x| conv_norm_relu6(g, name, x, Conv2d::new(1280, 1)))?.output();
    let x = global_average(g, x)?;
    Sequential::new(g, "classifier", x).dropout()?.linear(plan.classes)?;
    Ok(())
}

fn conv_norm_relu6(g: &mut Graph, name: &str, x: NodeId, conv: Conv2d) -> Result<NodeId> {
    let chain = Sequential::new(g, name, x).conv2d(conv.no_bias())?.batch_norm2d()?.relu6()?;
    Ok(chain.output())
}

/// Narrow outside, wide inside, and linear at its end.
fn inverted_residual(
    g: &mut Graph,
    name: &str,
    input: NodeId,
    expansion: usize,
    channels: usize,
    stride: usize,
) -> Result<NodeId> {
    let in_channels = g.node(input).shape.channels;
    let inner = in_channels * expansion;
    let mut conv = Sequential::new(g, format!("{name}.conv"), input);
    if expansion != 1 {
        conv = conv.block(|g, name, x| conv_norm_relu6(g, name, x, Conv2d::new(inner, 1)))?;
    }
    let depthwise = Conv2d::new(inner, 3).stride(stride).padding(1).groups(inner);
    let x = conv
        .block(|g, name, x| conv_norm_relu6(g, name, x, depthwise))?
        .conv2d(Conv2d::new(channels, 1).no_bias())?
        .batch_norm2d()?
        .output();
    if stride == 1 && in_channels == channels {
        return g.add(format!("{name}.add"), input, x);
    }
    Ok(x)
}
