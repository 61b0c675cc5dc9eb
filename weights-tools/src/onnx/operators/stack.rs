//! Sums of stacked layers: `torch.stack([a, b]).sum(...)` is an addition.

use std::rc::Rc;

use super::super::error::{Result, listed};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Activation, Form};
use super::arithmetic::add;

/// Whether a concatenation of such activations along that axis can be a stack: the axis has no
/// numbers of the layer's, and is not that of the channels.
pub(super) fn is_stack(first: &Activation, axis: usize) -> bool {
    first.dims[axis] == 1 && first.dims.len() > 2 && (axis > 1 || first.dims.len() == 5)
}

/// The node's inputs, one after the other along the axis.
pub(super) fn stack<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    first: &Activation,
    axis: usize,
) -> Result<()> {
    let mut layers = Vec::with_capacity(node.proto.input.len());
    for i in 0..node.proto.input.len() {
        let x = importer.plain(node, i)?;
        if x.dims != first.dims {
            let expected = format!("inputs of one shape, {}", listed(&first.dims));
            return Err(node.error(expected, format!("{} as input {i}", listed(&x.dims))));
        }
        layers.push(x.layer);
    }
    let mut dims = first.dims.clone();
    dims[axis] = layers.len();
    let form = Form::Stacked(axis, Rc::new(layers));
    importer.set_activation(node, Activation { layer: first.layer, dims, form });
    Ok(())
}

/// The sum of stacked layers.
pub(super) fn reduce_sum<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.activation(node, 0)?;
    let Form::Stacked(axis, layers) = &x.form else {
        return Err(node.error("a stack of layers' outputs", x.form.described()));
    };
    let given = importer.ints(node, "axes", 1)?.unwrap_or_default();
    let [summed] = given[..] else {
        return Err(node.error(format!("axis {axis}, that of the stack"), listed(&given)));
    };
    if node.axis(summed, x.dims.len())? != *axis {
        return Err(node.error(format!("axis {axis}, that of the stack"), listed(&given)));
    }
    let mut dims = x.dims.clone();
    match node.flag("keepdims", true)? {
        true => dims[*axis] = 1,
        false => drop(dims.remove(*axis)),
    }
    let name = importer.names.layer(node, None);
    let mut sum = Activation::plain(layers[0], dims.clone());
    for (i, &layer) in layers.iter().enumerate().skip(1) {
        let next = Activation::plain(layer, dims.clone());
        let step = match i {
            1 => name.clone(),
            _ => importer.names.unique(format!("{name}.{i}")),
        };
        sum = add(importer, node, step, &sum, &next)?;
    }
    importer.set_activation(node, sum);
    Ok(())
}
