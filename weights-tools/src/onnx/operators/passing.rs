//! Operators that leave their input as it is.

use std::rc::Rc;

use clrp::graph::Op;
use rten_onnx::onnx::DataType;

use super::super::constant::float;
use super::super::error::{Result, listed};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Activation, Form, Value};
use super::{import, one_output};
use crate::foreign::shown;

pub(super) fn dropout<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    one_output(importer, node)?;
    if let Some(mode) = importer.constant(node, 2)?
        && mode.len() == 1
        && importer.storage.number(&mode, 0) != 0.0
    {
        return Err(node.error("dropout in evaluation mode", "in training mode"));
    }
    let x = importer.activation(node, 0)?;
    if x.form == Form::Plain {
        return importer.same_rank(node, Op::Dropout, &x);
    }
    importer.set_activation(node, x);
    Ok(())
}

pub(super) fn identity<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let value = importer.value(node, 0)?;
    importer.set(node, value);
    Ok(())
}

/// Networks run in one type of numbers here, whatever the file says.
pub(super) fn cast<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let to = node.int("to")?.and_then(|code| i32::try_from(code).ok()).map(DataType);
    if to.and_then(float).is_none() {
        let found = to.map_or("none".to_owned(), |to| to.to_string());
        return Err(node.error("a type of floats for a layer's output", found));
    }
    identity(importer, node)
}

/// A choice that is made before the model runs: the nodes of the branch are imported as if they
/// stood here.
pub(super) fn choice<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    const HINT: &str = "; export the network with a fixed input size";
    let Some(Value::Constant(condition)) = importer.optional(node, 0)? else {
        return Err(node.unsupported(HINT));
    };
    let holds = condition.len() == 1 && importer.storage.number(&condition, 0) != 0.0;
    let name = if holds { "then_branch" } else { "else_branch" };
    let branch = node.graph(name).ok_or_else(|| node.error(format!("a `{name}`"), "none"))?;
    for tensor in &branch.initializer {
        let name = tensor.name.as_deref().unwrap_or_default();
        let constant = importer.read(name, tensor)?;
        importer.define(name, Value::Constant(Rc::new(constant)));
    }
    for proto in &branch.node {
        import(importer, Node::new(importer.file, proto, importer.opset))?;
    }
    for (i, output) in branch.output.iter().enumerate() {
        let name = output.name.as_deref().unwrap_or_default();
        let value = importer
            .known(name)?
            .ok_or_else(|| node.error("outputs that the branch computes", shown(name)))?;
        if let Some(output) = node.output(i) {
            importer.define(output, value);
        }
    }
    Ok(())
}

/// Left out: scores are explained before they become probabilities. The importer says so if it
/// is last, and other operators refuse its output.
pub(super) fn softmax<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.plain(node, 0)?;
    let default = if node.opset < 13 { 1 } else { -1 };
    let axis = node.axis(node.int("axis")?.unwrap_or(default), x.dims.len())?;
    let shape = importer.graph.node(x.layer).shape;
    let along: usize = match node.opset < 13 {
        true => x.dims[axis..].iter().product(),
        false => x.dims[axis],
    };
    if along != shape.len() {
        let expected = format!("probabilities of all {} scores", shape.len());
        return Err(node.error(expected, format!("those along axis {axis} of {}", listed(&x.dims))));
    }
    behind_probabilities(importer, node, x);
    Ok(())
}

/// Left out as softmax is: a score for each class is the logit of its sigmoid. Inside a network,
/// as part of `SiLU` or a gate, there is no layer for it.
pub(super) fn sigmoid<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let reshapes = |&taker: &usize| {
        let operator = importer.node(taker).operator();
        matches!(operator, "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Identity")
    };
    let output = node.output(0).unwrap_or_default();
    if !importer.plan.takers(output).iter().all(reshapes) {
        return Err(node.unsupported("; only one at the very end is left out"));
    }
    let x = importer.plain(node, 0)?;
    behind_probabilities(importer, node, x);
    Ok(())
}

fn behind_probabilities<'a>(importer: &mut Importer<'a>, node: Node<'a>, x: Activation) {
    let form = Form::Probabilities(format!("{} `{}`", node.operator(), shown(node.name())));
    importer.set(node, Value::Activation(Activation { form, ..x }));
}
