//! What steps read and write: the plan's buffers, the parameters, and a bind group for each step.

use std::sync::Arc;

use super::device::Device;
use super::follow::Follow;
use super::spread::Launch;
use super::weights::Resident;
use super::{COPIED_STORAGE, bytes};
use crate::error::Result;
use crate::kernels::follow::MOST;
use crate::program::{Operand, Program, Step};

/// One buffer for each of the program's.
pub(super) fn buffers(device: &Device, program: &Program) -> Result<Vec<wgpu::Buffer>> {
    let layer = |buffer: usize| {
        let largest = |operand: &Operand| match operand {
            Operand::Value(slot) => {
                let value = program.values[slot.0];
                value.buffer == buffer && value.len == program.buffers[buffer].len
            }
            Operand::Weight(_) => false,
        };
        let step = program.steps.iter().find(|step| step.operands.iter().any(largest));
        match step {
            Some(step) => format!("values of layer `{}`", program.layers[step.layer]),
            None => "values".to_owned(),
        }
    };
    let buffers = program
        .buffers
        .iter()
        .enumerate()
        .map(|(i, buffer)| device.buffer(bytes(buffer.len), COPIED_STORAGE, || layer(i)));
    buffers.collect()
}

/// What the steps' operands are.
pub(super) struct Resources<'a> {
    pub(super) program: &'a Program,
    pub(super) buffers: &'a [wgpu::Buffer],
    pub(super) weights: &'a [Arc<Resident>],
    pub(super) params: Params,
}

impl Resources<'_> {
    /// The bind group of step `i`.
    pub(super) fn bind(
        &self,
        handle: &wgpu::Device,
        i: usize,
        (step, follow): (&Step, &Follow),
        layout: &wgpu::BindGroupLayout,
    ) -> wgpu::BindGroup {
        debug_assert!(self.no_buffer_is_read_and_written(step, follow), "operands of {step:?}");
        let operands = step.operands.iter().map(|operand| self.binding(*operand));
        let of_step = std::iter::once(self.params.binding(i)).chain(operands);
        // In places that nothing reads something has to stand that nothing writes.
        let unused = step.operands[0];
        let reads = follow.reads.iter().copied().chain(std::iter::repeat(unused));
        let reads = reads.take(MOST).map(|operand| self.binding(operand));
        let of_follow = self.params.follow(i).into_iter().chain(reads);
        let of_follow = of_follow.filter(|_| step.call.kernel().follows);
        let bindings = of_step.chain(of_follow);
        let entry = |(binding, buffer)| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(buffer),
        };
        let entries: Vec<_> = (0..).zip(bindings).map(entry).collect();
        let label = Some(step.call.kernel().name);
        handle.create_bind_group(&wgpu::BindGroupDescriptor { label, layout, entries: &entries })
    }

    fn binding(&self, operand: Operand) -> wgpu::BufferBinding<'_> {
        match operand {
            Operand::Value(slot) => {
                let value = self.program.values[slot.0];
                let size = wgpu::BufferSize::new(bytes(value.len));
                wgpu::BufferBinding { buffer: &self.buffers[value.buffer], offset: 0, size }
            }
            Operand::Weight(slot) => self.weights[slot.0].buffer.as_entire_buffer_binding(),
        }
    }

    /// The memory plan's promise, without which wgpu refuses the dispatch.
    fn no_buffer_is_read_and_written(&self, step: &Step, follow: &Follow) -> bool {
        let buffer = |operand: &Operand| match operand {
            Operand::Value(slot) => Some(self.program.values[slot.0].buffer),
            Operand::Weight(_) => None,
        };
        let operands = || step.operands.iter().map(buffer).zip(step.call.kernel().operands);
        let mut written = operands().filter(|(_, access)| access.writes());
        written.all(|(at, _)| {
            let others = follow.reads.iter().map(buffer);
            operands().map(|(other, _)| other).chain(others).filter(|other| *other == at).count()
                == 1
        })
    }
}

/// The parameters of all steps in one uniform buffer.
pub(super) struct Params {
    buffer: wgpu::Buffer,
    /// Where each step's begin and how many bytes they take.
    places: Vec<(u64, u64)>,
    /// The same for those of what follows, where something can.
    of_follows: Vec<Option<(u64, u64)>>,
}

/// Uniform bindings start at multiples of this on every device.
const UNIFORM_ALIGNMENT: usize = 256;

impl Params {
    pub(super) fn upload(device: &Device, steps: &[Step], launches: &[Launch]) -> Result<Self> {
        let mut words: Vec<u32> = Vec::new();
        let mut put = |own: &[u32]| {
            // Drivers round the size of a uniform block up to 16 bytes.
            let place = (words.len() as u64 * 4, own.len().next_multiple_of(4) as u64 * 4);
            words.extend(own);
            words.resize(words.len().next_multiple_of(UNIFORM_ALIGNMENT / 4), 0);
            place
        };
        let (mut places, mut of_follows) = (Vec::new(), Vec::new());
        for (step, launch) in steps.iter().zip(launches) {
            places.push(put(&step.call.words()));
            of_follows.push(step.call.kernel().follows.then(|| put(&launch.follow.words())));
        }
        words.resize(words.len().max(1), 0);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let size = bytes(words.len());
        let buffer = device.buffer(size, usage, || "the kernels' parameters".to_owned())?;
        device.attempt(|| {
            device.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
        })?;
        Ok(Self { buffer, places, of_follows })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.buffer.size()
    }

    fn binding(&self, i: usize) -> wgpu::BufferBinding<'_> {
        self.at(self.places[i])
    }

    fn follow(&self, i: usize) -> Option<wgpu::BufferBinding<'_>> {
        self.of_follows[i].map(|place| self.at(place))
    }

    fn at(&self, (offset, size): (u64, u64)) -> wgpu::BufferBinding<'_> {
        let size = wgpu::BufferSize::new(size);
        wgpu::BufferBinding { buffer: &self.buffer, offset, size }
    }
}
