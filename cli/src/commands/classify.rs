//! `clrp classify`: what the network takes pictures for.

use std::path::PathBuf;

use clap::Args;
use clrp::file::AtomicFile;
use clrp::image::{Npy, NpyValues};
use serde::Serialize;

use crate::console::{print, print_json, progress};
use crate::failure::Result;
use crate::folder::spare;
use crate::options::{DeviceOptions, NetworkOptions, PictureOptions, Precision, positive};
use crate::pictures;
use crate::report::{Document, Prediction, Setting, prediction_table, predictions, shown};
use crate::runner::Runner;

const EXAMPLES: &str = "\
Examples:
  clrp classify cat.jpg --weights squeezenet1_1.safetensors
  clrp classify *.jpg --weights vgg16.safetensors --top 1 --json --npy logits.npy

JSON (--json), one object:
  image, predictions (best first: class, label, logit, probability), model, weights (null:
  bundled), device; with several IMAGEs image and predictions are in a list `images`";

/// Arguments of `clrp classify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Classify {
    #[command(flatten)]
    pictures: PictureOptions,

    #[command(flatten)]
    network: NetworkOptions,

    /// How many classes to show
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive::<usize>)]
    top: usize,

    #[command(flatten)]
    device: DeviceOptions,

    /// How precisely is computed: f64 on a CPU, fast on a GPU with cooperative matrices
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    precision: Precision,

    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,

    /// Write the logits: float32 (pictures, classes)
    #[arg(long, value_name = "FILE")]
    npy: Option<PathBuf>,
}

#[derive(Serialize)]
struct PictureReport {
    image: String,
    predictions: Vec<Prediction>,
}

impl Classify {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let images = &self.pictures.images;
        pictures::check(images)?;
        let chosen = self.network.choose()?;
        let preprocess = self.pictures.shaping.preprocess(chosen.preprocess, self.network.size);
        let batch = self.pictures.batch.min(images.len());
        let device = self.device.open_for(self.precision, images.len())?;
        let runner = Runner::usual(chosen.network, device, preprocess, batch)?;
        let labels = chosen.labels;
        if let Some(npy) = &self.npy {
            spare(npy, images.iter().chain(&chosen.weights).chain(&self.network.labels))?;
        }
        let file = self.npy.as_deref().map(AtomicFile::create).transpose()?;
        let weights = chosen.weights.as_deref();
        let setting = Setting::of(chosen.name, weights, runner.device.name());

        let bar = progress(images.len());
        let (mut reports, mut logits) = (Vec::new(), Vec::new());
        runner.process(images, &bar, |explainer, pictures| {
            let inputs: Vec<_> = pictures.iter().map(|picture| picture.input.clone()).collect();
            for (picture, scores) in pictures.iter().zip(explainer.scores(&inputs)?) {
                let predictions = predictions(&scores, &labels, self.top);
                let image = shown(&picture.path);
                if !self.json {
                    let table = prediction_table(&predictions);
                    let (model, device) = (&setting.model, &setting.device);
                    let text = format!("{image}: {model} on {device}\n{table}\n");
                    bar.suspend(|| print(text))?;
                }
                reports.push(PictureReport { image, predictions });
                logits.extend(scores);
            }
            Ok(())
        })?;
        if let Some(mut file) = file {
            let shape = vec![images.len(), labels.len()];
            file.write(&Npy::new(shape, NpyValues::F32(logits))?.encode())?;
            file.commit()?;
        }
        if self.json { print_json(&Document::new(&setting, &reports)) } else { Ok(()) }
    }
}
