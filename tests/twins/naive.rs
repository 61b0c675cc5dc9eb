//! Convolutions, matrix products and pools as plain loops in f64: the reference for the twins that are
//! not plain themselves.

use clrp::kernels::Part;
use clrp::kernels::avg_pool2d::Params as AvgPool;
use clrp::kernels::conv2d::Params as Conv;
use clrp::kernels::linear::Params as Linear;
use clrp::kernels::max_pool2d::Params as MaxPool;

/// What is added to, if the call accumulates.
fn start(accumulate: u32, before: &[f32]) -> Vec<f64> {
    let keep = f64::from(accumulate);
    before.iter().map(|&v| keep * f64::from(v)).collect()
}

fn part(code: u32, w: f32, gamma: f32) -> f64 {
    Part::from_code(code).of(f64::from(w), f64::from(gamma))
}

/// Calls `visit(input, filter weight, output)` with the flat indices of every tap that is not in
/// the padding; activations are NHWC, filters torch's.
fn taps(p: &Conv, mut visit: impl FnMut(usize, usize, usize)) {
    let [ins, outs] = [p.in_channels / p.groups, p.out_channels / p.groups];
    for image in 0..p.batch {
        for y in 0..p.out_height {
            for x in 0..p.out_width {
                for ky in 0..p.kernel_height {
                    for kx in 0..p.kernel_width {
                        let row = (y * p.stride_height + ky * p.dilation_height)
                            .wrapping_sub(p.padding_height);
                        let column = (x * p.stride_width + kx * p.dilation_width)
                            .wrapping_sub(p.padding_width);
                        if row >= p.in_height || column >= p.in_width {
                            continue;
                        }
                        for o in 0..p.out_channels {
                            for c in 0..ins {
                                let pixel = (image * p.in_height + row) * p.in_width + column;
                                let input = pixel * p.in_channels + o / outs * ins + c;
                                let filter =
                                    ((o * ins + c) * p.kernel_height + ky) * p.kernel_width;
                                let output =
                                    ((image * p.out_height + y) * p.out_width + x) * p.out_channels;
                                visit(
                                    input as usize,
                                    (filter + kx) as usize,
                                    (output + o) as usize,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn conv2d(p: &Conv, a: &[f32], w: &[f32], b: &[f32], before: &[f32]) -> Vec<f64> {
    let mut z = start(p.accumulate, before);
    for (i, z) in z.iter_mut().enumerate() {
        *z += part(p.bias_part, b[i % b.len()], p.gamma);
    }
    taps(p, |i, j, k| z[k] += part(p.part, w[j], p.gamma) * f64::from(a[i]));
    z
}

/// The denominators of the z-box rule; `bounds` are the lower ones of the input channels, then the upper.
pub(super) fn box_denominators(p: &Conv, a: &[f32], w: &[f32], bounds: &[f64]) -> Vec<f64> {
    let mut z = vec![0.0; (p.batch * p.out_height * p.out_width * p.out_channels) as usize];
    let (low, high) = bounds.split_at(p.in_channels as usize);
    taps(p, |i, j, k| {
        let w = f64::from(w[j]);
        let bound = if w > 0.0 { low } else { high };
        z[k] += w * (f64::from(a[i]) - bound[i % bound.len()]);
    });
    z
}

/// What that rule hands down.
pub(super) fn box_relevance(p: &Conv, repeat: usize, [s, w, a, bounds]: [&[f32]; 4]) -> Vec<f64> {
    let mut r = vec![0.0; (p.batch * p.in_height * p.in_width * p.in_channels) as usize];
    let plane = (p.in_height * p.in_width * p.in_channels) as usize;
    let (low, high) = bounds.split_at(p.in_channels as usize);
    taps(p, |i, j, k| {
        let w = f64::from(w[j]);
        let bound = if w > 0.0 { low } else { high }[i % low.len()];
        let a = a[i / plane / repeat * plane + i % plane];
        r[i] += w * f64::from(s[k]) * (f64::from(a) - f64::from(bound));
    });
    r
}

pub(super) fn conv_transpose2d(p: &Conv, s: &[f32], w: &[f32], before: &[f32]) -> Vec<f64> {
    let mut c = start(p.accumulate, before);
    taps(p, |i, j, k| c[i] += part(p.part, w[j], p.gamma) * f64::from(s[k]));
    c
}

pub(super) fn linear(p: &Linear, a: &[f32], w: &[f32], b: &[f32], before: &[f32]) -> Vec<f64> {
    // Outputs of other shards keep what they hold.
    let mut z = start(1, before);
    for image in 0..p.batch as usize {
        for o in p.first as usize..(p.first + p.rows) as usize {
            let at = image * p.out_features as usize + o;
            let old = start(p.accumulate, &before[at..=at])[0];
            z[at] = old + part(p.bias_part, b[o % b.len()], p.gamma);
            for i in 0..p.in_features as usize {
                let a = a[image * p.in_features as usize + i];
                let w = w[o * p.in_features as usize + i];
                z[at] += part(p.part, w, p.gamma) * f64::from(a);
            }
        }
    }
    z
}

pub(super) fn linear_transpose(p: &Linear, s: &[f32], w: &[f32], before: &[f32]) -> Vec<f64> {
    let mut c = start(p.accumulate, before);
    for row in 0..p.batch as usize {
        for o in p.first as usize..(p.first + p.rows) as usize {
            let s = f64::from(s[row * p.out_features as usize + o]);
            for i in 0..p.in_features as usize {
                let w = w[o * p.in_features as usize + i];
                c[row * p.in_features as usize + i] += part(p.part, w, p.gamma) * s;
            }
        }
    }
    c
}

/// Cells and windows of all pictures and channels: `visit(first input, first output, output row, output
/// column)`, where the first ones are those of the picture's channel and the next lie `channels` on.
fn planes(
    [batch, channels]: [u32; 2],
    input: [u32; 2],
    output: [u32; 2],
    mut visit: impl FnMut(usize, usize, [u32; 2]),
) {
    for image in 0..batch {
        for c in 0..channels {
            let plane =
                |[height, width]: [u32; 2]| (image * height * width * channels + c) as usize;
            for y in 0..output[0] {
                for x in 0..output[1] {
                    let window = ((y * output[1] + x) * channels) as usize;
                    visit(plane(input), plane(output) + window, [y, x]);
                }
            }
        }
    }
}

/// Maxima, then who has them: the first in scan order.
pub(super) fn max_pool2d(p: &MaxPool, a: &[f32]) -> Vec<f64> {
    let outs = (p.batch * p.out_height * p.out_width * p.channels) as usize;
    let (mut maxima, mut winners) = (vec![f64::NAN; outs], vec![f64::NAN; outs]);
    let (input, output) = ([p.in_height, p.in_width], [p.out_height, p.out_width]);
    planes([p.batch, p.channels], input, output, |first, out, [y, x]| {
        for ky in 0..p.kernel_height {
            for kx in 0..p.kernel_width {
                let row =
                    (y * p.stride_height + ky * p.dilation_height).wrapping_sub(p.padding_height);
                let column =
                    (x * p.stride_width + kx * p.dilation_width).wrapping_sub(p.padding_width);
                if row >= p.in_height || column >= p.in_width {
                    continue;
                }
                let cell = row * p.in_width + column;
                let candidate = f64::from(a[first + (cell * p.channels) as usize]);
                if maxima[out].is_nan() || candidate > maxima[out] {
                    (maxima[out], winners[out]) = (candidate, f64::from(cell));
                }
            }
        }
    });
    [maxima, winners].concat()
}

/// Every window hands what it received to the cell that won it; rows of a picture share its winners.
pub(super) fn max_pool2d_backward(
    p: &MaxPool,
    repeat: u32,
    winners: &[u32],
    r_out: &[f32],
) -> Vec<f64> {
    let mut r_in = vec![0.0; (p.batch * p.in_height * p.in_width * p.channels) as usize];
    let plane = (p.out_height * p.out_width * p.channels) as usize;
    let (input, output) = ([p.in_height, p.in_width], [p.out_height, p.out_width]);
    planes([p.batch, p.channels], input, output, |first, out, _| {
        let of_picture = out / plane / repeat as usize * plane + out % plane;
        let cell = winners[of_picture] * p.channels;
        r_in[first + cell as usize] += f64::from(r_out[out]);
    });
    r_in
}

/// Calls `visit(input, output, divisor)` with the flat indices of every cell of every window.
fn means(p: &AvgPool, mut visit: impl FnMut(usize, usize, f64)) {
    // Along one side: first cell, end, and how many cells count with those in the padding.
    let slide = |at: u32, length: u32, kernel: u32, stride: u32, before: u32, after: u32| {
        let padded = at * stride..(at * stride + kernel).min(before + length + after);
        let inside = |cell: u32| cell.saturating_sub(before).min(length);
        (inside(padded.start), inside(padded.end), padded.len())
    };
    let divide = |at: u32, length: u32, windows: u32| {
        let cells = at * length / windows..((at + 1) * length).div_ceil(windows);
        (cells.start, cells.end, cells.len())
    };
    let [input, output] = [[p.in_height, p.in_width], [p.out_height, p.out_width]];
    planes([p.batch, p.channels], input, output, |first, out, [y, x]| {
        let [down, across] = match p.adaptive {
            1 => [divide(y, p.in_height, p.out_height), divide(x, p.in_width, p.out_width)],
            _ => [
                slide(
                    y,
                    p.in_height,
                    p.kernel_height,
                    p.stride_height,
                    p.padding_height,
                    p.end_height,
                ),
                slide(x, p.in_width, p.kernel_width, p.stride_width, p.padding_width, p.end_width),
            ],
        };
        let inside = (down.1 - down.0) * (across.1 - across.0);
        let divisor = match p.count_include_pad {
            1 => down.2 * across.2,
            _ => inside as usize,
        };
        for row in down.0..down.1 {
            for column in across.0..across.1 {
                let cell = (row * p.in_width + column) * p.channels;
                visit(first + cell as usize, out, divisor as f64);
            }
        }
    });
}

pub(super) fn avg_pool2d(p: &AvgPool, a: &[f32]) -> Vec<f64> {
    let mut out = vec![0.0; (p.batch * p.out_height * p.out_width * p.channels) as usize];
    means(p, |i, k, divisor| out[k] += f64::from(a[i]) / divisor);
    out
}

pub(super) fn avg_pool2d_backward(p: &AvgPool, r_out: &[f32]) -> Vec<f64> {
    let mut r_in = vec![0.0; (p.batch * p.in_height * p.in_width * p.channels) as usize];
    means(p, |i, k, divisor| r_in[i] += f64::from(r_out[k]) / divisor);
    r_in
}
