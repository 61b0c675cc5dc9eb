//! SqueezeNet 1.0 and 1.1 (Iandola et al. 2016).

use super::model::Plan;
use super::sequential::Sequential;
use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d, NodeId, Op};

/// What follows the first convolution and its ReLU.
#[derive(Clone, Copy)]
enum Stage {
    Pool,
    /// Channels of the squeezing layer and of each expanding one.
    Fire(usize, usize),
}

const VERSION_1_0: [Stage; 11] = [
    Stage::Pool,
    Stage::Fire(16, 64),
    Stage::Fire(16, 64),
    Stage::Fire(32, 128),
    Stage::Pool,
    Stage::Fire(32, 128),
    Stage::Fire(48, 192),
    Stage::Fire(48, 192),
    Stage::Fire(64, 256),
    Stage::Pool,
    Stage::Fire(64, 256),
];

const VERSION_1_1: [Stage; 11] = [
    Stage::Pool,
    Stage::Fire(16, 64),
    Stage::Fire(16, 64),
    Stage::Pool,
    Stage::Fire(32, 128),
    Stage::Fire(32, 128),
    Stage::Pool,
    Stage::Fire(48, 192),
    Stage::Fire(48, 192),
    Stage::Fire(64, 256),
    Stage::Fire(64, 256),
];

pub(super) fn squeezenet1_0(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Conv2d::new(96, 7).stride(2), VERSION_1_0)
}

pub(super) fn squeezenet1_1(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Conv2d::new(64, 3).stride(2), VERSION_1_1)
}

fn build(g: &mut Graph, x: NodeId, plan: Plan, first: Conv2d, stages: [Stage; 11]) -> Result<()> {
    let mut features = Sequential::new(g, "features", x).conv2d(first)?.relu()?;
    for stage in stages {
        features = match stage {
            Stage::Pool => features.max_pool2d(MaxPool2d::new(3, 2).ceil())?,
            Stage::Fire(squeeze, expand) => {
                features.block(|g, layer, x| fire(g, layer, x, squeeze, expand))?
            }
        };
    }
    let x = features.output();
    let x = Sequential::new(g, "classifier", x)
        .dropout()?
        .conv2d(Conv2d::new(plan.classes, 1))?
        .relu()?
        .push(Op::AdaptiveAvgPool2d([1; 2]))?
        .output();
    g.flatten("flatten", x)?;
    Ok(())
}

fn fire(g: &mut Graph, layer: &str, x: NodeId, squeeze: usize, expand: usize) -> Result<NodeId> {
    let x = g.conv2d(format!("{layer}.squeeze"), x, Conv2d::new(squeeze, 1))?;
    let x = g.relu(format!("{layer}.squeeze_activation"), x)?;
    let one = g.conv2d(format!("{layer}.expand1x1"), x, Conv2d::new(expand, 1))?;
    let one = g.relu(format!("{layer}.expand1x1_activation"), one)?;
    let three = g.conv2d(format!("{layer}.expand3x3"), x, Conv2d::new(expand, 3).padding(1))?;
    let three = g.relu(format!("{layer}.expand3x3_activation"), three)?;
    g.concat(layer, &[one, three])
}
