//! Other views of a layer's output: flattened, without sizes of 1, with channels in groups.

use clrp::graph::Op;

use super::super::error::{Result, listed};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::tensor;
use super::super::value::{Activation, Form};

pub(super) fn flatten<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.activation(node, 0)?;
    let rank = x.dims.len();
    let axis = match node.int("axis")?.unwrap_or(1) {
        end if usize::try_from(end) == Ok(rank) => rank,
        axis => node.axis(axis, rank)?,
    };
    let (outer, inner) = x.dims.split_at(axis);
    let dims = product(outer).zip(product(inner)).map(|(outer, inner)| vec![outer, inner]);
    let dims = dims.ok_or_else(|| node.error("a shape that can be counted", listed(&x.dims)))?;
    if x.dims.len() == 4 && x.form == Form::Plain && dims[0] == x.batch() {
        return flat(importer, node, &x, dims);
    }
    reshaped(importer, node, x, dims)
}

/// Flattens rows and columns even where there is one of each, as the network's author does.
fn flat<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    x: &Activation,
    dims: Vec<usize>,
) -> Result<()> {
    let name = importer.names.layer(node, None);
    let layer = importer.push(node, name, Op::Flatten, &[x.layer])?;
    importer.set_activation(node, Activation::plain(layer, dims));
    Ok(())
}

pub(super) fn reshape<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.activation(node, 0)?;
    let wanted = importer.ints(node, "shape", 1)?;
    let wanted = wanted.ok_or_else(|| node.error("a shape as input 1", "none"))?;
    let dims = resolve(node, &wanted, &x.dims)?;
    reshaped(importer, node, x, dims)
}

/// ONNX's shape with 0 for a size that stays, unless the node's `allowzero` says otherwise, and -1
/// for the one that is left.
pub(in super::super) fn resolve(
    node: Node<'_>,
    wanted: &[i64],
    from: &[usize],
) -> Result<Vec<usize>> {
    if wanted.len() > tensor::RANK {
        let expected = format!("a shape of at most {} sizes", tensor::RANK);
        return Err(node.error(expected, listed(wanted)));
    }
    let keep_zero = node.flag("allowzero", false)?;
    resolved(wanted, from, keep_zero).ok_or_else(|| {
        let expected = format!("a shape of as many numbers as {}", listed(from));
        node.error(expected, listed(wanted))
    })
}

fn resolved(wanted: &[i64], from: &[usize], keep_zero: bool) -> Option<Vec<usize>> {
    let count = product(from)?;
    let mut dims = Vec::new();
    let mut open = None;
    for (i, &size) in wanted.iter().enumerate() {
        dims.push(match size {
            -1 if open.replace(i).is_some() => return None,
            -1 => 1,
            0 if !keep_zero => *from.get(i)?,
            size => usize::try_from(size).ok()?,
        });
    }
    let known = product(&dims)?;
    if let Some(open) = open {
        dims[open] = count.checked_div(known)?;
    }
    (product(&dims) == Some(count)).then_some(dims)
}

/// The activation with other sizes; both shapes hold as many numbers.
fn reshaped<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    x: Activation,
    dims: Vec<usize>,
) -> Result<()> {
    if dims == x.dims {
        importer.set_activation(node, x);
        return Ok(());
    }
    let shape = importer.graph.node(x.layer).shape;
    let batch = x.batch();
    let planes = [batch, shape.channels, shape.height, shape.width];
    let refused = || {
        let expected = "a flattening, or channels in groups and back";
        node.error(expected, format!("{} to {}", listed(&x.dims), listed(&dims)))
    };
    match x.form {
        Form::Grouped(_) if dims == planes => {
            importer.set_activation(node, Activation::plain(x.layer, dims));
            Ok(())
        }
        Form::Shuffled(groups) if dims == planes => {
            importer.with_planes(node, Op::ChannelShuffle { groups }, &x)
        }
        Form::Plain | Form::Probabilities(_) | Form::Response(_)
            if without_ones(&dims) == without_ones(&x.dims) =>
        {
            // Two dimensions are a vector for each picture, unless the batch is lost.
            if dims.len() == 2 && x.dims.len() > 2 && dims[0] != batch {
                return Err(refused());
            }
            if dims.len() == 2 && x.form == Form::Plain {
                return flat(importer, node, &x, dims);
            }
            importer.set_activation(node, Activation { dims, ..x });
            Ok(())
        }
        Form::Plain if dims.len() == 2 && dims[0] == batch => flat(importer, node, &x, dims),
        Form::Plain if x.dims == planes => {
            let groups = grouping(&dims, planes).ok_or_else(refused)?;
            importer.set_activation(node, Activation { dims, form: Form::Grouped(groups), ..x });
            Ok(())
        }
        Form::Plain
        | Form::ChannelsLast
        | Form::Padded(_)
        | Form::Grouped(_)
        | Form::Shuffled(_)
        | Form::Stacked(..)
        | Form::Response(_)
        | Form::Probabilities(_) => Err(refused()),
    }
}

/// The groups of channels, if that is all that sets the shapes apart.
fn grouping(dims: &[usize], planes: [usize; 4]) -> Option<usize> {
    let [batch, channels, height, width] = planes;
    let (&[first, groups, of_group], rest) = dims.split_first_chunk::<3>()?;
    let fits = first == batch
        && product(&[groups, of_group]) == Some(channels)
        && product(rest) == product(&[height, width]);
    fits.then_some(groups)
}

/// How many numbers sizes stand for, if that can be counted.
fn product(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |count, &size| count.checked_mul(size))
}

fn without_ones(dims: &[usize]) -> Vec<usize> {
    dims.iter().copied().filter(|&size| size != 1).collect()
}

pub(super) fn transpose<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.activation(node, 0)?;
    let order = permutation(node, x.dims.len())?;
    let dims: Vec<usize> = order.iter().map(|&axis| x.dims[axis]).collect();
    let exchanges = exchanges_groups(&order);
    // Where only sizes of 1 move, no number does.
    let same = order.iter().filter(|&&axis| x.dims[axis] != 1).is_sorted();
    let form = match &x.form {
        Form::ChannelsLast if order == [0, 3, 1, 2] => Some(Form::Plain),
        Form::Grouped(groups) if exchanges => Some(Form::Shuffled(*groups)),
        Form::Shuffled(groups) if exchanges => Some(Form::Grouped(*groups)),
        Form::Plain | Form::Probabilities(_) if same => Some(x.form.clone()),
        Form::Plain
        | Form::ChannelsLast
        | Form::Padded(_)
        | Form::Grouped(_)
        | Form::Shuffled(_)
        | Form::Stacked(..)
        | Form::Response(_)
        | Form::Probabilities(_) => None,
    };
    let form = form.ok_or_else(|| {
        let expected = "a channel shuffle, or channels before rows and columns throughout";
        node.error(expected, format!("{} by {order:?}", listed(&x.dims)))
    })?;
    importer.set_activation(node, Activation { layer: x.layer, dims, form });
    Ok(())
}

fn exchanges_groups(order: &[usize]) -> bool {
    order.starts_with(&[0, 2, 1]) && order[3..].iter().enumerate().all(|(i, &axis)| axis == i + 3)
}

/// The node's order of axes; without one, they are turned round.
pub(in super::super) fn permutation(node: Node<'_>, rank: usize) -> Result<Vec<usize>> {
    let Some(given) = node.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let order: Vec<usize> = given.iter().filter_map(|&axis| usize::try_from(axis).ok()).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if given.len() != rank || !sorted.into_iter().eq(0..rank) {
        return Err(node.error(format!("an order of {rank} axes as `perm`"), listed(given)));
    }
    Ok(order)
}

pub(super) fn squeeze<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.activation(node, 0)?;
    let axes = importer.ints(node, "axes", 1)?;
    let dims = squeezed(node, &x.dims, axes.as_deref())?;
    reshaped(importer, node, x, dims)
}

pub(super) fn unsqueeze<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.activation(node, 0)?;
    let axes = importer.ints(node, "axes", 1)?;
    let dims = unsqueezed(node, &x.dims, axes.as_deref())?;
    reshaped(importer, node, x, dims)
}

/// The sizes without those axes, or without all of size 1.
pub(in super::super) fn squeezed(
    node: Node<'_>,
    dims: &[usize],
    axes: Option<&[i64]>,
) -> Result<Vec<usize>> {
    let Some(axes) = axes else { return Ok(without_ones(dims)) };
    let axes: Result<Vec<usize>> = axes.iter().map(|&axis| node.axis(axis, dims.len())).collect();
    let axes = axes?;
    if let Some(axis) = axes.iter().find(|&&axis| dims[axis] != 1) {
        return Err(node.error(format!("size 1 of axis {axis}"), listed(dims)));
    }
    Ok((0..dims.len()).filter(|axis| !axes.contains(axis)).map(|axis| dims[axis]).collect())
}

/// The sizes with a 1 at each of those axes of the result.
pub(in super::super) fn unsqueezed(
    node: Node<'_>,
    dims: &[usize],
    axes: Option<&[i64]>,
) -> Result<Vec<usize>> {
    let given = axes.unwrap_or_default();
    let rank = dims.len() + given.len();
    if given.is_empty() || rank > tensor::RANK {
        let expected = format!("axes for at most {} dimensions", tensor::RANK);
        return Err(node.error(expected, listed(given)));
    }
    let axes: Result<Vec<usize>> = given.iter().map(|&axis| node.axis(axis, rank)).collect();
    let axes = axes?;
    let mut rest = dims.iter().copied();
    let sizes = (0..rank).map(|axis| if axes.contains(&axis) { Some(1) } else { rest.next() });
    let sizes: Option<Vec<usize>> = sizes.collect();
    let sizes = sizes.filter(|sizes| sizes.len() == rank && rest.next().is_none());
    sizes.ok_or_else(|| node.error("axes that differ", listed(given)))
}
