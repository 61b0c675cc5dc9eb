//! What many targets cost in one run, against as many runs of one: only transposes grow.
//!
//! `cargo bench -p clrp --bench targets` prints the factor for 100 targets of VGG16 on every device at
//! hand; `cargo bench -p clrp --bench targets -- 20 squeezenet1_1` for others.

#![expect(clippy::print_stdout, reason = "it shows what it finds")]

use std::time::Instant;

use clrp::backend::{Device, DeviceChoice};
use clrp::models::Model;
use clrp::{Explainer, Method, Target, Tensor};

/// Single runs that stand for all: they are alike.
const SINGLE: usize = 9;

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() -> clrp::Result<()> {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let count: usize = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(100);
    let model = Model::find(&arguments.next().unwrap_or_else(|| "vgg16".to_owned()))?;
    let network = model.network(model.input_shape(), model.random_weights(0)?)?;
    let shape = model.input_shape();
    let values = (0..shape.len()).map(|i| (i % 255) as f32 / 64.0 - 2.0).collect();
    let picture = Tensor::new(shape, values)?;
    let mut devices = vec![DeviceChoice::Cpu];
    if Device::open(&DeviceChoice::Gpu).is_ok() {
        devices.push(DeviceChoice::Gpu);
    }
    for choice in &devices {
        let explainer = Explainer::builder(network.clone(), model.preprocess())
            .device(Device::open(choice)?)
            .build()?;
        let run = |target: Target| -> clrp::Result<f64> {
            let start = Instant::now();
            explainer.explain(&picture, Method::Clrp1, target)?;
            Ok(start.elapsed().as_secs_f64())
        };
        // Makes the program ready, which is no matter of the targets.
        run(Target::class(0))?;
        let single: Vec<f64> =
            (0..SINGLE).map(|class| run(Target::class(class))).collect::<clrp::Result<_>>()?;
        let single = median(single);
        run(Target::classes(0..count))?;
        let together: Vec<f64> =
            (0..3).map(|_| run(Target::classes(0..count))).collect::<clrp::Result<_>>()?;
        let together = median(together);
        println!(
            "{} on {}: a run of one target {single:.3} s, one run of {count} targets \
             {together:.3} s: {:.2} times less than {count} single runs",
            model.name,
            explainer.device().name(),
            single * count as f64 / together
        );
    }
    Ok(())
}
