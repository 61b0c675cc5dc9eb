//! Maps measured: whether they point at the object, and what becomes of the score without it.
//!
//! A [`Region`] is what the boxes of a picture cover of the network's input. A [`Pointing`] holds
//! what every pointing game asks of one map; an [`Ablation`] replaces what a map points at by the
//! [`MeanPicture`] of a data set. All of it is arithmetic on maps and inputs: nothing here runs a
//! network or reads a file.

mod ablation;
mod mean;
mod pointing;
mod region;

pub use ablation::Ablation;
pub use mean::MeanPicture;
pub use pointing::Pointing;
pub use region::{BoundingBox, Region};
