//! Maps measured: whether they point at the object, and what becomes of the score without it.
//!
//! A [`Region`] is what the boxes of a picture cover of the network's input. A [`Pointing`] holds
//! what every pointing game asks of one map; an [`Ablation`] replaces what a map points at by the
//! [`MeanPicture`] of a data set, a [`Perturbation`] everything, step by step. All of it is
//! arithmetic on maps and inputs: nothing here runs a network or reads a file.
//!
//! Sizes are lists of height and width, as [`Plane::size`](crate::image::Plane::size) has them;
//! places are pairs of column and row. Maps with values that are not finite are errors.
//!
//! ```
//! use clrp::evaluation::{Ablation, BoundingBox, MeanPicture, Pointing, Region};
//! use clrp::image::Picture;
//! use clrp::models::Model;
//! use clrp::scene::{Scene, Split};
//! use clrp::{Explainer, Method, Target};
//!
//! let model = Model::find("digits")?;
//! let weights = model.bundled().expect("the digits network is bundled")?;
//! let network = model.network(model.input_shape(), weights)?;
//! let explainer = Explainer::builder(network, model.preprocess()).build()?;
//!
//! let scene = Scene::render(Split::Test, 2, 1, 0);
//! let digit = scene.digits[0];
//! let class = usize::from(digit.class);
//! let picture = Picture::new(scene.side, scene.side, scene.pixels)?;
//! let (input, seen) = explainer.preprocess().apply(&picture)?;
//! let explained = explainer.explain(&input, Method::Clrp1, Target::classes([class]))?;
//! let map = explained.explanations[0].plane()?;
//!
//! // What the digit's box covers of the input, and whether the map points there.
//! let geometry = explainer.preprocess().geometry(picture.width(), picture.height())?;
//! let placed = BoundingBox::from(digit.bounds).placed(&geometry);
//! let region = Region::union(map.size(), &[placed])?;
//! assert!(region.area() > 0, "a crop can cut an object away");
//! let pointing = Pointing::of(&map, &region)?;
//! assert!(pointing.is_hit && pointing.is_hit_at(0.1));
//!
//! // The score without the pixels around the map's maximum: the mean of a data set stands there.
//! let mut mean = MeanPicture::new();
//! mean.add(&seen)?;
//! for index in 1..10 {
//!     let other = Scene::render(Split::Test, 2, 1, index);
//!     let other = Picture::new(other.side, other.side, other.pixels)?;
//!     mean.add(&explainer.preprocess().apply(&other)?.1)?;
//! }
//! let ablation = Ablation::default();
//! let mean = mean.input(explainer.preprocess())?;
//! let without = ablation.apply(&input, &mean, &ablation.centres(&map)?)?;
//! let score = explainer.scores(&[without])?[0][class];
//! assert!(score < explained.scores[class]);
//! # Ok::<(), clrp::Error>(())
//! ```

mod ablation;
mod mean;
mod perturbation;
mod pointing;
mod region;

pub use ablation::Ablation;
pub use mean::MeanPicture;
pub use perturbation::{Perturbation, area_under};
pub use pointing::Pointing;
pub use region::{BoundingBox, Region};
