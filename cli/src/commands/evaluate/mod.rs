//! `clrp evaluate`: the paper's experiments on a data set.

mod localization;
mod mean_image;
mod merge;
mod neurons;
mod sanity;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use clrp::{Cancel, Tensor};

use crate::console::{progress_with_rate, say};
use crate::evaluation::log::{Locked, check_failed};
use crate::evaluation::mean::{self, Mean, mean_path};
use crate::evaluation::setup::{RunOptions, Setup, sha256_of};
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
    fn settings(&self) -> Vec<(String, String)> {
        vec![("patch".to_owned(), self.patch.to_string())]
    }

    /// What stands in, one for each network: from the file, else made of the data set and kept in
    /// the run's folder. What it is goes on record.
    fn means(
        &self,
        setup: &mut Setup,
        options: &RunOptions,
        records: &Locked,
        stop: &Cancel,
    ) -> Result<Vec<Tensor>> {
        let (inputs, of) = match &self.mean_image {
            Some(file) => {
                let inputs = given_means(file, setup)?;
                (inputs, vec![("mean".to_owned(), format!("sha256 {}", sha256_of(file)?))])
            }
            None => {
                // All but the means, which take long to make.
                if let Some(there) = records.header() {
                    let is_mean = |(name, _): &&(String, String)| name.starts_with(MEAN_OF);
                    let mut wanted = setup.header.clone();
                    wanted.settings.extend(there.settings.iter().filter(is_mean).cloned());
                    records.check(&wanted)?;
                }
                let (mut inputs, mut of) = (Vec::new(), Vec::new());
                for subject in &setup.subjects {
                    let (input, described) = own_mean(setup, subject, options, records, stop)?;
                    inputs.push(input);
                    of.push((format!("{MEAN_OF}{}", subject.file_name()), described));
                }
                (inputs, of)
            }
        };
        setup.header.settings.extend(of);
        Ok(inputs)
    }
}

/// What the settings are called that say of what pictures a mean is.
const MEAN_OF: &str = "mean of ";

/// The mean in a file as each network of a run sees it.
fn given_means(file: &Path, setup: &Setup) -> Result<Vec<Tensor>> {
    let seen = setup.header.networks.iter().map(|network| &network.preprocess);
    if let Some(place) = seen.clone().position(|seen| *seen != setup.header.networks[0].preprocess)
    {
        return Err(Failure::Said(format!(
            "--mean-image is what one network sees, `{}` and `{}` see pictures otherwise: \
             leave it out, and each has its own",
            setup.subjects[0].name, setup.subjects[place].name
        )));
    }
    setup.subjects.iter().map(|subject| mean::read(file, subject)).collect()
}

/// The mean of the run's data set as a network sees it, made or kept from before, and what it is of.
fn own_mean(
    setup: &Setup,
    subject: &Subject,
    options: &RunOptions,
    records: &Locked,
    stop: &Cancel,
) -> Result<(Tensor, String)> {
    let path = mean_path(&options.output, subject);
    if let Some(there) = records.header().filter(|_| path.exists()) {
        let (input, sha256) = (mean::read(&path, subject)?, sha256_of(&path)?);
        // Who made it knew how many pictures could be read.
        let told = there.settings.iter().map(|(_, told)| told.clone());
        let told = told.into_iter().find(|told| told.ends_with(&sha256));
        return Ok((input, told.unwrap_or_else(|| format!("sha256 {sha256}"))));
    }
    let dataset = &setup.dataset;
    let bar = progress_with_rate(dataset.len(), "mean picture");
    let preprocess = subject.explainer.preprocess();
    let Some(mean) = Mean::of(dataset, preprocess, &bar, stop)? else {
        let message = "stopped while the mean picture was made; nothing was measured yet";
        return Err(Failure::Said(message.to_owned()));
    };
    bar.finish_and_clear();
    let (count, all) = (mean.picture.count(), dataset.len());
    let last = mean.unreadable.last().map(|(_, why)| why.as_str());
    check_failed(mean.unreadable.len(), last, options.max_unreadable(), all)?;
    if count == 0 {
        let last = last.unwrap_or_default();
        return Err(Failure::Said(format!("none of {all} pictures can be read; the last: {last}")));
    }
    for (index, why) in &mean.unreadable {
        say("note", &format!("`{}` is not in the mean picture: {why}", dataset.name(*index)));
    }
    let input = mean.picture.input(preprocess)?;
    mean::write(&path, &input)?;
    Ok((input, format!("of {count} of {all} pictures, sha256 {}", sha256_of(&path)?)))
}
