//! SqueezeNet 1.0 and 1.1 (Iandola et al. 2016).

use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d, NodeId, Op};
use crate::tensor::Shape;

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

pub(super) fn build(name: &'static str, input: Shape, classes: usize) -> Result<Graph> {
    let (first, stages) = match name {
        "squeezenet1_0" => (Conv2d::new(96, 7).stride(2), VERSION_1_0),
        _ => (Conv2d::new(64, 3).stride(2), VERSION_1_1),
    };
    let mut g = Graph::new(name, input);
    let x = g.input();
    let x = g.conv2d("features.0", x, first)?;
    let mut x = g.relu("features.1", x)?;
    for (i, stage) in stages.into_iter().enumerate() {
        let layer = format!("features.{}", i + 2);
        x = match stage {
            Stage::Pool => g.max_pool2d(layer, x, MaxPool2d::new(3, 2).ceil())?,
            Stage::Fire(squeeze, expand) => fire(&mut g, &layer, x, squeeze, expand)?,
        };
    }
    let x = g.dropout("classifier.0", x)?;
    let x = g.conv2d("classifier.1", x, Conv2d::new(classes, 1))?;
    let x = g.relu("classifier.2", x)?;
    let x = g.adaptive_avg_pool2d("classifier.3", x, 1)?;
    g.flatten("flatten", x)?;
    Ok(g)
}

fn fire(g: &mut Graph, layer: &str, x: NodeId, squeeze: usize, expand: usize) -> Result<NodeId> {
    let x = g.conv2d(format!("{layer}.squeeze"), x, Conv2d::new(squeeze, 1))?;
    let x = g.relu(format!("{layer}.squeeze_activation"), x)?;
    let one = g.conv2d(format!("{layer}.expand1x1"), x, Conv2d::new(expand, 1))?;
    let one = g.relu(format!("{layer}.expand1x1_activation"), one)?;
    let three = g.conv2d(format!("{layer}.expand3x3"), x, Conv2d::new(expand, 3).padding(1))?;
    let three = g.relu(format!("{layer}.expand3x3_activation"), three)?;
    g.push(layer, Op::Concat, &[one, three])
}
