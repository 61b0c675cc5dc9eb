//! Each rule as its definition reads, on dense matrices in f64, against every backend; and values
//! that others published.

mod literals;
mod sample;

use clrp::graph::{Conv2d, Graph, Network, Op, Weights};
use clrp::image::Preprocess;
use clrp::program::Limits;
use clrp::rules::{Composite, Rule, Selector, preset};
use clrp::tensor::Shape;
use clrp::{Explainer, Method};

use crate::support::{
    Backend, MAP_F32, MAP_F64, Matrix, Question, RULE_F32, Random, assert_close, backends,
    pictures, values, weights,
};
use sample::{HIGH, LOW, Sample, TOP_EPSILON};

/// A layer with what it saw, for one picture.
pub(super) struct Seen<'a> {
    w: &'a Matrix,
    /// 1 where a weight stands, 0 elsewhere.
    taps: &'a Matrix,
    /// The bias as far as it takes part in denominators.
    b: &'a [f64],
    a: &'a [f64],
    /// What the layer gives, its whole bias included.
    y: &'a [f64],
    low: &'a [f64],
    high: &'a [f64],
    epsilon: f64,
}

impl Seen<'_> {
    /// What input `j` contributes to output `k`.
    fn wa(&self, k: usize, j: usize) -> f64 {
        self.w.get(k, j) * self.a[j]
    }

    /// Hands `r` down by each input's share of `sum of part(k, j) + bias(k)`.
    fn by_share(
        &self,
        r: &[f64],
        part: impl Fn(usize, usize) -> f64,
        bias: impl Fn(usize) -> f64,
    ) -> Vec<f64> {
        let mut relevance = vec![0.0; self.a.len()];
        for (k, r) in r.iter().enumerate() {
            let z = (0..self.a.len()).map(|j| part(k, j)).sum::<f64>() + bias(k);
            let z = if z < 0.0 { z - self.epsilon } else { z + self.epsilon };
            for j in 0..self.a.len() {
                relevance[j] += if z == 0.0 { 0.0 } else { part(k, j) / z * r };
            }
        }
        relevance
    }

    fn epsilon(&self, r: &[f64]) -> Vec<f64> {
        self.by_share(r, |k, j| self.wa(k, j), |k| self.b[k])
    }

    fn alpha_beta(&self, r: &[f64], alpha: f64, beta: f64) -> Vec<f64> {
        let positive = self.by_share(r, |k, j| self.wa(k, j).max(0.0), |k| self.b[k].max(0.0));
        let negative = self.by_share(r, |k, j| self.wa(k, j).min(0.0), |k| self.b[k].min(0.0));
        positive.iter().zip(&negative).map(|(p, n)| alpha * p - beta * n).collect()
    }

    fn z_plus(&self, r: &[f64]) -> Vec<f64> {
        self.by_share(r, |k, j| self.wa(k, j).max(0.0), |k| self.b[k].max(0.0))
    }

    fn gamma(&self, r: &[f64], gamma: f64) -> Vec<f64> {
        // The contributions of the output's own sign are raised; an output of 0 has no relevance.
        let raised =
            |k: usize, v: f64| v + gamma * if self.y[k] > 0.0 { v.max(0.0) } else { v.min(0.0) };
        let live = |(r, y): (&f64, &f64)| if *y == 0.0 { 0.0 } else { *r };
        let r: Vec<f64> = r.iter().zip(self.y).map(live).collect();
        self.by_share(&r, |k, j| raised(k, self.wa(k, j)), |k| raised(k, self.b[k]))
    }

    fn z_box(&self, r: &[f64]) -> Vec<f64> {
        let part = |k: usize, j: usize| {
            let w = self.w.get(k, j);
            self.wa(k, j) - self.low[j] * w.max(0.0) - self.high[j] * w.min(0.0)
        };
        self.by_share(r, part, |_| 0.0)
    }

    fn w_square(&self, r: &[f64]) -> Vec<f64> {
        self.by_share(r, |k, j| self.w.get(k, j).powi(2), |k| self.b[k].powi(2))
    }

    fn flat(&self, r: &[f64]) -> Vec<f64> {
        self.by_share(r, |k, j| self.taps.get(k, j), |_| 0.0)
    }

    fn norm(&self, r: &[f64]) -> Vec<f64> {
        self.by_share(r, |k, j| self.wa(k, j), |_| 0.0)
    }

    fn even(&self, r: &[f64]) -> Vec<f64> {
        let to = |j: usize| (0..r.len()).map(|k| self.w.get(k, j) * r[k]).sum();
        (0..self.a.len()).map(to).collect()
    }
}

/// What the rule is by definition.
fn defined(rule: Rule, seen: &Seen<'_>, r: &[f64]) -> Vec<f64> {
    match rule {
        Rule::Epsilon { epsilon } => Seen { epsilon: f64::from(epsilon), ..*seen }.epsilon(r),
        Rule::Gamma { gamma } => seen.gamma(r, f64::from(gamma)),
        Rule::ZPlus => seen.z_plus(r),
        Rule::AlphaBeta { alpha, beta } => seen.alpha_beta(r, f64::from(alpha), f64::from(beta)),
        Rule::ZBox => seen.z_box(r),
        Rule::WSquare => seen.w_square(r),
        Rule::Flat => seen.flat(r),
        Rule::Norm => seen.norm(r),
        Rule::Even => seen.even(r),
        Rule::Pass => r.to_vec(),
    }
}

const FOR_WEIGHTS: [Rule; 9] = [
    Rule::Epsilon { epsilon: 0.25 },
    Rule::Gamma { gamma: 0.25 },
    Rule::Gamma { gamma: 1.0 },
    Rule::ZPlus,
    Rule::AlphaBeta { alpha: 1.0, beta: 0.0 },
    Rule::AlphaBeta { alpha: 2.0, beta: 1.0 },
    Rule::ZBox,
    Rule::WSquare,
    Rule::Flat,
];

const FOR_POOLS: [Rule; 2] = [Rule::Norm, Rule::Even];

/// The maps of `lrp` for all pictures and targets, by definition.
fn expected(
    sample: &Sample,
    composite: &Composite,
    rule: Rule,
    question: &Question<'_>,
) -> Vec<f64> {
    let pictures = question.pictures.chunks_exact(sample.input_len());
    let targets = question.targets.chunks_exact(question.targets.len() / pictures.len());
    let top = values(question.network, "top", "weight").expect("the top has a weight");
    let top_b = values(question.network, "top", "bias").expect("the top has a bias");
    let classes = top_b.len();
    let top = Matrix::linear(classes, top.len() / classes, &top);
    let bias = |b: &[f64]| b.iter().map(|b| if composite.bias() { *b } else { 0.0 }).collect();
    let mut maps = Vec::new();
    for (picture, targets) in pictures.zip(targets) {
        let a: Vec<f64> = picture.iter().map(|&v| sample.entering(f64::from(v))).collect();
        let plus = |y: Vec<f64>, b: &[f64]| y.iter().zip(b).map(|(y, b)| y + b).collect();
        let y: Vec<f64> = plus(sample.w.times(&a), &sample.b);
        let scores: Vec<f64> = plus(top.times(&y), &top_b);
        let (b, top_b): (Vec<f64>, Vec<f64>) = (bias(&sample.b), bias(&top_b));
        let [low, high] = [LOW, HIGH].map(|bound| vec![bound; a.len()]);
        let epsilon = f64::from(composite.stabilizer());
        let (low, high) = (&low, &high);
        let (w, taps) = (&sample.w, &sample.taps);
        let seen = Seen { w, taps, b: &b, a: &a, y: &y, low, high, epsilon };
        let above = Seen { w: &top, taps: &top, b: &top_b, a: &y, y: &scores, ..seen };
        for &target in targets {
            let mut r = vec![0.0; classes];
            r[target as usize] = scores[target as usize].abs();
            let r = defined(Rule::Epsilon { epsilon: TOP_EPSILON }, &above, &r);
            maps.extend(defined(rule, &seen, &r));
        }
    }
    maps
}

/// Two pictures, two targets each, on every backend.
fn hold(sample: &Sample, rule: Rule, bias: bool, stabilizer: f32, backends: &[Backend]) {
    let composite = Composite::new("one rule")
        .name("layer", rule)
        .name("top", Rule::Epsilon { epsilon: TOP_EPSILON })
        .with_bias(bias)
        .with_stabilizer(stabilizer);
    let mut random = Random::new(7);
    let pictures = random.floats(2 * sample.input_len());
    let network = sample.network();
    let question = Question {
        bounds: sample.bounds(),
        ..Question::new(&network, &composite, &[Method::Lrp], &[0, 2, 1, 3], &pictures)
    };
    let expected = expected(sample, &composite, rule, &question);
    // Denominators by their formula, and from outputs where the rule's can be.
    let box_kernels = [false, true].into_iter().take(1 + usize::from(rule == Rule::ZBox));
    for box_kernels in box_kernels {
        let limits = Limits { box_kernels, ..Limits::NONE };
        let question = Question { limits, bounds: question.bounds.clone(), ..question };
        for backend in backends {
            let actual = &question.ask(backend).maps[0];
            let tolerance = backend.of_precision(MAP_F64, RULE_F32);
            let what = || format!("{}: {rule} on {sample}, bias {bias}", backend.name);
            assert_close(actual, &expected, tolerance, what());
        }
    }
}

#[test]
fn rules_for_weights_are_their_definitions() {
    let backends = backends();
    for sample in sample::with_weights() {
        for rule in FOR_WEIGHTS {
            // Above a ReLU the picture's bounds are not known.
            if rule == Rule::ZBox && sample.above_relu {
                continue;
            }
            for bias in [false, true] {
                hold(&sample, rule, bias, 0.1, &backends);
            }
        }
    }
}

#[test]
fn rules_for_pools_are_their_definitions() {
    let backends = backends();
    for sample in sample::pools() {
        for rule in FOR_POOLS {
            hold(&sample, rule, false, 0.1, &backends);
        }
    }
}

#[test]
fn denominators_of_one_sign_need_no_stabilizer() {
    let backends = backends();
    for sample in sample::with_weights() {
        for rule in [Rule::ZPlus, Rule::AlphaBeta { alpha: 2.0, beta: 1.0 }, Rule::Flat] {
            hold(&sample, rule, false, 1e-9, &backends);
        }
    }
}

/// A network that scales the picture's channels, all at once or one by one, before its first
/// convolution.
fn scaling(one_by_one: bool) -> Network {
    let mut graph = Graph::new("scaling", Shape::new(3, 6, 5));
    let affine = |scale: &[f64], shift: &[f64]| Op::ChannelAffine {
        scale: scale.to_vec(),
        shift: shift.to_vec(),
    };
    // One scale is negative, so that bounds change places.
    let (scale, shift) = ([0.5, -2.0, 1.5], [0.1, 0.2, -0.3]);
    let picture = graph.input();
    let scaled = if one_by_one {
        let mut channels = Vec::new();
        for c in 0..3 {
            let narrow = Op::Narrow { start: c, length: 1 };
            let x = graph.push("narrow", narrow, &[picture]).expect("it fits");
            let scaled = affine(&scale[c..=c], &shift[c..=c]);
            channels.push(graph.push("scale", scaled, &[x]).expect("it fits"));
        }
        graph.concat("concat", &channels).expect("it fits")
    } else {
        graph.push("scale", affine(&scale, &shift), &[picture]).expect("it fits")
    };
    let x = graph.conv2d("conv", scaled, Conv2d::new(4, 3).padding(1)).expect("it fits");
    let x = graph.relu("relu", x).expect("it fits");
    let x = graph.flatten("flatten", x).expect("it fits");
    graph.linear("fc", x, 3).expect("it fits");
    weights(graph, 5)
}

#[test]
fn bounds_follow_a_picture_that_is_taken_apart_and_put_together() {
    let (whole, apart) = (scaling(false), scaling(true));
    for backend in backends() {
        let tolerance = backend.of_precision(MAP_F64, MAP_F32);
        let expected = paper_lrp(&whole, &backend);
        assert_close(&paper_lrp(&apart, &backend), &expected, tolerance, "a picture taken apart");
    }
}

/// A network whose first convolution sees the picture through those layers.
fn behind(layers: &[Op]) -> Network {
    let mut graph = Graph::new("behind", Shape::new(3, 6, 5));
    let mut x = graph.input();
    for (i, op) in layers.iter().enumerate() {
        x = graph.push(format!("before{i}"), op.clone(), &[x]).expect("it fits");
    }
    let x = graph.conv2d("conv", x, Conv2d::new(4, 3)).expect("it fits");
    let x = graph.relu("relu", x).expect("it fits");
    let x = graph.flatten("flatten", x).expect("it fits");
    graph.linear("fc", x, 3).expect("it fits");
    weights(graph, 5)
}

fn paper_lrp(network: &Network, backend: &Backend) -> Vec<f64> {
    let composite = preset("gu2018").expect("a preset");
    let picture = pictures(network.graph().input_shape(), 1, 2);
    let question = Question::new(network, &composite, &[Method::Lrp], &[1], &picture);
    question.on(backend).ask(backend).maps.remove(0)
}

#[test]
fn layers_that_do_nothing_leave_bounds_as_they_are() {
    let pad = Op::ZeroPad2d([1, 2, 0, 1]);
    for backend in backends() {
        let expected = paper_lrp(&behind(std::slice::from_ref(&pad)), &backend);
        for nothing in [Op::Dropout, Op::Identity] {
            let found = paper_lrp(&behind(&[pad.clone(), nothing]), &backend);
            assert_close(&found, &expected, MAP_F64, "behind zeros");
        }
    }
}

#[test]
fn a_norm_of_the_picture_is_a_scale_of_its_channels() {
    let network = behind(&[Op::BatchNorm2d { epsilon: 1e-5 }]);
    let of = |suffix| {
        let weight = network.weight("before0", suffix).expect("a norm has it");
        (0..3).map(|i| weight.values().get::<f64>(i)).collect::<Vec<f64>>()
    };
    let (weight, bias, mean) = (of("weight"), of("bias"), of("running_mean"));
    let variance = of("running_var");
    let scale: Vec<f64> = (0..3).map(|c| weight[c] / (variance[c] + 1e-5).sqrt()).collect();
    let shift = (0..3).map(|c| bias[c] - mean[c] * scale[c]).collect();
    let scaled = behind(&[Op::ChannelAffine { scale, shift }]);
    let kept = network.weights().filter(|weight| !weight.name().starts_with("before0"));
    let scaled = Weights::from_weights("the same", kept.cloned()).bind(scaled.graph().clone());
    let scaled = scaled.expect("they suit");
    for backend in backends() {
        let tolerance = backend.of_precision(MAP_F64, MAP_F32);
        let expected = paper_lrp(&scaled, &backend);
        assert_close(&paper_lrp(&network, &backend), &expected, tolerance, "a norm");
    }
}

/// Two convolutions, the second with batch norm.
fn normed() -> Graph {
    let mut graph = Graph::new("normed", Shape::new(3, 6, 5));
    let build = |g: &mut Graph| {
        let x = g.conv2d("stem", g.input(), Conv2d::new(4, 3))?;
        let x = g.relu("block.relu1", x)?;
        let x = g.conv2d("block.conv", x, Conv2d::new(4, 1))?;
        let x = g.batch_norm2d("block.bn", x)?;
        let x = g.relu("block.relu2", x)?;
        let x = g.flatten("flatten", x)?;
        g.linear("fc", x, 3)
    };
    build(&mut graph).expect("shapes fit");
    graph
}

#[test]
fn patterns_give_rules_to_the_layers_that_take_them() {
    let graph = normed();
    let rule_of = |composite: &Composite, name: &str| {
        let rules = composite.assign(&graph).expect("it suits");
        let place = graph.nodes().iter().position(|node| node.name == name);
        rules[place.expect("a layer")]
    };
    let gamma = Rule::Gamma { gamma: 0.5 };
    let composite = Composite::new("mine").name("block.*", gamma).name("*", Rule::Flat);
    assert_eq!(rule_of(&composite, "block.conv"), Some(gamma));
    assert_eq!(rule_of(&composite, "block.bn"), Some(Rule::Pass));
    assert_eq!(rule_of(&composite, "stem"), Some(Rule::Flat));
    let refused = |composite: Composite| composite.assign(&graph).unwrap_err().to_string();
    assert_eq!(
        refused(Composite::new("mine").name("block.bn", Rule::Flat)),
        "rule `flat` does not apply to layer `block.bn` (BatchNorm2d)"
    );
    assert_eq!(
        refused(Composite::new("mine").name("block.relu*", Rule::Flat)),
        "rule `flat` does not apply to layer `block.relu1` (ReLU)"
    );
    assert_eq!(
        refused(Composite::new("mine").name("max-pool", Rule::Flat)),
        "rule `flat` does not apply to layer `max-pool` (MaxPool2d)"
    );
}

#[test]
fn bounds_that_are_not_known_are_refused_before_anything_runs() {
    let network = weights(normed(), 3);
    let composite = preset("contrastive")
        .expect("a preset")
        .with_rules([(Selector::Name("block.conv".to_owned()), Rule::ZBox)]);
    let built = Explainer::builder(network, Preprocess::imagenet()).composite(composite).build();
    assert_eq!(
        built.expect_err("it lies above the first layer").to_string(),
        "rule `z-box` does not apply to layer `block.conv` (its input has no known bounds)"
    );
}
