//! Weights of every type and place, under the names of their layers.

use std::path::Path;

use clrp::weight::Dtype;
use clrp_weights::onnx::{Imported, Options, from_bytes, read};

use crate::encoder::{
    FLOAT, Model, Value, attribute, bytes, floats, int, number, packed, tensor, varint,
};
use crate::{imported, layers, refused, scores};

const VALUES: [f32; 3] = [0.5, -2.0, 1.25];

/// A model whose only weight is this tensor `w`, of three rows and one column behind a pooling.
fn with(weight: &[u8]) -> Model {
    Model::new()
        .input(&[1, 1, 2, 2])
        .tensor(weight)
        .node("GlobalAveragePool", &["x"], &["p"], &[])
        .node("Flatten", &["p"], &["f"], &[])
        .named("fc", "Gemm", "", &["f", "w"], &["y"], &[int("transB", 1)])
}

fn weight(found: &Imported) -> (Dtype, Vec<f32>) {
    let weight = found.network.weight("fc", "weight").expect("the layer has a weight");
    (weight.dtype(), (0..weight.len()).map(|i| weight.values().get(i)).collect())
}

#[test]
fn every_type_of_floats() {
    let raw = |code: i64, content: Vec<u8>| tensor("w", &[3, 1], code, bytes(9, content));
    let f16 = VALUES.map(half::f16::from_f32);
    let bf16 = VALUES.map(half::bf16::from_f32);
    let packed = |values: &[u16]| {
        let numbers: Vec<u8> = values.iter().flat_map(|bits| varint((*bits).into())).collect();
        bytes(5, numbers)
    };
    for (what, message, dtype) in [
        ("f32", floats("w", &[3, 1], &VALUES), Dtype::F32),
        (
            "f32 as numbers",
            tensor("w", &[3, 1], FLOAT, bytes(4, VALUES.map(f32::to_le_bytes).concat())),
            Dtype::F32,
        ),
        ("f16", raw(10, f16.map(|x| x.to_le_bytes()).concat()), Dtype::F16),
        ("bf16", raw(16, bf16.map(|x| x.to_le_bytes()).concat()), Dtype::BF16),
        ("f64", raw(11, VALUES.map(|x| f64::from(x).to_le_bytes()).concat()), Dtype::F64),
        (
            "f64 as numbers",
            tensor(
                "w",
                &[3, 1],
                11,
                bytes(10, VALUES.map(|x| f64::from(x).to_le_bytes()).concat()),
            ),
            Dtype::F64,
        ),
        (
            "f16 as numbers",
            tensor("w", &[3, 1], 10, packed(&f16.map(half::f16::to_bits))),
            Dtype::F16,
        ),
    ] {
        assert_eq!(weight(&imported(&with(&message))), (dtype, VALUES.to_vec()), "{what}");
    }
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    for (message, expected) in [
        (floats("w", &[4, 1], &VALUES), "expected 16 bytes for shape [4, 1], found 12"),
        (floats("w", &[-3, 1], &VALUES), "expected a shape that can be counted, found [-3, 1]"),
        (floats("w", &[i64::MAX, 9], &[]), "expected a shape that can be counted"),
        (floats("w", &[1; 9], &[1.0]), "expected at most 8 dimensions, found 9"),
        (tensor("w", &[3, 1], 8, bytes(6, "a")), "integers, found type STRING"),
        (tensor("w", &[3, 1], 77, vec![]), "integers, found type 77"),
        (tensor("w", &[3, 1], 3, bytes(9, "ab")), "expected 3 numbers for shape [3, 1], found 2"),
        (floats("w", &[3, 1], &[0.5, f32::NAN, 1.0]), "holds NaN at element 1"),
    ] {
        let error = refused(&with(&message));
        assert!(error.contains(expected) && error.contains('w'), "{error}");
    }
    let error = refused(&with(&tensor("w", &[3, 1], 3, bytes(9, "abc"))));
    assert!(error.contains("`fc` (Gemm): expected a weight of floats, found integers"), "{error}");
}

#[test]
fn matrices_are_turned_and_scaled() {
    let model = |attributes: &[Vec<u8>]| {
        let model = Model::new()
            .input(&[1, 3, 1, 1])
            .floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
            .floats("c", &[1], &[0.5])
            .node("Flatten", &["x"], &["f"], &[])
            .named("fc", "Gemm", "", &["f", "w", "c"], &["y"], attributes);
        imported(&model)
    };
    let found = model(&[]);
    assert_eq!(weight(&found), (Dtype::F32, vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0]));
    assert_eq!(scores(&found.network, vec![1.0, 1.0, 0.0]), [4.5, 6.5]);
    let float = |name, value| attribute(name, &Value::Float(value));
    let found = model(&[float("alpha", 2.0), float("beta", -1.0)]);
    assert_eq!(scores(&found.network, vec![1.0, 1.0, 0.0]), [7.5, 11.5]);
    assert_eq!(scores(&model(&[float("beta", 0.0)]).network, vec![1.0, 0.0, 0.0]), [1.0, 2.0]);
}

#[test]
fn turned_matrices_keep_their_type_and_scaled_ones_every_digit() {
    // A third has no end in any of them.
    let third = 1.0_f64 / 3.0;
    let half = half::f16::from_f64(third);
    let model = |code: i64, raw: &[u8], attributes: &[Vec<u8>]| {
        let model = Model::new()
            .input(&[1, 1, 1, 1])
            .tensor(&tensor("w", &[1, 2], code, bytes(9, raw)))
            .node("Flatten", &["x"], &["f"], &[])
            .named("fc", "Gemm", "", &["f", "w"], &["y"], attributes);
        let network = imported(&model).network;
        let weight = network.weight("fc", "weight").expect("the layer has a weight");
        (weight.dtype(), weight.values().get::<f64>(1))
    };
    let doubles = [0.5, third].map(f64::to_le_bytes).concat();
    assert_eq!(model(11, &doubles, &[]), (Dtype::F64, third));
    let halves = [half, half].map(half::f16::to_le_bytes).concat();
    assert_eq!(model(10, &halves, &[]), (Dtype::F16, half.to_f64()));
    let alpha = [attribute("alpha", &Value::Float(0.1))];
    let scaled = half.to_f64() * f64::from(0.1_f32);
    assert_eq!(model(10, &halves, &alpha), (Dtype::F64, scaled));
}

#[test]
fn layers_can_share_a_weight() {
    let model = Model::new()
        .weight("conv.weight", &[3, 3, 1, 1])
        .node("Identity", &["conv.weight"], &["twin.weight"], &[])
        .node("Conv", &["x", "conv.weight"], &["a"], &[])
        .node("Conv", &["a", "conv.weight"], &["b"], &[])
        .node("Conv", &["b", "twin.weight"], &["c"], &[])
        .node("GlobalAveragePool", &["c"], &["y"], &[]);
    let network = imported(&model).network;
    let of = |layer| network.weight(layer, "weight").expect("it has one").identity();
    assert_eq!(of("conv"), of("conv_1"));
    assert!(network.weight("twin", "weight").is_some());
}

/// A tensor `w` in a data file.
fn outside(entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(key, value): &(&str, &str)| bytes(13, [bytes(1, key), bytes(2, value)].concat());
    let entries: Vec<u8> = entries.iter().flat_map(entry).collect();
    tensor("w", &[3, 1], FLOAT, [entries, number(14, 1)].concat())
}

fn written(folder: &Path) {
    let numbers = VALUES.map(f32::to_le_bytes).concat();
    std::fs::create_dir(folder.join("inner")).expect("the folder is new");
    std::fs::write(folder.join("w.data"), [&[0; 4], &numbers[..]].concat()).expect("it is open");
    std::fs::write(folder.join("inner/w.data"), [&[0; 3], &numbers[..]].concat()).expect("open");
}

#[test]
fn data_files_lie_in_the_folder() {
    let folder = tempfile::tempdir().expect("there is room");
    written(folder.path());
    let path = folder.path().join("model.onnx");
    let data = |location, offset, length| {
        with(&outside(&[("location", location), ("offset", offset), ("length", length)])).bytes()
    };
    for (location, offset) in [("w.data", "4"), ("./w.data", "4"), ("inner/w.data", "3")] {
        std::fs::write(&path, data(location, offset, "12")).expect("it can be written");
        let found = read(&path, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(weight(&found), (Dtype::F32, VALUES.to_vec()));
    }
    let rest = with(&outside(&[("location", "w.data"), ("offset", "4")])).bytes();
    let options = Options::default();
    let found = from_bytes("m.onnx", &rest, Some(folder.path()), &options).expect("it fits");
    assert_eq!(weight(&found).1, VALUES);
    let long = "9".repeat(30);
    for (bytes, folder, expected) in [
        (data("../w.data", "4", "12"), true, "expected data in the model's own folder, found"),
        (data("/etc/passwd", "0", "12"), true, "expected data in the model's own folder, found"),
        (data("a/../../w", "0", "12"), true, "expected data in the model's own folder, found"),
        (data("", "0", "12"), true, "expected data in the model's own folder, found"),
        (data("none.data", "0", "12"), true, "expected its data in `none.data`, found No such"),
        (data("inner", "0", "12"), true, "expected a regular file in the model's own folder"),
        (data("w.data", "5", "12"), true, "within the 16 bytes of its file, found offset 5"),
        (data("w.data", "4", "11"), true, "expected 12 bytes for shape [3, 1], found 11"),
        (data("w.data", &long, "12"), true, "expected `offset` as a number, found 999"),
        (data("w.data", "-4", "12"), true, "expected `offset` as a number, found -4"),
        (with(&outside(&[])).bytes(), true, "expected the `location` of its data, found none"),
        (data("w.data", "4", "12"), false, "the model itself, which has no folder"),
    ] {
        let place = self::folder(&path).filter(|_| folder);
        let error = from_bytes("m.onnx", &bytes, place, &options).expect_err("refused").to_string();
        assert!(error.starts_with("`m.onnx`: tensor `w`: ") && error.contains(expected), "{error}");
    }
}

fn folder(path: &Path) -> Option<&Path> {
    path.parent()
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_the_folder() {
    let (folder, other) = (tempfile::tempdir().expect("room"), tempfile::tempdir().expect("room"));
    written(other.path());
    std::os::unix::fs::symlink(other.path().join("w.data"), folder.path().join("w.data"))
        .expect("the system has links");
    let bytes = with(&outside(&[("location", "w.data"), ("offset", "4")])).bytes();
    let found = from_bytes("m.onnx", &bytes, Some(folder.path()), &Options::default());
    let error = found.expect_err("it leads out").to_string();
    assert!(error.contains("expected a regular file in the model's own folder"), "{error}");
}

/// A convolution behind a Constant: its filters' sizes and numbers, the numbers of its window and
/// of its bias, as they are written.
fn convolution(
    dims: &[Vec<u8>],
    numbers: &[Vec<u8>],
    window: &[Vec<u8>],
    bias: &[Vec<u8>],
) -> Model {
    let filters = [dims.concat(), number(2, FLOAT), bytes(8, "c.weight"), numbers.concat()];
    let window = [bytes(1, "kernel_shape"), window.concat(), number(20, 7)].concat();
    let bias = [bytes(1, "value_floats"), bias.concat(), number(20, 6)].concat();
    Model::new()
        .input(&[1, 3, 4, 4])
        .tensor(&filters.concat())
        .node("Constant", &[], &["c.bias"], &[bias])
        .node("Conv", &["x", "c.weight", "c.bias"], &["c"], &[window])
        .node("GlobalAveragePool", &["c"], &["y"], &[])
}

#[test]
fn numbers_may_be_packed_or_not() {
    let each = |field: u64, values: &[i64]| -> Vec<Vec<u8>> {
        values.iter().map(|value| number(field, *value)).collect()
    };
    let float = |field: u64, value: f32| [varint(field << 3 | 5), value.to_le_bytes().to_vec()];
    let floats_each = |field: u64, values: &[f32]| -> Vec<Vec<u8>> {
        values.iter().map(|value| float(field, *value).concat()).collect()
    };
    let floats_packed = |field: u64, values: &[f32]| {
        bytes(field, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    };
    let numbers: Vec<f32> = (0..12).map(|i| i as f32 / 64.0).collect();
    let apart = convolution(
        &each(1, &[2, 3, 2, 1]),
        &floats_each(4, &numbers),
        &each(8, &[2, 1]),
        &floats_each(7, &[0.5, -0.25]),
    );
    let together = convolution(
        &[packed(1, &[2, 3]), packed(1, &[]), number(1, 2), packed(1, &[1]), packed(1, &[])],
        &[floats_packed(4, &numbers)],
        &[packed(8, &[2, 1])],
        &[floats_packed(7, &[0.5]), floats_packed(7, &[]), floats_packed(7, &[-0.25])],
    );
    let [apart, together] = [apart, together].map(|model| imported(&model));
    assert_eq!(layers(&together), layers(&apart));
    let of = |imported: &Imported| scores(&imported.network, (0..48).map(|i| i as f32).collect());
    assert_eq!(of(&together), of(&apart));
    // Of ones the first filter makes the sum of its numbers, 15 / 64, and the bias.
    let ones = scores(&together.network, vec![1.0; 48]);
    assert!((ones[0] - (15.0 / 64.0 + 0.5)).abs() < 1e-6, "{ones:?}");
}
