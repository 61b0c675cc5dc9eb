//! Parts of the channels, channels one after the other, and zeros around the picture.

use std::ops::Range;

use clrp::graph::Op;

use super::super::error::{Result, listed};
use super::super::fold;
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Activation, Form, Value};
use super::stack;
use crate::foreign::shown;

pub(super) fn concat<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let first = importer.plain(node, 0)?;
    let axis = node.int("axis")?.unwrap_or(1);
    let counted = node.axis(axis, first.dims.len())?;
    if stack::is_stack(&first, counted) {
        return stack::stack(importer, node, &first, counted);
    }
    if counted != 1 {
        return Err(node.error("axis 1, the channels", axis.to_string()));
    }
    let mut layers = Vec::with_capacity(node.proto.input.len());
    let mut channels = 0_usize;
    for i in 0..node.proto.input.len() {
        let x = importer.plain(node, i)?;
        let others = |dims: &[usize]| {
            let rest = dims.get(2..).map(<[usize]>::to_vec);
            (dims.first().copied(), rest)
        };
        if others(&x.dims) != others(&first.dims) {
            let expected =
                format!("shapes that differ in channels only from {}", listed(&first.dims));
            return Err(node.error(expected, format!("{} as input {i}", listed(&x.dims))));
        }
        channels = channels.saturating_add(importer.graph.node(x.layer).shape.channels);
        layers.push(x.layer);
    }
    if channels > 1 << 32 {
        return Err(node.error("fewer channels", channels.to_string()));
    }
    let name = importer.names.layer(node, None);
    let layer = importer.push(node, name, Op::Concat, &layers)?;
    let mut dims = first.dims;
    dims[1] = importer.graph.node(layer).shape.channels;
    importer.set_activation(node, Activation::plain(layer, dims));
    Ok(())
}

/// The activation whose channels are to be taken, with axis 1 as its channels.
fn parted<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Activation> {
    let x = importer.plain(node, 0)?;
    let channels = importer.graph.node(x.layer).shape.channels;
    if x.dims.get(1) != Some(&channels) {
        return Err(node.error("channels as axis 1 of input 0", listed(&x.dims)));
    }
    Ok(x)
}

/// Some of the channels; all of them need no layer.
fn narrow<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    name: String,
    x: &Activation,
    channels: Range<usize>,
) -> Result<Activation> {
    let mut dims = x.dims.clone();
    dims[1] = channels.len();
    if channels == (0..x.dims[1]) {
        return Ok(Activation::plain(x.layer, dims));
    }
    let op = Op::Narrow { start: channels.start, length: channels.len() };
    let layer = importer.push(node, name, op, &[x.layer])?;
    Ok(Activation::plain(layer, dims))
}

pub(super) fn split<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = parted(importer, node)?;
    let axis = node.int("axis")?.unwrap_or(0);
    if node.axis(axis, x.dims.len())? != 1 {
        return Err(node.error("axis 1, the channels", axis.to_string()));
    }
    let (channels, parts) = (x.dims[1], node.proto.output.len());
    let lengths: Vec<usize> = match importer.ints(node, "split", 1)? {
        Some(given) => given.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect(),
        None => {
            // The last part may be shorter.
            let each = channels.div_ceil(parts.max(1));
            (0..parts).map(|i| each.min(channels.saturating_sub(i.saturating_mul(each)))).collect()
        }
    };
    let sum = lengths.iter().try_fold(0_usize, |sum, &length| sum.checked_add(length));
    if lengths.len() != parts || lengths.contains(&0) || sum != Some(channels) {
        let expected = format!("{parts} parts of {channels} channels");
        return Err(node.error(expected, listed(&lengths)));
    }
    let name = importer.names.layer(node, None);
    let mut start = 0;
    for (i, length) in lengths.into_iter().enumerate() {
        let range = start..start + length;
        start = range.end;
        let Some(output) = node.output(i).filter(|name| importer.plan.is_needed(name)) else {
            continue;
        };
        let part = importer.names.unique(format!("{name}.{i}"));
        let part = narrow(importer, node, part, &x, range)?;
        importer.define(output, Value::Activation(part));
    }
    Ok(())
}

pub(super) fn slice<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = parted(importer, node)?;
    let ranges = fold::slices(importer, node, &x.dims)?;
    for (axis, range) in ranges.iter().enumerate() {
        let whole = range.start == 0 && range.step == 1 && range.count == x.dims[axis];
        if !whole && (axis != 1 || range.step != 1 || range.count == 0) {
            let expected = "channels in a row, all rows and all columns";
            return Err(node.error(expected, format!("{range:?} of axis {axis}")));
        }
    }
    let channels = ranges[1].start..ranges[1].start + ranges[1].count;
    let name = importer.names.layer(node, None);
    let part = narrow(importer, node, name, &x, channels)?;
    importer.set_activation(node, part);
    Ok(())
}

/// One channel, or several in a row.
pub(super) fn gather<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = parted(importer, node)?;
    let axis = node.int("axis")?.unwrap_or(0);
    if node.axis(axis, x.dims.len())? != 1 {
        return Err(node.error("axis 1, the channels", axis.to_string()));
    }
    let indices = importer.needed_constant(node, 1)?;
    let wanted = indices.as_ints().filter(|_| indices.dims.len() < 2).unwrap_or_default();
    let start = wanted.first().map(|&index| node.axis(index, x.dims[1])).transpose()?;
    let in_a_row = wanted.iter().enumerate().all(|(i, &index)| {
        start.is_some_and(|start| node.axis(index, x.dims[1]).is_ok_and(|at| at == start + i))
    });
    let Some(start) = start.filter(|_| in_a_row) else {
        return Err(node.error("channels in a row", listed(wanted)));
    };
    let name = importer.names.layer(node, None);
    let mut part = narrow(importer, node, name, &x, start..start + wanted.len())?;
    if indices.dims.is_empty() {
        part.dims.remove(1);
    }
    importer.set_activation(node, part);
    Ok(())
}

/// Zeros around the picture.
pub(super) fn pad<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.planes(node, 0)?;
    let mode = node.text("mode")?.unwrap_or("constant");
    if mode != "constant" {
        return Err(node.error("`mode` constant", shown(mode)));
    }
    let value = importer.float(node, "value", 2)?.unwrap_or(0.0);
    if value != 0.0 {
        return Err(node.error("padding by 0", value.to_string()));
    }
    let attribute = if node.has("paddings") { "paddings" } else { "pads" };
    let pads = importer.ints(node, attribute, 1)?.unwrap_or_default();
    let axes = importer.ints(node, "axes", 3)?.unwrap_or_else(|| vec![0, 1, 2, 3]);
    if pads.len() != axes.len().saturating_mul(2) {
        return Err(node.error(format!("two pads for each of {} axes", axes.len()), listed(&pads)));
    }
    // Left, right, above, below.
    let mut zeros = [0; 4];
    for (i, &axis) in axes.iter().enumerate() {
        for (end, pad) in [pads[i], pads[i + axes.len()]].into_iter().enumerate() {
            let side = match node.axis(axis, 4)? {
                2 => Some(2 + end),
                3 => Some(end),
                _ => None,
            };
            match (side, usize::try_from(pad)) {
                (_, Ok(0)) => {}
                (Some(side), Ok(pad)) if pad <= 1 << 24 => zeros[side] = pad,
                _ => {
                    let expected = "zeros around rows and columns only";
                    return Err(node.error(expected, format!("{pad} for axis {axis}")));
                }
            }
        }
    }
    if zeros == [0; 4] {
        importer.set_activation(node, x);
        return Ok(());
    }
    if !feeds_convolutions(importer, node) {
        return importer.with_planes(node, Op::ZeroPad2d(zeros), &x);
    }
    let [left, right, above, below] = zeros;
    let mut dims = x.dims;
    dims[2] += above + below;
    dims[3] += left + right;
    importer.set_activation(node, Activation { layer: x.layer, dims, form: Form::Padded(zeros) });
    Ok(())
}

/// Whether all that take the node's output are convolutions of it, which can pad themselves.
fn feeds_convolutions(importer: &Importer<'_>, node: Node<'_>) -> bool {
    let Some(output) = node.output(0) else { return false };
    let takers = importer.plan.takers(output);
    !takers.is_empty()
        && takers.iter().all(|&taker| {
            let taker = importer.node(taker);
            let once = (1..taker.proto.input.len()).all(|i| taker.input(i) != Some(output));
            taker.operator() == "Conv" && taker.custom_domain().is_none() && once
        })
}
