//! What each step takes, by the device's own clock.

use std::ops::Range;

use super::GpuSession;
use crate::backend::Input;
use crate::error::Result;

/// Steps that are timed in one submission; a device counts 4096 times in a set, two for each.
const AT_ONCE: usize = 1024;

impl GpuSession {
    /// Runs the program once, each step in a pass of its own; what each takes, in seconds. None where
    /// the device has no clock that passes can read.
    pub(super) fn timed(&mut self, inputs: &[Input<'_>]) -> Result<Option<Vec<f64>>> {
        let device = &self.gpu.shared.device;
        if !device.handle.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        device.alive()?;
        self.write_inputs(inputs)?;
        let mut seconds = Vec::with_capacity(self.dispatches.len());
        for piece in &self.submissions {
            for first in piece.clone().step_by(AT_ONCE) {
                let steps = first..piece.end.min(first + AT_ONCE);
                seconds.extend(self.timed_piece(steps)?);
            }
        }
        let of_step = |dispatches: &Range<usize>| seconds[dispatches.clone()].iter().sum();
        Ok(Some(self.steps_of.iter().map(of_step).collect()))
    }

    fn timed_piece(&self, steps: Range<usize>) -> Result<Vec<f64>> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let device = &self.gpu.shared.device;
        let count = 2 * u32::try_from(steps.len()).expect("as many as fit into one set");
        let size = u64::from(count) * wgpu::QUERY_SIZE as u64;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let name = || "the times of steps".to_owned();
        let resolved = device.buffer(size, usage, name)?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = device.buffer(size, usage, name)?;
        let submission = device.attempt(|| {
            let set = device.handle.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let mut encoder = device.handle.create_command_encoder(&Default::default());
            for (begin, dispatch) in (0..).step_by(2).zip(&self.dispatches[steps]) {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &set,
                        beginning_of_pass_write_index: Some(begin),
                        end_of_pass_write_index: Some(begin + 1),
                    }),
                });
                dispatch.record(&mut pass);
            }
            encoder.resolve_query_set(&set, 0..count, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &readback, 0, size);
            device.queue.submit([encoder.finish()])
        })?;
        let ticks: Vec<u64> = device.read(&readback, submission, bytemuck::pod_collect_to_vec)?;
        let tick = f64::from(device.queue.get_timestamp_period()) * 1e-9;
        // A clock that was set back tells nothing.
        let spans = ticks.chunks_exact(2).map(|span| span[1].saturating_sub(span[0]));
        Ok(spans.map(|ticks| ticks as f64 * tick).collect())
    }
}
