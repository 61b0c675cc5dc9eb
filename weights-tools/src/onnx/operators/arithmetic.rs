//! Sums of layers, numbers for each channel, and bounds.

use std::rc::Rc;

use clrp::graph::Op;

use super::super::constant::Constant;
use super::super::error::{Result, listed};
use super::super::import::{Importer, plainly};
use super::super::node::Node;
use super::super::value::{Activation, Value};

pub(super) fn relu<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.plain(node, 0)?;
    importer.same_rank(node, Op::Relu, &x)
}

pub(super) fn clip<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.plain(node, 0)?;
    let low = importer.float(node, "min", 1)?;
    let high = importer.float(node, "max", 2)?;
    bounded(importer, node, &x, low, high)
}

/// `Min` or `Max` of a layer's output and a number.
pub(super) fn bound<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let (x, bound) = match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(x), Value::Constant(bound))
        | (Value::Constant(bound), Value::Activation(x))
            if bound.len() == 1 && node.input(2).is_none() =>
        {
            (plainly(node, 0, x)?, bound)
        }
        _ => return Err(node.error("a layer's output and one number", "other inputs")),
    };
    let bound = Some(importer.storage.number(&bound, 0));
    match node.operator() {
        "Max" => bounded(importer, node, &x, bound, None),
        _ => bounded(importer, node, &x, None, bound),
    }
}

fn bounded<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    x: &Activation,
    low: Option<f64>,
    high: Option<f64>,
) -> Result<()> {
    // Exporters write the ends of the type for a bound that is not there.
    let most = f64::from(f32::MAX);
    let low = low.filter(|low| *low > -most);
    let high = high.filter(|high| *high < most);
    let op = match (low, high) {
        (None, None) => Op::Identity,
        (Some(0.0), None) => Op::Relu,
        _ => Op::Hardtanh { low: low.unwrap_or(-most) as f32, high: high.unwrap_or(most) as f32 },
    };
    importer.same_rank(node, op, x)
}

/// A layer's output and another's, or a number for each channel.
pub(super) fn binary<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(a), Value::Activation(b)) if node.operator() == "Add" => {
            let (a, b) = (plainly(node, 0, a)?, plainly(node, 1, b)?);
            let name = importer.names.layer(node, None);
            let sum = add(importer, node, name, &a, &b)?;
            importer.set_activation(node, sum);
            Ok(())
        }
        (Value::Activation(_), Value::Activation(_)) => {
            Err(node.error("a constant as one input", "two layers' outputs"))
        }
        (Value::Activation(x), Value::Constant(constant)) => {
            let x = plainly(node, 0, x)?;
            affine(importer, node, &x, &constant, false)
        }
        (Value::Constant(constant), Value::Activation(x)) => {
            let x = plainly(node, 1, x)?;
            affine(importer, node, &x, &constant, true)
        }
        (Value::Constant(_), Value::Constant(_)) => {
            Err(node.error("a layer's output as one input", "two constants"))
        }
    }
}

/// Appends the sum of two layers' outputs.
pub(super) fn add<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    name: String,
    a: &Activation,
    b: &Activation,
) -> Result<Activation> {
    if a.dims != b.dims {
        let found = format!("{} and {}", listed(&a.dims), listed(&b.dims));
        return Err(node.error("two outputs of one shape", found));
    }
    let layer = importer.push(node, name, Op::Add, &[a.layer, b.layer])?;
    Ok(Activation::plain(layer, a.dims.clone()))
}

/// Two or more layers' outputs.
pub(super) fn sum<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let mut sum = importer.plain(node, 0)?;
    let name = importer.names.layer(node, None);
    for i in 1..node.proto.input.len() {
        let next = importer.plain(node, i)?;
        let step = match i {
            1 => name.clone(),
            _ => importer.names.unique(format!("{name}.{i}")),
        };
        sum = add(importer, node, step, &sum, &next)?;
    }
    importer.set_activation(node, sum);
    Ok(())
}

/// `x` and a constant of one number, or of one for each channel; `swapped` if the constant is the
/// first of the two.
fn affine<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    x: &Activation,
    constant: &Rc<Constant>,
    swapped: bool,
) -> Result<()> {
    let channels = importer.graph.node(x.layer).shape.channels;
    importer.charge(node, channels.saturating_mul(32))?;
    let numbers = per_channel(importer, node, x, constant, channels)?;
    let all = |factor: f64| vec![factor; channels];
    let (scale, shift) = match (node.operator(), swapped) {
        ("Add", _) => (all(1.0), numbers),
        ("Sub", false) => (all(1.0), numbers.iter().map(|number| -number).collect()),
        ("Sub", true) => (all(-1.0), numbers),
        ("Mul", _) => (numbers, all(0.0)),
        (_, false) => (numbers.iter().map(|number| 1.0 / number).collect(), all(0.0)),
        (_, true) => return Err(node.error("a constant as the divisor", "a layer's output")),
    };
    if let Some(number) = scale.iter().chain(&shift).find(|number| !number.is_finite()) {
        return Err(node.error("finite numbers", number.to_string()));
    }
    importer.same_rank(node, Op::ChannelAffine { scale, shift }, x)
}

/// The constant's number for each channel.
fn per_channel<'a>(
    importer: &Importer<'a>,
    node: Node<'a>,
    x: &Activation,
    constant: &Constant,
    channels: usize,
) -> Result<Vec<f64>> {
    let storage = &importer.storage;
    if constant.len() == 1 {
        return Ok(vec![storage.number(constant, 0); channels]);
    }
    let misfit = || {
        let expected = format!("one number, or one for each of {channels} channels");
        node.error(expected, format!("a constant of shape {}", listed(&constant.dims)))
    };
    // Axes are counted from the end, apart from old models that say where the first one lies.
    let rank = x.dims.len();
    let behind = match node.int("axis")? {
        Some(axis) => rank.saturating_sub(node.axis(axis, rank)? + constant.dims.len()),
        None => 0,
    };
    let channel_axis = rank.checked_sub(2).ok_or_else(misfit)?;
    let fits = constant.dims.iter().rev().enumerate().all(|(from_end, &size)| {
        size == 1 || (from_end + behind == channel_axis && size == channels)
    });
    if !fits || constant.len() != channels || x.dims[1] != channels {
        return Err(misfit());
    }
    Ok((0..channels).map(|i| storage.number(constant, i)).collect())
}
