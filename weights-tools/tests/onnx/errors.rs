//! What is not supported or makes no sense is an error that names it.

use clrp_weights::onnx::{Dimension, Options, from_bytes};

use crate::encoder::{Model, int, ints, text};
use crate::{imported, refused};

#[test]
fn operators_that_are_not_known() {
    let plain = |operator: &str| Model::new().node(operator, &["x"], &["y"], &[]);
    for operator in
        ["HardSwish", "HardSigmoid", "LeakyRelu", "ConvTranspose", "PRelu", "NoSuchThing"]
    {
        let expected = format!(
            "`model.onnx`: node `{operator}_0`: operator `{operator}` of the default domain is not \
             supported"
        );
        assert_eq!(refused(&plain(operator)), expected);
    }
    let error = refused(&plain("DequantizeLinear"));
    assert!(error.ends_with("not supported; export the network before it is quantized"), "{error}");
    let own = Model::new().named("", "Relu", "com.example", &["x"], &["y"], &[]);
    let expected =
        "`model.onnx`: node `y`: operator `Relu` of domain `com.example` is not supported";
    assert_eq!(refused(&own), expected);
    let unused = Model::new().node("GlobalAveragePool", &["x"], &["y"], &[]).node(
        "HardSwish",
        &["y"],
        &["z"],
        &[],
    );
    assert_eq!(imported(&unused).class_count, 3);
}

/// The only node's error behind its name.
fn misuse(model: &Model, operator: &str) -> String {
    let error = refused(model);
    let start = format!("`model.onnx`: node `{operator}_");
    let end =
        error.strip_prefix(&start).and_then(|rest| rest.split_once(&format!("` ({operator}): ")));
    end.unwrap_or_else(|| panic!("{error}")).1.to_owned()
}

#[test]
fn attributes_that_do_not_suit() {
    let pool = |attributes: &[Vec<u8>]| {
        misuse(&Model::new().node("MaxPool", &["x"], &["y"], attributes), "MaxPool")
    };
    let kernel = || ints("kernel_shape", &[2, 2]);
    assert_eq!(pool(&[]), "expected a `kernel_shape`, found none");
    for (attributes, expected) in [
        (vec![ints("kernel_shape", &[2])], "two numbers of 0 or more as `kernel_shape`, found [2]"),
        (vec![ints("kernel_shape", &[2, -2])], "two numbers of 0 or more as `kernel_shape`, found"),
        (vec![ints("kernel_shape", &[0, 2])], "a window with numbers of 1 to 16777216, found"),
        (
            vec![ints("kernel_shape", &[1 << 40, 2])],
            "a window with numbers of 1 to 16777216, found",
        ),
        (vec![int("kernel_shape", 2)], "attribute `kernel_shape` to be integers, found another"),
        (
            vec![kernel(), ints("pads", &[1, 1])],
            "four numbers of 0 or more as `pads`, found [1, 1]",
        ),
        (vec![kernel(), ints("pads", &[0, 0, 0, -1])], "four numbers of 0 or more as `pads`"),
        (
            vec![kernel(), ints("pads", &[1, 0, 0, 0])],
            "padding above and to the left of no more than",
        ),
        (vec![kernel(), text("auto_pad", "SOME")], "SAME_LOWER, found SOME"),
        (
            vec![kernel(), text("auto_pad", "SAME_UPPER"), ints("strides", &[0, 1])],
            "a window that can be padded, found window [2, 2], strides [0, 1]",
        ),
    ] {
        let error = pool(&attributes);
        assert!(error.starts_with("expected ") && error.contains(expected), "{error}");
    }
    let large = pool(&[ints("kernel_shape", &[9, 9])]);
    assert!(large.contains("layer `MaxPool_0`: MaxPool2d cannot take 3x8x6"), "{large}");
    let indices = Model::new().node("MaxPool", &["x"], &["p", "i"], &[kernel()]).node(
        "Add",
        &["p", "i"],
        &["y"],
        &[],
    );
    assert_eq!(
        misuse(&indices, "MaxPool"),
        "expected that only its first output is needed, found that `i` is needed"
    );
}

#[test]
fn uses_that_are_not_known() {
    let three = || Model::new().floats("c", &[3], &[1.0; 3]).floats("zero", &[], &[0.0]);
    let cases: Vec<(&str, Model, &str)> = vec![
        (
            "Conv",
            three().weight("w", &[4, 2, 1, 1]).node("Conv", &["x", "w"], &["y"], &[]),
            "expected a weight for 3 channels in 1 groups, found [4, 2, 1, 1]",
        ),
        (
            "Conv",
            three().weight("w", &[4, 3, 1]).node("Conv", &["x", "w"], &["y"], &[]),
            "expected a weight of four dimensions, found [4, 3, 1]",
        ),
        (
            "Conv",
            three().node("Conv", &["x", "x"], &["y"], &[]),
            "expected a constant as input 1, found a computed value",
        ),
        ("Conv", three().node("Conv", &["x"], &["y"], &[]), "expected an input 1, found none"),
        (
            "Conv",
            three().weight("w", &[4, 3, 1, 1]).node("Conv", &["x", "w", "c"], &["y"], &[]),
            "expected 4 numbers as its bias, found [3]",
        ),
        (
            "Gemm",
            three().weight("w", &[3, 3]).node("Gemm", &["x", "w"], &["y"], &[]),
            "expected a vector for each picture as input 0, found [1, 3, 8, 6] of 3x8x6",
        ),
        (
            "Gemm",
            three().node("Gemm", &["x", "c"], &["y"], &[int("transA", 1)]),
            "expected `transA` 0, found 1",
        ),
        (
            "BatchNormalization",
            three().node(
                "BatchNormalization",
                &["x", "c", "c", "c", "c"],
                &["y"],
                &[int("training_mode", 1)],
            ),
            "expected batch normalisation in evaluation mode, found in training mode",
        ),
        (
            "BatchNormalization",
            three().opset(9).node(
                "BatchNormalization",
                &["x", "c", "c", "c", "c"],
                &["y", "mean", "variance"],
                &[],
            ),
            "expected batch normalisation in evaluation mode, found in training mode",
        ),
        (
            "Reshape",
            Model::new().input(&[1, 3, 1, 6]).longs("shape", &[3, 6]).node(
                "Reshape",
                &["x", "shape"],
                &["y"],
                &[],
            ),
            "expected a flattening, or channels in groups and back, found [1, 3, 1, 6] to [3, 6]",
        ),
        (
            "BatchNormalization",
            three().node("BatchNormalization", &["x", "c", "c", "c", "zero"], &["y"], &[]),
            "expected 3 numbers as input 4, found []",
        ),
        ("LRN", three().node("LRN", &["x"], &["y"], &[int("size", 4)]), "expected an odd `size`"),
        (
            "Mul",
            three().node("Relu", &["x"], &["r"], &[]).node("Mul", &["x", "r"], &["y"], &[]),
            "expected a constant as one input, found two layers' outputs",
        ),
        (
            "Add",
            three().node("Add", &["x", "c"], &["y"], &[]),
            "expected one number, or one for each of 3 channels, found a constant of shape [3]",
        ),
        (
            "Div",
            three().node("Div", &["zero", "x"], &["y"], &[]),
            "expected a constant as the divisor, found a layer's output",
        ),
        (
            "Div",
            three().node("Div", &["x", "zero"], &["y"], &[]),
            "expected finite numbers, found inf",
        ),
        (
            "Concat",
            three().node("Concat", &["x", "x"], &["y"], &[int("axis", 2)]),
            "expected axis 1, the channels, found 2",
        ),
        (
            "Split",
            three().node("Split", &["x"], &["y", "z"], &[int("axis", 1), ints("split", &[1, 1])]),
            "expected 2 parts of 3 channels, found [1, 1]",
        ),
        (
            "Slice",
            three().longs("a", &[0]).longs("b", &[4]).longs("axis", &[2]).node(
                "Slice",
                &["x", "a", "b", "axis"],
                &["y"],
                &[],
            ),
            "expected channels in a row, all rows and all columns, found Steps",
        ),
        (
            "Pad",
            three().node("Pad", &["x"], &["y"], &[text("mode", "reflect")]),
            "expected `mode` constant, found reflect",
        ),
        (
            "Pad",
            three().longs("p", &[0, 0, 1, 1, 0, 0, 1, 1]).floats("one", &[], &[1.0]).node(
                "Pad",
                &["x", "p", "one"],
                &["y"],
                &[],
            ),
            "expected padding by 0, found 1",
        ),
        (
            "Pad",
            three().longs("p", &[0, 1, 0, 0, 0, 0, 0, 0]).node("Pad", &["x", "p"], &["y"], &[]),
            "expected zeros around rows and columns only, found 1 for axis 1",
        ),
        (
            "Reshape",
            three().longs("s", &[1, 100]).node("Reshape", &["x", "s"], &["y"], &[]),
            "expected a shape of as many numbers as [1, 3, 8, 6], found [1, 100]",
        ),
        (
            "Reshape",
            three().longs("s", &[1, 48, 3]).node("Reshape", &["x", "s"], &["y"], &[]),
            "expected a flattening, or channels in groups and back, found [1, 3, 8, 6] to [1, 48, 3]",
        ),
        (
            "Flatten",
            // 2^64 numbers.
            Model::new()
                .input(&[65536, 1, 16384, 16384])
                .longs("pads", &[0, 0, 24576, 24576, 0, 0, 24576, 24576])
                .longs("axes", &[4])
                .node("Pad", &["x", "pads"], &["p"], &[])
                .node("Unsqueeze", &["p", "axes"], &["u"], &[])
                .node("Concat", &["u"; 65536], &["s"], &[int("axis", 4)])
                .node("Flatten", &["s"], &["y"], &[int("axis", 0)]),
            "expected a shape that can be counted, found [65536, 1, 65536, 65536, 65536]",
        ),
        (
            "Reshape",
            three().node("Reshape", &["x", "x"], &["y"], &[]),
            "expected a constant as input 1, found a computed value",
        ),
        (
            "Transpose",
            three().node("Transpose", &["x"], &["y"], &[ints("perm", &[0, 1, 1, 2])]),
            "expected an order of 4 axes as `perm`, found [0, 1, 1, 2]",
        ),
        (
            "Squeeze",
            three().longs("a", &[2]).node("Squeeze", &["x", "a"], &["y"], &[]),
            "expected size 1 of axis 2, found [1, 3, 8, 6]",
        ),
        (
            "Cast",
            three().node("Cast", &["x"], &["y"], &[int("to", 7)]),
            "expected a type of floats for a layer's output, found INT64",
        ),
        (
            "ReduceMean",
            three().longs("a", &[1]).node("ReduceMean", &["x", "a"], &["y"], &[]),
            "expected a mean over rows and columns, axes 2 and 3, found [1]",
        ),
        (
            "Clip",
            three().node("Clip", &["x", "c"], &["y"], &[]),
            "expected one number as `min`, found [3]",
        ),
        (
            "Relu",
            three().node("Relu", &["c"], &["y"], &[]),
            "expected a layer's output as input 0, found a constant",
        ),
    ];
    for (operator, model, expected) in cases {
        // So that the input is needed where the node does not take it.
        let mut model = model.node("GlobalAveragePool", &["x"], &["g"], &[]).node(
            "Add",
            &["y", "g"],
            &["sum"],
            &[],
        );
        model.outputs = vec!["sum"];
        let error = misuse(&model, operator);
        assert!(error.starts_with(expected), "{operator}: {error}");
    }
}

#[test]
fn values_that_are_not_there() {
    let early =
        Model::new().node("Relu", &["later"], &["y"], &[]).node("Relu", &["x"], &["later"], &[]);
    let expected = "expected input 0 to be computed before it, found `later`, which is computed \
                    behind it or from its output";
    assert_eq!(misuse(&early, "Relu"), expected);
    let circle = Model::new()
        .node("Add", &["x", "b"], &["a"], &[])
        .node("Add", &["x", "a"], &["b"], &[])
        .node("Add", &["a", "b"], &["y"], &[]);
    assert!(misuse(&circle, "Add").contains("input 1 to be computed before it, found `b`"));
    let missing = Model::new().node("Add", &["x", "w"], &["y"], &[]);
    assert!(misuse(&missing, "Add").ends_with("found `w`, which nothing computes"));
    let twice = Model::new().node("Relu", &["x"], &["y"], &[]).node("Relu", &["x"], &["y"], &[]);
    assert_eq!(refused(&twice), "`model.onnx`: `y`: expected one node that computes it, found two");
}

#[test]
fn the_input_and_the_output() {
    let pool = |model: Model| model.node("GlobalAveragePool", &["x"], &["y"], &[]);
    let open = pool(Model::new().input(&[-1, 3, -2, -3]));
    let error = refused(&open);
    let expected = "`model.onnx`: input `x`: expected a fixed height and width, found x \
                    d-1x3xd-2xd-3";
    assert_eq!(error, expected);
    let given = Options { input: Some([5, 7]), output: None };
    let found = from_bytes("m", &open.bytes(), None, &given).expect("a size is given");
    assert_eq!(found.network.graph().input_shape().to_string(), "3x5x7");
    assert_eq!(found.input.dims[1], Dimension::Fixed(3));
    assert_eq!(found.input.dims[2], Dimension::Named("d-2".to_owned()));
    let other = from_bytes("m", &pool(Model::new()).bytes(), None, &given);
    let other = other.expect_err("the file says another").to_string();
    assert_eq!(other, "`m`: input `x`: expected x 1x3x8x6 as the file says, found 5x7 asked for");
    for (dims, expected) in [
        (&[1, 3][..], "expected four sizes: batch, channels, rows, columns, found 2"),
        (&[1, -3, 8, 8], "expected a fixed number of channels"),
        (&[1, 3, 1 << 30, 1 << 30], "expected at most 65536 pictures of 1 to 268435456 numbers"),
    ] {
        assert!(refused(&pool(Model::new().input(dims))).contains(expected));
    }
    let batch = imported(&pool(Model::new().input(&[4, 3, 8, 8])));
    assert_eq!(batch.notes, ["the file's batch of 4 is not kept: any number will do"]);
    let planes = Model::new().node("Relu", &["x"], &["y"], &[]);
    assert!(refused(&planes).ends_with("`y`: expected a score for each class, found 3x8x6"));
    let constant = Model::new().node("Add", &["c", "c"], &["y"], &[]).floats("c", &[1], &[1.0]);
    assert!(refused(&constant).contains("expected one input that the scores need, found 0 ()"));

    let mut two = pool(Model::new()).node("Flatten", &["y"], &["z"], &[]);
    two.outputs = vec!["y", "z"];
    let found = imported(&two);
    assert_eq!(
        (&*found.output, &found.notes[..]),
        ("y", &["of 2 outputs, `y` is explained".to_owned()][..])
    );
    let named = |name: &str| {
        let options = Options { input: None, output: Some(name.to_owned()) };
        let found = from_bytes("m", &two.bytes(), None, &options);
        found.map(|found| found.network.graph().nodes().len()).map_err(|error| error.to_string())
    };
    assert_eq!(named("z"), Ok(3));
    let error = named("a").expect_err("there is none");
    assert_eq!(error, "`m`: the graph: expected output `a`, found `y`, `z`");
}

#[test]
fn bytes_that_are_no_model() {
    for (bytes, expected) in [
        (&b""[..], "it: expected an ONNX model with a graph of nodes, found none in 0 bytes"),
        (b"PK\x03\x04", "byte 2: expected a field of protobuf"),
        (b"\x3a\x05\x0a", "byte 2: expected 5 more bytes, found 1"),
        (b"\x3a\x04\x0a\x02\x22\x00", "a version of ONNX's operators, found none"),
        (
            b"\x3a\x05\x0a\x03\x22\x01\xff",
            "the model: expected an ONNX message, found invalid UTF-8 in string",
        ),
    ] {
        let found = from_bytes("m", bytes, None, &Options::default());
        let error = found.expect_err("it is none").to_string();
        assert!(error.starts_with("`m`: ") && error.contains(expected), "{error}");
    }
}

#[test]
fn names_from_the_file_stay_on_one_line() {
    let model = Model::new().named("a\nb", "c\nd", "e\nf", &["x"], &["y"], &[]);
    assert!(refused(&model).contains(r"node `a\nb`: operator `c\nd` of domain `e\nf`"));
    let long = "n".repeat(5000);
    let model = Model::new().named(&long, "Odd", "", &["x"], &["y"], &[]);
    assert!(refused(&model).len() < 300);
}

#[test]
fn metadata_is_read() {
    let mut model = Model::new().node("GlobalAveragePool", &["x"], &["y"], &[]);
    model.metadata = vec![("names", "{0: 'cat', 1: 'dog', 2: 'cow'}"), ("mean", "0.5,0.4,0.3")];
    let found = imported(&model);
    assert_eq!(found.classes.as_deref(), Some(&["cat", "dog", "cow"].map(str::to_owned)[..]));
    assert_eq!(found.hints.mean, Some([0.5, 0.4, 0.3]));
    model.metadata = vec![("names", "cat, dog")];
    let found = imported(&model);
    assert_eq!((found.classes, &*found.notes[0]), (None, "the file names 2 classes and has 3"));
}

#[test]
fn computed_constants_stay_small() {
    // A constant of 2^40 numbers, and one that is doubled sixty times.
    let huge = Model::new()
        .longs("s", &[1 << 40])
        .node("ConstantOfShape", &["s"], &["c"], &[])
        .node("Add", &["x", "c"], &["y"], &[]);
    let expected = "expected copies and computed numbers in proportion to the file, found more";
    assert_eq!(misuse(&huge, "ConstantOfShape"), expected);
    let mut doubled = Model::new().longs("c0", &[1, 2, 3, 4]);
    for i in 0..60 {
        let (from, to) = (format!("c{i}"), format!("c{}", i + 1));
        doubled = doubled.node("Concat", &[&from, &from], &[&to], &[int("axis", 0)]);
    }
    let doubled = doubled.node("Add", &["x", "c60"], &["y"], &[]);
    assert!(refused(&doubled).ends_with(expected));
}
