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
    /// The sum of two equal shapes.
    Add,
    /// Channels one after the other.
    Concat,
    /// All values as a vector, in torch's order: channel by channel, row by row.
    Flatten,
    /// Nothing, in evaluation mode.
    Dropout,
}

impl Op {
    /// The layer's kind as torch spells it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Op::Input => "Input",
            Op::Conv2d(_) => "Conv2d",
            Op::Linear(_) => "Linear",
            Op::Relu => "ReLU",
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
            dilation: [1; 2],
            ceil_mode: false,
        }
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
    /// Whether a last window may reach past the end.
    pub ceil_mode: bool,
    /// Whether padding counts in the divisor.
    pub count_include_pad: bool,
}
