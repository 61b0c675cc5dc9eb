//! The importer's state: the graph as far as it is built, and the values known so far.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use clrp::Shape;
use clrp::graph::{Graph, NodeId, Op};
use clrp::weight::Weight;

use super::constant::{Constant, Storage};
use super::error::{Error, Result, listed};
use super::external::DataFiles;
use super::names::Names;
use super::node::Node;
use super::plan::Plan;
use super::tensor;
use super::value::{Activation, Form, Value};
use crate::foreign::{Misfit, shown};

/// The most numbers of one layer's output.
const MOST_NUMBERS: usize = 1 << 32;

/// The most integers of one attribute: each picture has few axes, each split few parts.
const MOST_INTS: usize = 4096;

/// How many times the file's bytes all copies, computed numbers and layers together may take.
pub(super) const EXPANSION: usize = 16;

/// What they may take in any file.
pub(super) const BASE: usize = 1 << 16;

/// What a layer counts for, besides its name: no more than the shortest node makes room for.
const LAYER: usize = 192;

/// A model on its way to a network.
#[derive(Debug)]
pub(super) struct Importer<'a> {
    pub(super) file: &'a str,
    pub(super) plan: &'a Plan<'a>,
    pub(super) opset: i64,
    pub(super) graph: Graph,
    pub(super) names: Names,
    pub(super) storage: Storage<'a>,
    pub(super) files: DataFiles,
    pub(super) weights: Vec<Weight>,
    pub(super) notes: Vec<String>,
    values: HashMap<&'a str, Value>,
    /// Nodes that became part of a layer before them.
    absorbed: HashSet<usize>,
}

impl<'a> Importer<'a> {
    pub(super) fn new(
        file: &'a str,
        plan: &'a Plan<'a>,
        opset: i64,
        graph: Graph,
        storage: Storage<'a>,
        files: DataFiles,
    ) -> Self {
        let nodes = plan.nodes.iter().map(|&number| Node::new(file, plan.node(number), opset));
        let names = Names::new(nodes);
        Self {
            file,
            plan,
            opset,
            graph,
            names,
            storage,
            files,
            weights: Vec::new(),
            notes: Vec::new(),
            values: HashMap::new(),
            absorbed: HashSet::new(),
        }
    }

    /// The node of that number.
    pub(super) fn node(&self, number: usize) -> Node<'a> {
        Node::new(self.file, self.plan.node(number), self.opset)
    }

    /// Gives a value its meaning.
    pub(super) fn define(&mut self, name: &'a str, value: Value) {
        self.values.insert(name, value);
    }

    /// Gives the node's first output its meaning.
    pub(super) fn set(&mut self, node: Node<'a>, value: Value) {
        if let Some(name) = node.output(0) {
            self.define(name, value);
        }
    }

    /// The node's first output is the activation.
    pub(super) fn set_activation(&mut self, node: Node<'a>, activation: Activation) {
        self.set(node, Value::Activation(activation));
    }

    /// What a value is, if it is known by now.
    pub(super) fn known(&mut self, name: &'a str) -> Result<Option<Value>> {
        if let Some(value) = self.values.get(name) {
            return Ok(Some(value.clone()));
        }
        let Some(tensor) = self.plan.initializers.get(name) else { return Ok(None) };
        let constant = self.read(name, tensor)?;
        let value = Value::Constant(Rc::new(constant));
        self.values.insert(name, value.clone());
        Ok(Some(value))
    }

    /// A tensor of the file.
    pub(super) fn read(
        &mut self,
        name: &str,
        proto: &rten_onnx::onnx::TensorProto,
    ) -> Result<Constant> {
        let constant = tensor::constant(name, proto, &mut self.storage, &mut self.files);
        let opened = self.files.newly_opened().saturating_mul(EXPANSION);
        self.storage.room = self.storage.room.saturating_add(opened);
        constant.map_err(|misfit| self.tensor_error(name, misfit))
    }

    /// That a tensor of the file cannot be used.
    pub(super) fn tensor_error(&self, name: &str, misfit: Misfit) -> Error {
        Error::Tensor {
            file: self.file.to_owned(),
            name: shown(name),
            expected: misfit.expected,
            found: misfit.found,
        }
    }

    /// An input of the node, if it has one there.
    pub(super) fn optional(&mut self, node: Node<'a>, i: usize) -> Result<Option<Value>> {
        let Some(name) = node.input(i) else { return Ok(None) };
        let value = self.known(name)?;
        if value.is_none() {
            let why = match self.plan.is_computed(name) {
                true => "is computed behind it or from its output",
                false => "nothing computes",
            };
            let expected = format!("input {i} to be computed before it");
            return Err(node.error(expected, format!("`{}`, which {why}", shown(name))));
        }
        Ok(value)
    }

    /// An input that the node must have.
    pub(super) fn value(&mut self, node: Node<'a>, i: usize) -> Result<Value> {
        self.optional(node, i)?.ok_or_else(|| node.error(format!("an input {i}"), "none"))
    }

    /// An input that must be known before the model runs, if the node has it.
    pub(super) fn constant(&mut self, node: Node<'a>, i: usize) -> Result<Option<Rc<Constant>>> {
        match self.optional(node, i)? {
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(Value::Activation(_)) => {
                Err(node.error(format!("a constant as input {i}"), "a computed value"))
            }
            None => Ok(None),
        }
    }

    /// The same of one that it must have.
    pub(super) fn needed_constant(&mut self, node: Node<'a>, i: usize) -> Result<Rc<Constant>> {
        let constant = self.constant(node, i)?;
        constant.ok_or_else(|| node.error(format!("an input {i}"), "none"))
    }

    /// An input that must be a layer's output, of any form.
    pub(super) fn activation(&mut self, node: Node<'a>, i: usize) -> Result<Activation> {
        match self.value(node, i)? {
            Value::Activation(activation) => Ok(activation),
            Value::Constant(_) => {
                Err(node.error(format!("a layer's output as input {i}"), "a constant"))
            }
        }
    }

    /// The same of plain form.
    pub(super) fn plain(&mut self, node: Node<'a>, i: usize) -> Result<Activation> {
        let activation = self.activation(node, i)?;
        plainly(node, i, activation)
    }

    /// The same of four dimensions: batch, channels, rows, columns.
    pub(super) fn planes(&mut self, node: Node<'a>, i: usize) -> Result<Activation> {
        let activation = self.plain(node, i)?;
        self.as_planes(node, i, &activation)?;
        Ok(activation)
    }

    pub(super) fn as_planes(
        &self,
        node: Node<'a>,
        i: usize,
        activation: &Activation,
    ) -> Result<Shape> {
        let shape = self.graph.node(activation.layer).shape;
        let dims = &activation.dims;
        if dims.len() != 4 || dims[1..] != [shape.channels, shape.height, shape.width] {
            let expected = format!("input {i} as batch, channels, rows, columns");
            return Err(node.error(expected, format!("{} of {shape}", listed(dims))));
        }
        Ok(shape)
    }

    /// Integers from an attribute or, in newer models, from an input.
    pub(super) fn ints(
        &mut self,
        node: Node<'a>,
        attribute: &str,
        input: usize,
    ) -> Result<Option<Vec<i64>>> {
        let few = |values: &[i64]| match values.len() {
            0..=MOST_INTS => Ok(Some(values.to_vec())),
            count => {
                let expected = format!("at most {MOST_INTS} integers as `{attribute}`");
                Err(node.error(expected, count.to_string()))
            }
        };
        if let Some(values) = node.ints(attribute)? {
            return few(values);
        }
        let Some(constant) = self.constant(node, input)? else { return Ok(None) };
        let values = constant.as_ints().filter(|_| constant.dims.len() < 2);
        few(values.ok_or_else(|| node.error(format!("integers as `{attribute}`"), "others"))?)
    }

    /// A number from an attribute or, in newer models, from an input.
    pub(super) fn float(
        &mut self,
        node: Node<'a>,
        attribute: &str,
        input: usize,
    ) -> Result<Option<f64>> {
        if let Some(value) = node.float(attribute)? {
            return Ok(Some(value.into()));
        }
        let Some(constant) = self.constant(node, input)? else { return Ok(None) };
        if constant.len() != 1 {
            let found = listed(&constant.dims);
            return Err(node.error(format!("one number as `{attribute}`"), found));
        }
        Ok(Some(self.storage.number(&constant, 0)))
    }

    /// Appends a layer under a name that no other has.
    pub(super) fn push(
        &mut self,
        node: Node<'a>,
        name: String,
        op: Op,
        inputs: &[NodeId],
    ) -> Result<NodeId> {
        self.storage.charge(LAYER + name.len()).ok_or_else(|| {
            let found = format!("more than {}", self.graph.nodes().len());
            node.error("layers in proportion to the file", found)
        })?;
        let id = self.graph.push(name, op, inputs).map_err(|error| node.layer_error(error))?;
        let shape = self.graph.node(id).shape;
        if shape.len() > MOST_NUMBERS {
            let expected = format!("an output of at most {MOST_NUMBERS} numbers");
            return Err(node.error(expected, shape.to_string()));
        }
        Ok(id)
    }

    /// Appends a layer that leaves the number of dimensions as it is; it becomes the node's output.
    pub(super) fn same_rank(&mut self, node: Node<'a>, op: Op, x: &Activation) -> Result<()> {
        let name = self.names.layer(node, None);
        let layer = self.push(node, name, op, &[x.layer])?;
        let activation = Activation::plain(layer, x.dims.clone());
        self.set_activation(node, activation);
        Ok(())
    }

    /// Appends a layer whose output has four dimensions; it becomes the node's output.
    pub(super) fn with_planes(&mut self, node: Node<'a>, op: Op, x: &Activation) -> Result<()> {
        let name = self.names.layer(node, None);
        let layer = self.push(node, name, op, &[x.layer])?;
        let activation = self.planes_of(layer, x.batch());
        self.set_activation(node, activation);
        Ok(())
    }

    /// A layer's output with four dimensions.
    pub(super) fn planes_of(&self, layer: NodeId, batch: usize) -> Activation {
        let shape = self.graph.node(layer).shape;
        Activation::plain(layer, vec![batch, shape.channels, shape.height, shape.width])
    }

    /// Adds a weight of a layer, as it is in the file.
    pub(super) fn weight(&mut self, node: Node<'a>, name: String, from: &Constant) -> Result<()> {
        if from.as_ints().is_some() {
            return Err(node.error("a weight of floats", "integers"));
        }
        let weight = self.storage.weight(from, &name);
        self.weights.push(weight.ok_or_else(|| node.misfit(tensor::too_large()))?);
        Ok(())
    }

    /// All numbers of a constant.
    pub(super) fn numbers(&mut self, node: Node<'a>, constant: &Constant) -> Result<Vec<f64>> {
        self.storage.numbers(constant).ok_or_else(|| node.misfit(tensor::too_large()))
    }

    /// Takes so many bytes from what may be computed.
    pub(super) fn charge(&mut self, node: Node<'a>, bytes: usize) -> Result<()> {
        self.storage.charge(bytes).ok_or_else(|| node.misfit(tensor::too_large()))
    }

    /// The node behind `node` that does nothing but add a constant of that length to its output,
    /// and the constant. The node counts as imported; its output is to be set.
    pub(super) fn absorb_bias(
        &mut self,
        node: Node<'a>,
        channels: usize,
        rank: usize,
    ) -> Result<Option<(Node<'a>, Rc<Constant>)>> {
        let Some(output) = node.output(0) else { return Ok(None) };
        let &[taker] = self.plan.takers(output) else { return Ok(None) };
        let add = self.node(taker);
        let legacy = add.has("broadcast") || add.has("axis");
        if add.operator() != "Add" || add.custom_domain().is_some() || legacy {
            return Ok(None);
        }
        let other = usize::from(add.input(0) == Some(output));
        let Some(name) = add.input(other).filter(|name| *name != output) else { return Ok(None) };
        let Some(Value::Constant(bias)) = self.known(name)? else { return Ok(None) };
        let dims: Vec<usize> = bias.dims.iter().rev().copied().collect();
        let fits = dims.len() <= rank
            && bias.len() == channels
            && dims.get(rank - 2).is_some_and(|&size| size == channels);
        // A vector's channels are its last axis, which needs no other before it.
        if !fits {
            return Ok(None);
        }
        self.absorbed.insert(taker);
        Ok(Some((add, bias)))
    }

    /// Whether the node of that number became part of a layer before it.
    pub(super) fn is_absorbed(&self, number: usize) -> bool {
        self.absorbed.contains(&number)
    }
}

/// The activation, which must be of plain form.
pub(super) fn plainly(node: Node<'_>, i: usize, activation: Activation) -> Result<Activation> {
    if activation.form != Form::Plain {
        let expected = format!("a layer's output as input {i}");
        return Err(node.error(expected, activation.form.described()));
    }
    Ok(activation)
}
