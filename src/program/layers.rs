//! Layers that methods look for: those that make the target, and the one that Grad-CAM sees.

use std::collections::BTreeSet;

use super::lower::Plan;
use super::walks::Lowering;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use crate::methods::Walk;

/// Where CLRP2 sets a target against its opposite.
pub(super) struct Contrast {
    /// The layers whose outputs are the targets, first layer first: the last convolutions or fully
    /// connected layers. There are several where their outputs are concatenated.
    pub(super) layers: Vec<NodeId>,
    /// What lies above them up to the target, first layer first.
    pub(super) above: Vec<NodeId>,
    /// The nearest node below them through which everything goes.
    pub(super) below: NodeId,
}

impl Contrast {
    /// Looks for them below the plan's target. Above them every output must stay in a channel of
    /// its own.
    pub(super) fn find(plan: &Plan<'_>, kind: Walk) -> Result<Self> {
        let graph = plan.network.graph();
        let (mut layers, mut above) = (Vec::new(), Vec::new());
        let mut next = BTreeSet::from([plan.at]);
        while let Some(id) = next.pop_last() {
            let node = graph.node(id);
            if matches!(node.op, Op::Conv2d(_) | Op::Linear(_)) {
                layers.push(id);
            } else if node.op.traits().keeps_channels || node.op == Op::Concat {
                above.push(id);
                next.extend(&node.inputs);
            } else {
                return Err(no_contrast(graph, kind, id));
            }
        }
        let mut below: BTreeSet<NodeId> = inputs(graph, &layers).collect();
        loop {
            let last = *below.last().expect("linear layers have an input");
            // It would have to be as it is and negated at once.
            if layers.contains(&last) || above.contains(&last) {
                let joins = |id: &&NodeId| graph.node(**id).op == Op::Concat;
                return Err(no_contrast(graph, kind, *above.iter().find(joins).unwrap_or(&last)));
            }
            if below.len() == 1 {
                layers.reverse();
                above.reverse();
                return Ok(Self { layers, above, below: last });
            }
            below.remove(&last);
            below.extend(&graph.node(last).inputs);
        }
    }
}

fn inputs<'a>(graph: &'a Graph, nodes: &'a [NodeId]) -> impl Iterator<Item = NodeId> + 'a {
    nodes.iter().flat_map(|id| graph.node(*id).inputs.iter().copied())
}

fn no_contrast(graph: &Graph, kind: Walk, at: NodeId) -> Error {
    let method = match kind {
        Walk::Excitation => "contrastive-excitation-backprop",
        Walk::Relevance | Walk::Gradient(_) => "clrp2",
    };
    let node = graph.node(at);
    let sources: Vec<String> = inputs(graph, &[at])
        .map(|mut id| {
            while graph.node(id).op.traits().keeps_channels {
                id = graph.node(id).inputs[0];
            }
            format!("`{}`", graph.node(id).name)
        })
        .collect();
    Error::Unsupported {
        what: format!("method `{method}` on `{}`", graph.name()),
        why: format!(
            "the target does not come from linear layers side by side, but from `{}` ({}{}{})",
            node.name,
            node.op.kind(),
            if sources.is_empty() { "" } else { " of " },
            sources.join(", "),
        ),
    }
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
