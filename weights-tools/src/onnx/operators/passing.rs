//! Operators that leave their input as it is.

use clrp::graph::Op;
use rten_onnx::onnx::DataType;

use super::super::constant::Float;
use super::super::error::{Result, listed, shown};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Activation, Form, Value};
use super::one_output;

pub(super) fn dropout<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    one_output(importer, node)?;
    if let Some(mode) = importer.constant(node, 2)?
        && mode.len() == 1
        && importer.storage.number(&mode, 0) != 0.0
    {
        return Err(node.error("dropout in evaluation mode", "in training mode"));
    }
    let x = importer.activation(node, 0)?;
    match x.form {
        Form::Plain => importer.same_rank(node, Op::Dropout, &x),
        _ => {
            importer.set_activation(node, x);
            Ok(())
        }
    }
}

pub(super) fn identity<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let value = importer.value(node, 0)?;
    importer.set(node, value);
    Ok(())
}

/// Networks run in one type of numbers here, whatever the file says.
pub(super) fn cast<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let to = node.int("to")?.and_then(|code| i32::try_from(code).ok()).map(DataType);
    if to.and_then(Float::of).is_none() {
        let found = to.map_or("none".to_owned(), |to| to.to_string());
        return Err(node.error("a type of floats for a layer's output", found));
    }
    identity(importer, node)
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
    let form = Form::Softmax(shown(node.name()));
    importer.set(node, Value::Activation(Activation { form, ..x }));
    Ok(())
}
