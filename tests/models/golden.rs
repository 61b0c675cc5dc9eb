//! Reads the reference maps of `golden/`.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::support::Recipe;

/// The references of one network.
pub(super) struct Golden {
    tensors: HashMap<String, Vec<f64>>,
    metadata: HashMap<String, String>,
}

impl Golden {
    /// The file of that network in the folder, if it is there.
    pub(super) fn read(folder: &Path, network: &str) -> Option<Self> {
        let bytes = std::fs::read(folder.join(format!("{network}.safetensors"))).ok()?;
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("safetensors");
        let metadata = header.metadata().clone().expect("the script writes metadata");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let read = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            let eights = || view.data().as_chunks::<8>().0.iter();
            let fours = || view.data().as_chunks::<4>().0.iter();
            let dtype = view.dtype();
            let values = if dtype == Dtype::F64 {
                eights().map(|b| f64::from_le_bytes(*b)).collect()
            } else if dtype == Dtype::F32 {
                fours().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
            } else {
                assert_eq!(dtype, Dtype::I64, "{network}: type of `{name}`");
                eights().map(|b| i64::from_le_bytes(*b) as f64).collect()
            };
            (name.to_owned(), values)
        };
        Some(Self { tensors: tensors.iter().map(read).collect(), metadata })
    }

    /// The values of that name, if they are there.
    pub(super) fn get(&self, name: &str) -> Option<&[f64]> {
        self.tensors.get(name).map(Vec::as_slice)
    }

    /// The classes that the maps explain.
    pub(super) fn targets(&self) -> Vec<u32> {
        self.tensors["targets"].iter().map(|&target| target as u32).collect()
    }

    /// How the weights were drawn.
    pub(super) fn recipe(&self) -> Recipe {
        let words = |key: &str, mark: char| -> Vec<String> {
            let value = self.metadata.get(key).map(String::as_str).unwrap_or_default();
            value.split(mark).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let numbers: Vec<f64> = words("norm_weight", ' ')
            .iter()
            .map(|word| word.parse().expect("the script writes numbers"))
            .collect();
        let norm_weight = numbers.first().zip(numbers.get(1)).map(|(a, b)| (*a, *b));
        Recipe { order: words("tensors", ','), norm_weight }
    }

    /// What the metadata say under that name.
    pub(super) fn note(&self, name: &str) -> String {
        self.metadata[name].clone()
    }

    /// Whether there is a map or rule of that prefix.
    pub(super) fn has(&self, prefix: &str) -> bool {
        self.tensors.keys().any(|key| key.starts_with(prefix))
    }

    /// Height and width of the picture.
    pub(super) fn input(&self) -> [usize; 2] {
        let sides: Vec<usize> = self.metadata["input"]
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|side| side.parse().ok())
            .collect();
        [sides[sides.len() - 2], sides[sides.len() - 1]]
    }

    /// The largest of PyTorch's errors in f32 on maps whose names hold `part`.
    pub(super) fn worst_f32_error(&self, part: &str) -> f64 {
        let errors = self.metadata.iter().filter(|(key, _)| key.starts_with("f32_error."));
        let of_part = errors.filter(|(key, _)| key.contains(part));
        of_part.filter_map(|(_, error)| error.parse().ok()).fold(0.0, f64::max)
    }
}
