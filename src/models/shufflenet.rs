//! ShuffleNetV2 x0.5 and x1.0 (Ma et al. 2018).

use super::model::Plan;
use super::sequential::{Sequential, global_average};
use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d, NodeId, Op};

/// Channels of the three stages.
type Channels = [usize; 3];

/// Blocks of the three stages.
const BLOCKS: [usize; 3] = [4, 8, 4];

pub(super) fn shufflenet_v2_x0_5(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, [48, 96, 192])
}

pub(super) fn shufflenet_v2_x1_0(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, [116, 232, 464])
}

fn build(g: &mut Graph, x: NodeId, plan: Plan, channels: Channels) -> Result<()> {
    let stem = Conv2d::new(24, 3).stride(2).padding(1);
    let x = conv_norm(Sequential::new(g, "conv1", x), stem)?.relu()?.output();
    let mut x = g.max_pool2d("maxpool", x, MaxPool2d::new(3, 2).padding(1))?;
    for ((stage, blocks), channels) in (2..).zip(BLOCKS).zip(channels) {
        let mut chain = Sequential::new(g, format!("stage{stage}"), x)
            .block(|g, name, x| halving(g, name, x, channels))?;
        for _ in 1..blocks {
            chain = chain.block(keeping)?;
        }
        x = chain.output();
    }
    let x = conv_norm(Sequential::new(g, "conv5", x), Conv2d::new(1024, 1))?.relu()?.output();
    let x = global_average(g, x)?;
    g.linear("fc", x, plan.classes)?;
    Ok(())
}

fn conv_norm<'g>(chain: Sequential<'g>, conv: Conv2d) -> Result<Sequential<'g>> {
    chain.conv2d(conv.no_bias())?.batch_norm2d()
}

fn depthwise(channels: usize, stride: usize) -> Conv2d {
    Conv2d::new(channels, 3).stride(stride).padding(1).groups(channels)
}

/// A block that halves the picture: both branches see all channels.
fn halving(g: &mut Graph, name: &str, x: NodeId, channels: usize) -> Result<NodeId> {
    let in_channels = g.node(x).shape.channels;
    let chain = Sequential::new(g, format!("{name}.branch1"), x);
    let chain = conv_norm(chain, depthwise(in_channels, 2))?;
    let one = conv_norm(chain, Conv2d::new(channels / 2, 1))?.relu()?.output();
    let two = branch2(g, name, x, channels / 2, 2)?;
    joined(g, name, [one, two])
}

/// A block that keeps the picture's size: the first half of the channels passes by.
fn keeping(g: &mut Graph, name: &str, x: NodeId) -> Result<NodeId> {
    let length = g.node(x).shape.channels / 2;
    let one = g.push(format!("{name}.chunk1"), Op::Narrow { start: 0, length }, &[x])?;
    let two = g.push(format!("{name}.chunk2"), Op::Narrow { start: length, length }, &[x])?;
    let two = branch2(g, name, two, length, 1)?;
    joined(g, name, [one, two])
}

fn branch2(g: &mut Graph, name: &str, x: NodeId, channels: usize, stride: usize) -> Result<NodeId> {
    let chain = Sequential::new(g, format!("{name}.branch2"), x);
    let chain = conv_norm(chain, Conv2d::new(channels, 1))?.relu()?;
    let chain = conv_norm(chain, depthwise(channels, stride))?;
    Ok(conv_norm(chain, Conv2d::new(channels, 1))?.relu()?.output())
}

/// Both halves, their channels in turn.
fn joined(g: &mut Graph, name: &str, halves: [NodeId; 2]) -> Result<NodeId> {
    let x = g.concat(format!("{name}.concat"), &halves)?;
    g.push(format!("{name}.channel_shuffle"), Op::ChannelShuffle { groups: 2 }, &[x])
}
