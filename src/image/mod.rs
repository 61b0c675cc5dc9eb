//! Pixels: pictures become a network's input, and its maps become pictures.
//!
//! A [`Picture`] is read from a file, a [`Preprocess`] turns it into a
//! [`Tensor`](crate::Tensor), [`reduce`] turns an attribution into a [`Plane`],
//! [`render`] and [`overlay`] colour it with a [`Colormap`], and a [`Sheet`]
//! puts several on one page. [`Npy`] keeps the numbers themselves.

mod colormap;
mod decode;
mod heatmap;
mod npy;
mod npy_header;
mod picture;
mod preprocess;
mod resample;
mod sheet;
mod text;

pub use colormap::Colormap;
pub use heatmap::{Plane, Reduction, overlay, reduce, render};
pub use npy::{Npy, NpyValues};
pub use picture::Picture;
pub use preprocess::{Geometry, Mode, Preprocess};
pub use sheet::{Sheet, SheetRow};
pub use text::{Font, TextMask};
