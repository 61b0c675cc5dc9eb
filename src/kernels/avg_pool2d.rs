//! Average pooling, with torch's divisor, and adaptive average pooling.
//! Twin of `shaders/avg_pool2d.wgsl`.

use std::ops::Range;

use super::parallel::{self, LANES};
use super::windows::Windows;
use super::{kernel, lanes, params};
use crate::num::Float;

params! {
    /// Windows over each channel.
    pub struct Params {
        /// Pictures (for the transpose: rows of the signal).
        pub batch: u32,
        /// Channels.
        pub channels: u32,
        /// Rows of the input.
        pub in_height: u32,
        /// Columns of the input.
        pub in_width: u32,
        /// Rows of the output.
        pub out_height: u32,
        /// Columns of the output.
        pub out_width: u32,
        /// Rows of the window.
        pub kernel_height: u32,
        /// Columns of the window.
        pub kernel_width: u32,
        /// Rows from window to window.
        pub stride_height: u32,
        /// Columns from window to window.
        pub stride_width: u32,
        /// Rows of padding above.
        pub padding_height: u32,
        /// Columns of padding to the left.
        pub padding_width: u32,
        /// Rows of padding below.
        pub end_height: u32,
        /// Columns of padding to the right.
        pub end_width: u32,
        /// 1: padded taps count in the divisor.
        pub count_include_pad: u32,
        /// 1: windows divide the input as `AdaptiveAvgPool2d` does; kernel, stride and padding
        /// play no part.
        pub adaptive: u32,
    }
}

kernel!("avg_pool2d", [Read, Write]);

impl Params {
    /// One invocation an output value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.batch * self.out_height * self.out_width * self.channels)
    }

    /// Rows and columns of the input in the window of output `(y, x)`, and the divisor.
    pub(super) fn window(&self, y: usize, x: usize) -> (Range<usize>, Range<usize>, usize) {
        let (rows, padded_rows) = if self.adaptive == 1 {
            adaptive(y, self.in_height, self.out_height)
        } else {
            let padding = [self.padding_height, self.end_height];
            sliding(y, self.in_height, self.kernel_height, self.stride_height, padding)
        };
        let (columns, padded_columns) = if self.adaptive == 1 {
            adaptive(x, self.in_width, self.out_width)
        } else {
            let padding = [self.padding_width, self.end_width];
            sliding(x, self.in_width, self.kernel_width, self.stride_width, padding)
        };
        let divisor = if self.count_include_pad == 1 {
            padded_rows * padded_columns
        } else {
            rows.len() * columns.len()
        };
        (rows, columns, divisor)
    }

    /// Rows of the output whose windows hold row `y` of the input.
    pub(super) fn rows_that_hold(&self, y: usize) -> Range<usize> {
        if self.adaptive == 1 {
            let (length, windows) = (self.in_height as usize, self.out_height as usize);
            return y * windows / length..((y + 1) * windows - 1) / length + 1;
        }
        let (stride, padding) = (self.stride_height, self.padding_height);
        Windows::new([self.kernel_height, 1], stride, padding, self.out_height).that_reach(y)
    }
}

/// The cells of window `at`, and how many they are with those in the padding.
fn adaptive(at: usize, length: u32, windows: u32) -> (Range<usize>, usize) {
    let (length, windows) = (length as usize, windows as usize);
    let cells = at * length / windows..((at + 1) * length).div_ceil(windows);
    (cells.clone(), cells.len())
}

/// As [`adaptive`], for a window that slides; torch counts padding only up to its far end.
fn sliding(
    at: usize,
    length: u32,
    kernel: u32,
    stride: u32,
    padding: [u32; 2],
) -> (Range<usize>, usize) {
    let (length, [padding, after]) = (length as usize, padding.map(|cells| cells as usize));
    let start = at * stride as usize;
    let end = (start + kernel as usize).min(padding + length + after);
    let inside = start.max(padding) - padding..end.saturating_sub(padding).min(length);
    (inside, end - start)
}

/// Operands: input, means.
pub fn cpu<F: Float>(p: &Params, a: &[F], out: &mut [F]) {
    let channels = p.channels as usize;
    let plane = (p.in_height * p.in_width) as usize * channels;
    let out_positions = (p.out_height * p.out_width) as usize;
    parallel::pieces(
        out,
        channels,
        #[inline(always)]
        |first, piece| {
            for (i, out) in piece.chunks_exact_mut(channels).enumerate() {
                let at = first / channels + i;
                let (image, position) = (at / out_positions, at % out_positions);
                let (y, x) = (position / p.out_width as usize, position % p.out_width as usize);
                let (rows, columns, divisor) = p.window(y, x);
                let cells = rows.flat_map(|row| {
                    columns.clone().map(move |column| row * p.in_width as usize + column)
                });
                find_means(&a[image * plane..][..plane], cells, F::from_f64(divisor as f64), out);
            }
        },
    );
}

/// The sums of each channel over cells of a plane, divided.
#[inline(always)]
fn find_means<F: Float>(
    a: &[F],
    cells: impl Iterator<Item = usize> + Clone,
    divisor: F,
    out: &mut [F],
) {
    let channels = out.len();
    let (out, rest) = out.as_chunks_mut::<LANES>();
    for (block, out) in out.iter_mut().enumerate() {
        let mut sums = [F::ZERO; LANES];
        for cell in cells.clone() {
            let cell: &[F; LANES] = a[cell * channels + block * LANES..]
                .first_chunk()
                .expect("a cell has all channels");
            for lane in 0..LANES {
                sums[lane] += cell[lane];
            }
        }
        *out = sums.map(|sum| sum / divisor);
    }
    let first = channels - rest.len();
    for (c, out) in rest.iter_mut().enumerate() {
        let mut sum = F::ZERO;
        for cell in cells.clone() {
            sum += a[cell * channels + first + c];
        }
        *out = sum / divisor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_by_three() -> Params {
        Params {
            batch: 1,
            channels: 1,
            in_height: 2,
            in_width: 2,
            out_height: 1,
            out_width: 1,
            kernel_height: 3,
            kernel_width: 3,
            stride_height: 2,
            stride_width: 2,
            padding_height: 1,
            padding_width: 1,
            end_height: 1,
            end_width: 1,
            count_include_pad: 1,
            adaptive: 0,
        }
    }

    #[test]
    fn padding_counts_in_the_divisor_if_asked_to() {
        let mut out = [0.0];
        cpu(&three_by_three(), &[1.0, 2.0, 3.0, 3.0], &mut out);
        assert_eq!(out, [1.0]); // 9 / 9
        let p = Params { count_include_pad: 0, ..three_by_three() };
        cpu(&p, &[1.0, 2.0, 3.0, 3.0], &mut out);
        assert_eq!(out, [2.25]); // 9 / 4
    }

    #[test]
    fn adaptive_windows_overlap_where_they_must() {
        // Three cells into two: [0, 1] and [1, 2]; two cells into three: [0], [0, 1], [1].
        let p = Params { in_height: 1, in_width: 3, out_width: 2, adaptive: 1, ..three_by_three() };
        let mut out = [0.0; 2];
        cpu(&p, &[1.0, 3.0, 5.0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
        let p = Params { in_width: 2, out_width: 3, ..p };
        let mut out = [0.0; 3];
        cpu(&p, &[1.0, 3.0], &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0]);
    }
}
