//! What a picture costs: the forward pass and one explanation by each method, on every device at
//! hand. Real networks with random weights: what is computed does not depend on them.
//!
//! `cargo bench --bench explain -- squeezenet1_1/cpu` runs a part.

use std::hint::black_box;

use clrp::backend::{Device, DeviceChoice};
use clrp::graph::Weights;
use clrp::models::Model;
use clrp::weight::Weight;
use clrp::{Explainer, Method, Target, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};

const MODELS: [&str; 3] = ["squeezenet1_1", "alexnet", "vgg16"];
const METHODS: [Method; 4] = [Method::Lrp, Method::Clrp1, Method::Clrp2, Method::Gradient];

/// Noise of about unit gain, so that no layer dies out.
fn random_weights(model: &Model) -> clrp::Result<Weights> {
    let mut state = 1_u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let graph = model.graph(model.input_shape(), model.classes())?;
    let weights = graph.weight_specs().into_iter().map(|spec| {
        let fan_in: usize = spec.shape[1..].iter().product();
        let gain = (6.0 / fan_in as f32).sqrt();
        let values = (0..spec.shape.iter().product()).map(|_| gain * noise()).collect();
        Weight::from_f32(spec.name, &spec.shape, values)
    });
    Ok(Weights::from_weights("random weights", weights))
}

fn explain(criterion: &mut Criterion) {
    let mut devices = vec![("cpu", DeviceChoice::Cpu)];
    if Device::open(&DeviceChoice::Gpu).is_ok() {
        devices.push(("gpu", DeviceChoice::Gpu));
    }
    for name in MODELS {
        let model = Model::find(name).expect("a known model");
        let weights = random_weights(model).expect("the graph builds");
        let network = model.network(model.input_shape(), weights).expect("weights fit");
        let shape = model.input_shape();
        let values = (0..shape.len()).map(|i| (i % 255) as f32 / 64.0 - 2.0).collect();
        let picture = [Tensor::new(shape, values).expect("as long as the shape says")];
        for (label, choice) in &devices {
            let device = Device::open(choice).expect("it was open before");
            let explainer = Explainer::builder(network.clone(), model.preprocess())
                .device(device)
                .build()
                .expect("the preset suits");
            let mut group = criterion.benchmark_group(format!("{name}/{label}"));
            group.sample_size(10);
            group.bench_function("forward", |b| {
                b.iter(|| explainer.scores(black_box(&picture)).expect("runs"));
            });
            for method in METHODS {
                let target = Target::Classes(vec![0]);
                group.bench_function(method.name(), |b| {
                    b.iter(|| explainer.explain(black_box(&picture), &[method], &target));
                });
            }
        }
    }
}

criterion_group!(benches, explain);
criterion_main!(benches);
