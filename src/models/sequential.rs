//! Torch's `nn.Sequential`: layers one after the other, named by their numbers.

use crate::error::Result;
use crate::graph::{Conv2d, Graph, Linear, MaxPool2d, NodeId, Op};

/// A chain of layers named `name.0`, `name.1` and so on.
pub(super) struct Sequential<'g> {
    graph: &'g mut Graph,
    name: String,
    next: usize,
    x: NodeId,
}

impl<'g> Sequential<'g> {
    /// A chain without layers yet, behind `x`.
    pub(super) fn new(graph: &'g mut Graph, name: impl Into<String>, x: NodeId) -> Self {
        Self { graph, name: name.into(), next: 0, x }
    }

    /// Appends what `build` makes behind a node under a name.
    pub(super) fn block(
        mut self,
        build: impl FnOnce(&mut Graph, &str, NodeId) -> Result<NodeId>,
    ) -> Result<Self> {
        let name = format!("{}.{}", self.name, self.next);
        self.x = build(self.graph, &name, self.x)?;
        self.next += 1;
        Ok(self)
    }

    pub(super) fn push(self, op: Op) -> Result<Self> {
        self.block(|g, name, x| g.push(name, op, &[x]))
    }

    pub(super) fn conv2d(self, conv: Conv2d) -> Result<Self> {
        self.push(Op::Conv2d(conv))
    }

    pub(super) fn batch_norm2d(self) -> Result<Self> {
        self.block(|g, name, x| g.batch_norm2d(name, x))
    }

    pub(super) fn relu(self) -> Result<Self> {
        self.push(Op::Relu)
    }

    pub(super) fn relu6(self) -> Result<Self> {
        self.push(Op::Hardtanh { low: 0.0, high: 6.0 })
    }

    pub(super) fn max_pool2d(self, pool: MaxPool2d) -> Result<Self> {
        self.push(Op::MaxPool2d(pool))
    }

    pub(super) fn dropout(self) -> Result<Self> {
        self.push(Op::Dropout)
    }

    pub(super) fn linear(self, out_features: usize) -> Result<Self> {
        self.push(Op::Linear(Linear { out_features, bias: true }))
    }

    /// The last layer.
    pub(super) fn output(self) -> NodeId {
        self.x
    }
}

/// Averages each channel over the picture and makes a vector of the means: torch's
/// `AdaptiveAvgPool2d(1)` and `flatten`, or `mean([2, 3])`.
pub(super) fn global_average(g: &mut Graph, x: NodeId) -> Result<NodeId> {
    let x = g.adaptive_avg_pool2d("avgpool", x, 1)?;
    g.flatten("flatten", x)
}
