//! Collects steps and values; the memory plan comes last.

use std::collections::HashMap;

use super::{Element, Joins, Operand, Program, Slot, Source, Step, Value, WeightSlot, WeightUse};
use crate::error::{Error, Result};
use crate::kernels::{Call, largest};

/// What steps belong to and are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    layer: usize,
    note: usize,
}

/// A program in the making.
#[derive(Debug)]
pub struct Builder {
    program: Program,
    layer: usize,
    note: usize,
    /// The largest magnitudes that were asked for, by the value and its rows.
    largest: HashMap<(Slot, usize), Slot>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// No steps yet.
    pub fn new() -> Self {
        let program = Program {
            steps: Vec::new(),
            values: Vec::new(),
            buffers: Vec::new(),
            weights: Vec::new(),
            layers: vec![String::new()],
            notes: vec![String::new()],
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        Self { program, layer: 0, note: 0, largest: HashMap::new() }
    }

    /// Says what the following steps belong to and what they are for.
    pub fn at(&mut self, layer: &str, note: &str) {
        self.layer = index_of(&mut self.program.layers, layer);
        self.note = index_of(&mut self.program.notes, note);
    }

    /// What the last steps belong to and are for.
    pub(super) fn place(&self) -> Place {
        Place { layer: self.layer, note: self.note }
    }

    /// Appends steps that belong to another place than those before and after them.
    pub(super) fn of_place<T>(&mut self, place: Place, steps: impl FnOnce(&mut Self) -> T) -> T {
        let here = self.place();
        (self.layer, self.note) = (place.layer, place.note);
        let made = steps(self);
        (self.layer, self.note) = (here.layer, here.note);
        made
    }

    /// A value that the caller gives for every run.
    pub fn input(&mut self, element: Element, len: usize) -> Slot {
        let slot = self.value(element, len);
        self.program.inputs.push(slot);
        slot
    }

    /// Makes a value one that the caller gets; returns its place among the outputs.
    pub fn output(&mut self, slot: Slot) -> usize {
        self.program.outputs.push(slot);
        self.program.outputs.len() - 1
    }

    /// How many numbers a value has.
    pub fn len(&self, slot: Slot) -> usize {
        self.program.values[slot.0].len
    }

    /// Whether there are no steps yet.
    pub fn is_empty(&self) -> bool {
        self.program.steps.is_empty()
    }

    /// A weight that steps read; equal ones are kept once.
    pub fn weight(&mut self, weight: WeightUse) -> Operand {
        let known = self.program.weights.iter().position(|other| same(other, &weight));
        let slot = known.unwrap_or_else(|| {
            self.program.weights.push(weight);
            self.program.weights.len() - 1
        });
        Operand::Weight(WeightSlot(slot))
    }

    /// Appends a step that makes a new value of `len` floats.
    pub fn emit(&mut self, call: Call, reads: &[Operand], len: usize) -> Slot {
        let out = self.value(Element::Float, len);
        self.emit_into(call, reads, &[out]);
        out
    }

    /// Appends a step that makes a new value of `len` indices.
    pub fn emit_index(&mut self, call: Call, reads: &[Operand], len: usize) -> Slot {
        let out = self.value(Element::Index, len);
        self.emit_into(call, reads, &[out]);
        out
    }

    /// Appends a step that writes or updates the given values.
    pub fn emit_into(&mut self, call: Call, reads: &[Operand], outs: &[Slot]) {
        self.largest.retain(|(value, _), _| !outs.contains(value));
        let mut operands = reads.to_vec();
        operands.extend(outs.iter().map(|out| Operand::Value(*out)));
        debug_assert_eq!(operands.len(), call.kernel().operands.len(), "{call:?}");
        let (layer, note, joined) = (self.layer, self.note, None);
        self.program.steps.push(Step { call, operands, layer, note, joined });
    }

    /// The largest magnitude in each of a value's rows, as it is now.
    pub(super) fn largest(&mut self, value: Slot, rows: usize) -> Slot {
        if let Some(known) = self.largest.get(&(value, rows)) {
            return *known;
        }
        let count = self.len(value) / rows;
        let mut largest = |of: Slot, count: usize, pieces: usize| {
            let [rows, count, pieces] = [rows, count, pieces].map(|n| n as u32);
            let call = Call::Largest(largest::Params { rows, count, pieces });
            self.emit(call, &[Operand::Value(of)], (rows * pieces) as usize)
        };
        // A workgroup would go through a whole row alone: first pieces of it, then one of these.
        let pieces = count.div_ceil(LARGEST_PIECE).min(MOST_PIECES);
        let mut found = largest(value, count, pieces);
        if pieces > 1 {
            found = largest(found, pieces, 1);
        }
        self.largest.insert((value, rows), found);
        found
    }

    /// A new value that no step makes yet.
    pub fn value(&mut self, element: Element, len: usize) -> Slot {
        self.program.values.push(Value { element, len, buffer: usize::MAX });
        Slot(self.program.values.len() - 1)
    }

    /// Joins steps with those before where that can be done.
    pub(super) fn join(&mut self, joins: Joins) {
        super::joins::mark(&mut self.program, joins);
    }

    /// Plans the memory.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if a value has more numbers than kernels can count.
    pub fn finish(mut self) -> Result<Program> {
        for step in &self.program.steps {
            for operand in &step.operands {
                let Operand::Value(slot) = operand else { continue };
                let found = self.program.values[slot.0].len;
                if found > MOST_NUMBERS {
                    let what = format!("a value of layer `{}`", self.program.layers[step.layer]);
                    return Err(Error::TooLarge { what, found, most: MOST_NUMBERS });
                }
            }
        }
        self.program.buffers = super::memory::plan(&mut self.program);
        Ok(self.program)
    }
}

/// Numbers that a workgroup goes through for their largest.
const LARGEST_PIECE: usize = 4096;

/// Pieces of a row that a workgroup goes through for the same.
const MOST_PIECES: usize = 1024;

/// Numbers that a value may have, so that its bytes can be counted in 32 bit.
pub(super) const MOST_NUMBERS: usize = (u32::MAX / 4) as usize;

fn index_of(list: &mut Vec<String>, name: &str) -> usize {
    list.iter().rposition(|known| known == name).unwrap_or_else(|| {
        list.push(name.to_owned());
        list.len() - 1
    })
}

fn same(a: &WeightUse, b: &WeightUse) -> bool {
    let source = match (&a.source, &b.source) {
        (Source::Stored(a), Source::Stored(b)) => a.identity() == b.identity(),
        (Source::Made(a), Source::Made(b)) => a == b,
        (Source::Stored(_), Source::Made(_)) | (Source::Made(_), Source::Stored(_)) => false,
    };
    source && a.form == b.form && a.part == b.part
}
