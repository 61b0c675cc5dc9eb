//! Convolution with a part of the weights: `z[o] = sum over taps and channels of M(w) a, + M(b)`.
//! Twin of `shaders/conv2d.wgsl`.

use rayon::prelude::*;

use super::epilogue::{Epilogues, Then};
use super::linear::Rows;
use super::matmul::{Factor, Matrix, Room, Sums, multiply};
use super::panels::{Lattice, Panels, Planes, Product, Tap};
use super::winograd::Transformed;
use super::{Part, kernel, params};
use crate::num::Float;

params! {
    /// A convolution; its transpose takes the same, seen from the forward side.
    pub struct Params {
        /// Pictures (for the transpose: rows of the signal).
        pub batch: u32,
        /// Rows of the input.
        pub in_height: u32,
        /// Columns of the input.
        pub in_width: u32,
        /// Channels of the input.
        pub in_channels: u32,
        /// Rows of the output.
        pub out_height: u32,
        /// Columns of the output.
        pub out_width: u32,
        /// Channels of the output.
        pub out_channels: u32,
        /// Rows of a filter.
        pub kernel_height: u32,
        /// Columns of a filter.
        pub kernel_width: u32,
        /// Rows from window to window.
        pub stride_height: u32,
        /// Columns from window to window.
        pub stride_width: u32,
        /// Rows of zeros above.
        pub padding_height: u32,
        /// Columns of zeros to the left.
        pub padding_width: u32,
        /// Rows from tap to tap.
        pub dilation_height: u32,
        /// Columns from tap to tap.
        pub dilation_width: u32,
        /// Groups of channels that do not see each other.
        pub groups: u32,
        /// Which [`Part`] of the weights.
        pub part: u32,
        /// Which [`Part`] of the bias (the transpose has none).
        pub bias_part: u32,
        /// The factor of the raised parts.
        pub gamma: f32,
        /// 1: add to the output.
        pub accumulate: u32,
        /// Which [`Encoding`](super::Encoding) the weights have on the GPU.
        pub stored: u32,
        /// How sums are rounded: a [`Rounding`] (the transpose is never exact).
        pub rounding: u32,
    }
}

/// How the sums of a convolution are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rounding {
    /// Each is off by a small part of its own products.
    Own = 0,
    /// They keep what f32 loses, for several times the time.
    Exact = 1,
    /// Each is off by a small part of the largest around it: what activations take, but not
    /// denominators, which may be far smaller. Fewer products will do.
    Shared = 2,
    /// As `Shared`, but for those that are far smaller than what lies around them, which are made by
    /// themselves: what denominators and transposes take.
    Checked = 3,
}

impl Rounding {
    /// The number that shaders know it by.
    pub const fn code(self) -> u32 {
        self as u32
    }
}

kernel!("conv2d", [Read, ReadWeight, Read, Update]);

/// Output positions and output channels a workgroup computes, unless it has a large tile.
pub const TILE: u32 = 64;

/// Channels of which the taps of a filter's row are better taken as one.
const FEW_CHANNELS: u32 = 8;

impl Params {
    /// A convolution of one picture that keeps its rows, columns and channels: windows of an odd length
    /// with stride 1, all of the weights in 32 bit, no bias.
    pub const fn keeping_size([height, width]: [u32; 2], channels: u32, kernel: u32) -> Self {
        Self {
            batch: 1,
            in_height: height,
            in_width: width,
            in_channels: channels,
            out_height: height,
            out_width: width,
            out_channels: channels,
            kernel_height: kernel,
            kernel_width: kernel,
            stride_height: 1,
            stride_width: 1,
            padding_height: kernel / 2,
            padding_width: kernel / 2,
            dilation_height: 1,
            dilation_width: 1,
            groups: 1,
            part: Part::All.code(),
            bias_part: Part::Nothing.code(),
            gamma: 0.0,
            accumulate: 0,
            stored: super::Encoding::F32.code(),
            rounding: Rounding::Own.code(),
        }
    }

    /// Tiles of positions, tiles of each group's channels.
    pub fn workgroups(&self) -> [u32; 3] {
        self.workgroups_by(TILE)
    }

    /// The same for tiles of so many positions and channels.
    pub fn workgroups_by(&self, side: u32) -> [u32; 3] {
        let positions = self.batch * self.out_height * self.out_width;
        self.tiles(positions.div_ceil(side), self.out_per_group().div_ceil(side))
    }

    /// Past the limit of 65,535 a dimension, tiles of positions go into a second one.
    pub(super) fn tiles(&self, of_positions: u32, of_channels: u32) -> [u32; 3] {
        let x = of_positions.clamp(1, 65_535);
        [x, of_positions.div_ceil(x), of_channels * self.groups]
    }

    /// Whether sums keep what f32 loses.
    pub const fn is_exact(&self) -> bool {
        self.rounding == Rounding::Exact.code()
    }

    /// Whether the CPU makes sums in 32 bit by panels, after which something can follow.
    pub const fn sums_by_panels(&self) -> bool {
        self.groups == 1 && !self.is_exact()
    }

    /// Input channels of a group.
    pub const fn in_per_group(&self) -> u32 {
        self.in_channels / self.groups
    }

    /// Output channels of a group.
    pub const fn out_per_group(&self) -> u32 {
        self.out_channels / self.groups
    }

    pub(super) fn taps(&self) -> usize {
        (self.kernel_height * self.kernel_width) as usize
    }

    /// The pictures that are read.
    pub(super) fn input(&self) -> Planes {
        let size = [self.in_height, self.in_width].map(|length| length as usize);
        Planes { count: self.batch as usize, size }
    }

    /// Those that are made.
    pub(super) fn output(&self) -> Planes {
        let size = [self.out_height, self.out_width].map(|length| length as usize);
        Planes { count: self.batch as usize, size }
    }

    /// Where the windows of all outputs lie in the input.
    fn lattice(&self) -> Lattice {
        let taps = (0..self.taps()).map(|number| {
            let [y, x] = self.tap(number);
            let padding = [self.padding_height, self.padding_width].map(|zeros| zeros as isize);
            Tap { number, shift: [y - padding[0], x - padding[1]] }
        });
        let stride = [self.stride_height, self.stride_width].map(|stride| stride as usize);
        let taps = taps.collect();
        Lattice { origin: [0; 2], step: [1; 2], size: self.output().size, stride, taps }
    }

    /// Whether the taps of a filter's row are taken as one: of a few channels each would be short.
    pub fn joins_taps(&self) -> bool {
        self.in_channels < FEW_CHANNELS && self.groups == 1 && self.dilation_width == 1
    }

    /// The pictures with their padding.
    fn padded_input(&self) -> Planes {
        let padding = [self.padding_height, self.padding_width].map(|zeros| 2 * zeros as usize);
        let Planes { count, size } = self.input();
        Planes { count, size: [size[0] + padding[0], size[1] + padding[1]] }
    }

    fn padded(&self, a: &[f32]) -> Vec<f32> {
        let Planes { count, size: [height, width] } = self.padded_input();
        let channels = self.in_channels as usize;
        let mut padded = vec![0.0; count * height * width * channels];
        let rows = a.chunks_exact(self.in_width as usize * channels);
        let first = self.padding_width as usize * channels;
        for (row, a) in rows.enumerate() {
            let (image, y) = (row / self.in_height as usize, row % self.in_height as usize);
            let row = image * height + y + self.padding_height as usize;
            padded[row * width * channels + first..][..a.len()].copy_from_slice(a);
        }
        padded
    }

    /// Where the rows of all windows lie in the padded input.
    fn lattice_of_rows(&self) -> Lattice {
        let step = self.dilation_height as isize;
        let shift = |number: usize| [number as isize * step, 0];
        let taps = (0..self.kernel_height as usize)
            .map(|number| Tap { number, shift: shift(number) })
            .collect();
        Lattice { taps, ..self.lattice() }
    }

    /// Rows and columns from the first tap to that one.
    pub(super) fn tap(&self, number: usize) -> [isize; 2] {
        let width = self.kernel_width as usize;
        let dilation = [self.dilation_height, self.dilation_width].map(|step| step as usize);
        [(number / width * dilation[0]) as isize, (number % width * dilation[1]) as isize]
    }

    pub(super) fn is_pointwise(&self) -> bool {
        self.taps() == 1
            && self.stride_height == 1
            && self.stride_width == 1
            && self.padding_height == 0
            && self.padding_width == 0
            && self.groups == 1
    }
}

/// Filters in the order both the convolution and its transpose read them:
/// `[group][kernel row][kernel column][input channel][output channel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packing {
    /// Groups of channels.
    pub groups: usize,
    /// Output channels of a group.
    pub out_per_group: usize,
    /// Input channels of a group.
    pub in_per_group: usize,
    /// Kernel rows times kernel columns.
    pub taps: usize,
}

impl Packing {
    /// Where in torch's `[output channel][input channel][tap]` the packed value `i` comes from.
    pub fn source(&self, i: usize) -> usize {
        let o = i % self.out_per_group;
        let i = i / self.out_per_group;
        let c = i % self.in_per_group;
        let i = i / self.in_per_group;
        let tap = i % self.taps;
        let group = i / self.taps;
        ((group * self.out_per_group + o) * self.in_per_group + c) * self.taps + tap
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.groups * self.out_per_group * self.in_per_group * self.taps
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Packed filters.
#[derive(Clone, Copy, Debug)]
pub enum Filters<'a, F> {
    /// Numbers to multiply by: the part is already taken from them.
    Ready(&'a [F]),
    /// Numbers as they are stored: the part is taken from them wherever they are multiplied by.
    Stored(Rows<'a>),
    /// Panels of all numbers, of one group, in 32 bit or less; for the transpose those of the
    /// transposed weights.
    Panels(&'a Panels),
    /// Those of [`winograd`](super::winograd), where it suits, and the numbers as they are stored, in
    /// torch's order.
    Transformed(&'a Transformed, Rows<'a>),
}

impl<F> Filters<'_, F> {
    /// Whether sums are made in registers, so that what follows can be done there.
    pub const fn takes_epilogues(&self) -> bool {
        matches!(self, Filters::Panels(_) | Filters::Transformed(..))
    }
}

/// Bytes of unrolled windows a block should have: they stay in the second-level cache.
const BLOCK_BYTES: usize = 192 << 10;

/// Unrolls windows into rows and multiplies, block by block of output rows, unless filters are such
/// that windows are read where they lie.
///
/// `b` has `out_channels` values.
///
/// # Panics
/// If something is to follow that the [filters](Filters::takes_epilogues) do not take.
pub fn cpu<F: Float>(
    p: &Params,
    a: &[F],
    w: Filters<'_, F>,
    b: &[F],
    then: Then<'_>,
    out: &mut [F],
) {
    if w.takes_epilogues() {
        return in_registers(p, a, w, b, then, out);
    }
    assert!(then.is_nothing(), "unrolled windows are multiplied, and nothing else");
    by_windows(p, a, w, b, out);
}

fn by_windows<F: Float>(p: &Params, a: &[F], w: Filters<'_, F>, b: &[F], out: &mut [F]) {
    let row = (p.out_width * p.out_channels) as usize;
    let depth = p.taps() * p.in_per_group() as usize;
    let row_bytes = p.out_width as usize * depth * size_of::<F>();
    let total_rows = out.len() / row.max(1);
    let for_all_cores = total_rows.div_ceil(2 * rayon::current_num_threads());
    let block = (BLOCK_BYTES / row_bytes.max(1)).min(for_all_cores).max(1);
    let sums = if p.is_exact() { Sums::Exact } else { Sums::Pieces };
    let scratch = || (Vec::new(), Room::default());
    out.par_chunks_mut(block * row).enumerate().for_each_init(
        scratch,
        |(windows, room), (i, out)| {
            start(p, b, out);
            if p.is_pointwise() {
                let lhs = Matrix {
                    values: a,
                    first: i * block * p.out_width as usize * p.in_channels as usize,
                    rows: out.len() / p.out_channels as usize,
                    columns: p.in_channels as usize,
                    row_stride: p.in_channels as usize,
                    column_stride: 1,
                };
                let out_stride = p.out_channels as usize;
                return multiply(out, out_stride, lhs, filters(p, w, 0), true, sums, room);
            }
            let positions = out.len() / p.out_channels as usize;
            for group in 0..p.groups as usize {
                windows.clear();
                windows.resize(positions * depth, F::ZERO);
                for (r, windows) in
                    windows.chunks_exact_mut(p.out_width as usize * depth).enumerate()
                {
                    unroll_row(p, a, i * block + r, group, windows);
                }
                let lhs = Matrix {
                    values: windows.as_slice(),
                    first: 0,
                    rows: positions,
                    columns: depth,
                    row_stride: depth,
                    column_stride: 1,
                };
                let out = &mut out[group * p.out_per_group() as usize..];
                let out_stride = p.out_channels as usize;
                multiply(out, out_stride, lhs, filters(p, w, group), true, sums, room);
            }
        },
    );
}

/// The same without unrolled windows.
fn in_registers<F: Float>(
    p: &Params,
    a: &[F],
    w: Filters<'_, F>,
    b: &[F],
    then: Then<'_>,
    out: &mut [F],
) {
    let (part, gamma) = (Part::from_code(p.bias_part), F::from_f32(p.gamma));
    let bias: Vec<f32> = match part == Part::Nothing {
        true => Vec::new(),
        false => b.iter().map(|b| part.of(*b, gamma).to_f32()).collect(),
    };
    let numbers = F::as_f32(a).zip(F::as_f32_mut(out));
    let (a, out) = numbers.expect("such filters are for 32 bit");
    let epilogues = Epilogues { bias: &bias, accumulate: p.accumulate == 1, then };
    let panels = match w {
        Filters::Panels(panels) => panels,
        Filters::Transformed(filters, stored) => {
            return filters.run(p, a, stored, epilogues, out);
        }
        Filters::Ready(_) | Filters::Stored(_) => unreachable!("their windows are unrolled"),
    };
    let (source, lattice) = match p.joins_taps() {
        true => (p.padded_input(), p.lattice_of_rows()),
        false => (p.input(), p.lattice()),
    };
    let product = Product {
        source,
        channels: p.in_channels as usize,
        target: p.output(),
        lattices: &[lattice],
        panels,
        part: (Part::from_code(p.part), p.gamma),
    };
    match p.joins_taps() {
        true => product.run(&p.padded(a), epilogues, out),
        false => product.run(a, epilogues, out),
    }
}

/// Fills with the bias unless the block is to be added to; adds the bias if it is.
fn start<F: Float>(p: &Params, b: &[F], out: &mut [F]) {
    let part = Part::from_code(p.bias_part);
    let gamma = F::from_f32(p.gamma);
    if p.accumulate == 0 {
        out.fill(F::ZERO);
    }
    if part != Part::Nothing {
        for pixel in out.chunks_exact_mut(p.out_channels as usize) {
            for (z, &b) in pixel.iter_mut().zip(b) {
                *z += part.of(b, gamma);
            }
        }
    }
}

/// A group's filters as the matrix `[taps * input channels][output channels]`.
pub(super) fn filters<'a, F: Float>(p: &Params, w: Filters<'a, F>, group: usize) -> Factor<'a, F> {
    fn of_group<V>(p: &Params, values: V, group: usize) -> Matrix<V> {
        let columns = p.out_per_group() as usize;
        let rows = p.taps() * p.in_per_group() as usize;
        let first = group * rows * columns;
        Matrix { values, first, rows, columns, row_stride: columns, column_stride: 1 }
    }
    match w {
        Filters::Ready(values) => Factor::Ready(of_group(p, values, group)),
        Filters::Panels(_) | Filters::Transformed(..) => unreachable!("they are no matrix"),
        Filters::Stored(values) => {
            let (part, gamma) = (Part::from_code(p.part), F::from_f32(p.gamma));
            Factor::Stored(of_group(p, values, group), part, gamma)
        }
    }
}

/// The windows of output row `row` (counted through all pictures) one after the other; `windows`
/// holds zeros where padding is met.
fn unroll_row<F: Float>(p: &Params, a: &[F], row: usize, group: usize, windows: &mut [F]) {
    let channels = p.in_per_group() as usize;
    let kernel_width = p.kernel_width as usize;
    let (image, y) = (row / p.out_height as usize, row % p.out_height as usize);
    let plane = (p.in_height * p.in_width * p.in_channels) as usize;
    let a = &a[image * plane..][..plane];
    let depth = p.taps() * channels;
    for ky in 0..p.kernel_height as usize {
        let padded = y * p.stride_height as usize + ky * p.dilation_height as usize;
        let Some(in_y) = inside(padded, p.padding_height, p.in_height) else { continue };
        for x in 0..p.out_width as usize {
            for kx in 0..kernel_width {
                let padded = x * p.stride_width as usize + kx * p.dilation_width as usize;
                let Some(in_x) = inside(padded, p.padding_width, p.in_width) else { continue };
                let from = (in_y * p.in_width as usize + in_x) * p.in_channels as usize;
                let to = x * depth + (ky * kernel_width + kx) * channels;
                windows[to..][..channels]
                    .copy_from_slice(&a[from + group * channels..][..channels]);
            }
        }
    }
}

/// The coordinate without padding, if it is not in the padding.
pub(super) fn inside(padded: usize, padding: u32, length: u32) -> Option<usize> {
    let at = padded.checked_sub(padding as usize)?;
    (at < length as usize).then_some(at)
}
