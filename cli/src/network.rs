//! From `--model` and `--weights` to a network.

use std::path::Path;

use clrp::graph::{Network, Weights};
use clrp::models::{MODELS, Model};

use crate::failure::{Failure, Result};
use crate::options::NetworkOptions;

impl NetworkOptions {
    /// The model that is named, or that the weight file's name starts with.
    pub(crate) fn model(&self) -> Result<&'static Model> {
        match (&self.model, &self.weights) {
            (Some(name), _) => Ok(Model::find(name)?),
            (None, Some(file)) => guess(file),
            (None, None) => Err(Failure::Said(
                "no network is chosen: give --weights FILE (safetensors, as \
                 squeezenet1_1.safetensors), or --model digits, which is bundled"
                    .to_owned(),
            )),
        }
    }

    /// The weights that are given, else the bundled ones; none if there are none.
    pub(crate) fn weights(&self, model: &Model) -> Result<Option<Weights>> {
        match &self.weights {
            Some(file) => Ok(Some(Weights::open(file)?)),
            None => Ok(model.bundled().transpose()?),
        }
    }

    /// The network with its weights, for pictures of its own size.
    pub(crate) fn network(&self, model: &Model) -> Result<Network> {
        let Some(weights) = self.weights(model)? else {
            return Err(Failure::Said(format!(
                "the weights of `{}` are missing: give --weights FILE (safetensors under \
                 torchvision's names)",
                model.name
            )));
        };
        Ok(model.network_with(model.input_shape(), weights, self.layers())?)
    }
}

/// The network whose weights the file's name speaks of.
fn guess(file: &Path) -> Result<&'static Model> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Model::of_file(&name).ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        Failure::Said(format!(
            "cannot tell the network from the name of `{}`: give --model, one of {}",
            file.display(),
            names.join(", ")
        ))
    })
}
