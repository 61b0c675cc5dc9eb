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
        Ok(model.network(model.input_shape(), weights)?)
    }
}

/// The longest model name that the file's name starts with: `vgg16_bn-6c64b313.safetensors`.
fn guess(file: &Path) -> Result<&'static Model> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let starts = |model: &&Model| {
        let rest = name.strip_prefix(model.name);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    MODELS.iter().filter(starts).max_by_key(|model| model.name.len()).ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        Failure::Said(format!(
            "cannot tell the network from the name of `{}`: give --model, one of {}",
            file.display(),
            names.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_weight_file_tells_the_network() {
        let name = |file: &str| guess(Path::new(file)).map(|model| model.name).ok();
        assert_eq!(name("/x/squeezenet1_1.safetensors"), Some("squeezenet1_1"));
        assert_eq!(name("vgg16-397923af.safetensors"), Some("vgg16"));
        assert_eq!(name("vgg16_bn-6c64b313.safetensors"), Some("vgg16_bn"));
        assert_eq!(name("VGG16_mine.safetensors"), Some("vgg16"));
        assert_eq!(name("vgg160.safetensors"), None);
        assert_eq!(name("model.safetensors"), None);
    }
}
