//! Every kernel on every backend against its f64 twin on the CPU; the twins that are not plain
//! loops themselves against plain loops.

mod boxes;
mod linear;
mod map;
mod naive;
mod value;
mod window;

use std::collections::BTreeSet;

use clrp::backend::{Input, Output};
use clrp::kernels::{ALL, Call};
use clrp::program::{Builder, Element, Operand, Program, WeightUse};

use crate::support::{
    Backend, EXACT, KEPT_F32, POWER_F32, ROUNDED_F32, Random, SUMMED_F16, SUMMED_F32, SUMMED_F64,
    assert_each_close, backends, fast, reference,
};

/// One launch of a kernel.
struct Case {
    call: Call,
    /// In the kernel's order; for what it writes, the content beforehand.
    operands: Vec<Given>,
}

enum Given {
    Float(Vec<f32>),
    Index(Vec<u32>),
    Weight(WeightUse),
}

impl Given {
    /// What a kernel that writes all of its output must not look at.
    fn junk(count: usize) -> Self {
        Given::Float(vec![77.0; count])
    }

    /// The numbers, of which f32 holds all.
    fn floats(&self) -> Vec<f32> {
        match self {
            Given::Float(values) => values.clone(),
            Given::Weight(weight) => {
                let numbers = weight.numbers();
                (0..numbers.len()).map(|i| numbers.get(i)).collect()
            }
            Given::Index(_) => panic!("indices are no floats"),
        }
    }
}

/// What a kernel does to precision.
#[derive(Clone, Copy)]
enum Accuracy {
    /// It moves, compares or negates.
    Exact,
    /// It rounds, and nothing cancels.
    Rounded,
    /// It takes a power, and nothing cancels.
    Power,
    /// It sums terms that may cancel.
    Summed,
    /// The same, and keeps the digits that f32 would lose.
    Kept,
    /// It sums products of numbers that it rounds to 16 bit.
    Half,
}

/// A new kernel says here how accurate it is, and gets a case below.
fn accuracy(call: &Call) -> Accuracy {
    match call {
        Call::ChannelConstant(_)
        | Call::CopyChannels(_)
        | Call::Gate(_)
        | Call::Gather(_)
        | Call::Largest(_)
        | Call::MaxPool2d(_)
        | Call::OneHot(_)
        | Call::Permute(_)
        | Call::TopK(_) => Accuracy::Exact,
        Call::Clamp(_)
        | Call::MultiplyPlanes(_)
        | Call::StabilizedGate(_)
        | Call::StabilizedRatio(_) => Accuracy::Rounded,
        Call::LocalResponseNorm(_) | Call::Softmax(_) => Accuracy::Power,
        Call::Linear(_) | Call::LinearPair(_) => Accuracy::Kept,
        Call::Conv2dCooperative(_) | Call::ConvTranspose2dCooperative(_) => Accuracy::Half,
        call if call.exact() => Accuracy::Kept,
        Call::Add(_)
        | Call::AddShares(_)
        | Call::Attribution(_)
        | Call::AvgPool2d(_)
        | Call::AvgPool2dBackward(_)
        | Call::BoxDenominators(_)
        | Call::BoxRelevance(_)
        | Call::ChannelAffine(_)
        | Call::ChannelDot(_)
        | Call::Conv2d(_)
        | Call::Conv2dQuads(_)
        | Call::ConvTranspose2d(_)
        | Call::ConvTranspose2dColors(_)
        | Call::ConvTranspose2dQuads(_)
        | Call::DotRows(_)
        | Call::Heatmap(_)
        | Call::Leaks(_)
        | Call::LinearTranspose(_)
        | Call::LocalResponseNormBackward(_)
        | Call::MaxPool2dBackward(_)
        | Call::MultiplyAdd(_)
        | Call::MultiplyDifference(_)
        | Call::Seed(_)
        | Call::SumRows(_)
        | Call::Tally(_)
        | Call::Upsample2d(_) => Accuracy::Summed,
    }
}

type Cases = fn(&mut Random) -> Vec<Case>;

const PRODUCTS: &[Cases] = &[
    boxes::box_denominators,
    boxes::box_relevance,
    linear::conv2d,
    linear::conv2d_cooperative,
    linear::conv2d_quads,
    linear::conv_transpose2d,
    linear::conv_transpose2d_colors,
    linear::conv_transpose2d_cooperative,
    linear::conv_transpose2d_quads,
    linear::linear,
    linear::linear_pair,
    linear::linear_transpose,
];

const POOLS: &[Cases] = &[
    window::avg_pool2d,
    window::avg_pool2d_backward,
    window::max_pool2d,
    window::max_pool2d_backward,
];

const OTHERS: &[Cases] = &[
    map::attribution,
    map::channel_dot,
    map::heatmap,
    map::multiply_planes,
    map::upsample2d,
    value::add,
    value::add_shares,
    value::channel_affine,
    value::channel_constant,
    value::clamp,
    value::copy_channels,
    value::dot_rows,
    value::gate,
    value::gather,
    value::largest,
    value::leaks,
    value::local_response_norm,
    value::local_response_norm_backward,
    value::multiply_add,
    value::multiply_difference,
    value::one_hot,
    value::permute,
    value::seed,
    value::softmax,
    value::stabilized_gate,
    value::stabilized_ratio,
    value::sum_rows,
    value::tally,
    value::top_k,
];

/// A program of the one step, and what it is given.
fn program(case: &Case) -> (Program, Vec<Input<'_>>) {
    let mut b = Builder::new();
    b.at(case.call.kernel().name, "twins");
    let (mut reads, mut outs, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
    for (given, access) in case.operands.iter().zip(case.call.kernel().operands) {
        let slot = match given {
            Given::Weight(weight) => {
                reads.push(b.weight(weight.clone()));
                continue;
            }
            Given::Float(values) => {
                inputs.push(Input::Float(values));
                b.input(Element::Float, values.len())
            }
            Given::Index(values) => {
                inputs.push(Input::Index(values));
                b.input(Element::Index, values.len())
            }
        };
        if access.writes() {
            outs.push(slot);
        } else {
            reads.push(Operand::Value(slot));
        }
    }
    b.emit_into(case.call, &reads, &outs);
    for out in outs {
        b.output(out);
    }
    (b.finish().expect("cases are small"), inputs)
}

fn run(backend: &Backend, case: &Case) -> Vec<Output> {
    let (program, inputs) = program(case);
    backend.run(&program, &inputs)
}

fn hold(case: &Case, actual: &[Output], expected: &[Output], name: &str) {
    let what = format!("{name}: {:?}", case.call);
    for (actual, expected) in actual.iter().zip(expected) {
        assert!(actual.indices() == expected.indices(), "{what}: other indices");
        let (actual, expected) = (actual.to_f64(), expected.to_f64());
        let largest = expected.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        let (tolerance, of_each) = match accuracy(&case.call) {
            Accuracy::Exact => (EXACT, true),
            Accuracy::Rounded => (ROUNDED_F32, true),
            Accuracy::Power => (POWER_F32, true),
            Accuracy::Summed => (SUMMED_F32, false),
            Accuracy::Kept => (KEPT_F32, false),
            Accuracy::Half => (SUMMED_F16, false),
        };
        let scale = |v: f64| if of_each { v.abs() } else { largest };
        assert_each_close(&actual, &expected, tolerance, scale, &what);
    }
}

fn hold_all(cases: &[Cases], seed: u64) {
    let mut backends = backends();
    let whole: Vec<_> = backends.iter().filter_map(Backend::with_whole_tiles).collect();
    backends.extend(whole);
    let (reference, others) = backends.split_first().expect("the reference is always there");
    for cases in cases {
        let mut random = Random::new(seed);
        for case in cases(&mut random) {
            let expected = run(reference, &case);
            for backend in others.iter().filter(|backend| backend.takes(&case.call)) {
                hold(&case, &run(backend, &case), &expected, &backend.name);
            }
        }
    }
}

#[test]
fn products_are_their_twins_on_every_backend() {
    hold_all(PRODUCTS, 1);
}

#[test]
fn products_by_cooperative_matrices_are_their_twins() {
    let Some(fast) = fast() else { return };
    let reference = reference();
    let whole = fast.with_whole_tiles().expect("it is a GPU's");
    for cases in [linear::conv2d_cooperative, linear::conv_transpose2d_cooperative] {
        for case in cases(&mut Random::new(6)) {
            let expected = run(&reference, &case);
            for fast in [&fast, &whole] {
                hold(&case, &run(fast, &case), &expected, &fast.name);
            }
        }
    }
}

#[test]
fn pools_are_their_twins_on_every_backend() {
    hold_all(POOLS, 2);
}

#[test]
fn other_kernels_are_their_twins_on_every_backend() {
    hold_all(OTHERS, 3);
}

#[test]
fn every_kernel_has_cases() {
    let mut random = Random::new(4);
    let mut seen = BTreeSet::new();
    for cases in [PRODUCTS, POOLS, OTHERS].concat() {
        seen.extend(cases(&mut random).iter().map(|case| case.call.kernel().name));
    }
    assert_eq!(seen, ALL.iter().map(|kernel| kernel.name).collect());
}

/// Floats or indices.
fn numbers(output: &Output) -> Vec<f64> {
    match output {
        Output::F32(_) | Output::F64(_) => output.to_f64(),
        Output::Index(values) => values.iter().map(|&index| f64::from(index)).collect(),
    }
}

/// What plain loops give, one output after the other, for the kernels whose twins are not plain themselves.
fn plain(case: &Case) -> Option<Vec<f64>> {
    let given = |i: usize| case.operands[i].floats();
    match &case.call {
        Call::AvgPool2d(p) => Some(naive::avg_pool2d(p, &given(0))),
        Call::AvgPool2dBackward(p) => Some(naive::avg_pool2d_backward(&p.0, &given(0))),
        Call::BoxDenominators(p) => {
            let bounds: Vec<f64> = given(3).into_iter().map(f64::from).collect();
            Some(naive::box_denominators(&p.0, &given(1), &given(2), &bounds))
        }
        Call::BoxRelevance(p) => {
            let [s, w, a, bounds] = [0, 1, 2, 3].map(given);
            Some(naive::box_relevance(&p.conv, p.repeat as usize, [&s, &w, &a, &bounds]))
        }
        Call::Conv2d(p) | Call::Conv2dQuads(p) => {
            Some(naive::conv2d(p, &given(0), &given(1), &given(2), &given(3)))
        }
        Call::Conv2dCooperative(p) => {
            Some(naive::conv2d(&p.conv, &given(0), &given(1), &given(2), &given(4)))
        }
        Call::ConvTranspose2d(p)
        | Call::ConvTranspose2dColors(p)
        | Call::ConvTranspose2dQuads(p) => {
            Some(naive::conv_transpose2d(&p.0, &given(0), &given(1), &given(2)))
        }
        Call::ConvTranspose2dCooperative(p) => {
            Some(naive::conv_transpose2d(&p.0.conv, &given(0), &given(1), &given(3)))
        }
        Call::Linear(p) => Some(naive::linear(p, &given(0), &given(1), &given(2), &given(3))),
        Call::LinearPair(p) => {
            let of = |p, out| naive::linear(&p, &given(0), &given(1), &given(2), &given(out));
            Some([of(p.layer(), 3), of(p.z, 4)].concat())
        }
        Call::LinearTranspose(p) => {
            Some(naive::linear_transpose(&p.0, &given(0), &given(1), &given(2)))
        }
        Call::MaxPool2d(p) => Some(naive::max_pool2d(p, &given(0))),
        Call::MaxPool2dBackward(p) => {
            let Given::Index(winners) = &case.operands[0] else { panic!("winners are indices") };
            Some(naive::max_pool2d_backward(&p.pool, p.repeat, winners, &given(1)))
        }
        Call::Add(_)
        | Call::AddShares(_)
        | Call::Attribution(_)
        | Call::ChannelAffine(_)
        | Call::ChannelConstant(_)
        | Call::ChannelDot(_)
        | Call::Clamp(_)
        | Call::CopyChannels(_)
        | Call::DotRows(_)
        | Call::Gate(_)
        | Call::Gather(_)
        | Call::Heatmap(_)
        | Call::Largest(_)
        | Call::Leaks(_)
        | Call::LocalResponseNorm(_)
        | Call::LocalResponseNormBackward(_)
        | Call::MultiplyAdd(_)
        | Call::MultiplyDifference(_)
        | Call::MultiplyPlanes(_)
        | Call::OneHot(_)
        | Call::Permute(_)
        | Call::Seed(_)
        | Call::Softmax(_)
        | Call::StabilizedGate(_)
        | Call::StabilizedRatio(_)
        | Call::SumRows(_)
        | Call::Tally(_)
        | Call::TopK(_)
        | Call::Upsample2d(_) => None,
    }
}

#[test]
fn fast_twins_are_what_plain_loops_give() {
    let reference = reference();
    for cases in [PRODUCTS, POOLS].concat() {
        let mut random = Random::new(5);
        for case in cases(&mut random) {
            let expected = plain(&case).expect("these twins are fast");
            let actual = run(&reference, &case).iter().flat_map(numbers).collect::<Vec<_>>();
            let largest = expected.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
            let what = format!("{:?}", case.call);
            assert_each_close(&actual, &expected, SUMMED_F64, |_| largest, what);
        }
    }
}
