//! Picture files and arrays as a network's input.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clrp::image::{Geometry, Npy, NpyValues, Picture, Preprocess};
use clrp::{Error, Shape, Tensor};

use crate::failure::{Failure, Result};

/// A picture that is ready for the network.
pub(crate) struct Loaded {
    /// The file.
    pub(crate) path: PathBuf,
    /// What the network gets.
    pub(crate) input: Tensor,
    /// What that looks like.
    pub(crate) seen: Picture,
    /// Width and height of the file's picture and where its pixels went; none for arrays.
    pub(crate) origin: Option<((u32, u32), Geometry)>,
}

/// Checks that the files are there and start as pictures do, before any work is done.
pub(crate) fn check(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        // A pipe must not be opened twice.
        if readable(path)? && !is_array(path) {
            Picture::size_of(path)?;
        }
    }
    Ok(())
}

/// Checks that a file can be opened; whether it is a regular one, that can be opened again.
pub(crate) fn readable(path: &Path) -> Result<bool> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(ErrorKind::IsADirectory.into()).into());
    }
    if metadata.is_file() {
        File::open(path).map_err(failed)?;
    }
    Ok(metadata.is_file())
}

fn is_array(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}

/// Reads a picture or, where the name ends in `.npy`, an array that is a network's input already.
pub(crate) fn load(path: &Path, preprocess: &Preprocess) -> Result<Loaded> {
    if is_array(path) {
        return load_array(path, preprocess);
    }
    let picture = Picture::open(path)?;
    let size = (picture.width(), picture.height());
    let about = |mut error| {
        if let Error::PictureSize { name, .. } = &mut error {
            *name = path.display().to_string();
        }
        Failure::about(path, error)
    };
    let geometry = preprocess.geometry(size.0, size.1).map_err(about)?;
    let (input, seen) = preprocess.apply(&picture).map_err(about)?;
    Ok(Loaded { path: path.to_owned(), input, seen, origin: Some((size, geometry)) })
}

fn load_array(path: &Path, preprocess: &Preprocess) -> Result<Loaded> {
    let array = Npy::read(path)?;
    let malformed = |found: String| Error::Malformed {
        path: path.to_owned(),
        expected: "network input",
        found,
    };
    let other = match array.values() {
        NpyValues::F32(_) => None,
        NpyValues::F64(_) => Some("<f8"),
        NpyValues::U8(_) => Some("|u1"),
    };
    if let Some(other) = other {
        return Err(malformed(format!("type is `{other}`, expected `<f4`")).into());
    }
    let shape = match *array.shape() {
        [3, height, width] | [1, 3, height, width] if height > 0 && width > 0 => {
            Shape::new(3, height, width)
        }
        _ => {
            let found = format!("shape is {:?}, expected [3, H, W] or [1, 3, H, W]", array.shape());
            return Err(malformed(found).into());
        }
    };
    let input = array.to_tensor(&path.display().to_string(), shape)?;
    let seen = denormalize(&input, preprocess).map_err(|error| Failure::about(path, error))?;
    Ok(Loaded { path: path.to_owned(), input, seen, origin: None })
}

/// The 8-bit picture that an input shows.
pub(crate) fn denormalize(input: &Tensor, preprocess: &Preprocess) -> clrp::Result<Picture> {
    let Shape { height, width, .. } = input.shape();
    let mut pixels = vec![0; 3 * height * width];
    for channel in 0..3 {
        let (mean, std) = (preprocess.mean[channel], preprocess.std[channel]);
        let bytes = pixels.iter_mut().skip(channel).step_by(3);
        for (byte, value) in bytes.zip(input.plane(channel)) {
            // Conversions to u8 saturate.
            *byte = ((value * std + mean) * 255.0).round() as u8;
        }
    }
    Picture::new(width as u32, height as u32, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_shows_the_picture_it_was_made_of() {
        let pixels: Vec<u8> = (0..48).map(|i| i * 5).collect();
        let picture = Picture::new(4, 4, pixels).expect("it fits");
        let preprocess = Preprocess::imagenet();
        let input = preprocess.normalize(&picture).expect("ok");
        assert_eq!(denormalize(&input, &preprocess).expect("ok"), picture);
    }
}
