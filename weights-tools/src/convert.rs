//! Weights as a safetensors file, as they are or with 16-bit matrices.

use std::borrow::Cow;
use std::path::Path;

use clrp::file::write_beside;
use clrp::graph::Weights;
use clrp::kernels::linear::Rows;
use clrp::weight::{Dtype, Weight};
use half::f16;
use safetensors::View;

use crate::fetch::sha256_file;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The tensors, in the order of their names.
    pub tensors: Vec<Tensor>,
    /// Bytes of the file.
    pub bytes: usize,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// A tensor that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The state-dict key.
    pub name: String,
    /// The type as safetensors names it.
    pub dtype: &'static str,
    /// Torch's shape.
    pub shape: Vec<usize>,
}

/// Why weights could not be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number beyond what 16 bits can hold.
    #[error(
        "`{file}`: weight `{name}` has {found} at index {index}, expected at most 65504 for 16 bits"
    )]
    TooLarge {
        /// Where the weights are from.
        file: String,
        /// The weight.
        name: String,
        /// Its flat index.
        index: usize,
        /// The number.
        found: f32,
    },
    /// The file could not be written.
    #[error(transparent)]
    Clrp(#[from] clrp::Error),
    /// The file could not be written or read again.
    #[error(transparent)]
    Fetch(#[from] crate::fetch::Error),
}

/// Writes a safetensors file, which appears whole or not at all. With `to_f16`, weights of two or
/// more dimensions are rounded to 16 bits; biases and batch norm keep their type, because the
/// variances of unused channels are smaller than what 16 bits tell from 0.
///
/// # Errors
/// [`enum@Error`], naming the file or the weight.
pub fn convert(weights: &Weights, path: &Path, to_f16: bool) -> Result<Summary, Error> {
    let stored: Vec<Stored<'_>> = weights
        .iter()
        .map(|weight| Stored { weight, to_f16: to_f16 && weight.shape().len() > 1 })
        .collect();
    for stored in stored.iter().filter(|stored| stored.to_f16) {
        let weight = stored.weight;
        let number = |i: usize| weight.values().get::<f64>(i);
        let too_large = (0..weight.len()).find(|&i| rounded(number(i)).is_infinite());
        if let Some(index) = too_large {
            let (file, name) = (weights.source().to_owned(), weight.name().to_owned());
            return Err(Error::TooLarge { file, name, index, found: number(index) as f32 });
        }
    }
    let tensors = stored
        .iter()
        .map(|stored| Tensor {
            name: stored.weight.name().to_owned(),
            dtype: match stored.kind() {
                Dtype::F32 => "F32",
                Dtype::F16 => "F16",
                Dtype::BF16 => "BF16",
                Dtype::F64 => "F64",
            },
            shape: stored.weight.shape().to_vec(),
        })
        .collect();
    write_beside(path, |place| -> Result<(), Error> {
        let named = stored.iter().map(|stored| (stored.weight.name(), stored));
        safetensors::serialize_to_file(named, None, place).map_err(|error| {
            let source = std::io::Error::other(error);
            Error::Clrp(clrp::Error::File { action: "write", path: path.to_owned(), source })
        })
    })?;
    let unreadable = |source| clrp::Error::File { action: "read", path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    Ok(Summary { tensors, bytes, sha256: sha256_file(path)? })
}

/// The number of 16 bits that is nearest. On the way the number is rounded to the odd one of its
/// two neighbours of 32 bits, so that what lies beside a tie is not taken for one.
fn rounded(number: f64) -> f16 {
    let near = number as f32;
    let exact = f64::from(near);
    let is_odd = near.to_bits() & 1 == 1;
    f16::from_f32(if exact == number || is_odd || !near.is_finite() {
        near
    } else if exact.abs() < number.abs() {
        f32::from_bits(near.to_bits() + 1)
    } else {
        f32::from_bits(near.to_bits() - 1)
    })
}

/// A weight on its way into the file.
struct Stored<'a> {
    weight: &'a Weight,
    to_f16: bool,
}

impl Stored<'_> {
    /// The type in the file.
    fn kind(&self) -> Dtype {
        if self.to_f16 { Dtype::F16 } else { self.weight.dtype() }
    }
}

impl View for &Stored<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        match self.kind() {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::BF16 => safetensors::Dtype::BF16,
            Dtype::F64 => safetensors::Dtype::F64,
        }
    }

    fn shape(&self) -> &[usize] {
        self.weight.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.weight.values();
        if self.to_f16 {
            let half = |i| rounded(values.get(i)).to_le_bytes();
            return (0..self.weight.len()).flat_map(half).collect();
        }
        // Safetensors are little-endian, as are the machines that run this.
        match values {
            Rows::F32(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            Rows::F16(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            Rows::BF16(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
            Rows::F64(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        }
    }

    fn data_len(&self) -> usize {
        self.weight.len() * self.kind().size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let matrix =
            Weight::from_f32("fc.weight", &[2, 3], vec![1.0, -2.5, 0.1, 3.0, 4.0, 65504.0]);
        let bias = Weight::from_f32("fc.bias", &[2], vec![0.1, 1e-9]);
        Weights::from_weights("made-up weights", [matrix, bias])
    }

    #[test]
    fn matrices_get_16_bits_and_vectors_keep_32() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("half.safetensors");
        let summary = convert(&weights(), &path, true).expect("it can be written");
        let read = Weights::open(&path).expect("it is safetensors");
        let found: Vec<_> = read.iter().map(|w| (w.name(), w.dtype())).collect();
        assert_eq!(found, [("fc.bias", Dtype::F32), ("fc.weight", Dtype::F16)]);
        let bias = read.iter().next().expect("two weights").values();
        assert_eq!([bias.get::<f32>(0), bias.get::<f32>(1)], [0.1, 1e-9]);
        assert_eq!(summary.bytes as u64, std::fs::metadata(&path).expect("it is there").len());
        assert_eq!(summary.tensors.len(), 2);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn numbers_of_64_bits_are_rounded_once() {
        // Between 1 and the next number of 16 bits, 1 + 2^-10.
        let tie = 1.0 + 2.0_f64.powi(-11);
        let step = 2.0_f64.powi(-40);
        let of = |number: f64| rounded(number).to_f64();
        assert_eq!([of(tie), of(-tie)], [1.0, -1.0]);
        assert_eq!(of(tie + step), 1.0 + 2.0_f64.powi(-10));
        assert_eq!(of(-tie - step), -1.0 - 2.0_f64.powi(-10));
        assert_eq!(of(1.0 + 3.0 * 2.0_f64.powi(-11) - step), 1.0 + 2.0_f64.powi(-10));
        assert_eq!([of(0.1), of(65504.0), of(1e-300)], [f16::from_f32(0.1).to_f64(), 65504.0, 0.0]);
        assert!(rounded(65520.0).is_infinite() && rounded(1e300).is_infinite());
        assert!(rounded(f64::NAN).is_nan());
    }

    #[test]
    fn numbers_stay_as_they_are_unless_asked_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("same.safetensors");
        convert(&weights(), &path, false).expect("it can be written");
        let read = Weights::open(&path).expect("it is safetensors");
        for (old, new) in weights().iter().zip(read.iter()) {
            assert_eq!(
                (old.name(), old.shape(), old.dtype()),
                (new.name(), new.shape(), new.dtype())
            );
            let same =
                (0..old.len()).all(|i| old.values().get::<f32>(i) == new.values().get::<f32>(i));
            assert!(same, "{}", old.name());
        }
    }

    #[test]
    fn a_number_beyond_16_bits_is_named_and_nothing_is_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("none.safetensors");
        let large = Weight::from_f32("fc.weight", &[1, 2], vec![1.0, -70000.0]);
        let error = convert(&Weights::from_weights("w", [large]), &path, true);
        let error = error.expect_err("it does not fit").to_string();
        assert!(error.starts_with("`w`: weight `fc.weight` has -70000 at index 1"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
