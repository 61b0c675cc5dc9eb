//! The small networks of `golden/README.md`, layer by layer.

use clrp::Result;
use clrp::graph::{AvgPool2d, Conv2d, Graph, Linear, LocalResponseNorm, MaxPool2d, NodeId, Op};
use clrp::tensor::Shape;

/// Appends a network's layers.
type Build = fn(&mut Graph) -> Result<NodeId>;

/// Name, input and layers of each.
pub(super) const SMALL: [(&str, Shape, Build); 13] = [
    ("strides", Shape::new(3, 11, 13), strides),
    ("dilation_groups", Shape::new(3, 9, 11), dilation_groups),
    ("max_pools", Shape::new(3, 13, 10), max_pools),
    ("avg_pools", Shape::new(3, 13, 14), avg_pools),
    ("adaptive_pools", Shape::new(3, 13, 11), adaptive_pools),
    ("batch_norm", Shape::new(3, 11, 11), batch_norm),
    ("residual", Shape::new(3, 9, 11), residual),
    ("concat", Shape::new(3, 11, 9), concat),
    ("signed", Shape::new(3, 11, 9), signed),
    ("inverted_residuals", Shape::new(3, 11, 14), inverted_residuals),
    ("shuffle", Shape::new(3, 9, 10), shuffle),
    ("local_response", Shape::new(3, 13, 11), local_response),
    ("zero_pads", Shape::new(3, 11, 13), zero_pads),
];

fn without_bias(conv: Conv2d) -> Conv2d {
    Conv2d { bias: false, ..conv }
}

fn conv_relu(g: &mut Graph, name: &str, x: NodeId, conv: Conv2d) -> Result<NodeId> {
    let x = g.conv2d(name, x, conv)?;
    g.relu(format!("{name}.relu"), x)
}

/// Flattens and ends in a fully connected layer.
fn head(g: &mut Graph, name: &str, x: NodeId, outputs: usize) -> Result<NodeId> {
    let x = g.flatten("flatten", x)?;
    g.linear(name, x, outputs)
}

fn strides(g: &mut Graph) -> Result<NodeId> {
    let conv0 = Conv2d { kernel: [3, 5], stride: [2, 1], padding: [1, 2], ..Conv2d::new(6, 1) };
    let conv1 = Conv2d { kernel: [2, 1], stride: [3, 2], ..Conv2d::new(8, 1) };
    let x = conv_relu(g, "conv0", g.input(), conv0)?;
    let x = conv_relu(g, "conv1", x, conv1)?;
    head(g, "fc", x, 7)
}

fn dilation_groups(g: &mut Graph) -> Result<NodeId> {
    let conv0 = Conv2d { dilation: [2; 2], ..Conv2d::new(6, 3).padding(2) };
    let conv1 = Conv2d { groups: 6, ..Conv2d::new(6, 3).padding(1) };
    let conv2 = Conv2d { padding: [0, 1], dilation: [1, 2], groups: 3, ..Conv2d::new(12, 3) };
    let conv3 = Conv2d { kernel: [1, 3], groups: 12, ..Conv2d::new(24, 1).stride(2) };
    let x = conv_relu(g, "conv0", g.input(), conv0)?;
    let x = conv_relu(g, "conv1", x, conv1)?;
    let x = conv_relu(g, "conv2", x, conv2)?;
    let x = conv_relu(g, "conv3", x, without_bias(conv3))?;
    head(g, "fc", x, 5)
}

fn max_pools(g: &mut Graph) -> Result<NodeId> {
    let pool0 = MaxPool2d { padding: [1; 2], ..MaxPool2d::new(3, 2).ceil() };
    let pool1 = MaxPool2d {
        kernel: [2, 3],
        stride: [1, 2],
        padding: [1; 2],
        more_padding: [0; 2],
        dilation: [2, 1],
        ceil_mode: false,
    };
    let x = g.conv2d("conv0", g.input(), Conv2d::new(8, 3).padding(1))?;
    let x = g.max_pool2d("pool0", x, pool0)?;
    let x = g.relu("relu0", x)?;
    let x = g.conv2d("conv1", x, Conv2d::new(10, 3).padding(1))?;
    let x = g.max_pool2d("pool1", x, pool1)?;
    let x = g.relu("relu1", x)?;
    let x = conv_relu(g, "conv2", x, Conv2d::new(12, 2))?;
    let x = g.max_pool2d("pool2", x, MaxPool2d::new(2, 2).ceil())?;
    head(g, "fc", x, 6)
}

fn avg_pools(g: &mut Graph) -> Result<NodeId> {
    let counted = AvgPool2d {
        kernel: [3; 2],
        stride: [2; 2],
        padding: [1; 2],
        more_padding: [0; 2],
        ceil_mode: true,
        count_include_pad: true,
    };
    let not_counted = AvgPool2d { kernel: [2, 3], count_include_pad: false, ..counted };
    let last = AvgPool2d {
        kernel: [2; 2],
        stride: [1; 2],
        padding: [0, 1],
        more_padding: [0; 2],
        ceil_mode: false,
        count_include_pad: true,
    };
    let x = conv_relu(g, "conv0", g.input(), Conv2d::new(8, 3).padding(1))?;
    let x = g.push("pool0", Op::AvgPool2d(counted), &[x])?;
    let x = conv_relu(g, "conv1", x, Conv2d::new(10, 3).padding(1))?;
    let x = g.push("pool1", Op::AvgPool2d(not_counted), &[x])?;
    let x = conv_relu(g, "conv2", x, Conv2d::new(12, 3).padding(1))?;
    let x = g.push("pool2", Op::AvgPool2d(last), &[x])?;
    head(g, "fc", x, 6)
}

fn adaptive_pools(g: &mut Graph) -> Result<NodeId> {
    let x = conv_relu(g, "conv0", g.input(), Conv2d::new(8, 3).stride(2))?;
    let x = g.push("pool0", Op::AdaptiveAvgPool2d([4, 3]), &[x])?;
    let x = conv_relu(g, "conv1", x, Conv2d::new(8, 2))?;
    let x = g.push("pool1", Op::AdaptiveAvgPool2d([5, 7]), &[x])?;
    let x = head(g, "fc0", x, 20)?;
    let x = g.relu("relu2", x)?;
    g.linear("fc1", x, 6)
}

fn batch_norm(g: &mut Graph) -> Result<NodeId> {
    let x = g.conv2d("conv0", g.input(), without_bias(Conv2d::new(8, 3).padding(1)))?;
    let x = g.batch_norm2d("bn0", x)?;
    let x = g.relu("relu0", x)?;
    let x = g.max_pool2d("pool0", x, MaxPool2d::new(2, 2))?;
    let x = g.conv2d("conv1", x, Conv2d::new(10, 3).stride(2))?;
    let x = g.push("bn1", Op::BatchNorm2d { epsilon: 1e-3 }, &[x])?;
    let x = g.relu("relu1", x)?;
    head(g, "fc", x, 6)
}

fn residual(g: &mut Graph) -> Result<NodeId> {
    let x = conv_relu(g, "conv0", g.input(), Conv2d::new(8, 3).padding(1))?;
    let y = conv_relu(g, "conv1", x, Conv2d::new(8, 3).padding(1))?;
    let y = g.conv2d("conv2", y, Conv2d::new(8, 3).padding(1))?;
    let x = g.push("add0", Op::Add, &[y, x])?;
    let x = g.relu("relu0", x)?;
    let y = g.conv2d("conv3", x, Conv2d::new(12, 3).stride(2).padding(1))?;
    let x = g.conv2d("conv4", x, without_bias(Conv2d::new(12, 1).stride(2)))?;
    let x = g.push("add1", Op::Add, &[y, x])?;
    let x = g.relu("relu1", x)?;
    let x = g.adaptive_avg_pool2d("pool", x, 1)?;
    head(g, "fc", x, 6)
}

fn concat(g: &mut Graph) -> Result<NodeId> {
    let x = conv_relu(g, "conv0", g.input(), Conv2d::new(8, 3))?;
    let y = conv_relu(g, "squeeze", x, Conv2d::new(4, 1))?;
    let one = conv_relu(g, "expand1", y, Conv2d::new(5, 1))?;
    let three = conv_relu(g, "expand3", y, Conv2d::new(6, 3).padding(1))?;
    let pool = MaxPool2d { padding: [1; 2], ..MaxPool2d::new(3, 1) };
    let pooled = g.max_pool2d("pool0", x, pool)?;
    let x = g.push("concat", Op::Concat, &[one, three, pooled])?;
    let x = conv_relu(g, "head", x, Conv2d::new(9, 1))?;
    let x = g.adaptive_avg_pool2d("pool1", x, 1)?;
    g.flatten("flatten", x)
}

fn signed(g: &mut Graph) -> Result<NodeId> {
    let pool = AvgPool2d {
        kernel: [2; 2],
        stride: [1; 2],
        padding: [0; 2],
        more_padding: [0; 2],
        ceil_mode: false,
        count_include_pad: true,
    };
    let x = g.conv2d("conv0", g.input(), Conv2d::new(8, 3).padding(1))?;
    let x = g.conv2d("conv1", x, Conv2d::new(8, 3).stride(2).padding(1))?;
    let x = g.push("pool", Op::AvgPool2d(pool), &[x])?;
    let x = conv_relu(g, "conv2", x, Conv2d { kernel: [1, 2], ..Conv2d::new(10, 1) })?;
    let x = head(g, "fc0", x, 12)?;
    g.push("fc1", Op::Linear(Linear { out_features: 5, bias: true }), &[x])
}

const RELU6: Op = Op::Hardtanh { low: 0.0, high: 6.0 };

/// A convolution without bias and its batch norm.
fn conv_norm(g: &mut Graph, name: &str, x: NodeId, conv: Conv2d) -> Result<NodeId> {
    let x = g.conv2d(name, x, without_bias(conv))?;
    g.batch_norm2d(format!("{name}_norm"), x)
}

fn inverted_residuals(g: &mut Graph) -> Result<NodeId> {
    let x = conv_norm(g, "stem", g.input(), Conv2d::new(6, 3).stride(2).padding(1))?;
    let x = g.push("relu0", RELU6, &[x])?;
    let y = conv_norm(g, "expand", x, Conv2d::new(12, 1))?;
    let y = g.push("relu1", RELU6, &[y])?;
    let y = conv_norm(g, "depthwise", y, Conv2d::new(12, 3).padding(1).groups(12))?;
    let y = g.push("relu2", RELU6, &[y])?;
    let y = conv_norm(g, "project", y, Conv2d::new(6, 1))?;
    let x = g.add("add", y, x)?;
    let x = g.conv2d("head", x, Conv2d::new(10, 1))?;
    let x = g.push("relu3", RELU6, &[x])?;
    let x = g.adaptive_avg_pool2d("pool", x, 1)?;
    head(g, "fc", x, 6)
}

fn shuffle(g: &mut Graph) -> Result<NodeId> {
    let x = conv_relu(g, "stem", g.input(), Conv2d::new(8, 3).padding(1))?;
    let left = g.push("left", Op::Narrow { start: 0, length: 4 }, &[x])?;
    let right = g.push("right", Op::Narrow { start: 4, length: 4 }, &[x])?;
    let right = g.conv2d("branch", right, without_bias(Conv2d::new(4, 3).padding(1)))?;
    let right = g.batch_norm2d("norm", right)?;
    let right = g.relu("relu1", right)?;
    let x = g.concat("concat0", &[left, right])?;
    let x = g.push("shuffle", Op::ChannelShuffle { groups: 2 }, &[x])?;
    let x = conv_relu(g, "conv", x, Conv2d::new(9, 3).stride(2))?;
    let first = g.push("first", Op::Narrow { start: 0, length: 3 }, &[x])?;
    let second = g.push("second", Op::Narrow { start: 3, length: 2 }, &[x])?;
    let third = g.push("third", Op::Narrow { start: 5, length: 4 }, &[x])?;
    let first = g.conv2d("thirds", first, Conv2d { kernel: [1, 2], ..Conv2d::new(3, 1) })?;
    let mut means = Vec::new();
    for (name, part) in [("mean0", second), ("mean1", first), ("mean2", third)] {
        means.push(g.adaptive_avg_pool2d(name, part, 1)?);
    }
    let x = g.concat("concat1", &means)?;
    head(g, "fc", x, 5)
}

fn local_response(g: &mut Graph) -> Result<NodeId> {
    let wide = LocalResponseNorm { size: 5, alpha: 0.5, beta: 0.75, k: 1.5 };
    let even = LocalResponseNorm { size: 4, alpha: 0.2, beta: 0.5, k: 1.0 };
    let x = conv_relu(g, "conv0", g.input(), Conv2d::new(7, 3).stride(2))?;
    let x = g.push("norm0", Op::LocalResponseNorm(wide), &[x])?;
    let x = g.max_pool2d("pool0", x, MaxPool2d::new(3, 2).ceil())?;
    let x = conv_relu(g, "conv1", x, Conv2d::new(8, 3).padding(1))?;
    let x = g.push("norm1", Op::LocalResponseNorm(even), &[x])?;
    head(g, "fc", x, 5)
}

fn zero_pads(g: &mut Graph) -> Result<NodeId> {
    let x = g.push("pad0", Op::ZeroPad2d([0, 1, 0, 2]), &[g.input()])?;
    let x = conv_relu(g, "conv0", x, Conv2d::new(6, 3).stride(2))?;
    let x = g.push("pad1", Op::ZeroPad2d([1, 2, 0, 1]), &[x])?;
    let conv1 = Conv2d { kernel: [2, 3], ..Conv2d::new(8, 1).stride(2) };
    let x = g.conv2d("conv1", x, without_bias(conv1))?;
    let x = g.batch_norm2d("norm1", x)?;
    let x = g.relu("relu1", x)?;
    let x = g.adaptive_avg_pool2d("pool", x, 1)?;
    head(g, "fc", x, 5)
}
