//! Which nodes the scores need, and where their values come from.

use std::collections::{BTreeSet, HashMap, HashSet};

use rten_onnx::onnx::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

use super::error::{Error, Result};
use crate::foreign::shown;

/// The most nodes; the largest network of torchvision has some thousand.
const MOST_NODES: usize = 16_384;

/// A model's nodes and values, as far as its output needs them.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) graph: &'a GraphProto,
    /// The scores' name.
    pub(super) output: &'a str,
    /// The needed nodes' numbers, in the file's order.
    pub(super) nodes: BTreeSet<usize>,
    /// The inputs that are needed and have no value in the file.
    pub(super) inputs: Vec<&'a ValueInfoProto>,
    pub(super) initializers: HashMap<&'a str, &'a TensorProto>,
    /// The node that computes each value.
    producers: HashMap<&'a str, usize>,
    /// The needed nodes that take each value.
    consumers: HashMap<&'a str, Vec<usize>>,
    /// Names of all outputs of the model.
    pub(super) outputs: Vec<&'a str>,
}

impl<'a> Plan<'a> {
    /// What is needed for the output of that name, or for the first one.
    pub(super) fn new(file: &str, graph: &'a GraphProto, output: Option<&str>) -> Result<Self> {
        let error = |what: &str, expected: String, found: String| Error::Model {
            file: file.to_owned(),
            what: what.to_owned(),
            expected,
            found,
        };
        let count = count(graph);
        if count > MOST_NODES {
            let expected = format!("at most {MOST_NODES} nodes");
            return Err(error("the graph", expected, count.to_string()));
        }
        let outputs: Vec<&str> = graph.output.iter().filter_map(|o| o.name.as_deref()).collect();
        let listed = || {
            let names: Vec<String> =
                outputs.iter().take(8).map(|name| format!("`{}`", shown(name))).collect();
            if names.is_empty() { "no outputs".to_owned() } else { names.join(", ") }
        };
        let chosen = match output {
            Some(name) => outputs.iter().find(|output| **output == name),
            None => outputs.first(),
        };
        let output = *chosen.ok_or_else(|| {
            let wanted = output.map_or("an output".to_owned(), |name| format!("output `{name}`"));
            error("the graph", wanted, listed())
        })?;
        let mut producers = HashMap::new();
        for (number, node) in graph.node.iter().enumerate() {
            for value in values(&node.output) {
                if producers.insert(value, number).is_some() {
                    let expected = "one node that computes it".to_owned();
                    return Err(error(&format!("`{}`", shown(value)), expected, "two".to_owned()));
                }
            }
        }
        let named = |tensor: &'a TensorProto| Some((tensor.name.as_deref()?, tensor));
        let initializers: HashMap<_, _> = graph.initializer.iter().filter_map(named).collect();
        let mut plan = Self {
            graph,
            output,
            nodes: BTreeSet::new(),
            inputs: Vec::new(),
            initializers,
            producers,
            consumers: HashMap::new(),
            outputs: outputs.clone(),
        };
        plan.collect();
        Ok(plan)
    }

    /// Walks from the output to what it needs.
    fn collect(&mut self) {
        let mut needed = HashSet::from([self.output]);
        let mut open = vec![self.output];
        while let Some(value) = open.pop() {
            let Some(&number) = self.producers.get(value) else { continue };
            if !self.nodes.insert(number) {
                continue;
            }
            for input in inputs(&self.graph.node[number]) {
                let takers = self.consumers.entry(input).or_default();
                if takers.last() != Some(&number) {
                    takers.push(number);
                }
                if needed.insert(input) {
                    open.push(input);
                }
            }
        }
        let named = |input: &&ValueInfoProto| {
            let name = input.name.as_deref().unwrap_or_default();
            needed.contains(name) && !self.initializers.contains_key(name)
        };
        self.inputs = self.graph.input.iter().filter(named).collect();
    }

    /// The node of that number.
    pub(super) fn node(&self, number: usize) -> &'a NodeProto {
        &self.graph.node[number]
    }

    /// Whether some node computes the value.
    pub(super) fn is_computed(&self, value: &str) -> bool {
        self.producers.contains_key(value)
    }

    /// Whether the output or a node that it needs takes the value.
    pub(super) fn is_needed(&self, value: &str) -> bool {
        value == self.output || self.consumers.contains_key(value)
    }

    /// The needed nodes that take the value; none if the model gives it out.
    pub(super) fn takers(&self, value: &str) -> &[usize] {
        match self.consumers.get(value) {
            Some(takers) if value != self.output => takers,
            _ => &[],
        }
    }
}

/// How many nodes a graph has, with those of the graphs in their attributes.
fn count(graph: &GraphProto) -> usize {
    graph.node.iter().map(|node| 1 + inner(node).map(count).sum::<usize>()).sum()
}

/// The graphs in a node's attributes; nesting has an end, as the bytes were checked.
fn inner(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().filter_map(|attribute| attribute.g.as_ref())
}

/// What a node takes, with what the graphs in its attributes take of those around them.
fn inputs(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> = values(&node.input).collect();
    for graph in inner(node) {
        names.extend(graph.node.iter().flat_map(inputs));
        names.extend(graph.output.iter().filter_map(|output| output.name.as_deref()));
    }
    names
}

/// Names that are not left out.
fn values(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().map(String::as_str).filter(|name| !name.is_empty())
}
