//! Runs programs on the GPU through wgpu: Vulkan, Metal and DX12.
//!
//! [`Gpu`] is an open device with what sessions share: compiled kernels and uploaded weights.
//! [`Gpu::prepare`] turns a program into a [`GpuSession`]: one buffer for each of the plan's, a
//! bind group for each step, all parameters in one uniform buffer. A run then writes the inputs,
//! records all steps in one compute pass, copies the outputs to one buffer and waits for it;
//! passes keep their order, so that equal inputs give equal bits on one device.
//!
//! Nothing here panics over a device or prints: adapters that are missing, memory that runs out
//! and drivers that fail are [`Error`](crate::Error)s that name the adapter.

mod adapter;
mod binding;
mod calibration;
mod cooperative;
mod device;
mod follow;
mod kept;
mod pipelines;
mod pipelines_on_disk;
mod session;
mod spread;
mod timing;
mod watchdog;
mod weights;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use adapter::{AdapterInfo, Choice, Kind};
pub use calibration::Tuning;
pub use kept::KeptMap;
pub(crate) use kept::{Form, Keep, Kept};
pub use session::GpuSession;

use crate::error::Result;
use crate::program::Program;

/// An open GPU. Cheap to clone; clones share the device, its compiled kernels and its weights.
///
/// Weights stay on the device as long as a session holds them: sessions of one network share
/// them, and dropping the last one frees them. Until then the session also keeps the weights'
/// host memory (or file mapping) alive.
#[derive(Clone)]
pub struct Gpu {
    shared: Arc<Shared>,
    checked: bool,
    /// Whether kernels for some shapes stand in for those for all.
    variants: bool,
    /// Workgroups that keep it busy.
    busy: u32,
    /// Whether large tiles are faster.
    large_tiles: bool,
}

struct Shared {
    device: device::Device,
    pipelines: pipelines::Pipelines,
    weights: weights::Weights,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu")
            .field("adapter", self.info())
            .field("checked", &self.checked)
            .finish_non_exhaustive()
    }
}

impl Gpu {
    /// The adapters of this machine, software ones included; none where no driver is installed.
    pub fn adapters() -> Vec<AdapterInfo> {
        pollster::block_on(Self::adapters_async())
    }

    /// [`adapters`](Self::adapters) without blocking.
    pub async fn adapters_async() -> Vec<AdapterInfo> {
        let adapters = adapter::all().await;
        adapters.iter().map(|adapter| AdapterInfo::new(&adapter.get_info())).collect()
    }

    /// Opens an adapter.
    ///
    /// # Errors
    /// [`Error::NoAdapter`](crate::Error::NoAdapter) if none suits,
    /// [`Error::Device`](crate::Error::Device) if its driver fails.
    pub fn open(choice: &Choice) -> Result<Self> {
        pollster::block_on(Self::open_async(choice))
    }

    /// [`open`](Self::open) without blocking.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async(choice: &Choice) -> Result<Self> {
        Ok(Self::of(device::Device::open(choice, false).await?))
    }

    /// Opens an adapter that has cooperative matrices ("tensor cores"), and multiplies by them where
    /// sums may be rounded to 16 bit: the forward pass unless something jumps there, denominators
    /// whose terms are of one sign, transposes of relevance; not gradients. Sums are kept in 32 bit, and
    /// powers of two bring each picture's or row's numbers to the middle of what 16 bit hold, so that
    /// ratios neither overflow nor vanish: those below 2^-24 of the largest lose digits, and below 2^-34
    /// they are 0.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::Unsupported`](crate::Error::Unsupported) if the adapter
    /// has no such matrices of 16x16 numbers.
    pub fn open_fast(choice: &Choice) -> Result<Self> {
        Ok(Self::of(pollster::block_on(device::Device::open(choice, true))?))
    }

    /// Uses a device that the app has opened with [`crate::wgpu`], within the limits it was opened
    /// with.
    ///
    /// Its handlers of uncaptured errors and of its loss stay the app's.
    pub fn from_parts(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::of(device::Device::from_parts(device, queue))
    }

    fn of(device: device::Device) -> Self {
        let (pipelines, weights) = Default::default();
        let busy = device.info.kind.busy();
        Self {
            shared: Arc::new(Shared { device, pipelines, weights }),
            checked: false,
            variants: true,
            busy,
            large_tiles: false,
        }
    }

    /// The same GPU, whose kernels check (or do not check) every access, loop and division:
    /// slower, and the same results unless a kernel is wrong. Off unless asked for.
    #[must_use]
    pub fn checked(mut self, checked: bool) -> Self {
        self.checked = checked;
        self
    }

    /// The same GPU, which runs kernels that are made for some shapes, joins steps and has kernels for
    /// z-box (or does not): slower without that, and the same results but for
    /// rounding. On unless turned off.
    #[must_use]
    pub fn variants(mut self, variants: bool) -> Self {
        self.variants = variants;
        self
    }

    /// The same GPU, which so many workgroups are taken to keep busy: where a convolution has fewer
    /// tiles, several share the depth of each. No driver tells the number; unless given it is 256 for
    /// a GPU with memory of its own, less for others. More than 16,384 are taken for as many. The last
    /// bits of results depend on it, and on how many pictures run at once.
    #[must_use]
    pub fn busy(mut self, workgroups: u32) -> Self {
        self.busy = workgroups.min(MOST_BUSY);
        self
    }

    /// The same GPU, which convolves by tiles of 128 x 128 in place of 64 x 64 where they are as many as keep it
    /// [busy](Self::busy). Off unless turned on: they read half as much for each product, but some GPUs run
    /// fewer of them at once. Without effect where its workgroups cannot have 256 invocations and 18,944 bytes.
    #[must_use]
    pub fn large_tiles(mut self, large_tiles: bool) -> Self {
        self.large_tiles = large_tiles;
        self
    }

    /// What suits this GPU, as some convolutions tell that are run for it: a few seconds, and some 200 MB of its
    /// memory. To be kept for later: it is the same as long as GPU and driver are.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn measure(&self) -> Result<Tuning> {
        calibration::measure(self)
    }

    /// The same GPU, used as was [measured](Self::measure).
    #[must_use]
    pub fn tuned(self, tuning: Tuning) -> Self {
        self.busy(tuning.busy).large_tiles(tuning.large_tiles.unwrap_or(false))
    }

    /// Keeps compiled kernels in a file in this folder from process to process, where the driver can
    /// do that (Vulkan's), so that the next one need not compile them. Clones share it; what was
    /// compiled before is not kept. A folder that is not there, or cannot be read or written, and a file
    /// that is damaged are as good as none. Nobody else should be able to write there: drivers trust
    /// what they have made.
    pub fn keep_kernels(&self, folder: impl AsRef<Path>) {
        self.shared.pipelines.keep(&self.shared.device, folder.as_ref());
    }

    pub(super) fn has_variants(&self) -> bool {
        self.variants
    }

    pub(super) fn cooperates(&self) -> bool {
        self.shared.device.cooperative.is_some()
    }

    /// The adapter that was opened.
    pub fn info(&self) -> &AdapterInfo {
        &self.shared.device.info
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.info().name
    }

    /// The most bytes that one weight or value may have; larger matrices are split into shards.
    pub fn max_binding_bytes(&self) -> u64 {
        self.shared.device.max_binding_bytes()
    }

    /// Takes the program's memory, uploads its weights, compiles its kernels.
    ///
    /// # Errors
    /// [`Error::DeviceMemory`](crate::Error::DeviceMemory) if something does not fit,
    /// [`Error::Unsupported`](crate::Error::Unsupported) if a layer is too large to launch,
    /// [`Error::Device`](crate::Error::Device) if the driver fails.
    pub fn prepare(&self, program: &Program) -> Result<GpuSession> {
        GpuSession::new(self, program)
    }
}

/// Workgroups that a GPU is taken to need at most: no dimension may have more than 65,535.
const MOST_BUSY: u32 = 16_384;

/// What values and weights are used for: kernels, uploads, and copies to the outputs.
const COPIED_STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);

/// Bytes of that many numbers; one at least, because buffers and bindings cannot be empty.
fn bytes(len: usize) -> u64 {
    len.max(1) as u64 * 4
}
