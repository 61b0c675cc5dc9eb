//! `clrp evaluate mean-image`.

use std::path::PathBuf;

use clap::Args;
use clrp::file::write_file_atomically;

use crate::console::{print, progress_with_rate, say};
use crate::datasets::{Dataset, DatasetOptions};
use crate::evaluation::log::check_failed;
use crate::evaluation::mean::{self, Mean};
use crate::evaluation::running::stopped_by_signals;
use crate::evaluation::setup::{UnreadableOptions, check_one_size};
use crate::failure::{Failure, Result};
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

    #[command(flatten)]
    unreadable: UnreadableOptions,
}

impl MeanImage {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let drawn = self.output.with_extension("png");
        if drawn == self.output {
            let name = self.output.display();
            return Err(Failure::Said(format!(
                "-o is `{name}`, expected an .npy file: the picture of it is written beside it"
            )));
        }
        let dataset = self.data.open()?;
        // The weights do not matter.
        let options = self.network.clone().usual_for(&self.data);
        let chosen = options.choose_layers()?;
        let preprocess = self.shaping.preprocess(chosen.preprocess, options.size);
        check_one_size(&preprocess)?;
        let bar = progress_with_rate(dataset.len(), "pictures");
        let Some(mean) = Mean::of(&dataset, &preprocess, &bar, &stopped_by_signals()?)? else {
            return Err(Failure::Said("stopped; nothing was written".to_owned()));
        };
        bar.finish_and_clear();
        self.check_unreadable(&dataset, &mean.unreadable)?;
        let input = mean.picture.input(&preprocess)?;
        let seen = denormalize(&input, &preprocess)?;
        mean::write(&self.output, &input)?;
        write_file_atomically(&drawn, &seen.encode_png())?;
        print(format!(
            "mean of {} of {} pictures: {}, {}\n",
            mean.picture.count(),
            dataset.len(),
            shown(&self.output),
            shown(&drawn)
        ))
    }

    /// Names the pictures that are not in the mean, and refuses too many.
    fn check_unreadable(&self, dataset: &Dataset, unreadable: &[(usize, String)]) -> Result<()> {
        let last = unreadable.last().map(|(_, why)| why.as_str());
        check_failed(unreadable.len(), last, self.unreadable.max_unreadable, dataset.len())?;
        for (index, why) in unreadable {
            say("note", &format!("`{}` is not in the mean: {why}", dataset.name(*index)));
        }
        Ok(())
    }
}
