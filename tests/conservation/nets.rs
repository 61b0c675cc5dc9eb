//! Random small networks.

use clrp::Method;
use clrp::graph::{Conv2d, Graph, Linear, MaxPool2d, Network, Op};
use clrp::rules::{Composite, LayerKind, Rule};
use clrp::tensor::Shape;

use crate::support::{Question, Random, reference, weights};

/// All methods that ask the network.
pub(super) const METHODS: [Method; 8] = [
    Method::Lrp,
    Method::Clrp1,
    Method::Clrp2,
    Method::Clrp1Logits,
    Method::Gradient,
    Method::GuidedBackprop,
    Method::Deconvnet,
    Method::GradientXInput,
];

/// One rule for all layers with weights, and no stabilizer.
pub(super) fn uniform(rule: Rule) -> Composite {
    Composite::new("uniform")
        .each(LayerKind::Conv2d, rule)
        .each(LayerKind::Linear, rule)
        .with_stabilizer(0.0)
}

/// Convolutions with ReLU and max pools, then fully connected layers; at least three classes.
pub(super) fn random_network(random: &mut Random, bias: bool) -> Network {
    let side = |random: &mut Random| random.of(8..=13);
    let input = Shape::new(random.of(1..=3), side(random), side(random));
    let mut g = Graph::new("random", input);
    let mut x = g.input();
    for stage in 0..random.of(1..=3) {
        let kernel = [random.of(1..=3), random.of(1..=3)];
        let conv = Conv2d {
            out_channels: random.of(3..=8),
            kernel,
            stride: [random.of(1..=2), random.of(1..=2)],
            padding: kernel.map(|size| size / 2),
            more_padding: [0; 2],
            dilation: [1, 1],
            groups: 1,
            bias,
        };
        x = g.conv2d(format!("conv{stage}"), x, conv).expect("padding keeps it large enough");
        x = g.relu(format!("relu{stage}"), x).expect("any shape suits");
        if random.yes() {
            let size = random.of(2..=3);
            let pool = MaxPool2d {
                padding: [random.of(0..=1), 0],
                ceil_mode: random.yes(),
                ..MaxPool2d::new(size, random.of(1..=2))
            };
            // Where it does not fit any more, there is no pool.
            x = g.max_pool2d(format!("pool{stage}"), x, pool).unwrap_or(x);
        }
    }
    x = g.flatten("flatten", x).expect("any shape suits");
    if random.yes() {
        let out_features = random.of(6..=12);
        let hidden = Op::Linear(Linear { out_features, bias });
        x = g.push("hidden", hidden, &[x]).expect("a vector");
        x = g.relu("relu", x).expect("any shape suits");
    }
    let out_features = random.of(3..=6);
    g.push("top", Op::Linear(Linear { out_features, bias }), &[x]).expect("a vector");
    weights(g, random.bits())
}

/// The class with the highest score.
pub(super) fn best(network: &Network, picture: &[f32]) -> u32 {
    let rules = Composite::new("none");
    let scores = Question::new(network, &rules, &[], &[0], picture).ask(&reference()).scores;
    let highest = |a: &usize, b: &usize| scores[*a].total_cmp(&scores[*b]);
    (0..scores.len()).max_by(highest).expect("there are classes") as u32
}
