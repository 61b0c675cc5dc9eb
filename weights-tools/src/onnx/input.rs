//! The picture that a model takes.

use std::fmt;

use clrp::Shape;
use rten_onnx::onnx::ValueInfoProto;

use super::error::{Error, Result};
use super::value::Form;
use crate::foreign::{Misfit, shown};

/// What the file says of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its sizes, the batch first.
    pub dims: Vec<Dimension>,
}

/// A size of the input as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A number.
    Fixed(usize),
    /// Any number; those of one name are equal.
    Named(String),
    /// Any number.
    Open,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dimension::Fixed(size) => write!(f, "{size}"),
            Dimension::Named(name) => f.write_str(name),
            Dimension::Open => f.write_str("?"),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims.iter().map(Dimension::to_string).collect();
        write!(f, "{} {}", self.name, dims.join("x"))
    }
}

/// The picture as the network is to take it.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) shape: Shape,
    /// ONNX's sizes.
    pub(super) dims: Vec<usize>,
    pub(super) form: Form,
}

impl Input {
    /// What the model's entry for its input says.
    pub(super) fn new(file: &str, info: &ValueInfoProto) -> Result<Self> {
        let name = shown(info.name.as_deref().unwrap_or_default());
        let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        let Some(shape) = shape else {
            return Err(error(file, &name, Misfit::new("a tensor with a shape", "none")));
        };
        if shape.dim.len() != 4 {
            let expected = "four sizes: batch, channels, rows, columns";
            return Err(error(file, &name, Misfit::new(expected, shape.dim.len().to_string())));
        }
        let size = |dimension: &rten_onnx::onnx::Dimension| {
            // Some exporters write 0 or -1 for any size.
            let fixed = dimension.dim_value.and_then(|size| usize::try_from(size).ok());
            match (fixed.filter(|size| *size > 0), &dimension.dim_param) {
                (Some(size), _) => Dimension::Fixed(size),
                (None, Some(name)) if !name.is_empty() => Dimension::Named(shown(name)),
                (None, _) => Dimension::Open,
            }
        };
        Ok(Self { name, dims: shape.dim.iter().map(size).collect() })
    }

    /// The picture of the file's size, or of the given one where the file leaves it open. `last`
    /// if the channels are its last axis.
    pub(super) fn picture(
        &self,
        file: &str,
        given: Option<[usize; 2]>,
        last: bool,
    ) -> Result<Picture> {
        let fixed = |i: usize| match self.dims[i] {
            Dimension::Fixed(size) => Some(size),
            Dimension::Named(_) | Dimension::Open => None,
        };
        let [channel_axis, row_axis, column_axis] = if last { [3, 1, 2] } else { [1, 2, 3] };
        let refused = |misfit| error(file, &self.name, misfit);
        let channels = fixed(channel_axis)
            .ok_or_else(|| refused(Misfit::new("a fixed number of channels", self.to_string())))?;
        let mut size = [0; 2];
        for (i, axis) in [row_axis, column_axis].into_iter().enumerate() {
            size[i] = match (fixed(axis), given) {
                (Some(fixed), Some(given)) if given[i] != fixed => {
                    let found = format!("{}x{} asked for", given[0], given[1]);
                    return Err(refused(Misfit::new(format!("{self} as the file says"), found)));
                }
                (Some(fixed), _) => fixed,
                (None, Some(given)) => given[i],
                (None, None) => {
                    let (file, input) = (file.to_owned(), self.name.clone());
                    return Err(Error::OpenSize { file, input, found: self.to_string() });
                }
            };
        }
        let shape = Shape::new(channels, size[0], size[1]);
        let batch = fixed(0).unwrap_or(1);
        const MOST: usize = 1 << 28;
        const BATCH: usize = 1 << 16;
        if shape.is_empty() || shape.len() > MOST || batch > BATCH {
            let expected = format!("at most {BATCH} pictures of 1 to {MOST} numbers");
            return Err(refused(Misfit::new(expected, format!("{batch} of {shape}"))));
        }
        let mut dims = vec![batch, channels, size[0], size[1]];
        if last {
            dims = vec![batch, size[0], size[1], channels];
        }
        let form = if last { Form::ChannelsLast } else { Form::Plain };
        Ok(Picture { shape, dims, form })
    }
}

fn error(file: &str, name: &str, misfit: Misfit) -> Error {
    Error::Model {
        file: file.to_owned(),
        what: format!("input `{name}`"),
        expected: misfit.expected,
        found: misfit.found,
    }
}
