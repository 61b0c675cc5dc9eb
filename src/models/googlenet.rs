//! GoogLeNet, also called Inception v1 (Szegedy et al. 2014), as torchvision has it: with batch
//! norm, without local response normalisation, and with windows of 3x3 where the paper has 5x5.

use super::basic_conv::basic_conv2d;
use super::model::Plan;
use super::sequential::global_average;
use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d, NodeId};

/// What follows the stem.
enum Stage {
    Pool(&'static str, MaxPool2d),
    /// Channels of the branches: 1x1; 3x3, reduced and out; "5x5", reduced and out; behind the pool.
    Inception(&'static str, [usize; 6]),
}

const STAGES: [Stage; 11] = [
    Stage::Inception("inception3a", [64, 96, 128, 16, 32, 32]),
    Stage::Inception("inception3b", [128, 128, 192, 32, 96, 64]),
    Stage::Pool("maxpool3", MaxPool2d::new(3, 2).ceil()),
    Stage::Inception("inception4a", [192, 96, 208, 16, 48, 64]),
    Stage::Inception("inception4b", [160, 112, 224, 24, 64, 64]),
    Stage::Inception("inception4c", [128, 128, 256, 24, 64, 64]),
    Stage::Inception("inception4d", [112, 144, 288, 32, 64, 64]),
    Stage::Inception("inception4e", [256, 160, 320, 32, 128, 128]),
    Stage::Pool("maxpool4", MaxPool2d::new(2, 2).ceil()),
    Stage::Inception("inception5a", [256, 160, 320, 32, 128, 128]),
    Stage::Inception("inception5b", [384, 192, 384, 48, 128, 128]),
];

pub(super) fn googlenet(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    let x = basic_conv2d(g, "conv1", x, Conv2d::new(64, 7).stride(2).padding(3))?;
    let x = g.max_pool2d("maxpool1", x, MaxPool2d::new(3, 2).ceil())?;
    let x = basic_conv2d(g, "conv2", x, Conv2d::new(64, 1))?;
    let x = basic_conv2d(g, "conv3", x, Conv2d::new(192, 3).padding(1))?;
    let mut x = g.max_pool2d("maxpool2", x, MaxPool2d::new(3, 2).ceil())?;
    for stage in STAGES {
        x = match stage {
            Stage::Pool(name, pool) => g.max_pool2d(name, x, pool)?,
            Stage::Inception(name, channels) => inception(g, name, x, channels)?,
        };
    }
    let x = global_average(g, x)?;
    let x = g.dropout("dropout", x)?;
    g.linear("fc", x, plan.classes)?;
    Ok(())
}

fn inception(g: &mut Graph, name: &str, x: NodeId, channels: [usize; 6]) -> Result<NodeId> {
    let [one, three_reduced, three, five_reduced, five, pooled] = channels;
    let basic = |g: &mut Graph, branch: &str, x, conv| {
        basic_conv2d(g, &format!("{name}.{branch}"), x, conv)
    };
    let branch1 = basic(g, "branch1", x, Conv2d::new(one, 1))?;
    let branch2 = basic(g, "branch2.0", x, Conv2d::new(three_reduced, 1))?;
    let branch2 = basic(g, "branch2.1", branch2, Conv2d::new(three, 3).padding(1))?;
    let branch3 = basic(g, "branch3.0", x, Conv2d::new(five_reduced, 1))?;
    let branch3 = basic(g, "branch3.1", branch3, Conv2d::new(five, 3).padding(1))?;
    let pool = MaxPool2d::new(3, 1).padding(1).ceil();
    let branch4 = g.max_pool2d(format!("{name}.branch4.0"), x, pool)?;
    let branch4 = basic(g, "branch4.1", branch4, Conv2d::new(pooled, 1))?;
    g.concat(format!("{name}.concat"), &[branch1, branch2, branch3, branch4])
}
