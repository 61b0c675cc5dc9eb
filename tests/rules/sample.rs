//! One layer of each shape under a fully connected one, whose rule gives relevance of either sign.

use std::fmt;

use clrp::graph::{AvgPool2d, Conv2d, Graph, Linear, Network, Op};
use clrp::program::Bounds;
use clrp::tensor::Shape;

use crate::support::{Matrix, bounds, values, weights};

/// Bounds of the pictures, which are in -1..1.
pub(super) const LOW: f64 = -1.25;
pub(super) const HIGH: f64 = 1.5;

/// The stabilizer of the layer on top.
pub(super) const TOP_EPSILON: f32 = 0.125;

const CLASSES: usize = 4;

/// A layer with its dense form.
pub(super) struct Sample {
    input: Shape,
    op: Op,
    pub(super) above_relu: bool,
    pub(super) w: Matrix,
    pub(super) taps: Matrix,
    pub(super) b: Vec<f64>,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} at {}{}",
            self.op,
            self.input,
            if self.above_relu { ", above ReLU" } else { "" }
        )
    }
}

impl Sample {
    fn new(input: Shape, op: Op, above_relu: bool) -> Self {
        let none = Matrix::zeros(0, 0);
        let mut sample = Self { input, op, above_relu, w: none.clone(), taps: none, b: Vec::new() };
        let network = sample.network();
        let output = network.graph().nodes()[1 + usize::from(above_relu)].shape;
        let filters = values(&network, "layer", "weight").unwrap_or_default();
        let dense = |filters: &[f64]| {
            if let Op::Conv2d(conv) = &sample.op {
                Matrix::conv2d(conv, input, output, filters)
            } else if let Op::Linear(_) = &sample.op {
                Matrix::linear(output.len(), input.len(), filters)
            } else if let Op::AvgPool2d(pool) = &sample.op {
                Matrix::avg_pool2d(pool, input, output)
            } else {
                Matrix::adaptive_avg_pool2d(input, output)
            }
        };
        (sample.w, sample.taps) = (dense(&filters), dense(&vec![1.0; filters.len()]));
        let b = values(&network, "layer", "bias");
        let b = b.unwrap_or_else(|| vec![0.0; output.channels]);
        let plane = output.height * output.width;
        sample.b = b.into_iter().flat_map(|b| vec![b; plane]).collect();
        sample
    }

    pub(super) fn network(&self) -> Network {
        let mut g = Graph::new("sample", self.input);
        let mut x = g.input();
        if self.above_relu {
            x = g.relu("relu", x).expect("shapes fit");
        }
        let x = g.push("layer", self.op.clone(), &[x]).expect("shapes fit");
        let x = g.flatten("flatten", x).expect("shapes fit");
        g.linear("top", x, CLASSES).expect("shapes fit");
        weights(g, 3)
    }

    pub(super) fn input_len(&self) -> usize {
        self.input.len()
    }

    /// What of the picture's value reaches the layer.
    pub(super) fn entering(&self, value: f64) -> f64 {
        if self.above_relu { value.max(0.0) } else { value }
    }

    pub(super) fn bounds(&self) -> Bounds {
        bounds(self.input.channels, LOW, HIGH)
    }
}

/// Convolutions and fully connected layers, on pictures of either sign and above a ReLU.
pub(super) fn with_weights() -> Vec<Sample> {
    let conv = Conv2d::new(3, 3).padding(1);
    let no_bias = |conv| Conv2d { bias: false, ..conv };
    let shapes = [
        (Shape::new(2, 4, 5), conv),
        (Shape::new(2, 7, 6), Conv2d { kernel: [3, 2], stride: [2, 1], padding: [1, 0], ..conv }),
        (Shape::new(3, 5, 7), no_bias(Conv2d { kernel: [1, 1], stride: [2, 3], ..conv })),
        (Shape::new(2, 6, 5), Conv2d { dilation: [2, 1], ..conv }),
        (Shape::new(4, 4, 4), Conv2d { out_channels: 6, groups: 2, ..conv }),
        (Shape::new(3, 5, 4), no_bias(Conv2d { groups: 3, ..conv })),
    ];
    let convolutions = shapes.map(|(input, conv)| (input, Op::Conv2d(conv)));
    let linear = |bias| Op::Linear(Linear { out_features: 6, bias });
    let matrices = [true, false].map(|bias| (Shape::vector(9), linear(bias)));
    let layers = convolutions.into_iter().chain(matrices);
    let both = |(input, op): (Shape, Op)| {
        [false, true].map(|above_relu| Sample::new(input, op.clone(), above_relu))
    };
    layers.flat_map(both).collect()
}

/// Average pools.
pub(super) fn pools() -> Vec<Sample> {
    let pool = AvgPool2d {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        more_padding: [0; 2],
        ceil_mode: false,
        count_include_pad: true,
    };
    let padded = AvgPool2d { kernel: [3, 2], padding: [1, 1], ..pool };
    let ceil = AvgPool2d { kernel: [3, 3], ceil_mode: true, ..padded };
    let ops = [
        Op::AvgPool2d(pool),
        Op::AvgPool2d(padded),
        Op::AvgPool2d(AvgPool2d { count_include_pad: false, ..padded }),
        Op::AvgPool2d(ceil),
        Op::AvgPool2d(AvgPool2d { count_include_pad: false, ..ceil }),
        Op::AdaptiveAvgPool2d([1, 1]),
        Op::AdaptiveAvgPool2d([3, 2]),
        Op::AdaptiveAvgPool2d([7, 9]),
    ];
    let both =
        |op: Op| [false, true].map(|relu| Sample::new(Shape::new(2, 6, 5), op.clone(), relu));
    ops.into_iter().flat_map(both).collect()
}
