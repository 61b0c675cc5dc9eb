//! A network that no list has, built in code: a residual block, with weights from anywhere.
//!
//! `cargo run --release -p clrp --example custom_network`

#![expect(clippy::print_stdout, reason = "it shows what it finds")]

use clrp::graph::{Conv2d, Graph, MaxPool2d, Weights};
use clrp::image::{Mode, Preprocess};
use clrp::weight::Weight;
use clrp::{Explainer, Method, Shape, Target, Tensor};

/// The layers; names are torch's, and weights are found by them (`conv1.weight`, `conv1.bias`).
fn graph() -> clrp::Result<Graph> {
    let mut g = Graph::new("mine", Shape::new(3, 32, 32));
    let x = g.input();
    let x = g.conv2d("conv1", x, Conv2d::new(8, 3).padding(1))?;
    let x = g.relu("relu1", x)?;
    let skip = g.max_pool2d("pool", x, MaxPool2d::new(2, 2))?;
    let x = g.conv2d("conv2", skip, Conv2d::new(8, 3).padding(1))?;
    let x = g.batch_norm2d("bn2", x)?;
    let x = g.add("add", x, skip)?;
    let x = g.relu("relu2", x)?;
    let x = g.adaptive_avg_pool2d("avgpool", x, 1)?;
    let x = g.flatten("flatten", x)?;
    g.linear("fc", x, 4)?;
    Ok(g)
}

pub(crate) fn main() -> clrp::Result<()> {
    let graph = graph()?;
    // `Weights::open("mine.safetensors")?` for a real one. Here: waves, and variances of 1.
    let made = graph.weight_specs().into_iter().map(|spec| {
        let wave = |i: usize| (i as f32 * 0.7).sin() * 0.3;
        let is_variance = spec.name.ends_with("running_var");
        let values =
            (0..spec.shape.iter().product()).map(|i| if is_variance { 1.0 } else { wave(i) });
        Weight::from_f32(&spec.name, &spec.shape, values.collect())
    });
    let network = Weights::from_weights("waves", made).bind(graph)?;

    let preprocess =
        Preprocess { mode: Mode::Squash, size: (32, 32), mean: [0.5; 3], std: [0.5; 3] };
    let explainer = Explainer::builder(network, preprocess).build()?;

    // An input that is ready, instead of a picture: channel, row, column.
    let values = (0..3 * 32 * 32).map(|i| (i as f32 * 0.01).cos()).collect();
    let input = Tensor::new(Shape::new(3, 32, 32), values)?;
    let explained = explainer.explain(&input, [Method::Lrp, Method::Clrp1], Target::top(2))?;
    for explanation in &explained.explanations {
        println!("{} of {}: {}", explanation.method, explanation.goal, explanation.sum);
    }
    Ok(())
}
