//! Each operator becomes the layers that it should.

use clrp::graph::{AvgPool2d, Conv2d, Linear, LocalResponseNorm, MaxPool2d, Op};

use crate::encoder::{Model, Value, attribute, int, ints, text};
use crate::{imported, layers};

/// The layers of a model, up to the pooling that makes scores of its planes.
fn of(model: Model) -> Vec<(String, Op)> {
    let mut model = model;
    model.outputs = vec!["scores"];
    let model = model.node("GlobalAveragePool", &["y"], &["scores"], &[]);
    let imported = imported(&model);
    let mut found: Vec<(String, Op)> =
        layers(&imported).into_iter().map(|(name, op)| (name.to_owned(), op.clone())).collect();
    assert_eq!(found.pop().map(|(_, op)| op), Some(Op::AdaptiveAvgPool2d([1, 1])));
    found
}

/// The only layer.
fn one(model: Model) -> Op {
    let mut layers = of(model);
    assert_eq!(layers.len(), 1, "{layers:?}");
    layers.remove(0).1
}

fn plain(operator: &str, attributes: &[Vec<u8>]) -> Model {
    Model::new().node(operator, &["x"], &["y"], attributes)
}

/// Four filters of that size over the picture.
fn conv(kernel: [i64; 2], attributes: &[Vec<u8>]) -> Model {
    let model = Model::new().weight("c.weight", &[4, 3, kernel[0], kernel[1]]);
    model.node("Conv", &["x", "c.weight"], &["y"], attributes)
}

#[test]
fn convolutions() {
    let plain = Conv2d::new(4, 3).no_bias();
    assert_eq!(of(conv([3, 3], &[])), [("c".to_owned(), Op::Conv2d(plain))]);
    let attributes = [
        ints("kernel_shape", &[3, 2]),
        ints("strides", &[2, 1]),
        ints("dilations", &[1, 2]),
        ints("pads", &[1, 0, 2, 1]),
    ];
    let all = Conv2d {
        kernel: [3, 2],
        stride: [2, 1],
        dilation: [1, 2],
        padding: [1, 0],
        more_padding: [1, 1],
        ..plain
    };
    assert_eq!(one(conv([3, 2], &attributes)), Op::Conv2d(all));
    // 8 rows in steps of 2 are 4 windows, which reach to 3 * 2 + 3 = 9.
    let strides = || ints("strides", &[2, 2]);
    let same = [text("auto_pad", "SAME_UPPER"), strides()];
    let more = Conv2d { stride: [2; 2], more_padding: [1, 1], ..plain };
    assert_eq!(one(conv([3, 3], &same)), Op::Conv2d(more));
    let valid = [text("auto_pad", "VALID"), strides()];
    assert_eq!(one(conv([3, 3], &valid)), Op::Conv2d(plain.stride(2)));
    let grouped = Model::new().weight("w", &[6, 1, 1, 1]).weight("b", &[6]).node(
        "Conv",
        &["x", "w", "b"],
        &["y"],
        &[int("group", 3)],
    );
    let expected = [("Conv_0".to_owned(), Op::Conv2d(Conv2d::new(6, 1).groups(3)))];
    assert_eq!(of(grouped), expected);
}

#[test]
fn more_padding_at_the_start_is_a_layer() {
    let same = [text("auto_pad", "SAME_LOWER")];
    let expected = [
        ("c.pad".to_owned(), Op::ZeroPad2d([1, 0, 1, 0])),
        ("c".to_owned(), Op::Conv2d(Conv2d::new(4, 2).no_bias())),
    ];
    assert_eq!(of(conv([2, 2], &same)), expected);
    // By steps of 2 the window over cells 6 to 8 is the last, with or without another zero.
    let same = [text("auto_pad", "SAME_LOWER"), ints("strides", &[2, 2])];
    let settled = Conv2d::new(4, 3).no_bias().stride(2).padding(1);
    assert_eq!(one(conv([3, 3], &same)), Op::Conv2d(settled));
    let mixed = Conv2d { more_padding: [2, 0], ..Conv2d::new(4, 3).no_bias() };
    let expected = [
        ("c.pad".to_owned(), Op::ZeroPad2d([2, 0, 0, 0])),
        ("c".to_owned(), Op::Conv2d(Conv2d { padding: [0, 1], ..mixed })),
    ];
    assert_eq!(of(conv([3, 3], &[ints("pads", &[0, 3, 2, 1])])), expected);
}

#[test]
fn zeros_in_front_of_a_convolution_are_its_own() {
    let padded = |pads: &[i64], attributes: &[Vec<u8>]| {
        Model::new()
            .weight("c.weight", &[4, 3, 3, 3])
            .longs("pads", pads)
            .node("Pad", &["x", "pads"], &["p"], &[])
            .node("Conv", &["p", "c.weight"], &["y"], attributes)
    };
    let conv = Conv2d::new(4, 3).no_bias();
    let even = padded(&[0, 0, 1, 1, 0, 0, 1, 1], &[]);
    assert_eq!(one(even), Op::Conv2d(conv.padding(1)));
    let both = padded(&[0, 0, 1, 0, 0, 0, 2, 1], &[ints("pads", &[1, 1, 1, 1])]);
    let expected = Conv2d { padding: [2, 1], more_padding: [1, 1], ..conv };
    assert_eq!(one(both), Op::Conv2d(expected));
    let pool = Model::new()
        .longs("pads", &[0, 0, 1, 2, 0, 0, 3, 4])
        .node("Pad", &["x", "pads"], &["p"], &[])
        .node("MaxPool", &["p"], &["y"], &[ints("kernel_shape", &[2, 2])]);
    assert_eq!(of(pool)[0].1, Op::ZeroPad2d([2, 4, 1, 3]));
    let old = plain("Pad", &[ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1])]).opset(2);
    assert_eq!(one(old), Op::ZeroPad2d([1; 4]));
    assert!(of(plain("Pad", &[ints("pads", &[0; 8])])).is_empty());
}

#[test]
fn a_constant_added_behind_is_the_bias() {
    let conv = conv([1, 1], &[]);
    let conv = |name: &str, dims: &[i64]| {
        let mut model = conv.clone();
        model.outputs = vec!["z"];
        model.weight(name, dims)
    };
    let biased = conv("b", &[4, 1, 1]).node("Add", &["b", "y"], &["z"], &[]);
    let imported = imported(&biased.node("GlobalAveragePool", &["z"], &["scores"], &[]).first());
    assert_eq!(layers(&imported)[0].1, &Op::Conv2d(Conv2d::new(4, 1)));
    assert_eq!(layers(&imported).len(), 2);
}

impl Model {
    /// The same with the output of `of` as its only one.
    fn first(mut self) -> Self {
        self.outputs = vec!["scores"];
        self
    }
}

#[test]
fn activations() {
    assert_eq!(one(plain("Relu", &[])), Op::Relu);
    let float = |name, value| attribute(name, &Value::Float(value));
    let clip = |attributes: &[Vec<u8>]| one(plain("Clip", attributes).opset(6));
    assert_eq!(clip(&[float("min", 0.0), float("max", f32::MAX)]), Op::Relu);
    assert_eq!(clip(&[float("min", 0.0)]), Op::Relu);
    assert_eq!(clip(&[float("min", 0.0), float("max", 6.0)]), Op::Hardtanh { low: 0.0, high: 6.0 });
    assert_eq!(clip(&[float("max", 6.0)]), Op::Hardtanh { low: f32::MIN, high: 6.0 });
    assert_eq!(clip(&[]), Op::Identity);
    let inputs = |low: &str, high: &str| {
        Model::new().floats("zero", &[], &[0.0]).floats("six", &[1], &[6.0]).node(
            "Clip",
            &["x", low, high],
            &["y"],
            &[],
        )
    };
    assert_eq!(one(inputs("zero", "six")), Op::Hardtanh { low: 0.0, high: 6.0 });
    assert_eq!(one(inputs("zero", "")), Op::Relu);
    let max = Model::new().floats("zero", &[], &[0.0]).node("Max", &["zero", "x"], &["y"], &[]);
    assert_eq!(one(max), Op::Relu);
}

#[test]
fn normalization() {
    let norm = |attributes: &[Vec<u8>]| {
        let model = ["bn.weight", "b", "m", "v"].iter();
        let model = model.fold(Model::new(), |model, name| model.floats(name, &[3], &[1.0; 3]));
        model.node("BatchNormalization", &["x", "bn.weight", "b", "m", "v"], &["y"], attributes)
    };
    let found = of(norm(&[attribute("epsilon", &Value::Float(1e-3))]));
    assert_eq!(found, [("bn".to_owned(), Op::BatchNorm2d { epsilon: 1e-3 })]);
    assert_eq!(one(norm(&[])), Op::BatchNorm2d { epsilon: 1e-5 });
    let lrn = plain("LRN", &[int("size", 5), attribute("bias", &Value::Float(2.0))]);
    let expected = LocalResponseNorm { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0 };
    assert_eq!(one(lrn), Op::LocalResponseNorm(expected));
    let apart = |square: &str| {
        let model = Model::new().floats("two", &[], &[2.0]);
        let model = match square {
            "Mul" => model.node("Mul", &["x", "x"], &["s"], &[]),
            _ => model.node("Pow", &["x", "two"], &["s"], &[]),
        };
        model
            .longs("deep", &[1, 1, 3, 8, 6])
            .longs("pads", &[0, 0, 2, 0, 0, 0, 0, 2, 0, 0])
            .longs("one", &[1])
            .floats("alpha", &[], &[1e-4])
            .floats("beta", &[], &[0.75])
            .node("Reshape", &["s", "deep"], &["d"], &[])
            .node("Pad", &["d", "pads"], &["p"], &[])
            .node("AveragePool", &["p"], &["m"], &[ints("kernel_shape", &[5, 1, 1])])
            .node("Squeeze", &["m", "one"], &["q"], &[])
            .node("Mul", &["q", "alpha"], &["t"], &[])
            .node("Add", &["two", "t"], &["k"], &[])
            .node("Pow", &["k", "beta"], &["e"], &[])
            .node("Div", &["x", "e"], &["y"], &[])
    };
    assert_eq!(one(apart("Mul")), Op::LocalResponseNorm(expected));
    assert_eq!(one(apart("Pow")), Op::LocalResponseNorm(expected));
}

#[test]
fn pooling() {
    let kernel = || ints("kernel_shape", &[3, 2]);
    let strides = || ints("strides", &[2, 2]);
    let max = MaxPool2d { kernel: [3, 2], ..MaxPool2d::new(2, 1) };
    assert_eq!(one(plain("MaxPool", &[kernel()])), Op::MaxPool2d(max));
    let ceil = [kernel(), strides(), int("ceil_mode", 1), ints("pads", &[1, 1, 1, 1])];
    let expected = MaxPool2d { stride: [2; 2], padding: [1; 2], ceil_mode: true, ..max };
    assert_eq!(one(plain("MaxPool", &ceil)), Op::MaxPool2d(expected));
    let same = [kernel(), text("auto_pad", "SAME_UPPER"), ints("dilations", &[2, 1])];
    let expected = MaxPool2d { padding: [2, 0], more_padding: [0, 1], dilation: [2, 1], ..max };
    assert_eq!(one(plain("MaxPool", &same)), Op::MaxPool2d(expected));
    let same = [kernel(), text("auto_pad", "SAME_UPPER")];
    let expected = MaxPool2d { padding: [1, 0], dilation: [1, 1], ..expected };
    assert_eq!(one(plain("MaxPool", &same)), Op::MaxPool2d(expected));

    let low = [kernel(), text("auto_pad", "SAME_LOWER")];
    let behind_relu =
        Model::new().node("Relu", &["x"], &["r"], &[]).node("MaxPool", &["r"], &["y"], &low);
    let found = of(behind_relu);
    assert_eq!(found[1], ("MaxPool_1.pad".to_owned(), Op::ZeroPad2d([1, 0, 0, 0])));
    assert_eq!(found[2].1, Op::MaxPool2d(MaxPool2d { padding: [1, 0], ..max }));

    let average = AvgPool2d { kernel: [3, 2], ..AvgPool2d::new(2, 1) };
    assert_eq!(one(plain("AveragePool", &[kernel()])), Op::AvgPool2d(average));
    let pads = || ints("pads", &[1, 0, 1, 1]);
    let expected = AvgPool2d { padding: [1, 0], more_padding: [0, 1], ..average };
    let counted = [kernel(), pads(), int("count_include_pad", 1)];
    assert_eq!(one(plain("AveragePool", &counted)), Op::AvgPool2d(expected));
    let expected = AvgPool2d { count_include_pad: false, ..expected };
    assert_eq!(one(plain("AveragePool", &[kernel(), pads()])), Op::AvgPool2d(expected));
    let early = [kernel(), ints("pads", &[2, 1, 0, 0]), int("count_include_pad", 1)];
    let found = of(plain("AveragePool", &early));
    assert_eq!(found[0], ("AveragePool_0.pad".to_owned(), Op::ZeroPad2d([1, 0, 2, 0])));
    assert_eq!(found[1].1, Op::AvgPool2d(average));
    // Padding beyond half the window, and as large as the window.
    let wide = || ints("pads", &[2, 1, 2, 1]);
    let expected = MaxPool2d { padding: [2, 1], ..max };
    assert_eq!(one(plain("MaxPool", &[kernel(), wide()])), Op::MaxPool2d(expected));
    for count_include_pad in [true, false] {
        let counted = int("count_include_pad", i64::from(count_include_pad));
        let expected = AvgPool2d { padding: [2, 1], count_include_pad, ..average };
        let found = one(plain("AveragePool", &[kernel(), wide(), counted]));
        assert_eq!(found, Op::AvgPool2d(expected));
    }
    for operator in ["MaxPool", "AveragePool"] {
        let error = crate::refused(&plain(operator, &[kernel(), ints("pads", &[2, 2, 2, 2])]));
        let node = format!("node `{operator}_0` ({operator}): expected padding smaller than the");
        assert!(error.contains(&node), "{error}");
    }
    let whole = MaxPool2d { kernel: [8, 6], ..MaxPool2d::new(1, 1) };
    assert_eq!(one(plain("GlobalMaxPool", &[])), Op::MaxPool2d(whole));
}

#[test]
fn means_over_the_picture_are_pooling() {
    let mean = |attributes: &[Vec<u8>]| plain("ReduceMean", attributes).opset(13);
    for model in [
        mean(&[ints("axes", &[2, 3])]),
        mean(&[ints("axes", &[-1, -2]), int("keepdims", 0)]),
        Model::new().longs("axes", &[3, 2]).node("ReduceMean", &["x", "axes"], &["y"], &[]),
    ] {
        let found = imported(&model);
        assert_eq!(layers(&found), [("ReduceMean_0", &Op::AdaptiveAvgPool2d([1, 1]))]);
        assert_eq!(found.class_count, 3);
    }
}

#[test]
fn matrices() {
    let flat = |weight: &[i64]| {
        Model::new().weight("fc.weight", weight).floats("b", &[2], &[1.0, 2.0]).node(
            "Flatten",
            &["x"],
            &["f"],
            &[],
        )
    };
    let linear = |bias| Op::Linear(Linear { out_features: 2, bias });
    let last = |model: Model| {
        let found = imported(&model);
        let (name, op) = *layers(&found).last().expect("it has layers");
        assert_eq!((name, layers(&found).len()), ("fc", 2));
        op.clone()
    };
    let transposed = &[int("transB", 1)];
    let gemm = flat(&[2, 144]).node("Gemm", &["f", "fc.weight", "b"], &["y"], transposed);
    assert_eq!(last(gemm), linear(true));
    let gemm = flat(&[144, 2]).node("Gemm", &["f", "fc.weight"], &["y"], &[]);
    assert_eq!(last(gemm), linear(false));
    let product = flat(&[144, 2]).node("MatMul", &["f", "fc.weight"], &["y"], &[]);
    assert_eq!(last(product), linear(false));
    let product = flat(&[144, 2]).node("MatMul", &["f", "fc.weight"], &["p"], &[]).node(
        "Add",
        &["p", "b"],
        &["y"],
        &[],
    );
    assert_eq!(last(product), linear(true));
}

#[test]
fn sums_and_numbers_for_each_channel() {
    let sum = |operator: &str, inputs: &[&str]| {
        Model::new().node("Relu", &["x"], &["r"], &[]).node(operator, inputs, &["y"], &[])
    };
    assert_eq!(of(sum("Add", &["x", "r"]))[1].1, Op::Add);
    assert_eq!(of(sum("Sum", &["x", "r", "x"]))[1..].len(), 2);
    let affine = |operator: &str, inputs: &[&str], values: &[f32]| {
        let dims = [values.len() as i64, 1, 1];
        one(Model::new().floats("c", &dims, values).node(operator, inputs, &["y"], &[]))
    };
    let expected = |scale: [f64; 3], shift: [f64; 3]| Op::ChannelAffine {
        scale: scale.to_vec(),
        shift: shift.to_vec(),
    };
    let three = &[1.0, 2.0, 4.0];
    assert_eq!(affine("Add", &["x", "c"], three), expected([1.0; 3], [1.0, 2.0, 4.0]));
    assert_eq!(affine("Sub", &["x", "c"], three), expected([1.0; 3], [-1.0, -2.0, -4.0]));
    assert_eq!(affine("Sub", &["c", "x"], three), expected([-1.0; 3], [1.0, 2.0, 4.0]));
    assert_eq!(affine("Mul", &["c", "x"], three), expected([1.0, 2.0, 4.0], [0.0; 3]));
    assert_eq!(affine("Div", &["x", "c"], three), expected([1.0, 0.5, 0.25], [0.0; 3]));
    assert_eq!(affine("Mul", &["x", "c"], &[2.0]), expected([2.0; 3], [0.0; 3]));
    let half = [attribute("value_floats", &Value::Floats(vec![0.5]))];
    let scaled = Model::new().node("Constant", &[], &["c"], &half);
    let scaled = scaled.node("Mul", &["x", "c"], &["y"], &[]);
    assert_eq!(one(scaled), expected([0.5; 3], [0.0; 3]));
    let old = Model::new().opset(6).floats("c", &[3], three);
    let old = old.node("Mul", &["x", "c"], &["y"], &[int("broadcast", 1), int("axis", 1)]);
    assert_eq!(one(old), expected([1.0, 2.0, 4.0], [0.0; 3]));
}
