//! Weights on the device: uploaded once for each form, shared by all sessions that use them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rayon::prelude::*;

use super::device::Device;
use super::{COPIED_STORAGE, bytes};
use crate::error::Result;
use crate::kernels::conv2d::Packing;
use crate::kernels::linear::Rows;
use crate::program::{Form, Source, WeightUse};
use crate::weight::{Identity, Weight};

/// A weight on the device.
pub(super) struct Resident {
    pub(super) buffer: wgpu::Buffer,
    /// Keeps the numbers where they are, so that no other weight can have their identity.
    _source: Option<Weight>,
}

/// What tells the content of one weight buffer from that of another.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    identity: Identity,
    form: Form,
}

/// The weights that some session holds.
#[derive(Default)]
pub(super) struct Weights {
    held: Mutex<HashMap<Key, Weak<Resident>>>,
}

impl Weights {
    /// The given weights on the device, in order; those that are missing are uploaded.
    pub(super) fn get(&self, device: &Device, uses: &[WeightUse]) -> Result<Vec<Arc<Resident>>> {
        let mut upload = Upload::new(device);
        let mut residents: Vec<Arc<Resident>> = Vec::with_capacity(uses.len());
        for (i, weight) in uses.iter().enumerate() {
            let resident = match &weight.source {
                Source::Stored(stored) => self.stored(&mut upload, weight, stored)?,
                // Uses differ by part too, which shaders take: the same numbers come again.
                Source::Made(_) => match uses[..i].iter().position(|other| equal(other, weight)) {
                    Some(earlier) => residents[earlier].clone(),
                    None => Arc::new(upload.resident(weight, None)?),
                },
            };
            residents.push(resident);
        }
        upload.finish()?;
        Ok(residents)
    }

    fn stored(
        &self,
        upload: &mut Upload<'_>,
        weight: &WeightUse,
        stored: &Weight,
    ) -> Result<Arc<Resident>> {
        let key = Key { identity: stored.identity(), form: weight.form.clone() };
        // The lock is not held while uploading: at worst two sessions upload the same weight.
        let held = self.lock().get(&key).and_then(Weak::upgrade);
        if let Some(resident) = held {
            return Ok(resident);
        }
        let resident = Arc::new(upload.resident(weight, Some(stored.clone()))?);
        let mut held = self.lock();
        held.retain(|_, resident| resident.strong_count() > 0);
        held.insert(key, Arc::downgrade(&resident));
        Ok(resident)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Weak<Resident>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two weights were made of the same numbers in the same form.
fn equal(a: &WeightUse, b: &WeightUse) -> bool {
    match (&a.source, &b.source) {
        (Source::Made(a_values), Source::Made(b_values)) => {
            a.form == b.form && a_values == b_values
        }
        (Source::Stored(_), _) | (_, Source::Stored(_)) => false,
    }
}

/// Numbers that are converted and staged at once: 16 MiB, or 8 of 16 bit. Even, so that pairs stay
/// together.
const CHUNK: usize = 4 << 20;

/// A stream of numbers to the device that holds no more than two chunks in staging memory.
struct Upload<'a> {
    device: &'a Device,
    converted: Vec<f32>,
    reordered: Vec<u16>,
    /// Numbers written and not yet submitted.
    pending: usize,
    previous: Option<wgpu::SubmissionIndex>,
}

impl<'a> Upload<'a> {
    fn new(device: &'a Device) -> Self {
        Self { device, converted: Vec::new(), reordered: Vec::new(), pending: 0, previous: None }
    }

    fn resident(&mut self, weight: &WeightUse, source: Option<Weight>) -> Result<Resident> {
        let what = || match &weight.source {
            Source::Stored(stored) => format!("weight `{}`", stored.name()),
            Source::Made(_) => "a weight made while planning".to_owned(),
        };
        let words = weight.len().div_ceil(weight.encoding().per_word());
        let buffer = self.device.buffer(bytes(words), COPIED_STORAGE, what)?;
        for first in (0..weight.len()).step_by(CHUNK) {
            let count = CHUNK.min(weight.len() - first);
            self.write(&buffer, weight, first, count)?;
            self.pending += count;
            if self.pending >= CHUNK {
                self.submit()?;
            }
        }
        Ok(Resident { buffer, _source: source })
    }

    fn write(
        &mut self,
        buffer: &wgpu::Buffer,
        weight: &WeightUse,
        first: usize,
        count: usize,
    ) -> Result<()> {
        let all = weight.numbers();
        let range = first..first + count;
        let values: &[u8] = match (&weight.form, all.bits16()) {
            (Form::Vector, _) => in_order(all.slice(range), &mut self.converted),
            (Form::Rows { rows, columns, .. }, bits) => {
                let before = rows.start * columns;
                let range = before + range.start..before + range.end;
                match bits {
                    Some(bits) => bytemuck::cast_slice(&bits[range]),
                    None => in_order(all.slice(range), &mut self.converted),
                }
            }
            (Form::Filters(packing), Some(bits)) => {
                packed(packing, range, |i| bits[i], &mut self.reordered)
            }
            (Form::Filters(packing), None) => {
                packed(packing, range, |i| all.get(i), &mut self.converted)
            }
        };
        let offset = (first / weight.encoding().per_word()) as u64 * 4;
        self.device.attempt(|| write_words(&self.device.queue, buffer, offset, values))
    }

    /// Starts the copies and waits for those before them.
    fn submit(&mut self) -> Result<()> {
        self.pending = 0;
        let submission = self.device.attempt(|| self.device.queue.submit([]))?;
        match self.previous.replace(submission) {
            Some(previous) => self.device.wait(previous),
            None => Ok(()),
        }
    }

    /// Starts what is left; later submissions come after it by themselves.
    fn finish(mut self) -> Result<()> {
        if self.pending > 0 { self.submit() } else { Ok(()) }
    }
}

/// Fills up with zeros behind a number that has no second one in its word.
fn write_words(queue: &wgpu::Queue, buffer: &wgpu::Buffer, offset: u64, values: &[u8]) {
    let (words, single) = values.as_chunks::<4>();
    if !words.is_empty() {
        queue.write_buffer(buffer, offset, words.as_flattened());
    }
    if let [low, high] = *single {
        let offset = offset + words.as_flattened().len() as u64;
        queue.write_buffer(buffer, offset, &[low, high, 0, 0]);
    }
}

/// The bytes of the numbers as `f32`, which most of them are already.
fn in_order<'a>(numbers: Rows<'a>, converted: &'a mut Vec<f32>) -> &'a [u8] {
    if let Rows::F32(values) = numbers {
        return bytemuck::cast_slice(values);
    }
    converted.resize(numbers.len(), 0.0);
    numbers.widen(converted);
    bytemuck::cast_slice(converted)
}

/// The bytes of packed filter values, each of which `number` reads from its place in torch's order.
fn packed<'a, T: bytemuck::Pod + Send + Sync>(
    packing: &Packing,
    range: Range<usize>,
    number: impl Fn(usize) -> T + Sync + Send,
    reordered: &'a mut Vec<T>,
) -> &'a [u8] {
    let values = range.into_par_iter().with_min_len(1 << 14);
    values.map(|i| number(packing.source(i))).collect_into_vec(reordered);
    bytemuck::cast_slice(reordered)
}
