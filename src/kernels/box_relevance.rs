//! What the z-box rule hands down through a convolution: `(a - low) c+ + (a - high) c-`, where `c+` and `c-`
//! are the transposes by the positive and the negative weights. Twin of `shaders/box_relevance.wgsl`.
//!
//! A weight is in one of the two sums. In 32 bit vectors hold pixels that lie side by side, and products are
//! sorted by the signs of the weights that a value of the signal meets, one for each channel: so each of
//! them is made once.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::conv_transpose2d::{lattices, packed};
pub use super::conv2d::Params as Geometry;
use super::conv2d::{Filters, TILE};
use super::panels::{Lattice, WIDTH};
use super::sums::{PIECE, added};
use super::{Encoding, and_field, kernel};
use crate::num::Float;

/// The convolution with all of its weights, seen from the forward side: `batch` counts rows of the signal, the
/// bias fields play no part.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Params {
    /// The convolution.
    pub conv: Geometry,
    /// Rows of the signal for each picture.
    pub repeat: u32,
}

kernel!("box_relevance", [Read, ReadWeight, Read, Read, Write]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = &and_field::<{ Geometry::FIELDS.len() + 1 }>(
        Geometry::FIELDS,
        ("repeat", std::mem::offset_of!(Params, repeat)),
    );

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        let mut words = self.conv.words();
        words.push(self.repeat);
        words
    }

    /// Tiles of input positions that stand at the same place between two strides.
    pub fn workgroups(&self) -> [u32; 3] {
        let p = &self.conv;
        let cells = p.in_height.div_ceil(p.stride_height) * p.in_width.div_ceil(p.stride_width);
        let at_one_place = (p.batch * cells).div_ceil(TILE);
        p.tiles(at_one_place * p.stride_height * p.stride_width, 1)
    }
}

/// Whether it can be done: one group, one input channel or the three of colors, and output channels in
/// fours.
pub const fn suits(p: &Geometry) -> bool {
    p.groups == 1 && matches!(p.in_channels, 1 | 3) && p.out_channels.is_multiple_of(4)
}

/// Whether the shader can do it, too, which reads weights of 32 bit.
pub const fn suits_shader(p: &Geometry) -> bool {
    suits(p) && p.stored == Encoding::F32.code()
}

/// Operands: the signal (`[row][row of pixels][column][output channel]`), packed filters, inputs (`[picture][row
/// of pixels][column][input channel]`), the bounds (`[low, high][input channel]`), what is handed down (as the
/// inputs, for each row of the signal).
pub fn cpu<F: Float>(p: &Params, s: &[F], w: Filters<'_, F>, a: &[F], bounds: &[F], out: &mut [F]) {
    let w = packed(&p.conv, w);
    let plane = (p.conv.in_height * p.conv.in_width * p.conv.in_channels) as usize;
    let of_picture = |row: usize| &a[row / p.repeat as usize * plane..][..plane];
    let narrow = [s, &w, a, bounds].map(F::as_f32);
    let ([Some(s), Some(w), Some(a), Some(bounds)], Some(out)) = (narrow, F::as_f32_mut(out))
    else {
        let formula = Formula { p: &p.conv, lattices: &lattices(&p.conv), s, w: &w, bounds };
        let planes = out.par_chunks_mut(plane.max(1)).enumerate();
        planes.for_each(|(row, out)| formula.plane(row, of_picture(row), out));
        return;
    };
    match p.conv.in_channels {
        1 => Sorted::<1>::new(&p.conv, w).run(p, s, a, bounds, out),
        _ => Sorted::<3>::new(&p.conv, w).run(p, s, a, bounds, out),
    }
}

/// What sums are made of one by one.
struct Formula<'a, F> {
    p: &'a Geometry,
    lattices: &'a [Lattice],
    s: &'a [F],
    w: &'a [F],
    bounds: &'a [F],
}

impl<F: Float> Formula<'_, F> {
    /// What one row of the signal hands down to its picture.
    fn plane(&self, row: usize, a: &[F], out: &mut [F]) {
        let Self { p, lattices, s, w, bounds } = self;
        let [ins, outs] = [p.in_channels, p.out_channels].map(|channels| channels as usize);
        let [height, width] = p.output().size;
        let (low, high) = bounds.split_at(ins);
        for (i, out) in out.iter_mut().enumerate() {
            let (pixel, c) = (i / ins, i % ins);
            let at = [pixel / p.in_width as usize, pixel % p.in_width as usize];
            let stride = [p.stride_height, p.stride_width].map(|stride| stride as usize);
            let across = stride[1].min(p.in_width as usize);
            let lattice = &lattices[at[0] % stride[0] * across + at[1] % stride[1]];
            let mut sums = [F::ZERO; 2];
            for tap in &lattice.taps {
                // What is negative is past every end.
                let [y, x] = [0, 1].map(|i| (at[i] / stride[i]).wrapping_add_signed(tap.shift[i]));
                if y >= height || x >= width {
                    continue;
                }
                let s = &s[((row * height + y) * width + x) * outs..][..outs];
                let w = &w[(tap.number * ins + c) * outs..][..outs];
                for (s, w) in s.iter().zip(w) {
                    sums[usize::from(*w <= F::ZERO)] += *s * *w;
                }
            }
            *out = (a[i] - low[c]) * sums[0] + (a[i] - high[c]) * sums[1];
        }
    }
}

/// Bytes of a task's part of the signal, which stay in the second-level cache, unless its few rows have more.
const BAND_BYTES: usize = 512 << 10;

/// Tasks for each thread, so that none waits long for the last one.
const TASKS: usize = 4;

/// Vectors of pixels whose sums are made together, at most.
const VECTORS: usize = 7;

/// A value of the signal by the weights of all channels that it meets.
#[derive(Clone, Copy)]
struct Meeting<const CHANNELS: usize> {
    /// Where it lies from that of a pixel, in a task's part of the signal.
    at: usize,
    w: [f32; CHANNELS],
}

/// For each pattern of signs (a bit for each channel: whether the weight is positive) what has it.
type Patterns<const CHANNELS: usize> = Vec<Vec<Meeting<CHANNELS>>>;

/// A convolution whose products are sorted by signs.
struct Sorted<const CHANNELS: usize> {
    room: Room,
    lattices: Vec<(Lattice, Patterns<CHANNELS>)>,
}

/// How a task's part of the signal lies: a plane for each channel, zeros around it.
#[derive(Clone, Copy)]
struct Room {
    /// The first row and column, from those of the first pixel.
    first: [isize; 2],
    /// Rows of a lattice that a task makes.
    band: usize,
    rows: usize,
    /// From row to row.
    pitch: usize,
    /// From plane to plane.
    plane: usize,
    planes: usize,
}

impl Room {
    fn new(p: &Geometry, lattices: &[Lattice]) -> Self {
        let shifts = || lattices.iter().flat_map(|lattice| &lattice.taps).map(|tap| tap.shift);
        let least = |axis: usize| shifts().map(|shift| shift[axis]).min().unwrap_or(0).min(0);
        let most = |axis: usize| shifts().map(|shift| shift[axis]).max().unwrap_or(0).max(0);
        let first = [least(0), least(1)];
        let [more_rows, more_columns] = [0, 1].map(|axis| (most(axis) - first[axis]) as usize);
        let pixels = p.in_width.div_ceil(p.stride_width) as usize;
        let pitch = (reached(pixels) + more_columns).next_multiple_of(WIDTH);
        let planes = p.out_channels as usize;
        let down = p.in_height.div_ceil(p.stride_height) as usize;
        let tasks = (TASKS * rayon::current_num_threads()).div_ceil((p.batch as usize).max(1));
        let rows_that_fit = BAND_BYTES / (size_of::<f32>() * planes * pitch).max(1);
        let band = rows_that_fit.saturating_sub(more_rows).clamp(1, down.div_ceil(tasks).max(1));
        let rows = band + more_rows;
        // Not a power of two, or planes would meet in few sets of the cache.
        let plane = rows * pitch + WIDTH * usize::from((rows * pitch / WIDTH).is_multiple_of(2));
        Self { first, band, rows, pitch, plane, planes }
    }

    /// Fills it for the lattices' rows from `row` on.
    fn fill(self, room: &mut [f32], s: &[f32], [height, width]: [usize; 2], row: usize) {
        let left = self.first[1].unsigned_abs();
        let copied = width.min(self.pitch - left);
        for i in 0..self.rows {
            // What is negative is past every end.
            let y = (row + i).wrapping_add_signed(self.first[0]);
            let line = s.get(y.saturating_mul(width * self.planes)..).unwrap_or(&[]);
            let planes = room.chunks_exact_mut(self.plane).take(self.planes);
            let rows = planes.map(|plane| &mut plane[i * self.pitch + left..][..copied]);
            if y >= height {
                rows.for_each(|row| row.fill(0.0));
                continue;
            }
            let mut rows: Vec<_> = rows.collect();
            for first in (0..copied).step_by(SIDE_BY_SIDE) {
                let count = SIDE_BY_SIDE.min(copied - first);
                let pixels = &line[first * self.planes..][..count * self.planes];
                for (o, row) in rows.iter_mut().enumerate() {
                    let mut values = [0.0; SIDE_BY_SIDE];
                    for (value, pixel) in values.iter_mut().zip(pixels.chunks_exact(self.planes)) {
                        *value = pixel[o];
                    }
                    row[first..][..count].copy_from_slice(&values[..count]);
                }
            }
        }
    }
}

/// Pixels whose values go to a plane together.
const SIDE_BY_SIDE: usize = 8;

/// Pixels that vectors reach, whatever their width, where a row has so many.
fn reached(pixels: usize) -> usize {
    let vectors = pixels.div_ceil(WIDTH);
    let last = match vectors % VECTORS {
        0 => 0,
        1 => 1,
        2..=4 => 4,
        _ => VECTORS,
    };
    ((vectors / VECTORS * VECTORS + last) * WIDTH).max(pixels + VECTORS * WIDTH / 4)
}

impl<const CHANNELS: usize> Sorted<CHANNELS> {
    fn new(p: &Geometry, w: &[f32]) -> Self {
        let lattices = lattices(p);
        let room = Room::new(p, &lattices);
        let outs = p.out_channels as usize;
        let with_patterns = |lattice: Lattice| {
            let mut patterns: Patterns<CHANNELS> = vec![Vec::new(); 1 << CHANNELS];
            for tap in &lattice.taps {
                let filters = &w[tap.number * CHANNELS * outs..][..CHANNELS * outs];
                let [down, across] = [0, 1].map(|i| (tap.shift[i] - room.first[i]) as usize);
                for o in 0..outs {
                    let w = std::array::from_fn(|c| filters[c * outs + o]);
                    let signs = (0..CHANNELS).map(|c| usize::from(w[c] > 0.0) << c);
                    let at = o * room.plane + down * room.pitch + across;
                    patterns[signs.sum::<usize>()].push(Meeting { at, w });
                }
            }
            (lattice, patterns)
        };
        Self { room, lattices: lattices.into_par_iter().map(with_patterns).collect() }
    }

    fn run(&self, p: &Params, s: &[f32], a: &[f32], bounds: &[f32], out: &mut [f32]) {
        self.run_by(p, [s, a, bounds], out, |task| Arch::new().dispatch(task));
    }

    /// The same by a vector unit of the caller's choice.
    fn run_by(
        &self,
        p: &Params,
        [s, a, bounds]: [&[f32]; 3],
        out: &mut [f32],
        by: impl Fn(Task<'_, CHANNELS>) + Sync,
    ) {
        let (repeat, p, room) = (p.repeat as usize, &p.conv, self.room);
        let row = p.in_width as usize * CHANNELS;
        let plane = p.in_height as usize * row;
        let size = p.output().size;
        let of_row = size[0] * size[1] * room.planes;
        let band = room.band * p.stride_height as usize;
        out.par_chunks_mut(plane.max(1)).enumerate().for_each(|(i, out)| {
            let (s, a) = (&s[i * of_row..][..of_row], &a[i / repeat * plane..][..plane]);
            let bands = out.par_chunks_mut((band * row).max(1)).enumerate();
            bands.for_each_init(
                || vec![0.0; room.planes * room.plane + VECTORS * WIDTH],
                |values, (i, out)| {
                    room.fill(values, s, size, i * room.band);
                    let a = &a[i * band * row..][..out.len()];
                    by(Task { sorted: self, values, width: p.in_width as usize, a, bounds, out });
                },
            );
        });
    }
}

/// Some rows of a picture.
struct Task<'a, const CHANNELS: usize> {
    sorted: &'a Sorted<CHANNELS>,
    /// Their part of the signal.
    values: &'a [f32],
    /// Pixels of a row.
    width: usize,
    a: &'a [f32],
    bounds: &'a [f32],
    out: &'a mut [f32],
}

/// For each channel the sums of so many vectors of pixels.
type Sums<V, const CHANNELS: usize, const COUNT: usize> = [[V; COUNT]; CHANNELS];

impl<const CHANNELS: usize> WithSimd for Task<'_, CHANNELS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (room, row) = (self.sorted.room, self.width * CHANNELS);
        for (lattice, patterns) in &self.sorted.lattices {
            let rows = (lattice.origin[0]..self.out.len() / row.max(1)).step_by(lattice.step[0]);
            for (i, y) in rows.enumerate() {
                let mut first = 0;
                while first < lattice.size[1] {
                    let values = &self.values[i * room.pitch + first..];
                    let pixel = lattice.origin[1] + first * lattice.step[1];
                    let place = [y * row + pixel * CHANNELS, lattice.step[1] * CHANNELS];
                    let left = lattice.size[1] - first;
                    // As many sums as registers hold.
                    first += match (S::F32_LANES, left.div_ceil(S::F32_LANES)) {
                        (8, 1) => self.tile::<S, 1>(simd, patterns, values, place, left),
                        (8, _) => self.tile::<S, 3>(simd, patterns, values, place, left),
                        (_, 1) => self.tile::<S, 1>(simd, patterns, values, place, left),
                        (_, 2..=4) => self.tile::<S, 4>(simd, patterns, values, place, left),
                        (..) => self.tile::<S, VECTORS>(simd, patterns, values, place, left),
                    };
                }
            }
        }
    }
}

impl<const CHANNELS: usize> Task<'_, CHANNELS> {
    /// Makes and keeps up to `left` pixels; how many it could. The first lies at `place[0]`, the next ones
    /// `place[1]` apart.
    #[inline(always)]
    fn tile<S: Simd, const COUNT: usize>(
        &mut self,
        simd: S,
        patterns: &Patterns<CHANNELS>,
        values: &[f32],
        place: [usize; 2],
        left: usize,
    ) -> usize {
        let [positive, negative] = sums::<S, CHANNELS, COUNT>(simd, patterns, values);
        let (low, high) = self.bounds.split_at(CHANNELS);
        let count = left.min(COUNT * S::F32_LANES);
        for c in 0..CHANNELS {
            let positive: &[f32] = bytemuck::cast_slice(&positive[c]);
            let negative: &[f32] = bytemuck::cast_slice(&negative[c]);
            let places = (place[0] + c..).step_by(place[1]);
            for ((at, positive), negative) in places.zip(positive).zip(negative).take(count) {
                let a = self.a[at];
                self.out[at] = (a - low[c]) * positive + (a - high[c]) * negative;
            }
        }
        COUNT * S::F32_LANES
    }
}

/// The sums by positive weights, and those by negative ones, of pixels that lie side by side.
#[inline(always)]
fn sums<S: Simd, const CHANNELS: usize, const COUNT: usize>(
    simd: S,
    patterns: &Patterns<CHANNELS>,
    values: &[f32],
) -> [Sums<S::f32s, CHANNELS, COUNT>; 2] {
    let zero = simd.splat_f32s(0.0);
    let mut totals = [[[(zero, zero); COUNT]; CHANNELS]; 2];
    for (signs, meetings) in patterns.iter().enumerate() {
        for meetings in meetings.chunks(PIECE) {
            let mut piece = [[zero; COUNT]; CHANNELS];
            for Meeting { at, w } in meetings {
                let s = S::as_simd_f32s(&values[*at..][..COUNT * S::F32_LANES]).0;
                let s: &[S::f32s; COUNT] = s.try_into().expect("so many vectors");
                for c in 0..CHANNELS {
                    let w = simd.splat_f32s(w[c]);
                    for v in 0..COUNT {
                        piece[c][v] = simd.mul_add_e_f32s(s[v], w, piece[c][v]);
                    }
                }
            }
            for c in 0..CHANNELS {
                let totals = &mut totals[1 - (signs >> c & 1)][c];
                for v in 0..COUNT {
                    totals[v] = added(simd, totals[v], piece[c][v]);
                }
            }
        }
    }
    totals.map(|of_sign| {
        of_sign.map(|of_channel| of_channel.map(|(sum, lost)| simd.add_f32s(sum, lost)))
    })
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, Scalar128b, Scalar256b, Scalar512b};

    use super::*;

    #[test]
    fn every_vector_unit_gives_what_the_formula_does() {
        let stem = Geometry {
            out_height: 20,
            out_width: 62,
            out_channels: 16,
            stride_height: 2,
            stride_width: 2,
            padding_height: 3,
            padding_width: 3,
            batch: 2,
            ..Geometry::keeping_size([40, 124], 3, 7)
        };
        let p = Params { conv: stem, repeat: 2 };
        let numbers = |count: usize, first: usize| -> Vec<f32> {
            (first..first + count).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
        };
        let (s, w, a) =
            (numbers(2 * 20 * 62 * 16, 3), numbers(49 * 48, 5), numbers(40 * 124 * 3, 7));
        let bounds = [-1.0, -1.25, -1.5, 1.0, 1.25, 1.5];
        let wide = |numbers: &[f32]| numbers.iter().map(|n| f64::from(*n)).collect::<Vec<_>>();
        let mut expected = vec![0.0; 2 * a.len()];
        let numbers = [&s[..], &w, &a, &bounds].map(wide);
        cpu(&p, &numbers[0], Filters::Ready(&numbers[1]), &numbers[2], &numbers[3], &mut expected);
        let largest = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let sorted = Sorted::<3>::new(&stem, &w);
        let of = |by: &(dyn Fn(Task<'_, 3>) + Sync)| {
            let mut out = vec![f32::NAN; expected.len()];
            sorted.run_by(&p, [&s, &a, &bounds], &mut out, by);
            out
        };
        for (name, found) in [
            ("this processor", of(&|task| Arch::new().dispatch(task))),
            ("1 lane", of(&|task| Scalar.vectorize(task))),
            ("4 lanes", of(&|task| Scalar128b.vectorize(task))),
            ("8 lanes", of(&|task| Scalar256b.vectorize(task))),
            ("16 lanes", of(&|task| Scalar512b.vectorize(task))),
        ] {
            let errors =
                found.iter().zip(&expected).map(|(found, e)| (f64::from(*found) - e).abs());
            let worst = errors.fold(0.0, f64::max);
            assert!(worst <= 1e-6 * largest, "{name}: {worst} of {largest}");
        }
    }
}
