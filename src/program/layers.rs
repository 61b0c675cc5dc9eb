//! Layers that methods look for: those that make the target, and the one that Grad-CAM sees.

use std::collections::BTreeSet;

use super::lower::{Plan, unsuited};
use super::walks::Lowering;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Op};
use crate::methods::{Finish, Recipe, Start, Walk};

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
        let (mut layers, mut above) = makers(graph, plan.at);
        let is_linear = |id: &&NodeId| matches!(graph.node(**id).op, Op::Conv2d(_) | Op::Linear(_));
        if let Some(other) = layers.iter().find(|id| !is_linear(id)) {
            return Err(no_contrast(plan, kind, *other));
        }
        let (below, passed) = meeting_point(graph, inputs(graph, &layers).collect());
        let negated = |id: &&NodeId| layers.contains(id) || above.contains(id);
        // It would have to be as it is and negated at once.
        if let Some(both) = passed.iter().chain([&below]).find(negated) {
            // The lowest that joins it with what it feeds.
            let feeds = |id: &&NodeId| graph.is_made_of(**id, *both);
            let joins = |id: &&NodeId| graph.node(**id).inputs.iter().filter(feeds).count() > 1;
            return Err(no_contrast(plan, kind, *above.iter().rev().find(joins).unwrap_or(both)));
        }
        layers.reverse();
        above.reverse();
        Ok(Self { layers, above, below })
    }
}

/// The layers whose outputs a node's outputs are, one by one, and what lies between; last layer
/// first.
fn makers(graph: &Graph, at: NodeId) -> (Vec<NodeId>, Vec<NodeId>) {
    let (mut makers, mut above) = (Vec::new(), Vec::new());
    let mut next = BTreeSet::from([at]);
    while let Some(id) = next.pop_last() {
        let node = graph.node(id);
        if node.op.traits().keeps_channels || node.op == Op::Concat {
            above.push(id);
            next.extend(&node.inputs);
        } else {
            makers.push(id);
        }
    }
    (makers, above)
}

/// The nearest node at or below these through which everything goes, and what was passed on the
/// way. In the end that is the picture; there is at least one node.
fn meeting_point(graph: &Graph, mut nodes: BTreeSet<NodeId>) -> (NodeId, Vec<NodeId>) {
    let mut passed = Vec::new();
    let mut last = graph.input();
    while let Some(id) = nodes.pop_last() {
        last = id;
        if nodes.is_empty() {
            break;
        }
        passed.push(id);
        nodes.extend(&graph.node(id).inputs);
    }
    (last, passed)
}

fn inputs<'a>(graph: &'a Graph, nodes: &'a [NodeId]) -> impl Iterator<Item = NodeId> + 'a {
    nodes.iter().flat_map(|id| graph.node(*id).inputs.iter().copied())
}

/// The error of the plan's first method whose recipe is such a one.
fn unsuited_first(plan: &Plan<'_>, is_such: impl Fn(Recipe) -> bool, why: String) -> Error {
    let mut methods = plan.methods.iter();
    let method = methods.find(|method| method.recipe().is_some_and(&is_such));
    unsuited(plan.network.graph(), *method.expect("it is looked for because of one"), why)
}

fn no_contrast(plan: &Plan<'_>, kind: Walk, at: NodeId) -> Error {
    let graph = plan.network.graph();
    let node = graph.node(at);
    let sources: Vec<String> = inputs(graph, &[at])
        .map(|mut id| {
            while graph.node(id).op.traits().keeps_channels {
                id = graph.node(id).inputs[0];
            }
            format!("`{}`", graph.node(id).name)
        })
        .collect();
    let why = format!(
        "the target does not come from linear layers side by side, but from `{}` ({}{}{})",
        node.name,
        node.op.kind(),
        if sources.is_empty() { "" } else { " of " },
        sources.join(", "),
    );
    let mirrors = |start| matches!(start, Start::MirrorDifference(_));
    unsuited_first(plan, |recipe| recipe.walk == kind && mirrors(recipe.start), why)
}

impl Lowering<'_> {
    /// The layer that Grad-CAM looks at: the nearest one with positions through which everything
    /// goes that the target is made of.
    pub(super) fn cam_layer(&self) -> Result<NodeId> {
        let (graph, at) = (self.plan.network.graph(), self.plan.at);
        let unsuited = |why| {
            let looks = |finish| matches!(finish, Finish::Cam | Finish::GuidedCam);
            Err(unsuited_first(self.plan, |recipe| looks(recipe.finish), why))
        };
        if let Some(id) = self.plan.extras.cam_layer {
            let [layer, target] = [id, at].map(|id| &graph.node(id).name);
            return if !graph.is_made_of(at, id) {
                unsuited(format!("layer `{layer}` is not below the target in `{target}`"))
            } else if graph.node(id).shape.is_vector() {
                unsuited(format!("layer `{layer}` has no positions"))
            } else {
                Ok(id)
            };
        }
        // Below what makes the target: there every class has a channel already.
        let (layers, _) = makers(graph, at);
        let mut below: BTreeSet<NodeId> = inputs(graph, &layers).collect();
        loop {
            let (id, _) = meeting_point(graph, below);
            if id == graph.input() {
                let why = "no layer with positions lies on all ways to the target";
                return unsuited(why.to_owned());
            }
            let node = graph.node(id);
            if node.shape.height * node.shape.width > 1 {
                return Ok(id);
            }
            below = node.inputs.iter().copied().collect();
        }
    }
}
