//! Compute pipelines, made once for each kernel and device.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::device::Device;
use crate::error::Result;
use crate::kernels::{Access, Kernel};

/// A kernel made ready to run.
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// What the kernels' shaders are compiled to, by name and by whether they check their accesses.
#[derive(Default)]
pub(super) struct Pipelines {
    made: Mutex<HashMap<(&'static str, bool), Arc<Pipeline>>>,
}

impl Pipelines {
    /// The pipelines of these kernels, by name; those that are missing are made, all at once.
    pub(super) fn get(
        &self,
        device: &Device,
        kernels: impl Iterator<Item = &'static Kernel>,
        checked: bool,
    ) -> Result<HashMap<&'static str, Arc<Pipeline>>> {
        let mut names = HashSet::new();
        let kernels: Vec<_> = kernels.filter(|kernel| names.insert(kernel.name)).collect();
        let found = kernels.into_par_iter().map(|kernel| {
            let key = (kernel.name, checked);
            // The lock is not held while compiling: at worst two sessions make the same one.
            if let Some(pipeline) = self.lock().get(&key) {
                return Ok((kernel.name, pipeline.clone()));
            }
            let pipeline = Arc::new(Pipeline::new(device, kernel, checked)?);
            Ok((kernel.name, self.lock().entry(key).or_insert(pipeline).clone()))
        });
        found.collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(&'static str, bool), Arc<Pipeline>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    fn new(device: &Device, kernel: &Kernel, checked: bool) -> Result<Self> {
        let label = Some(kernel.name);
        let handle = &device.handle;
        device.attempt(|| {
            let layout = handle.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label,
                entries: &entries(kernel.operands),
            });
            let pipeline_layout = handle.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = handle.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&pipeline_layout),
                module: &module(handle, kernel, checked),
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &[],
                    // The kernels write their tiles before they read them.
                    zero_initialize_workgroup_memory: checked,
                },
                cache: None,
            });
            Self { pipeline, layout }
        })
    }
}

/// The uniform `params`, then the operands.
fn entries(operands: &[Access]) -> Vec<wgpu::BindGroupLayoutEntry> {
    let uniform = wgpu::BufferBindingType::Uniform;
    let storage =
        |access: &Access| wgpu::BufferBindingType::Storage { read_only: !access.writes() };
    let types = std::iter::once(uniform).chain(operands.iter().map(storage));
    let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    (0..).zip(types).map(entry).collect()
}

fn module(handle: &wgpu::Device, kernel: &Kernel, checked: bool) -> wgpu::ShaderModule {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(kernel.name),
        source: wgpu::ShaderSource::Wgsl(kernel.source.into()),
    };
    if checked {
        return handle.create_shader_module(descriptor);
    }
    // SAFETY: the shaders are this library's own and checked against their twins in tests, with
    // and without checks: they stay inside their operands, their loops end, they do not divide by
    // zero.
    #[expect(unsafe_code, reason = "checks make the kernels a third longer; see SAFETY")]
    unsafe {
        handle.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
    }
}
