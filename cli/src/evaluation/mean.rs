//! The mean picture of a data set, which stands in for what is taken out of a picture.

use std::path::Path;

use clrp::evaluation::MeanPicture;
use clrp::file::write_file_atomically;
use clrp::image::{Npy, NpyValues, Preprocess};
use clrp::{Cancel, Shape, Tensor};
use indicatif::ProgressBar;
use rayon::prelude::*;

use crate::datasets::Dataset;
use crate::failure::{Failure, Result};

/// The mean of all pictures that can be read, as networks of that preprocessing see them, and how
/// many there are. It is exact, so that no order of the pictures changes a bit of it.
pub(crate) fn mean_picture(
    dataset: &Dataset,
    preprocess: &Preprocess,
    bar: &ProgressBar,
    stop: &Cancel,
) -> Result<MeanPicture> {
    let add = |mut mean: MeanPicture, index: usize| -> Result<MeanPicture> {
        if stop.is_cancelled() {
            return Err(Failure::Said("stopped while the mean picture was made".to_owned()));
        }
        // What cannot be read is told by the run itself.
        if let Ok(sample) = dataset.load(index) {
            mean.add(&preprocess.apply(&sample.picture)?.1)?;
        }
        bar.inc(1);
        Ok(mean)
    };
    let merge = |mut one: MeanPicture, other: MeanPicture| {
        one.merge(&other)?;
        Ok(one)
    };
    (0..dataset.len())
        .into_par_iter()
        .try_fold(MeanPicture::new, add)
        .try_reduce(MeanPicture::new, merge)
}

/// Writes a mean as a network's input: float32 (3, H, W), normalised.
pub(crate) fn write(path: &Path, mean: &Tensor) -> Result<()> {
    let Shape { channels, height, width } = mean.shape();
    let values = NpyValues::F32(mean.values().to_vec());
    let array = Npy::new(vec![channels, height, width], values)?;
    Ok(write_file_atomically(path, &array.encode())?)
}

/// Reads a mean for inputs of that shape.
pub(crate) fn read(path: &Path, shape: Shape) -> Result<Tensor> {
    let about = |error| Failure::about(path, error);
    Npy::read(path)?.to_tensor(&path.display().to_string(), shape).map_err(about)
}
