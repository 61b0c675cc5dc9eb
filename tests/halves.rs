//! Networks whose weights have 16 bit: what they say, and what memory they take.

use clrp::Method;
use clrp::backend::cpu::Cpu;
use clrp::graph::{Conv2d, Graph, Linear, MaxPool2d, Network, Op, Weights};
use clrp::kernels::Call;
use clrp::program::{Form, Limits, Program, WeightUse};
use clrp::rules::preset;
use clrp::tensor::Shape;
use clrp::weight::{Dtype, Weight};
use half::{bf16, f16};

use crate::support::{
    Question, SMALL_F32, assert_close, backends, pictures, reference, values, weights,
};

const METHODS: [Method; 3] = [Method::Lrp, Method::Clrp1, Method::Gradient];
const DTYPES: [Dtype; 2] = [Dtype::F16, Dtype::BF16];

/// Odd numbers of weights, and a convolution whose sums are long both ways.
fn network() -> Network {
    let mut g = Graph::new("halves", Shape::new(3, 9, 8));
    let build = |g: &mut Graph| {
        let linear = |outputs| Op::Linear(Linear { out_features: outputs, bias: true });
        let x = g.conv2d("first", g.input(), Conv2d::new(17, 3).padding(1))?;
        let x = g.relu("first relu", x)?;
        let x = g.conv2d("second", x, Conv2d::new(131, 3).stride(2))?;
        let x = g.relu("second relu", x)?;
        let x = g.max_pool2d("pool", x, MaxPool2d::new(2, 2))?;
        let x = g.flatten("flatten", x)?;
        let x = g.push("hidden", linear(35), &[x])?;
        let x = g.relu("hidden relu", x)?;
        g.push("top", linear(5), &[x])
    };
    build(&mut g).expect("shapes fit");
    weights(g, 7)
}

/// The network with its weights rounded to 16 bit.
fn rounded(network: &Network, dtype: Dtype) -> Network {
    let specs = network.graph().weight_specs();
    let bits_of = |value: f64| match dtype {
        Dtype::F16 => f16::from_f64(value).to_bits(),
        Dtype::BF16 => bf16::from_f64(value).to_bits(),
        Dtype::F32 | Dtype::F64 => panic!("these have more bits"),
    };
    let weights = specs.iter().map(|spec| {
        let (layer, suffix) = spec.name.rsplit_once('.').expect("they are layer.suffix");
        let values = values(network, layer, suffix).expect("the weight is there");
        let bits = values.into_iter().map(bits_of).collect();
        Weight::from_bits16(&spec.name, &spec.shape, dtype, bits)
    });
    let graph = network.graph().clone();
    Weights::from_weights("rounded weights", weights).bind(graph).expect("they suit the graph")
}

/// Limits that split a matrix of 35 columns after three rows of 16 bit, within a pair.
const SHARDS: Limits = Limits { binding_bytes: 53 * 4, ..Limits::NONE };

#[test]
fn maps_are_those_of_the_reference() {
    for dtype in DTYPES {
        let network = rounded(&network(), dtype);
        let picture = pictures(network.graph().input_shape(), 2, 1);
        for rules in ["contrastive", "gu2018"] {
            let composite = preset(rules).expect("a preset");
            let question = Question::new(&network, &composite, &METHODS, &[0, 3, 1, 4], &picture);
            let expected = question.ask(&reference());
            for limits in [Limits::NONE, SHARDS] {
                let question = Question { limits, bounds: question.bounds.clone(), ..question };
                for backend in backends() {
                    let actual = question.ask(&backend);
                    let what = format!("{rules}, {dtype:?}, {}", backend.name);
                    assert_close(&actual.scores, &expected.scores, SMALL_F32, &what);
                    for (m, method) in METHODS.iter().enumerate() {
                        let what = format!("{what}, {method}");
                        assert_close(&actual.maps[m], &expected.maps[m], SMALL_F32, what);
                    }
                }
            }
        }
    }
}

fn program(network: &Network, limits: Limits) -> Program {
    let composite = preset("contrastive").expect("a preset");
    let picture = pictures(network.graph().input_shape(), 1, 1);
    let question = Question::new(network, &composite, &METHODS, &[0], &picture);
    Question { limits, ..question }.lowered().program
}

#[test]
fn shards_hold_twice_as_many_numbers() {
    let layers = |network: &Network| {
        let program = program(network, SHARDS);
        let top = program.layers.iter().position(|layer| layer == "top").expect("it has steps");
        let of_top = |layer: usize, call: &Call| layer == top && matches!(call, Call::Linear(_));
        program.steps.iter().filter(|step| of_top(step.layer, &step.call)).count()
    };
    let whole = network();
    for dtype in DTYPES {
        // Rows 0 to 2 and 3 to 4, in place of five of one row.
        assert_eq!(layers(&rounded(&whole, dtype)) * 5, layers(&whole) * 2, "{dtype:?}");
    }
}

/// Bytes of the vectors, which are widened.
fn vector_bytes(program: &Program) -> usize {
    let vectors = program.weights.iter().filter(|weight| matches!(weight.form, Form::Vector));
    vectors.map(WeightUse::len).sum::<usize>() * 4
}

/// Numbers of the filters.
const FILTERS: [usize; 2] = [17 * 3 * 9, 131 * 17 * 9];

#[test]
fn the_cpu_holds_filters_once_in_each_order_and_as_they_are_stored() {
    // Panels have 16 columns. The first layer: 17 columns of rows of 3 x 3 numbers, and a matrix
    // for the transpose, which has 3 columns; the second: panels of 131 columns, of 17 for the
    // transpose, and a matrix for the gradient's exact sums.
    let held = [9 * 3 * 32 + FILTERS[0], 9 * 17 * 144 + 9 * 131 * 32 + FILTERS[1]];
    for dtype in DTYPES {
        let program = program(&rounded(&network(), dtype), Limits::NONE);
        let filters = program.weights.iter().filter(|w| matches!(w.form, Form::Filters(_)));
        assert!(filters.count() > FILTERS.len(), "some are used by several parts");
        let cpu = Cpu::<f32>::new();
        let session = cpu.prepare(&program);
        let expected = held.iter().sum::<usize>() * 2 + vector_bytes(&program);
        assert_eq!(session.weight_bytes(), expected, "{dtype:?}");
    }
}

#[cfg(feature = "gpu")]
#[test]
fn the_gpu_holds_weights_as_they_are_stored() {
    use clrp::backend::Device;

    const MATRICES: [usize; 2] = [262 * 35, 35 * 5];
    for backend in backends() {
        let Device::Gpu(gpu) = &backend.device else { continue };
        for dtype in DTYPES {
            let program = program(&rounded(&network(), dtype), Limits::NONE);
            let session = gpu.prepare(&program).expect("it is small");
            let words = FILTERS.iter().chain(&MATRICES).map(|numbers| numbers.div_ceil(2));
            let expected = words.sum::<usize>() * 4 + vector_bytes(&program);
            assert_eq!(session.weight_bytes(), expected as u64, "{}, {dtype:?}", backend.name);
        }
    }
}

#[test]
fn large_matrices_behind_a_relu_are_stored_as_columns_too() {
    // 2048 inputs, of which about half are 0, and 34 MB of weights.
    let mut g = Graph::new("large", Shape::new(3, 8, 8));
    let build = |g: &mut Graph| {
        let linear = |outputs| Op::Linear(Linear { out_features: outputs, bias: true });
        let x = g.conv2d("conv", g.input(), Conv2d::new(32, 3).padding(1))?;
        let x = g.relu("relu", x)?;
        let x = g.flatten("flatten", x)?;
        let x = g.push("large", linear(4201), &[x])?;
        let x = g.relu("large relu", x)?;
        g.push("top", linear(5), &[x])
    };
    build(&mut g).expect("shapes fit");
    let network = weights(g, 7);
    let pictures = pictures(network.graph().input_shape(), 1, 3);
    let rules = preset("contrastive").expect("a preset");
    let question = Question::new(&network, &rules, &METHODS, &[1, 4], &pictures);
    let exact = question.ask(&reference());
    let copied = |question: &Question<'_>| {
        let program = question.lowered().program;
        let of = |columns| Cpu::<f32>::new().columns(columns).prepare(&program).weight_bytes();
        of(true) - of(false)
    };
    assert_eq!(copied(&question), 4 * 2048 * 4201);
    // Few inputs are 0 in both of two pictures.
    let two = self::pictures(network.graph().input_shape(), 2, 3);
    assert_eq!(copied(&Question::new(&network, &rules, &METHODS, &[1, 4], &two)), 0);
    for backend in backends().iter().filter(|backend| !backend.is_reference()) {
        let found = question.ask(backend);
        for (found, exact) in found.maps.iter().zip(&exact.maps) {
            assert_close(found, exact, SMALL_F32, &backend.name);
        }
    }
}
