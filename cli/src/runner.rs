//! Pictures through a network, batch by batch.

use std::path::PathBuf;

use clrp::Explainer;
use clrp::backend::Device;
use clrp::graph::Network;
use clrp::image::Preprocess;
use clrp::rules::{Composite, preset};
use indicatif::ProgressBar;

use crate::failure::{Failure, Result};
use crate::network::resized;
use crate::options::MethodOptions;
use crate::pictures::{Loaded, load};

/// A network on a device, and how pictures come to it.
pub(crate) struct Runner<'a> {
    pub(crate) network: Network,
    pub(crate) device: Device,
    pub(crate) composite: Composite,
    pub(crate) preprocess: Preprocess,
    pub(crate) batch: usize,
    pub(crate) seed: u64,
    /// The numbers of methods; the usual ones unless given.
    pub(crate) methods: Option<&'a MethodOptions>,
}

impl Runner<'static> {
    /// With the usual rules and numbers.
    pub(crate) fn usual(
        network: Network,
        device: Device,
        preprocess: Preprocess,
        batch: usize,
    ) -> Result<Self> {
        let composite = preset("contrastive")?;
        Ok(Self { network, device, composite, preprocess, batch, seed: 0, methods: None })
    }
}

impl Runner<'_> {
    /// The network for pictures of its own size.
    pub(crate) fn explainer(&self) -> Result<Explainer> {
        Ok(self.build(self.network.clone())?)
    }

    fn build(&self, network: Network) -> clrp::Result<Explainer> {
        let builder = Explainer::builder(network, self.preprocess)
            .composite(self.composite.clone())
            .device(self.device.clone())
            .max_batch(self.batch)
            .seed(self.seed);
        match self.methods {
            Some(methods) => methods.apply(builder).build(),
            None => builder.build(),
        }
    }

    /// The network for the picture's size.
    fn explainer_for(&self, picture: &Loaded) -> Result<Explainer> {
        let name = picture.path.display().to_string();
        let network = resized(&self.network, picture.input.shape(), &name)
            .map_err(|error| Failure::about(&picture.path, error))?;
        Ok(self.build(network)?)
    }

    /// Loads the pictures and gives batches of one size to `each`, in order. Where a picture
    /// cannot be loaded, those before it are done first.
    pub(crate) fn process(
        &self,
        paths: &[PathBuf],
        bar: &ProgressBar,
        mut each: impl FnMut(&Explainer, &[Loaded]) -> Result<()>,
    ) -> Result<()> {
        let mut current: Option<Explainer> = None;
        let mut flush = |pending: &mut Vec<Loaded>| -> Result<()> {
            let Some(first) = pending.first() else { return Ok(()) };
            let suits = |explainer: &Explainer| {
                explainer.network().graph().input_shape() == first.input.shape()
            };
            let explainer = match current.take() {
                Some(explainer) if suits(&explainer) => explainer,
                _ => self.explainer_for(first)?,
            };
            each(&explainer, pending)?;
            bar.inc(pending.len() as u64);
            pending.clear();
            current = Some(explainer);
            Ok(())
        };
        let mut pending: Vec<Loaded> = Vec::new();
        for path in paths {
            let loaded = load(path, &self.preprocess);
            let joins = pending.len() < self.batch
                && loaded.as_ref().is_ok_and(|loaded| {
                    pending.iter().all(|other| other.input.shape() == loaded.input.shape())
                });
            if !joins {
                flush(&mut pending)?;
            }
            pending.push(loaded?);
        }
        flush(&mut pending)?;
        bar.finish_and_clear();
        Ok(())
    }
}
