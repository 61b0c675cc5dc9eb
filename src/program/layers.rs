//! Layers that methods look for: the one that makes the target, and the one that Grad-CAM sees.

use super::lower::Plan;
use super::walks::Lowering;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use crate::methods::Walk;

/// The layer whose outputs are the targets: the last convolution or fully connected layer, if
/// above it every output stays in its own channel.
pub(super) fn contrast_layer(plan: &Plan<'_>, kind: Walk) -> Result<NodeId> {
    let graph = plan.network.graph();
    let mut id = plan.at;
    loop {
        let node = graph.node(id);
        if matches!(node.op, Op::Conv2d(_) | Op::Linear(_)) {
            return Ok(id);
        }
        if !node.op.traits().keeps_channels {
            let method = match kind {
                Walk::Excitation => "contrastive-excitation-backprop",
                Walk::Relevance | Walk::Gradient(_) => "clrp2",
            };
            return Err(Error::Unsupported {
                what: format!("method `{method}` on `{}`", graph.name()),
                why: format!(
                    "the target does not come from one linear layer, but from `{}`, a {} of {}",
                    node.name,
                    node.op.kind(),
                    sources(graph, id),
                ),
            });
        }
        id = node.inputs[0];
    }
}

/// What a node's inputs come from, past layers that keep channels: targets to name instead.
fn sources(graph: &Graph, id: NodeId) -> String {
    let name = |input: &NodeId| {
        let mut below = *input;
        while graph.node(below).op.traits().keeps_channels {
            below = graph.node(below).inputs[0];
        }
        format!("`{}`", graph.node(below).name)
    };
    graph.node(id).inputs.iter().map(name).collect::<Vec<_>>().join(", ")
}

impl Lowering<'_> {
    /// The layer that Grad-CAM looks at.
    pub(super) fn cam_layer(&self) -> Result<NodeId> {
        let graph = self.plan.network.graph();
        if let Some(id) = self.plan.extras.cam_layer {
            return Ok(id);
        }
        // Below what makes the scores: there every class has a channel already.
        let mut id = self.plan.at;
        while graph.node(id).op.traits().keeps_channels {
            id = graph.node(id).inputs[0];
        }
        loop {
            id = match graph.node(id).inputs.first() {
                Some(input) => *input,
                None => {
                    return Err(Error::Unsupported {
                        what: format!("method `grad-cam` on `{}`", graph.name()),
                        why: "no layer below the target has positions".to_owned(),
                    });
                }
            };
            let shape = graph.node(id).shape;
            if shape.height * shape.width > 1 && id != graph.input() {
                return Ok(id);
            }
        }
    }
}
