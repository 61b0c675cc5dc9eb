//! The bundled network: a small VGG for scenes of handwritten digits, 64x64 pixels. It was
//! trained by `weights-tools/scripts/train_digits.py`.

use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d};
use crate::tensor::Shape;

/// In f16; source and licence are in `assets/README.md`.
pub(super) const WEIGHTS: &[u8] = include_bytes!("../../assets/digits.safetensors");

/// Pixels are brought to -1..1.
pub(super) const MEAN: [f32; 3] = [0.5; 3];
pub(super) const STD: [f32; 3] = [0.5; 3];

pub(super) const HEAD: &str = "classifier.2.weight";

/// Channels of the convolutions in each stage, and the window of the max pool that ends it.
const STAGES: [(&[usize], usize); 4] = [(&[12], 2), (&[24], 2), (&[48], 2), (&[64, 96], 8)];

pub(super) fn build(name: &'static str, input: Shape, classes: usize) -> Result<Graph> {
    let mut g = Graph::new(name, input);
    let mut x = g.input();
    let mut number = 0;
    let mut next = || {
        number += 1;
        format!("features.{}", number - 1)
    };
    for (stage, window) in STAGES {
        for &channels in stage {
            x = g.conv2d(next(), x, Conv2d::new(channels, 3).padding(1))?;
            x = g.relu(next(), x)?;
        }
        x = g.max_pool2d(next(), x, MaxPool2d::new(window, window))?;
    }
    let x = g.flatten("flatten", x)?;
    let x = g.linear("classifier.0", x, 64)?;
    let x = g.relu("classifier.1", x)?;
    g.linear("classifier.2", x, classes)?;
    Ok(g)
}
