//! The importer of ONNX models, against models written by hand, real ones and files that mean harm.

#[path = "support/allocation.rs"]
mod allocation;
#[path = "onnx/encoder.rs"]
mod encoder;
#[path = "onnx/errors.rs"]
mod errors;
#[path = "onnx/exports.rs"]
mod exports;
#[path = "onnx/malformed.rs"]
mod malformed;
#[path = "onnx/maps.rs"]
mod maps;
#[path = "support/mutation.rs"]
mod mutation;
#[path = "onnx/operators.rs"]
mod operators;
#[path = "support/random.rs"]
mod random;
#[path = "onnx/shapes.rs"]
mod shapes;
#[path = "onnx/twins.rs"]
mod twins;
#[path = "onnx/weights.rs"]
mod weights;

use clrp::backend::{Device, DeviceChoice};
use clrp::graph::{Network, Op};
use clrp::image::Preprocess;
use clrp::{Explainer, Tensor};
use clrp_weights::onnx::{Imported, Options, from_bytes};

use encoder::Model;

/// Imports a model that is fine.
fn imported(model: &Model) -> Imported {
    from_bytes("dir/model.onnx", &model.bytes(), None, &Options::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What is said of a model that is not.
fn refused(model: &Model) -> String {
    let found = from_bytes("model.onnx", &model.bytes(), None, &Options::default());
    let error = found.map(|imported| imported.network).expect_err("it is refused").to_string();
    assert!(error.contains("model.onnx") && !error.contains('\n'), "{error}");
    error
}

/// The layers behind the input, by name.
fn layers(imported: &Imported) -> Vec<(&str, &Op)> {
    let nodes = imported.network.graph().nodes();
    nodes[1..].iter().map(|node| (&*node.name, &node.op)).collect()
}

/// The scores of a picture, computed in 64 bit.
fn scores(network: &Network, picture: Vec<f32>) -> Vec<f32> {
    let device = Device::open(&DeviceChoice::CpuF64).expect("the CPU is there");
    let picture = Tensor::new(network.graph().input_shape(), picture).expect("it fits");
    let explainer = Explainer::builder(network.clone(), Preprocess::imagenet());
    let explainer = explainer.device(device).build().expect("the rules suit any network");
    explainer.scores(&[picture]).expect("it runs").remove(0)
}
