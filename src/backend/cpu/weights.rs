//! Weights in the order that the twins read: made once, shared by all sessions that use them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use half::{bf16, f16};

use crate::kernels::conv2d::{Filters, Packing};
use crate::kernels::linear::Rows;
use crate::kernels::parallel;
use crate::num::Float;
use crate::program::{Form, Source, WeightUse};
use crate::weight::Identity;

/// What tells the content of one weight made ready from that of another.
type Key = (Identity, Form);

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
}

impl<F: Float> Ready<F> {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Ready::Floats(w) => size_of_val(w.as_slice()),
            Ready::F16(w) => size_of_val(w.as_slice()),
            Ready::BF16(w) => size_of_val(w.as_slice()),
        }
    }

    /// A vector.
    pub(super) fn floats(&self) -> &[F] {
        match self {
            Ready::Floats(w) => w,
            Ready::F16(_) | Ready::BF16(_) => unreachable!("vectors are floats"),
        }
    }

    /// A convolution's filters.
    pub(super) fn filters(&self) -> Filters<'_, F> {
        match self {
            Ready::Floats(w) => Filters::Ready(w),
            Ready::F16(w) => Filters::Stored(Rows::F16(w)),
            Ready::BF16(w) => Filters::Stored(Rows::BF16(w)),
        }
    }
}

impl<F: Float> Weights<F> {
    /// Rows of matrices are read as they are stored; everything else is brought into order.
    pub(super) fn ready(&self, weight: &WeightUse) -> Option<Arc<Ready<F>>> {
        let stored = match (&weight.form, &weight.source) {
            (Form::Rows { .. }, _) => return None,
            (Form::Vector | Form::Filters(_), Source::Made(_)) => {
                return Some(Arc::new(ordered(weight)));
            }
            (Form::Vector | Form::Filters(_), Source::Stored(stored)) => stored,
        };
        let key = (stored.identity(), weight.form.clone());
        let lock = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key).and_then(Weak::upgrade) {
            return Some(known);
        }
        // Made without the lock: a thread that waits for this one may want a weight too.
        let made = Arc::new(ordered(weight));
        stored.release();
        let mut held = lock();
        held.retain(|_, known| known.strong_count() > 0);
        held.insert(key, Arc::downgrade(&made));
        Some(made)
    }
}

/// The numbers in the order that the twins read.
fn ordered<F: Float>(weight: &WeightUse) -> Ready<F> {
    let numbers = weight.numbers();
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
