//! Denominators of the z-box rule from a convolution's outputs: `sum of w+ (a - low) + w- (a - high)` is
//! `y` less the bias and what the bounds alone give, which no picture changes. Twin of
//! `shaders/box_denominators.wgsl`.
//!
//! Where that difference is far smaller than what it was taken of, it would be nothing but their rounding;
//! there the sum is made by its formula, all of whose terms have one sign where the inputs are within their
//! bounds.

pub use super::conv2d::Params as Geometry;
use super::conv2d::{Filters, inside};
use super::linear::Rows;
use super::{kernel, lanes, parallel, winograd};
use crate::num::Float;

/// The convolution whose outputs they are made from: one group, all of its weights and bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params(pub Geometry);

kernel!("box_denominators", [Read, Read, ReadWeight, Read, Read, Write]);

/// A difference as small a part of what it was taken of is made by its formula. An output of `n` products in
/// f32 is off by up to about `sqrt(n) * 2^-24` of them, so that a difference that is left is off by up to
/// `sqrt(n) * 2^-17` of itself: 9e-5 for the 147 products of a 7 x 7 filter over three colors. Pictures leave
/// about 0.4 of it; less than this, flat patches at their bounds and filters whose bias is far larger than
/// their weights.
const SMALL: f64 = 1.0 / 128.0;

/// Numbers that [`constants`] may be, which are made anew whenever a network is lowered.
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
        if output < self.after {
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

    /// The outputs above one another, and those side by side.
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
        [down.ways(), right.ways(), self.0.out_channels].map(|n| n as usize).iter().product()
    }
}

/// Whether they can be made so: outputs of one group that are off by a part of their own products, not too
/// many channels and ways for windows to reach over edges.
pub fn suits(p: &Params) -> bool {
    p.0.groups == 1 && !winograd::suits(&p.0) && 2 * p.ways() <= MOST_CONSTANTS
}

/// What is to be added to outputs, `[way down][way right][output channel]`, and below which magnitudes a
/// sum is made by its formula, in the same order. `w` has the filters in torch's order, `bias` a number for
/// each output channel; `low` and `high` are the bounds of each input channel.
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

/// Operands: outputs (`[picture][row][column][output channel]`), inputs (`[picture][row][column][input
/// channel]`, each within its bounds), packed filters, the bounds (`[low, high][input channel]`), the
/// [`constants`], `z` (as the outputs).
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
    let formula = Formula { p, a, w, low, high };
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
                // Apart, so that the loop above goes by vectors.
                for c in (0..channels).filter(|_| small) {
                    if z[c].magnitude() < least[c] {
                        z[c] = formula.sum(image, at, c);
                    }
                }
            }
        },
    );
}

/// What sums are made of by their formula.
struct Formula<'a, F> {
    p: &'a Geometry,
    a: &'a [F],
    w: Filters<'a, F>,
    low: &'a [F],
    high: &'a [F],
}

impl<F: Float> Formula<'_, F> {
    /// That of one output channel of a picture, at a row and column.
    fn sum(&self, image: usize, at: [u32; 2], channel: usize) -> F {
        let Self { p, a, low, high, .. } = self;
        let mut sum = 0.0;
        for tap in 0..p.kernel_height * p.kernel_width {
            let Some([row, column]) = input(p, at, tap) else { continue };
            let pixel = (image * p.in_height as usize + row) * p.in_width as usize + column;
            for (c, a) in a[pixel * low.len()..][..low.len()].iter().enumerate() {
                let place = (tap as usize * low.len() + c) * p.out_channels as usize + channel;
                let w = self.weight(place);
                let bound = if w > 0.0 { low[c] } else { high[c] };
                sum += w * (a.to_f64() - bound.to_f64());
            }
        }
        F::from_f64(sum)
    }

    fn weight(&self, place: usize) -> f64 {
        match &self.w {
            Filters::Ready(w) => w[place].to_f64(),
            Filters::Stored(w) => w.get(place),
            Filters::Panels(_) | Filters::Transformed(..) => unreachable!("they are packed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv2d;
    use crate::kernels::epilogue::Then;

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

    /// What [`SMALL`] says that is left of a difference.
    const LEFT: f64 = 9e-5;

    #[test]
    fn differences_of_rounded_outputs_are_as_exact_as_is_said() {
        let p = Geometry { bias_part: 1, ..Geometry::keeping_size([9; 2], 3, 7) };
        let p = Geometry { out_channels: 8, ..p };
        let number = |i: usize| (i * 7919 % 1009) as f32 / 1009.0;
        // Filters of one sign, and a bias that outweighs none of them and then all.
        let filter = |o: usize| if o.is_multiple_of(2) { 0.1 } else { -0.1 };
        let weights: Vec<f32> = (0..147 * 8).map(|i| number(i) * filter(i / 147)).collect();
        let bias: Vec<f32> = (0..8).map(|o| (o / 2) as f32 * 5.0).collect();
        let packed: Vec<f32> =
            (0..147 * 8).map(|i| weights[(i % 8 * 3 + i / 8 % 3) * 49 + i / 24]).collect();
        let (low, high) = ([-2.1, -2.0, -1.8], [2.2, 2.4, 2.6]);
        let constants =
            constants(&Params(p), Rows::F32(&weights), Some(Rows::F32(&bias)), [&low, &high]);
        let bounds: Vec<f32> = low.iter().chain(&high).map(|bound| *bound as f32).collect();
        let constants: Vec<f32> = constants.iter().map(|constant| *constant as f32).collect();
        let (mut kept, mut made) = (0, 0);
        // Ever nearer to one bound, with a bit of a pattern.
        for (i, bound) in (0..40).flat_map(|i| [(i, high), (i, low)]) {
            let distance = 0.8_f64.powi(i);
            let pixel = |at: usize| {
                let toward = distance
                    * f64::from(number(at))
                    * (low[at % 3] + high[at % 3] - 2.0 * bound[at % 3]);
                ((bound[at % 3] + toward) as f32).clamp(bounds[at % 3], bounds[3 + at % 3])
            };
            let a: Vec<f32> = (0..81 * 3).map(pixel).collect();
            let mut y = vec![0.0_f32; 81 * 8];
            conv2d::cpu(&p, &a, Filters::Ready(&packed), &bias, Then::default(), &mut y);
            let mut z = y.clone();
            cpu(&Params(p), &y, &a, Filters::Ready(&packed), &bounds, &constants, &mut z);
            let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let (a, w, bounds) = (wide(&a), wide(&packed), wide(&bounds));
            let (low, high) = bounds.split_at(3);
            let formula = Formula { p: &p, a: &a, w: Filters::Ready(&w), low, high };
            for (i, z) in z.iter().enumerate() {
                let expected = formula.sum(0, [i / 72, i / 8 % 9].map(|at| at as u32), i % 8);
                let error = (f64::from(*z) - expected).abs();
                assert!(
                    error <= LEFT * expected.abs(),
                    "{z} of {expected}, {distance} from a bound"
                );
                // By the formula it is the same to the bit.
                if *z == expected as f32 { made += 1 } else { kept += 1 }
            }
        }
        assert!(kept > 1000 && made > 1000, "{kept} kept, {made} made");
    }
}
