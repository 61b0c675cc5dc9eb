//! Linear layers as dense matrices, entry by entry from the definition. Rows are outputs, columns
//! inputs, both in torch's order: channel, row, column.

use clrp::graph::{AvgPool2d, Conv2d};
use clrp::tensor::Shape;

/// A matrix; entries that no weight stands behind are 0.
#[derive(Clone)]
pub(crate) struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self { columns, values: vec![0.0; rows * columns] }
    }

    /// Torch's matrix of a fully connected layer.
    pub(crate) fn linear(rows: usize, columns: usize, values: &[f64]) -> Self {
        assert_eq!(values.len(), rows * columns);
        Self { columns, values: values.to_vec() }
    }

    /// A convolution with torch's filters.
    pub(crate) fn conv2d(conv: &Conv2d, from: Shape, to: Shape, filters: &[f64]) -> Self {
        let mut matrix = Self::zeros(to.len(), from.len());
        let (ins, outs) = (from.channels / conv.groups, to.channels / conv.groups);
        for (o, y, x) in cells(to) {
            for (c, ky, kx) in cells(Shape::new(ins, conv.kernel[0], conv.kernel[1])) {
                let row =
                    (y * conv.stride[0] + ky * conv.dilation[0]).wrapping_sub(conv.padding[0]);
                let column =
                    (x * conv.stride[1] + kx * conv.dilation[1]).wrapping_sub(conv.padding[1]);
                if row < from.height && column < from.width {
                    let filter = (o * ins + c) * conv.kernel[0] * conv.kernel[1];
                    let input = at(from, (o / outs * ins + c, row, column));
                    matrix.set(
                        at(to, (o, y, x)),
                        input,
                        filters[filter + ky * conv.kernel[1] + kx],
                    );
                }
            }
        }
        matrix
    }

    /// An average pool.
    pub(crate) fn avg_pool2d(pool: &AvgPool2d, from: Shape, to: Shape) -> Self {
        let window = |at: usize, axis: usize, length: usize| {
            let start = (at * pool.stride[axis]) as isize - pool.padding[axis] as isize;
            let end =
                (start + pool.kernel[axis] as isize).min((length + pool.padding[axis]) as isize);
            (start, end)
        };
        Self::pool(from, to, pool.count_include_pad, window)
    }

    /// An adaptive average pool.
    pub(crate) fn adaptive_avg_pool2d(from: Shape, to: Shape) -> Self {
        let sizes = [to.height, to.width];
        let window = |at: usize, axis: usize, length: usize| {
            let start = (at * length) as f64 / sizes[axis] as f64;
            let end = ((at + 1) * length) as f64 / sizes[axis] as f64;
            (start.floor() as isize, end.ceil() as isize)
        };
        Self::pool(from, to, false, window)
    }

    /// `window(position, axis, length)` is where a window starts and ends.
    fn pool(
        from: Shape,
        to: Shape,
        count_padding: bool,
        window: impl Fn(usize, usize, usize) -> (isize, isize),
    ) -> Self {
        let mut matrix = Self::zeros(to.len(), from.len());
        for (c, y, x) in cells(to) {
            let (rows, columns) = (window(y, 0, from.height), window(x, 1, from.width));
            let all = (rows.1 - rows.0) * (columns.1 - columns.0);
            let inside = |(start, end): (isize, isize), length: usize| {
                (start..end).filter(move |&i| (0..length as isize).contains(&i))
            };
            let real = inside(rows, from.height).count() * inside(columns, from.width).count();
            let divisor = if count_padding { all as f64 } else { real as f64 };
            for row in inside(rows, from.height) {
                for column in inside(columns, from.width) {
                    let input = at(from, (c, row as usize, column as usize));
                    matrix.set(at(to, (c, y, x)), input, 1.0 / divisor);
                }
            }
        }
        matrix
    }

    fn set(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.columns + column] = value;
    }

    pub(crate) fn get(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.columns + column]
    }

    /// `W a`.
    pub(crate) fn times(&self, a: &[f64]) -> Vec<f64> {
        let rows = self.values.chunks_exact(self.columns);
        rows.map(|row| row.iter().zip(a).map(|(w, a)| w * a).sum()).collect()
    }
}

/// All channels, rows and columns, in torch's order.
fn cells(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    let plane = shape.height * shape.width;
    (0..shape.len()).map(move |i| (i / plane, i % plane / shape.width, i % shape.width))
}

fn at(shape: Shape, (channel, row, column): (usize, usize, usize)) -> usize {
    (channel * shape.height + row) * shape.width + column
}
