//! The output shape of each layer.

use super::op::{AvgPool2d, Conv2d, MaxPool2d, Op};
use crate::error::{Error, Result};
use crate::tensor::Shape;

/// What a window may span or step over, so that kernels can count in 32 bit.
const MOST_CELLS: usize = 1 << 24;

/// A window sliding along one axis.
#[derive(Clone, Copy)]
struct Axis {
    kernel: usize,
    stride: usize,
    padding: usize,
    more_padding: usize,
    dilation: usize,
    ceil_mode: bool,
}

impl Axis {
    /// Number of window positions along an axis of length `length`, if any fits.
    fn positions(self, length: usize) -> Option<usize> {
        let attributes = [self.kernel, self.stride, self.padding, self.more_padding, self.dilation];
        if self.stride == 0
            || self.dilation == 0
            || attributes.iter().any(|&cells| cells > MOST_CELLS)
        {
            return None;
        }
        let reach = self.dilation.checked_mul(self.kernel.checked_sub(1)?)?.checked_add(1)?;
        let padding = 2 * self.padding + self.more_padding;
        let cells = padding.checked_add(length)?;
        if !self.ceil_mode {
            return Some(cells.checked_sub(reach)? / self.stride + 1);
        }
        // In torch even the first window may reach past the end, by less than a stride.
        let span = cells.checked_add(self.stride - 1)?.checked_sub(reach)?;
        let positions = span / self.stride + 1;
        // torch drops a last window that would start in the right padding.
        let starts_in_padding = (positions - 1) * self.stride >= length + self.padding;
        Some(positions - usize::from(starts_in_padding))
    }
}

/// Channels, rows and columns, even where there is one pixel.
fn planes(shape: Shape) -> String {
    format!("{}x{}x{}", shape.channels, shape.height, shape.width)
}

/// The shape of `op`'s output; `layer` names it in errors.
pub(super) fn infer(layer: &str, op: &Op, inputs: &[Shape]) -> Result<Shape> {
    let wrong = |expected: String, found: String| Error::LayerInput {
        layer: layer.to_owned(),
        op: op.kind(),
        expected,
        found,
    };
    let wanted = match op {
        Op::Input => 0,
        Op::Add => 2,
        Op::Concat => inputs.len().max(1),
        Op::Conv2d(_)
        | Op::Linear(_)
        | Op::Relu
        | Op::MaxPool2d(_)
        | Op::AvgPool2d(_)
        | Op::AdaptiveAvgPool2d(_)
        | Op::BatchNorm2d { .. }
        | Op::ChannelAffine { .. }
        | Op::Hardtanh { .. }
        | Op::LocalResponseNorm(_)
        | Op::Narrow { .. }
        | Op::ChannelShuffle { .. }
        | Op::ZeroPad2d(_)
        | Op::Flatten
        | Op::Dropout
        | Op::Identity => 1,
    };
    if inputs.len() != wanted {
        return Err(wrong(format!("{wanted} inputs"), format!("{} inputs", inputs.len())));
    }
    let fits = |channels: usize, size: Option<[usize; 2]>, needs: &str| {
        let size = size.filter(|size| !size.contains(&0));
        let [height, width] = size.ok_or_else(|| wrong(needs.to_owned(), planes(inputs[0])))?;
        Ok(Shape::new(channels, height, width))
    };
    match op {
        Op::Input => Err(wrong("to be the first node".to_owned(), "another one".to_owned())),
        Op::Conv2d(conv) => {
            let input = inputs[0];
            let divides = |n: usize| conv.groups > 0 && n.is_multiple_of(conv.groups) && n > 0;
            if !divides(input.channels) || !divides(conv.out_channels) {
                let expected = format!("channels that {} groups divide", conv.groups);
                return Err(wrong(
                    expected,
                    format!("{} for {}", planes(input), conv.out_channels),
                ));
            }
            fits(conv.out_channels, conv_size(conv, input), "an input its windows fit into")
        }
        Op::Linear(linear) => match inputs[0].is_vector() {
            true => Ok(Shape::vector(linear.out_features)),
            false => Err(wrong("a vector".to_owned(), inputs[0].to_string())),
        },
        Op::MaxPool2d(pool) => {
            let padding = end_padding(pool.padding, pool.more_padding);
            pool_padding_is_small(&wrong, padding, pool.kernel, pool.dilation)?;
            fits(
                inputs[0].channels,
                max_pool_size(pool, inputs[0]),
                "an input its windows fit into",
            )
        }
        Op::AvgPool2d(pool) => {
            let padding = end_padding(pool.padding, pool.more_padding);
            pool_padding_is_small(&wrong, padding, pool.kernel, [1; 2])?;
            fits(
                inputs[0].channels,
                avg_pool_size(pool, inputs[0]),
                "an input its windows fit into",
            )
        }
        Op::AdaptiveAvgPool2d(size) => fits(inputs[0].channels, Some(*size), "a size above 0"),
        Op::Relu | Op::Dropout | Op::Identity | Op::BatchNorm2d { .. } => Ok(inputs[0]),
        Op::Hardtanh { low, high } => match low < high {
            true => Ok(inputs[0]),
            false => Err(wrong("low below high".to_owned(), format!("{low} and {high}"))),
        },
        Op::LocalResponseNorm(norm) => match norm.size {
            0 => Err(wrong("a size above 0".to_owned(), norm.size.to_string())),
            _ => Ok(inputs[0]),
        },
        Op::Narrow { start, length } => {
            let end = start.checked_add(*length);
            if *length == 0 || end.is_none_or(|end| end > inputs[0].channels) {
                let expected = format!("channels {start} to {start} + {length}");
                return Err(wrong(expected, inputs[0].to_string()));
            }
            Ok(Shape { channels: *length, ..inputs[0] })
        }
        Op::ChannelShuffle { groups } => {
            match *groups > 0 && inputs[0].channels.is_multiple_of(*groups) {
                true => Ok(inputs[0]),
                false => Err(wrong(format!("channels in {groups} runs"), inputs[0].to_string())),
            }
        }
        Op::ZeroPad2d([left, right, above, below]) => {
            if [left, right, above, below].iter().any(|&&zeros| zeros > MOST_CELLS) {
                return Err(wrong(format!("at most {MOST_CELLS} zeros"), "more".to_owned()));
            }
            let (height, width) = (inputs[0].height, inputs[0].width);
            let size = [height + above + below, width + left + right];
            fits(inputs[0].channels, Some(size), "a size above 0")
        }
        Op::ChannelAffine { scale, shift } => {
            let channels = inputs[0].channels;
            if scale.len() != channels || shift.len() != channels {
                let found = format!("{} scales, {} shifts", scale.len(), shift.len());
                return Err(wrong(format!("one value for each of {channels} channels"), found));
            }
            Ok(inputs[0])
        }
        Op::Add => match inputs[0] == inputs[1] {
            true => Ok(inputs[0]),
            false => {
                Err(wrong("equal shapes".to_owned(), format!("{} and {}", inputs[0], inputs[1])))
            }
        },
        Op::Concat => concat(inputs).ok_or_else(|| {
            let shapes: Vec<String> = inputs.iter().map(Shape::to_string).collect();
            wrong("equal heights and widths".to_owned(), shapes.join(", "))
        }),
        Op::Flatten => Ok(Shape::vector(inputs[0].len())),
    }
}

/// Zeros below and to the right.
fn end_padding(padding: [usize; 2], more: [usize; 2]) -> [usize; 2] {
    [padding[0].saturating_add(more[0]), padding[1].saturating_add(more[1])]
}

fn concat(inputs: &[Shape]) -> Option<Shape> {
    let first = inputs.first()?;
    let channels = inputs.iter().map(|shape| shape.channels).sum();
    let same = |shape: &Shape| (shape.height, shape.width) == (first.height, first.width);
    inputs.iter().all(same).then(|| Shape::new(channels, first.height, first.width))
}

/// ONNX's condition, without which a window could lie in the padding alone; torch allows half the
/// window.
fn pool_padding_is_small(
    wrong: &impl Fn(String, String) -> Error,
    padding: [usize; 2],
    kernel: [usize; 2],
    dilation: [usize; 2],
) -> Result<()> {
    let small = |i: usize| padding[i] <= kernel[i].saturating_sub(1).saturating_mul(dilation[i]);
    match small(0) && small(1) {
        true => Ok(()),
        false => Err(wrong(
            "padding smaller than the window".to_owned(),
            format!("padding {padding:?} for window {kernel:?}"),
        )),
    }
}

fn size(axes: [Axis; 2], input: Shape) -> Option<[usize; 2]> {
    Some([axes[0].positions(input.height)?, axes[1].positions(input.width)?])
}

fn conv_size(conv: &Conv2d, input: Shape) -> Option<[usize; 2]> {
    let axis = |i: usize| Axis {
        kernel: conv.kernel[i],
        stride: conv.stride[i],
        padding: conv.padding[i],
        more_padding: conv.more_padding[i],
        dilation: conv.dilation[i],
        ceil_mode: false,
    };
    size([axis(0), axis(1)], input)
}

fn max_pool_size(pool: &MaxPool2d, input: Shape) -> Option<[usize; 2]> {
    let axis = |i: usize| Axis {
        kernel: pool.kernel[i],
        stride: pool.stride[i],
        padding: pool.padding[i],
        more_padding: pool.more_padding[i],
        dilation: pool.dilation[i],
        ceil_mode: pool.ceil_mode,
    };
    // A window that starts in the padding could step over all of a shorter input.
    let steps_over = |i: usize, length| pool.padding[i] > 0 && pool.dilation[i] > length;
    if steps_over(0, input.height) || steps_over(1, input.width) {
        return None;
    }
    size([axis(0), axis(1)], input)
}

fn avg_pool_size(pool: &AvgPool2d, input: Shape) -> Option<[usize; 2]> {
    let axis = |i: usize| Axis {
        kernel: pool.kernel[i],
        stride: pool.stride[i],
        padding: pool.padding[i],
        more_padding: pool.more_padding[i],
        dilation: 1,
        ceil_mode: pool.ceil_mode,
    };
    size([axis(0), axis(1)], input)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIS: Axis =
        Axis { kernel: 3, stride: 2, padding: 0, more_padding: 0, dilation: 1, ceil_mode: false };

    #[test]
    fn windows_are_counted_as_torch_counts_them() {
        assert_eq!(AXIS.positions(7), Some(3));
        assert_eq!(AXIS.positions(8), Some(3));
        assert_eq!(Axis { ceil_mode: true, ..AXIS }.positions(8), Some(4));
        assert_eq!(Axis { ceil_mode: true, ..AXIS }.positions(2), Some(1));
        assert_eq!(Axis { ceil_mode: true, ..AXIS }.positions(1), None);
        assert_eq!(Axis { dilation: 2, ..AXIS }.positions(8), Some(2));
        assert_eq!(AXIS.positions(2), None);
    }

    #[test]
    fn a_window_must_not_see_padding_alone() {
        // Taps at -1 and 1 of a single cell.
        let pool = MaxPool2d { padding: [1, 0], dilation: [2, 1], ..MaxPool2d::new(2, 1) };
        let pool = MaxPool2d { kernel: [2, 1], ..pool };
        assert!(infer("pool", &Op::MaxPool2d(pool), &[Shape::new(3, 1, 4)]).is_err());
        let inferred = infer("pool", &Op::MaxPool2d(pool), &[Shape::new(3, 2, 4)]);
        assert_eq!(inferred.expect("every window sees a cell"), Shape::new(3, 2, 4));
    }

    #[test]
    fn padding_is_smaller_than_the_window() {
        let padded = |padding: usize, dilation: usize| {
            let pool = MaxPool2d {
                padding: [padding; 2],
                dilation: [dilation; 2],
                ..MaxPool2d::new(3, 1)
            };
            infer("pool", &Op::MaxPool2d(pool), &[Shape::new(1, 5, 5)])
        };
        // The first window is cells -2 to 0; with dilation its taps are at -4, -2, 0.
        assert_eq!(padded(2, 1).expect("it sees a cell"), Shape::new(1, 7, 7));
        assert_eq!(padded(4, 2).expect("it sees a cell"), Shape::new(1, 9, 9));
        for (padding, dilation) in [(3, 1), (5, 2)] {
            let error = padded(padding, dilation).expect_err("it sees none").to_string();
            assert!(error.contains("padding smaller than the window"), "{error}");
        }
    }

    #[test]
    fn a_last_window_must_not_start_in_the_padding() {
        // Length 3, window 2, stride 2, padding 1: the third window would start at 4 of 0..=4.
        let axis = Axis { kernel: 2, padding: 1, ceil_mode: true, ..AXIS };
        assert_eq!(axis.positions(3), Some(2));
    }
}
