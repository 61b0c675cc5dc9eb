//! Weights in the order that the twins read: made once, shared by all sessions that use them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use half::{bf16, f16};

use crate::kernels::conv2d::{Filters, Packing};
use crate::kernels::linear::Rows;
use crate::kernels::panels::Panels;
use crate::kernels::winograd::{self, Transformed};
use crate::kernels::{Call, Part, conv_transpose2d, parallel};
use crate::num::Float;
use crate::program::{Form, Source, WeightUse};
use crate::weight::Identity;

/// What tells the content of one weight made ready from that of another.
type Key = (Identity, Form, Layout);

/// How a step's twin wants a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Layout {
    /// A vector, or packed filters as a matrix.
    Plain,
    /// Filters as panels of output channels.
    Panels,
    /// The same with so many taps of a filter's row as one.
    PanelsOfRows(u32),
    /// Filters as panels of input channels.
    TransposedPanels,
    /// Filters transformed for fewer products.
    Transformed(winograd::Kind),
}

impl Layout {
    /// That of a step's weight. Filters in 32 bit are panels where sums are made by these.
    pub(super) fn of<F: Float>(call: &Call, weight: &WeightUse, variants: bool) -> Self {
        match weight.form {
            Form::Filters(_) => {}
            Form::Vector | Form::Rows { .. } => return Layout::Plain,
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
            return match variants && winograd::suits_transposed(p) {
                true => transformed(true),
                false => Layout::TransposedPanels,
            };
        }
        if !p.sums_by_panels() {
            return Layout::Plain;
        }
        match (variants && winograd::suits(p), p.joins_taps()) {
            (true, _) => transformed(false),
            (false, true) => Layout::PanelsOfRows(p.kernel_width),
            (false, false) => Layout::Panels,
        }
    }
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
    /// Vectors, and filters that are packed. One copy serves all parts.
    Floats(Vec<F>),
    /// Filters, packed and otherwise as they are stored.
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
    /// Rows of matrices are read as they are stored; everything else is brought into order.
    pub(super) fn ready(&self, weight: &WeightUse, layout: Layout) -> Option<Arc<Ready<F>>> {
        let stored = match (&weight.form, &weight.source) {
            (Form::Rows { .. }, _) => return None,
            (Form::Vector | Form::Filters(_), Source::Made(_)) => {
                return Some(Arc::new(ordered(weight, layout)));
            }
            (Form::Vector | Form::Filters(_), Source::Stored(stored)) => stored,
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
            Layout::Plain => None,
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
        (Form::Vector | Form::Rows { .. }, _) => {
            let mut out = vec![F::ZERO; weight.len()];
            parallel::each(&mut out, |i, w| *w = numbers.get(i));
            Ready::Floats(out)
        }
    }
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
