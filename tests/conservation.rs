//! What holds for every network: properties over seeded random small ones.

mod contrast;
mod nets;
mod runs;

use clrp::graph::{AvgPool2d, Conv2d, Graph, Linear, Op};
use clrp::image::Preprocess;
use clrp::rules::{Composite, LayerKind, Rule, preset};
use clrp::tensor::{Shape, Tensor};
use clrp::{Explainer, Method, Target};

use crate::support::{
    MAP_F64, Question, Random, SMALL_F32, assert_close, backends, bounds, filled, pictures,
    reference, value, values, weights,
};
use nets::{best, random_network, uniform};

/// Every test's networks.
const SEEDS: std::ops::Range<u64> = 0..12;

const LRP_0: Rule = Rule::Epsilon { epsilon: 0.0 };

#[test]
fn relevance_is_conserved() {
    let reference = reference();
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, false);
        let picture = random.floats(network.graph().input_shape().len());
        for rule in [LRP_0, Rule::ZPlus, Rule::AlphaBeta { alpha: 1.0, beta: 0.0 }] {
            let rules = uniform(rule);
            let target = [best(&network, &picture)];
            let question = Question::new(&network, &rules, &[Method::Lrp], &target, &picture);
            let answer = question.ask(&reference);
            let score = answer.scores[target[0] as usize].abs();
            assert!(score > 0.0, "the network of seed {seed} is dead");
            let what = format!("{rule}, seed {seed}");
            assert_close(&answer.sums[0], &[score], MAP_F64, &what);
            let sum = answer.maps[0].iter().sum();
            assert_close(&[sum], &[score], MAP_F64, &what);
        }
    }
}

/// The leak that the explainer declares for class 0.
fn declared(graph: Graph, value: f32, composite: Composite, picture: Vec<f32>) -> (f64, f64, f64) {
    let shape = graph.input_shape();
    let network = filled(graph, |_, _, _| value);
    let explainer =
        Explainer::builder(network, Preprocess::imagenet()).composite(composite).build();
    let picture = Tensor::new(shape, picture).expect("the picture has the shape");
    let explainer = explainer.expect("the rules suit");
    let explained = explainer.explain(&picture, Method::Lrp, Target::class(0));
    let explanation = &explained.expect("nothing is wrong").explanations[0];
    let leak = explanation.leak.expect("relevance is accounted for");
    (f64::from(explanation.score), explanation.sum, leak)
}

#[test]
fn what_an_even_pool_gives_to_padding_is_declared() {
    let mut g = Graph::new("padded pool", Shape::new(3, 2, 2));
    let pool = AvgPool2d {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [1, 1],
        more_padding: [0; 2],
        ceil_mode: false,
        count_include_pad: true,
    };
    let x = g.push("pool", Op::AvgPool2d(pool), &[g.input()]).expect("shapes fit");
    g.flatten("flatten", x).expect("shapes fit");
    let gu2018 = preset("gu2018").expect("a preset");
    // The first window sees the first cell and three of the padding.
    let found = declared(g, 0.0, gu2018, vec![8.0; 12]);
    assert_eq!(found, (2.0, 0.5, 1.5));
}

#[test]
fn what_the_bias_takes_is_declared() {
    let mut g = Graph::new("biased", Shape::new(3, 1, 1));
    let x = g.flatten("flatten", g.input()).expect("shapes fit");
    g.linear("linear", x, 1).expect("shapes fit");
    let rules = uniform(LRP_0).with_bias(true);
    // Weights and bias are 2: 2 * (1 + 2 - 1) + 2.
    let found = declared(g, 2.0, rules, vec![1.0, 2.0, -1.0]);
    assert_eq!(found, (6.0, 4.0, 2.0));
}

#[test]
fn alpha_one_beta_zero_is_the_papers_z_plus_on_inputs_above_zero() {
    let reference = reference();
    // One layer: sum of x w+, as the paper's equation 1 has it.
    let mut g = Graph::new("one layer", Shape::vector(7));
    let op = Op::Linear(Linear { out_features: 3, bias: false });
    g.push("linear", op, &[g.input()]).expect("shapes fit");
    let network = weights(g, 5);
    let picture: Vec<f32> = Random::new(5).floats(7).iter().map(|v| v.abs()).collect();
    let w = values(&network, "linear", "weight").expect("it has one");
    for rule in [Rule::ZPlus, Rule::AlphaBeta { alpha: 1.0, beta: 0.0 }] {
        let rules = uniform(rule);
        let question = Question::new(&network, &rules, &[Method::Lrp], &[1], &picture);
        let answer = question.ask(&reference);
        let part = |j: usize| f64::from(picture[j]) * w[7 + j].max(0.0);
        let z: f64 = (0..7).map(part).sum();
        let expected: Vec<f64> = (0..7).map(|j| part(j) / z * answer.scores[1].abs()).collect();
        assert_close(&answer.maps[0], &expected, MAP_F64, rule);
    }
}

#[test]
fn z_box_without_bounds_is_lrp_0() {
    let reference = reference();
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, true);
        let picture = random.floats(network.graph().input_shape().len());
        let target = [best(&network, &picture)];
        let ask = |rules: &Composite| {
            let bounds = bounds(network.graph().input_shape().channels, 0.0, 0.0);
            let question = Question::new(&network, rules, &[Method::Lrp], &target, &picture);
            Question { bounds, ..question }.ask(&reference).maps.remove(0)
        };
        let z_box = Composite::new("z-box first")
            .first(LayerKind::Conv2d, Rule::ZBox)
            .each(LayerKind::Conv2d, LRP_0)
            .each(LayerKind::Linear, LRP_0)
            .with_stabilizer(0.0);
        assert_close(&ask(&z_box), &ask(&uniform(LRP_0)), MAP_F64, format!("seed {seed}"));
    }
}

#[test]
fn lrp_0_without_biases_is_the_gradient_times_the_input() {
    let reference = reference();
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, false);
        let picture = random.floats(network.graph().input_shape().len());
        let rules = uniform(LRP_0);
        let methods = [Method::Lrp, Method::GradientXInput];
        let question = Question::new(&network, &rules, &methods, &[0, 1, 2], &picture);
        let answer = question.ask(&reference);
        let len = picture.len();
        for (j, lrp) in answer.maps[0].chunks_exact(len).enumerate() {
            // Relevance starts with the score's size.
            let sign = answer.scores[j].signum();
            let expected: Vec<f64> =
                answer.maps[1][j * len..][..len].iter().map(|v| sign * v).collect();
            assert_close(lrp, &expected, MAP_F64, format!("class {j}, seed {seed}"));
        }
    }
}

#[test]
fn the_order_of_hidden_channels_plays_no_part() {
    const ORDER: [usize; 6] = [3, 0, 5, 1, 4, 2];
    let mut g = Graph::new("two convolutions", Shape::new(2, 7, 8));
    let x = g.conv2d("first", g.input(), Conv2d::new(6, 3).padding(1)).expect("shapes fit");
    let x = g.relu("relu", x).expect("shapes fit");
    let x = g.conv2d("second", x, Conv2d::new(5, 3).stride(2)).expect("shapes fit");
    let x = g.flatten("flatten", x).expect("shapes fit");
    g.linear("top", x, 3).expect("shapes fit");
    let network = weights(g.clone(), 11);
    let reordered = filled(g, |_, name, i| {
        let (layer, suffix) = name.rsplit_once('.').expect("weights are named layer.suffix");
        let i = match (layer, suffix) {
            // [6][2][3][3] and [6]: the outputs change places.
            ("first", "weight") => ORDER[i / 18] * 18 + i % 18,
            ("first", _) => ORDER[i],
            // [5][6][3][3]: the inputs do.
            ("second", "weight") => i / 54 * 54 + ORDER[i % 54 / 9] * 9 + i % 9,
            _ => i,
        };
        value(&network, name, i)
    });
    let picture = pictures(Shape::new(2, 7, 8), 1, 11);
    let reference = reference();
    let rules = preset("contrastive").expect("a preset");
    let ask =
        |network| Question::new(network, &rules, &nets::METHODS, &[0, 2], &picture).ask(&reference);
    let (before, after) = (ask(&network), ask(&reordered));
    for (i, method) in nets::METHODS.iter().enumerate() {
        assert_close(&after.maps[i], &before.maps[i], MAP_F64, method);
    }
}

#[test]
fn maps_are_the_same_on_every_backend() {
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, true);
        let picture = random.floats(network.graph().input_shape().len());
        let rules = preset("contrastive").expect("a preset");
        let question = Question::new(&network, &rules, &nets::METHODS, &[0, 1], &picture);
        let expected = question.ask(&reference());
        for backend in backends() {
            let actual = question.ask(&backend);
            for (i, method) in nets::METHODS.iter().enumerate() {
                let what = format!("{}: {method}, seed {seed}", backend.name);
                assert_close(&actual.maps[i], &expected.maps[i], SMALL_F32, what);
            }
        }
    }
}
