//! Precision fast: which sums are rounded to 16 bit, and what that does to maps.

use clrp::Method;
use clrp::graph::{AvgPool2d, Conv2d, Graph, Linear, MaxPool2d, Network, Op};
use clrp::kernels::Call;
use clrp::models::Model;
use clrp::program::{Limits, Program};
use clrp::rules::{Composite, LayerKind, Rule, preset};
use clrp::tensor::Shape;

use crate::support::{
    FAST, FAST_CONTRAST, Question, SMALL_F32, assert_close, backends, fast, filled, pictures,
    reference, value, weights,
};

/// Convolutions that suit and, the first, one that does not.
fn network() -> Network {
    weights(graph(), 11)
}

fn graph() -> Graph {
    let mut g = Graph::new("fast", Shape::new(3, 19, 17));
    let build = |g: &mut Graph| {
        let x = g.conv2d("first", g.input(), Conv2d::new(16, 3).padding(1))?;
        let x = g.relu("first relu", x)?;
        let x = g.conv2d("second", x, Conv2d::new(40, 3).stride(2))?;
        let x = g.relu("second relu", x)?;
        let x = g.conv2d("third", x, Conv2d::new(32, 3).padding(1).groups(2))?;
        let x = g.relu("third relu", x)?;
        let x = g.max_pool2d("pool", x, MaxPool2d::new(2, 2))?;
        let x = g.flatten("flatten", x)?;
        g.push("top", Op::Linear(Linear { out_features: 5, bias: true }), &[x])
    };
    build(&mut g).expect("shapes fit");
    g
}

const LIMITS: Limits = Limits { has_variants: true, cooperative: true, ..Limits::NONE };

fn program(composite: &Composite, methods: &[Method]) -> Program {
    let network = network();
    let picture = pictures(network.graph().input_shape(), 1, 1);
    let question = Question::new(&network, composite, methods, &[0], &picture);
    Question { limits: LIMITS, ..question }.lowered().program
}

/// The notes of the convolutions and transposes that are rounded, with their layers.
fn rounded(program: &Program) -> Vec<String> {
    let steps = program.steps.iter().filter(|step| step.call.cooperates());
    let name = |step: &clrp::program::Step| {
        let kind = if let Call::Conv2dCooperative(_) = step.call { "" } else { " transposed" };
        format!("{}, {}{kind}", program.layers[step.layer], program.notes[step.note])
    };
    steps.map(name).collect()
}

#[test]
fn denominators_of_terms_of_either_sign_are_not_rounded() {
    let forward = ["second, forward", "third, forward"];
    let zplus = [
        "third, z-plus",
        "third, z-plus transposed",
        "second, z-plus",
        "second, z-plus transposed",
    ];
    let of = |rule: Rule| {
        let composite = Composite::new("one rule").each(LayerKind::Conv2d, rule);
        rounded(&program(&composite, &[Method::Lrp]))
    };
    assert_eq!(of(Rule::ZPlus), [forward.as_slice(), &zplus].concat());
    let rule = Rule::Epsilon { epsilon: 1e-6 };
    let transposed = ["third", "second"].map(|layer| format!("{layer}, {rule} transposed"));
    assert_eq!(of(rule), [forward.map(str::to_owned), transposed].concat());
}

#[test]
fn where_something_jumps_the_forward_pass_is_exact() {
    let composite = preset("contrastive").expect("a preset");
    assert_eq!(rounded(&program(&composite, &[Method::Gradient])), [""; 0]);
    // Relevance that shares a run with a gradient is rounded, but for the forward pass.
    let found = rounded(&program(&composite, &[Method::Lrp, Method::Gradient]));
    assert!(found.len() == 4 && found.iter().all(|step| step.contains("z-plus")), "{found:?}");
}

#[test]
fn where_outputs_may_nearly_vanish_nothing_is_rounded() {
    let composite = preset("gu2018").expect("a preset");
    let mut g = Graph::new("even", Shape::new(16, 9, 9));
    let build = |g: &mut Graph| {
        let x = g.conv2d("first", g.input(), Conv2d::new(16, 3).padding(1))?;
        let x = g.conv2d("second", x, Conv2d::new(16, 3).padding(1))?;
        let x = g.push("pool", Op::AvgPool2d(AvgPool2d::new(3, 3)), &[x])?;
        let x = g.flatten("flatten", x)?;
        g.push("top", Op::Linear(Linear { out_features: 2, bias: true }), &[x])
    };
    build(&mut g).expect("shapes fit");
    let network = weights(g, 3);
    let picture = pictures(network.graph().input_shape(), 1, 1);
    let question = Question::new(&network, &composite, &[Method::Lrp], &[0], &picture);
    let program = Question { limits: LIMITS, ..question }.lowered().program;
    assert_eq!(rounded(&program), [""; 0]);
}

const METHODS: [Method; 3] = [Method::Lrp, Method::Clrp1, Method::Clrp2];

#[test]
fn every_backend_without_such_matrices_gives_what_it_gives_without_them() {
    let network = network();
    let picture = pictures(network.graph().input_shape(), 2, 1);
    let composite = preset("contrastive").expect("a preset");
    let question = Question::new(&network, &composite, &METHODS, &[0, 3, 1, 4], &picture);
    let expected = question.ask(&reference());
    let question = Question { limits: LIMITS, bounds: question.bounds.clone(), ..question };
    // The CPU's twins do not round.
    let is_cpu = |backend: &&crate::support::Backend| backend.name.starts_with("cpu");
    for backend in backends().iter().filter(is_cpu) {
        let actual = question.ask(backend);
        for (m, method) in METHODS.iter().enumerate() {
            let what = format!("{}, {method}", backend.name);
            assert_close(&actual.maps[m], &expected.maps[m], SMALL_F32, what);
        }
    }
}

fn hold(network: &Network, targets: &[u32], what: &str) {
    let Some(fast) = fast() else { return };
    let picture = pictures(network.graph().input_shape(), 2, 1);
    for rules in ["contrastive", "epsilon_plus", "gu2018"] {
        let composite = preset(rules).expect("a preset");
        let question = Question::new(network, &composite, &METHODS, targets, &picture);
        let forward = |step: &String| step.ends_with(", forward");
        assert!(rounded(&question.on(&fast).lowered().program).iter().any(forward), "{what}");
        let expected = question.ask(&reference());
        let actual = question.on(&fast).ask(&fast);
        assert_close(&actual.scores, &expected.scores, FAST, format!("{what}, {rules}: scores"));
        for (m, method) in METHODS.iter().enumerate() {
            let what = format!("{what}, {rules}, {method}");
            let tolerance = if *method == Method::Lrp { FAST } else { FAST_CONTRAST };
            assert_close(&actual.maps[m], &expected.maps[m], tolerance, what);
        }
    }
}

#[test]
fn maps_are_near_those_of_the_reference() {
    hold(&network(), &[0, 3, 1, 4], "small");
}

#[test]
fn what_16_bit_cannot_hold_neither_overflows_nor_vanishes() {
    let plain = network();
    for factor in [1e-9, 1e9] {
        let scaled = |_: usize, name: &str, at: usize| {
            let scale = match name {
                "first.weight" | "first.bias" => factor,
                "second.weight" => 1.0 / factor,
                _ => 1.0,
            };
            value(&plain, name, at) * scale
        };
        hold(&filled(graph(), scaled), &[0, 3, 1, 4], &format!("values times {factor:e}"));
    }
}

#[test]
fn maps_of_the_digits_are_near_those_of_the_reference() {
    let model = Model::find("digits").expect("a known network");
    let weights = model.bundled().expect("they are bundled").expect("they are whole");
    let network = model.network(model.input_shape(), weights).expect("they fit");
    hold(&network, &[0, 3, 7, 4], "digits");
}
