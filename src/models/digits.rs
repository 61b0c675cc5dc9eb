//! The bundled network: a small VGG for scenes of handwritten digits, 64x64 pixels. It was
//! trained by `weights-tools/scripts/train_digits.py`.

use super::model::Plan;
use super::sequential::Sequential;
use crate::error::Result;
use crate::graph::{Conv2d, Graph, MaxPool2d, NodeId};

/// In f16; source and licence are in `assets/README.md`.
pub(super) const WEIGHTS: &[u8] = include_bytes!("../../assets/digits.safetensors");

/// Pixels are brought to -1..1.
pub(super) const MEAN: [f32; 3] = [0.5; 3];
pub(super) const STD: [f32; 3] = [0.5; 3];

/// Channels of the convolutions in each stage, and the window of the max pool that ends it.
const STAGES: [(&[usize], usize); 4] = [(&[12], 2), (&[24], 2), (&[48], 2), (&[64, 96], 8)];

pub(super) fn digits(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    let mut features = Sequential::new(g, "features", x);
    for (stage, window) in STAGES {
        for &channels in stage {
            features = features.conv2d(Conv2d::new(channels, 3).padding(1))?.relu()?;
        }
        features = features.max_pool2d(MaxPool2d::new(window, window))?;
    }
    let x = features.output();
    let x = g.flatten("flatten", x)?;
    Sequential::new(g, "classifier", x).linear(64)?.relu()?.linear(plan.classes)?;
    Ok(())
}
