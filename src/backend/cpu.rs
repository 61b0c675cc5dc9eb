//! Runs programs on the CPU: in `f32` for use, in `f64` as the reference.

mod weights;

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Instant;

use bytemuck::Pod;

use self::weights::{Layout, Ready, Ways, Weights};
use super::{Input, Output, Session, Watch};
use crate::aligned::Aligned;
use crate::error::Result;
use crate::kernels::conv2d::Filters;
use crate::kernels::epilogue::{self, Epilogue, Then};
use crate::kernels::linear::{Matrix, Rows};
use crate::kernels::{
    Access, Call, Part, add, add_shares, attribution, avg_pool2d, avg_pool2d_backward,
    box_denominators, box_relevance, channel_affine, channel_constant, channel_dot, clamp,
    conv_transpose2d, conv2d, copy_channels, dot_rows, gate, gather, heatmap, largest, leaks,
    linear, linear_pair, linear_transpose, local_response_norm, local_response_norm_backward,
    max_pool2d, max_pool2d_backward, multiply_add, multiply_difference, multiply_planes, one_hot,
    parallel, permute, seed, softmax, stabilized_gate, stabilized_ratio, sum_rows, tally, top_k,
    upsample2d,
};
use crate::num::Float;
use crate::program::{
    Between, Element, Form, Operand, Program, Slot, Source, Step, Value, WeightSlot,
};

/// The CPU, with the weights that its sessions share.
#[derive(Clone, Debug)]
pub struct Cpu<F> {
    weights: Arc<Weights<F>>,
    ways: Ways,
}

impl<F: Number> Default for Cpu<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: Number> Cpu<F> {
    /// The CPU, with no weights yet.
    pub fn new() -> Self {
        Self { weights: Arc::default(), ways: Ways { variants: true, columns: true } }
    }

    /// The same CPU, which joins steps, has kernels for z-box and multiplies less where it can (or does not):
    /// slower without that, and the same results but for rounding. On unless turned off; of no account in
    /// 64 bit.
    #[must_use]
    pub fn variants(mut self, variants: bool) -> Self {
        self.ways.variants = variants;
        self
    }

    /// The same CPU, which holds matrices of 32 to 256 MB (as they are stored, of the whole layer) once more as
    /// columns where the layer comes behind a ReLU (or does not): of one picture, forward passes then read only the
    /// weights of inputs that are not 0. [`prepare`](Self::prepare) makes these copies, which takes longer than some
    /// tens of runs gain; all sessions of this CPU and its clones share them. On unless turned off; of no account
    /// without [`variants`](Self::variants) and in 64 bit.
    #[must_use]
    pub fn columns(mut self, columns: bool) -> Self {
        self.ways.columns = columns;
        self
    }

    pub(super) fn has_variants(&self) -> bool {
        self.ways.variants
    }

    /// Takes memory for the program and makes its weights ready.
    pub fn prepare(&self, program: &Program) -> CpuSession<F> {
        let mut weights = HashMap::new();
        for step in &program.steps {
            for operand in &step.operands {
                let Operand::Weight(slot) = *operand else { continue };
                let weight = &program.weights[slot.0];
                let layout = Layout::of::<F>(&step.call, weight, self.ways);
                if !weights.contains_key(&(slot, layout))
                    && let Some(ready) = self.weights.ready(weight, layout)
                {
                    weights.insert((slot, layout), ready);
                }
            }
        }
        let floats = |element| {
            let len = |buffer: &crate::program::Buffer| match buffer.element == element {
                true => buffer.len,
                false => 0,
            };
            program.buffers.iter().map(len).collect::<Vec<_>>()
        };
        CpuSession {
            floats: floats(Element::Float).into_iter().map(Aligned::zeros).collect(),
            indices: floats(Element::Index).into_iter().map(|len| vec![0; len]).collect(),
            weights,
            ways: self.ways,
            part: PartOfFilters { of: None, numbers: Vec::new() },
            program: Arc::new(program.clone()),
        }
    }
}

/// `f32` or `f64`, with the output that holds it.
pub trait Number: Float + Pod {
    /// The output of these values.
    fn output(values: &[Self]) -> Output;
}

impl Number for f32 {
    fn output(values: &[Self]) -> Output {
        Output::F32(values.to_vec())
    }
}

impl Number for f64 {
    fn output(values: &[Self]) -> Output {
        Output::F64(values.to_vec())
    }
}

/// A program made ready on the CPU. Runs take little more memory than their outputs.
#[derive(Debug)]
pub struct CpuSession<F> {
    program: Arc<Program>,
    /// One for each buffer of the program; empty where the buffer holds indices.
    floats: Vec<Aligned<F>>,
    /// One for each buffer of the program; empty where the buffer holds floats.
    indices: Vec<Vec<u32>>,
    /// Those that are not read as they are stored, as steps want them.
    weights: HashMap<(WeightSlot, Layout), Arc<Ready<F>>>,
    ways: Ways,
    part: PartOfFilters<F>,
}

/// The part of one layer's filters that steps multiply by. One at a time: the steps that take the
/// same part of a layer come close together, and copies of all layers would double what filters
/// take, while making one anew costs little beside its layer.
#[derive(Debug)]
struct PartOfFilters<F> {
    of: Option<WeightSlot>,
    numbers: Vec<F>,
}

/// A buffer that was taken out of the session while a step writes into it; nothing by default.
#[derive(Default)]
struct Taken<B> {
    buffer: B,
    /// Numbers of the value, and the buffer's place.
    of: Option<(usize, usize)>,
}

impl<B: Default> Taken<B> {
    fn from(buffers: &mut [B], value: Value) -> Self {
        let buffer = std::mem::take(&mut buffers[value.buffer]);
        Self { buffer, of: Some((value.len, value.buffer)) }
    }

    /// The value's numbers.
    fn numbers<T>(&mut self) -> &mut [T]
    where
        B: DerefMut<Target = [T]>,
    {
        &mut self.buffer[..self.of.map_or(0, |(len, _)| len)]
    }

    fn put_back(self, buffers: &mut [B]) {
        if let Some((_, place)) = self.of {
            buffers[place] = self.buffer;
        }
    }
}

/// The sums of a step that are kept although others are joined with it.
fn kept(step: &Step, then: &[Step]) -> Option<Slot> {
    then.first().filter(|next| next.joined == Some(Between::Kept))?;
    match step.operands.last() {
        Some(Operand::Value(slot)) => Some(*slot),
        Some(Operand::Weight(_)) | None => None,
    }
}

/// Lets go of the rows that the step has read where they lie. Those of the largest layers take more
/// than all other memory, and come back from the file's copy in the system's memory fast.
fn release_matrices(program: &Program, step: &Step) {
    for operand in &step.operands {
        let Operand::Weight(weight) = *operand else { continue };
        let weight = &program.weights[weight.0];
        if let (Form::Rows { rows, columns, .. }, Source::Stored(stored)) =
            (&weight.form, &weight.source)
        {
            stored.release_part(rows.start * columns..rows.end * columns);
        }
    }
}

impl<F: Number> Session for CpuSession<F> {
    fn run_watched(&mut self, inputs: &[Input<'_>], watch: &mut Watch<'_>) -> Result<Vec<Output>> {
        assert_eq!(inputs.len(), self.program.inputs.len(), "inputs of the program");
        let program = self.program.clone();
        for (slot, input) in program.inputs.iter().zip(inputs) {
            let value = self.program.values[slot.0];
            match input {
                Input::Float(from) => {
                    let to = &mut self.floats[value.buffer][..value.len];
                    assert_eq!(to.len(), from.len(), "length of an input");
                    parallel::each(to, |i, to| *to = F::from_f32(from[i]));
                }
                Input::Double(from) => {
                    let to = &mut self.floats[value.buffer][..value.len];
                    assert_eq!(to.len(), from.len(), "length of an input");
                    parallel::each(to, |i, to| *to = F::from_f64(from[i]));
                }
                Input::Index(from) => {
                    self.indices[value.buffer][..value.len].copy_from_slice(from);
                }
            }
        }
        let mut done = 0;
        for i in 0..program.steps.len() {
            watch(i, program.steps.len())?;
            if i == done {
                done += self.step(&program.steps[i..]);
            }
            release_matrices(&program, &program.steps[i]);
        }
        let output = |slot: &Slot| match program.values[slot.0].element {
            Element::Float => F::output(self.read(*slot)),
            Element::Index => Output::Index(self.read_index(*slot).to_vec()),
        };
        Ok(program.outputs.iter().map(output).collect())
    }

    fn step_times(&mut self, inputs: &[Input<'_>]) -> Result<Option<Vec<f64>>> {
        let mut times = Vec::with_capacity(self.program.steps.len() + 1);
        self.run_watched(inputs, &mut |_, _| {
            times.push(Instant::now());
            Ok(())
        })?;
        times.push(Instant::now());
        let span = |pair: &[Instant]| (pair[1] - pair[0]).as_secs_f64();
        Ok(Some(times.windows(2).map(span).collect()))
    }
}

impl<F: Number> CpuSession<F> {
    /// Bytes of the weights that were brought into an order of their own, which the sessions of a
    /// network share; matrices take none unless they are held as columns.
    pub fn weight_bytes(&self) -> usize {
        let mut held: Vec<&Arc<Ready<F>>> = self.weights.values().collect();
        held.sort_unstable_by_key(|weight| Arc::as_ptr(weight));
        held.dedup_by(|one, other| Arc::ptr_eq(one, other));
        held.into_iter().map(|weight| weight.bytes()).sum()
    }

    fn read(&self, slot: Slot) -> &[F] {
        let value = self.program.values[slot.0];
        &self.floats[value.buffer][..value.len]
    }

    fn read_index(&self, slot: Slot) -> &[u32] {
        let value = self.program.values[slot.0];
        &self.indices[value.buffer][..value.len]
    }

    /// Runs the first step and those that are joined with it; how many steps that are.
    fn step(&mut self, steps: &[Step]) -> usize {
        let joined = steps[1..].iter().take_while(|step| step.joined.is_some()).count();
        let (step, then) = (&steps[0], &steps[1..=joined]);
        let last = then.last().unwrap_or(step);
        // A kernel writes one or two values of floats and at most one of indices.
        let mut floats = [Taken::default(), Taken::default()];
        let mut index = Taken::default();
        let mut places = floats.iter_mut();
        for (operand, access) in last.operands.iter().zip(last.call.kernel().operands) {
            let Operand::Value(slot) = operand else { continue };
            let value = self.program.values[slot.0];
            match access {
                Access::Write | Access::Update => {
                    let place = places.next().expect("no kernel writes three");
                    *place = Taken::from(&mut self.floats, value);
                }
                Access::WriteIndex => index = Taken::from(&mut self.indices, value),
                Access::Read | Access::ReadWeight | Access::ReadIndex => {}
            }
        }
        let kept = kept(step, then).map(|slot| self.program.values[slot.0]);
        let mut kept = kept.map(|value| Taken::from(&mut self.floats, value));
        self.take_part(step);
        let keep = kept.as_mut().and_then(|kept| F::as_f32_mut(kept.numbers()));
        let keep = keep.map(|keep| Cell::from_mut(keep).as_slice_of_cells());
        let then = Then { keep, steps: &self.epilogues(step, then) };
        self.call(step, then, floats.each_mut().map(Taken::numbers), index.numbers());
        for taken in floats.into_iter().chain(kept) {
            taken.put_back(&mut self.floats);
        }
        index.put_back(&mut self.indices);
        1 + joined
    }

    /// What the joined steps do with the sums of the first.
    fn epilogues(&self, first: &Step, then: &[Step]) -> Vec<Epilogue<&[f32]>> {
        let before = std::iter::once(first).chain(then);
        let steps = before.zip(then).map(|(before, step)| {
            let mut places = epilogue::places(&step.call).iter().copied();
            let place = places.find(|place| step.operands.get(*place) == before.operands.last());
            let operand = |i: usize| {
                let floats = match step.operands[i] {
                    Operand::Value(slot) => self.read(slot),
                    Operand::Weight(slot) => self.ready(step, slot).floats(),
                };
                F::as_f32(floats).expect("steps are joined in 32 bit")
            };
            place.and_then(|place| Epilogue::of(&step.call, place, operand))
        });
        steps.map(|epilogue| epilogue.expect("such steps are joined")).collect()
    }

    fn call(&self, step: &Step, then: Then<'_>, [out, more]: [&mut [F]; 2], out_index: &mut [u32]) {
        let float = |i: usize| match step.operands[i] {
            Operand::Value(slot) => self.read(slot),
            Operand::Weight(slot) => self.ready(step, slot).floats(),
        };
        let index = |i: usize| match step.operands[i] {
            Operand::Value(slot) => self.read_index(slot),
            Operand::Weight(_) => unreachable!("weights are floats"),
        };
        let filters = |i: usize| {
            let Operand::Weight(slot) = step.operands[i] else {
                unreachable!("filters are weights")
            };
            let is_plain = self.layout(step, slot) == Layout::Plain;
            match is_plain && self.part.of == Some(slot) {
                true => Filters::Ready(&self.part.numbers),
                false => self.ready(step, slot).filters(self.program.weights[slot.0].numbers()),
            }
        };
        let matrix = |i: usize| self.matrix(step, i);
        match &step.call {
            Call::Add(p) => add::cpu(p, float(0), float(1), out),
            Call::AddShares(p) => add_shares::cpu(p, float(0), float(1), out),
            Call::Attribution(p) => attribution::cpu(p, float(0), float(1), out),
            Call::AvgPool2d(p) => avg_pool2d::cpu(p, float(0), out),
            Call::AvgPool2dBackward(p) => avg_pool2d_backward::cpu(p, float(0), out),
            Call::BoxDenominators(p) => {
                let [y, a, bounds, constants] = [0, 1, 3, 4].map(float);
                box_denominators::cpu(p, y, a, filters(2), bounds, constants, out);
            }
            Call::BoxRelevance(p) => {
                box_relevance::cpu(p, float(0), filters(1), float(2), float(3), out);
            }
            Call::ChannelAffine(p) => channel_affine::cpu(p, float(0), float(1), float(2), out),
            Call::ChannelConstant(p) => channel_constant::cpu(p, float(0), out),
            Call::ChannelDot(p) => channel_dot::cpu(p, float(0), float(1), out),
            Call::Clamp(p) => clamp::cpu(p, float(0), out),
            Call::Conv2d(p) | Call::Conv2dQuads(p) => {
                conv2d::cpu(p, float(0), filters(1), float(2), then, out);
            }
            Call::Conv2dCooperative(p) => {
                conv2d::cpu(&p.conv, float(0), filters(1), float(2), then, out);
            }
            Call::ConvTranspose2d(p)
            | Call::ConvTranspose2dColors(p)
            | Call::ConvTranspose2dQuads(p) => {
                conv_transpose2d::cpu(p, float(0), filters(1), then, out);
            }
            Call::ConvTranspose2dCooperative(p) => {
                conv_transpose2d::cpu(&p.plain(), float(0), filters(1), then, out);
            }
            Call::CopyChannels(p) => copy_channels::cpu(p, float(0), out),
            Call::DotRows(p) => dot_rows::cpu(p, float(0), float(1), out),
            Call::Gate(p) => gate::cpu(p, float(0), float(1), out),
            Call::Gather(p) => gather::cpu(p, index(0), float(1), out),
            Call::Heatmap(p) => heatmap::cpu(p, float(0), out),
            Call::Largest(p) => largest::cpu(p, float(0), out),
            Call::Leaks(p) => leaks::cpu(p, float(0), float(1), float(2), out),
            Call::Linear(p) => linear::cpu(p, float(0), matrix(1), float(2), out),
            Call::LinearPair(p) => linear_pair::cpu(p, float(0), matrix(1), float(2), out, more),
            Call::LinearTranspose(p) => {
                linear_transpose::cpu(p, float(0), self.rows(step.operands[1]), out);
            }
            Call::LocalResponseNorm(p) => local_response_norm::cpu(p, float(0), out),
            Call::LocalResponseNormBackward(p) => {
                local_response_norm_backward::cpu(p, float(0), float(1), out);
            }
            Call::MaxPool2d(p) => max_pool2d::cpu(p, float(0), out, out_index),
            Call::MaxPool2dBackward(p) => max_pool2d_backward::cpu(p, index(0), float(1), out),
            Call::MultiplyAdd(p) => multiply_add::cpu(p, float(0), float(1), out),
            Call::MultiplyDifference(p) => {
                multiply_difference::cpu(p, float(0), float(1), float(2), out);
            }
            Call::MultiplyPlanes(p) => multiply_planes::cpu(p, float(0), float(1), out),
            Call::OneHot(p) => one_hot::cpu(p, index(0), out),
            Call::Permute(p) => permute::cpu(p, float(0), out),
            Call::Seed(p) => {
                seed::cpu(p, float(0), float(1), float(2), float(3), float(4), out);
            }
            Call::Softmax(p) => softmax::cpu(p, float(0), out),
            Call::StabilizedGate(p) => stabilized_gate::cpu(p, float(0), float(1), out),
            Call::StabilizedRatio(p) => stabilized_ratio::cpu(p, float(0), float(1), out),
            Call::SumRows(p) => sum_rows::cpu(p, float(0), out),
            Call::Tally(p) => tally::cpu(p, float(0), out),
            Call::TopK(p) => top_k::cpu(p, float(0), out_index),
            Call::Upsample2d(p) => upsample2d::cpu(p, float(0), out),
        }
    }

    /// Takes the part of a step's filters, if it takes one and they are floats; of others the twins
    /// take it while they multiply.
    fn take_part(&mut self, step: &Step) {
        for operand in &step.operands {
            let Operand::Weight(weight) = *operand else { continue };
            let (part, gamma) = self.program.weights[weight.0].part;
            if part == Part::All || self.part.of == Some(weight) {
                continue;
            }
            // Panels take it where they are multiplied by.
            let ready = self.weights.get(&(weight, self.layout(step, weight)));
            let Some(Ready::Floats(all)) = ready.map(|ready| &**ready) else { continue };
            self.part.of = Some(weight);
            self.part.numbers.resize(all.len(), F::ZERO);
            parallel::each(&mut self.part.numbers, |i, w| *w = part.of(all[i], F::from_f32(gamma)));
        }
    }

    /// A weight as the step wants it.
    fn ready(&self, step: &Step, slot: WeightSlot) -> &Ready<F> {
        let key = (slot, self.layout(step, slot));
        self.weights.get(&key).expect("all but rows of matrices are made ready")
    }

    /// How the step wants the weight.
    fn layout(&self, step: &Step, slot: WeightSlot) -> Layout {
        Layout::of::<F>(&step.call, &self.program.weights[slot.0], self.ways)
    }

    /// The shard of a matrix, as the step wants it.
    fn matrix(&self, step: &Step, i: usize) -> Matrix<'_> {
        let Operand::Weight(slot) = step.operands[i] else { unreachable!("matrices are weights") };
        match self.layout(step, slot) == Layout::Columns {
            true => Matrix::Columns(self.ready(step, slot).columns()),
            false => Matrix::Rows(self.rows(step.operands[i])),
        }
    }

    /// The shard of a matrix, as it is stored.
    fn rows(&self, operand: Operand) -> Rows<'_> {
        let Operand::Weight(weight) = operand else { unreachable!("matrices are weights") };
        let weight = &self.program.weights[weight.0];
        let Form::Rows { rows, columns, .. } = &weight.form else {
            unreachable!("linear layers read rows")
        };
        weight.numbers().slice(rows.start * columns..rows.end * columns)
    }
}
