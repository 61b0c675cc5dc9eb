//! The layers of a network, in torch's words.

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The picture.
    Input,
    /// Convolution.
    Conv2d(Conv2d),
    /// Fully connected layer; its input is a vector.
    Linear(Linear),
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`; ReLU6 is the one from 0 to 6.
    Hardtanh {
        /// The smallest value let through.
        low: f32,
        /// The largest value let through.
        high: f32,
    },
    /// The maximum of each window.
    MaxPool2d(MaxPool2d),
    /// The mean of each window.
    AvgPool2d(AvgPool2d),
    /// The means of windows that divide the input into the given rows and columns.
    AdaptiveAvgPool2d([usize; 2]),
    /// Batch normalisation in evaluation mode.
    BatchNorm2d {
        /// Added to the variance.
        epsilon: f64,
    },
    /// Fixed scale and shift of each channel, as torchvision's input transforms.
    ChannelAffine {
        /// One factor a channel.
        scale: Vec<f64>,
        /// One summand a channel, added after scaling.
        shift: Vec<f64>,
    },
    /// Each value divided by a power of its neighbours' squares, across channels.
    LocalResponseNorm(LocalResponseNorm),
    /// The sum of two equal shapes.
    Add,
    /// Channels one after the other.
    Concat,
    /// A range of channels, as one part of a split.
    Narrow {
        /// The first channel.
        start: usize,
        /// How many.
        length: usize,
    },
    /// Channels dealt out: of `groups` runs, first each run's first channel, then its second.
    ChannelShuffle {
        /// Runs of channels.
        groups: usize,
    },
    /// Zeros around the picture: left, right, above, below.
    ZeroPad2d([usize; 4]),
    /// All values as a vector, in torch's order: channel by channel, row by row.
    Flatten,
    /// Nothing, in evaluation mode.
    Dropout,
    /// Nothing: what is left of a layer that was folded into another, or a name for its input.
    Identity,
}

/// What is known of the sign of a layer's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Nothing.
    Any,
    /// None is below 0.
    NonNegative,
    /// None is below 0 if no input is.
    AsInputs,
}

/// What the passes ask of a layer besides its arithmetic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// The sign of its outputs.
    pub(crate) sign: Sign,
    /// Whether each output channel comes from one input channel alone: that of its number, or,
    /// where positions are flattened, that whose positions it was among.
    pub(crate) keeps_channels: bool,
    /// Whether its output is still the picture: scaled, padded or taken apart by channels at most.
    pub(crate) keeps_picture: bool,
}

impl Op {
    /// The layer's kind as torch spells it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Op::Input => "Input",
            Op::Conv2d(_) => "Conv2d",
            Op::Linear(_) => "Linear",
            Op::Relu => "ReLU",
            Op::Hardtanh { low: 0.0, high: 6.0 } => "ReLU6",
            Op::Hardtanh { .. } => "Hardtanh",
            Op::LocalResponseNorm(_) => "LocalResponseNorm",
            Op::Narrow { .. } => "narrow",
            Op::ChannelShuffle { .. } => "ChannelShuffle",
            Op::ZeroPad2d(_) => "ZeroPad2d",
            Op::Identity => "Identity",
            Op::MaxPool2d(_) => "MaxPool2d",
            Op::AvgPool2d(_) => "AvgPool2d",
            Op::AdaptiveAvgPool2d(_) => "AdaptiveAvgPool2d",
            Op::BatchNorm2d { .. } => "BatchNorm2d",
            Op::ChannelAffine { .. } => "ChannelAffine",
            Op::Add => "Add",
            Op::Concat => "Concat",
            Op::Flatten => "Flatten",
            Op::Dropout => "Dropout",
        }
    }

    /// What the passes ask of it.
    pub(crate) fn traits(&self) -> Traits {
        let (sign, keeps_channels, keeps_picture) = match self {
            Op::Input => (Sign::Any, false, true),
            Op::Conv2d(_) | Op::Linear(_) | Op::Add => (Sign::Any, false, false),
            Op::Relu => (Sign::NonNegative, true, false),
            Op::Hardtanh { low, .. } if *low >= 0.0 => (Sign::NonNegative, true, false),
            Op::Hardtanh { .. } => (Sign::Any, true, false),
            Op::BatchNorm2d { .. } | Op::ChannelAffine { .. } => (Sign::Any, true, true),
            Op::MaxPool2d(_) | Op::AvgPool2d(_) | Op::AdaptiveAvgPool2d(_) | Op::Flatten => {
                (Sign::AsInputs, true, false)
            }
            Op::ZeroPad2d(_) | Op::Dropout | Op::Identity => (Sign::AsInputs, true, true),
            Op::Concat | Op::Narrow { .. } => (Sign::AsInputs, false, true),
            Op::LocalResponseNorm(_) | Op::ChannelShuffle { .. } => (Sign::AsInputs, false, false),
        };
        Traits { sign, keeps_channels, keeps_picture }
    }
}

/// A convolution. Pairs are rows, columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Filters.
    pub out_channels: usize,
    /// Size of a filter.
    pub kernel: [usize; 2],
    /// From window to window.
    pub stride: [usize; 2],
    /// Zeros on either side.
    pub padding: [usize; 2],
    /// Zeros below and to the right beyond those of `padding`; ONNX has them, torch does not.
    pub more_padding: [usize; 2],
    /// From tap to tap.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

impl Conv2d {
    /// A square filter with torch's defaults: stride 1, no padding, one group, a bias.
    pub const fn new(out_channels: usize, kernel: usize) -> Self {
        Self {
            out_channels,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [0; 2],
            more_padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            bias: true,
        }
    }

    /// The same with another stride.
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride: [stride; 2], ..self }
    }

    /// The same with another padding.
    pub const fn padding(self, padding: usize) -> Self {
        Self { padding: [padding; 2], ..self }
    }

    /// The same with groups of channels that do not see each other.
    pub const fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The same without a bias.
    pub const fn no_bias(self) -> Self {
        Self { bias: false, ..self }
    }
}

/// A fully connected layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Outputs.
    pub out_features: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

/// Max pooling. Pairs are rows, columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Size of the window.
    pub kernel: [usize; 2],
    /// From window to window.
    pub stride: [usize; 2],
    /// Cells on either side that never win.
    pub padding: [usize; 2],
    /// Such cells below and to the right beyond those of `padding`.
    pub more_padding: [usize; 2],
    /// From tap to tap.
    pub dilation: [usize; 2],
    /// Whether a last window may reach past the end.
    pub ceil_mode: bool,
}

impl MaxPool2d {
    /// A square window without padding.
    pub const fn new(kernel: usize, stride: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [0; 2],
            more_padding: [0; 2],
            dilation: [1; 2],
            ceil_mode: false,
        }
    }

    /// The same with padding.
    pub const fn padding(self, padding: usize) -> Self {
        Self { padding: [padding; 2], ..self }
    }

    /// The same with `ceil_mode`.
    pub const fn ceil(self) -> Self {
        Self { ceil_mode: true, ..self }
    }
}

/// Average pooling. Pairs are rows, columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    /// Size of the window.
    pub kernel: [usize; 2],
    /// From window to window.
    pub stride: [usize; 2],
    /// Zeros on either side.
    pub padding: [usize; 2],
    /// Zeros below and to the right beyond those of `padding`.
    pub more_padding: [usize; 2],
    /// Whether a last window may reach past the end.
    pub ceil_mode: bool,
    /// Whether padding counts in the divisor.
    pub count_include_pad: bool,
}

impl AvgPool2d {
    /// A square window with torch's defaults: no padding, and if there is any, it counts.
    pub const fn new(kernel: usize, stride: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [0; 2],
            more_padding: [0; 2],
            ceil_mode: false,
            count_include_pad: true,
        }
    }

    /// The same with padding.
    pub const fn padding(self, padding: usize) -> Self {
        Self { padding: [padding; 2], ..self }
    }
}

/// Local response normalisation (Krizhevsky et al. 2012):
/// `y = x / (k + alpha / size * sum of x^2 over size channels around it)^beta`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNorm {
    /// Channels of the sum; of an even number, torch takes one more below than above.
    pub size: usize,
    /// The sum's factor.
    pub alpha: f32,
    /// The power.
    pub beta: f32,
    /// What is added to the sum.
    pub k: f32,
}
