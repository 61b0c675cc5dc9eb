//! The forward pass as far as the last max pool, for a look at its switches.

use super::builder::Builder;
use super::forward::{Forward, Needs};
use super::lower::{Limits, check_batch};
use super::{Element, Program};
use crate::error::{Error, Result};
use crate::graph::{Graph, MaxPool2d, Network, NodeId};

/// A program that stops at the last max pool. Its input are the pictures (`batch` times the
/// network's input, NCHW).
#[derive(Clone, Debug)]
pub struct LoweredSwitches {
    /// The steps.
    pub program: Program,
    /// The max pools, in the order of execution.
    pub pools: Vec<PoolOutput>,
}

/// The places of a max pool's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOutput {
    /// The layer.
    pub node: NodeId,
    /// Its window.
    pub pool: MaxPool2d,
    /// Output: what it looks at, `batch` times its input, NHWC.
    pub input: usize,
    /// Output: the cell that won each window, `row * in_width + column`, NHWC.
    pub winners: usize,
}

/// Lowers the part of a network that leads to its max pools.
///
/// # Errors
/// [`Error::Unsupported`] if there is no max pool, [`Error::Setting`] for a batch of 0,
/// [`Error::TooLarge`] for more numbers than kernels can count.
pub fn lower_switches(network: &Network, batch: usize, limits: Limits) -> Result<LoweredSwitches> {
    let graph = network.graph();
    check_batch(graph, batch)?;
    if graph.max_pools().next().is_none() {
        return Err(Error::Unsupported {
            what: format!("reading the switches of `{}`", graph.name()),
            why: "it has no max pool".to_owned(),
        });
    }
    let leads = leads_to_a_max_pool(graph);
    let mut b = Builder::new();
    let pictures = b.input(Element::Float, batch * graph.input_shape().len());
    let mut forward = Forward::start(&mut b, graph, batch, pictures, Needs::plain(graph));
    for id in (1..graph.nodes().len()).map(NodeId).filter(|id| leads[id.0]) {
        forward.run(&mut b, network, id, batch, limits);
    }
    let pools = graph.max_pools().map(|(node, pool)| PoolOutput {
        node,
        pool,
        input: b.output(forward.value(graph.node(node).inputs[0])),
        winners: b.output(forward.winners(node)),
    });
    let pools = pools.collect();
    Ok(LoweredSwitches { program: b.finish()?, pools })
}

/// For each node, whether it is a max pool or one depends on it.
fn leads_to_a_max_pool(graph: &Graph) -> Vec<bool> {
    let mut leads = vec![false; graph.nodes().len()];
    for (id, _) in graph.max_pools() {
        leads[id.0] = true;
    }
    for (id, node) in graph.nodes().iter().enumerate().rev() {
        if leads[id] {
            node.inputs.iter().for_each(|input| leads[input.0] = true);
        }
    }
    leads
}
