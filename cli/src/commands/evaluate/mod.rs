//! `clrp evaluate`: the paper's experiments on a data set.

mod localization;
mod mean_image;
mod merge;
mod neurons;
mod sanity;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use clrp::Tensor;

use crate::console::progress_with_rate;
use crate::evaluation::log::check_failed;
use crate::evaluation::mean::{self, Mean, mean_path};
use crate::evaluation::setup::{Run, Setup, sha256_of};
use crate::evaluation::subject::Subject;
use crate::failure::{Failure, Result};
use crate::options::positive;

const DETAILS: &str = "\
Every experiment writes into its folder (-o):
  records.jsonl            a line of settings, then a line for each picture; appended part by part,
                           so that --resume goes on after Ctrl-C, a crash or a power cut
  results.csv              a row for each picture, network, object and way
  summary.json             all figures with 95 % bootstrap intervals, paired tests between ways
  summary.md               the tables in Markdown
  *.png, *.svg             the figures
  report.html              all of it on one page
The class that is explained is the one that the picture's annotation names.";

/// Arguments of `clrp evaluate`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_long_help = DETAILS)]
pub(crate) struct Evaluate {
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Debug, Subcommand)]
enum Experiment {
    /// Whether maps point at the objects that they explain
    PointingGame(localization::PointingGame),
    /// What becomes of the score without what maps point at
    Ablation(localization::AblationStudy),
    /// The mean of a data set's pictures, which stands in for what is taken out
    MeanImage(mean_image::MeanImage),
    /// Whether maps tell the neurons of a layer apart
    Neurons(neurons::Neurons),
    /// Whether maps change when the weights or the class do
    Sanity(sanity::Sanity),
    /// Put the shards of a run together
    Merge(merge::Merge),
}

impl Evaluate {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        match &self.experiment {
            Experiment::PointingGame(command) => command.run(),
            Experiment::Ablation(command) => command.run(),
            Experiment::MeanImage(command) => command.run(),
            Experiment::Neurons(command) => command.run(),
            Experiment::Sanity(command) => command.run(),
            Experiment::Merge(command) => command.run(),
        }
    }
}

/// What is taken out of pictures, and what stands in.
#[derive(Debug, Args)]
struct PatchOptions {
    /// Pixels of a side of the square that is taken out
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = positive::<usize>)]
    patch: usize,

    /// What stands in, as `clrp evaluate mean-image` writes it: float32 (3,H,W), normalised as the
    /// network's inputs are; made of the data set unless given
    #[arg(long, value_name = "FILE")]
    mean_image: Option<PathBuf>,
}

impl PatchOptions {
    /// The settings that go on record.
    fn settings(&self) -> Result<Vec<(String, String)>> {
        let mean = match &self.mean_image {
            Some(file) => format!("sha256 {}", sha256_of(file)?),
            None => "of the data set".to_owned(),
        };
        Ok(vec![("patch".to_owned(), self.patch.to_string()), ("mean".to_owned(), mean)])
    }
}

/// The mean picture as each network of a run sees it; none where it is to be made.
struct Means(Option<Vec<Tensor>>);

impl Means {
    /// From a file, if there is one.
    fn given(file: Option<&Path>, setup: &Setup) -> Result<Self> {
        let Some(file) = file else { return Ok(Self(None)) };
        let seen = setup.header.networks.iter().map(|network| &network.preprocess);
        if let Some(place) =
            seen.clone().position(|seen| *seen != setup.header.networks[0].preprocess)
        {
            return Err(Failure::Said(format!(
                "--mean-image is what one network sees, `{}` and `{}` see pictures otherwise: \
                 leave it out, and each has its own",
                setup.subjects[0].name, setup.subjects[place].name
            )));
        }
        let read = |subject: &Subject| mean::read(file, subject);
        Ok(Self(Some(setup.subjects.iter().map(read).collect::<Result<_>>()?)))
    }

    /// One for each network. What has to be made is made once and kept in the run's folder.
    fn inputs(self, run: &Run<'_>) -> Result<Vec<Tensor>> {
        match self.0 {
            Some(inputs) => Ok(inputs),
            None => run.setup.subjects.iter().map(|subject| made_mean(run, subject)).collect(),
        }
    }
}

/// The mean of the run's data set, made or kept from before.
fn made_mean(run: &Run<'_>, subject: &Subject) -> Result<Tensor> {
    let path = mean_path(run.folder, subject);
    if run.is_resumed() && path.exists() {
        return mean::read(&path, subject);
    }
    let dataset = &run.setup.dataset;
    let bar = progress_with_rate(dataset.len(), "mean picture");
    let preprocess = subject.explainer.preprocess();
    let Some(mean) = Mean::of(dataset, preprocess, &bar, &run.stop)? else {
        let message = "stopped while the mean picture was made; --resume goes on";
        return Err(Failure::Said(message.to_owned()));
    };
    bar.finish_and_clear();
    // Each of them is told by the run that it is of.
    let last = mean.unreadable.last().map(|(_, why)| why.as_str());
    check_failed(mean.unreadable.len(), last, run.max_unreadable(), dataset.len())?;
    let input = mean.picture.input(preprocess)?;
    mean::write(&path, &input)?;
    Ok(input)
}
