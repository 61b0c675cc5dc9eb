//! How a run is put together plays no part in its numbers.

use clrp::Method;
use clrp::backend::Input;
use clrp::graph::{Network, WeightSpec, Weights};
use clrp::program::Limits;
use clrp::rules::preset;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::nets::{METHODS, random_network};
use crate::support::{
    Answer, Backend, MAP_F64, Question, Random, SAME_F32, assert_close, backends, filled, value,
};

/// Some networks are enough: these tests run on every backend.
const SEEDS: std::ops::Range<u64> = 20..24;

/// Whether two answers agree; other sizes lead to other orders of sums.
fn hold(actual: &[f64], expected: &[f64], backend: &Backend, what: &str) {
    let tolerance = backend.of_precision(MAP_F64, SAME_F32);
    assert_close(actual, expected, tolerance, format!("{}: {what}", backend.name));
}

#[test]
fn a_batch_is_its_pictures_one_by_one() {
    let rules = preset("contrastive").expect("a preset");
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, true);
        let len = network.graph().input_shape().len();
        let pictures = random.floats(3 * len);
        let targets = [0, 1, 2, 0, 1, 2];
        for backend in backends() {
            let all = Question::new(&network, &rules, &METHODS, &targets, &pictures).ask(&backend);
            for (i, picture) in pictures.chunks_exact(len).enumerate() {
                let targets = &targets[i * 2..][..2];
                let one = Question::new(&network, &rules, &METHODS, targets, picture).ask(&backend);
                for (m, method) in METHODS.iter().enumerate() {
                    let of_picture = &all.maps[m][i * 2 * len..][..2 * len];
                    let what = format!("{method} of picture {i}, seed {seed}");
                    hold(of_picture, &one.maps[m], &backend, &what);
                }
            }
        }
    }
}

#[test]
fn targets_and_methods_together_are_what_they_are_alone() {
    let rules = preset("contrastive").expect("a preset");
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, true);
        let picture = random.floats(network.graph().input_shape().len());
        for backend in backends() {
            let ask = |methods: &[Method], targets: &[u32]| {
                Question::new(&network, &rules, methods, targets, &picture).ask(&backend)
            };
            let all = ask(&METHODS, &[2, 0, 1]);
            for (m, method) in METHODS.into_iter().enumerate() {
                for (j, target) in [2, 0, 1].into_iter().enumerate() {
                    let alone = ask(&[method], &[target]);
                    let together = &all.maps[m][j * picture.len()..][..picture.len()];
                    let what = format!("{method} of class {target}, seed {seed}");
                    hold(together, &alone.maps[0], &backend, &what);
                }
            }
        }
    }
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let rules = preset("contrastive").expect("a preset");
    let mut random = Random::new(30);
    let network = random_network(&mut random, true);
    let pictures = random.floats(2 * network.graph().input_shape().len());
    let question = Question::new(&network, &rules, &METHODS, &[0, 1, 2, 1], &pictures);
    let program = question.lowered().program;
    let inputs = [Input::Float(&pictures), Input::Index(question.targets)];
    for backend in backends() {
        let mut session = backend.device.prepare(&program).expect("it is small");
        let first = session.run(&inputs).expect("it runs");
        // The session remembers nothing, and another one is no different.
        assert!(first == session.run(&inputs).expect("it runs"), "{}: again", backend.name);
        assert!(first == backend.run(&program, &inputs), "{}: in a new session", backend.name);
    }
}

#[test]
fn a_matrix_in_shards_is_the_matrix() {
    let rules = preset("contrastive").expect("a preset");
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, true);
        let picture = random.floats(network.graph().input_shape().len());
        let question = Question::new(&network, &rules, &METHODS, &[0, 1], &picture);
        // Two rows of the top layer go into a shard, the last shard has what is left.
        let columns = network.weight("top", "weight").expect("it has one").shape()[1];
        let limits = Limits { binding_bytes: columns * 4 * 2 + 3, ..Limits::NONE };
        let sharded =
            Question { limits, ..Question::new(&network, &rules, &METHODS, &[0, 1], &picture) };
        assert!(sharded.lowered().program.steps.len() > question.lowered().program.steps.len());
        for backend in backends() {
            let (whole, sharded): (Answer, Answer) =
                (question.ask(&backend), sharded.ask(&backend));
            hold(&sharded.scores, &whole.scores, &backend, "scores");
            for (m, method) in METHODS.iter().enumerate() {
                let what = format!("{method}, seed {seed}");
                hold(&sharded.maps[m], &whole.maps[m], &backend, &what);
            }
        }
    }
}

/// The network with its weights from a mapped file, each as `stored` bytes.
fn from_file(network: &Network, dtype: Dtype, stored: impl Fn(f32) -> [u8; 2]) -> Network {
    let specs = network.graph().weight_specs();
    let bytes_of = |spec: &WeightSpec| -> Vec<u8> {
        let len = spec.shape.iter().product();
        (0..len).flat_map(|i| stored(value(network, &spec.name, i))).collect()
    };
    let bytes: Vec<Vec<u8>> = specs.iter().map(bytes_of).collect();
    let views = specs.iter().zip(&bytes).map(|(spec, bytes)| {
        let view = TensorView::new(dtype, spec.shape.clone(), bytes);
        (spec.name.as_str(), view.expect("two bytes a number"))
    });
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let written = std::fs::write(file.path(), safetensors::serialize(views, None).expect("views"));
    written.expect("the temporary folder can be written");
    let weights = Weights::open(file.path()).expect("it was just written");
    weights.bind(network.graph().clone()).expect("they are the network's")
}

#[test]
fn half_precision_files_are_their_widened_numbers() {
    let rules = preset("contrastive").expect("a preset");
    let mut random = Random::new(40);
    let network = random_network(&mut random, true);
    let picture = random.floats(network.graph().input_shape().len());
    let halves = [
        from_file(&network, Dtype::F16, |v| f16::from_f32(v).to_le_bytes()),
        from_file(&network, Dtype::BF16, |v| bf16::from_f32(v).to_le_bytes()),
    ];
    for mapped in halves {
        let graph = network.graph().clone();
        let widened = filled(graph, |_, name, i| value(&mapped, name, i));
        for backend in backends() {
            let ask =
                |network| Question::new(network, &rules, &METHODS, &[0, 2], &picture).ask(&backend);
            assert!(ask(&mapped) == ask(&widened), "{}", backend.name);
        }
    }
}
