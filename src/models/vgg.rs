//! VGG 11, 13, 16 and 19, with and without batch norm (Simonyan & Zisserman 2014).

use super::model::Plan;
use super::sequential::Sequential;
use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d, NodeId};

/// Convolutions in each of the five stages.
type Stages = [usize; 5];

const VGG11: Stages = [1, 1, 2, 2, 2];
const VGG13: Stages = [2, 2, 2, 2, 2];
const VGG16: Stages = [2, 2, 3, 3, 3];
const VGG19: Stages = [2, 2, 4, 4, 4];

pub(super) fn vgg11(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, VGG11, false)
}

pub(super) fn vgg11_bn(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, VGG11, true)
}

pub(super) fn vgg13(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, VGG13, false)
}

pub(super) fn vgg13_bn(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, VGG13, true)
}

pub(super) fn vgg16(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, VGG16, false)
}

pub(super) fn vgg16_bn(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, VGG16, true)
}

pub(super) fn vgg19(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, VGG19, false)
}

pub(super) fn vgg19_bn(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, VGG19, true)
}

fn build(g: &mut Graph, x: NodeId, plan: Plan, stages: Stages, batch_norm: bool) -> Result<()> {
    let mut features = Sequential::new(g, "features", x);
    for (convolutions, channels) in stages.into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..convolutions {
            features = features.conv2d(Conv2d::new(channels, 3).padding(1))?;
            if batch_norm {
                features = features.batch_norm2d()?;
            }
            features = features.relu()?;
        }
        features = features.max_pool2d(MaxPool2d::new(2, 2))?;
    }
    let x = features.output();
    let x = g.adaptive_avg_pool2d("avgpool", x, 7)?;
    let x = g.flatten("flatten", x)?;
    Sequential::new(g, "classifier", x)
        .linear(4096)?
        .relu()?
        .dropout()?
        .linear(4096)?
        .relu()?
        .dropout()?
        .linear(plan.classes)?;
    Ok(())
}
