//! VGG 11, 13, 16 and 19, with and without batch norm (Simonyan & Zisserman 2014).

use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d};
use crate::tensor::Shape;

/// Convolutions in each of the five stages.
fn stages(name: &str) -> [usize; 5] {
    match name.trim_end_matches("_bn") {
        "vgg11" => [1, 1, 2, 2, 2],
        "vgg13" => [2, 2, 2, 2, 2],
        "vgg16" => [2, 2, 3, 3, 3],
        _ => [2, 2, 4, 4, 4],
    }
}

pub(super) fn build(name: &'static str, input: Shape, classes: usize) -> Result<Graph> {
    let batch_norm = name.ends_with("_bn");
    let mut g = Graph::new(name, input);
    let mut x = g.input();
    let mut number = 0;
    let mut next = || {
        number += 1;
        format!("features.{}", number - 1)
    };
    for (convolutions, channels) in stages(name).into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..convolutions {
            x = g.conv2d(next(), x, Conv2d::new(channels, 3).padding(1))?;
            if batch_norm {
                x = g.batch_norm2d(next(), x)?;
            }
            x = g.relu(next(), x)?;
        }
        x = g.max_pool2d(next(), x, MaxPool2d::new(2, 2))?;
    }
    let x = g.adaptive_avg_pool2d("avgpool", x, 7)?;
    let x = g.flatten("flatten", x)?;
    let x = g.linear("classifier.0", x, 4096)?;
    let x = g.relu("classifier.1", x)?;
    let x = g.dropout("classifier.2", x)?;
    let x = g.linear("classifier.3", x, 4096)?;
    let x = g.relu("classifier.4", x)?;
    let x = g.dropout("classifier.5", x)?;
    g.linear("classifier.6", x, classes)?;
    Ok(g)
}
