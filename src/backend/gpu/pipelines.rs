//! Compute pipelines, made once for each variant of a kernel and each device.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use super::cooperative::Cooperative;
use super::device::Device;
use super::follow::Kinds;
use super::pipelines_on_disk::OnDisk;
use super::spread::Launch;
use crate::error::Result;
use crate::kernels::follow::MOST;
use crate::kernels::{Access, Call, Kernel};
use crate::program::Step;

/// A kernel made ready to run.
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// Which pipeline of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    kernel: &'static str,
    /// Whether it is made with `EXACT`.
    exact: bool,
    /// Whether it multiplies by cooperative matrices.
    cooperates: bool,
    /// Whether it checks its accesses.
    checked: bool,
    /// What it is told of the parameters, in the kernel's order.
    told: Vec<u32>,
    /// Rows and columns of its tiles, where they are not those for all.
    side: Option<u32>,
    /// What is done with its sums.
    follow: Kinds,
}

impl Variant {
    pub(super) fn of(call: &Call, launch: &Launch, checked: bool) -> Self {
        Self {
            kernel: call.kernel().name,
            exact: call.exact(),
            cooperates: call.cooperates(),
            checked,
            told: call.told(),
            side: launch.side,
            follow: launch.follow.kinds,
        }
    }

    /// The constants of its shader.
    fn constants(&self, device: &Device, kernel: &Kernel) -> Result<Vec<(String, f64)>> {
        let told = kernel.told.iter().zip(&self.told);
        let told = told.map(|(name, value)| (name.to_uppercase(), f64::from(*value)));
        let mut constants: Vec<_> = told.collect();
        let mut put = |name: &str, value| constants.push((name.to_owned(), value));
        if self.exact {
            put("EXACT", 1.0);
        }
        if self.cooperates {
            put("LANES", f64::from(Cooperative::lanes_on(device, kernel)?));
        }
        if let Some(side) = self.side {
            put("SIDE", f64::from(side));
        }
        if kernel.follows {
            self.follow.constants().into_iter().for_each(|(name, value)| put(name, value));
        }
        Ok(constants)
    }
}

/// What the kernels' shaders are compiled to.
#[derive(Default)]
pub(super) struct Pipelines {
    made: Mutex<HashMap<Variant, Arc<Pipeline>>>,
    /// Where they are kept for other processes.
    on_disk: OnceLock<OnDisk>,
}

impl Pipelines {
    /// The pipelines of these steps; those that are missing are made, all at once.
    pub(super) fn get(
        &self,
        device: &Device,
        steps: &[Step],
        launches: &[Launch],
        checked: bool,
    ) -> Result<HashMap<Variant, Arc<Pipeline>>> {
        let variants = steps.iter().zip(launches).map(|(step, launch)| {
            let variant = Variant::of(&step.call, launch, checked);
            (variant, step.call.kernel())
        });
        let variants: HashMap<Variant, &Kernel> = variants.collect();
        let known = self.lock().len();
        let cache = self.on_disk.get().map(OnDisk::cache);
        let found = variants.into_par_iter().map(|(variant, kernel)| {
            // The lock is not held while compiling: at worst two sessions make the same one.
            if let Some(pipeline) = self.lock().get(&variant) {
                return Ok((variant, pipeline.clone()));
            }
            let pipeline = Arc::new(Pipeline::new(device, kernel, &variant, cache)?);
            let pipeline = self.lock().entry(variant.clone()).or_insert(pipeline).clone();
            Ok((variant, pipeline))
        });
        let found = found.collect();
        if let Some(on_disk) = self.on_disk.get()
            && self.lock().len() > known
        {
            on_disk.write();
        }
        found
    }

    /// Keeps what is compiled from now on in that folder.
    pub(super) fn keep(&self, device: &Device, folder: &Path) {
        if let Some(on_disk) = OnDisk::open(device, folder) {
            // The first folder counts.
            let _ = self.on_disk.set(on_disk);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Variant, Arc<Pipeline>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipeline {
    fn new(
        device: &Device,
        kernel: &Kernel,
        variant: &Variant,
        cache: Option<&wgpu::PipelineCache>,
    ) -> Result<Self> {
        let checked = variant.checked;
        let constants = variant.constants(device, kernel)?;
        let constants: Vec<_> =
            constants.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let label = Some(kernel.name);
        let handle = &device.handle;
        device.attempt(|| {
            let layout = handle.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label,
                entries: &entries(kernel),
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
                    constants: &constants,
                    // The kernels write their tiles before they read them.
                    zero_initialize_workgroup_memory: checked,
                },
                cache,
            });
            Self { pipeline, layout }
        })
    }
}

/// The uniform `params`, then the operands; what follows has another uniform, and reads.
fn entries(kernel: &Kernel) -> Vec<wgpu::BindGroupLayoutEntry> {
    let uniform = wgpu::BufferBindingType::Uniform;
    let storage =
        |access: &Access| wgpu::BufferBindingType::Storage { read_only: !access.writes() };
    let of_step = std::iter::once(uniform).chain(kernel.operands.iter().map(storage));
    let reads = [storage(&Access::Read); MOST];
    let of_follow = std::iter::once(uniform).chain(reads).filter(|_| kernel.follows);
    let types = of_step.chain(of_follow);
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
