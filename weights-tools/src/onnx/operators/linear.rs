//! Fully connected layers.

use std::rc::Rc;

use clrp::graph::{Linear, Op};

use super::super::constant::Constant;
use super::super::error::{Result, listed};
use super::super::fold;
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::Activation;
use super::convolution::vector;

/// A matrix that a vector is multiplied with.
struct Matrix {
    from: Rc<Constant>,
    /// Whether it stands as inputs by outputs, unlike torch's.
    transposed: bool,
    factor: f64,
}

/// `alpha * A * B + beta * C` for a constant `B`.
pub(super) fn gemm<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    if node.flag("transA", false)? {
        return Err(node.error("`transA` 0", "1"));
    }
    let x = features(importer, node)?;
    let from = importer.needed_constant(node, 1)?;
    let transposed = !node.flag("transB", false)?;
    let factor = node.float("alpha")?.unwrap_or(1.0).into();
    let beta = f64::from(node.float("beta")?.unwrap_or(1.0));
    let matrix = Matrix { from, transposed, factor };
    let outputs = outputs(importer, node, &x, &matrix)?;
    let bias = match importer.constant(node, 2)?.filter(|_| beta != 0.0) {
        Some(bias) => Some(scaled(importer, node, &bias, outputs, beta)?),
        None => None,
    };
    linear(importer, (node, node), &x, &matrix, bias)
}

/// The product with a constant matrix, and an `Add` of a constant vector behind it.
pub(super) fn matmul<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = features(importer, node)?;
    let from = importer.needed_constant(node, 1)?;
    let matrix = Matrix { from, transposed: true, factor: 1.0 };
    let outputs = outputs(importer, node, &x, &matrix)?;
    match importer.absorb_bias(node, outputs, 2)? {
        Some((add, bias)) => {
            let bias = vector(node, &bias, outputs)?;
            linear(importer, (node, add), &x, &matrix, Some(bias))
        }
        None => linear(importer, (node, node), &x, &matrix, None),
    }
}

/// The node's input, a vector for each picture.
fn features<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Activation> {
    let x = importer.plain(node, 0)?;
    let shape = importer.graph.node(x.layer).shape;
    if x.dims.len() != 2 || x.dims[1] != shape.channels || !shape.is_vector() {
        let expected = "a vector for each picture as input 0";
        return Err(node.error(expected, format!("{} of {shape}", listed(&x.dims))));
    }
    Ok(x)
}

/// How many outputs the matrix has for the input.
fn outputs<'a>(
    importer: &Importer<'a>,
    node: Node<'a>,
    x: &Activation,
    matrix: &Matrix,
) -> Result<usize> {
    let inputs = importer.graph.node(x.layer).shape.channels;
    match (&matrix.from.dims[..], matrix.transposed) {
        (&[rows, columns], true) if rows == inputs => Ok(columns),
        (&[rows, columns], false) if columns == inputs => Ok(rows),
        _ => {
            let expected = format!("a matrix for {inputs} numbers as input 1");
            Err(node.error(expected, listed(&matrix.from.dims)))
        }
    }
}

/// Appends the layer, named after `nodes.0`; its output is that of `nodes.1`.
fn linear<'a>(
    importer: &mut Importer<'a>,
    nodes: (Node<'a>, Node<'a>),
    x: &Activation,
    matrix: &Matrix,
    bias: Option<Rc<Constant>>,
) -> Result<()> {
    let (node, last) = nodes;
    let outputs = outputs(importer, node, x, matrix)?;
    let name = importer.names.layer(node, Some(&matrix.from.name));
    let weight = as_torch_has_it(importer, node, matrix)?;
    importer.weight(node, format!("{name}.weight"), &weight)?;
    if let Some(bias) = &bias {
        importer.weight(node, format!("{name}.bias"), bias)?;
    }
    let op = Op::Linear(Linear { out_features: outputs, bias: bias.is_some() });
    let layer = importer.push(node, name, op, &[x.layer])?;
    importer.set_activation(last, Activation::plain(layer, vec![x.batch(), outputs]));
    Ok(())
}

/// The matrix as torch stores it: outputs by inputs.
fn as_torch_has_it<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    matrix: &Matrix,
) -> Result<Rc<Constant>> {
    let mut copy = matrix.from.clone();
    if matrix.transposed {
        copy = Rc::new(fold::turned(importer, node, &copy, &[1, 0])?);
    }
    if matrix.factor != 1.0 {
        let mut values = importer.numbers(node, &copy)?;
        values.iter_mut().for_each(|value| *value *= matrix.factor);
        copy = Rc::new(Constant::floats(&copy.name, copy.dims.clone(), values));
    }
    Ok(copy)
}

/// The summand as a vector of that length, times `factor`.
fn scaled<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    from: &Rc<Constant>,
    length: usize,
    factor: f64,
) -> Result<Rc<Constant>> {
    let last = from.dims.last().copied().unwrap_or(1);
    if from.len() != last || (last != length && last != 1) {
        let expected = format!("a summand of {length} numbers as input 2");
        return Err(node.error(expected, listed(&from.dims)));
    }
    if factor == 1.0 && last == length {
        return vector(node, from, length);
    }
    importer.charge(node, length.saturating_mul(8))?;
    let number = |i: usize| importer.storage.number(from, if last == 1 { 0 } else { i }) * factor;
    let values = (0..length).map(number).collect();
    Ok(Rc::new(Constant::floats(&from.name, vec![length], values)))
}
