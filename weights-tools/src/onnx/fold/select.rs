//! Constants made of the numbers of others: each is a list of places in them.

use super::super::constant::Constant;
use super::super::error::{Result, listed};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::operators::reshape;
use super::super::tensor;
use super::Inputs;

/// Bytes that a selected number takes: its place, and the number.
const EACH: usize = 16;

/// The numbers at those places.
fn pick<'a>(
    importer: &Importer<'a>,
    node: Node<'a>,
    from: &Constant,
    dims: &[usize],
    places: impl Iterator<Item = usize>,
) -> Constant {
    let numbers = importer.storage.picked(from, places);
    // The name stays: it tells which layer the weight is of.
    Constant::new(
        if from.dims.len() > 1 { &from.name } else { node.name() },
        dims.to_vec(),
        numbers,
    )
}

/// Makes room for a constant of those sizes; how many numbers it has.
fn room<'a>(importer: &mut Importer<'a>, node: Node<'a>, dims: &[usize]) -> Result<usize> {
    if dims.len() > tensor::RANK {
        let expected = format!("at most {} dimensions", tensor::RANK);
        return Err(node.error(expected, dims.len().to_string()));
    }
    // Sizes beside a 0 count too, so that products of some of them can be formed.
    let counted = dims.iter().try_fold(1_usize, |count, &size| count.checked_mul(size.max(1)));
    let count = if dims.contains(&0) { 0 } else { counted.unwrap_or(usize::MAX) };
    importer.charge(node, counted.map_or(usize::MAX, |_| count.saturating_mul(EACH)))?;
    Ok(count)
}

/// How far apart neighbours along each axis are.
fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(dims[axis]);
    }
    strides
}

/// For each place of a tensor of those sizes, in order, the sum of the steps along its axes.
fn walk(dims: &[usize], steps: &[usize], count: usize) -> impl Iterator<Item = usize> {
    let place = move |mut at: usize| {
        let mut sum = 0;
        for (&size, &step) in dims.iter().zip(steps).rev() {
            sum += at % size * step;
            at /= size;
        }
        sum
    };
    (0..count).map(place)
}

/// For each place of the wider shape, the place that it repeats.
pub(super) fn broadcast(from: &[usize], to: &[usize], count: usize) -> Vec<usize> {
    let steps: Vec<usize> = strides(from)
        .into_iter()
        .zip(from)
        .map(|(stride, &size)| if size == 1 { 0 } else { stride })
        .collect();
    walk(&to[to.len() - from.len()..], &steps, count).collect()
}

pub(super) fn transpose<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    from: &Constant,
) -> Result<Constant> {
    let order = reshape::permutation(node, from.dims.len())?;
    turned(importer, node, from, &order)
}

/// The constant with its axes in that order.
pub(in super::super) fn turned<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    from: &Constant,
    order: &[usize],
) -> Result<Constant> {
    let dims: Vec<usize> = order.iter().map(|&axis| from.dims[axis]).collect();
    let count = room(importer, node, &dims)?;
    let strides = strides(&from.dims);
    let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
    let places = walk(&dims, &steps, count);
    Ok(pick(importer, node, from, &dims, places))
}

pub(super) fn gather<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    from: &Constant,
) -> Result<Constant> {
    let axis = node.axis(node.int("axis")?.unwrap_or(0), from.dims.len())?;
    let indices = importer.needed_constant(node, 1)?;
    let wanted = indices.as_ints().ok_or_else(|| node.error("integers as input 1", "floats"))?;
    let (before, behind) = (&from.dims[..axis], &from.dims[axis + 1..]);
    let dims = [before, &indices.dims, behind].concat();
    let count = room(importer, node, &dims)?;
    let outer: usize = before.iter().product();
    let inner: usize = behind.iter().product();
    let mut places = Vec::with_capacity(count);
    for run in 0..outer.min(count) {
        for &index in wanted {
            let start = (run * from.dims[axis] + node.axis(index, from.dims[axis])?) * inner;
            places.extend(start..start + inner);
        }
    }
    Ok(pick(importer, node, from, &dims, places.into_iter()))
}

/// What a `Slice` takes along one axis.
#[derive(Debug)]
pub(in super::super) struct Steps {
    pub(in super::super) start: usize,
    pub(in super::super) step: i64,
    pub(in super::super) count: usize,
}

/// What the node takes along each axis of an input of those sizes.
pub(in super::super) fn slices<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    dims: &[usize],
) -> Result<Vec<Steps>> {
    let starts = importer.ints(node, "starts", 1)?.unwrap_or_default();
    let ends = importer.ints(node, "ends", 2)?.unwrap_or_default();
    let axes = importer.ints(node, "axes", 3)?;
    let axes = axes.unwrap_or_else(|| (0_i64..).take(starts.len()).collect());
    let steps = importer.ints(node, "steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || steps.contains(&0) {
        let expected = "as many starts as ends, axes and steps, which are not 0";
        return Err(
            node.error(expected, format!("{} starts, steps {}", starts.len(), listed(&steps)))
        );
    }
    let mut slices: Vec<Steps> =
        dims.iter().map(|&count| Steps { start: 0, step: 1, count }).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let axis = node.axis(axis, dims.len())?;
        let (size, step) = (dims[axis] as i64, steps[i]);
        let from_start = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        // Steps back may end before the first number.
        let (start, length) = if step > 0 {
            let start = from_start(starts[i]).clamp(0, size);
            (start, from_start(ends[i]).clamp(0, size) - start)
        } else {
            let start = from_start(starts[i]).clamp(-1, size - 1);
            (start, start - from_start(ends[i]).clamp(-1, size - 1))
        };
        let count = length.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        let count = usize::try_from(count).unwrap_or(0);
        slices[axis] = Steps { start: usize::try_from(start).unwrap_or(0), step, count };
    }
    Ok(slices)
}

pub(super) fn slice<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    from: &Constant,
) -> Result<Constant> {
    let slices = slices(importer, node, &from.dims)?;
    let dims: Vec<usize> = slices.iter().map(|steps| steps.count).collect();
    let count = room(importer, node, &dims)?;
    let strides = strides(&from.dims);
    let place = |mut at: usize| {
        let mut sum = 0;
        for (steps, &stride) in slices.iter().zip(&strides).rev() {
            let along = steps.start as i64 + (at % steps.count) as i64 * steps.step;
            sum += along as usize * stride;
            at /= steps.count;
        }
        sum
    };
    Ok(pick(importer, node, from, &dims, (0..count).map(place)))
}

pub(super) fn expand<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    from: &Constant,
) -> Result<Constant> {
    let shape = importer.needed_constant(node, 1)?;
    let wanted = shape.as_ints().filter(|_| shape.dims.len() < 2);
    let wanted = wanted.ok_or_else(|| node.error("a shape as input 1", "other numbers"))?;
    let wanted = tensor::sizes(wanted).map_err(|misfit| node.misfit(misfit))?;
    let dims = common(&from.dims, &wanted).ok_or_else(|| {
        let expected = format!("a shape that {} fits into", listed(&from.dims));
        node.error(expected, listed(&wanted))
    })?;
    let count = room(importer, node, &dims)?;
    let places = broadcast(&from.dims, &dims, count);
    Ok(pick(importer, node, from, &dims, places.into_iter()))
}

/// The sizes that both fit into, where a size of 1 fits any.
pub(super) fn common(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], axis: usize| {
        (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
    };
    let both = |axis| match (size(a, axis), size(b, axis)) {
        (1, size) | (size, 1) => Some(size),
        (a, b) => (a == b).then_some(a),
    };
    (0..rank).map(both).collect()
}

pub(super) fn concat<'a>(
    importer: &mut Importer<'a>,
    node: Node<'a>,
    inputs: &Inputs,
) -> Result<Constant> {
    let inputs: Vec<&Constant> = inputs.iter().flatten().map(|input| &**input).collect();
    let first = inputs[0];
    let axis = node.axis(node.int("axis")?.unwrap_or(0), first.dims.len())?;
    let mut dims = first.dims.clone();
    dims[axis] = 0;
    for input in &inputs {
        let others = |dims: &[usize]| -> Vec<usize> {
            dims.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, size)| *size).collect()
        };
        if input.dims.len() != dims.len() || others(&input.dims) != others(&dims) {
            let expected = format!("shapes that differ along axis {axis} only");
            return Err(node.error(expected, listed(&input.dims)));
        }
        dims[axis] = dims[axis].saturating_add(input.dims[axis]);
    }
    let count = room(importer, node, &dims)?;
    let outer = dims[..axis].iter().product::<usize>().min(count);
    let runs = |of: &mut dyn FnMut(&Constant, usize)| {
        for run in 0..outer {
            for input in &inputs {
                let length = input.len() / outer;
                (run * length..(run + 1) * length).for_each(|at| of(input, at));
            }
        }
    };
    let name = node.output(0).unwrap_or_default();
    if inputs.iter().all(|input| input.as_ints().is_some()) {
        let mut values = Vec::new();
        runs(&mut |input, at| values.extend(input.as_ints().map(|ints| ints[at])));
        return Ok(Constant::ints(name, dims, values));
    }
    let mut values = Vec::new();
    runs(&mut |input, at| values.push(importer.storage.number(input, at)));
    Ok(Constant::floats(name, dims, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_strides() {
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        // The transpose of 2 by 3.
        assert!(walk(&[3, 2], &[1, 3], 6).eq([0, 3, 1, 4, 2, 5]));
        assert_eq!(broadcast(&[2, 1], &[2, 3], 6), [0, 0, 0, 1, 1, 1]);
        assert_eq!(broadcast(&[3], &[2, 3], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(broadcast(&[], &[2], 2), [0, 0]);
    }

    #[test]
    fn a_size_of_1_fits_any() {
        assert_eq!(common(&[2, 1], &[3]), Some(vec![2, 3]));
        assert_eq!(common(&[], &[3]), Some(vec![3]));
        assert_eq!(common(&[2], &[3]), None);
    }
}
