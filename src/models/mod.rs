//! Networks by torchvision's names: each builds a graph whose weight names are torchvision's
//! state-dict keys. Numbers come from weight files, rules from composites.

mod alexnet;
mod digits;
mod squeezenet;
mod vgg;

use crate::error::{Error, Result};
use crate::graph::{Graph, Network, Weights};
use crate::image::{Mode, Preprocess};
use crate::labels::Labels;
use crate::tensor::Shape;

/// A known network.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// torchvision's name.
    pub name: &'static str,
    /// Builds the layers for a picture's shape and a number of classes.
    build: fn(&'static str, Shape, usize) -> Result<Graph>,
    /// The weight whose first dimension is the number of classes.
    head: &'static str,
    /// What it was trained on.
    data: Data,
}

/// What a network was trained on, which settles its pictures and classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    ImageNet,
    Digits,
}

/// Every known network.
pub const MODELS: &[Model] = &[
    imagenet("alexnet", alexnet::build, "classifier.6.weight"),
    imagenet("vgg11", vgg::build, "classifier.6.weight"),
    imagenet("vgg11_bn", vgg::build, "classifier.6.weight"),
    imagenet("vgg13", vgg::build, "classifier.6.weight"),
    imagenet("vgg13_bn", vgg::build, "classifier.6.weight"),
    imagenet("vgg16", vgg::build, "classifier.6.weight"),
    imagenet("vgg16_bn", vgg::build, "classifier.6.weight"),
    imagenet("vgg19", vgg::build, "classifier.6.weight"),
    imagenet("vgg19_bn", vgg::build, "classifier.6.weight"),
    imagenet("squeezenet1_0", squeezenet::build, "classifier.1.weight"),
    imagenet("squeezenet1_1", squeezenet::build, "classifier.1.weight"),
    Model { name: "digits", build: digits::build, head: digits::HEAD, data: Data::Digits },
];

type Build = fn(&'static str, Shape, usize) -> Result<Graph>;

const fn imagenet(name: &'static str, build: Build, head: &'static str) -> Model {
    Model { name, build, head, data: Data::ImageNet }
}

impl Model {
    /// The network of that name.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the nearest names.
    pub fn find(name: &str) -> Result<&'static Model> {
        MODELS
            .iter()
            .find(|model| model.name == name)
            .ok_or_else(|| Error::unknown("model", name, MODELS.iter().map(|model| model.name)))
    }

    /// The layers for pictures of that shape.
    ///
    /// # Errors
    /// [`Error::LayerInput`] if the picture is too small for a layer.
    pub fn graph(&self, input: Shape, classes: usize) -> Result<Graph> {
        (self.build)(self.name, input, classes)
    }

    /// The layers and the given weights for pictures of that shape; the weights say how many
    /// classes there are.
    ///
    /// # Errors
    /// As [`graph`](Self::graph) and [`Weights::bind`].
    pub fn network(&self, input: Shape, weights: Weights) -> Result<Network> {
        let head = weights.shape(self.head).and_then(|shape| shape.first().copied());
        let graph = self.graph(input, head.unwrap_or(self.classes()))?;
        weights.bind(graph)
    }

    /// The bundled weights, if there are any.
    ///
    /// # Errors
    /// Only if the library was built from damaged assets.
    pub fn bundled(&self) -> Option<Result<Weights>> {
        match self.data {
            Data::ImageNet => None,
            Data::Digits => Some(Weights::from_bytes("the bundled weights", digits::WEIGHTS)),
        }
    }

    /// Classes of the published weights.
    pub const fn classes(&self) -> usize {
        match self.data {
            Data::ImageNet => 1000,
            Data::Digits => 10,
        }
    }

    /// Names of the classes, where the network has as many as the published one.
    pub fn labels(&self, classes: usize) -> Labels {
        match self.data {
            Data::ImageNet if classes == 1000 => Labels::imagenet(),
            Data::Digits if classes == 10 => Labels::digits(),
            Data::ImageNet | Data::Digits => Labels::numbered(classes),
        }
    }

    /// How pictures are brought to the network, as it was trained.
    pub const fn preprocess(&self) -> Preprocess {
        match self.data {
            Data::ImageNet => Preprocess::imagenet(),
            Data::Digits => Preprocess {
                mode: Mode::Squash,
                size: (64, 64),
                mean: digits::MEAN,
                std: digits::STD,
            },
        }
    }

    /// The picture's shape after [`preprocess`](Self::preprocess).
    pub const fn input_shape(&self) -> Shape {
        let (height, width) = self.preprocess().size;
        Shape::new(3, height as usize, width as usize)
    }
}
