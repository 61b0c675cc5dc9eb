//! The building block that GoogLeNet and Inception v3 share, torchvision's `BasicConv2d`.

use crate::error::Result;
use crate::graph::{Conv2d, Graph, NodeId, Op};

/// A convolution without a bias, batch norm and ReLU: `name.conv`, `name.bn`, `name.relu`.
pub(super) fn basic_conv2d(g: &mut Graph, name: &str, x: NodeId, conv: Conv2d) -> Result<NodeId> {
    let x = g.conv2d(format!("{name}.conv"), x, conv.no_bias())?;
    // TensorFlow's epsilon: the published weights were trained there.
    let x = g.push(format!("{name}.bn"), Op::BatchNorm2d { epsilon: 1e-3 }, &[x])?;
    g.relu(format!("{name}.relu"), x)
}
