//! Denominators of the z-box rule from a convolution's outputs: `sum of w+ (a - low) + w- (a - high)` is
//! `y` less the bias and what the bounds alone give, which no picture changes. Twin of
//! `shaders/box_denominators.wgsl`.
//!
//! Where that difference is far smaller than what it was taken of, it would be nothing but their rounding;
//! there the sum is made by its formula, all of whose terms have one sign.

pub use super::conv2d::Params as Geometry;
use super::conv2d::{Filters, inside};
use super::linear::Rows;
use super::{kernel, lanes, parallel};
use crate::num::Float;

/// The convolution whose outputs they are made from: one group, all of its weights and bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params(pub Geometry);

kernel!("box_denominators", [Read, Read, ReadWeight, Read, Read, Write]);

/// A difference as small a part of what it was taken of is made by its formula.
const SMALL: f64 = 1.0 / 1024.0;

/// Numbers that [`constants`] may be. Beyond, most windows reach over an edge.
const MOST_CONSTANTS: usize = 1 << 16;

/// The outputs along one side of the picture. The windows of the first and last ones reach over its
/// edges, each in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Side {
    /// Whose windows begin before the picture.
    before: u32,
    /// The first of those whose windows end behind it.
    after: u32,
    outputs: u32,
}

impl Side {
    /// In how many ways windows reach over the edges, not at all among them.
    fn ways(self) -> u32 {
        self.before + 1 + self.outputs - self.after
    }

    /// That of an output.
    fn way(self, output: u32) -> u32 {
        if output < self.before || output < self.after {
            output.min(self.before)
        } else {
            self.before + 1 + output - self.after
        }
    }

    /// An output of each way, if there is one.
    fn output(self, way: u32) -> u32 {
        if way <= self.before { way } else { self.after + way - self.before - 1 }
    }
}

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = Geometry::FIELDS;

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        self.0.words()
    }

    /// One invocation an output.
    pub fn workgroups(&self) -> [u32; 3] {
        let p = &self.0;
        lanes(p.batch * p.out_height * p.out_width * p.out_channels)
    }

    /// Above one another and side by side.
    fn sides(&self) -> [Side; 2] {
        let p = &self.0;
        let side = |[inputs, outputs, taps]: [u32; 3], [stride, padding, dilation]: [u32; 3]| {
            let before = padding.div_ceil(stride).min(outputs);
            // Where the last window that does not reach over the end begins.
            let last = (inputs + padding).checked_sub((taps - 1) * dilation + 1);
            let after = last.map_or(0, |last| last / stride + 1);
            Side { before, after: after.clamp(before, outputs), outputs }
        };
        [
            side(
                [p.in_height, p.out_height, p.kernel_height],
                [p.stride_height, p.padding_height, p.dilation_height],
            ),
            side(
                [p.in_width, p.out_width, p.kernel_width],
                [p.stride_width, p.padding_width, p.dilation_width],
            ),
        ]
    }

    /// Numbers of each of the two that [`constants`] has.
    fn ways(&self) -> usize {
        let [down, right] = self.sides();
        (down.ways() * right.ways() * self.0.out_channels) as usize
    }
}

/// Whether they can be made so: one group, and not too many ways for windows to reach over edges.
pub fn suits(p: &Params) -> bool {
    p.0.groups == 1 && 2 * p.ways() <= MOST_CONSTANTS
}

/// What is to be added to outputs, `[way down][way right][output channel]`, and below which magnitudes a
/// sum is made by its formula, in the same order. `w` has the filters in torch's order; `low` and `high`
/// are the bounds of each input channel.
pub fn constants(
    p: &Params,
    w: Rows<'_>,
    bias: Option<Rows<'_>>,
    [low, high]: [&[f64]; 2],
) -> Vec<f64> {
    let (sides, p) = (p.sides(), &p.0);
    let [outs, ins, taps] = [p.out_channels, p.in_channels, p.kernel_height * p.kernel_width];
    let ways = (sides[0].ways() * sides[1].ways()) as usize;
    let mut sums = vec![0.0; 2 * ways * outs as usize];
    let (shifts, least) = sums.split_at_mut(ways * outs as usize);
    for (i, (shift, least)) in shifts.iter_mut().zip(least).enumerate() {
        let (way, o) = (i as u32 / outs, i as u32 % outs);
        let at = [sides[0].output(way / sides[1].ways()), sides[1].output(way % sides[1].ways())];
        let bias: f64 = bias.map_or(0.0, |bias| bias.get(o as usize));
        let (mut sum, mut magnitude) = (-bias, bias.abs());
        for tap in (0..taps).filter(|tap| input(p, at, *tap).is_some()) {
            for c in 0..ins {
                let w: f64 = w.get(((o * ins + c) * taps + tap) as usize);
                let (low, high) = (low[c as usize], high[c as usize]);
                sum -= if w > 0.0 { w * low } else { w * high };
                // Of the output and of the bounds.
                magnitude += 2.0 * w.abs() * low.abs().max(high.abs());
            }
        }
        (*shift, *least) = (sum, SMALL * magnitude);
    }
    sums
}

/// The row and column that an output meets at a tap, unless it lies over the edge.
fn input(p: &Geometry, [y, x]: [u32; 2], tap: u32) -> Option<[usize; 2]> {
    let [ky, kx] = [tap / p.kernel_width, tap % p.kernel_width];
    let y = (y * p.stride_height + ky * p.dilation_height) as usize;
    let x = (x * p.stride_width + kx * p.dilation_width) as usize;
    let row = inside(y, p.padding_height, p.in_height)?;
    Some([row, inside(x, p.padding_width, p.in_width)?])
}

/// Operands: outputs, inputs, packed filters, the bounds (`[low, high][input channel]`), the
/// [`constants`], `z`.
pub fn cpu<F: Float>(
    p: &Params,
    y: &[F],
    a: &[F],
    w: Filters<'_, F>,
    bounds: &[F],
    constants: &[F],
    z: &mut [F],
) {
    let ([down, right], p) = (p.sides(), &p.0);
    let channels = p.out_channels as usize;
    let (shifts, least) = constants.split_at(constants.len() / 2);
    let (low, high) = bounds.split_at(p.in_channels as usize);
    let weight = |at: usize| -> f64 {
        match w {
            Filters::Ready(w) => w[at].to_f64(),
            Filters::Stored(w) => w.get(at),
            Filters::Panels(_) | Filters::Transformed(..) => unreachable!("they are packed"),
        }
    };
    let by_formula = |image: usize, at: [u32; 2], channel: usize| {
        let mut sum = 0.0;
        for tap in 0..p.kernel_height * p.kernel_width {
            let Some([row, column]) = input(p, at, tap) else { continue };
            let pixel = (image * p.in_height as usize + row) * p.in_width as usize + column;
            for (c, a) in a[pixel * low.len()..][..low.len()].iter().enumerate() {
                let w = weight((tap as usize * low.len() + c) * channels + channel);
                let bound = if w > 0.0 { low[c] } else { high[c] };
                sum += w * (a.to_f64() - bound.to_f64());
            }
        }
        F::from_f64(sum)
    };
    parallel::pieces(
        z,
        channels,
        #[inline(always)]
        |first, piece| {
            for (i, z) in piece.chunks_exact_mut(channels).enumerate() {
                let position = first / channels + i;
                let y = &y[position * channels..][..channels];
                let (line, x) = (position / p.out_width as usize, position % p.out_width as usize);
                let image = line / p.out_height as usize;
                let at = [(line % p.out_height as usize) as u32, x as u32];
                let way = down.way(at[0]) * right.ways() + right.way(at[1]);
                let way = way as usize * channels..(way as usize + 1) * channels;
                let (shifts, least) = (&shifts[way.clone()], &least[way]);
                let mut small = false;
                for c in 0..channels {
                    z[c] = y[c] + shifts[c];
                    small |= z[c].magnitude() < least[c];
                }
                if small {
                    for c in 0..channels {
                        if z[c].magnitude() < least[c] {
                            z[c] = by_formula(image, at, c);
                        }
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_reach_over_edges_in_so_many_ways() {
        let side = |p: Geometry| Params(p).sides()[0];
        // ResNet's first layer: rows -3, -1 and 1 to 5 begin windows; the last one ends at 225 of 224.
        let p = Geometry {
            kernel_height: 7,
            stride_height: 2,
            padding_height: 3,
            out_height: 112,
            ..Geometry::keeping_size([224; 2], 3, 7)
        };
        assert_eq!(side(p), Side { before: 2, after: 111, outputs: 112 });
        assert_eq!([0, 1, 2, 110, 111].map(|y| side(p).way(y)), [0, 1, 2, 2, 3]);
        // Without padding all are the same.
        let p = Geometry { padding_height: 0, out_height: 109, ..p };
        assert_eq!(side(p), Side { before: 0, after: 109, outputs: 109 });
        assert_eq!(side(p).ways(), 1);
        // Every window reaches over both edges: each is its own way, and the one that no window goes.
        let p = Geometry::keeping_size([2, 9], 3, 5);
        let tall = Geometry { in_height: 2, out_height: 2, ..p };
        assert_eq!(side(tall), Side { before: 2, after: 2, outputs: 2 });
        assert_eq!([0, 1].map(|y| side(tall).way(y)), [0, 1]);
        let way = |y| side(tall).output(side(tall).way(y));
        assert_eq!([way(0), way(1)], [0, 1]);
    }
}
