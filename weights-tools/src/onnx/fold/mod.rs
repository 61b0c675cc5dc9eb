//! Nodes whose outputs are known before the model runs: shapes, and what is computed from them.

mod compute;
mod select;

use std::rc::Rc;

use rten_onnx::onnx::DataType;

use super::constant::{Constant, Numbers, float};
use super::error::{Result, listed};
use super::import::Importer;
use super::node::Node;
use super::operators::reshape;
use super::tensor;
use super::value::Value;

pub(super) use self::select::{slices, turned};

/// Inputs that are constants; those left out are none.
type Inputs = [Option<Rc<Constant>>];

/// Computes the node's output if it is known; whether it is.
pub(super) fn fold<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<bool> {
    let constant = match node.operator() {
        "Constant" => Some(constant(importer, node)?),
        "Shape" | "Size" => Some(shape(importer, node)?),
        _ => {
            let mut inputs = Vec::new();
            for i in 0..node.proto.input.len() {
                match importer.optional(node, i)? {
                    Some(Value::Constant(constant)) => inputs.push(Some(constant)),
                    Some(Value::Activation(_)) => return Ok(false),
                    None => inputs.push(None),
                }
            }
            folded(importer, node, &inputs)?
        }
    };
    let Some(constant) = constant else { return Ok(false) };
    importer.set(node, Value::Constant(Rc::new(constant)));
    Ok(true)
}

/// What a node makes of constants, if it is one of those that compute shapes.
fn folded<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    inputs: &Inputs,
) -> Result<Option<Constant>> {
    let Some(Some(first)) = inputs.first() else { return Ok(None) };
    let name = node.output(0).unwrap_or_default();
    let axes = |importer: &mut Importer<'a>| importer.ints(node, "axes", 1);
    Ok(Some(match node.operator() {
        "Identity" => first.with(name, first.dims.clone()),
        "Cast" => cast(importer, node, first)?,
        "Squeeze" => {
            let axes = axes(importer)?;
            first.with(name, reshape::squeezed(node, &first.dims, axes.as_deref())?)
        }
        "Unsqueeze" => {
            let axes = axes(importer)?;
            first.with(name, reshape::unsqueezed(node, &first.dims, axes.as_deref())?)
        }
        "Reshape" => {
            let wanted = importer.ints(node, "shape", 1)?.unwrap_or_default();
            first.with(name, reshape::resolve(node, &wanted, &first.dims)?)
        }
        "Transpose" => select::transpose(importer, node, first)?,
        "Gather" => select::gather(importer, node, first)?,
        "Slice" => select::slice(importer, node, first)?,
        "Expand" => select::expand(importer, node, first)?,
        "Concat" => select::concat(importer, node, inputs)?,
        "ConstantOfShape" => constant_of_shape(importer, node, first)?,
        "Range" => compute::range(importer, node, inputs)?,
        "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" => {
            compute::reduce(importer, node, first)?
        }
        "Where" => compute::choose(importer, node, inputs)?,
        "Neg" | "Abs" | "Floor" | "Ceil" | "Sqrt" | "Not" => compute::unary(importer, node, first)?,
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Min" | "Max" | "Equal" | "Less" | "Greater" => {
            compute::binary(importer, node, inputs)?
        }
        _ => return Ok(None),
    }))
}

/// A `Constant` node's value.
fn constant<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Constant> {
    let name = node.output(0).unwrap_or_default();
    if let Some(tensor) = node.tensor("value") {
        return importer.read(name, tensor);
    }
    if let Some(value) = node.int("value_int")? {
        return Ok(Constant::ints(name, vec![], vec![value]));
    }
    if let Some(value) = node.float("value_float")? {
        return Ok(Constant::floats(name, vec![], vec![value.into()]));
    }
    if let Some(values) = node.ints("value_ints")? {
        importer.charge(node, values.len().saturating_mul(8))?;
        return Ok(Constant::ints(name, vec![values.len()], values.to_vec()));
    }
    if let Some(values) = node.floats("value_floats")? {
        importer.charge(node, values.len().saturating_mul(8))?;
        let values: Vec<f64> = values.iter().map(|&value| value.into()).collect();
        return Ok(Constant::floats(name, vec![values.len()], values));
    }
    Err(node.error("a tensor or numbers as its value", "neither"))
}

/// The sizes of a value, or their product.
fn shape<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<Constant> {
    let dims = match importer.value(node, 0)? {
        Value::Constant(constant) => constant.dims.clone(),
        Value::Activation(activation) => activation.dims,
    };
    let name = node.output(0).unwrap_or_default();
    let sizes = dims.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX));
    if node.operator() == "Size" {
        let size = sizes.fold(1_i64, i64::saturating_mul);
        return Ok(Constant::ints(name, vec![], vec![size]));
    }
    let bound = |name: &str, default: i64| -> Result<usize> {
        let rank = dims.len() as i64;
        let at = node.int(name)?.unwrap_or(default);
        let at = if at < 0 { at.saturating_add(rank) } else { at };
        Ok(at.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", i64::MAX)?);
    let sizes: Vec<i64> = sizes.collect();
    let sizes = sizes.get(start..end).unwrap_or_default().to_vec();
    Ok(Constant::ints(name, vec![sizes.len()], sizes))
}

/// The constant in another type of numbers.
fn cast<'a>(importer: &mut Importer<'a>, node: Node<'a>, from: &Constant) -> Result<Constant> {
    let name = node.output(0).unwrap_or_default();
    let to = node.int("to")?.and_then(|code| i32::try_from(code).ok()).map(DataType);
    let dims = from.dims.clone();
    let is_ints = from.as_ints().is_some();
    match to {
        Some(to) if float(to).is_some() && !is_ints => Ok(from.with(name, dims)),
        Some(to) if float(to).is_some() => {
            Ok(Constant::floats(name, dims, importer.numbers(node, from)?))
        }
        Some(DataType::BOOL) => {
            let values = importer.numbers(node, from)?;
            let values = values.iter().map(|&value| i64::from(value != 0.0)).collect();
            Ok(Constant::ints(name, dims, values))
        }
        Some(DataType::INT64 | DataType::INT32) if is_ints => Ok(from.with(name, dims)),
        Some(DataType::INT64 | DataType::INT32) => {
            let values = importer.numbers(node, from)?;
            Ok(Constant::ints(name, dims, values.iter().map(|&value| value as i64).collect()))
        }
        other => {
            let found = other.map_or("none".to_owned(), |to| to.to_string());
            Err(node.error("a type of floats, INT32, INT64 or BOOL", found))
        }
    }
}

fn constant_of_shape<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    shape: &Constant,
) -> Result<Constant> {
    let name = node.output(0).unwrap_or_default();
    let dims = shape.as_ints().filter(|_| shape.dims.len() < 2);
    let dims = dims.ok_or_else(|| node.error("a shape as input 0", "other numbers"))?;
    let dims = tensor::sizes(dims).map_err(|misfit| node.misfit(misfit))?;
    let count: usize = dims.iter().product();
    importer.charge(node, count.saturating_mul(8))?;
    let Some(tensor) = node.tensor("value") else {
        return Ok(Constant::floats(name, dims, vec![0.0; count]));
    };
    let value = importer.read(name, tensor)?;
    if value.len() != 1 {
        return Err(node.error("one number as `value`", listed(&value.dims)));
    }
    Ok(match &value.numbers {
        Numbers::Ints(values) => Constant::ints(name, dims, vec![values[0]; count]),
        Numbers::Floats(_) | Numbers::Stored(..) => {
            Constant::floats(name, dims, vec![importer.storage.number(&value, 0); count])
        }
    })
}
