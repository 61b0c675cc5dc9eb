//! DenseNet 121, 161, 169 and 201 (Huang et al. 2016).

use super::model::Plan;
use super::sequential::global_average;
use crate::error::Result;
use crate::graph::{AvgPool2d, Conv2d, Graph, MaxPool2d, NodeId};

/// The sizes of a DenseNet.
#[derive(Clone, Copy)]
struct Size {
    /// Channels of the stem.
    stem: usize,
    /// Channels that each dense layer adds.
    growth: usize,
    /// Dense layers of each block.
    layers: [usize; 4],
}

pub(super) fn densenet121(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Size { stem: 64, growth: 32, layers: [6, 12, 24, 16] })
}

pub(super) fn densenet161(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Size { stem: 96, growth: 48, layers: [6, 12, 36, 24] })
}

pub(super) fn densenet169(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Size { stem: 64, growth: 32, layers: [6, 12, 32, 32] })
}

pub(super) fn densenet201(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    build(g, x, plan, Size { stem: 64, growth: 32, layers: [6, 12, 48, 32] })
}

fn build(g: &mut Graph, x: NodeId, plan: Plan, size: Size) -> Result<()> {
    let stem = Conv2d::new(size.stem, 7).stride(2).padding(3).no_bias();
    let x = g.conv2d("features.conv0", x, stem)?;
    let x = g.batch_norm2d("features.norm0", x)?;
    let x = g.relu("features.relu0", x)?;
    let mut x = g.max_pool2d("features.pool0", x, MaxPool2d::new(3, 2).padding(1))?;
    for (block, layers) in (1..).zip(size.layers) {
        if block > 1 {
            x = transition(g, &format!("features.transition{}", block - 1), x)?;
        }
        for layer in 1..=layers {
            let name = format!("features.denseblock{block}.denselayer{layer}");
            x = dense_layer(g, &name, x, size.growth)?;
        }
    }
    let x = g.batch_norm2d("features.norm5", x)?;
    let x = g.relu("relu", x)?;
    let x = global_average(g, x)?;
    g.linear("classifier", x, plan.classes)?;
    Ok(())
}

/// All channels so far, and the new ones behind them.
fn dense_layer(g: &mut Graph, name: &str, input: NodeId, growth: usize) -> Result<NodeId> {
    let x = g.batch_norm2d(format!("{name}.norm1"), input)?;
    let x = g.relu(format!("{name}.relu1"), x)?;
    let x = g.conv2d(format!("{name}.conv1"), x, Conv2d::new(4 * growth, 1).no_bias())?;
    let x = g.batch_norm2d(format!("{name}.norm2"), x)?;
    let x = g.relu(format!("{name}.relu2"), x)?;
    let x = g.conv2d(format!("{name}.conv2"), x, Conv2d::new(growth, 3).padding(1).no_bias())?;
    g.concat(format!("{name}.concat"), &[input, x])
}

/// Halves the channels and the picture.
fn transition(g: &mut Graph, name: &str, x: NodeId) -> Result<NodeId> {
    let channels = g.node(x).shape.channels / 2;
    let x = g.batch_norm2d(format!("{name}.norm"), x)?;
    let x = g.relu(format!("{name}.relu"), x)?;
    let x = g.conv2d(format!("{name}.conv"), x, Conv2d::new(channels, 1).no_bias())?;
    g.avg_pool2d(format!("{name}.pool"), x, AvgPool2d::new(2, 2))
}

/// Today's name of a weight that has its old name: the published files have `norm.1`, which torch
/// no longer accepts in a module's name, for `norm1`.
pub(super) fn renamed(name: &str) -> Option<String> {
    let (layers, rest) = name.split_once(".denselayer")?;
    let [layer, kind, number, suffix] = rest.split('.').collect::<Vec<_>>().try_into().ok()?;
    let old = ["norm", "conv"].contains(&kind) && ["1", "2"].contains(&number);
    old.then(|| format!("{layers}.denselayer{layer}.{kind}{number}.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn old_names_of_dense_layers_become_todays() {
        let new = renamed("features.denseblock1.denselayer12.norm.1.running_mean");
        assert_eq!(new.as_deref(), Some("features.denseblock1.denselayer12.norm1.running_mean"));
        let new = renamed("features.denseblock4.denselayer3.conv.2.weight");
        assert_eq!(new.as_deref(), Some("features.denseblock4.denselayer3.conv2.weight"));
        for name in [
            "features.denseblock1.denselayer12.norm1.running_mean",
            "features.denseblock1.denselayer12.norm.3.weight",
            "features.transition1.norm.weight",
            "features.norm.1.weight",
            "classifier.weight",
        ] {
            assert_eq!(renamed(name), None, "{name}");
        }
    }
}
