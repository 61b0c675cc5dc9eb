//! Networks by torchvision's names: each builds a graph whose weight names are torchvision's
//! state-dict keys. Numbers come from weight files, rules from composites.
//!
//! ```
//! use clrp::models::Model;
//!
//! let model = Model::find("resnet50")?;
//! let graph = model.graph(model.input_shape(), model.classes())?;
//! assert_eq!(graph.parameters(), 25_557_032);
//! # Ok::<(), clrp::Error>(())
//! ```

mod alexnet;
mod basic_conv;
mod densenet;
mod digits;
mod googlenet;
mod inception;
mod mnasnet;
mod mobilenet;
mod model;
mod registry;
mod resnet;
mod sequential;
mod shufflenet;
mod squeezenet;
mod vgg;

pub use model::{BuildOptions, Model};
pub use registry::MODELS;
