//! Every known network: who builds it, and what is special about it.

use super::model::{Build, Data, Model};
use super::{
    alexnet, densenet, digits, googlenet, inception, mnasnet, mobilenet, resnet, shufflenet,
    squeezenet, vgg,
};
use crate::image::{Mode, Preprocess};

/// Every known network.
pub const MODELS: &[Model] = &[
    imagenet("alexnet", alexnet::alexnet, "classifier.6"),
    imagenet("vgg11", vgg::vgg11, "classifier.6"),
    imagenet("vgg11_bn", vgg::vgg11_bn, "classifier.6"),
    imagenet("vgg13", vgg::vgg13, "classifier.6"),
    imagenet("vgg13_bn", vgg::vgg13_bn, "classifier.6"),
    imagenet("vgg16", vgg::vgg16, "classifier.6"),
    imagenet("vgg16_bn", vgg::vgg16_bn, "classifier.6"),
    imagenet("vgg19", vgg::vgg19, "classifier.6"),
    imagenet("vgg19_bn", vgg::vgg19_bn, "classifier.6"),
    imagenet("squeezenet1_0", squeezenet::squeezenet1_0, "classifier.1"),
    imagenet("squeezenet1_1", squeezenet::squeezenet1_1, "classifier.1"),
    imagenet("googlenet", googlenet::googlenet, "fc")
        .transforming_input()
        .ignoring(&["aux1.", "aux2."]),
    imagenet("inception_v3", inception::inception_v3, "fc")
        .transforming_input()
        .ignoring(&["AuxLogits."])
        .sized(342, 299),
    imagenet("resnet18", resnet::resnet18, "fc"),
    imagenet("resnet34", resnet::resnet34, "fc"),
    imagenet("resnet50", resnet::resnet50, "fc").with_bottlenecks(),
    imagenet("resnet101", resnet::resnet101, "fc").with_bottlenecks(),
    imagenet("resnet152", resnet::resnet152, "fc").with_bottlenecks(),
    imagenet("resnext50_32x4d", resnet::resnext50_32x4d, "fc").with_bottlenecks(),
    imagenet("resnext101_32x8d", resnet::resnext101_32x8d, "fc").with_bottlenecks(),
    imagenet("wide_resnet50_2", resnet::wide_resnet50_2, "fc").with_bottlenecks(),
    imagenet("wide_resnet101_2", resnet::wide_resnet101_2, "fc").with_bottlenecks(),
    imagenet("densenet121", densenet::densenet121, "classifier").renaming(densenet::renamed),
    imagenet("densenet161", densenet::densenet161, "classifier").renaming(densenet::renamed),
    imagenet("densenet169", densenet::densenet169, "classifier").renaming(densenet::renamed),
    imagenet("densenet201", densenet::densenet201, "classifier").renaming(densenet::renamed),
    imagenet("mobilenet_v2", mobilenet::mobilenet_v2, "classifier.1"),
    imagenet("mnasnet0_5", mnasnet::mnasnet0_5, "classifier.1").published_as("mnasnet0.5"),
    imagenet("mnasnet1_0", mnasnet::mnasnet1_0, "classifier.1").published_as("mnasnet1.0"),
    imagenet("shufflenet_v2_x0_5", shufflenet::shufflenet_v2_x0_5, "fc")
        .published_as("shufflenetv2_x0.5"),
    imagenet("shufflenet_v2_x1_0", shufflenet::shufflenet_v2_x1_0, "fc")
        .published_as("shufflenetv2_x1"),
    DIGITS,
];

const DIGITS: Model = Model {
    data: Data::Digits,
    preprocess: Preprocess {
        mode: Mode::Squash,
        size: (64, 64),
        mean: digits::MEAN,
        std: digits::STD,
    },
    ..imagenet("digits", digits::digits, "classifier.2")
};

/// A network as most of torchvision's are.
const fn imagenet(name: &'static str, build: Build, head: &'static str) -> Model {
    Model {
        name,
        build,
        head,
        data: Data::ImageNet,
        preprocess: Preprocess::imagenet(),
        published_as: name,
        ignored: &[],
        renamed: |_| None,
        transforms_input: false,
        has_bottlenecks: false,
    }
}

impl Model {
    /// The same for pictures whose short side is resized to `resize` before `size` is cut out.
    const fn sized(self, resize: u32, size: u32) -> Self {
        let mode = Mode::CenterCrop { resize };
        let preprocess = Preprocess { mode, size: (size, size), ..self.preprocess };
        Self { preprocess, ..self }
    }

    /// The same, in whose published form pictures pass torchvision's `transform_input`.
    const fn transforming_input(self) -> Self {
        Self { transforms_input: true, ..self }
    }

    /// The same, made of bottlenecks, whose stride may stand in either of two convolutions.
    const fn with_bottlenecks(self) -> Self {
        Self { has_bottlenecks: true, ..self }
    }

    /// The same, whose weight files hold more: what only training needs.
    const fn ignoring(self, ignored: &'static [&'static str]) -> Self {
        Self { ignored, ..self }
    }

    /// The same, whose weights may have old names.
    const fn renaming(self, renamed: fn(&str) -> Option<String>) -> Self {
        Self { renamed, ..self }
    }

    /// The same, whose published file's name starts otherwise than with the network's.
    const fn published_as(self, published_as: &'static str) -> Self {
        Self { published_as, ..self }
    }
}
