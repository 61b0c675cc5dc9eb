//! The values that Captum's tests expect (METHODS.md, section 2), checked by hand.

use clrp::Method;
use clrp::graph::{Conv2d, Graph, Linear, MaxPool2d, Network, NodeId, Op};
use clrp::program::Upsampling;
use clrp::rules::{Composite, Rule};
use clrp::tensor::Shape;

use crate::support::{MAP_F32, MAP_F64, Question, assert_close, backends, filled};

/// Linear(3, 3), all 2 but the first weight - ReLU - Linear(3, 1), all 3; no bias.
fn two_layers(first: f32) -> Network {
    let mut g = Graph::new("two layers", Shape::vector(3));
    let linear = |g: &mut Graph, name: &str, x: NodeId, out_features: usize| {
        let op = Op::Linear(Linear { out_features, bias: false });
        g.push(name, op, &[x]).expect("shapes fit")
    };
    let x = g.input();
    let x = linear(&mut g, "first", x, 3);
    let x = g.relu("relu", x).expect("shapes fit");
    linear(&mut g, "second", x, 1);
    filled(g, |_, name, i| match (name, i) {
        ("first.weight", 0) => first,
        ("first.weight", _) => 2.0,
        _ => 3.0,
    })
}

fn hold(network: &Network, composite: &Composite, picture: &[f32], target: u32, expected: &[f64]) {
    for backend in backends() {
        let question = Question::new(network, composite, &[Method::Lrp], &[], picture);
        let actual = Question { targets: &[target], ..question }.ask(&backend);
        let tolerance = backend.of_precision(MAP_F64, MAP_F32);
        assert_close(&actual.maps[0], expected, tolerance, &backend.name);
    }
}

fn composite(rule: Rule) -> Composite {
    Composite::new("literal").name("*", rule).with_stabilizer(0.0)
}

const X: [f32; 3] = [1.0, 2.0, 3.0];

#[test]
fn epsilon_on_equal_weights_follows_the_inputs() {
    // All hidden values are 12, the score 108: 36 for each, 1 : 2 : 3 below.
    let rule = composite(Rule::Epsilon { epsilon: 0.0 });
    hold(&two_layers(2.0), &rule, &X, 0, &[18.0, 36.0, 54.0]);
}

#[test]
fn gamma_softens_the_negative_weight() {
    // Hidden 8, 12, 12 get 24, 36, 36. Below the first: -2, 8, 12 of 18.
    let rules = Composite::new("literal")
        .name("first", Rule::Gamma { gamma: 1.0 })
        .name("second", Rule::Gamma { gamma: 0.25 })
        .with_stabilizer(0.0);
    hold(&two_layers(-2.0), &rules, &X, 0, &[28.0 / 3.0, 104.0 / 3.0, 52.0]);
}

#[test]
fn alpha_one_beta_zero_leaves_the_negative_weight_out() {
    // 24 of the first by 4 : 6, twice 36 by 1 : 2 : 3.
    let rule = composite(Rule::AlphaBeta { alpha: 1.0, beta: 0.0 });
    hold(&two_layers(-2.0), &rule, &X, 0, &[12.0, 33.6, 50.4]);
}

#[test]
fn a_skip_connection_hands_down_by_shares() {
    // 5 * (2 + 3) + 3 = 28: 25 by 2 : 3, and 3 to the input itself.
    let mut g = Graph::new("skip", Shape::vector(2));
    let x = g.input();
    let op = Op::Linear(Linear { out_features: 2, bias: false });
    let y = g.push("linear", op, &[x]).expect("shapes fit");
    g.push("add", Op::Add, &[y, x]).expect("shapes fit");
    let network = filled(g, |_, _, _| 5.0);
    let rule = Composite::new("literal").name("linear", Rule::Epsilon { epsilon: 0.0 });
    hold(&network, &rule.with_stabilizer(0.0), &[2.0, 3.0], 1, &[10.0, 18.0]);
}

#[test]
fn a_max_pool_gives_all_to_the_winner() {
    let mut g = Graph::new("pool", Shape::new(1, 2, 2));
    let x = g.input();
    let x = g.max_pool2d("pool", x, MaxPool2d::new(2, 2)).expect("shapes fit");
    g.flatten("flatten", x).expect("shapes fit");
    let network = filled(g, |_, _, _| 0.0);
    let picture = [1.0, 2.0, 5.0, 6.0];
    hold(&network, &Composite::new("literal"), &picture, 0, &[0.0, 0.0, 0.0, 6.0]);
}

#[test]
fn guided_grad_cam_is_captums() {
    let mut g = Graph::new("one convolution", Shape::new(1, 4, 4));
    let build = |g: &mut Graph| {
        let x = g.conv2d("conv1", g.input(), Conv2d::new(2, 3))?;
        let x = g.relu("relu1", x)?;
        let x = g.flatten("flatten", x)?;
        let x = g.linear("fc1", x, 4)?;
        g.relu("relu2", x)
    };
    build(&mut g).expect("shapes fit");
    let network = filled(g, |_, name, i| match (name, i) {
        ("conv1.weight", _) => 1.0,
        ("conv1.bias", 0) => -50.0,
        ("conv1.bias", _) => -75.0,
        ("fc1.weight", i) if i % 8 < 5 => 1.0,
        ("fc1.weight", _) => -1.0,
        _ => 0.0,
    });
    let picture: Vec<f32> = (0..16_u8).map(f32::from).collect();
    let composite = Composite::new("literal");
    let methods = [Method::GuidedGradCam];
    let expected = [
        [0.0, 0.0, 4.0, 4.0],
        [0.0, 0.0, 12.0, 8.0],
        [28.0, 84.0, 97.5, 65.0],
        [28.0, 56.0, 65.0, 32.5],
    ];
    for backend in backends() {
        let question = Question::new(&network, &composite, &methods, &[0], &picture);
        let actual = Question { upsampling: Upsampling::Nearest, ..question }.ask(&backend);
        let tolerance = backend.of_precision(MAP_F64, MAP_F32);
        assert_close(&actual.maps[0], &expected.concat(), tolerance, &backend.name);
    }
}
