//! What holds for every network, rule and picture: properties over networks that proptest makes up
//! and shrinks. (`conservation.rs` has more of them, over chains of convolutions.)

use clrp::graph::{AvgPool2d, Conv2d, Graph, MaxPool2d, Network, NodeId, Op};
use clrp::image::Preprocess;
use clrp::rules::{Composite, PRESETS, Rule, fold_batch_norm, preset};
use clrp::tensor::{Shape, Tensor};
use clrp::{Explained, Explainer, Goal, Method, Request, Target};
use proptest::prelude::*;

use crate::support::{
    Backend, LEDGER_F32, LEDGER_F64, NO_SCORE, OF_F32_MAPS, SAME_F32, assert_close, backends,
    distance, hold_ledgers, pictures, reference, weights,
};

/// A piece of a network. Whatever does not fit where it stands is left out.
#[derive(Clone, Debug)]
enum Block {
    Conv { channels: usize, kernel: usize, stride: usize, bias: bool },
    Norm,
    MaxPool { size: usize, padding: usize },
    AvgPool { size: usize, padding: usize },
    Residual { kernel: usize },
    Branches { channels: usize },
}

/// A network as its pieces.
#[derive(Clone, Debug)]
struct Plan {
    blocks: Vec<Block>,
    classes: usize,
    global_pool: bool,
    seed: u64,
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        (2..6_usize, 1..4_usize, 1..3_usize, any::<bool>()).prop_map(
            |(channels, kernel, stride, bias)| Block::Conv { channels, kernel, stride, bias }
        ),
        Just(Block::Norm),
        (2..4_usize, 0..2_usize).prop_map(|(size, padding)| Block::MaxPool { size, padding }),
        (2..4_usize, 0..2_usize).prop_map(|(size, padding)| Block::AvgPool { size, padding }),
        (1..3_usize).prop_map(|half| Block::Residual { kernel: 2 * half - 1 }),
        (2..4_usize).prop_map(|channels| Block::Branches { channels }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let blocks = prop::collection::vec(block(), 1..5);
    (blocks, 2..6_usize, any::<bool>(), any::<u32>()).prop_map(
        |(blocks, classes, global_pool, seed)| Plan {
            blocks,
            classes,
            global_pool,
            seed: u64::from(seed),
        },
    )
}

impl Plan {
    fn network(&self) -> Network {
        let mut graph = Graph::new("made up", Shape::new(3, 9, 8));
        let mut x = graph.input();
        let first = Block::Conv { channels: 4, kernel: 3, stride: 1, bias: true };
        for (i, block) in std::iter::once(&first).chain(&self.blocks).enumerate() {
            x = append(&mut graph, i, block, x).unwrap_or(x);
        }
        if self.global_pool {
            x = graph.adaptive_avg_pool2d("pool", x, 1).expect("any shape suits");
        }
        x = graph.flatten("flatten", x).expect("any shape suits");
        graph.linear("fc", x, self.classes).expect("a vector");
        weights(graph, self.seed)
    }

    fn picture(&self) -> Tensor {
        let shape = Shape::new(3, 9, 8);
        Tensor::new(shape, pictures(shape, 1, self.seed)).expect("it fits")
    }
}

fn append(g: &mut Graph, i: usize, block: &Block, x: NodeId) -> clrp::Result<NodeId> {
    let name = |what: &str| format!("{i}.{what}");
    match *block {
        Block::Conv { channels, kernel, stride, bias } => {
            let conv = Conv2d::new(channels, kernel).stride(stride).padding(kernel / 2);
            let x = g.conv2d(name("conv"), x, Conv2d { bias, ..conv })?;
            g.relu(name("relu"), x)
        }
        Block::Norm => {
            let x = g.batch_norm2d(name("norm"), x)?;
            g.relu(name("relu"), x)
        }
        Block::MaxPool { size, padding } => {
            g.max_pool2d(name("max"), x, MaxPool2d::new(size, 2).padding(padding))
        }
        Block::AvgPool { size, padding } => {
            g.avg_pool2d(name("avg"), x, AvgPool2d::new(size, 2).padding(padding))
        }
        Block::Residual { kernel } => {
            let channels = g.node(x).shape.channels;
            let y = g.conv2d(name("conv"), x, Conv2d::new(channels, kernel).padding(kernel / 2))?;
            let sum = g.add(name("add"), x, y)?;
            g.relu(name("relu"), sum)
        }
        Block::Branches { channels } => {
            let a = g.conv2d(name("a"), x, Conv2d::new(channels, 1))?;
            let b = g.conv2d(name("b"), x, Conv2d::new(channels, 3).padding(1))?;
            let both = g.concat(name("both"), &[a, b])?;
            g.relu(name("relu"), both)
        }
    }
}

fn explainer(network: Network, composite: Composite, backend: &Backend) -> Explainer {
    let builder = Explainer::builder(network, Preprocess::imagenet());
    let explainer = builder.composite(composite).device(backend.device.clone()).build();
    explainer.expect("presets suit every network")
}

fn explained(plan: &Plan, composite: Composite, method: Method, target: Target) -> Explained {
    let explainer = explainer(plan.network(), composite, &reference());
    explainer.explain(&plan.picture(), method, target).expect("it runs")
}

fn values(map: &Tensor) -> Vec<f64> {
    map.values().iter().map(|&value| f64::from(value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_adds_up(plan in plan()) {
        for backend in backends().iter().filter(|backend| !backend.is_plain) {
            let allowed = backend.of_precision(LEDGER_F64, LEDGER_F32);
            hold_ledgers(&plan.network(), &plan.picture(), backend, allowed);
        }
    }

    #[test]
    fn a_ledger_leaves_maps_as_they_are(plan in plan()) {
        let network = plan.network();
        for backend in backends().iter().filter(|backend| !backend.is_plain) {
            let composite = preset("contrastive").expect("a preset");
            let explainer = explainer(network.clone(), composite, backend);
            let of = |ledger| {
                let request = Request::new(Method::Clrp1, Target::top(1)).ledger(ledger);
                let explained = explainer.explain_all(&[plan.picture()], &request);
                values(&explained.expect("it runs")[0].explanations[0].map)
            };
            assert_close(&of(true), &of(false), SAME_F32, &backend.name);
        }
    }

    #[test]
    fn relevance_is_linear_in_what_is_explained(plan in plan(), share in 0.1..0.9_f32) {
        let parts = vec![(0, share), (1, 1.0 - share)];
        for name in PRESETS {
            let composite = preset(name).expect("a preset");
            let of = |target: Target| explained(&plan, composite.clone(), Method::Lrp, target);
            let mixed = of(Target::goals([Goal::Mixture(parts.clone())]));
            let single = of(Target::classes([0, 1]));
            // Maps start with |score|; the mixture with the sign of the whole.
            let sum: f64 = parts.iter().zip(&single.explanations)
                .map(|((_, w), one)| f64::from(*w) * f64::from(one.score)).sum();
            let mut expected = vec![0.0; plan.picture().shape().len()];
            for ((_, weight), one) in parts.iter().zip(&single.explanations) {
                let sign = f64::from(one.score).signum() * sum.signum();
                for (to, r) in expected.iter_mut().zip(values(&one.map)) {
                    *to += sign * f64::from(*weight) * r;
                }
            }
            let apart = distance(&values(&mixed.explanations[0].map), &expected);
            // Weights are 32-bit numbers, and so are maps; the parts may cancel.
            let largest: f64 = single.explanations.iter().map(|one| {
                values(&one.map).iter().map(|r| r * r).sum::<f64>().sqrt()
            }).sum();
            let norm = expected.iter().map(|r| r * r).sum::<f64>().sqrt();
            prop_assert!(apart * norm <= OF_F32_MAPS * largest, "{name}: {apart:.1e}");
        }
    }

    #[test]
    fn folding_leaves_the_scores_as_they_are(plan in plan()) {
        let network = plan.network();
        // Norms before a convolution that pads cannot be folded.
        if let Ok(folded) = fold_batch_norm(&network) {
            let scores = |network: Network| {
                let composite = preset("contrastive").expect("a preset");
                explainer(network, composite, &reference()).scores(&[plan.picture()])
                    .expect("it runs").remove(0)
            };
            let widened = |scores: Vec<f32>| -> Vec<f64> { scores.into_iter().map(f64::from).collect() };
            let apart = distance(&widened(scores(folded)), &widened(scores(network)));
            prop_assert!(apart <= OF_F32_MAPS, "{apart:.1e}");
        }
    }

    #[test]
    fn one_pass_is_two(plan in plan()) {
        for name in PRESETS {
            let composite = preset(name).expect("a preset");
            let of = |method, target| explained(&plan, composite.clone(), method, target);
            let lrp = of(Method::Lrp, Target::classes(0..plan.classes));
            let clrp = of(Method::Clrp1, Target::class(0));
            let score = f64::from(lrp.explanations[0].score).abs();
            let mut dual = vec![0.0; plan.picture().shape().len()];
            let mut is_fine = true;
            for other in &lrp.explanations[1..] {
                let own = f64::from(other.score).abs();
                // A score of nothing has no map to scale.
                is_fine &= own > NO_SCORE;
                for (to, r) in dual.iter_mut().zip(values(&other.map)) {
                    *to += r * score / own / (plan.classes - 1) as f64;
                }
            }
            let own = values(&lrp.explanations[0].map);
            let norm = |map: &[f64]| map.iter().map(|r| r * r).sum::<f64>().sqrt();
            let expected: Vec<f64> = own.iter().zip(&dual).map(|(r, d)| (r - d).max(0.0)).collect();
            let found = values(&clrp.explanations[0].map);
            let apart: Vec<f64> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
            // Maps come as 32-bit numbers, whose difference this is.
            let allowed = OF_F32_MAPS * (norm(&own) + norm(&dual));
            prop_assert!(!is_fine || norm(&apart) <= allowed, "{name}: {:.1e}", norm(&apart));
        }
    }

    #[test]
    fn excitation_is_z_plus_without_a_score(plan in plan()) {
        // Excitation backprop starts with 1: the preset of its name starts with |S|.
        let composite = preset("excitation_backprop").expect("a preset")
            .with_bias(false).with_stabilizer(1e-9);
        let lrp = explained(&plan, composite.clone(), Method::Lrp, Target::class(0));
        let found = explained(&plan, composite, Method::ExcitationBackprop, Target::class(0));
        let score = f64::from(lrp.explanations[0].score).abs();
        let scaled: Vec<f64> =
            values(&found.explanations[0].map).iter().map(|r| r * score).collect();
        let apart = distance(&scaled, &values(&lrp.explanations[0].map));
        prop_assert!(score == 0.0 || apart <= OF_F32_MAPS, "{apart:.1e}");
    }

    #[test]
    fn the_sum_of_layer_maps_goes_down_to_the_picture(plan in plan()) {
        let network = plan.network();
        let graph = network.graph();
        let layers: Vec<String> = graph.nodes().iter().skip(1)
            .filter(|node| !matches!(node.op, Op::Linear(_)))
            .map(|node| node.name.clone()).collect();
        let composite = preset("contrastive").expect("a preset");
        let explainer = explainer(network.clone(), composite, &reference());
        let request = Request::new(Method::Lrp, Target::top(1)).layers(layers).ledger(true);
        let explained = explainer.explain_all(&[plan.picture()], &request).expect("it runs");
        let explanation = &explained[0].explanations[0];
        let ledger = explanation.ledger.as_ref().expect("it was asked for");
        let mut compared = 0;
        for of in &explanation.layers {
            let sum: f64 = of.map.values().iter().map(|&r| f64::from(r)).sum();
            if let Some(row) = ledger.rows.iter().find(|row| row.layer == of.layer) {
                prop_assert!((sum - row.got).abs() <= OF_F32_MAPS * row.magnitude, "{}", of.layer);
                compared += 1;
            }
        }
        // The first convolution at least.
        prop_assert!(compared > 0);
    }
}

#[test]
fn rules_that_are_set_for_one_layer_leave_the_others() {
    let plan = Plan { blocks: vec![Block::Norm], classes: 3, global_pool: true, seed: 5 };
    let network = plan.network();
    let composite =
        preset("contrastive").expect("a preset").with_rules([("fc".into(), Rule::Flat)]);
    let rules = composite.assign(network.graph()).expect("it suits");
    let of = |name: &str| {
        let id = network.graph().nodes().iter().position(|node| node.name == name);
        rules[id.expect("a layer")]
    };
    assert_eq!((of("fc"), of("0.conv")), (Some(Rule::Flat), Some(Rule::ZBox)));
}
