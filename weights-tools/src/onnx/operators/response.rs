//! Local response normalisation as PyTorch's exporters write it: `x * x`, zeros before and behind
//! the channels, a mean over channels as three-dimensional pooling, times alpha, plus k, to the
//! power of beta, and `x` divided by that.

use clrp::graph::{LocalResponseNorm, Op};

use super::super::error::{Result, listed};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::{Activation, Form, Response, Value};

/// Whether the node can only be a part of the formula: it squares a value or continues a part.
pub(super) fn is_part<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<bool> {
    let squares = match node.operator() {
        "Mul" => node.input(0).is_some() && node.input(0) == node.input(1),
        "Pow" => true,
        _ => false,
    };
    let mut continues = false;
    for i in 0..node.proto.input.len().min(2) {
        if let Some(Value::Activation(x)) = importer.optional(node, i)? {
            continues |= matches!(x.form, Form::Response(_));
        }
    }
    Ok(squares || continues)
}

/// That the formula is another.
fn other(node: Node<'_>, found: &str) -> super::super::error::Error {
    node.error("a part of local response normalisation", found)
}

fn set<'a>(importer: &mut Importer<'a>, node: Node<'a>, x: Activation, part: Response) {
    importer.set_activation(node, Activation { form: Form::Response(part), ..x });
}

/// One number, if the value is that.
fn number(importer: &Importer<'_>, value: &Value) -> Option<f64> {
    match value {
        Value::Constant(constant) if constant.len() == 1 => {
            Some(importer.storage.number(constant, 0))
        }
        Value::Constant(_) | Value::Activation(_) => None,
    }
}

pub(super) fn arithmetic<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let (a, b) = (importer.value(node, 0)?, importer.value(node, 1)?);
    let (x, constant) = match (&a, &b) {
        (Value::Activation(x), Value::Activation(divisor)) => {
            return of_two(importer, node, x, divisor);
        }
        (Value::Activation(x), constant) => (x.clone(), number(importer, constant)),
        (constant, Value::Activation(x)) if matches!(node.operator(), "Add" | "Mul") => {
            (x.clone(), number(importer, constant))
        }
        _ => return Err(other(node, "constants")),
    };
    let constant = constant.ok_or_else(|| other(node, "a constant of several numbers"))?;
    let part = match (node.operator(), &x.form) {
        ("Pow", Form::Plain) if constant == 2.0 => {
            importer.as_planes(node, 0, &x)?;
            Response::Squares([0; 2])
        }
        ("Mul", Form::Response(Response::Means(size))) => {
            Response::Scaled { size: *size, alpha: constant }
        }
        ("Add", &Form::Response(Response::Scaled { size, alpha })) => {
            Response::Shifted { size, alpha, k: constant }
        }
        ("Pow", &Form::Response(Response::Shifted { size, alpha, k })) => {
            Response::Power { size, alpha, k, beta: constant }
        }
        _ => return Err(other(node, &x.form.described())),
    };
    set(importer, node, x, part);
    Ok(())
}

/// The square at the start, or the division at the end.
fn of_two<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    x: &Activation,
    divisor: &Activation,
) -> Result<()> {
    match (node.operator(), &x.form, &divisor.form) {
        ("Mul", Form::Plain, Form::Plain) => {
            importer.as_planes(node, 0, x)?;
            set(importer, node, x.clone(), Response::Squares([0; 2]));
            Ok(())
        }
        ("Div", Form::Plain, &Form::Response(Response::Power { size, alpha, k, beta }))
            if x.layer == divisor.layer && x.dims == divisor.dims =>
        {
            let (alpha, beta, k) = (alpha as f32, beta as f32, k as f32);
            let norm = LocalResponseNorm { size, alpha, beta, k };
            importer.same_rank(node, Op::LocalResponseNorm(norm), x)
        }
        _ => Err(other(node, &format!("{} and {}", x.form.described(), divisor.form.described()))),
    }
}

/// The axis of the channels, where the rest is of the shape that the exporters give it.
fn channel_axis(importer: &Importer<'_>, node: Node<'_>, x: &Activation) -> Result<usize> {
    let channels = importer.graph.node(x.layer).shape.channels;
    match x.dims[..] {
        [_, 1, found, _, _] if found >= channels => Ok(2),
        _ => Err(other(node, &listed(&x.dims))),
    }
}

/// Zeros before and behind the channels.
pub(super) fn pad<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let mut x = importer.activation(node, 0)?;
    let axis = channel_axis(importer, node, &x)?;
    let pads = importer.ints(node, "pads", 1)?.unwrap_or_default();
    let value = importer.float(node, "value", 2)?.unwrap_or(0.0);
    let plain = node.text("mode")?.unwrap_or("constant") == "constant" && node.input(3).is_none();
    let rank = x.dims.len();
    let elsewhere = pads.iter().enumerate().any(|(i, &pad)| i % rank != axis && pad != 0);
    if pads.len() != 2 * rank || elsewhere || value != 0.0 || !plain {
        return Err(other(node, &format!("padding by {}", listed(&pads))));
    }
    let zeros = [pads[axis], pads[rank + axis]];
    let zeros = zeros.map(|pad| usize::try_from(pad).ok().filter(|pad| *pad <= 1 << 24));
    let ([Some(before), Some(behind)], Form::Response(Response::Squares([0, 0]))) =
        (zeros, &x.form)
    else {
        return Err(other(node, &x.form.described()));
    };
    x.dims[axis] += before + behind;
    set(importer, node, x, Response::Squares([before, behind]));
    Ok(())
}

/// The mean over neighbouring channels.
pub(super) fn average<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let mut x = importer.activation(node, 0)?;
    let axis = channel_axis(importer, node, &x)?;
    let kernel = node.ints("kernel_shape")?.unwrap_or_default();
    let ones = |values: Option<&[i64]>| values.is_none_or(|all| all.iter().all(|&one| one == 1));
    let zeros = node.ints("pads")?.is_none_or(|all| all.iter().all(|&pad| pad == 0));
    let strides = ones(node.ints("strides")?) && ones(node.ints("dilations")?);
    let size = match *kernel {
        [size, 1, 1] if zeros && strides => usize::try_from(size).ok(),
        _ => None,
    };
    let size = size.ok_or_else(|| other(node, &format!("a window of {}", listed(kernel))))?;
    let &Form::Response(Response::Squares([before, behind])) = &x.form else {
        return Err(other(node, &x.form.described()));
    };
    if size == 0 || [before, behind] != [size / 2, (size - 1) / 2] {
        let expected = "channels around each, of an even number one more before than behind";
        return Err(node.error(expected, format!("{size}, with {before} and {behind} zeros")));
    }
    x.dims[axis] -= size - 1;
    set(importer, node, x, Response::Means(size));
    Ok(())
}
