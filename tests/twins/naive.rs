//! Convolutions and matrix products as plain loops in f64: the reference for the twins that are
//! not plain themselves.

use clrp::kernels::Part;
use clrp::kernels::conv2d::Params as Conv;
use clrp::kernels::linear::Params as Linear;

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
