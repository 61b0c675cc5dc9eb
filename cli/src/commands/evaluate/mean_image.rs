//! `clrp evaluate mean-image`.

use std::path::PathBuf;

use clap::Args;
use clrp::file::write_file_atomically;

use crate::console::{print, progress_with_rate};
use crate::datasets::DatasetOptions;
use crate::evaluation::mean;
use crate::evaluation::running::stopped_by_signals;
use crate::failure::Result;
use crate::options::{NetworkOptions, ShapingOptions};
use crate::pictures::denormalize;
use crate::report::shown;

const EXAMPLES: &str = "\
Examples:
  clrp evaluate mean-image --dataset imagenet/train --format folder --model vgg16 -o mean.npy
  clrp evaluate ablation --dataset imagenet/val --model vgg16 --mean-image mean.npy";

/// Arguments of `clrp evaluate mean-image`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MeanImage {
    #[command(flatten)]
    data: DatasetOptions,

    #[command(flatten)]
    network: NetworkOptions,

    #[command(flatten)]
    shaping: ShapingOptions,

    /// The array: float32 (3, H, W), normalised as the network's inputs are. A picture of it is
    /// written beside it, as .png
    #[arg(short, long, value_name = "FILE", default_value = "mean.npy")]
    output: PathBuf,
}

impl MeanImage {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let dataset = self.data.open()?;
        // The weights do not matter.
        let options = self.network.clone().usual_for(&self.data);
        let chosen = options.choose_layers()?;
        let preprocess = self.shaping.preprocess(chosen.preprocess, options.size);
        let bar = progress_with_rate(dataset.len(), "pictures");
        let mean = mean::mean_picture(&dataset, &preprocess, &bar, &stopped_by_signals()?)?;
        bar.finish_and_clear();
        let input = mean.input(&preprocess)?;
        let seen = denormalize(&input, &preprocess)?;
        let drawn = self.output.with_extension("png");
        mean::write(&self.output, &input)?;
        write_file_atomically(&drawn, &seen.encode_png())?;
        print(format!(
            "mean of {} of {} pictures: {}, {}\n",
            mean.count(),
            dataset.len(),
            shown(&self.output),
            shown(&drawn)
        ))
    }
}
