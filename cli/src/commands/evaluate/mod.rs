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
use crate::evaluation::mean;
use crate::evaluation::setup::{Run, sha256_of};
use crate::evaluation::subject::Subject;
use crate::failure::Result;
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

    /// What stands in, as `clrp evaluate mean-image` writes it; made of the data set unless given
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

/// The mean picture as the networks of a run see it.
struct Means<'a> {
    /// A file of it.
    file: Option<&'a Path>,
    run: &'a Run<'a>,
}

impl Means<'_> {
    /// One for each network. They are made once and kept in the run's folder.
    fn inputs(&self) -> Result<Vec<Tensor>> {
        self.run.setup.subjects.iter().map(|subject| self.input(subject)).collect()
    }

    fn input(&self, subject: &Subject) -> Result<Tensor> {
        let shape = subject.explainer.network().graph().input_shape();
        if let Some(file) = self.file {
            return mean::read(file, shape);
        }
        let path = self.run.folder.join(format!("mean-{}.npy", subject.file_name()));
        if self.run.is_resumed() && path.exists() {
            return mean::read(&path, shape);
        }
        let dataset = &self.run.setup.dataset;
        let bar = progress_with_rate(dataset.len(), "mean picture");
        let preprocess = subject.explainer.preprocess();
        let mean = mean::mean_picture(dataset, preprocess, &bar, &self.run.stop)?;
        bar.finish_and_clear();
        let input = mean.input(preprocess)?;
        mean::write(&path, &input)?;
        Ok(input)
    }
}
