//! A known network: its layers, its pictures, its classes, and how its weight files look.

use super::{MODELS, digits};
use crate::error::{Error, Result};
use crate::graph::{Graph, Network, NodeId, Op, Weights};
use crate::image::Preprocess;
use crate::labels::Labels;
use crate::num::mix;
use crate::tensor::Shape;
use crate::weight::Weight;

/// A known network.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// torchvision's name.
    pub name: &'static str,
    pub(super) build: Build,
    /// The last layer with weights, which has as many outputs as there are classes.
    pub(super) head: &'static str,
    pub(super) data: Data,
    pub(super) preprocess: Preprocess,
    /// What the published file's name starts with.
    pub(super) published_as: &'static str,
    /// Weights whose names start so are passed over.
    pub(super) ignored: &'static [&'static str],
    /// Today's name of a weight under an old one.
    pub(super) renamed: fn(&str) -> Option<String>,
    /// Whether its published form transforms the input.
    pub(super) transforms_input: bool,
    /// Whether it has the choice of `stride_in_1x1`.
    pub(super) has_bottlenecks: bool,
}

/// Appends a network's layers behind a node.
pub(super) type Build = fn(&mut Graph, NodeId, Plan) -> Result<()>;

/// What a builder does not know by itself.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) classes: usize,
    /// As in [`BuildOptions`].
    pub(super) stride_in_1x1: bool,
}

/// What a network was trained on, which settles its classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    ImageNet,
    Digits,
}

/// What may be chosen about a network's layers; by default they are those of the published weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Of GoogLeNet and Inception v3: whether the network starts by undoing ImageNet's
    /// normalisation in favour of -1 to 1, as torchvision's `transform_input`. The published
    /// weights want that; weights trained on pictures from -1 to 1, or from scratch on
    /// normalised ones, do not.
    pub transform_input: Option<bool>,
    /// Of ResNets with bottlenecks: whether the stride of a bottleneck stands in its first
    /// convolution of 1x1, as in the paper (v1), instead of the one of 3x3, where torchvision has
    /// it (v1.5). Weights converted from Caffe want that. The weights' shapes do not tell.
    pub stride_in_1x1: bool,
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

    /// The network whose weights a file of that name seems to hold: `vgg16_bn-6c64b313.pth` those
    /// of `vgg16_bn`, `mnasnet1.0_top1_73.512-f206786ef8.pth` those of `mnasnet1_0`.
    pub fn of_file(file_name: &str) -> Option<&'static Model> {
        let file_name = file_name.to_lowercase();
        let matching = |start: &str| {
            let rest = file_name.strip_prefix(start)?;
            // `resnet50` is no `resnet5`, and x1.5 is no x1.
            let mut rest = rest.chars();
            let goes_on = match (rest.next(), rest.next()) {
                (Some('.'), Some(next)) => next.is_ascii_digit(),
                (Some(next), _) => next.is_ascii_alphanumeric(),
                (None, _) => false,
            };
            (!goes_on).then_some(start.len())
        };
        let length = |model: &Model| matching(model.name).max(matching(model.published_as));
        let longest = MODELS.iter().max_by_key(|model| length(model))?;
        length(longest).map(|_| longest)
    }

    /// The layers for pictures of that shape.
    ///
    /// # Errors
    /// [`Error::LayerInput`] if the picture is too small for a layer.
    pub fn graph(&self, input: Shape, classes: usize) -> Result<Graph> {
        self.graph_with(input, classes, BuildOptions::default())
    }

    /// The layers for pictures of that shape, with a choice.
    ///
    /// # Errors
    /// As [`graph`](Self::graph), and [`Error::Setting`] for a choice that the network does not
    /// have.
    pub fn graph_with(&self, input: Shape, classes: usize, options: BuildOptions) -> Result<Graph> {
        let transforms = options.transform_input.unwrap_or(self.transforms_input);
        let chosen = options.transform_input.is_some();
        self.has("transform_input", chosen, |model| model.transforms_input)?;
        self.has("stride_in_1x1", options.stride_in_1x1, |model| model.has_bottlenecks)?;
        let mut graph = Graph::new(self.name, input);
        let mut x = graph.input();
        if transforms {
            x = graph.push("transform_input", transform_input(), &[x])?;
        }
        (self.build)(&mut graph, x, Plan { classes, stride_in_1x1: options.stride_in_1x1 })?;
        Ok(graph)
    }

    /// Refuses a choice that others have, but not this network.
    fn has(&self, what: &'static str, chosen: bool, has: impl Fn(&Model) -> bool) -> Result<()> {
        if !chosen || has(self) {
            return Ok(());
        }
        let others = MODELS.iter().filter(|model| has(model)).map(|model| model.name);
        let others = others.collect::<Vec<_>>().join(", ");
        let found = format!("chosen for `{}`", self.name);
        Err(Error::Setting { what, found, expected: format!("one of {others}") })
    }

    /// The layers and the given weights for pictures of that shape; the weights say how many
    /// classes there are. Those of auxiliary heads, which only training needs, are passed over.
    ///
    /// # Errors
    /// As [`graph`](Self::graph) and [`Weights::bind`].
    pub fn network(&self, input: Shape, weights: Weights) -> Result<Network> {
        self.network_with(input, weights, BuildOptions::default())
    }

    /// The layers and the given weights for pictures of that shape, with a choice.
    ///
    /// # Errors
    /// As [`graph_with`](Self::graph_with) and [`Weights::bind`].
    pub fn network_with(
        &self,
        input: Shape,
        weights: Weights,
        options: BuildOptions,
    ) -> Result<Network> {
        let head = format!("{}.weight", self.head);
        let classes = weights.shape(&head).and_then(|shape| shape.first().copied());
        let graph = self.graph_with(input, classes.unwrap_or(self.classes()), options)?;
        weights.renamed(self.renamed).without(self.ignored).bind(graph)
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

    /// Noise of about unit gain in place of trained weights, so that no layer dies out: what a
    /// network costs does not depend on them. The same for the same seed.
    ///
    /// # Errors
    /// Only if the network cannot be built for pictures of its own size.
    pub fn random_weights(&self, seed: u64) -> Result<Weights> {
        let graph = self.graph(self.input_shape(), self.classes())?;
        let weights = graph.weight_specs().into_iter().enumerate().map(|(number, spec)| {
            let inputs: usize = spec.shape[1..].iter().product();
            let gain = (6.0 / inputs as f32).sqrt();
            let stream = mix(seed ^ mix(number as u64));
            let noise = |i: usize| {
                let bits = mix(stream.wrapping_add(i as u64)) >> 40;
                gain * (bits as f32 / (1 << 23) as f32 - 1.0)
            };
            let value = |i: usize| if spec.name.ends_with(".running_var") { 1.0 } else { noise(i) };
            let values = (0..spec.shape.iter().product()).map(value).collect();
            Weight::from_f32(spec.name.as_str(), &spec.shape, values)
        });
        Ok(Weights::from_weights("random weights", weights))
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
        self.preprocess
    }

    /// The picture's shape after [`preprocess`](Self::preprocess).
    pub const fn input_shape(&self) -> Shape {
        let (height, width) = self.preprocess.size;
        Shape::new(3, height as usize, width as usize)
    }
}

/// torchvision's numbers: from ImageNet's means and deviations to 0.5 and 0.5.
fn transform_input() -> Op {
    Op::ChannelAffine {
        scale: [0.229, 0.224, 0.225].map(|std: f64| std / 0.5).to_vec(),
        shift: [0.485, 0.456, 0.406].map(|mean: f64| (mean - 0.5) / 0.5).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::WeightSpec;
    use crate::weight::Weight;

    #[test]
    fn random_weights_are_the_same_for_the_same_seed() {
        let model = Model::find("digits").expect("it is known");
        let values = |seed| -> Vec<f32> {
            let weights = model.random_weights(seed).expect("it can be built");
            let network = model.network(model.input_shape(), weights).expect("they suit");
            let all = network.weights().flat_map(|weight| {
                let values = weight.values();
                (0..weight.len()).map(move |i| values.get::<f32>(i)).collect::<Vec<_>>()
            });
            all.collect()
        };
        let first = values(0);
        assert!(first == values(0) && first != values(1));
        assert!(first.iter().all(|value| value.is_finite()) && first.iter().any(|v| *v < 0.0));
    }

    #[test]
    fn the_name_of_a_weight_file_tells_the_network() {
        let name = |file: &str| Model::of_file(file).map(|model| model.name);
        assert_eq!(name("squeezenet1_1.safetensors"), Some("squeezenet1_1"));
        assert_eq!(name("vgg16-397923af.safetensors"), Some("vgg16"));
        assert_eq!(name("vgg16_bn-6c64b313.safetensors"), Some("vgg16_bn"));
        assert_eq!(name("VGG16_mine.safetensors"), Some("vgg16"));
        assert_eq!(name("vgg160.safetensors"), None);
        assert_eq!(name("model.safetensors"), None);
        assert_eq!(name("alexnet-owt-7be5be79.pth"), Some("alexnet"));
        assert_eq!(name("inception_v3_google-0cc3c7bd.pth"), Some("inception_v3"));
        assert_eq!(name("mnasnet1.0_top1_73.512-f206786ef8.pth"), Some("mnasnet1_0"));
        assert_eq!(name("mnasnet0_5.safetensors"), Some("mnasnet0_5"));
        assert_eq!(name("shufflenetv2_x0.5-f707e7126e.pth"), Some("shufflenet_v2_x0_5"));
        assert_eq!(name("shufflenetv2_x1-5666bf0f80.pth"), Some("shufflenet_v2_x1_0"));
        assert_eq!(name("shufflenetv2_x1.pth"), Some("shufflenet_v2_x1_0"));
        assert_eq!(name("shufflenetv2_x1.5-3c479a10.pth"), None);
        assert_eq!(name(""), None);
        for model in MODELS {
            assert_eq!(name(model.name), Some(model.name));
        }
    }

    fn graph(name: &str, options: BuildOptions) -> Result<Graph> {
        let model = Model::find(name)?;
        model.graph_with(model.input_shape(), 10, options)
    }

    #[test]
    fn the_input_is_transformed_where_the_published_weights_want_it() {
        let transforms = |name: &str, transform_input| {
            let options = BuildOptions { transform_input, ..BuildOptions::default() };
            graph(name, options).map(|graph| graph.nodes()[1].name == "transform_input")
        };
        for name in ["googlenet", "inception_v3"] {
            assert!(transforms(name, None).expect("it builds"));
            assert!(transforms(name, Some(true)).expect("it builds"));
            assert!(!transforms(name, Some(false)).expect("it builds"));
        }
        assert!(!transforms("vgg16", None).expect("it builds"));
        for choice in [true, false] {
            let error = transforms("vgg16", Some(choice)).expect_err("it has no such choice");
            let expected =
                "transform_input is chosen for `vgg16`, expected one of googlenet, inception_v3";
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn the_stride_of_a_bottleneck_can_be_moved() {
        let strides = |stride_in_1x1| {
            let options = BuildOptions { stride_in_1x1, ..BuildOptions::default() };
            let graph = graph("resnext50_32x4d", options).expect("it builds");
            ["conv1", "conv2"].map(|conv| {
                let name = format!("layer2.0.{conv}");
                let node = graph.nodes().iter().find(|node| node.name == name);
                node.expect("it is there").shape.height
            })
        };
        assert_eq!(strides(false), [56, 28]);
        assert_eq!(strides(true), [28, 28]);
        let options = BuildOptions { stride_in_1x1: true, ..BuildOptions::default() };
        let error = graph("resnet18", options).expect_err("its blocks are basic").to_string();
        assert!(
            error.starts_with("stride_in_1x1 is chosen for `resnet18`, expected one of resnet50")
        );
    }

    /// Zeros for a network of few classes, with changed names, and more of the given names.
    fn zeros(name: &str, rename: impl Fn(&str) -> String, more: &[&str]) -> Weights {
        let zero = |name: String, shape: &[usize]| {
            Weight::from_f32(name, shape, vec![0.0; shape.iter().product()])
        };
        let specs = graph(name, BuildOptions::default()).expect("it builds").weight_specs();
        let own = specs.iter().map(|WeightSpec { name, shape }| zero(rename(name), shape));
        let more = more.iter().map(|name| zero((*name).to_owned(), &[1]));
        Weights::from_weights("zeros", own.chain(more))
    }

    fn bound(name: &str, weights: Weights) -> Result<Network> {
        let model = Model::find(name)?;
        model.network(model.input_shape(), weights)
    }

    #[test]
    fn weights_of_auxiliary_heads_are_passed_over_and_no_others() {
        let same = |name: &str| name.to_owned();
        let weights = zeros("googlenet", same, &["aux1.fc1.weight", "aux2.conv.bn.bias"]);
        let network = bound("googlenet", weights).expect("they suit");
        assert_eq!(network.graph().output_shape(), Shape::vector(10));
        assert!(network.weight("aux1.fc1", "weight").is_none());
        for more in ["AuxLogits.fc.weight", "aux3.fc1.weight", "aux1"] {
            let error = bound("googlenet", zeros("googlenet", same, &[more]));
            assert!(matches!(error, Err(Error::SuperfluousWeight { .. })), "{more}");
        }
    }

    #[test]
    fn weights_of_densenets_may_have_their_old_names() {
        let old = |name: &str| {
            let name = name.replace(".norm1.", ".norm.1.").replace(".norm2.", ".norm.2.");
            name.replace(".conv1.", ".conv.1.").replace(".conv2.", ".conv.2.")
        };
        let network = bound("densenet121", zeros("densenet121", old, &[])).expect("they suit");
        let layer = "features.denseblock1.denselayer1.norm1";
        assert!(network.weight(layer, "running_var").is_some());
        network.with_graph(network.graph().clone()).expect("their names are new for good");
        // One weight under both names is one too many.
        let twice = ["features.denseblock1.denselayer1.norm.1.weight"];
        let error = bound("densenet121", zeros("densenet121", str::to_owned, &twice));
        assert!(matches!(error, Err(Error::SuperfluousWeight { .. })), "{error:?}");
    }
}
