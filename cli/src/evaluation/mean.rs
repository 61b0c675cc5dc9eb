//! The mean picture of a data set, which stands in for what is taken out of a picture.

use std::path::{Path, PathBuf};

use clrp::evaluation::MeanPicture;
use clrp::file::write_file_atomically;
use clrp::image::{Npy, NpyValues, Preprocess};
use clrp::{Cancel, Shape, Tensor};
use indicatif::ProgressBar;
use rayon::prelude::*;

use super::subject::Subject;
use crate::datasets::Dataset;
use crate::failure::{Failure, Result};

/// A mean picture, and those that are not in it.
#[derive(Default)]
pub(crate) struct Mean {
    pub(crate) picture: MeanPicture,
    /// Numbers of pictures that cannot be read, in order, and why.
    pub(crate) unreadable: Vec<(usize, String)>,
}

impl Mean {
    /// The mean of all pictures that can be read, as networks of that preprocessing see them. It is
    /// exact, so that no order of the pictures changes a bit of it. None if it was stopped.
    pub(crate) fn of(
        dataset: &Dataset,
        preprocess: &Preprocess,
        bar: &ProgressBar,
        stop: &Cancel,
    ) -> Result<Option<Self>> {
        let add = |mut mean: Self, index: usize| -> Result<Self> {
            if stop.is_cancelled() {
                return Ok(mean);
            }
            let seen = |index| Ok(preprocess.apply(&dataset.load(index)?.picture)?.1);
            match seen(index) {
                Ok(seen) => mean.picture.add(&seen)?,
                Err(failure) => {
                    let failure: Failure = failure;
                    mean.unreadable.push((index, failure.to_string()));
                }
            }
            bar.inc(1);
            Ok(mean)
        };
        let merge = |mut one: Self, mut other: Self| {
            one.picture.merge(&other.picture)?;
            one.unreadable.append(&mut other.unreadable);
            Ok(one)
        };
        let all = (0..dataset.len()).into_par_iter();
        let mean = all.try_fold(Self::default, add).try_reduce(Self::default, merge)?;
        Ok((!stop.is_cancelled()).then_some(mean))
    }
}

/// Where a run keeps the mean that it made for a network.
pub(crate) fn mean_path(folder: &Path, subject: &Subject) -> PathBuf {
    folder.join(format!("mean-{}.npy", subject.file_name()))
}

/// Whether a file of that name is such a mean.
pub(crate) fn is_mean(name: &str) -> bool {
    name.starts_with("mean-") && name.ends_with(".npy")
}

/// Writes a mean as a network's input: float32 (3, H, W), normalised.
pub(crate) fn write(path: &Path, mean: &Tensor) -> Result<()> {
    let Shape { channels, height, width } = mean.shape();
    let values = NpyValues::F32(mean.values().to_vec());
    let array = Npy::new(vec![channels, height, width], values)?;
    Ok(write_file_atomically(path, &array.encode())?)
}

/// Reads a mean for a network: an input, of which no value is beyond what the preprocessing makes.
pub(crate) fn read(path: &Path, subject: &Subject) -> Result<Tensor> {
    let about = |error| Failure::about(path, error);
    let shape = subject.explainer.network().graph().input_shape();
    let mean = Npy::read(path)?.to_tensor(&path.display().to_string(), shape).map_err(about)?;
    let preprocess = subject.explainer.preprocess();
    for (channel, (low, high)) in preprocess.low().into_iter().zip(preprocess.high()).enumerate() {
        let most = BEYOND * (high - low);
        let is_odd = |value: &&f32| !(low - most..=high + most).contains(*value);
        if let Some(value) = mean.plane(channel).iter().find(is_odd) {
            return Err(Failure::Said(format!(
                "`{}` holds {value} in channel {channel}, expected {low} to {high}: a mean of \
                 inputs of `{}`, as `clrp evaluate mean-image` writes it",
                path.display(),
                subject.name
            )));
        }
    }
    Ok(mean)
}

/// How far beyond them rounding may bring a value, as a share of their distance.
const BEYOND: f32 = 1e-4;
