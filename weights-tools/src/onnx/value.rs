//! What the values of a model are while it is imported.

use std::rc::Rc;

use clrp::graph::NodeId;

use super::constant::Constant;

/// A value of the model.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Known before the model runs.
    Constant(Rc<Constant>),
    /// A layer's output, or a view of it.
    Activation(Activation),
}

/// A layer's output as the model sees it.
#[derive(Clone, Debug)]
pub(super) struct Activation {
    pub(super) layer: NodeId,
    /// ONNX's sizes, the batch first.
    pub(super) dims: Vec<usize>,
    pub(super) form: Form,
}

/// How the layer's output is seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// As it is, apart from sizes of 1.
    Plain,
    /// Rows, columns, channels, as TensorFlow has its input before it is transposed.
    ChannelsLast,
    /// With zeros around it that the following convolution takes over: left, right, above, below.
    Padded([usize; 4]),
    /// Its channels in so many groups: batch, groups, channels of a group, the rest.
    Grouped(usize),
    /// The same with groups and their channels exchanged.
    Shuffled(usize),
    /// Layers of one shape, one after the other along that axis, which has no other size.
    Stacked(usize, Rc<Vec<NodeId>>),
    /// A part of the formula of local response normalisation.
    Response(Response),
    /// Behind a softmax or sigmoid, which is left out: its operator and name.
    Probabilities(String),
}

/// How far the formula `x / (k + alpha * mean of x^2)^beta` is written out, which PyTorch's
/// exporters do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Response {
    /// The squares, with so many zeros before and behind the channels.
    Squares([usize; 2]),
    /// Their means over so many channels.
    Means(usize),
    /// Those times alpha.
    Scaled { size: usize, alpha: f64 },
    /// That and k.
    Shifted { size: usize, alpha: f64, k: f64 },
    /// The divisor.
    Power { size: usize, alpha: f64, k: f64, beta: f64 },
}

impl Form {
    /// What it is, for errors.
    pub(super) fn described(&self) -> String {
        match self {
            Form::Plain => "a layer's output".to_owned(),
            Form::ChannelsLast => "channels behind rows and columns".to_owned(),
            Form::Padded(_) => "a padded picture".to_owned(),
            Form::Grouped(groups) => format!("channels in {groups} groups"),
            Form::Shuffled(groups) => format!("channels dealt out from {groups} groups"),
            Form::Stacked(axis, layers) => {
                format!("{} layers' outputs stacked along axis {axis}", layers.len())
            }
            Form::Response(_) => "a part of a normalisation across channels".to_owned(),
            Form::Probabilities(node) => format!("the output of {node}, which may only be last"),
        }
    }
}

impl Activation {
    pub(super) fn plain(layer: NodeId, dims: Vec<usize>) -> Self {
        Self { layer, dims, form: Form::Plain }
    }

    /// The pictures of a batch, as the model has them.
    pub(super) fn batch(&self) -> usize {
        self.dims.first().copied().unwrap_or(1)
    }
}
