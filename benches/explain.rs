//! What a picture costs: the forward pass and one explanation by each method, on every device at
//! hand. Real networks with random weights: what is computed does not depend on them.
//!
//! `cargo bench -p clrp --bench explain -- squeezenet1_1/cpu` runs a part.

use std::hint::black_box;

use clrp::backend::{Device, DeviceChoice};
use clrp::models::Model;
use clrp::{Explainer, Method, Target, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};

const MODELS: [&str; 3] = ["squeezenet1_1", "alexnet", "vgg16"];
const METHODS: [Method; 4] = [Method::Lrp, Method::Clrp1, Method::Clrp2, Method::Gradient];

fn explain(criterion: &mut Criterion) {
    let mut devices = vec![("cpu", DeviceChoice::Cpu)];
    if Device::open(&DeviceChoice::Gpu).is_ok() {
        devices.push(("gpu", DeviceChoice::Gpu));
    }
    for name in MODELS {
        let model = Model::find(name).expect("a known model");
        let weights = model.random_weights(0).expect("the graph builds");
        let network = model.network(model.input_shape(), weights).expect("weights fit");
        let shape = model.input_shape();
        let values = (0..shape.len()).map(|i| (i % 255) as f32 / 64.0 - 2.0).collect();
        let picture = Tensor::new(shape, values).expect("as long as the shape says");
        for (label, choice) in &devices {
            let device = Device::open(choice).expect("it was open before");
            let explainer = Explainer::builder(network.clone(), model.preprocess())
                .device(device)
                .build()
                .expect("the preset suits");
            let mut group = criterion.benchmark_group(format!("{name}/{label}"));
            group.sample_size(10);
            group.bench_function("forward", |b| {
                b.iter(|| {
                    explainer.scores(black_box(std::slice::from_ref(&picture))).expect("runs")
                });
            });
            for method in METHODS {
                let target = Target::class(0);
                group.bench_function(method.name(), |b| {
                    b.iter(|| explainer.explain(black_box(&picture), method, target.clone()));
                });
            }
        }
    }
}

criterion_group!(benches, explain);
criterion_main!(benches);
