//! From `--model` and `--weights` to a network.

use std::path::{Path, PathBuf};

use clrp::file::MappedFile;
use clrp::graph::{Network, Weights};
use clrp::image::{Mode, Preprocess};
use clrp::labels::Labels;
use clrp::models::{MODELS, Model};
use clrp::{Error, Shape};
use clrp_weights::fetch::{self, Published};
use clrp_weights::{onnx, pth};

use crate::commands::fetch::fetch_shown;
use crate::console::say;
use crate::failure::{Failure, Result};
use crate::labels;
use crate::options::NetworkOptions;
use crate::pictures::readable;

/// What is fetched where no network is chosen: 5 MB.
const DEFAULT: &str = "squeezenet1_1";

/// A network that was chosen, and what goes with it.
pub(crate) struct Chosen {
    /// The model's name, or that of the ONNX file.
    pub(crate) name: String,
    /// For pictures of its own size.
    pub(crate) network: Network,
    /// How pictures are brought to it.
    pub(crate) preprocess: Preprocess,
    /// The file that the weights are from; none if they are bundled.
    pub(crate) weights: Option<PathBuf>,
    /// Names of the classes.
    pub(crate) labels: Labels,
}

impl Chosen {
    fn of_model(model: &Model, network: Network, weights: Option<PathBuf>) -> Self {
        let labels = model.labels(network.graph().output_shape().len());
        let (name, preprocess) = (model.name.to_owned(), model.preprocess());
        Self { name, network, preprocess, weights, labels }
    }
}

impl NetworkOptions {
    /// The network that the options name, with its weights and the classes' names.
    pub(crate) fn choose(&self) -> Result<Chosen> {
        let mut chosen = self.choose_network()?;
        if let Some(file) = &self.labels {
            chosen.labels = labels::read(file, chosen.labels.len(), &chosen.name)?;
        }
        Ok(chosen)
    }

    fn choose_network(&self) -> Result<Chosen> {
        if let Some(file) = &self.weights {
            readable(file)?;
        }
        if let Some(file) = self.onnx() {
            self.refuse_beside(file)?;
            return self.import(file);
        }
        if let Some(output) = &self.output_name {
            return Err(Failure::Said(format!(
                "--output-name `{output}` is for ONNX files, which have names for their outputs"
            )));
        }
        let model = self.model()?;
        // A choice that the network does not have is refused before anything is fetched.
        model.graph_with(model.input_shape(), model.classes(), self.layers()).map_err(by_option)?;
        let (weights, file) = match &self.weights {
            Some(file) => (open(file)?, Some(file.clone())),
            None => match model.bundled() {
                Some(weights) => (weights?, None),
                None => {
                    let file = self.published(model)?;
                    (open(&file)?, Some(file))
                }
            },
        };
        let network = model.network_with(model.input_shape(), weights, self.layers());
        let network = network.map_err(by_option)?;
        Ok(Chosen::of_model(model, network, file))
    }

    /// As [`choose`](Self::choose), for pictures of the size that is asked for, and with zeros where
    /// weights are neither given nor bundled: enough to see what would run.
    pub(crate) fn choose_layers(&self) -> Result<Chosen> {
        if self.onnx().is_none() && self.weights.is_none() {
            let model = self.model()?;
            if model.bundled().is_none() {
                let (shape, layers) = (self.sized(model.input_shape()), self.layers());
                let graph = model.graph_with(shape, model.classes(), layers).map_err(by_option)?;
                return Ok(Chosen::of_model(model, Weights::zeros(&graph).bind(graph)?, None));
            }
        }
        let mut chosen = self.choose()?;
        let shape = self.sized(chosen.network.graph().input_shape());
        chosen.network = resized(&chosen.network, shape, "--size")?;
        Ok(chosen)
    }

    /// The shape with the rows and columns that are asked for.
    fn sized(&self, own: Shape) -> Shape {
        self.size.map_or(own, |[height, width]| {
            Shape::new(own.channels, height as usize, width as usize)
        })
    }

    /// An ONNX file holds its layers and its weights.
    fn refuse_beside(&self, file: &Path) -> Result<()> {
        let given = [
            (self.transform_input.is_some(), "--transform-input"),
            (self.stride_in_1x1, "--stride-in-1x1"),
            (self.model.is_some() && self.weights.is_some(), "--model beside --weights"),
        ];
        match given.into_iter().find(|(given, _)| *given) {
            Some((_, option)) => Err(Failure::Said(format!(
                "{option} is for torchvision's networks, `{}` holds its own layers and weights",
                file.display()
            ))),
            None => Ok(()),
        }
    }

    /// The ONNX file, if that is what `--model` or `--weights` names.
    fn onnx(&self) -> Option<&Path> {
        let model = self.model.as_deref().map(Path::new);
        [model, self.weights.as_deref()].into_iter().flatten().find(|path| is_onnx(path))
    }

    /// The model that is named, or that the weight file's name starts with.
    fn model(&self) -> Result<&'static Model> {
        match (&self.model, &self.weights) {
            (Some(name), _) => Model::find(name).map_err(|error| match is_weights(name) {
                true => Failure::Said(format!(
                    "--model `{name}` is a file of weights: give it as --weights `{name}`, and \
                     the network's name as --model (an .onnx file, which has both, as either)"
                )),
                false => error.into(),
            }),
            (None, Some(file)) => guess(file),
            (None, None) => Ok(Model::find(DEFAULT)?),
        }
    }

    /// The published weights, fetched unless they are in the cache.
    fn published(&self, model: &Model) -> Result<PathBuf> {
        let published = Published::find(model.name).map_err(|_| {
            let name = model.name;
            Failure::Said(format!("the weights of `{name}` are missing: give --weights FILE"))
        })?;
        let cache = fetch::Cache::user()?;
        if cache.cached(published).is_none() {
            let (name, path) = (model.name, cache.path(published));
            if self.offline {
                return Err(Failure::Said(format!(
                    "the weights of `{name}` are missing and must not be fetched (--offline): \
                     give --weights FILE, or put {} to `{}`",
                    published.file,
                    path.display()
                )));
            }
            let line = format!(
                "fetching the weights of `{name}` ({} MB) to `{}`",
                published.megabytes(),
                path.display()
            );
            say("note", &line);
        } else if self.offline {
            let (path, source) = (cache.path(published), published.source(fetch::BASE)?);
            return match fetch::verify(&path, source.prefix()) {
                Ok(()) => Ok(path),
                Err(error @ fetch::Error::Damaged { .. }) => {
                    Err(Failure::Said(format!("{error}; without --offline it is fetched again")))
                }
                Err(other) => Err(other.into()),
            };
        }
        // What is in the cache is checked, and fetched anew if it is damaged.
        Ok(fetch_shown(published, &cache, "pass it by --weights, or ")?.path)
    }

    fn import(&self, file: &Path) -> Result<Chosen> {
        let input = self.size.map(|size| size.map(|length| length as usize));
        let options = onnx::Options { input, output: self.output_name.clone() };
        let imported = read_onnx(file, &options)?;
        for note in &imported.notes {
            say("note", note);
        }
        let shape = imported.network.graph().input_shape();
        if shape.channels != 3 {
            return Err(Failure::Said(format!(
                "`{}`: input `{}` takes {shape}, expected 3 channels: red, green and blue",
                file.display(),
                imported.input.name
            )));
        }
        let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let size = (side(shape.height), side(shape.width));
        let own = Preprocess::imagenet();
        // As torchvision does: 256 for 224.
        let resize = size.0.max(size.1).saturating_mul(8).div_ceil(7);
        let preprocess = Preprocess {
            mode: Mode::CenterCrop { resize },
            size,
            mean: imported.hints.mean.unwrap_or(own.mean),
            std: imported.hints.std.unwrap_or(own.std),
        };
        if imported.hints.bgr {
            return Err(Failure::Said(format!(
                "`{}` takes pictures with blue as the first channel, which is not supported",
                file.display()
            )));
        }
        Ok(Chosen {
            name: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            network: imported.network,
            preprocess,
            weights: Some(file.to_owned()),
            labels: match (imported.classes, imported.class_count) {
                (Some(names), _) => Labels::named(names),
                (None, 1000) => Labels::imagenet(),
                (None, count) => Labels::numbered(count),
            },
        })
    }
}

/// The network for inputs of that shape; `name` is what has it.
pub(crate) fn resized(network: &Network, shape: Shape, name: &str) -> clrp::Result<Network> {
    let own = network.graph().input_shape();
    if shape == own {
        return Ok(network.clone());
    }
    let list = |shape: Shape| vec![shape.channels, shape.height, shape.width];
    network.with_graph(network.graph().with_input(shape)?).map_err(|mut error| {
        // A fully connected layer counts pixels.
        if let Error::WeightShape { .. } = error {
            let name = name.to_owned();
            error = Error::InputShape { name, expected: list(own), found: list(shape) };
        }
        error
    })
}

/// The error in the words of the command: a choice about the layers has its option's name.
fn by_option(error: Error) -> Failure {
    if let Error::Setting { what: what @ ("transform_input" | "stride_in_1x1"), found, expected } =
        &error
    {
        let option = what.replace('_', "-");
        return Failure::Said(format!("--{option} is {found}, expected {expected}"));
    }
    error.into()
}

/// Imports an ONNX file, whose errors speak of the command's options.
fn read_onnx(file: &Path, options: &onnx::Options) -> Result<onnx::Imported> {
    onnx::read(file, options).map_err(|error| match matches!(error, onnx::Error::OpenSize { .. }) {
        true => Failure::Said(format!("{error}; give --size HxW")),
        false => error.into(),
    })
}

/// Weights from a safetensors file or a PyTorch checkpoint, which their first bytes tell apart.
pub(crate) fn open(path: &Path) -> Result<Weights> {
    let unreadable = |source| Error::File { action: "read", path: path.to_owned(), source };
    let file = MappedFile::open(path).map_err(unreadable)?;
    if pth::is_checkpoint(&file[..file.len().min(pth::SNIFFED)]) {
        return Ok(pth::read(path)?);
    }
    Weights::open(path).or_else(|error| match has_extension(path, &TORCH) {
        true => Ok(pth::read(path)?),
        false => Err(error.into()),
    })
}

/// As [`open`], or the weights of an ONNX file, and the data files that hold them.
/// `size` is that of the picture, for an ONNX file that takes any.
pub(crate) fn open_any(path: &Path, size: Option<[u32; 2]>) -> Result<(Weights, Vec<PathBuf>)> {
    if !is_onnx(path) {
        return Ok((open(path)?, Vec::new()));
    }
    let input = size.map(|size| size.map(|length| length as usize));
    let imported = read_onnx(path, &onnx::Options { input, output: None })?;
    let weights = imported.network.weights().cloned();
    Ok((Weights::from_weights(&path.display().to_string(), weights), imported.data_files))
}

fn is_onnx(path: &Path) -> bool {
    has_extension(path, &["onnx"])
}

/// What PyTorch's checkpoints are called.
const TORCH: [&str; 3] = ["pth", "pt", "th"];

/// Whether what should be a network's name is that of a weight file.
fn is_weights(name: &str) -> bool {
    let path = Path::new(name);
    has_extension(path, &TORCH) || has_extension(path, &["safetensors"])
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let of = |extension: &&str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
    extensions.iter().any(of)
}

/// The network whose weights the file's name speaks of.
fn guess(file: &Path) -> Result<&'static Model> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if let Some(model) = Model::of_file(&name) {
        return Ok(model);
    }
    // What holds no weights needs no model.
    open(file)?;
    let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
    Err(Failure::Said(format!(
        "cannot tell the network from the name of `{}`: give --model, one of {}",
        file.display(),
        names.join(", ")
    )))
}
