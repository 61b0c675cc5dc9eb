//! ResNet 18 to 152 (He et al. 2015), ResNeXt (Xie et al. 2016) and Wide ResNet (Zagoruyko &
//! Komodakis 2016).

use super::model::Plan;
use super::sequential::{Sequential, global_average};
use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d, NodeId};

/// What the layers are made of.
#[derive(Clone, Copy)]
enum Block {
    /// Two convolutions of 3x3.
    Basic,
    /// 1x1, 3x3 in groups, 1x1.
    Bottleneck {
        groups: usize,
        /// Channels of a group where the layer has 64.
        width: usize,
    },
}

/// ResNet's own.
const BOTTLENECK: Block = Block::Bottleneck { groups: 1, width: 64 };
/// Wide ResNet's: twice as wide inside.
const WIDE: Block = Block::Bottleneck { groups: 1, width: 128 };

pub(super) fn resnet18(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Block::Basic, [2, 2, 2, 2])
}

pub(super) fn resnet34(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Block::Basic, [3, 4, 6, 3])
}

pub(super) fn resnet50(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, BOTTLENECK, [3, 4, 6, 3])
}

pub(super) fn resnet101(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, BOTTLENECK, [3, 4, 23, 3])
}

pub(super) fn resnet152(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, BOTTLENECK, [3, 8, 36, 3])
}

pub(super) fn resnext50_32x4d(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Block::Bottleneck { groups: 32, width: 4 }, [3, 4, 6, 3])
}

pub(super) fn resnext101_32x8d(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Block::Bottleneck { groups: 32, width: 8 }, [3, 4, 23, 3])
}

pub(super) fn wide_resnet50_2(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, WIDE, [3, 4, 6, 3])
}

pub(super) fn wide_resnet101_2(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, WIDE, [3, 4, 23, 3])
}

/// `blocks`: how many each layer has.
fn build(g: &mut Graph, x: NodeId, plan: Plan, block: Block, blocks: [usize; 4]) -> Result<()> {
    let x = g.conv2d("conv1", x, Conv2d::new(64, 7).stride(2).padding(3).no_bias())?;
    let x = g.batch_norm2d("bn1", x)?;
    let x = g.relu("relu", x)?;
    let mut x = g.max_pool2d("maxpool", x, MaxPool2d::new(3, 2).padding(1))?;
    for (i, (blocks, channels)) in blocks.into_iter().zip([64, 128, 256, 512]).enumerate() {
        let mut layer = Sequential::new(g, format!("layer{}", i + 1), x);
        for number in 0..blocks {
            // A layer starts by halving the picture; the first has the max pool for that.
            let stride = if i > 0 && number == 0 { 2 } else { 1 };
            layer =
                layer.block(|g, name, x| residual(g, name, x, plan, block, channels, stride))?;
        }
        x = layer.output();
    }
    let x = global_average(g, x)?;
    g.linear("fc", x, plan.classes)?;
    Ok(())
}

/// A block and what goes around it.
fn residual(
    g: &mut Graph,
    name: &str,
    input: NodeId,
    plan: Plan,
    block: Block,
    channels: usize,
    stride: usize,
) -> Result<NodeId> {
    let (convs, out_channels) = match block {
        Block::Basic => {
            let first = Conv2d::new(channels, 3).stride(stride).padding(1);
            (vec![first, Conv2d::new(channels, 3).padding(1)], channels)
        }
        Block::Bottleneck { groups, width } => {
            let inner = channels * width / 64 * groups;
            let (first, second) = if plan.stride_in_1x1 { (stride, 1) } else { (1, stride) };
            let convs = vec![
                Conv2d::new(inner, 1).stride(first),
                Conv2d::new(inner, 3).stride(second).padding(1).groups(groups),
                Conv2d::new(4 * channels, 1),
            ];
            (convs, 4 * channels)
        }
    };
    let last = convs.len();
    let mut x = input;
    for (i, conv) in (1..).zip(convs) {
        x = g.conv2d(format!("{name}.conv{i}"), x, conv.no_bias())?;
        x = g.batch_norm2d(format!("{name}.bn{i}"), x)?;
        if i < last {
            x = g.relu(format!("{name}.relu{i}"), x)?;
        }
    }
    let mut around = input;
    if stride != 1 || g.node(input).shape.channels != out_channels {
        around = Sequential::new(g, format!("{name}.downsample"), input)
            .conv2d(Conv2d::new(out_channels, 1).stride(stride).no_bias())?
            .batch_norm2d()?
            .output();
    }
    let x = g.add(format!("{name}.add"), x, around)?;
    g.relu(format!("{name}.relu{last}"), x)
}
