//! Transposes of convolutions to a few channels, as the colours of a picture are, in 32 bit: panels of so
//! few columns would be empty for the most part. Vectors hold output channels here, which sums run over,
//! and are added up last.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::conv_transpose2d::FEWEST_COLUMNS;
use super::conv2d::Params;
use super::panels::{Lattice, Tap, WIDTH};
use super::parallel;
use super::sums::{PIECE, added};

/// Channels whose sums are made together, at most.
const TOGETHER: usize = 3;

/// Tasks for each thread, so that none waits long for the last one.
const TASKS: usize = 4;

/// Output channels of which vectors are not empty for the most part, and of which even those of 4 numbers
/// make no longer pieces than [`PIECE`].
const DEPTHS: RangeInclusive<u32> = 8..=4 * PIECE as u32;

/// Whether this is the faster way.
pub(super) fn suits(p: &Params) -> bool {
    p.groups == 1 && p.in_channels < FEWEST_COLUMNS && DEPTHS.contains(&p.out_channels)
}

/// Sums for every input what the outputs that it met send back. `lattices` are those of
/// `conv_transpose2d`, `w` has the filters, packed.
///
/// # Panics
/// If signals, filters or inputs are not as many as the parameters say.
pub(super) fn run(p: &Params, lattices: &[Lattice], s: &[f32], w: &[f32], out: &mut [f32]) {
    run_by(p, lattices, s, w, out, |rows| Arch::new().dispatch(rows));
}

/// The same by a vector unit of the caller's choice.
fn run_by(
    p: &Params,
    lattices: &[Lattice],
    s: &[f32],
    w: &[f32],
    out: &mut [f32],
    by: impl Fn(Rows<'_>) + Sync,
) {
    let row = (p.in_width * p.in_channels) as usize;
    let channels = p.out_channels as usize;
    let pixels = p.output().count * p.output().size.iter().product::<usize>();
    assert_eq!(s.len(), pixels * channels, "values of the signal");
    let inputs = p.input().count * p.input().size.iter().product::<usize>();
    assert_eq!(out.len(), inputs * p.in_channels as usize, "values of the inputs");
    assert_eq!(w.len(), p.taps() * p.in_channels as usize * channels, "values of the filters");
    let (s, w) = (in_whole_vectors(s, channels), in_whole_vectors(w, channels));
    let w = w.as_ref();
    let s = Signal { s: &s, size: p.output().size, depth: channels.next_multiple_of(WIDTH) };
    let rows = out.len() / row.max(1);
    let of_task = rows.div_ceil(TASKS * rayon::current_num_threads()).max(1);
    out.par_chunks_mut((of_task * row).max(1)).enumerate().for_each(|(i, out)| {
        by(Rows { p, lattices, s, w, first_row: i * of_task, out });
    });
}

/// Rows of so many values, filled up with zeros.
fn in_whole_vectors(rows: &[f32], len: usize) -> Cow<'_, [f32]> {
    let whole = len.next_multiple_of(WIDTH);
    if whole == len {
        return Cow::Borrowed(rows);
    }
    let mut filled = vec![0.0; rows.len() / len * whole];
    parallel::pieces(
        &mut filled,
        whole,
        #[inline(always)]
        |first, piece| {
            let rows = rows[first / whole * len..].chunks_exact(len);
            for (to, from) in piece.chunks_exact_mut(whole).zip(rows) {
                to[..len].copy_from_slice(from);
            }
        },
    );
    Cow::Owned(filled)
}

/// Some rows of the inputs, counted through all pictures.
struct Rows<'a> {
    p: &'a Params,
    lattices: &'a [Lattice],
    s: Signal<'a>,
    w: &'a [f32],
    first_row: usize,
    out: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Sums of as many pixels as registers hold.
        match S::F32_LANES {
            8 => self.tiles::<S, 4>(simd),
            _ => self.tiles::<S, 8>(simd),
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const PIXELS: usize>(self, simd: S) {
        let Self { p, lattices, s, w, first_row, out } = self;
        // What `piece` reads without asking.
        assert!(s.depth.is_multiple_of(S::F32_LANES), "whole vectors");
        let [height, width] = p.input().size;
        let channels = p.in_channels as usize;
        let [down, across] = [p.stride_height, p.stride_width].map(|stride| stride as usize);
        let mut met = Meetings::<PIXELS>::new(s, p.taps());
        for (i, out) in out.chunks_exact_mut(width * channels).enumerate() {
            let (plane, y) = ((first_row + i) / height, (first_row + i) % height);
            for x in 0..across.min(width) {
                let lattice = &lattices[y % down * across.min(width) + x];
                for first in (0..lattice.size[1]).step_by(PIXELS) {
                    let place = [plane, y / down, first];
                    met.find(lattice, place);
                    let pixels = first..lattice.size[1].min(first + PIXELS);
                    for channel in (0..channels).step_by(TOGETHER) {
                        let filters = Filters { taps: &lattice.taps, w, channels, channel };
                        let places = pixels.clone().map(|i| (x + across * i) * channels + channel);
                        let then = Then { places, accumulate: p.accumulate == 1, out };
                        match channels - channel {
                            1 => then.keep(filters.sums::<S, PIXELS, 1>(simd, &met)),
                            2 => then.keep(filters.sums::<S, PIXELS, 2>(simd, &met)),
                            _ => then.keep(filters.sums::<S, PIXELS, TOGETHER>(simd, &met)),
                        }
                    }
                }
            }
        }
    }
}

/// Planes of so many rows and columns of pixels, which have `depth` values each.
#[derive(Clone, Copy)]
struct Signal<'a> {
    s: &'a [f32],
    size: [usize; 2],
    depth: usize,
}

/// Where the pixels lie that a tap meets.
#[derive(Clone, Copy)]
enum Met {
    /// There are none.
    Nothing,
    /// In the signal from there on.
    Signal(usize),
    /// In the tap's room: some are past an end.
    Copies,
}

/// What the taps of a lattice meet, for so many pixels of it that lie side by side.
struct Meetings<'a, const PIXELS: usize> {
    signal: Signal<'a>,
    of_taps: Vec<Met>,
    /// Of each tap the pixels, where some are copies.
    room: Vec<f32>,
}

impl<'a, const PIXELS: usize> Meetings<'a, PIXELS> {
    fn new(signal: Signal<'a>, taps: usize) -> Self {
        let room = vec![0.0; taps * PIXELS * signal.depth];
        Self { signal, of_taps: Vec::with_capacity(taps), room }
    }

    /// Finds what they meet from that plane, row and column of the lattice on. Zeros take the place of
    /// pixels past an end.
    #[inline(always)]
    fn find(&mut self, lattice: &Lattice, [plane, row, column]: [usize; 3]) {
        let Signal { s, size: [height, width], depth } = self.signal;
        self.of_taps.clear();
        let rooms = self.room.chunks_exact_mut(PIXELS * depth);
        for (tap, room) in lattice.taps.iter().zip(rooms) {
            // What is negative is past every end.
            let y = row.wrapping_add_signed(tap.shift[0]);
            let x = column.wrapping_add_signed(tap.shift[1]);
            let first = |x: usize| ((plane * height + y) * width + x) * depth;
            self.of_taps.push(if y >= height {
                Met::Nothing
            } else if x < width && x + PIXELS <= width {
                Met::Signal(first(x))
            } else {
                for (i, pixel) in room.chunks_exact_mut(depth).enumerate() {
                    match x.wrapping_add(i) {
                        x if x < width => pixel.copy_from_slice(&s[first(x)..][..depth]),
                        _ => pixel.fill(0.0),
                    }
                }
                Met::Copies
            });
        }
    }

    /// The pixels that a tap meets, if there are any.
    #[inline(always)]
    fn pixels(&self, tap: usize) -> Option<&[f32]> {
        let len = PIXELS * self.signal.depth;
        match self.of_taps[tap] {
            Met::Nothing => None,
            Met::Signal(first) => Some(&self.signal.s[first..][..len]),
            Met::Copies => Some(&self.room[tap * len..][..len]),
        }
    }
}

/// Where sums are kept.
struct Then<'a, P> {
    /// The first value of each pixel.
    places: P,
    accumulate: bool,
    out: &'a mut [f32],
}

impl<P: Iterator<Item = usize>> Then<'_, P> {
    #[inline(always)]
    fn keep<const CHANNELS: usize>(self, sums: impl IntoIterator<Item = [f32; CHANNELS]>) {
        for (place, sums) in self.places.zip(sums) {
            for (out, sum) in self.out[place..][..CHANNELS].iter_mut().zip(sums) {
                *out = if self.accumulate { *out + sum } else { sum };
            }
        }
    }
}

/// The filters of some taps, for channels from `channel` on.
struct Filters<'a> {
    taps: &'a [Tap],
    w: &'a [f32],
    channels: usize,
    channel: usize,
}

impl Filters<'_> {
    /// The sums of the pixels that the taps were found to meet.
    #[inline(always)]
    fn sums<S: Simd, const PIXELS: usize, const CHANNELS: usize>(
        &self,
        simd: S,
        met: &Meetings<'_, PIXELS>,
    ) -> [[f32; CHANNELS]; PIXELS] {
        let zero = simd.splat_f32s(0.0);
        // Numbers one by one may be more than a piece should have; a tap is not cut all the same.
        let of_piece = (PIECE / (met.signal.depth / S::F32_LANES)).max(1);
        let taps = self.taps.len();
        let mut sums = self.piece::<S, PIXELS, CHANNELS>(simd, met, 0..taps.min(of_piece));
        let mut lost = [[zero; CHANNELS]; PIXELS];
        for first in (of_piece..taps).step_by(of_piece) {
            let taps = first..taps.min(first + of_piece);
            let piece = self.piece::<S, PIXELS, CHANNELS>(simd, met, taps);
            for i in 0..PIXELS {
                for c in 0..CHANNELS {
                    (sums[i][c], lost[i][c]) = added(simd, (sums[i][c], lost[i][c]), piece[i][c]);
                }
            }
        }
        let mut out = [[0.0; CHANNELS]; PIXELS];
        for i in 0..PIXELS {
            for c in 0..CHANNELS {
                out[i][c] = simd.reduce_sum_f32s(simd.add_f32s(sums[i][c], lost[i][c]));
            }
        }
        out
    }

    /// The share of some taps: a piece ends with a tap, since layers that see colours have some 16 to 96
    /// channels.
    #[inline(always)]
    #[expect(unsafe_code, reason = "the compiler does not see how long rows are")]
    fn piece<S: Simd, const PIXELS: usize, const CHANNELS: usize>(
        &self,
        simd: S,
        met: &Meetings<'_, PIXELS>,
        taps: Range<usize>,
    ) -> [[S::f32s; CHANNELS]; PIXELS] {
        let depth = met.signal.depth;
        let zero = simd.splat_f32s(0.0);
        let mut sums = [[zero; CHANNELS]; PIXELS];
        for tap in taps {
            let Some(pixels) = met.pixels(tap) else { continue };
            let first = self.taps[tap].number * self.channels + self.channel;
            let filters = &self.w[first * depth..][..CHANNELS * depth];
            let (pixels, filters) = (S::as_simd_f32s(pixels).0, S::as_simd_f32s(filters).0);
            let count = depth / S::F32_LANES;
            for v in 0..count {
                let mut w = [zero; CHANNELS];
                for c in 0..CHANNELS {
                    // SAFETY: `depth` is `count` whole vectors, as `tiles` asserts; there are as many for
                    // each pixel and filter.
                    w[c] = unsafe { *filters.get_unchecked(c * count + v) };
                }
                for i in 0..PIXELS {
                    // SAFETY: as above.
                    let s = unsafe { *pixels.get_unchecked(i * count + v) };
                    for c in 0..CHANNELS {
                        sums[i][c] = simd.mul_add_e_f32s(s, w[c], sums[i][c]);
                    }
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, Scalar128b, Scalar256b, Scalar512b};

    use super::*;
    use crate::kernels::conv_transpose2d::lattices;

    /// What a formula gives: the outputs' side goes through all that it met.
    fn by_formula(p: &Params, s: &[f32], w: &[f32], out: &[f32]) -> Vec<f64> {
        let mut sums: Vec<f64> =
            out.iter().map(|out| f64::from(*out) * f64::from(p.accumulate)).collect();
        let [ins, outs] = [p.in_channels, p.out_channels].map(|channels| channels as usize);
        let (input, output) = (p.input().size, p.output().size);
        let padding = [p.padding_height, p.padding_width].map(|zeros| zeros as isize);
        let stride = [p.stride_height, p.stride_width].map(|stride| stride as usize);
        for (pixel, s) in s.chunks_exact(outs).enumerate() {
            let plane = pixel / (output[0] * output[1]);
            let at = [pixel / output[1] % output[0], pixel % output[1]];
            for number in 0..p.taps() {
                let tap = p.tap(number);
                let [y, x] = [0, 1].map(|i| (at[i] * stride[i]) as isize + tap[i] - padding[i]);
                let is_inside = |at: isize, length: usize| (0..length as isize).contains(&at);
                if !is_inside(y, input[0]) || !is_inside(x, input[1]) {
                    continue;
                }
                let first = (plane * input[0] + y as usize) * input[1] + x as usize;
                for c in 0..ins {
                    let w = &w[(number * ins + c) * outs..][..outs];
                    let terms = s.iter().zip(w).map(|(s, w)| f64::from(*s) * f64::from(*w));
                    sums[first * ins + c] += terms.sum::<f64>();
                }
            }
        }
        sums
    }

    #[test]
    fn every_vector_unit_gives_what_the_formula_does() {
        // Channels of both sides, size, window, stride, zeros around, dilation.
        for (i, [ins, outs, size, kernel, stride, padding, dilation]) in [
            [3, 64, 40, 7, 2, 3, 1],
            [1, 24, 33, 3, 1, 1, 1],
            [2, 7, 12, 5, 1, 4, 2],
            [5, 40, 21, 2, 3, 0, 1],
            [4, 100, 5, 3, 1, 0, 1],
            [7, 512, 6, 3, 1, 1, 1],
            [3, 8, 30, 3, 2, 1, 1],
            [3, 80, 20, 7, 1, 3, 1],
        ]
        .into_iter()
        .enumerate()
        {
            let same = Params::keeping_size([size, size + 3], ins, kernel);
            let reach = dilation * (kernel - 1) + 1;
            let out = |length: u32| (length + 2 * padding - reach) / stride + 1;
            let p = Params {
                batch: 2,
                out_height: out(size),
                out_width: out(size + 3),
                out_channels: outs,
                stride_height: stride,
                stride_width: stride,
                padding_height: padding,
                padding_width: padding,
                dilation_height: dilation,
                dilation_width: dilation,
                accumulate: i as u32 % 2,
                ..same
            };
            let numbers = |count: usize, first: usize| -> Vec<f32> {
                (first..first + count).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
            };
            let pixels = |planes: [usize; 2]| 2 * planes[0] * planes[1];
            let s = numbers(pixels(p.output().size) * outs as usize, 3);
            let w = numbers(p.taps() * (ins * outs) as usize, 5);
            let before = numbers(pixels(p.input().size) * ins as usize, 7);
            let expected = by_formula(&p, &s, &w, &before);
            let largest = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
            let of = |by: &(dyn Fn(Rows<'_>) + Sync)| {
                let mut out = before.clone();
                run_by(&p, &lattices(&p), &s, &w, &mut out, by);
                out
            };
            for (name, found) in [
                ("this processor", of(&|rows| Arch::new().dispatch(rows))),
                ("1 lane", of(&|rows| Scalar.vectorize(rows))),
                ("4 lanes", of(&|rows| Scalar128b.vectorize(rows))),
                ("8 lanes", of(&|rows| Scalar256b.vectorize(rows))),
                ("16 lanes", of(&|rows| Scalar512b.vectorize(rows))),
            ] {
                let worst = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs());
                let worst = worst.fold(0.0, f64::max);
                assert!(worst <= 1e-6 * largest, "{name}, case {i}: {worst} of {largest}");
            }
        }
    }
}
