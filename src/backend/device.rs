//! Where programs run: one of the backends, opened by name.

use std::str::FromStr;

use super::Session;
use super::cpu::Cpu;
#[cfg(feature = "gpu")]
use super::gpu::{Choice, Gpu};
use crate::error::{Error, Result};
use crate::program::{Joins, Limits, Program, joins_suit};

/// Bytes of a matrix that the CPU goes through at once.
const MATRIX_BYTES: usize = 64 << 20;

/// An open device. Cheap to clone; clones share weights.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Device {
    /// The CPU in 32 bit.
    Cpu(Cpu<f32>),
    /// The CPU in 64 bit: the reference.
    CpuF64(Cpu<f64>),
    /// A GPU.
    #[cfg(feature = "gpu")]
    Gpu(Gpu),
}

/// Which device to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A real GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU in 32 bit.
    Cpu,
    /// The CPU in 64 bit.
    CpuF64,
    /// A real GPU.
    Gpu,
    /// The GPU with this in its name, a software one included.
    Named(String),
}

#[cfg(feature = "gpu")]
impl From<Gpu> for Device {
    fn from(gpu: Gpu) -> Self {
        Device::Gpu(gpu)
    }
}

impl FromStr for DeviceChoice {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(match name {
            "auto" => DeviceChoice::Auto,
            "cpu" => DeviceChoice::Cpu,
            "gpu" => DeviceChoice::Gpu,
            name => DeviceChoice::Named(name.to_owned()),
        })
    }
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if no GPU suits (never for [`DeviceChoice::Auto`]),
    /// [`Error::Device`] if its driver fails.
    pub fn open(choice: &DeviceChoice) -> Result<Self> {
        match choice {
            DeviceChoice::Auto => match open_gpu(None) {
                Ok(gpu) => Ok(gpu),
                Err(Error::NoAdapter { .. }) => Ok(Device::Cpu(Cpu::new())),
                Err(error) => Err(error),
            },
            DeviceChoice::Cpu => Ok(Device::Cpu(Cpu::new())),
            DeviceChoice::CpuF64 => Ok(Device::CpuF64(Cpu::new())),
            DeviceChoice::Gpu => open_gpu(None),
            DeviceChoice::Named(name) => open_gpu(Some(name)),
        }
    }

    /// Opens a GPU that rounds to 16 bit where that costs little and sums in 32, by cooperative
    /// matrices ("tensor cores").
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::Unsupported`] for a CPU or a GPU without such matrices.
    pub fn open_fast(choice: &DeviceChoice) -> Result<Self> {
        match choice {
            DeviceChoice::Auto | DeviceChoice::Gpu => open_fast_gpu(None),
            DeviceChoice::Named(name) => open_fast_gpu(Some(name)),
            DeviceChoice::Cpu | DeviceChoice::CpuF64 => Err(Error::Unsupported {
                what: "precision fast on the CPU".to_owned(),
                why: "it is for cooperative matrices of GPUs".to_owned(),
            }),
        }
    }

    /// What the device calls itself.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu(_) => "cpu".to_owned(),
            Device::CpuF64(_) => "cpu (f64)".to_owned(),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => gpu.name().to_owned(),
        }
    }

    /// The relative rounding error of its numbers.
    pub(crate) fn roundoff(&self) -> f64 {
        match self {
            Device::CpuF64(_) => f64::EPSILON / 2.0,
            Device::Cpu(_) => f64::from(f32::EPSILON) / 2.0,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => f64::from(f32::EPSILON) / 2.0,
        }
    }

    /// Bytes of each of its numbers.
    pub(crate) fn float_bytes(&self) -> usize {
        match self {
            Device::CpuF64(_) => size_of::<f64>(),
            Device::Cpu(_) => size_of::<f32>(),
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => size_of::<f32>(),
        }
    }

    /// What the device can take in one step.
    pub fn limits(&self) -> Limits {
        match self {
            Device::Cpu(cpu) => {
                let variants = cpu.has_variants();
                Limits {
                    matrix_bytes: MATRIX_BYTES,
                    joins: if variants { self.joins() } else { Joins::None },
                    box_kernels: variants,
                    ..Limits::NONE
                }
            }
            Device::CpuF64(_) => Limits::NONE,
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => Limits {
                binding_bytes: usize::try_from(gpu.max_binding_bytes()).unwrap_or(usize::MAX),
                has_variants: gpu.has_variants(),
                matrix_bytes: usize::MAX,
                cooperative: gpu.cooperates(),
                joins: if gpu.has_variants() { self.joins() } else { Joins::None },
                box_kernels: gpu.has_variants(),
            },
        }
    }

    /// Which steps it can do together.
    fn joins(&self) -> Joins {
        match self {
            Device::Cpu(_) => Joins::Panels,
            Device::CpuF64(_) => Joins::None,
            #[cfg(feature = "gpu")]
            Device::Gpu(_) => Joins::Quads,
        }
    }

    /// Makes a program ready.
    ///
    /// # Errors
    /// [`Error::DeviceMemory`] if it does not fit, [`Error::Device`] if the driver fails,
    /// [`Error::Unsupported`] if it was lowered for a device that does other steps together.
    pub fn prepare(&self, program: &Program) -> Result<Box<dyn Session>> {
        if !joins_suit(program, self.joins()) {
            return Err(Error::Unsupported {
                what: format!("a program with joined steps on {}", self.name()),
                why: "it was lowered for another device".to_owned(),
            });
        }
        Ok(match self {
            Device::Cpu(cpu) => Box::new(cpu.prepare(program)),
            Device::CpuF64(cpu) => Box::new(cpu.prepare(program)),
            #[cfg(feature = "gpu")]
            Device::Gpu(gpu) => Box::new(gpu.prepare(program)?),
        })
    }
}

/// A real GPU, or the one of that name.
#[cfg(feature = "gpu")]
fn open_gpu(name: Option<&str>) -> Result<Device> {
    Ok(Device::Gpu(Gpu::open(&gpu_choice(name))?))
}

/// The same with cooperative matrices.
#[cfg(feature = "gpu")]
fn open_fast_gpu(name: Option<&str>) -> Result<Device> {
    Ok(Device::Gpu(Gpu::open_fast(&gpu_choice(name))?))
}

#[cfg(feature = "gpu")]
fn gpu_choice(name: Option<&str>) -> Choice {
    name.map_or(Choice::Real, |name| Choice::Named(name.to_owned()))
}

#[cfg(not(feature = "gpu"))]
use open_gpu as open_fast_gpu;

#[cfg(not(feature = "gpu"))]
fn open_gpu(name: Option<&str>) -> Result<Device> {
    Err(Error::NoAdapter {
        wanted: name.map_or("GPU".to_owned(), |name| format!("GPU named `{name}`")),
        available: "none: this build is without the feature `gpu`".to_owned(),
    })
}
