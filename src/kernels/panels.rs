//! Sums of weighted rows, `out[position] += sum over taps of w[tap] a[source(position, tap)]`: what
//! a convolution and its transpose are. Rows are read where they lie, so that no windows are
//! unrolled; weights lie in panels of [`WIDTH`] columns. Sums are made in registers, in pieces of
//! 128 to 255 products which are added up with what f32 loses.

use std::ops::Range;

use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::Part;
use super::ahead::{Ahead, fetch_further};
use super::cut::{Work, rows_of_tile};
use super::epilogue::{Destination, Epilogues};
use super::linear::Rows;
use super::room::with_room;
use super::sums::{ALL, NEGATIVE, POSITIVE, steps, sums};
use crate::aligned::Aligned;

/// Numbers of 32 bit in a vector of this processor. Sums are made in as many streams, so that the
/// last bits of results depend on it.
pub fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

/// Columns of a panel: as many as the widest vector unit has lanes.
pub const WIDTH: usize = 16;

/// Bytes of the panels that a task goes through with every few positions: they stay in the
/// second-level cache.
const PANEL_BYTES: usize = 256 << 10;

/// Bytes of the source that tasks go through with one group of panels after the other: they stay in
/// the third-level cache.
const SOURCE_BYTES: usize = 4 << 20;

/// Positions of a task, at least: making its panels ready must not take longer than using them.
const POSITIONS: usize = 96;

/// Weights `[tap][row][column]` in panels: `[panel][tap][row][column of the panel]`, with zeros
/// where the last panel has no columns.
#[derive(Clone, Debug)]
pub struct Panels {
    taps: usize,
    rows: usize,
    columns: usize,
    numbers: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    F32(Aligned<f32>),
    F16(Aligned<f16>),
    BF16(Aligned<bf16>),
}

impl Panels {
    /// From numbers of which the one at `[tap][row][column]` is number
    /// `place(tap, row) + column * column_stride`. Numbers of 64 bit are rounded.
    pub fn new(
        numbers: Rows<'_>,
        [taps, rows, columns]: [usize; 3],
        place: impl Fn(usize, usize) -> usize + Sync,
        column_stride: usize,
    ) -> Self {
        fn packed<T: Copy + Send + Sync, U: Pod + Send>(
            from: &[T],
            [taps, rows, columns]: [usize; 3],
            place: &(impl Fn(usize, usize) -> usize + Sync),
            column_stride: usize,
            number: impl Fn(T) -> U + Sync,
        ) -> Aligned<U> {
            let panel = taps * rows * WIDTH;
            let mut out = Aligned::zeros(panel * columns.div_ceil(WIDTH));
            out.par_chunks_mut(panel.max(1)).enumerate().for_each(|(i, out)| {
                let first = i * WIDTH;
                let lanes = WIDTH.min(columns - first);
                for (at, to) in out.chunks_exact_mut(WIDTH).enumerate() {
                    let start = place(at / rows, at % rows) + first * column_stride;
                    for (lane, to) in to[..lanes].iter_mut().enumerate() {
                        *to = number(from[start + lane * column_stride]);
                    }
                }
            });
            out
        }
        let (shape, place, stride) = ([taps, rows, columns], &place, column_stride);
        let numbers = match numbers {
            Rows::F32(from) => Numbers::F32(packed(from, shape, place, stride, |w| w)),
            Rows::F64(from) => Numbers::F32(packed(from, shape, place, stride, |w| w as f32)),
            Rows::F16(from) => Numbers::F16(packed(from, shape, place, stride, |w| w)),
            Rows::BF16(from) => Numbers::BF16(packed(from, shape, place, stride, |w| w)),
        };
        Self { taps, rows, columns, numbers }
    }

    /// Bytes that the numbers take.
    pub fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::F32(numbers) => size_of_val(&**numbers),
            Numbers::F16(numbers) => size_of_val(&**numbers),
            Numbers::BF16(numbers) => size_of_val(&**numbers),
        }
    }

    fn panel_len(&self) -> usize {
        self.taps * self.rows * WIDTH
    }

    /// Some panels as they lie in memory.
    fn stored(&self, panels: &Range<usize>) -> &[u8] {
        let range = panels.start * self.panel_len()..panels.end * self.panel_len();
        match &self.numbers {
            Numbers::F32(numbers) => bytemuck::cast_slice(&numbers[range]),
            Numbers::F16(numbers) => bytemuck::cast_slice(&numbers[range]),
            Numbers::BF16(numbers) => bytemuck::cast_slice(&numbers[range]),
        }
    }

    /// How many panels there are.
    fn count(&self) -> usize {
        self.columns.div_ceil(WIDTH)
    }

    /// The numbers of some panels to multiply by, in `room` if they are not there yet, and the part
    /// that is to be taken of each meanwhile.
    fn ready<'a>(
        &'a self,
        panels: &Range<usize>,
        (part, gamma): (Part, f32),
        room: &'a mut Aligned<f32>,
    ) -> (&'a [f32], Part) {
        let range = panels.start * self.panel_len()..panels.end * self.panel_len();
        if let (Numbers::F32(numbers), Part::All | Part::Positive | Part::Negative) =
            (&self.numbers, part)
        {
            return (&numbers[range], part);
        }
        room.resize(range.len());
        match &self.numbers {
            Numbers::F32(numbers) => room.copy_from_slice(&numbers[range]),
            Numbers::F16(numbers) => numbers[range].convert_to_f32_slice(room),
            Numbers::BF16(numbers) => numbers[range].convert_to_f32_slice(room),
        }
        part.take(room, gamma);
        (room, Part::All)
    }
}

/// A tap: its number, and where its row lies from that of a position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    /// Which of the weights' taps.
    pub(super) number: usize,
    /// Rows and columns of pixels to add.
    pub(super) shift: [isize; 2],
}

/// Pixels that meet the same taps: `(origin + step * i)` for `i` below `size`, in both directions.
/// The row of tap `t` lies at pixel `stride * i + shift(t)` of the source, if that has it.
#[derive(Clone, Debug)]
pub(super) struct Lattice {
    /// The first pixel.
    pub(super) origin: [usize; 2],
    /// From pixel to pixel.
    pub(super) step: [usize; 2],
    /// How many there are.
    pub(super) size: [usize; 2],
    /// From row to row in the source.
    pub(super) stride: [usize; 2],
    /// In the order of the sum.
    pub(super) taps: Vec<Tap>,
}

impl Lattice {
    /// The plane, row and column of a position, counted through all planes.
    fn pixel(&self, position: usize) -> [usize; 3] {
        let [height, width] = self.size;
        let at = position % (height * width);
        [position / (height * width), at / width, at % width]
    }

    /// The next one.
    #[inline(always)]
    fn after(&self, [plane, row, column]: [usize; 3]) -> [usize; 3] {
        let [height, width] = self.size;
        if column + 1 < width {
            return [plane, row, column + 1];
        }
        if row + 1 < height { [plane, row + 1, 0] } else { [plane + 1, 0, 0] }
    }

    /// The least and greatest shifts of its taps.
    fn reach(&self) -> [[isize; 2]; 2] {
        let of = |i: usize| self.taps.iter().map(move |tap| tap.shift[i]);
        [[0, 1].map(|i| of(i).min().unwrap_or(0)), [0, 1].map(|i| of(i).max().unwrap_or(0))]
    }
}

/// Planes of pixels with so many channels each, NHWC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    /// How many planes.
    pub(super) count: usize,
    /// Rows and columns of pixels.
    pub(super) size: [usize; 2],
}

/// What is added up, and where it goes.
#[derive(Debug)]
pub(super) struct Product<'a> {
    /// Where rows are read.
    pub(super) source: Planes,
    /// Values of a pixel of the source. A row has as many values as the panels have rows, also
    /// those of the pixels to the right if it has more.
    pub(super) channels: usize,
    /// As many planes.
    pub(super) target: Planes,
    /// Which pixels of the target meet which taps; all pixels, each once.
    pub(super) lattices: &'a [Lattice],
    /// The weights, and which part of them is taken.
    pub(super) panels: &'a Panels,
    /// The part and its factor.
    pub(super) part: (Part, f32),
}

/// A piece of work: positions of a lattice, and panels.
struct Task {
    lattice: usize,
    positions: Range<usize>,
    panels: Range<usize>,
}

impl Product<'_> {
    /// Adds up all rows, and does with the sums what is to be done.
    ///
    /// # Panics
    /// If source and target are not as long as their planes say.
    pub(super) fn run(&self, source: &[f32], epilogues: Epilogues<'_>, target: &mut [f32]) {
        let arch = Arch::new();
        self.run_by(source, epilogues, target, |run| arch.dispatch(InTiles(run)));
    }

    /// The same by a vector unit of the caller's choice.
    fn run_by(
        &self,
        source: &[f32],
        epilogues: Epilogues<'_>,
        target: &mut [f32],
        by: impl Fn(Run<'_>) + Sync,
    ) {
        let len = |planes: Planes, channels: usize| {
            planes.count * planes.size[0] * planes.size[1] * channels
        };
        assert_eq!(source.len(), len(self.source, self.channels), "values of the source");
        assert_eq!(target.len(), len(self.target, self.panels.columns), "values of the target");
        debug_assert!(self.is_covered_once(), "lattices have all pixels, each once");
        let destination = epilogues.into(target, self.panels.columns);
        let nothing = vec![0.0; self.panels.rows];
        let tasks = self.tasks();
        let of_task = |room: &mut Aligned<f32>, i: usize, task: &Task| {
            let (panels, part) = self.panels.ready(&task.panels, self.part, room);
            let (product, nothing) = (self, nothing.as_slice());
            // A thread goes from task to task as they lie, for the most part.
            let next = tasks.get(i + 1).filter(|next| next.panels != task.panels);
            let next = next.map_or(&[][..], |next| self.panels.stored(&next.panels));
            by(Run { product, task, panels, part, next, source, nothing, destination });
        };
        let tasks = tasks.par_iter().enumerate();
        tasks.for_each(|(i, task)| with_room(|room| of_task(room, i, task)));
    }

    /// Whether each pixel of a plane is in one lattice.
    fn is_covered_once(&self) -> bool {
        let [height, width] = self.target.size;
        let mut times = vec![0; height * width];
        for lattice in self.lattices {
            for i in 0..lattice.size[0] * lattice.size[1] {
                let pixel = [i / lattice.size[1], i % lattice.size[1]];
                let [y, x] = [0, 1].map(|i| lattice.origin[i] + lattice.step[i] * pixel[i]);
                if y >= height || x >= width {
                    return false;
                }
                times[y * width + x] += 1;
            }
        }
        times.into_iter().all(|times| times == 1)
    }

    /// Where they are cut depends on the number of threads; sums do not.
    fn tasks(&self) -> Vec<Task> {
        let panels = self.panels.count();
        let bytes = self.panels.panel_len() * size_of::<f32>();
        let near = SOURCE_BYTES / (self.channels * size_of::<f32>()).max(1);
        let mut tasks = Vec::new();
        for (number, lattice) in self.lattices.iter().enumerate() {
            let positions = self.target.count * lattice.size[0] * lattice.size[1];
            let work = Work {
                rows: positions,
                lanes: lanes(),
                most_rows: near.max(POSITIONS),
                least_rows: POSITIONS,
                panels,
                most_panels: PANEL_BYTES / bytes.max(1),
            };
            let cut = work.cut(rayon::current_num_threads());
            for start in (0..positions).step_by(cut.rows) {
                let positions = start..(start + cut.rows).min(positions);
                for first in (0..panels).step_by(cut.panels) {
                    let panels = first..(first + cut.panels).min(panels);
                    let positions = positions.clone();
                    tasks.push(Task { lattice: number, positions, panels });
                }
            }
        }
        tasks
    }
}

struct Run<'a> {
    product: &'a Product<'a>,
    task: &'a Task,
    /// The numbers of the task's panels.
    panels: &'a [f32],
    /// What is taken of each: [`Part::All`], [`Part::Positive`] or [`Part::Negative`].
    part: Part,
    /// Weights that are multiplied by afterwards; empty if they are the same, or nothing follows.
    next: &'a [u8],
    source: &'a [f32],
    /// Zeros in place of a row that the source does not have.
    nothing: &'a [f32],
    destination: Destination<'a>,
}

/// Work that goes tile by tile: so many rows, and vectors of a panel.
pub(super) trait Tiled {
    /// Rows in all.
    fn count(&self) -> usize;

    /// All of it. Implementations are inlined: what is not would be compiled for any processor.
    fn tiles<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S);
}

/// Tiles whose sums fit the registers.
pub(super) struct InTiles<T>(pub(super) T);

impl<T: Tiled> WithSimd for InTiles<T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 if rows_of_tile(16, self.0.count()) == 7 => self.0.tiles::<S, 7, 1>(simd),
            16 => self.0.tiles::<S, 8, 1>(simd),
            8 => self.0.tiles::<S, 6, 2>(simd),
            4 => self.0.tiles::<S, 4, 4>(simd),
            _ => self.0.tiles::<S, 2, WIDTH>(simd),
        }
    }
}

impl Tiled for Run<'_> {
    fn count(&self) -> usize {
        self.task.positions.len()
    }

    #[inline(always)]
    fn tiles<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        debug_assert_eq!(ROWS, rows_of_tile(S::F32_LANES, self.count()), "tiles as work is cut");
        // Known to the compiler, so that the choice does not stand inside of loops.
        if self.part == Part::Positive {
            self.tiles_of::<S, ROWS, VECTORS, POSITIVE>(simd);
        } else if self.part == Part::Negative {
            self.tiles_of::<S, ROWS, VECTORS, NEGATIVE>(simd);
        } else {
            self.tiles_of::<S, ROWS, VECTORS, ALL>(simd);
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "tasks share the target")]
    fn tiles_of<S: Simd, const ROWS: usize, const VECTORS: usize, const PART: u32>(self, simd: S) {
        // What `sums` reads without asking.
        assert_eq!(VECTORS * S::F32_LANES, WIDTH, "vectors of a panel");
        let Product { panels, .. } = *self.product;
        let lattice = &self.product.lattices[self.task.lattice];
        let mut rows: Vec<Option<[&[f32]; ROWS]>> = Vec::with_capacity(lattice.taps.len());
        let reach = lattice.reach();
        let steps = lattice.taps.len() * steps(panels.rows);
        let tiles = self.task.positions.len().div_ceil(ROWS) * self.task.panels.len();
        let mut ahead = Ahead::new(self.next, tiles * steps);
        let mut next = lattice.pixel(self.task.positions.start);
        for first in self.task.positions.clone().step_by(ROWS) {
            let count = ROWS.min(self.task.positions.end - first);
            let places: [Place; ROWS] = std::array::from_fn(|i| {
                let place = self.place(lattice, next);
                if i + 1 < count {
                    next = lattice.after(next);
                }
                place
            });
            next = lattice.after(next);
            rows.clear();
            let are_inside = places.iter().all(|place| self.is_inside(place, reach));
            let row_of = |tap| match are_inside {
                true => Some(places.map(|place| self.row(tap, &place))),
                false => self.rows(tap, &places[..count]),
            };
            rows.extend(lattice.taps.iter().map(row_of));
            let targets = places.map(|place| place.target);
            // What the next tile writes; of strided transposes only up to the end of a row of pixels.
            let coming = targets.map(|target| target + ROWS * lattice.step[1]);
            for (i, panel) in self.panels.chunks_exact(panels.panel_len()).enumerate() {
                let taps = &lattice.taps;
                let column = (self.task.panels.start + i) * WIDTH;
                self.destination.fetch(coming, column);
                // Where there are several taps, most rows of the next tile have been read for earlier ones.
                if let [Some(rows)] = rows.as_slice() {
                    self.fetch_rows(rows, ROWS * lattice.stride[1], i);
                }
                // SAFETY: rows are as long as `nothing`, which has as many values as panels have
                // rows; the vectors are asked for above.
                let sums = unsafe {
                    sums::<S, ROWS, VECTORS, PART>(
                        simd,
                        taps,
                        &rows,
                        panel,
                        panels.rows,
                        &mut ahead,
                    )
                };
                // SAFETY: each lattice has pixels of its own, each task positions of a lattice or
                // columns of its own.
                unsafe { self.destination.put(simd, sums, (targets, count), column) };
            }
        }
    }
}

impl Run<'_> {
    /// Asks for a panel's share of the rows that lie so many pixels further on; the task's panels ask for all.
    #[inline(always)]
    fn fetch_rows<const ROWS: usize>(&self, rows: &[&[f32]; ROWS], pixels: usize, panel: usize) {
        let (len, further) = (self.nothing.len(), pixels * self.product.channels);
        let part = len.div_ceil(self.task.panels.len()).next_multiple_of(WIDTH);
        for row in rows {
            let range = panel * part..len.min((panel + 1) * part);
            fetch_further(row, further + range.start..further + range.end);
        }
    }

    #[inline(always)]
    fn place(&self, lattice: &Lattice, [plane, row, column]: [usize; 3]) -> Place {
        let pixel = [row, column];
        let [y, x] = [0, 1].map(|i| lattice.origin[i] + lattice.step[i] * pixel[i]);
        let [rows, columns] = self.product.target.size;
        Place {
            plane,
            at: [0, 1].map(|i| (lattice.stride[i] * pixel[i]) as isize),
            target: (plane * rows + y) * columns + x,
        }
    }

    /// Whether the source has the rows of all taps.
    #[inline(always)]
    fn is_inside(&self, place: &Place, [least, most]: [[isize; 2]; 2]) -> bool {
        let size = self.product.source.size;
        (0..2).all(|i| place.at[i] + least[i] >= 0 && place.at[i] + most[i] < size[i] as isize)
    }

    /// The row of a tap, which the source has.
    #[inline(always)]
    fn row(&self, tap: &Tap, place: &Place) -> &[f32] {
        let [height, width] = self.product.source.size;
        let [y, x] = [0, 1].map(|i| (place.at[i] + tap.shift[i]) as usize);
        let first = ((place.plane * height + y) * width + x) * self.product.channels;
        &self.source[first..][..self.nothing.len()]
    }

    /// The rows of a tap for each place; none if the source has none of them.
    #[inline(always)]
    fn rows<const ROWS: usize>(&self, tap: &Tap, places: &[Place]) -> Option<[&[f32]; ROWS]> {
        let [height, width] = self.product.source.size;
        let mut rows = [self.nothing; ROWS];
        let mut is_any = false;
        for (row, place) in rows.iter_mut().zip(places) {
            let [y, x] = [0, 1].map(|i| (place.at[i] + tap.shift[i]) as usize);
            // What is negative is past every end.
            if y < height && x < width {
                *row = self.row(tap, place);
                is_any = true;
            }
        }
        is_any.then_some(rows)
    }
}

/// Where a position is.
#[derive(Clone, Copy)]
struct Place {
    plane: usize,
    /// In the source, but for a tap's shift.
    at: [isize; 2],
    /// The pixel of the target.
    target: usize,
}

#[cfg(test)]
mod tests;
