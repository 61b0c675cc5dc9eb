//! Weights in the order that the twins read: made once, shared by all sessions that use them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use half::{bf16, f16};
use rayon::prelude::*;

use crate::kernels::conv2d::{Filters, Packing};
use crate::kernels::linear::Rows;
use crate::kernels::panels::Panels;
use crate::kernels::winograd::{self, Transformed};
use crate::kernels::{Call, Part, conv_transpose2d, parallel};
use crate::num::Float;
use crate::program::{Form, Source, WeightUse};
use crate::weight::{Dtype, Identity};

/// What tells the content of one weight made ready from that of another.
type Key = (Identity, Form, Layout);

/// How a step's twin wants a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Layout {
    /// A vector, packed filters as a matrix, or rows of a matrix as they are stored.
    Plain,
    /// Rows of a matrix as columns.
    Columns,
    /// Filters as panels of output channels.
    Panels,
    /// The same with so many taps of a filter's row as one.
    PanelsOfRows(u32),
    /// Filters as panels of input channels.
    TransposedPanels,
    /// Filters transformed for fewer products.
    Transformed(winograd::Kind),
}

/// What a CPU does faster where it can: see [`Cpu`](super::Cpu).
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    pub(super) variants: bool,
    pub(super) columns: bool,
}

impl Layout {
    /// That of a step's weight. Filters in 32 bit are panels where sums are made by these.
    pub(super) fn of<F: Float>(call: &Call, weight: &WeightUse, ways: Ways) -> Self {
        match weight.form {
            Form::Filters(_) => {}
            Form::Vector => return Layout::Plain,
            Form::Rows { many_zeros, .. } => {
                let pays = ways.variants && ways.columns && many_zeros;
                return match pays && is_forward_of_one(call) && is_worth_it::<F>(weight) {
                    true => Layout::Columns,
                    false => Layout::Plain,
                };
            }
        }
        let Some(p) = call.convolution().filter(|_| !F::IS_REFERENCE) else {
            return Layout::Plain;
        };
        // Whatever the encoding: numbers of 16 bit give what the same give in 32.
        let part = Part::from_code(p.part);
        let transformed =
            |is_transposed| Layout::Transformed(winograd::Kind { part, is_transposed });
        if call.is_transpose() {
            if !conv_transpose2d::Params(*p).sums_by_panels() {
                return Layout::Plain;
            }
            return match ways.variants && winograd::suits_transposed(p) {
                true => transformed(true),
                false => Layout::TransposedPanels,
            };
        }
        if !p.sums_by_panels() {
            return Layout::Plain;
        }
        match (ways.variants && winograd::suits(p), p.joins_taps()) {
            (true, _) => transformed(false),
            (false, true) => Layout::PanelsOfRows(p.kernel_width),
            (false, false) => Layout::Panels,
        }
    }
}

/// Bytes of a matrix that is stored once more as columns, at least: a smaller one is still in the third-level
/// cache when its transpose reads the rows.
const FEWEST_BYTES: usize = 32 << 20;

/// The same at most: the copy of a larger one would take more memory than all else.
const MOST_BYTES: usize = 256 << 20;

/// Whether a matrix has as many bytes. Weights of 64 bit, which 32 would round, stay as they are.
fn is_worth_it<F: Float>(matrix: &WeightUse) -> bool {
    match &matrix.source {
        Source::Stored(stored) if !F::IS_REFERENCE && stored.dtype() != Dtype::F64 => {
            let bytes = stored.len() * stored.dtype().size();
            (FEWEST_BYTES..=MOST_BYTES).contains(&bytes)
        }
        Source::Stored(_) | Source::Made(_) => false,
    }
}

/// Whether a step multiplies a matrix by the inputs of one picture: few inputs are 0 in all of several.
fn is_forward_of_one(call: &Call) -> bool {
    if let Call::Linear(p) = call {
        return p.batch == 1;
    }
    if let Call::LinearPair(p) = call {
        return p.z.batch == 1;
    }
    false
}

/// The weights that some session holds.
#[derive(Debug)]
pub(super) struct Weights<F> {
    held: Mutex<HashMap<Key, Weak<Ready<F>>>>,
}

impl<F> Default for Weights<F> {
    fn default() -> Self {
        Self { held: Mutex::default() }
    }
}

/// A weight made ready.
#[derive(Debug)]
pub(super) enum Ready<F> {
    /// Vectors, filters that are packed, and matrices as columns. One copy serves all parts.
    Floats(Vec<F>),
    /// Filters that are packed, and matrices as columns, otherwise as they are stored.
    F16(Vec<f16>),
    /// As `F16`.
    BF16(Vec<bf16>),
    /// Filters that are multiplied by without unrolled windows.
    Panels(Panels),
    /// Filters in 32 bit for fewer products.
    Transformed(Transformed),
}

impl<F: Float> Ready<F> {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Ready::Floats(w) => size_of_val(w.as_slice()),
            Ready::F16(w) => size_of_val(w.as_slice()),
            Ready::BF16(w) => size_of_val(w.as_slice()),
            Ready::Panels(panels) => panels.bytes(),
            Ready::Transformed(filters) => filters.bytes(),
        }
    }

    /// The columns of a matrix.
    pub(super) fn columns(&self) -> Rows<'_> {
        match self {
            Ready::Floats(w) => Rows::F32(F::as_f32(w).expect("they are made of 32 bit for these")),
            Ready::F16(w) => Rows::F16(w),
            Ready::BF16(w) => Rows::BF16(w),
            Ready::Panels(_) | Ready::Transformed(_) => unreachable!("matrices are numbers"),
        }
    }

    /// A vector.
    pub(super) fn floats(&self) -> &[F] {
        match self {
            Ready::Floats(w) => w,
            Ready::F16(_) | Ready::BF16(_) | Ready::Panels(_) | Ready::Transformed(_) => {
                unreachable!("vectors are floats")
            }
        }
    }

    /// A convolution's filters; `stored` are their numbers as they are stored.
    pub(super) fn filters<'a>(&'a self, stored: Rows<'a>) -> Filters<'a, F> {
        match self {
            Ready::Floats(w) => Filters::Ready(w),
            Ready::F16(w) => Filters::Stored(Rows::F16(w)),
            Ready::BF16(w) => Filters::Stored(Rows::BF16(w)),
            Ready::Panels(panels) => Filters::Panels(panels),
            Ready::Transformed(filters) => Filters::Transformed(filters, stored),
        }
    }
}

impl<F: Float> Weights<F> {
    /// Rows of matrices that stay rows are read as they are stored; everything else is brought into order.
    pub(super) fn ready(&self, weight: &WeightUse, layout: Layout) -> Option<Arc<Ready<F>>> {
        let stored = match (&weight.form, &weight.source) {
            (Form::Rows { .. }, _) if layout == Layout::Plain => return None,
            (_, Source::Made(_)) => return Some(Arc::new(ordered(weight, layout))),
            (_, Source::Stored(stored)) => stored,
        };
        let key = (stored.identity(), weight.form.clone(), layout);
        let lock = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key).and_then(Weak::upgrade) {
            return Some(known);
        }
        // Made without the lock: a thread that waits for this one may want a weight too.
        let made = Arc::new(ordered(weight, layout));
        stored.release();
        let mut held = lock();
        held.retain(|_, known| known.strong_count() > 0);
        held.insert(key, Arc::downgrade(&made));
        Some(made)
    }
}

/// The numbers in the order that the twins read.
fn ordered<F: Float>(weight: &WeightUse, layout: Layout) -> Ready<F> {
    let numbers = weight.numbers();
    if let Form::Filters(packing) = &weight.form {
        let Packing { out_per_group, in_per_group, taps, .. } = *packing;
        // In torch's order a filter has its taps side by side.
        let (of_input, of_output) = (taps, in_per_group * taps);
        let panels = match layout {
            Layout::Plain | Layout::Columns => None,
            Layout::Panels => {
                let shape = [taps, in_per_group, out_per_group];
                let place = |tap, c| tap + c * of_input;
                Some(Panels::new(numbers, shape, place, of_output))
            }
            Layout::PanelsOfRows(width) => {
                let width = width as usize;
                let shape = [taps / width, width * in_per_group, out_per_group];
                let place = |ky, i| {
                    let (kx, c) = (i / in_per_group, i % in_per_group);
                    ky * width + kx + c * of_input
                };
                Some(Panels::new(numbers, shape, place, of_output))
            }
            Layout::TransposedPanels => {
                let shape = [taps, out_per_group, in_per_group];
                let place = |tap, o| tap + o * of_output;
                Some(Panels::new(numbers, shape, place, of_input))
            }
            Layout::Transformed(kind) => {
                return Ready::Transformed(Transformed::new(numbers, packing, kind));
            }
        };
        if let Some(panels) = panels {
            return Ready::Panels(panels);
        }
    }
    match (&weight.form, numbers) {
        (Form::Filters(packing), Rows::F16(w)) => Ready::F16(packed(packing, f16::ZERO, |i| w[i])),
        (Form::Filters(packing), Rows::BF16(w)) => {
            Ready::BF16(packed(packing, bf16::ZERO, |i| w[i]))
        }
        (Form::Filters(packing), Rows::F32(_) | Rows::F64(_)) => {
            Ready::Floats(packed(packing, F::ZERO, |i| numbers.get(i)))
        }
        (Form::Rows { rows, columns, .. }, _) => {
            let (shard, columns) = (rows.start * columns..rows.end * columns, *columns);
            match numbers.slice(shard) {
                Rows::F16(w) => Ready::F16(transposed(w, columns, f16::ZERO, |w| w)),
                Rows::BF16(w) => Ready::BF16(transposed(w, columns, bf16::ZERO, |w| w)),
                Rows::F32(w) => Ready::Floats(transposed(w, columns, F::ZERO, F::from_f32)),
                Rows::F64(w) => Ready::Floats(transposed(w, columns, F::ZERO, F::from_f64)),
            }
        }
        (Form::Vector, _) => {
            let mut out = vec![F::ZERO; weight.len()];
            parallel::each(&mut out, |i, w| *w = numbers.get(i));
            Ready::Floats(out)
        }
    }
}

/// Columns that are read at once: as many as lie in a line of the cache.
const COLUMNS: usize = 16;

/// A matrix, given row by row, column by column.
fn transposed<S: Copy + Sync, T: Copy + Send>(
    w: &[S],
    columns: usize,
    zero: T,
    number: impl Fn(S) -> T + Sync,
) -> Vec<T> {
    let rows = w.len().checked_div(columns).unwrap_or(0);
    let mut out = vec![zero; w.len()];
    out.par_chunks_mut((COLUMNS * rows).max(1)).enumerate().for_each(|(i, out)| {
        for (row, w) in w.chunks_exact(columns).enumerate() {
            let columns = out.chunks_exact_mut(rows);
            for (column, w) in columns.zip(&w[i * COLUMNS..]) {
                column[row] = number(*w);
            }
        }
    });
    out
}

/// Packed filters, each of whose values `number` reads from its place in torch's order.
fn packed<T: Copy + Send>(
    packing: &Packing,
    zero: T,
    number: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let mut out = vec![zero; packing.len()];
    parallel::each(&mut out, |i, w| *w = number(packing.source(i)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weight::Weight;

    #[test]
    fn a_shard_is_transposed_as_it_is_stored() {
        // Columns more than whole lines of the cache, of which a shard takes some rows.
        let (columns, rows) = (37, 3..40);
        let bits: Vec<u16> = (0..columns * 50).map(|i| i as u16).collect();
        let weight = |dtype| WeightUse {
            source: Source::Stored(Weight::from_bits16("w", &[50, columns], dtype, bits.clone())),
            form: Form::Rows { rows: rows.clone(), columns, many_zeros: true },
            part: (Part::All, 0.0),
        };
        let expected: Vec<u16> = (0..columns * rows.len())
            .map(|i| bits[(rows.start + i % rows.len()) * columns + i / rows.len()])
            .collect();
        for dtype in [Dtype::F16, Dtype::BF16] {
            let made = ordered::<f32>(&weight(dtype), Layout::Columns);
            assert_eq!(made.columns().bits16(), Some(&expected[..]), "{dtype:?}");
        }
        let floats: Vec<f32> = bits.iter().map(|bits| f32::from(*bits)).collect();
        let of_floats = WeightUse {
            source: Source::Stored(Weight::from_f32("w", &[50, columns], floats)),
            ..weight(Dtype::F16)
        };
        let made = ordered::<f32>(&of_floats, Layout::Columns);
        let expected: Vec<f32> = expected.into_iter().map(f32::from).collect();
        assert_eq!(made.floats(), expected);
    }
}
