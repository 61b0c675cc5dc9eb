//! AlexNet as torchvision has it: one tower, no local response normalisation
//! (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks").

use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d};
use crate::tensor::Shape;

pub(super) fn build(name: &'static str, input: Shape, classes: usize) -> Result<Graph> {
    let mut g = Graph::new(name, input);
    let x = g.input();
    let x = g.conv2d("features.0", x, Conv2d::new(64, 11).stride(4).padding(2))?;
    let x = g.relu("features.1", x)?;
    let x = g.max_pool2d("features.2", x, MaxPool2d::new(3, 2))?;
    let x = g.conv2d("features.3", x, Conv2d::new(192, 5).padding(2))?;
    let x = g.relu("features.4", x)?;
    let x = g.max_pool2d("features.5", x, MaxPool2d::new(3, 2))?;
    let x = g.conv2d("features.6", x, Conv2d::new(384, 3).padding(1))?;
    let x = g.relu("features.7", x)?;
    let x = g.conv2d("features.8", x, Conv2d::new(256, 3).padding(1))?;
    let x = g.relu("features.9", x)?;
    let x = g.conv2d("features.10", x, Conv2d::new(256, 3).padding(1))?;
    let x = g.relu("features.11", x)?;
    let x = g.max_pool2d("features.12", x, MaxPool2d::new(3, 2))?;
    let x = g.adaptive_avg_pool2d("avgpool", x, 6)?;
    let x = g.flatten("flatten", x)?;
    let x = g.dropout("classifier.0", x)?;
    let x = g.linear("classifier.1", x, 4096)?;
    let x = g.relu("classifier.2", x)?;
    let x = g.dropout("classifier.3", x)?;
    let x = g.linear("classifier.4", x, 4096)?;
    let x = g.relu("classifier.5", x)?;
    g.linear("classifier.6", x, classes)?;
    Ok(g)
}
