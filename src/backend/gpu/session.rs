//! A program made ready on a GPU, and how it runs.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::binding::{Params, Resources, buffers};
use super::pipelines::{Pipeline, Variant};
use super::spread::{Means, Spread, spread};
use super::weights::Resident;
use super::{Gpu, Keep, Kept, bytes, kept, watchdog};
use crate::backend::{Input, Output, Session, Watch};
use crate::error::{Error, Result};
use crate::kernels::{Call, conv2d_quads};
use crate::program::{Element, Program, Slot, Value};

/// A program made ready on a GPU: its memory taken, weights in place, pipelines built.
pub struct GpuSession {
    pub(super) gpu: Gpu,
    pub(super) dispatches: Vec<Dispatch>,
    /// The dispatches of each step.
    pub(super) steps_of: Vec<Range<usize>>,
    /// Ranges of dispatches.
    pub(super) submissions: Vec<Range<usize>>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    readback: wgpu::Buffer,
    bytes: u64,
    /// Kept for the other sessions that want them.
    weights: Vec<Arc<Resident>>,
}

/// A step, or a part of one, with all that it needs.
pub(super) struct Dispatch {
    pipeline: Arc<Pipeline>,
    bindings: wgpu::BindGroup,
    workgroups: [u32; 3],
}

impl Dispatch {
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.workgroups;
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// A value that comes from the caller or goes to it.
struct Port {
    element: Element,
    len: usize,
    buffer: wgpu::Buffer,
}

impl fmt::Debug for GpuSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuSession")
            .field("gpu", &self.gpu)
            .field("steps", &self.steps_of.len())
            .field("submissions", &self.submissions.len())
            .finish_non_exhaustive()
    }
}

impl GpuSession {
    /// Bytes of device memory that this session alone takes: all but the weights.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the weights on the device, which sessions share.
    pub fn weight_bytes(&self) -> u64 {
        let first = |(i, weight): &(usize, &Arc<Resident>)| {
            !self.weights[..*i].iter().any(|earlier| Arc::ptr_eq(earlier, weight))
        };
        let held = self.weights.iter().enumerate().filter(first);
        held.map(|(_, weight)| weight.buffer.size()).sum()
    }

    /// How many pieces a run is submitted in: one, unless a watchdog would end it.
    pub fn submissions(&self) -> usize {
        self.submissions.len()
    }

    pub(super) fn new(gpu: &Gpu, program: &Program) -> Result<Self> {
        let shared = &gpu.shared;
        let device = &shared.device;
        device.alive()?;
        check_workgroups(gpu, program)?;
        let numbers = usize::try_from(device.max_binding_bytes() / 4).unwrap_or(usize::MAX);
        let large_tiles = gpu.large_tiles && has_room_for_large_tiles(&device.limits);
        let means = Means { busy: gpu.busy, numbers, large_tiles };
        let spread = spread(program, means).ok_or_else(|| Error::Unsupported {
            what: format!("a program with joined steps on {}", gpu.name()),
            why: "it was lowered for another device".to_owned(),
        })?;
        let Spread { program, launches, steps_of, .. } = &spread;
        // Weights are on their way while the shaders are compiled.
        let (pipelines, weights) = rayon::join(
            || shared.pipelines.get(device, &program.steps, launches, gpu.checked),
            || shared.weights.get(device, &program.weights),
        );
        let (pipelines, weights) = (pipelines?, weights?);
        let buffers = buffers(device, program)?;
        let params = Params::upload(device, &program.steps, launches)?;
        let resources = Resources { program, buffers: &buffers, weights: &weights, params };
        let dispatches = device.attempt(|| {
            let steps = program.steps.iter().zip(launches).enumerate();
            steps
                .map(|(i, (step, launch))| {
                    let variant = Variant::of(&step.call, launch, gpu.checked);
                    let pipeline = pipelines[&variant].clone();
                    let layout = &pipeline.layout;
                    let bindings =
                        resources.bind(&device.handle, i, (step, &launch.follow), layout);
                    Dispatch { pipeline, bindings, workgroups: launch.workgroups }
                })
                .collect()
        })?;
        let port = |slot: &Slot| {
            let Value { element, len, buffer } = program.values[slot.0];
            Port { element, len, buffer: buffers[buffer].clone() }
        };
        let outputs: Vec<Port> = program.outputs.iter().map(port).collect();
        let out_len = outputs.iter().map(|port| port.len).sum();
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = device.buffer(bytes(out_len), usage, || "the outputs".to_owned())?;
        let own = buffers.iter().map(wgpu::Buffer::size).sum::<u64>();
        Ok(Self {
            gpu: gpu.clone(),
            dispatches,
            steps_of: steps_of.clone(),
            submissions: watchdog::submissions(&program.steps),
            inputs: program.inputs.iter().map(port).collect(),
            outputs,
            bytes: own + resources.params.bytes() + readback.size(),
            readback,
            weights,
        })
    }

    pub(super) fn write_inputs(&self, inputs: &[Input<'_>]) -> Result<()> {
        assert_eq!(inputs.len(), self.inputs.len(), "inputs of the program");
        let device = &self.gpu.shared.device;
        device.attempt(|| {
            for (port, input) in self.inputs.iter().zip(inputs) {
                let bytes = port.bytes_of(input);
                if !bytes.is_empty() {
                    device.queue.write_buffer(&port.buffer, 0, &bytes);
                }
            }
        })
    }

    /// Sends the inputs and the steps; the outputs are copied after the last one. Two pieces are in
    /// flight at most, so that `watch` tells of what is done, and can end the run.
    fn submit(
        &self,
        inputs: &[Input<'_>],
        watch: &mut Watch<'_>,
        copy_outputs: &dyn Fn(&mut wgpu::CommandEncoder),
    ) -> Result<Option<wgpu::SubmissionIndex>> {
        let device = &self.gpu.shared.device;
        self.write_inputs(inputs)?;
        let (mut before, mut last) = (None, None);
        for i in 0..self.submissions.len() {
            if let Some(before) = before.take() {
                device.wait(before)?;
            }
            watch(i.saturating_sub(1), self.submissions.len())?;
            before = last.take();
            last = Some(device.attempt(|| self.submit_piece(i, copy_outputs))?);
        }
        Ok(last)
    }

    fn submit_piece(
        &self,
        i: usize,
        copy_outputs: &dyn Fn(&mut wgpu::CommandEncoder),
    ) -> wgpu::SubmissionIndex {
        let device = &self.gpu.shared.device;
        let steps = &self.submissions[i];
        let mut encoder = device.handle.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for dispatch in &self.dispatches[steps.clone()] {
            dispatch.record(&mut pass);
        }
        drop(pass);
        if i + 1 == self.submissions.len() {
            copy_outputs(&mut encoder);
        }
        device.queue.submit([encoder.finish()])
    }

    /// Copies the outputs to where they are read, except those that stay.
    fn copy_outputs(&self, encoder: &mut wgpu::CommandEncoder, stays: &dyn Fn(usize) -> bool) {
        let mut offset = 0;
        let read = self.outputs.iter().enumerate().filter(|(i, port)| port.len > 0 && !stays(*i));
        for (_, port) in read {
            let size = port.len as u64 * 4;
            encoder.copy_buffer_to_buffer(&port.buffer, 0, &self.readback, offset, size);
            offset += size;
        }
    }

    /// The outputs as they were copied; empty ones in place of those that stay.
    fn outputs_of(&self, bytes: &[u8], stays: &dyn Fn(usize) -> bool) -> Vec<Output> {
        let mut offset = 0;
        let outputs = self.outputs.iter().enumerate().map(|(i, port)| {
            let len = if stays(i) { 0 } else { port.len * 4 };
            let bytes = &bytes[offset..offset + len];
            offset += len;
            match port.element {
                Element::Float => Output::F32(bytemuck::pod_collect_to_vec(bytes)),
                Element::Index => Output::Index(bytemuck::pod_collect_to_vec(bytes)),
            }
        });
        outputs.collect()
    }
}

impl GpuSession {
    /// Runs the program once; parts of outputs stay on the GPU, and nothing of those outputs is
    /// read.
    pub(crate) fn run_keeping(
        &mut self,
        inputs: &[Input<'_>],
        watch: &mut Watch<'_>,
        keep: &[Keep],
    ) -> Result<(Vec<Output>, Vec<Kept>)> {
        let device = &self.gpu.shared.device;
        device.alive()?;
        let room = kept::room(device, keep)?;
        let stays = |output| keep.iter().any(|keep| keep.output == output);
        let copy_outputs = |encoder: &mut wgpu::CommandEncoder| {
            self.copy_outputs(encoder, &stays);
            for (keep, room) in keep.iter().zip(&room) {
                kept::copy(encoder, &self.outputs[keep.output].buffer, keep, room);
            }
        };
        let last = self.submit(inputs, watch, &copy_outputs)?;
        let last = last.expect("there is a submission even for no steps");
        let outputs = device.read(&self.readback, last, |bytes| self.outputs_of(bytes, &stays))?;
        Ok((outputs, room))
    }
}

impl Session for GpuSession {
    fn run_watched(&mut self, inputs: &[Input<'_>], watch: &mut Watch<'_>) -> Result<Vec<Output>> {
        Ok(self.run_keeping(inputs, watch, &[])?.0)
    }

    fn step_times(&mut self, inputs: &[Input<'_>]) -> Result<Option<Vec<f64>>> {
        self.timed(inputs)
    }

    fn as_gpu(&mut self) -> Option<&mut GpuSession> {
        Some(self)
    }
}

impl Port {
    /// # Panics
    /// If the input does not fit.
    fn bytes_of<'a>(&self, input: &Input<'a>) -> Cow<'a, [u8]> {
        let (element, bytes) = match *input {
            Input::Float(values) => (Element::Float, Cow::Borrowed(bytemuck::cast_slice(values))),
            Input::Double(values) => {
                let rounded: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                (Element::Float, Cow::Owned(bytemuck::cast_slice(&rounded).to_vec()))
            }
            Input::Index(values) => (Element::Index, Cow::Borrowed(bytemuck::cast_slice(values))),
        };
        assert_eq!(element, self.element, "type of an input");
        assert_eq!(bytes.len(), self.len * 4, "bytes of an input");
        bytes
    }
}

/// Whether workgroups can have tiles of 128 x 128.
fn has_room_for_large_tiles(limits: &wgpu::Limits) -> bool {
    limits.max_compute_invocations_per_workgroup >= conv2d_quads::LARGE_INVOCATIONS
        && limits.max_compute_workgroup_size_x >= conv2d_quads::LARGE_INVOCATIONS
        && limits.max_compute_workgroup_storage_size >= conv2d_quads::LARGE_BYTES
}

/// Refuses steps that need more workgroups than the device can count.
fn check_workgroups(gpu: &Gpu, program: &Program) -> Result<()> {
    let most = gpu.shared.device.limits.max_compute_workgroups_per_dimension;
    let too_many = |call: &Call| call.workgroups().into_iter().any(|count| count > most);
    match program.steps.iter().find(|step| too_many(&step.call)) {
        None => Ok(()),
        Some(step) => Err(Error::Unsupported {
            what: format!(
                "layer `{}` at this size on `{}`",
                program.layers[step.layer],
                gpu.name()
            ),
            why: format!(
                "its `{}` takes {:?} workgroups, the device allows {most} along a dimension",
                step.call.kernel().name,
                step.call.workgroups()
            ),
        }),
    }
}
