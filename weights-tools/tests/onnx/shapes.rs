//! Views, parts and joins of layers' outputs, and shapes that are computed.

use clrp::graph::Op;

use crate::encoder::{Model, Value, attribute, int, ints, longs};
use crate::{imported, layers, refused};

fn kinds(model: &Model) -> Vec<Op> {
    layers(&imported(model)).into_iter().map(|(_, op)| op.clone()).collect()
}

/// The layers of a model, up to the pooling that makes scores of its planes.
fn of_planes(model: Model) -> Vec<Op> {
    let mut model = model.node("GlobalAveragePool", &["y"], &["scores"], &[]);
    model.outputs = vec!["scores"];
    let mut kinds = kinds(&model);
    assert_eq!(kinds.pop(), Some(Op::AdaptiveAvgPool2d([1, 1])));
    kinds
}

/// A picture of four channels.
fn four() -> Model {
    Model::new().input(&[-1, 4, 8, 6])
}

#[test]
fn flattenings() {
    let flat = |model: Model| assert_eq!(kinds(&model), [Op::Flatten]);
    flat(Model::new().node("Flatten", &["x"], &["y"], &[int("axis", 1)]));
    flat(Model::new().node("Flatten", &["x"], &["y"], &[int("axis", -3)]));
    for shape in [&[1, -1][..], &[0, -1], &[-1, 144], &[0, 144]] {
        flat(Model::new().longs("s", shape).node("Reshape", &["x", "s"], &["y"], &[]));
    }
    let old = Model::new().opset(4).node("Reshape", &["x"], &["y"], &[ints("shape", &[0, -1])]);
    flat(old);
    let pooled = || Model::new().node("GlobalAveragePool", &["x"], &["p"], &[]);
    let pool = Op::AdaptiveAvgPool2d([1, 1]);
    let squeezed = pooled().longs("a", &[3, 2]).node("Squeeze", &["p", "a"], &["y"], &[]);
    assert_eq!(kinds(&squeezed), [pool.clone(), Op::Flatten]);
    let steps = pooled()
        .opset(11)
        .node("Squeeze", &["p"], &["q"], &[ints("axes", &[3])])
        .node("Squeeze", &["q"], &["r"], &[ints("axes", &[2])])
        .node("Unsqueeze", &["r"], &["s"], &[ints("axes", &[2, 3])])
        .node("Flatten", &["s"], &["y"], &[]);
    assert_eq!(kinds(&steps), [pool, Op::Flatten, Op::Flatten]);
}

#[test]
fn a_view_by_computed_sizes_is_a_flattening() {
    // x.view(x.size(0), -1), as PyTorch's first exporter writes it.
    let constant = |values: &[i64], dims: &[i64]| {
        [attribute("value", &Value::Tensor(longs("", dims, values)))]
    };
    let model = Model::new()
        .input(&[-1, 3, 8, 6])
        .node("Shape", &["x"], &["sizes"], &[])
        .node("Constant", &[], &["zero"], &constant(&[0], &[]))
        .node("Constant", &[], &["rest"], &constant(&[-1], &[1]))
        .node("Gather", &["sizes", "zero"], &["batch"], &[int("axis", 0)])
        .longs("axes", &[0])
        .node("Unsqueeze", &["batch", "axes"], &["row"], &[])
        .node("Concat", &["row", "rest"], &["shape"], &[int("axis", 0)])
        .node("Reshape", &["x", "shape"], &["y"], &[]);
    assert_eq!(kinds(&model), [Op::Flatten]);
}

#[test]
fn shapes_are_computed() {
    let constant = |values: &[i64]| attribute("value_ints", &Value::Ints(values.to_vec()));
    let shuffled = |model: Model| {
        let model = model
            .node("Reshape", &["x", "apart"], &["g"], &[])
            .node("Transpose", &["g"], &["t"], &[ints("perm", &[0, 2, 1, 3, 4])])
            .node("Shape", &["x"], &["whole"], &[])
            .node("Reshape", &["t", "whole"], &["y"], &[]);
        of_planes(model)
    };
    // [1, 2, 4 / 2, 8, 6] in several steps.
    let model = four()
        .node("Shape", &["x"], &["sizes"], &[int("start", 1)])
        .longs("one", &[1])
        .longs("two", &[2])
        .longs("zero", &[0])
        .longs("three", &[3])
        .node("Slice", &["sizes", "zero", "one"], &["channels"], &[])
        .node("Slice", &["sizes", "one", "three"], &["area"], &[])
        .node("Div", &["channels", "two"], &["each"], &[])
        .node("Cast", &["each"], &["each64"], &[int("to", 7)])
        .node("Mul", &["each64", "one"], &["same"], &[])
        .node("Concat", &["one", "two", "same", "area"], &["apart"], &[int("axis", 0)]);
    assert_eq!(shuffled(model), [Op::ChannelShuffle { groups: 2 }]);
    // The same by other means.
    let model = four()
        .node("Constant", &[], &["from"], &[attribute("value_int", &Value::Int(2))])
        .node("Constant", &[], &["to"], &[attribute("value_int", &Value::Int(4))])
        .node("Constant", &[], &["by"], &[attribute("value_int", &Value::Int(4))])
        .node("Constant", &[], &["area"], &[constant(&[8, 6])])
        .longs("two", &[2])
        .longs("one", &[1])
        .longs("minus", &[-1])
        .node("Range", &["from", "to", "by"], &["row"], &[])
        .node("ConstantOfShape", &["one"], &["zeros"], &[])
        .node("Cast", &["zeros"], &["nothing"], &[int("to", 7)])
        .node("Add", &["row", "nothing"], &["groups"], &[])
        .node("Expand", &["groups", "one"], &["expanded"], &[])
        .node("Sub", &["expanded", "two"], &["zero"], &[])
        .node("Equal", &["zero", "nothing"], &["equal"], &[])
        .node("Where", &["equal", "one", "minus"], &["batch"], &[])
        .node("Neg", &["minus"], &["positive"], &[])
        .node("Mod", &["minus", "two"], &["rest"], &[])
        .node("Mul", &["batch", "positive"], &["first"], &[])
        .node("Mul", &["first", "rest"], &["first2"], &[])
        .node("Concat", &["first2", "groups", "minus", "area"], &["apart"], &[int("axis", 0)]);
    assert_eq!(shuffled(model), [Op::ChannelShuffle { groups: 2 }]);
}

#[test]
fn shuffles_with_the_picture_in_one_row() {
    let model = four()
        .longs("apart", &[0, 2, 2, -1])
        .longs("whole", &[0, 4, 8, 6])
        .node("Reshape", &["x", "apart"], &["g"], &[])
        .node("Transpose", &["g"], &["t"], &[ints("perm", &[0, 2, 1, 3])])
        .node("Reshape", &["t", "whole"], &["y"], &[]);
    assert_eq!(of_planes(model), [Op::ChannelShuffle { groups: 2 }]);
    let unused = four()
        .longs("apart", &[0, 2, 2, -1])
        .longs("whole", &[0, 4, 8, 6])
        .node("Reshape", &["x", "apart"], &["g"], &[])
        .node("Reshape", &["g", "whole"], &["y"], &[]);
    assert_eq!(of_planes(unused), []);
}

#[test]
fn parts_of_the_channels() {
    let halves = [Op::Narrow { start: 0, length: 2 }, Op::Narrow { start: 2, length: 2 }];
    let joined = |model: Model| {
        let model = model.node("Concat", &["b", "a"], &["y"], &[int("axis", 1)]);
        let mut found = of_planes(model);
        assert_eq!(found.pop(), Some(Op::Concat));
        found
    };
    let axis = || int("axis", 1);
    let split = |attributes: &[Vec<u8>]| four().node("Split", &["x"], &["a", "b"], attributes);
    assert_eq!(joined(split(&[axis()]).opset(11)), halves);
    assert_eq!(joined(split(&[axis(), ints("split", &[2, 2])]).opset(11)), halves);
    assert_eq!(joined(split(&[axis(), int("num_outputs", 2)])), halves);
    let given = four().longs("s", &[3, 1]).node("Split", &["x", "s"], &["a", "b"], &[axis()]);
    let uneven = [Op::Narrow { start: 0, length: 3 }, Op::Narrow { start: 3, length: 1 }];
    assert_eq!(joined(given), uneven);
    let slices = four()
        .longs("zero", &[0])
        .longs("two", &[2])
        .longs("end", &[i64::MAX])
        .longs("axis", &[1])
        .node("Slice", &["x", "zero", "two", "axis"], &["a"], &[])
        .node("Slice", &["x", "two", "end", "axis"], &["b"], &[]);
    assert_eq!(joined(slices), halves);
    let old = |start: i64, end: i64, output: &'static str, model: Model| {
        let attributes = [ints("starts", &[start]), ints("ends", &[end]), ints("axes", &[1])];
        model.node("Slice", &["x"], &[output], &attributes)
    };
    assert_eq!(joined(old(-2, 9, "b", old(0, -2, "a", four())).opset(9)), halves);
    // Only what is needed of a split becomes a layer.
    let first = four().node("Split", &["x"], &["y", "b"], &[axis()]);
    assert_eq!(of_planes(first), halves[..1]);
}

#[test]
fn single_channels_are_put_together() {
    // torchvision's `transform_input`.
    let channel = |model: Model, index: i64, name: &'static str| {
        let index = attribute("value_int", &Value::Int(index));
        model
            .node("Constant", &[], &[&format!("{name}i")], &[index])
            .node("Gather", &["x", &format!("{name}i")], &[&format!("{name}g")], &[int("axis", 1)])
            .node("Unsqueeze", &[&format!("{name}g"), "axes"], &[&format!("{name}u")], &[])
            .node("Mul", &[&format!("{name}u"), "half"], &[name], &[])
    };
    let model = Model::new().longs("axes", &[1]).floats("half", &[], &[0.5]);
    let model = channel(channel(model, 0, "a"), -2, "b");
    let found = of_planes(model.node("Concat", &["a", "b"], &["y"], &[int("axis", 1)]));
    let scaled = Op::ChannelAffine { scale: vec![0.5], shift: vec![0.0] };
    let narrow = |start| Op::Narrow { start, length: 1 };
    assert_eq!(found, [narrow(0), scaled.clone(), narrow(1), scaled, Op::Concat]);
}

#[test]
fn sums_of_stacks_are_additions() {
    let stacked = |axis: i64, keep: i64| {
        Model::new()
            .longs("axis", &[axis])
            .node("Relu", &["x"], &["r"], &[])
            .node("Unsqueeze", &["x", "axis"], &["a"], &[])
            .node("Unsqueeze", &["r", "axis"], &["b"], &[])
            .node("Concat", &["a", "b", "a"], &["s"], &[int("axis", axis)])
            .node("ReduceSum", &["s", "axis"], &["y"], &[int("keepdims", keep)])
    };
    for axis in [-1, 1, 2] {
        assert_eq!(of_planes(stacked(axis, 0)), [Op::Relu, Op::Add, Op::Add]);
    }
    let kept = stacked(4, 1).node("Squeeze", &["y", "axis"], &["z"], &[]);
    let mut kept = kept.node("GlobalAveragePool", &["z"], &["w"], &[]);
    kept.outputs = vec!["w"];
    assert_eq!(kinds(&kept).len(), 4);
    let open = stacked(-1, 0).node("Relu", &["s"], &["z"], &[]).ends();
    assert!(refused(&open).contains("found 3 layers' outputs stacked along axis 4"));
}

#[test]
fn a_choice_that_is_known_is_made() {
    // `squeeze` as PyTorch's first exporter writes it.
    let pooled = Model::new().node("GlobalAveragePool", &["x"], &["p"], &[]);
    let mut squeeze = Model::new().longs("axes", &[2, 3]);
    squeeze = squeeze.node("Squeeze", &["p", "axes"], &["inner"], &[]);
    squeeze.outputs = vec!["inner"];
    let mut same = Model::new().node("HardSwish", &["p"], &["other"], &[]);
    same.outputs = vec!["other"];
    let branch = |name, model: &Model| attribute(name, &Value::Graph(model.graph()));
    let chosen = |value: i64| {
        pooled
            .clone()
            .node("Shape", &["p"], &["sizes"], &[])
            .longs("two", &[2])
            .longs("value", &[value])
            .node("Gather", &["sizes", "two"], &["size"], &[])
            .node("Equal", &["size", "value"], &["is"], &[])
            .node(
                "If",
                &["is"],
                &["y"],
                &[branch("then_branch", &squeeze), branch("else_branch", &same)],
            )
    };
    assert_eq!(kinds(&chosen(1)), [Op::AdaptiveAvgPool2d([1, 1]), Op::Flatten]);
    assert!(refused(&chosen(2)).contains("node `HardSwish_0`: operator `HardSwish`"));
    let open = Model::new().node("If", &["x"], &["y"], &[branch("then_branch", &squeeze)]);
    assert!(refused(&open).ends_with("export the network with a fixed input size"));
}

#[test]
fn what_does_nothing_is_passed_over() {
    let model = Model::new()
        .node("Identity", &["x"], &["i"], &[])
        .node("Cast", &["i"], &["c"], &[int("to", 10)])
        .node("Dropout", &["c"], &["d", "mask"], &[])
        .longs("same", &[0, 3, -1, 6])
        .node("Reshape", &["d", "same"], &["r"], &[])
        .node("Transpose", &["r"], &["y"], &[ints("perm", &[0, 1, 2, 3])]);
    assert_eq!(of_planes(model), [Op::Dropout]);
}

#[test]
fn pictures_with_the_channels_last_are_transposed_first() {
    let model = Model::new().input(&[-1, 8, 6, 3]);
    let transposed =
        model.clone().node("Transpose", &["x"], &["y"], &[ints("perm", &[0, 3, 1, 2])]);
    let found = imported(&transposed.clone().node("GlobalAveragePool", &["y"], &["z"], &[]).ends());
    let shape = found.network.graph().input_shape();
    assert_eq!((shape.channels, shape.height, shape.width), (3, 8, 6));
    assert_eq!(layers(&found), [("GlobalAveragePool_1", &Op::AdaptiveAvgPool2d([1, 1]))]);
    let pool = [ints("kernel_shape", &[2, 2])];
    let error = refused(&model.node("MaxPool", &["x"], &["y"], &pool));
    assert!(error.ends_with("expected a score for each class, found 8x5x2"), "{error}");
    let back = transposed.node("Transpose", &["y"], &["z"], &[ints("perm", &[0, 2, 3, 1])]).ends();
    let error = refused(&back);
    assert!(error.contains("`Transpose_1` (Transpose)"), "{error}");
    assert!(error.contains("found [1, 3, 8, 6] by [0, 2, 3, 1]"), "{error}");
}

impl Model {
    /// The same with the output `z`.
    fn ends(mut self) -> Self {
        self.outputs = vec!["z"];
        self
    }
}

#[test]
fn a_trailing_softmax_or_sigmoid_is_left_out() {
    let model = || Model::new().node("GlobalAveragePool", &["x"], &["p"], &[]);
    let flat = || model().node("Flatten", &["p"], &["f"], &[]);
    let early = model().node("Softmax", &["p"], &["s"], &[int("axis", 1)]);
    for (model, name) in [
        (flat().node("Softmax", &["f"], &["y"], &[]), "Softmax `Softmax_2`"),
        (flat().node("LogSoftmax", &["f"], &["y"], &[int("axis", 1)]), "LogSoftmax `LogSoftmax_2`"),
        (model().opset(11).node("Softmax", &["p"], &["y"], &[]), "Softmax `Softmax_1`"),
        (early.node("Flatten", &["s"], &["y"], &[]), "Softmax `Softmax_1`"),
        (flat().node("Sigmoid", &["f"], &["y"], &[]), "Sigmoid `Sigmoid_2`"),
        (model().node("Sigmoid", &["p"], &["y"], &[]), "Sigmoid `Sigmoid_1`"),
    ] {
        let found = imported(&model);
        assert_eq!(found.class_count, 3);
        let note = format!("the trailing {name} is left out: its input, the logits, is explained");
        assert_eq!(found.notes, [note]);
        assert!(layers(&found).len() <= 2);
    }
    let behind = flat().node("Softmax", &["f"], &["s"], &[]).node("Relu", &["s"], &["y"], &[]);
    assert!(refused(&behind).contains("Softmax `Softmax_2`, which may only be last"));
    let swish = flat().node("Sigmoid", &["f"], &["s"], &[]).node("Mul", &["f", "s"], &["y"], &[]);
    let expected = "`model.onnx`: node `Sigmoid_2`: operator `Sigmoid` of the default domain is not \
                    supported; only one at the very end is left out";
    assert_eq!(refused(&swish), expected);
    let wrong = model().node("Softmax", &["p"], &["y"], &[]);
    assert!(refused(&wrong).contains("expected probabilities of all 3 scores"));
}
