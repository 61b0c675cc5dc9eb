//! AlexNet as torchvision has it: one tower, no local response normalisation
//! (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks").

use super::model::Plan;
use super::sequential::Sequential;
use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d, NodeId};

pub(super) fn alexnet(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    let x = Sequential::new(g, "features", x)
        .conv2d(Conv2d::new(64, 11).stride(4).padding(2))?
        .relu()?
        .max_pool2d(MaxPool2d::new(3, 2))?
        .conv2d(Conv2d::new(192, 5).padding(2))?
        .relu()?
        .max_pool2d(MaxPool2d::new(3, 2))?
        .conv2d(Conv2d::new(384, 3).padding(1))?
        .relu()?
        .conv2d(Conv2d::new(256, 3).padding(1))?
        .relu()?
        .conv2d(Conv2d::new(256, 3).padding(1))?
        .relu()?
        .max_pool2d(MaxPool2d::new(3, 2))?
        .output();
    let x = g.adaptive_avg_pool2d("avgpool", x, 6)?;
    let x = g.flatten("flatten", x)?;
    Sequential::new(g, "classifier", x)
        .dropout()?
        .linear(4096)?
        .relu()?
        .dropout()?
        .linear(4096)?
        .relu()?
        .linear(plan.classes)?;
    Ok(())
}
