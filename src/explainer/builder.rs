//! What an explainer is made of.

use super::recent::Recent;
use super::split::VALUE_BYTES;
use super::target::find_layer;
use super::{Explainer, Sampling};
use crate::backend::Device;
use crate::backend::cpu::Cpu;
#[cfg(feature = "gpu")]
use crate::backend::gpu::Gpu;
use crate::error::Result;
use crate::graph::Network;
use crate::image::Preprocess;
use crate::program::{Bounds, Upsampling};
use crate::rules::{BatchNorm, Composite, fold_batch_norm, preset};

/// Builds an [`Explainer`].
#[derive(Clone, Debug)]
pub struct ExplainerBuilder {
    network: Network,
    preprocess: Preprocess,
    composite: Option<Composite>,
    device: Device,
    max_batch: usize,
    seed: u64,
    sampling: Sampling,
    cam_layer: Option<String>,
    upsampling: Upsampling,
    value_bytes: usize,
}

impl ExplainerBuilder {
    /// Uses these rules instead of the preset `contrastive`.
    #[must_use]
    pub fn composite(self, composite: Composite) -> Self {
        Self { composite: Some(composite), ..self }
    }

    /// Runs on this device.
    #[must_use]
    pub fn device(self, device: impl Into<Device>) -> Self {
        Self { device: device.into(), ..self }
    }

    /// Runs on a device that the app has opened by [`crate::wgpu`], within the limits it was opened
    /// with: `required_limits: adapter.limits()` suits large networks.
    ///
    /// ```
    /// use clrp::{Explainer, ExplainerBuilder, wgpu};
    ///
    /// # fn example(
    /// #     builder: ExplainerBuilder,
    /// #     (device, queue): (wgpu::Device, wgpu::Queue),
    /// # ) -> clrp::Result<Explainer> {
    /// // wgpu's handles are cheap to clone; the app keeps its own.
    /// builder.with_device(device.clone(), queue.clone()).build()
    /// # }
    /// ```
    #[cfg(feature = "gpu")]
    #[must_use]
    pub fn with_device(self, device: wgpu::Device, queue: wgpu::Queue) -> Self {
        self.device(Gpu::from_parts(device, queue))
    }

    /// Takes at most this many pictures, or samples of a picture, at once (8 by default); fewer
    /// where a run's values would take more than [`value_bytes`](Self::value_bytes).
    #[must_use]
    pub fn max_batch(self, max_batch: usize) -> Self {
        Self { max_batch: max_batch.max(1), ..self }
    }

    /// Lets a run's values take about so many bytes (320 MiB by default): pictures, targets and
    /// samples that would need more go one after the other.
    #[must_use]
    pub fn value_bytes(self, value_bytes: usize) -> Self {
        Self { value_bytes, ..self }
    }

    /// Seeds [`Method::Random`](crate::Method::Random), SmoothGrad's noise and RISE's masks.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The numbers of sampled methods.
    #[must_use]
    pub fn sampling(self, sampling: Sampling) -> Self {
        Self { sampling, ..self }
    }

    /// The layer that Grad-CAM looks at, instead of the nearest one with positions through which
    /// everything goes that the target is made of. The target must depend on it.
    #[must_use]
    pub fn cam_layer(self, layer: impl Into<String>) -> Self {
        Self { cam_layer: Some(layer.into()), ..self }
    }

    /// How Grad-CAM's plane is brought to the size of the picture; bilinearly unless given.
    #[must_use]
    pub fn upsampling(self, upsampling: Upsampling) -> Self {
        Self { upsampling, ..self }
    }

    /// Checks that the rules suit the network.
    ///
    /// # Errors
    /// [`Error::RuleMismatch`](crate::Error::RuleMismatch) if they do not,
    /// [`Error::UnknownName`](crate::Error::UnknownName) for a layer that the network
    /// does not have, [`Error::Setting`](crate::Error::Setting) for numbers that make no sense.
    pub fn build(self) -> Result<Explainer> {
        let composite = match self.composite {
            Some(composite) => composite,
            None => preset("contrastive")?,
        };
        let network = match composite.batch_norm() {
            BatchNorm::Bypass => self.network,
            BatchNorm::Fold => fold_batch_norm(&self.network)?,
        };
        composite.assign(network.graph())?;
        self.preprocess.check_normalization()?;
        self.sampling.check()?;
        let cam_layer = self.cam_layer.map(|layer| find_layer(network.graph(), &layer));
        let widened = |bounds: [f32; 3]| bounds.map(f64::from).to_vec();
        let bounds =
            Bounds { low: widened(self.preprocess.low()), high: widened(self.preprocess.high()) };
        Ok(Explainer {
            cam_layer: cam_layer.transpose()?,
            network,
            preprocess: self.preprocess,
            composite,
            device: self.device,
            bounds,
            max_batch: self.max_batch,
            seed: self.seed,
            sampling: self.sampling,
            upsampling: self.upsampling,
            value_bytes: self.value_bytes,
            recent: Recent::default(),
        })
    }
}

impl Explainer {
    /// Starts with the preset `contrastive` on the CPU. The preprocessing says how pictures become
    /// inputs, and so which values those can have.
    pub fn builder(network: Network, preprocess: Preprocess) -> ExplainerBuilder {
        ExplainerBuilder {
            network,
            preprocess,
            composite: None,
            device: Device::Cpu(Cpu::new()),
            max_batch: 8,
            seed: 0,
            sampling: Sampling::default(),
            cam_layer: None,
            upsampling: Upsampling::default(),
            value_bytes: VALUE_BYTES,
        }
    }
}
