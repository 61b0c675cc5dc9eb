//! Arithmetic on constants.

use super::super::constant::Constant;
use super::super::error::{Result, listed};
use super::super::import::Importer;
use super::super::node::Node;
use super::Inputs;
use super::select::{broadcast, common};

/// Numbers of one type.
enum Row {
    Ints(Vec<i64>),
    Floats(Vec<f64>),
}

fn constant(node: Node<'_>, dims: Vec<usize>, row: Row) -> Constant {
    let name = node.output(0).unwrap_or_default();
    match row {
        Row::Ints(values) => Constant::ints(name, dims, values),
        Row::Floats(values) => Constant::floats(name, dims, values),
    }
}

fn missing(node: Node<'_>, i: usize) -> super::super::error::Error {
    node.error(format!("an input {i}"), "none")
}

pub(super) fn unary<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    x: &Constant,
) -> Result<Constant> {
    importer.charge(node, x.len().saturating_mul(8))?;
    let row = match (x.as_ints(), node.operator()) {
        (Some(values), "Neg") => Row::Ints(values.iter().map(|x| x.wrapping_neg()).collect()),
        (Some(values), "Abs") => Row::Ints(values.iter().map(|x| x.wrapping_abs()).collect()),
        (Some(values), "Not") => Row::Ints(values.iter().map(|&x| i64::from(x == 0)).collect()),
        (Some(_), _) | (None, "Not") => {
            return Err(node.error("numbers of another type", "the other"));
        }
        (None, operator) => {
            let compute: fn(f64) -> f64 = match operator {
                "Neg" => |x: f64| -x,
                "Abs" => f64::abs,
                "Floor" => f64::floor,
                "Ceil" => f64::ceil,
                _ => f64::sqrt,
            };
            Row::Floats((0..x.len()).map(|i| compute(importer.storage.number(x, i))).collect())
        }
    };
    Ok(constant(node, x.dims.clone(), row))
}

pub(super) fn binary<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    inputs: &Inputs,
) -> Result<Constant> {
    let [Some(a), Some(b)] = inputs else {
        return Err(node.error("two inputs", inputs.len().to_string()));
    };
    let dims = common(&a.dims, &b.dims).ok_or_else(|| {
        let found = format!("{} and {}", listed(&a.dims), listed(&b.dims));
        node.error("shapes that fit each other", found)
    })?;
    let count = dims.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    let count = count.unwrap_or(usize::MAX);
    // Two lists of places, and the numbers.
    importer.charge(node, count.saturating_mul(24))?;
    let places = (broadcast(&a.dims, &dims, count), broadcast(&b.dims, &dims, count));
    let pairs = places.0.into_iter().zip(places.1);
    let row = match (a.as_ints(), b.as_ints()) {
        (Some(a), Some(b)) => {
            let values: Option<Vec<i64>> =
                pairs.map(|(i, j)| of_ints(node.operator(), a[i], b[j])).collect();
            let expected = "integers whose result is one";
            Row::Ints(values.ok_or_else(|| node.error(expected, "a division by 0 or too large"))?)
        }
        _ => {
            let storage = &importer.storage;
            let number = |(i, j)| (storage.number(a, i), storage.number(b, j));
            let numbers = pairs.map(number);
            match node.operator() {
                "Equal" => Row::Ints(numbers.map(|(a, b)| i64::from(a == b)).collect()),
                "Less" => Row::Ints(numbers.map(|(a, b)| i64::from(a < b)).collect()),
                "Greater" => Row::Ints(numbers.map(|(a, b)| i64::from(a > b)).collect()),
                operator => {
                    let compute: fn(f64, f64) -> f64 = match operator {
                        "Add" => |a, b| a + b,
                        "Sub" => |a, b| a - b,
                        "Mul" => |a, b| a * b,
                        "Div" => |a, b| a / b,
                        "Min" => f64::min,
                        "Max" => f64::max,
                        _ => |a, b| a % b,
                    };
                    Row::Floats(numbers.map(|(a, b)| compute(a, b)).collect())
                }
            }
        }
    };
    Ok(constant(node, dims, row))
}

fn of_ints(operator: &str, a: i64, b: i64) -> Option<i64> {
    match operator {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Min" => Some(a.min(b)),
        "Max" => Some(a.max(b)),
        "Equal" => Some(i64::from(a == b)),
        "Less" => Some(i64::from(a < b)),
        "Greater" => Some(i64::from(a > b)),
        // The sign is the divisor's, as in Python.
        _ => {
            let rest = a.checked_rem(b)?;
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        }
    }
}

/// The product, sum or extreme of all numbers of a row.
pub(super) fn reduce<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    x: &Constant,
) -> Result<Constant> {
    let axes = importer.ints(node, "axes", 1)?;
    let all = axes.is_none_or(|axes| axes.is_empty() || axes == [0] || axes == [-1]);
    let values = x.as_ints().filter(|_| all && x.dims.len() < 2);
    let values = values.ok_or_else(|| node.error("a row of integers", listed(&x.dims)))?;
    let mut values = values.iter().copied();
    let result = match node.operator() {
        "ReduceProd" => values.try_fold(1_i64, i64::checked_mul),
        "ReduceSum" => values.try_fold(0_i64, i64::checked_add),
        "ReduceMax" => values.max(),
        _ => values.min(),
    };
    let result = result.ok_or_else(|| node.error("a result of 64 bits", "a larger one"))?;
    let dims = if node.flag("keepdims", true)? { vec![1; x.dims.len()] } else { vec![] };
    Ok(constant(node, dims, Row::Ints(vec![result])))
}

pub(super) fn range<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    inputs: &Inputs,
) -> Result<Constant> {
    let bound = |i: usize| {
        let input = inputs.get(i).and_then(Option::as_ref).ok_or_else(|| missing(node, i))?;
        let value = input.as_ints().filter(|values| values.len() == 1).map(|values| values[0]);
        value.ok_or_else(|| node.error(format!("one integer as input {i}"), listed(&input.dims)))
    };
    let (start, end, step) = (bound(0)?, bound(1)?, bound(2)?);
    let span = end.checked_sub(start);
    let Some(span) = span.filter(|_| step != 0) else {
        return Err(node.error("a step that is not 0", format!("{start} to {end} by {step}")));
    };
    let ahead = (span > 0) == (step > 0) && span != 0;
    let count = if ahead { span.unsigned_abs().div_ceil(step.unsigned_abs()) } else { 0 };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    importer.charge(node, count.saturating_mul(8))?;
    let values: Vec<i64> = (0..count).map(|i| start + i as i64 * step).collect();
    Ok(constant(node, vec![count], Row::Ints(values)))
}

/// Of each two numbers the first where the condition holds.
pub(super) fn choose<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    inputs: &Inputs,
) -> Result<Constant> {
    let [Some(condition), Some(a), Some(b)] = inputs else {
        return Err(node.error("three inputs", inputs.len().to_string()));
    };
    let dims = common(&a.dims, &b.dims).and_then(|dims| common(&dims, &condition.dims));
    let dims = dims.ok_or_else(|| node.error("shapes that fit each other", "others"))?;
    let count = dims.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    let count = count.unwrap_or(usize::MAX);
    importer.charge(node, count.saturating_mul(32))?;
    let places = |of: &Constant| broadcast(&of.dims, &dims, count);
    let chosen = |i: usize| importer.storage.number(condition, i) != 0.0;
    let triples = places(condition).into_iter().zip(places(a)).zip(places(b));
    let row = match (a.as_ints(), b.as_ints()) {
        (Some(a), Some(b)) => {
            Row::Ints(triples.map(|((c, i), j)| if chosen(c) { a[i] } else { b[j] }).collect())
        }
        _ => {
            let storage = &importer.storage;
            let number = |((c, i), j)| match chosen(c) {
                true => storage.number(a, i),
                false => storage.number(b, j),
            };
            Row::Floats(triples.map(number).collect())
        }
    };
    Ok(constant(node, dims, row))
}
