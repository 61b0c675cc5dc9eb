//! Networks as data: named layers in the order they run, with the shapes of their outputs.

mod op;
mod shape;
mod weights;

pub(crate) use op::Sign;
pub use op::{AvgPool2d, Conv2d, Linear, LocalResponseNorm, MaxPool2d, Op};
pub use weights::{Network, WeightSpec, Weights};

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::tensor::Shape;

/// A node of a graph: its number, in the order of execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// A layer and where its inputs come from.
#[derive(Clone, Debug)]
pub struct Node {
    /// Torch's module name, as `features.0`; weights are named after it.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Earlier nodes.
    pub inputs: Vec<NodeId>,
    /// Shape of the output for one picture.
    pub shape: Shape,
}

/// A network without its weights. The last node gives the scores.
///
/// ```
/// use clrp::graph::{Conv2d, Graph, MaxPool2d};
/// use clrp::tensor::Shape;
///
/// let mut graph = Graph::new("tiny", Shape::new(3, 8, 8));
/// let x = graph.input();
/// let x = graph.conv2d("features.0", x, Conv2d::new(4, 3).padding(1))?;
/// let x = graph.relu("features.1", x)?;
/// let x = graph.max_pool2d("features.2", x, MaxPool2d::new(2, 2))?;
/// let x = graph.flatten("flatten", x)?;
/// graph.linear("classifier", x, 10)?;
/// assert_eq!(graph.output_shape(), Shape::vector(10));
/// # Ok::<(), clrp::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Graph {
    name: String,
    nodes: Vec<Node>,
    /// Those of the nodes, to be found quickly.
    names: HashSet<String>,
}

impl Graph {
    /// A network that so far has its input only.
    pub fn new(name: impl Into<String>, input: Shape) -> Self {
        let node =
            Node { name: "input".to_owned(), op: Op::Input, inputs: Vec::new(), shape: input };
        Self { name: name.into(), names: HashSet::from([node.name.clone()]), nodes: vec![node] }
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All nodes, in the order of execution.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    ///
    /// # Panics
    /// If it is not of this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Whether a node's values are made of another's; its own are.
    pub fn is_made_of(&self, id: NodeId, other: NodeId) -> bool {
        let mut needed = HashSet::from([id]);
        // Nodes come after those that they read.
        for node in (other.0 + 1..=id.0).rev().map(NodeId) {
            if needed.contains(&node) {
                needed.extend(self.node(node).inputs.iter().copied());
            }
        }
        needed.contains(&other)
    }

    /// The nodes that read a node, in order; one that reads it twice comes twice.
    pub fn readers(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let nodes = self.nodes.iter().enumerate();
        nodes.flat_map(move |(reader, node)| {
            node.inputs.iter().filter(move |input| **input == id).map(move |_| NodeId(reader))
        })
    }

    /// The max pools, in the order of execution.
    pub fn max_pools(&self) -> impl Iterator<Item = (NodeId, MaxPool2d)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(id, node)| {
            if let Op::MaxPool2d(pool) = node.op { Some((NodeId(id), pool)) } else { None }
        })
    }

    /// The picture's node.
    pub fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// The last node.
    pub fn output(&self) -> NodeId {
        NodeId(self.nodes.len() - 1)
    }

    /// The picture's shape.
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    /// The scores' shape.
    pub fn output_shape(&self) -> Shape {
        self.node(self.output()).shape
    }

    /// Appends a layer.
    ///
    /// # Errors
    /// [`Error::LayerInput`] if the inputs do not suit the layer, or if its weights would have
    /// the names of another layer's.
    ///
    /// # Panics
    /// If an input is not of this graph.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let name = name.into();
        let shapes: Vec<Shape> = inputs.iter().map(|id| self.node(*id).shape).collect();
        let shape = shape::infer(&name, &op, &shapes)?;
        let node = Node { name, op, inputs: inputs.to_vec(), shape };
        let taken = !self.names.insert(node.name.clone());
        if taken && !weights::specs_of(self, &node).is_empty() {
            return Err(Error::LayerInput {
                layer: node.name,
                op: node.op.kind(),
                expected: "a name of its own for its weights".to_owned(),
                found: "a second layer of that name".to_owned(),
            });
        }
        self.nodes.push(node);
        Ok(self.output())
    }

    /// Appends a convolution.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn conv2d(&mut self, name: impl Into<String>, x: NodeId, conv: Conv2d) -> Result<NodeId> {
        self.push(name, Op::Conv2d(conv), &[x])
    }

    /// Appends a fully connected layer with a bias.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn linear(
        &mut self,
        name: impl Into<String>,
        x: NodeId,
        out_features: usize,
    ) -> Result<NodeId> {
        self.push(name, Op::Linear(Linear { out_features, bias: true }), &[x])
    }

    /// Appends a ReLU.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn relu(&mut self, name: impl Into<String>, x: NodeId) -> Result<NodeId> {
        self.push(name, Op::Relu, &[x])
    }

    /// Appends max pooling.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn max_pool2d(
        &mut self,
        name: impl Into<String>,
        x: NodeId,
        pool: MaxPool2d,
    ) -> Result<NodeId> {
        self.push(name, Op::MaxPool2d(pool), &[x])
    }

    /// Appends average pooling.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn avg_pool2d(
        &mut self,
        name: impl Into<String>,
        x: NodeId,
        pool: AvgPool2d,
    ) -> Result<NodeId> {
        self.push(name, Op::AvgPool2d(pool), &[x])
    }

    /// Appends the sum of two layers of equal shape.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn add(&mut self, name: impl Into<String>, a: NodeId, b: NodeId) -> Result<NodeId> {
        self.push(name, Op::Add, &[a, b])
    }

    /// Appends the channels of several layers, one after the other.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn concat(&mut self, name: impl Into<String>, inputs: &[NodeId]) -> Result<NodeId> {
        self.push(name, Op::Concat, inputs)
    }

    /// Appends adaptive average pooling to `size` rows and columns.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn adaptive_avg_pool2d(
        &mut self,
        name: impl Into<String>,
        x: NodeId,
        size: usize,
    ) -> Result<NodeId> {
        self.push(name, Op::AdaptiveAvgPool2d([size; 2]), &[x])
    }

    /// Appends batch normalisation with torch's default epsilon of 1e-5.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn batch_norm2d(&mut self, name: impl Into<String>, x: NodeId) -> Result<NodeId> {
        self.push(name, Op::BatchNorm2d { epsilon: 1e-5 }, &[x])
    }

    /// Appends dropout.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn dropout(&mut self, name: impl Into<String>, x: NodeId) -> Result<NodeId> {
        self.push(name, Op::Dropout, &[x])
    }

    /// Appends a flattening.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn flatten(&mut self, name: impl Into<String>, x: NodeId) -> Result<NodeId> {
        self.push(name, Op::Flatten, &[x])
    }

    /// For each node, whether all its outputs are known to be 0 or more.
    pub fn non_negative(&self) -> Vec<bool> {
        let mut known = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let inputs = node.inputs.iter().all(|id| known[id.0]);
            known.push(match node.op.traits().sign {
                Sign::Any => false,
                Sign::NonNegative => true,
                Sign::AsInputs => inputs,
            });
        }
        known
    }

    /// The weights that the layers need, in torch's state-dict order.
    pub fn weight_specs(&self) -> Vec<WeightSpec> {
        self.nodes.iter().flat_map(|node| weights::specs_of(self, node)).collect()
    }

    /// Trained numbers, as torch counts them: without batch norm's running statistics.
    pub fn parameters(&self) -> usize {
        let trained = |spec: &&WeightSpec| {
            !spec.name.ends_with(".running_mean") && !spec.name.ends_with(".running_var")
        };
        let specs = self.weight_specs();
        specs.iter().filter(trained).map(|spec| spec.shape.iter().product::<usize>()).sum()
    }

    /// The same layers for pictures of another shape.
    ///
    /// # Errors
    /// [`Error::LayerInput`] if they do not suit a layer.
    pub fn with_input(&self, input: Shape) -> Result<Self> {
        let mut graph = Self::new(&self.name, input);
        for node in &self.nodes[1..] {
            graph.push(&node.name, node.op.clone(), &node.inputs)?;
        }
        Ok(graph)
    }

    /// Multiply-adds of one forward pass, for one picture.
    pub fn multiply_adds(&self) -> usize {
        let of = |node: &Node| match node.op {
            Op::Conv2d(conv) => {
                let channels = self.node(node.inputs[0]).shape.channels / conv.groups;
                node.shape.len() * conv.kernel[0] * conv.kernel[1] * channels
            }
            Op::Linear(_) => node.shape.len() * self.node(node.inputs[0]).shape.len(),
            Op::Input
            | Op::Relu
            | Op::Hardtanh { .. }
            | Op::MaxPool2d(_)
            | Op::AvgPool2d(_)
            | Op::AdaptiveAvgPool2d(_)
            | Op::BatchNorm2d { .. }
            | Op::ChannelAffine { .. }
            | Op::LocalResponseNorm(_)
            | Op::Add
            | Op::Concat
            | Op::Narrow { .. }
            | Op::ChannelShuffle { .. }
            | Op::ZeroPad2d(_)
            | Op::Flatten
            | Op::Dropout
            | Op::Identity => 0,
        };
        self.nodes.iter().map(of).sum()
    }
}
