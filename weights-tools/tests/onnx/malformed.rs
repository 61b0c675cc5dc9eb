//! Models that are cut short or changed at random: none may panic, hang, or take memory beyond
//! its size.

use clrp_weights::onnx::{Options, from_bytes};

use crate::encoder::{Model, Value, attribute, int, ints};
use crate::exports::{exports, folder};
use crate::mutation::{harmless, run};
use crate::random::Random;
use crate::refused;

/// The most memory per byte of a model: what the parser makes of its messages, and copies.
const PER_BYTE: usize = 128;

/// Numbers that readers trip over, as varints.
const NUMBERS: [&[u8]; 6] = [
    &[0],
    &[0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
];

/// Operators for nodes that had others.
const OPERATORS: [&str; 12] = [
    "Conv", "Gemm", "Relu", "Clip", "Concat", "Split", "Slice", "Gather", "Pad", "Reshape",
    "Shape", "Expand",
];

/// Small models with every kind of node.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let chain = Model::new()
        .weight("c.weight", &[4, 3, 3, 3])
        .weight("c.bias", &[4])
        .weight("fc.weight", &[2, 4])
        .node("Conv", &["x", "c.weight", "c.bias"], &["a"], &[ints("pads", &[1, 1, 1, 1])])
        .node("Relu", &["a"], &["b"], &[])
        .node("MaxPool", &["b"], &["c"], &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("GlobalAveragePool", &["c"], &["d"], &[])
        .node("Flatten", &["d"], &["e"], &[int("axis", 1)])
        .node("Gemm", &["e", "fc.weight"], &["f"], &[int("transB", 1)])
        .node("Softmax", &["f"], &["y"], &[int("axis", 1)]);
    let shuffle = Model::new()
        .input(&[-1, 4, 8, 6])
        .longs("two", &[2])
        .longs("zero", &[0])
        .longs("one", &[1])
        .longs("end", &[i64::MAX])
        .node("Shape", &["x"], &["whole"], &[])
        .node("Slice", &["whole", "one", "end"], &["rest"], &[])
        .node("Gather", &["rest", "zero"], &["channels"], &[])
        .node("Div", &["channels", "two"], &["each"], &[])
        .node("Slice", &["rest", "one", "end"], &["area"], &[])
        .node("Concat", &["one", "two", "each", "area"], &["apart"], &[int("axis", 0)])
        .node("Reshape", &["x", "apart"], &["g"], &[])
        .node("Transpose", &["g"], &["t"], &[ints("perm", &[0, 2, 1, 3, 4])])
        .node("Reshape", &["t", "whole"], &["s"], &[])
        .node("Split", &["s"], &["a", "b"], &[int("axis", 1)])
        .node("Add", &["a", "b"], &["sum"], &[])
        .node("Concat", &["sum", "b"], &["joined"], &[int("axis", 1)])
        .node("ReduceMean", &["joined"], &["y"], &[ints("axes", &[2, 3]), int("keepdims", 0)]);
    let norm = ["scale", "shift", "mean", "var"]
        .iter()
        .fold(Model::new(), |model, name| model.floats(name, &[3], &[1.0; 3]))
        .floats("c", &[3, 1, 1], &[1.0; 3])
        .longs("pads", &[0, 0, 1, 1, 0, 0, 1, 1])
        .longs("row", &[1, 144])
        .weight("w", &[144, 2])
        .weight("b", &[2])
        .node("Sub", &["x", "c"], &["a"], &[])
        .node("Pad", &["a", "pads"], &["p"], &[])
        .node("BatchNormalization", &["p", "scale", "shift", "mean", "var"], &["n"], &[])
        .node("LRN", &["n"], &["l"], &[int("size", 3)])
        .node("AveragePool", &["l"], &["q"], &[ints("kernel_shape", &[3, 3])])
        .node("Reshape", &["q", "row"], &["f"], &[])
        .node("MatMul", &["f", "w"], &["m"], &[])
        .node("Add", &["m", "b"], &["y"], &[]);
    let written = [("chain", chain), ("shuffle", shuffle), ("norm", norm)];
    let mut seeds: Vec<(String, Vec<u8>)> =
        written.into_iter().map(|(name, model)| (name.to_owned(), model.bytes())).collect();
    // The smaller exports, as far as their weights lie in them.
    for path in exports(&folder()) {
        let bytes = std::fs::read(&path).expect("it can be read");
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if bytes.len() < 9000 && !name.contains("external") {
            seeds.push((name, bytes));
        }
    }
    seeds
}

/// Reads the bytes, which are a model, broken or not; whether they could be imported.
fn check(what: &str, bytes: &[u8]) -> bool {
    let read = || {
        let found = from_bytes("file", bytes, None, &Options::default());
        found.map(|_| ()).map_err(|error| error.to_string())
    };
    harmless(what, bytes.len(), PER_BYTE, read).is_ok()
}

#[test]
fn the_seeds_are_models() {
    for (name, bytes) in seeds() {
        assert!(check(&name, &bytes), "{name}");
    }
}

#[test]
fn a_file_that_ends_early_does_no_harm() {
    for (name, bytes) in seeds() {
        // Each export has some thousand bytes of weights.
        let step = if bytes.len() < 3000 { 1 } else { 7 };
        for length in (0..bytes.len()).step_by(step) {
            check(&format!("{name} of {length} bytes"), &bytes[..length]);
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, others: &[(String, Vec<u8>)], random: &mut Random) {
    let at = random.below(bytes.len());
    let length = random.below(40).min(bytes.len() - at);
    match random.below(8) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.next().to_le_bytes()[0],
        3 => drop(bytes.drain(at..at + length)),
        4 => {
            let other = &others[random.below(others.len())].1;
            let from = random.below(other.len());
            let taken = random.below(other.len() - from).min(length);
            // Lengths stay, so that the messages do.
            bytes.splice(at..at + taken.min(length), other[from..from + taken].iter().copied());
        }
        5 => {
            // An operator's name for another of its length.
            let name = OPERATORS[random.below(OPERATORS.len())].as_bytes();
            let places = 0..bytes.len().saturating_sub(name.len());
            let fits = |at: &usize| {
                let before = bytes[*at..].strip_prefix(&[0x22, name.len() as u8]);
                before.is_some_and(|rest| rest.len() >= name.len())
            };
            let places: Vec<usize> = places.filter(fits).collect();
            if !places.is_empty() {
                let at = places[random.below(places.len())] + 2;
                bytes[at..at + name.len()].copy_from_slice(name);
            }
        }
        _ => {
            let number = NUMBERS[random.below(NUMBERS.len())];
            let size = number.len().min(bytes.len() - at);
            bytes[at..at + size].copy_from_slice(&number[..size]);
        }
    }
}

#[test]
fn changed_models_do_no_harm() {
    run(&seeds(), mutate, |what, bytes| {
        check(what, bytes);
    });
}

#[test]
fn what_takes_few_bytes_takes_little_memory() {
    let short = |count: usize, node: &dyn Fn(Model, usize) -> Model| {
        (0..count).fold(Model::new(), node).node("GlobalAveragePool", &["x"], &["y"], &[]).bytes()
    };
    for count in [1000, 16_000, 17_000] {
        check("nodes", &short(count, &|model, _| model.named("", "", "", &[], &[], &[])));
        check("longs", &short(count, &|model, i| model.longs(&i.to_string(), &[])));
        check(
            "attributes",
            &short(count / 8, &|model, _| model.named("", "", "", &[], &[], &[vec![], vec![]])),
        );
    }
    // A chain of layers, each as short as can be.
    let mut chain = Model::new().node("Relu", &["x"], &["0"], &[]);
    for i in 0..4000 {
        chain = chain.named("", "Relu", "", &[&i.to_string()], &[&(i + 1).to_string()], &[]);
    }
    let chain = chain.node("GlobalAveragePool", &["4000"], &["y"], &[]);
    assert!(check("a chain", &chain.bytes()));
}

/// As [`check`], of a model that is refused, with what is said of it.
fn check_refused(what: &str, model: &Model, expected: &str) {
    assert!(!check(what, &model.bytes()), "{what}");
    let error = refused(model);
    assert!(error.contains(expected), "{what}: {error}");
}

#[test]
fn few_nodes_do_not_become_many_layers() {
    let stacked = vec!["u"; 10_000];
    let mut sums = Model::new()
        .input(&[1, 1, 8, 6])
        .longs("axes", &[4])
        .node("Unsqueeze", &["x", "axes"], &["u"], &[])
        .node("Concat", &stacked, &["s"], &[int("axis", 4)]);
    let mut last = "x".to_owned();
    for i in 0..100 {
        let (sum, next) = (format!("s{i}"), format!("n{i}"));
        sums = sums.node("ReduceSum", &["s", "axes"], &[&sum], &[int("keepdims", 0)]).node(
            "Add",
            &[&last, &sum],
            &[&next],
            &[],
        );
        last = next;
    }
    let sums = sums.node("GlobalAveragePool", &[&last], &["y"], &[]);
    check_refused(
        "sums of a stack",
        &sums,
        "expected layers in proportion to the file, found more",
    );
}

#[test]
fn a_long_shape_is_not_kept_behind_every_node() {
    let mut views = Model::new()
        .input(&[1, 3, 1, 1])
        .longs("ones", &[&[1, 3][..], &vec![1; 3000]].concat())
        .node("Reshape", &["x", "ones"], &["0"], &[]);
    for i in 0..1000 {
        views = views.named("", "Identity", "", &[&i.to_string()], &[&(i + 1).to_string()], &[]);
    }
    let views = views.node("Flatten", &["1000"], &["y"], &[]);
    check_refused("ones", &views, "expected a shape of at most 8 sizes, found [1, 3, 1, 1");
    let axes = vec![0; 10_000];
    let axes = Model::new().longs("axes", &axes).node("Squeeze", &["x", "axes"], &["y"], &[]);
    check_refused("axes", &axes, "expected at most 4096 integers as `axes`, found 10000");
}

#[test]
fn nodes_of_branches_are_counted() {
    let branch = (0..9000)
        .fold(Model::new(), |model, _| model.named("", "Identity", "", &["x"], &["y"], &[]));
    let graph = || Value::Graph(branch.graph());
    let branches = [attribute("then_branch", &graph()), attribute("else_branch", &graph())];
    let model = Model::new().longs("c", &[1]).node("If", &["c"], &["y"], &branches);
    check_refused("branches", &model, "the graph: expected at most 16384 nodes, found 18001");
}
