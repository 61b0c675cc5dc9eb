//! Convolutions.

use std::rc::Rc;

use clrp::graph::{Conv2d, Op};

use super::super::constant::Constant;
use super::super::error::{Result, listed};
use super::super::import::{Importer, plainly};
use super::super::node::Node;
use super::super::value::Form;
use super::window::Window;

pub(super) fn conv<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let mut x = importer.activation(node, 0)?;
    // Zeros of a `Pad` in front become part of the convolution's own.
    let zeros = if let Form::Padded(zeros) = x.form { zeros } else { [0; 4] };
    let padded = match x.dims[..] {
        [_, _, height, width] => [height, width],
        _ => return Err(node.error("an input of four dimensions", listed(&x.dims))),
    };
    if zeros == [0; 4] {
        x = plainly(node, 0, x)?;
        importer.as_planes(node, 0, &x)?;
    }
    let weight = importer.needed_constant(node, 1)?;
    let &[out_channels, channels, height, width] = &weight.dims[..] else {
        return Err(node.error("a weight of four dimensions", listed(&weight.dims)));
    };
    let kernel = node.pair("kernel_shape", 0)?;
    if node.has("kernel_shape") && kernel != [height, width] {
        let expected = format!("`kernel_shape` as in the weight's {}", listed(&weight.dims));
        return Err(node.error(expected, format!("{kernel:?}")));
    }
    let group = node.int("group")?.unwrap_or(1);
    let groups = usize::try_from(group).ok().filter(|groups| *groups > 0);
    let groups = groups.ok_or_else(|| node.error("a `group` above 0", group.to_string()))?;
    let shape = importer.graph.node(x.layer).shape;
    if channels.checked_mul(groups) != Some(shape.channels) {
        let expected = format!("a weight for {} channels in {groups} groups", shape.channels);
        return Err(node.error(expected, listed(&weight.dims)));
    }
    let [left, right, above, below] = zeros;
    let mut window = Window::new(node, [height, width], padded)?;
    window.begin = [window.begin[0] + above, window.begin[1] + left];
    window.end = [window.end[0] + below, window.end[1] + right];

    let name = importer.names.layer(node, Some(&weight.name));
    let mut input = x.layer;
    window.settle([shape.height, shape.width]);
    if window.more().is_none() {
        // Convolutions have more zeros at the end only.
        let op = Op::ZeroPad2d(window.take_ahead());
        let pad = importer.names.unique(format!("{name}.pad"));
        input = importer.push(node, pad, op, &[input])?;
    }
    let own = importer.constant(node, 2)?;
    let (last, bias) = match own {
        Some(bias) => (node, Some(bias)),
        None => match importer.absorb_bias(node, out_channels, 4)? {
            Some((add, bias)) => (add, Some(bias)),
            None => (node, None),
        },
    };
    let conv = Conv2d {
        out_channels,
        kernel: window.kernel,
        stride: window.stride,
        padding: window.begin,
        more_padding: window.more().unwrap_or_default(),
        dilation: window.dilation,
        groups,
        bias: bias.is_some(),
    };
    importer.weight(node, format!("{name}.weight"), &weight)?;
    if let Some(bias) = bias {
        let bias = vector(node, &bias, out_channels)?;
        importer.weight(node, format!("{name}.bias"), &bias)?;
    }
    let layer = importer.push(node, name, Op::Conv2d(conv), &[input])?;
    let activation = importer.planes_of(layer, x.batch());
    importer.set_activation(last, activation);
    Ok(())
}

/// The constant as a vector of that length.
pub(super) fn vector(node: Node<'_>, from: &Rc<Constant>, length: usize) -> Result<Rc<Constant>> {
    if from.dims == [length] {
        return Ok(from.clone());
    }
    if from.len() != length {
        return Err(node.error(format!("{length} numbers as its bias"), listed(&from.dims)));
    }
    Ok(Rc::new(from.with(&from.name, vec![length])))
}
