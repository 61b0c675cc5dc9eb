//! Transpose of a convolution: `c[i] = sum over taps and channels of M(w) s`, for relevance and
//! gradients alike. Twin of `shaders/conv_transpose2d.wgsl`, which gathers; so does the twin in 32 bit, while
//! that in 64 bit, of groups, and to few channels that `colors.rs` does not take scatters.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

pub use super::conv2d::Params as Geometry;
use super::conv2d::{Filters, TILE, filters, inside};
use super::epilogue::{Epilogues, Then};
use super::matmul::{Matrix, Room, Sums, multiply};
use super::panels::{Lattice, Product, Tap};
use super::windows::Windows;
use super::{Part, colors, kernel};
use crate::num::Float;

/// The convolution whose transpose is taken, seen from the forward side; `batch` counts rows of
/// the signal, the bias fields play no part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params(pub Geometry);

kernel!("conv_transpose2d", [Read, ReadWeight, Update]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = Geometry::FIELDS;

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        self.0.words()
    }

    /// Tiles of input positions, tiles of each group's input channels. The positions of a tile
    /// stand at the same place between two strides, so that they meet the same taps.
    pub fn workgroups(&self) -> [u32; 3] {
        self.workgroups_by(TILE)
    }

    /// The same for tiles of so many positions and channels.
    pub fn workgroups_by(&self, side: u32) -> [u32; 3] {
        let p = &self.0;
        let height = p.in_height.div_ceil(p.stride_height);
        let width = p.in_width.div_ceil(p.stride_width);
        let at_one_place = (p.batch * height * width).div_ceil(side);
        let of_channels = p.in_per_group().div_ceil(side);
        p.tiles(at_one_place * p.stride_height * p.stride_width, of_channels)
    }
}

/// Columns of which panels are not empty for the most part.
pub(super) const FEWEST_COLUMNS: u32 = 8;

impl Params {
    /// Whether the CPU makes sums in 32 bit by panels, after which something can follow: it does not where
    /// these would be empty for the most part, as for the colours of a picture.
    pub const fn sums_by_panels(&self) -> bool {
        self.0.groups == 1 && self.0.in_channels >= FEWEST_COLUMNS
    }
}

/// Values of rolled-out windows a block should have: they stay in the second-level cache.
const BLOCK_BYTES: usize = 384 << 10;

/// Gathers by panels or, for few channels (`colors.rs`), by filters as they are packed; otherwise multiplies
/// blocks of output rows and adds the windows up in bands of input rows.
///
/// # Panics
/// If something is to follow that the [filters](Filters::takes_epilogues) do not take.
pub fn cpu<F: Float>(params: &Params, s: &[F], w: Filters<'_, F>, then: Then<'_>, out: &mut [F]) {
    let p = &params.0;
    if w.takes_epilogues() {
        return in_registers(p, s, w, then, out);
    }
    assert!(then.is_nothing(), "packed filters end with the sums");
    if colors::suits(p)
        && let Some((s, out)) = F::as_f32(s).zip(F::as_f32_mut(out))
    {
        let w = packed(p, w);
        let w = F::as_f32(&w).expect("they are as wide as the signal");
        return colors::run(p, &lattices(p), s, w, out);
    }
    let row = (p.in_width * p.in_channels) as usize;
    let plane = p.in_height as usize * row;
    let bands = rayon::current_num_threads().div_ceil(p.batch.max(1) as usize);
    let band = (p.in_height as usize).div_ceil(bands.max(1)).max(1);
    let out_plane = (p.out_height * p.out_width * p.out_channels) as usize;
    out.par_chunks_mut(plane.max(1)).zip(s.par_chunks(out_plane.max(1))).for_each(|(out, s)| {
        let scratch = || (Vec::new(), Room::default());
        let bands = out.par_chunks_mut(band * row).enumerate();
        bands.for_each_init(scratch, |(windows, room), (i, out)| {
            if p.accumulate == 0 {
                out.fill(F::ZERO);
            }
            let rows = i * band..i * band + out.len() / row;
            for group in 0..p.groups as usize {
                add_band(p, s, w, group, rows.clone(), windows, room, out);
            }
        });
    });
}

/// The same without rolled-out windows: every input gathers what it gets.
fn in_registers<F: Float>(p: &Geometry, s: &[F], w: Filters<'_, F>, then: Then<'_>, out: &mut [F]) {
    let numbers = F::as_f32(s).zip(F::as_f32_mut(out));
    let (s, out) = numbers.expect("such filters are for 32 bit");
    let epilogues = Epilogues { bias: &[], accumulate: p.accumulate == 1, then };
    let panels = match w {
        Filters::Panels(panels) => panels,
        Filters::Transformed(filters, stored) => return filters.run(p, s, stored, epilogues, out),
        Filters::Ready(_) | Filters::Stored(_) => unreachable!("they are packed"),
    };
    let product = Product {
        source: p.output(),
        channels: p.out_channels as usize,
        target: p.input(),
        lattices: &lattices(p),
        panels,
        part: (Part::from_code(p.part), p.gamma),
    };
    product.run(s, epilogues, out);
}

/// Packed filters to multiply by, of which the part is taken.
pub(super) fn packed<'a, F: Float>(p: &Geometry, w: Filters<'a, F>) -> Cow<'a, [F]> {
    match w {
        Filters::Ready(values) => Cow::Borrowed(values),
        Filters::Stored(rows) => {
            let (part, gamma) = (Part::from_code(p.part), F::from_f32(p.gamma));
            let len = p.taps() * (p.in_channels * p.out_channels) as usize;
            Cow::Owned((0..len).map(|i| part.of(rows.get(i), gamma)).collect())
        }
        Filters::Panels(_) | Filters::Transformed(..) => unreachable!("they are not packed"),
    }
}

/// Inputs at the same place between two strides meet the same taps: input `origin + stride * i`
/// gets from output `i + shift`.
pub(super) fn lattices(p: &Geometry) -> Vec<Lattice> {
    let stride = [p.stride_height, p.stride_width].map(|stride| stride as usize);
    let padding = [p.padding_height, p.padding_width].map(|zeros| zeros as isize);
    let [height, width] = p.input().size;
    let mut lattices = Vec::new();
    for y in 0..stride[0].min(height) {
        for x in 0..stride[1].min(width) {
            let origin = [y, x];
            let taps = (0..p.taps()).filter_map(|number| {
                let tap = p.tap(number);
                let distance = [0, 1].map(|i| origin[i] as isize + padding[i] - tap[i]);
                let is_met = |i: usize| distance[i] % stride[i] as isize == 0;
                let shift = [0, 1].map(|i| distance[i] / stride[i] as isize);
                (is_met(0) && is_met(1)).then_some(Tap { number, shift })
            });
            let size = [(height - y).div_ceil(stride[0]), (width - x).div_ceil(stride[1])];
            let taps = taps.collect();
            lattices.push(Lattice { origin, step: stride, size, stride: [1; 2], taps });
        }
    }
    lattices
}

/// Adds what one group sends to the input rows `rows` of one picture.
fn add_band<F: Float>(
    p: &Geometry,
    s: &[F],
    w: Filters<'_, F>,
    group: usize,
    rows: Range<usize>,
    windows: &mut Vec<F>,
    room: &mut Room<F>,
    out: &mut [F],
) {
    let out_width = p.out_width as usize;
    let out_channels = p.out_channels as usize;
    let transposed = filters(p, w, group).transposed();
    let depth = p.taps() * p.in_per_group() as usize;
    let columns = p.out_per_group() as usize;
    let signal = |y: usize, count: usize| Matrix {
        values: s,
        first: y * out_width * out_channels + group * columns,
        rows: count * out_width,
        columns,
        row_stride: out_channels,
        column_stride: 1,
    };
    if p.is_pointwise() {
        let (y, count) = (rows.start, rows.len());
        return multiply(
            out,
            p.in_channels as usize,
            signal(y, count),
            transposed,
            true,
            Sums::Pieces,
            room,
        );
    }
    let taps = [p.kernel_height, p.dilation_height];
    let of_windows = Windows::new(taps, p.stride_height, p.padding_height, p.out_height);
    let first = of_windows.that_reach(rows.start).start;
    let end = of_windows.that_reach(rows.end - 1).end;
    let block = (BLOCK_BYTES / (out_width * depth * size_of::<F>()).max(1)).max(1);
    for y in (first..end).step_by(block) {
        let count = block.min(end - y);
        windows.resize(count * out_width * depth, F::ZERO);
        multiply(windows, depth, signal(y, count), transposed, false, Sums::Pieces, room);
        for (r, windows) in windows.chunks_exact(out_width * depth).enumerate() {
            roll_row(p, windows, y + r, group, &rows, out);
        }
    }
}

/// Adds the windows of output row `y` to the input rows `rows`, which `out` holds.
fn roll_row<F: Float>(
    p: &Geometry,
    windows: &[F],
    y: usize,
    group: usize,
    rows: &Range<usize>,
    out: &mut [F],
) {
    let channels = p.in_per_group() as usize;
    let kernel_width = p.kernel_width as usize;
    let depth = windows.len() / p.out_width as usize;
    for ky in 0..p.kernel_height as usize {
        let padded = y * p.stride_height as usize + ky * p.dilation_height as usize;
        let Some(in_y) = inside(padded, p.padding_height, p.in_height) else { continue };
        if !rows.contains(&in_y) {
            continue;
        }
        for x in 0..p.out_width as usize {
            for kx in 0..kernel_width {
                let padded = x * p.stride_width as usize + kx * p.dilation_width as usize;
                let Some(in_x) = inside(padded, p.padding_width, p.in_width) else { continue };
                let to = ((in_y - rows.start) * p.in_width as usize + in_x)
                    * p.in_channels as usize
                    + group * channels;
                let from = x * depth + (ky * kernel_width + kx) * channels;
                for (to, &from) in out[to..][..channels].iter_mut().zip(&windows[from..]) {
                    *to += from;
                }
            }
        }
    }
}
