//! Convolutions of 3x3 with stride 1 by 16 products for each 2x2 outputs in place of 36: F(2x2, 3x3)
//! of Winograd 1980, as Lavin & Gray 2015 (arXiv 1509.09308) use it. Windows of 4x4 inputs and the
//! filters are transformed, multiplied point by point, and the sums transformed back. Filters of 5x5 are cut
//! in four, along each axis into two taps and three, which windows one further on meet: 49 products
//! in place of 100, since the last point of two taps is 0. An output is
//! off by a small part of the largest sum around it: see `conv2d::Rounding::Shared`. Where that may not
//! be, those far smaller than what lies around them are made once more by their formula. The transpose
//! of such a convolution is another one, with the filters turned round.

mod parts;
mod transform;

use std::ops::Range;

use pulp::{Arch, Simd};
use rayon::prelude::*;

use self::parts::Split;
use super::Part;
use super::ahead::Ahead;
use super::conv2d::{Packing, Params, Rounding};
use super::cut::{Work, rows_of_tile};
use super::epilogue::{Destination, Epilogues};
use super::linear::Rows;
use super::panels::{InTiles, Tap, Tiled, WIDTH, lanes};
use super::room::with_room;
use super::sums::{ALL, steps, sums};
use crate::aligned::Aligned;

/// Points of a window, rows times columns.
const POINTS: usize = SIDE * SIDE;

/// Rows and columns of a window.
const SIDE: usize = 4;

/// Rows and columns of the outputs that a window gives.
const STEP: usize = 2;

/// Parts that filters are cut into, at most.
const MOST_PARTS: usize = 4;

/// Bytes of transformed windows whose outputs a task makes, going through them with every panel: they stay in
/// the second-level cache, for filters that are cut most of them (these meet a row of windows more).
const BLOCK_BYTES: usize = 512 << 10;

/// As many windows may a task have at least, unless even shares are fewer: the filters come from memory
/// for each.
const WINDOWS: usize = 24;

/// Input channels come in as many: whole vectors.
const CHANNELS: u32 = 16;

/// Output channels for which transforming pays, at least.
const FEWEST_COLUMNS: u32 = 16;

/// What sums of terms of one sign are at least, as a share of the magnitudes of the points that they
/// were put together from: smaller ones are made by their formula. Points round by some 2^-24 of
/// their terms, which at the points in the middle have one sign, too, so that what passes is off by some
/// 2^-14 of itself.
const SHARE_OF_ONE_SIGN: f32 = 1.0 / 1024.0;

/// The same for sums of terms of either sign. They often come out small because terms cancel, and have
/// few digits by their formula, too: only those are made by it that something else nearby drowns. Terms of a
/// point that cancel, over channels or over parts of a filter, are not seen to do so.
const SHARE: f32 = 1.0 / 16_384.0;

/// Filters, transformed, in 32 bit however they are stored:
/// `[panel][point][part of the filter][input channel][column of the panel]`.
#[derive(Clone, Debug)]
pub struct Transformed {
    split: Split,
    in_channels: usize,
    out_channels: usize,
    kind: Kind,
    numbers: Aligned<f32>,
}

/// Which filters are transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The part of the weights: those without a factor.
    pub part: Part,
    /// Whether they are those of the transpose.
    pub is_transposed: bool,
}

/// The transpose of a convolution with stride 1 as the convolution that it is.
fn transposed(p: &Params) -> Option<Params> {
    Some(Params {
        in_height: p.out_height,
        in_width: p.out_width,
        in_channels: p.out_channels,
        out_height: p.in_height,
        out_width: p.in_width,
        out_channels: p.in_channels,
        padding_height: (p.kernel_height - 1).checked_sub(p.padding_height)?,
        padding_width: (p.kernel_width - 1).checked_sub(p.padding_width)?,
        bias_part: Part::Nothing.code(),
        ..*p
    })
}

/// Whether the transpose of a convolution can be done and gains.
pub fn suits_transposed(p: &Params) -> bool {
    transposed(p).is_some_and(|p| suits(&p))
}

/// Whether a convolution can be done and gains.
pub fn suits(p: &Params) -> bool {
    let has_no_factor = [Part::All, Part::Positive, Part::Negative].map(Part::code);
    let may_round = [Rounding::Shared, Rounding::Checked].map(Rounding::code);
    let of = |height: u32, width: u32, size: u32| height == size && width == size;
    [3, 5].iter().any(|size| of(p.kernel_height, p.kernel_width, *size))
        && of(p.stride_height, p.stride_width, 1)
        && of(p.dilation_height, p.dilation_width, 1)
        && p.groups == 1
        && p.in_channels.is_multiple_of(CHANNELS)
        && p.out_channels >= FEWEST_COLUMNS
        && has_no_factor.contains(&p.part)
        && may_round.contains(&p.rounding)
}

impl Transformed {
    /// From numbers in torch's order.
    pub fn new(numbers: Rows<'_>, packing: &Packing, kind: Kind) -> Self {
        let (in_channels, out_channels) = match kind.is_transposed {
            true => (packing.out_per_group, packing.in_per_group),
            false => (packing.in_per_group, packing.out_per_group),
        };
        let split = Split::of_taps(packing.taps);
        let panel = POINTS * split.parts() * in_channels * WIDTH;
        let mut out = Aligned::<f32>::zeros(panel * out_channels.div_ceil(WIDTH));
        out.par_chunks_mut(panel.max(1)).enumerate().for_each(|(i, out)| {
            let columns = i * WIDTH..out_channels.min((i + 1) * WIDTH);
            let rows = (0..split.parts()).flat_map(|part| (0..in_channels).map(move |c| (part, c)));
            for (row, (part, channel)) in rows.enumerate() {
                let taps = [part / split.along(), part % split.along()].map(|i| split.taps(i));
                for (lane, column) in columns.clone().enumerate() {
                    let value = |i: usize, j: usize| {
                        let [y, x] = [taps[0].start + i, taps[1].start + j];
                        if !taps[0].contains(&y) || !taps[1].contains(&x) {
                            return 0.0;
                        }
                        let tap = (y * split.kernel + x, packing.taps);
                        let place = kind.place(channel, column, tap, packing.in_per_group);
                        kind.part.of(numbers.get::<f64>(place), 0.0)
                    };
                    let filter = std::array::from_fn(|i| std::array::from_fn(|j| value(i, j)));
                    for (point, value) in filter_points(filter).into_iter().enumerate() {
                        let row = point * split.parts() * in_channels + row;
                        out[row * WIDTH + lane] = value as f32;
                    }
                }
            }
        });
        Self { split, in_channels, out_channels, kind, numbers: out }
    }

    /// Bytes that the numbers take.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.numbers)
    }

    /// Convolves, or does the transpose of the convolution if the filters are those of it. `stored` are
    /// the filters in torch's order, which single sums are made by.
    ///
    /// # Panics
    /// If inputs or outputs are not as many as the parameters say, or if it does not
    /// [suit](suits).
    pub fn run(
        &self,
        p: &Params,
        a: &[f32],
        stored: Rows<'_>,
        epilogues: Epilogues<'_>,
        out: &mut [f32],
    ) {
        let arch = Arch::new();
        let own = match self.kind.is_transposed {
            true => transposed(p).expect("it suits"),
            false => *p,
        };
        self.run_by(&own, a, stored, epilogues, out, |run| arch.dispatch(InTiles(run)));
    }

    /// The same by a vector unit of the caller's choice.
    fn run_by(
        &self,
        p: &Params,
        a: &[f32],
        stored: Rows<'_>,
        epilogues: Epilogues<'_>,
        out: &mut [f32],
        by: impl Fn(Run<'_>) + Sync,
    ) {
        let len = |planes: super::panels::Planes, channels: usize| {
            planes.count * planes.size[0] * planes.size[1] * channels
        };
        assert_eq!(a.len(), len(p.input(), self.in_channels), "values of the input");
        assert_eq!(out.len(), len(p.output(), self.out_channels), "values of the output");
        let nothing = vec![0.0; self.in_channels];
        let parts: [Vec<Tap>; POINTS] = std::array::from_fn(|point| self.split.parts_at(point));
        let destination = epilogues.into(out, self.out_channels);
        let (filters, nothing, parts) = (self, nothing.as_slice(), &parts);
        let tasks = self.tasks(p);
        let of_task = |room: &mut Aligned<f32>, i: usize, task: &Task| {
            let next = tasks.get(i + 1).map(|next| next.panels.start);
            let next = next.filter(|next| *next + 1 != task.panels.end);
            by(Run { p, filters, parts, task, next, a, stored, nothing, room, destination });
        };
        let tasks = tasks.par_iter().enumerate();
        tasks.for_each(|(i, task)| with_room(|room| of_task(room, i, task)));
    }

    /// Where they are cut depends on the number of threads; sums do not.
    fn tasks(&self, p: &Params) -> Vec<Task> {
        let panels = self.out_channels.div_ceil(WIDTH);
        let windows = p.output().count * rows_of_windows(p).into_iter().product::<usize>();
        let bytes = POINTS * self.in_channels * size_of::<f32>();
        let work = Work {
            rows: windows,
            lanes: lanes(),
            most_rows: (BLOCK_BYTES / bytes.max(1)).max(WINDOWS),
            least_rows: WINDOWS,
            panels,
            most_panels: panels,
        };
        let cut = work.cut(rayon::current_num_threads());
        let mut tasks = Vec::new();
        for first in (0..panels).step_by(cut.panels) {
            let panels = first..(first + cut.panels).min(panels);
            for start in (0..windows).step_by(cut.rows) {
                let windows = start..(start + cut.rows).min(windows);
                tasks.push(Task { windows, panels: panels.clone() });
            }
        }
        tasks
    }
}

impl Kind {
    /// Where a filter's number lies in torch's order, if filters have `in_per_group` channels there: the
    /// transpose reads them the other way round.
    fn place(
        self,
        channel: usize,
        column: usize,
        (tap, taps): (usize, usize),
        in_per_group: usize,
    ) -> usize {
        match self.is_transposed {
            true => (channel * in_per_group + column) * taps + taps - 1 - tap,
            false => (column * in_per_group + channel) * taps + tap,
        }
    }
}

/// How many windows lie above and beside one another.
fn rows_of_windows(p: &Params) -> [usize; 2] {
    p.output().size.map(|length| length.div_ceil(STEP))
}

/// `G g G^T`.
fn filter_points(g: [[f64; 3]; 3]) -> [f64; POINTS] {
    let points = |[a, b, c]: [f64; 3]| {
        let (even, odd) = (0.5 * (a + c), 0.5 * b);
        [a, even + odd, even - odd, c]
    };
    let columns = [0, 1, 2].map(|j| points([g[0][j], g[1][j], g[2][j]]));
    let rows = [0, 1, 2, 3].map(|i| points([columns[0][i], columns[1][i], columns[2][i]]));
    std::array::from_fn(|point| rows[point / SIDE][point % SIDE])
}

/// A piece of work: windows, counted through all pictures, and panels.
struct Task {
    windows: Range<usize>,
    panels: Range<usize>,
}

struct Run<'a> {
    p: &'a Params,
    filters: &'a Transformed,
    /// Those that each point has of them.
    parts: &'a [Vec<Tap>; POINTS],
    task: &'a Task,
    /// The panel that is multiplied by afterwards, if it is another one.
    next: Option<usize>,
    a: &'a [f32],
    stored: Rows<'a>,
    /// Zeros in place of a pixel in the padding.
    nothing: &'a [f32],
    room: &'a mut Aligned<f32>,
    destination: Destination<'a>,
}

/// The outputs that a window gives.
#[derive(Clone, Copy)]
struct Outputs {
    /// The first pixel.
    pixel: usize,
    /// Its plane, row and column.
    plane: usize,
    at: [usize; 2],
    /// Rows and columns.
    size: [usize; 2],
}

impl Outputs {
    /// The pixels in a picture of so many across, some of them more than once if they are fewer than four.
    #[inline(always)]
    fn pixels(&self, across: usize) -> [usize; STEP * STEP] {
        let [down, right] = self.size.map(|size| size - 1);
        let below = self.pixel + down * across;
        [self.pixel, self.pixel + right, below, below + right]
    }
}

impl Tiled for Run<'_> {
    fn count(&self) -> usize {
        self.task.windows.len()
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "`sums` does not look at lengths")]
    fn tiles<S: Simd, const ROWS: usize, const VECTORS: usize>(mut self, simd: S) {
        debug_assert_eq!(ROWS, rows_of_tile(S::F32_LANES, self.count()), "tiles as work is cut");
        // What `sums` reads without asking.
        assert_eq!(VECTORS * S::F32_LANES, WIDTH, "vectors of a panel");
        self.transform(simd);
        let Transformed { split, in_channels: channels, .. } = *self.filters;
        let count = self.task.windows.len();
        let matrix = split.parts() * channels * WIDTH;
        let parts = self.parts;
        let (cells, width) = (self.cells(), self.cells_across());
        let first_of = |window| (self.cell(window) - cells.start) * channels;
        let firsts: Vec<usize> = self.task.windows.clone().map(first_of).collect();
        let outputs: Vec<_> =
            self.task.windows.clone().map(|window| self.outputs(window)).collect();
        let across = self.p.out_width as usize;
        let of_panel =
            |panel: usize| &self.filters.numbers[panel * POINTS * matrix..][..POINTS * matrix];
        for panel in self.task.panels.clone() {
            let points = of_panel(panel);
            let is_last = panel + 1 == self.task.panels.end;
            let next = if is_last { self.next } else { Some(panel + 1) };
            let next = bytemuck::cast_slice(next.map_or(&[], of_panel));
            let products = parts.iter().map(Vec::len).sum::<usize>();
            let steps = count.div_ceil(ROWS) * products * steps(channels);
            let mut ahead = Ahead::new(next, steps);
            for first in (0..count).step_by(ROWS) {
                // Loops and no closures around vectors: what is not inlined would be compiled
                // for any processor.
                let mut products = [[[simd.splat_f32s(0.0); VECTORS]; ROWS]; POINTS];
                let starts: [usize; ROWS] =
                    std::array::from_fn(|i| firsts[(first + i).min(count - 1)]);
                let end = starts.into_iter().fold(0, usize::max) + channels;
                for (point, products) in products.iter_mut().enumerate() {
                    // Every few points the outputs and operands of one more window, which are near then when its
                    // sums are done.
                    let window = point / (POINTS / ROWS);
                    if point.is_multiple_of(POINTS / ROWS) && window < ROWS {
                        let pixels = outputs[(first + window).min(count - 1)].pixels(across);
                        self.destination.fetch(pixels, panel * WIDTH);
                    }
                    let parts = &parts[point];
                    let mut rows = [None; MOST_PARTS];
                    for (rows, part) in rows.iter_mut().zip(parts) {
                        let further = part.shift[0] as usize * width + part.shift[1] as usize;
                        let of_part = &self.room[(point * cells.len() + further) * channels..];
                        assert!(end <= of_part.len(), "windows in the room");
                        // SAFETY: none ends later.
                        let row = |start| unsafe { of_part.get_unchecked(start..start + channels) };
                        *rows = Some(starts.map(row));
                    }
                    let rows = &rows[..parts.len()];
                    let filters = &points[point * matrix..][..matrix];
                    // SAFETY: rows have `channels` values; the vectors are asked for above.
                    *products = unsafe {
                        sums::<S, ROWS, VECTORS, ALL>(
                            simd, parts, rows, filters, channels, &mut ahead,
                        )
                    };
                }
                for i in 0..ROWS.min(count - first) {
                    self.put::<S, ROWS, VECTORS>(simd, outputs[first + i], panel, i, &products);
                }
            }
        }
    }
}

impl Run<'_> {
    /// Where a window's outputs begin: the plane, row and column.
    fn place(&self, window: usize) -> (usize, [usize; 2]) {
        let [height, width] = rows_of_windows(self.p);
        let (plane, at) = (window / (height * width), window % (height * width));
        (plane, [STEP * (at / width), STEP * (at % width)])
    }

    fn outputs(&self, window: usize) -> Outputs {
        let (plane, at) = self.place(window);
        let size = self.p.output().size;
        Outputs {
            pixel: (plane * size[0] + at[0]) * size[1] + at[1],
            plane,
            at,
            size: [0, 1].map(|i| STEP.min(size[i] - at[i])),
        }
    }

    /// Windows that are transformed above and beside one another: of filters that are cut, the last outputs
    /// meet more.
    fn cells_along(&self) -> [usize; 2] {
        rows_of_windows(self.p).map(|count| count + self.filters.split.along() - 1)
    }

    fn cells_across(&self) -> usize {
        self.cells_along()[1]
    }

    /// The number of a window among these.
    fn cell(&self, window: usize) -> usize {
        let [height, width] = self.cells_along();
        let (plane, [y, x]) = self.place(window);
        (plane * height + y / STEP) * width + x / STEP
    }

    /// Those that the task's outputs meet, and what lies between.
    fn cells(&self) -> Range<usize> {
        let more = self.filters.split.along() - 1;
        let last = self.cell(self.task.windows.end - 1) + more * (self.cells_across() + 1);
        self.cell(self.task.windows.start)..last + 1
    }

    /// Brings a window's sums back and keeps them: `A^T m A`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "tasks share the target")]
    fn put<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        outputs: Outputs,
        panel: usize,
        row: usize,
        products: &[[[S::f32s; VECTORS]; ROWS]; POINTS],
    ) {
        let zero = simd.splat_f32s(0.0);
        let mut out = [[[zero; VECTORS]; STEP]; STEP];
        for v in 0..VECTORS {
            let mut rows = [[zero; STEP]; SIDE];
            for (i, to) in rows.iter_mut().enumerate() {
                let m = &products[SIDE * i..][..SIDE];
                *to = sums_of(simd, [m[0][row][v], m[1][row][v], m[2][row][v], m[3][row][v]]);
            }
            for j in 0..STEP {
                let column = sums_of(simd, [rows[0][j], rows[1][j], rows[2][j], rows[3][j]]);
                for i in 0..STEP {
                    out[i][j][v] = column[i];
                }
            }
        }
        if let Some(share) = self.least_share() {
            for v in 0..VECTORS {
                let mut around = zero;
                for of_point in products {
                    around = simd.add_f32s(around, simd.abs_f32s(of_point[row][v]));
                }
                let least = simd.mul_f32s(around, simd.splat_f32s(share));
                let mut smallest = simd.abs_f32s(out[0][0][v]);
                for row in &out[..outputs.size[0]] {
                    for of_pixel in &row[..outputs.size[1]] {
                        smallest = simd.min_f32s(smallest, simd.abs_f32s(of_pixel[v]));
                    }
                }
                let is_small = simd.less_than_f32s(smallest, least);
                if simd.first_true_m32s(is_small) < S::F32_LANES {
                    let first = panel * WIDTH + v * S::F32_LANES;
                    let [[a, b], [c, d]] = &mut out;
                    let of = [&mut a[v], &mut b[v], &mut c[v], &mut d[v]];
                    let of = of.map(|sums| bytemuck::cast_slice_mut(std::slice::from_mut(sums)));
                    self.by_formula(outputs, first, bytemuck::cast_slice(&[least]), of);
                }
            }
        }
        let Outputs { pixel, size, .. } = outputs;
        let mut sums = [[zero; VECTORS]; STEP * STEP];
        let mut pixels = [pixel; STEP * STEP];
        let mut count = 0;
        let width = self.p.out_width as usize;
        for (i, row) in out.iter().enumerate().take(size[0]) {
            for (j, of_pixel) in row.iter().enumerate().take(size[1]) {
                (sums[count], pixels[count]) = (*of_pixel, pixel + i * width + j);
                count += 1;
            }
        }
        // SAFETY: each window has pixels of its own, each task windows or columns of its own.
        unsafe { self.destination.put(simd, sums, (pixels, count), panel * WIDTH) };
    }

    /// The share of the magnitudes around it that a sum must have, if that matters.
    fn least_share(&self) -> Option<f32> {
        let is_of_one_sign = self.filters.kind.part.is_of_one_sign();
        (self.p.rounding == Rounding::Checked.code()).then_some(
            match is_of_one_sign && !self.filters.kind.is_transposed {
                true => SHARE_OF_ONE_SIGN,
                false => SHARE,
            },
        )
    }

    /// Makes those of a window's sums anew that are smaller than the least of their channel: the
    /// channels from `first` on, of the four pixels.
    #[cold]
    #[inline(never)]
    fn by_formula(
        &self,
        Outputs { plane, at, size, .. }: Outputs,
        first: usize,
        least: &[f32],
        sums: [&mut [f32]; STEP * STEP],
    ) {
        for (i, sums) in sums.into_iter().enumerate() {
            let place = [i / STEP, i % STEP];
            if place[0] >= size[0] || place[1] >= size[1] {
                continue;
            }
            let at = [at[0] + place[0], at[1] + place[1]];
            let columns = first..self.filters.out_channels;
            for ((sum, least), column) in sums.iter_mut().zip(least).zip(columns) {
                if sum.abs() < *least {
                    *sum = self.sum(plane, at, column);
                }
            }
        }
    }

    /// One sum by its formula.
    fn sum(&self, plane: usize, at: [usize; 2], column: usize) -> f32 {
        let Transformed { split, in_channels: channels, out_channels, kind, .. } = *self.filters;
        let in_per_group = if kind.is_transposed { out_channels } else { channels };
        let [height, width] = self.p.input().size;
        let padding = [self.p.padding_height as usize, self.p.padding_width as usize];
        let mut sum = 0.0;
        for tap in 0..self.p.taps() {
            // What is in the padding before is past every end.
            let y = (at[0] + tap / split.kernel).wrapping_sub(padding[0]);
            let x = (at[1] + tap % split.kernel).wrapping_sub(padding[1]);
            if y >= height || x >= width {
                continue;
            }
            let pixel = &self.a[((plane * height + y) * width + x) * channels..][..channels];
            // Signals have many zeros, and filters lie far apart.
            for (channel, a) in pixel.iter().enumerate().filter(|(_, a)| **a != 0.0) {
                let place = kind.place(channel, column, (tap, self.p.taps()), in_per_group);
                sum += f64::from(*a) * kind.part.of(self.stored.get::<f64>(place), 0.0);
            }
        }
        sum as f32
    }
}

/// A row of `A^T m`.
#[inline(always)]
fn sums_of<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; SIDE]) -> [S::f32s; STEP] {
    let (even, odd) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
    [simd.add_f32s(a, even), simd.sub_f32s(odd, d)]
}

#[cfg(test)]
mod tests;
