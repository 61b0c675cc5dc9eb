//! Pooling, and means that are pooling.

use clrp::graph::{AvgPool2d, MaxPool2d, Op};

use super::super::error::{Result, listed};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::Activation;
use super::one_output;
use super::window::Window;

pub(super) fn max_pool<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    one_output(importer, node)?;
    let (x, mut window) = window(importer, node)?;
    let name = importer.names.layer(node, None);
    let mut input = x.layer;
    let reach = |i: usize| (window.kernel[i] - 1) * window.dilation[i];
    if (0..2).any(|i| window.begin[i].max(window.end[i]) > reach(i)) {
        let found = format!("{:?} and {:?}", window.begin, window.end);
        return Err(node.error("padding smaller than the window", found));
    }
    if window.more().is_none() {
        // Zeros do not win where nothing is below them.
        if !importer.graph.non_negative()[input.0] {
            let expected = "padding above and to the left of no more than below and to the right";
            return Err(node.error(expected, format!("{:?} and {:?}", window.begin, window.end)));
        }
        let pad = importer.names.unique(format!("{name}.pad"));
        input = importer.push(node, pad, Op::ZeroPad2d(window.take_ahead()), &[input])?;
    }
    let pool = MaxPool2d {
        kernel: window.kernel,
        stride: window.stride,
        padding: window.begin,
        more_padding: window.more().unwrap_or_default(),
        dilation: window.dilation,
        ceil_mode: node.flag("ceil_mode", false)?,
    };
    let layer = importer.push(node, name, Op::MaxPool2d(pool), &[input])?;
    let activation = importer.planes_of(layer, x.batch());
    importer.set_activation(node, activation);
    Ok(())
}

pub(super) fn average_pool<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let (x, window) = window(importer, node)?;
    if window.dilation != [1; 2] {
        return Err(node.error("`dilations` of 1", format!("{:?}", window.dilation)));
    }
    let mut pool = AvgPool2d {
        kernel: window.kernel,
        stride: window.stride,
        padding: window.begin,
        more_padding: window.more().unwrap_or_default(),
        ceil_mode: node.flag("ceil_mode", false)?,
        count_include_pad: node.flag("count_include_pad", false)?,
    };
    // Without padding the flag says nothing; torch's default lets layers be told to be equal.
    if window.begin == [0; 2] && window.end == [0; 2] {
        pool.count_include_pad = true;
    }
    let wide = (0..2).any(|i| window.end[i].max(window.begin[i]) >= window.kernel[i]);
    if !wide && window.more().is_some() {
        return importer.with_planes(node, Op::AvgPool2d(pool), &x);
    }
    if !pool.count_include_pad || pool.ceil_mode {
        let expected = "padding smaller than the window, and no more at the start than at the end";
        return Err(node.error(expected, format!("{:?} and {:?}", window.begin, window.end)));
    }
    // Zeros that count can as well be there before.
    let name = importer.names.layer(node, None);
    let ([above, left], [below, right]) = (window.begin, window.end);
    let pad = importer.names.unique(format!("{name}.pad"));
    let padded =
        importer.push(node, pad, Op::ZeroPad2d([left, right, above, below]), &[x.layer])?;
    let pool = AvgPool2d { padding: [0; 2], more_padding: [0; 2], ..pool };
    let layer = importer.push(node, name, Op::AvgPool2d(pool), &[padded])?;
    let activation = importer.planes_of(layer, x.batch());
    importer.set_activation(node, activation);
    Ok(())
}

fn window<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<(Activation, Window)> {
    let x = importer.planes(node, 0)?;
    if !node.has("kernel_shape") {
        return Err(node.error("a `kernel_shape`", "none"));
    }
    let kernel = node.pair("kernel_shape", 0)?;
    let size = [x.dims[2], x.dims[3]];
    let mut window = Window::new(node, kernel, size)?;
    if !node.flag("ceil_mode", false)? {
        window.settle(size);
    }
    Ok((x, window))
}

pub(super) fn global_average_pool<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.planes(node, 0)?;
    importer.with_planes(node, Op::AdaptiveAvgPool2d([1, 1]), &x)
}

pub(super) fn global_max_pool<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.planes(node, 0)?;
    let pool = MaxPool2d { kernel: [x.dims[2], x.dims[3]], ..MaxPool2d::new(1, 1) };
    importer.with_planes(node, Op::MaxPool2d(pool), &x)
}

/// The mean over rows and columns.
pub(super) fn reduce_mean<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.planes(node, 0)?;
    let given = importer.ints(node, "axes", 1)?.unwrap_or_default();
    let axes: Result<Vec<usize>> = given.iter().map(|&axis| node.axis(axis, 4)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    if axes != [2, 3] {
        return Err(node.error("a mean over rows and columns, axes 2 and 3", listed(&given)));
    }
    let name = importer.names.layer(node, None);
    let layer = importer.push(node, name, Op::AdaptiveAvgPool2d([1, 1]), &[x.layer])?;
    let mut activation = importer.planes_of(layer, x.batch());
    if !node.flag("keepdims", true)? {
        activation.dims.truncate(2);
    }
    importer.set_activation(node, activation);
    Ok(())
}
