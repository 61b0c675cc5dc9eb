//! What can be explained.

use std::borrow::Cow;

use crate::error::Result;
use crate::image::{Picture, Preprocess};
use crate::tensor::Tensor;

/// A picture, which is brought to the network first, or an input that is ready.
pub trait ToInput {
    /// The network's input.
    ///
    /// # Errors
    /// [`Error::PictureSize`](crate::Error::PictureSize) if the picture is too small or too large
    /// for the preprocessing.
    fn to_input(&self, preprocess: &Preprocess) -> Result<Cow<'_, Tensor>>;
}

impl ToInput for Picture {
    fn to_input(&self, preprocess: &Preprocess) -> Result<Cow<'_, Tensor>> {
        Ok(Cow::Owned(preprocess.apply(self)?.0))
    }
}

impl ToInput for Tensor {
    fn to_input(&self, _: &Preprocess) -> Result<Cow<'_, Tensor>> {
        Ok(Cow::Borrowed(self))
    }
}

impl<T: ToInput> ToInput for &T {
    fn to_input(&self, preprocess: &Preprocess) -> Result<Cow<'_, Tensor>> {
        (**self).to_input(preprocess)
    }
}
