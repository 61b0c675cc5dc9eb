//! CLRP in one backward pass is the difference of two.

use clrp::graph::{AvgPool2d, Conv2d, Graph, MaxPool2d, Network, NodeId, Op};
use clrp::image::Preprocess;
use clrp::rules::{Composite, PRESETS, preset};
use clrp::tensor::Shape;
use clrp::{Explainer, ExplainerBuilder, Goal, Method, Target, Tensor, Warning};

use super::SEEDS;
use super::nets::random_network;
use crate::support::{
    Answer, ONE_PASS_F64, Question, Random, assert_close, filled, reference, value, weights,
};

fn ask(network: &Network, rules: &Composite, method: Method, classes: &[u32], x: &[f32]) -> Answer {
    Question::new(network, rules, &[method], classes, x).ask(&reference())
}

fn presets() -> impl Iterator<Item = Composite> {
    PRESETS.iter().map(|name| preset(name).expect("a preset"))
}

/// `max(0, map - dual)`.
fn contrast(map: &[f64], dual: &[f64]) -> Vec<f64> {
    map.iter().zip(dual).map(|(r, dual)| (r - dual).max(0.0)).collect()
}

#[test]
fn clrp1_is_lrp_less_its_dual() {
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, true);
        let x = random.floats(network.graph().input_shape().len());
        let classes: Vec<u32> = (0..network.graph().output_shape().len() as u32).collect();
        for rules in presets() {
            let lrp = ask(&network, &rules, Method::Lrp, &classes, &x);
            let one_pass = ask(&network, &rules, Method::Clrp1, &classes, &x);
            let maps: Vec<&[f64]> = lrp.maps[0].chunks_exact(x.len()).collect();
            for target in 0..classes.len() {
                // Every other class's relevance for |S| / (n - 1), of its own |score|.
                let mut dual = vec![0.0; x.len()];
                for other in (0..classes.len()).filter(|other| *other != target) {
                    let start = lrp.scores[target].abs() / (classes.len() - 1) as f64;
                    let share = start / lrp.scores[other].abs();
                    dual.iter_mut().zip(maps[other]).for_each(|(d, r)| *d += share * r);
                }
                let actual = &one_pass.maps[0][target * x.len()..][..x.len()];
                let what = format!("{}, class {target}, seed {seed}", rules.label());
                assert_close(actual, &contrast(maps[target], &dual), ONE_PASS_F64, what);
            }
        }
    }
}

/// The network with the weight and bias of one layer negated.
fn negated(network: &Network, layer: &str) -> Network {
    filled(network.graph().clone(), |_, name, i| {
        let value = value(network, name, i);
        if name.starts_with(&format!("{layer}.")) { -value } else { value }
    })
}

fn norm(map: &[f64]) -> f64 {
    map.iter().map(|r| r * r).sum::<f64>().sqrt()
}

/// Holds CLRP2 against two passes for every class that both networks give a score; returns for
/// how many that was.
fn hold_clrp2(network: &Network, layer: &str, rules: &Composite, x: &[f32], what: &str) -> usize {
    let classes: Vec<u32> = (0..network.graph().output_shape().len() as u32).collect();
    let lrp = ask(network, rules, Method::Lrp, &classes, x);
    let dual = ask(&negated(network, layer), rules, Method::Lrp, &classes, x);
    let one_pass = ask(network, rules, Method::Clrp2, &classes, x);
    let map = |answer: &Answer, class: usize| answer.maps[0][class * x.len()..][..x.len()].to_vec();
    let mut held = 0;
    for class in 0..classes.len() {
        let (score, dual_score) = (lrp.scores[class].abs(), dual.scores[class].abs());
        if score == 0.0 || dual_score == 0.0 {
            continue;
        }
        // The dual starts with |S| too, whatever the negated network's score.
        let dual: Vec<f64> = map(&dual, class).iter().map(|r| r * score / dual_score).collect();
        let expected = contrast(&map(&lrp, class), &dual);
        let what = format!("{what}, {}, class {class}", rules.label());
        let (lrp, one_pass) = (map(&lrp, class), map(&one_pass, class));
        if norm(&expected) <= ONE_PASS_F64 * norm(&lrp) {
            // Epsilon's ratios stay as they are when weights change their sign.
            assert!(norm(&one_pass) <= ONE_PASS_F64 * norm(&lrp), "{what}: not zero");
        } else {
            assert_close(&one_pass, &expected, ONE_PASS_F64, what);
        }
        held += 1;
    }
    held
}

#[test]
fn clrp2_is_lrp_less_that_of_the_negated_network() {
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let network = random_network(&mut random, true);
        let x = random.floats(network.graph().input_shape().len());
        for rules in presets() {
            let held = hold_clrp2(&network, "top", &rules, &x, &format!("seed {seed}"));
            assert_eq!(held, network.graph().output_shape().len());
        }
    }
}

/// A network that ends in a convolution for the classes and what `tail` puts above it.
fn convolutional(seed: u64, tail: impl Fn(&mut Graph, NodeId) -> clrp::Result<NodeId>) -> Network {
    let mut g = Graph::new("convolutional", Shape::new(2, 9, 8));
    let build = |g: &mut Graph| {
        let x = g.conv2d("features", g.input(), Conv2d::new(7, 3))?;
        let x = g.relu("relu", x)?;
        let x = g.conv2d("classes", x, Conv2d::new(5, 1))?;
        let x = tail(g, x)?;
        g.flatten("flatten", x)
    };
    build(&mut g).expect("shapes fit");
    weights(g, seed)
}

fn hold_convolutional(tail: impl Fn(&mut Graph, NodeId) -> clrp::Result<NodeId>, what: &str) {
    let mut held = 0;
    for seed in SEEDS {
        let network = convolutional(seed, &tail);
        let x = Random::new(seed).floats(network.graph().input_shape().len());
        for rules in presets() {
            let what = format!("{what}, seed {seed}");
            held += hold_clrp2(&network, "classes", &rules, &x, &what);
        }
    }
    assert!(held >= 40, "{what}: only {held} classes had both scores");
}

#[test]
fn clrp2_spreads_its_dual_by_the_negated_activations() {
    // SqueezeNet's tail.
    let tail = |g: &mut Graph, x: NodeId| {
        let x = g.relu("classes relu", x)?;
        g.adaptive_avg_pool2d("pool", x, 1)
    };
    hold_convolutional(tail, "ReLU and global pool");
}

#[test]
fn clrp2_lets_the_negated_activations_win_above_its_layer() {
    let tail = |g: &mut Graph, x: NodeId| {
        let x = g.batch_norm2d("norm", x)?;
        let x = g.max_pool2d("max", x, MaxPool2d::new(2, 2))?;
        let x = g.relu("classes relu", x)?;
        let pool = AvgPool2d {
            kernel: [3, 3],
            stride: [2, 2],
            padding: [1, 1],
            more_padding: [0; 2],
            ceil_mode: false,
            count_include_pad: false,
        };
        let x = g.push("avg", Op::AvgPool2d(pool), &[x])?;
        g.adaptive_avg_pool2d("pool", x, 1)
    };
    hold_convolutional(tail, "pools");
}

/// Classes from two convolutions that lie side by side: one reads the features, the other what a
/// third convolution made of them.
fn branching(seed: u64) -> Network {
    let mut g = Graph::new("branching", Shape::new(3, 9, 8));
    let build = |g: &mut Graph| {
        let x = g.conv2d("features", g.input(), Conv2d::new(7, 3))?;
        let x = g.relu("relu", x)?;
        let direct = g.conv2d("classes.direct", x, Conv2d::new(3, 1))?;
        let direct = g.relu("direct relu", direct)?;
        let reduced = g.conv2d("reduce", x, Conv2d::new(4, 1))?;
        let reduced = g.relu("reduce relu", reduced)?;
        let wide = g.conv2d("classes.wide", reduced, Conv2d::new(2, 3).padding(1))?;
        let x = g.concat("concat", &[direct, wide])?;
        let x = g.relu("classes relu", x)?;
        let x = g.adaptive_avg_pool2d("pool", x, 1)?;
        g.flatten("flatten", x)
    };
    build(&mut g).expect("shapes fit");
    weights(g, seed)
}

#[test]
fn clrp2_negates_all_layers_whose_outputs_are_concatenated() {
    let mut held = 0;
    for seed in SEEDS {
        let network = branching(seed);
        let x = Random::new(seed).floats(network.graph().input_shape().len());
        for rules in presets() {
            held += hold_clrp2(&network, "classes", &rules, &x, &format!("concat, seed {seed}"));
        }
    }
    assert!(held >= 40, "only {held} classes had both scores");
}

#[test]
fn grad_cam_looks_below_all_that_is_concatenated() {
    let network = branching(1);
    let picture = Random::new(1).floats(network.graph().input_shape().len());
    let picture = Tensor::new(network.graph().input_shape(), picture).expect("it fits");
    let maps = |builder: ExplainerBuilder| {
        let explainer = builder.build().expect("the rules suit");
        // Channels of both branches.
        [1, 4].map(|channel| {
            let target = Target::goals([Goal::Channel(channel)]).at("concat");
            let explained = explainer.explain(&picture, Method::GradCam, target).expect("it runs");
            explained.explanations[0].map.clone()
        })
    };
    let builder = || Explainer::builder(network.clone(), Preprocess::imagenet());
    let found = maps(builder());
    assert_eq!(found, maps(builder().cam_layer("relu")));
    assert!(found.iter().all(|map| map.values().iter().any(|value| *value > 0.0)));
}

#[test]
fn clrp2_refuses_a_concatenation_of_a_layer_and_what_it_feeds() {
    // As in DenseNet: `first` would have to be as it is, and negated.
    let message = |is_nested: bool, method: Method| {
        let mut g = Graph::new("dense", Shape::new(3, 4, 4));
        let mut build = || {
            let first = g.conv2d("first", g.input(), Conv2d::new(3, 3))?;
            let relu = g.relu("relu", first)?;
            let second = g.conv2d("second", relu, Conv2d::new(2, 1))?;
            let mut x = g.concat("concat", &[relu, second])?;
            if is_nested {
                let third = g.conv2d("third", g.input(), Conv2d::new(2, 3))?;
                x = g.concat("outer", &[third, x])?;
            }
            g.adaptive_avg_pool2d("pool", x, 1)
        };
        build().expect("shapes fit");
        let explainer = Explainer::builder(weights(g, 1), Preprocess::imagenet()).build();
        let picture = Tensor::new(Shape::new(3, 4, 4), vec![0.5; 48]).expect("it fits");
        let explained =
            explainer.expect("the rules suit").explain(&picture, method, Target::class(0));
        explained.expect_err("there is no such contrast").to_string()
    };
    for method in [Method::Clrp2, Method::ContrastiveExcitationBackprop] {
        let expected = format!(
            "method `{method}` on `dense` is not supported: the target does not come from linear \
             layers side by side, but from `concat` (Concat of `first`, `second`)"
        );
        assert_eq!(
            [false, true].map(|nested| message(nested, method)),
            [(); 2].map(|()| expected.clone())
        );
    }
}

#[test]
fn grad_cam_refuses_branches_that_share_no_layer() {
    let mut g = Graph::new("branches", Shape::new(3, 6, 6));
    let mut build = || {
        let mut branches = Vec::new();
        for name in ["left", "right"] {
            let x = g.conv2d(name, g.input(), Conv2d::new(2, 3))?;
            let x = g.relu(format!("{name} relu"), x)?;
            branches.push(g.adaptive_avg_pool2d(format!("{name} pool"), x, 1)?);
        }
        let x = g.concat("concat", &branches)?;
        let x = g.flatten("flatten", x)?;
        g.linear("classes", x, 3)
    };
    build().expect("shapes fit");
    let explainer = Explainer::builder(weights(g, 1), Preprocess::imagenet()).build();
    let picture = Tensor::new(Shape::new(3, 6, 6), vec![0.5; 108]).expect("it fits");
    let explained = explainer.expect("the rules suit").explain(
        &picture,
        Method::GuidedGradCam,
        Target::class(0),
    );
    assert_eq!(
        explained.expect_err("there is no such layer").to_string(),
        "method `guided-grad-cam` on `branches` is not supported: no layer with positions lies on \
         all ways to the target"
    );
}

#[test]
fn a_dual_that_dies_whole_is_told() {
    // Scores of 0 and more whose negation no ReLU passes: nothing is left to subtract.
    let mut g = Graph::new("positive", Shape::new(3, 4, 4));
    let build = |g: &mut Graph| {
        let x = g.conv2d("classes", g.input(), Conv2d::new(4, 3))?;
        let x = g.relu("relu", x)?;
        let x = g.adaptive_avg_pool2d("pool", x, 1)?;
        g.flatten("flatten", x)
    };
    build(&mut g).expect("shapes fit");
    let network = filled(g, |_, _, i| 0.1 + i as f32 / 100.0);
    let explainer = Explainer::builder(network, Preprocess::imagenet())
        .composite(preset("epsilon_plus").expect("a preset"))
        .build()
        .expect("the rules suit");
    let picture = Tensor::new(Shape::new(3, 4, 4), vec![0.5; 48]).expect("it fits");
    let explained =
        explainer.explain(&picture, [Method::Lrp, Method::Clrp2], Target::class(1)).expect("runs");
    let [lrp, clrp2] = &explained.explanations[..] else { panic!("two methods") };
    assert_eq!((clrp2.dual, &clrp2.map), (Some(0.0), &lrp.map));
    assert_eq!(clrp2.warnings().expect("it has pixels"), [Warning::NoContrast]);
    assert_eq!((lrp.dual, lrp.warnings().expect("it has pixels")), (None, vec![]));
}
