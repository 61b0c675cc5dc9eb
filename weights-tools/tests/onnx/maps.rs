//! Models that PyTorch's exporters wrote are explained as the same networks are without ONNX: the
//! small ones as PyTorch and zennit explain them (`tests/golden`), torchvision's, of which
//! `CLRP_ONNX_EXPORTS` names a folder, as the built-in ones.

use std::io::Write;
use std::path::Path;

use clrp::backend::{Device, DeviceChoice};
use clrp::graph::{Network, Op, Weights};
use clrp::image::Preprocess;
use clrp::models::{BuildOptions, Model};
use clrp::rules::{Composite, fold_batch_norm, preset};
use clrp::weight::Weight;
use clrp::{Explained, Explainer, Method, Target, Tensor};
use clrp_weights::onnx::{Options, read};

use crate::exports::{exports, folder, numbers, other_folder, picture};

/// Largest difference of a map, relative to its norm.
const TOLERANCE: f64 = 1e-5;

/// How far the exporter's folded weights may lie from those folded in 64 bit, relative to the
/// largest of their output channel: it folds in 32 bit.
const ROUNDING: f64 = 1e-6;

const METHODS: [Method; 6] = [
    Method::Lrp,
    Method::Clrp1,
    Method::Clrp2,
    Method::Gradient,
    Method::GuidedBackprop,
    Method::Deconvnet,
];

/// The maps of the recipe's picture in 64 bit.
fn explained(network: &Network, composite: Composite, targets: Vec<usize>) -> Explained {
    let shape = network.graph().input_shape();
    let picture = Tensor::new(shape, picture(shape.len())).expect("it fits");
    let explainer = Explainer::builder(network.clone(), Preprocess::imagenet())
        .composite(composite)
        .device(Device::open(&DeviceChoice::CpuF64).expect("the CPU is there"))
        .build()
        .expect("the rules suit the network");
    let found = explainer.explain(&picture, METHODS, Target::classes(targets));
    found.expect("it runs")
}

/// `|a - b| / |b|`.
fn distance(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "numbers of a map");
    let apart: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let norm: f64 = b.iter().map(|b| b * b).sum();
    if apart == 0.0 { 0.0 } else { (apart / norm).sqrt() }
}

/// The first part of a file's name, which is the network, and the variant.
fn parts(path: &Path) -> (&str, &str) {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
    let name = name.trim_end_matches(".onnx");
    name.split_once('.').unwrap_or((name, ""))
}

/// How far a map is from what it should be.
struct Apart {
    key: String,
    distance: f64,
}

/// How far the maps of a small model are from those of PyTorch and zennit.
fn from_golden(path: &Path) -> Vec<Apart> {
    let (name, variant) = parts(path);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let file = format!("{name}.safetensors");
    let Some(targets) = numbers(&golden, &file, "targets") else { return Vec::new() };
    let targets: Vec<usize> = targets.into_iter().map(|target| target as usize).collect();
    let network = read(path, &Options::default()).expect("it can be imported").network;
    let answer = explained(&network, preset("gu2018").expect("a preset"), targets);
    // The exporters fold batch norms, unless they are told not to.
    let preset = if variant != "norms" && has_norms(name) { "gu2018.fold." } else { "gu2018." };
    let mut apart = Vec::new();
    for (i, why) in answer.explanations.iter().enumerate() {
        let relevance = matches!(why.method, Method::Lrp | Method::Clrp1 | Method::Clrp2);
        let prefix = if relevance { preset } else { "" };
        let key = format!("{prefix}{}.{}", why.method, i / METHODS.len());
        if let Some(expected) = numbers(&golden, &file, &key) {
            let distance = distance(why.map.values(), &expected);
            apart.push(Apart { key, distance });
        }
    }
    apart
}

/// Whether a small network has batch norms, and so an export that leaves them alone.
fn has_norms(name: &str) -> bool {
    folder().join(format!("{name}.norms.onnx")).exists()
}

/// How far the maps of one of torchvision's networks are from those of the built-in one with the
/// weights beside it.
fn from_built_in(path: &Path) -> Vec<Apart> {
    let (name, variant) = parts(path);
    let imported = read(path, &Options::default()).expect("it can be imported").network;
    let base = name.trim_end_matches("_untransformed").trim_end_matches("_v1");
    let options = BuildOptions {
        transform_input: name.ends_with("_untransformed").then_some(false),
        stride_in_1x1: name.ends_with("_v1"),
    };
    let weights = Weights::open(path.with_file_name(format!("{name}.safetensors")));
    let network = Model::find(base)
        .and_then(|model| model.network_with(imported.graph().input_shape(), weights?, options));
    let network = network.expect("the weights are those of the network");
    let norms = network.graph().nodes().iter().any(|n| matches!(n.op, Op::BatchNorm2d { .. }));
    // The exporters fold batch norms, unless they are told not to.
    let network = match norms && variant != "norms" {
        true => folded_as_in(&imported, &network),
        false => network,
    };
    let mut apart = Vec::new();
    for name in ["contrastive", "gu2018"] {
        let composite = preset(name).expect("a preset");
        let expected = explained(&network, composite.clone(), vec![0, 1]).explanations;
        let actual = explained(&imported, composite, vec![0, 1]).explanations;
        for (actual, expected) in actual.iter().zip(&expected) {
            let key = format!("{name}.{}.{}", actual.method, actual.goal);
            let expected: Vec<f64> = expected.map.values().iter().map(|x| f64::from(*x)).collect();
            let distance = distance(actual.map.values(), &expected);
            apart.push(Apart { key, distance });
        }
    }
    apart
}

/// The built-in network with its batch norms folded and the exporter's roundings of the folded
/// weights: a contrast is a difference so small that they alone change it by up to a thousandth.
fn folded_as_in(imported: &Network, network: &Network) -> Network {
    let folded = fold_batch_norm(network).expect("no batch norm lies before padding");
    let all = |weight: &Weight| -> Vec<f64> {
        (0..weight.len()).map(|i| weight.values().get(i)).collect()
    };
    let rounded = folded.weights().map(|ours| {
        let (layer, suffix) = ours.name().rsplit_once('.').expect("a layer's weight");
        let theirs = imported.weight(layer, suffix);
        let theirs = theirs.unwrap_or_else(|| panic!("the export has no `{}`", ours.name()));
        let (exact, rounded) = (all(ours), all(theirs));
        assert_eq!(exact.len(), rounded.len(), "`{}`", ours.name());
        // A bias is a difference, which may be far smaller than what it is one of.
        let of_a_channel =
            if suffix == "bias" { exact.len() } else { exact.len() / ours.shape()[0] };
        for (exact, rounded) in exact.chunks(of_a_channel).zip(rounded.chunks(of_a_channel)) {
            let largest = exact.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            for (exact, rounded) in exact.iter().zip(rounded) {
                let apart = (exact - rounded).abs();
                assert!(apart <= ROUNDING * largest, "`{}`: {exact}, {rounded}", ours.name());
            }
        }
        Weight::from_f64(ours.name(), ours.shape(), rounded)
    });
    let rounded = Weights::from_weights("the export", rounded.collect::<Vec<_>>());
    rounded.bind(folded.graph().clone()).expect("the same names and shapes")
}

/// Holds the maps of all models of a folder to what others make of the networks; how many there
/// are.
fn check_all(folder: &Path, compare: impl Fn(&Path) -> Vec<Apart>) -> usize {
    let (mut wrong, mut maps) = (Vec::new(), 0);
    for path in exports(folder) {
        for Apart { key, distance } in compare(&path) {
            let line = format!("{} {key} {distance:.2e}", path.display());
            if std::env::var_os("CLRP_PRINT_ERRORS").is_some() {
                // There is nobody to tell if this fails.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            maps += 1;
            if distance.is_nan() || distance > TOLERANCE {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {maps} maps:\n{}", wrong.len(), wrong.join("\n"));
    maps
}

#[test]
fn exports_are_explained_as_by_pytorch_and_zennit() {
    assert!(check_all(&folder(), from_golden) > 150, "most of the small models have maps");
}

#[test]
fn exports_of_torchvision_are_explained_as_the_built_in_networks() {
    if let Some(folder) = other_folder("maps") {
        assert!(check_all(&folder, from_built_in) > 0, "the folder has models");
    }
}
