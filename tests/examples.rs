//! The examples run; `examples/window`, which needs a screen, is a package of its own.

#[path = "../examples/custom_composite.rs"]
mod custom_composite;
#[path = "../examples/custom_network.rs"]
mod custom_network;
#[path = "../examples/neuron.rs"]
mod neuron;
#[cfg(feature = "gpu")]
#[path = "../examples/on_gpu.rs"]
mod on_gpu;
#[expect(dead_code, reason = "its `main` reads the command line")]
#[path = "../examples/quick_start.rs"]
mod quick_start;
#[path = "../examples/several_targets.rs"]
mod several_targets;

#[test]
fn quick_start_writes_pictures() {
    let folder = tempfile::tempdir().expect("there is room");
    quick_start::run(folder.path()).expect("it runs");
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 3);
}

#[test]
fn examples_run() {
    several_targets::main().expect("several targets");
    neuron::main().expect("neuron");
    custom_composite::main().expect("custom composite");
    custom_network::main().expect("custom network");
}

#[cfg(feature = "gpu")]
#[test]
fn results_stay_on_the_gpu() {
    if crate::support::backends().len() > 2 {
        on_gpu::main().expect("on the GPU");
    }
}
