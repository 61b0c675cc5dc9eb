//! The work as a value: a flat list of kernel launches on buffers that are planned beforehand.
//!
//! A [`Program`] is lowered once from a graph, a composite, methods and targets; backends only
//! execute it. `Display` prints it as a listing.

mod builder;
mod display;
mod finish;
mod forward;
mod joins;
mod layers;
mod ledger;
mod lower;
mod memory;
mod moves;
mod operator;
mod readout;
mod relevance;
mod signals;
mod switches;
mod walk;
mod walks;

use std::ops::Range;

pub use builder::Builder;
pub(crate) use joins::joins_suit;
pub use ledger::{CAUSES, Entry, LossOutput, MethodRows, TALLY};
pub(crate) use lower::check_against;
pub use lower::{
    Bounds, Extras, HeatmapOutput, Joins, LayerOutput, Limits, Lowered, MapOutput, Plan,
    SumsOutput, Targets, Upsampling, lower,
};
pub use switches::{LoweredSwitches, PoolOutput, lower_switches};

use crate::kernels::conv2d::Packing;
use crate::kernels::{Call, Encoding, Part};
use crate::weight::Weight;

/// A value that a step makes or reads; many share a buffer, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub usize);

/// A weight in a form that kernels read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightSlot(pub usize);

/// What a step reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A value of this run.
    Value(Slot),
    /// A weight.
    Weight(WeightSlot),
}

/// The type of a value's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `f32`, or `f64` in the reference backend.
    Float,
    /// `u32`.
    Index,
}

/// A value: how many numbers, and the buffer that the memory plan gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The type of the numbers.
    pub element: Element,
    /// How many there are.
    pub len: usize,
    /// Index into [`Program::buffers`]; past their end for a value that is never kept.
    pub buffer: usize,
}

/// A buffer that values share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The type of the numbers.
    pub element: Element,
    /// Room for the largest of its values.
    pub len: usize,
}

/// Where a weight's numbers come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    Stored(Weight),
    /// Made while lowering: batch norm's scales, bounds, zeros.
    Made(Vec<f64>),
}

/// The form in which kernels read a weight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// As floats, in torch's order: biases, scales.
    Vector,
    /// The given rows of a linear layer's matrix, as stored.
    Rows {
        /// The rows of the shard.
        rows: Range<usize>,
        /// Numbers in a row.
        columns: usize,
        /// Whether many of the layer's inputs may be 0, as behind a ReLU.
        many_zeros: bool,
    },
    /// A convolution's filters, packed.
    Filters(Packing),
}

/// A weight that steps read.
#[derive(Clone, Debug)]
pub struct WeightUse {
    /// Where the numbers come from.
    pub source: Source,
    /// How they lie.
    pub form: Form,
    /// The part that the steps take of filters, and its factor: a backend may take it once
    /// instead of in every step. [`Part::All`] for the other forms.
    pub part: (Part, f32),
}

/// One kernel launch: what runs and on which operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The kernel and its parameters.
    pub call: Call,
    /// In the kernel's order.
    pub operands: Vec<Operand>,
    /// The layer this step belongs to, for listings and errors: index into [`Program::layers`].
    pub layer: usize,
    /// What the step is for, as `forward`, or the rule: index into [`Program::notes`].
    pub note: usize,
    /// Whether it is done value by value while the step before makes its output, and what becomes of
    /// that.
    pub joined: Option<Between>,
}

/// What becomes of the value that one step makes for the next, which is joined with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nobody else reads it: it has no buffer.
    Passing,
    /// It is kept for others.
    Kept,
}

/// A flat list of steps with its memory plan.
#[derive(Clone, Debug)]
pub struct Program {
    /// What runs, in order.
    pub steps: Vec<Step>,
    /// The values that steps make and read.
    pub values: Vec<Value>,
    /// The buffers that hold them.
    pub buffers: Vec<Buffer>,
    /// The weights that steps read.
    pub weights: Vec<WeightUse>,
    /// Names of layers.
    pub layers: Vec<String>,
    /// Why steps run.
    pub notes: Vec<String>,
    /// Values that the caller gives for every run, in order.
    pub inputs: Vec<Slot>,
    /// Values that the caller gets from every run, in order.
    pub outputs: Vec<Slot>,
}

impl Program {
    /// Bytes of all buffers, if numbers take `float` bytes (indices take 4).
    pub fn buffer_bytes(&self, float: usize) -> usize {
        let size = |buffer: &Buffer| match buffer.element {
            Element::Float => buffer.len * float,
            Element::Index => buffer.len * 4,
        };
        self.buffers.iter().map(size).sum()
    }

    /// The largest buffer in numbers.
    pub fn largest_buffer(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.len).max().unwrap_or(0)
    }
}

impl WeightUse {
    /// How many numbers the form holds.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Vector => match &self.source {
                Source::Stored(weight) => weight.len(),
                Source::Made(values) => values.len(),
            },
            Form::Rows { rows, columns, .. } => rows.len() * columns,
            Form::Filters(packing) => packing.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How the numbers lie in the words that shaders read. Vectors are floats there too.
    pub fn encoding(&self) -> Encoding {
        match self.form {
            Form::Vector => Encoding::F32,
            Form::Rows { .. } | Form::Filters(_) => Encoding::of(self.numbers()),
        }
    }

    /// The numbers of the source, as stored.
    pub fn numbers(&self) -> crate::kernels::linear::Rows<'_> {
        match &self.source {
            Source::Stored(weight) => weight.values(),
            Source::Made(values) => crate::kernels::linear::Rows::F64(values),
        }
    }
}
