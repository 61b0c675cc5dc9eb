//! Random networks: the imported one scores as the one that is built by hand.

use clrp::graph::{Conv2d, Graph, Linear, MaxPool2d, Network, NodeId, Op, Weights};
use clrp::tensor::Shape;
use clrp::weight::Weight;

use crate::encoder::{Model, Value, attribute, int, ints};
use crate::random::Random;
use crate::{imported, scores};

/// Networks that are tried.
const CASES: u64 = 40;

/// Between -1 and 1.
fn number(random: &mut Random) -> f32 {
    (random.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// A network built in both ways.
struct Twins {
    random: Random,
    model: Model,
    graph: Graph,
    weights: Vec<Weight>,
    /// The last value: its name in the model, and its layer.
    last: (String, NodeId),
    count: usize,
}

impl Twins {
    fn new(seed: u64) -> Self {
        let graph = Graph::new("twin", Shape::new(3, 13, 11));
        let last = ("x".to_owned(), graph.input());
        let model = Model::new().input(&[-1, 3, 13, 11]);
        Self { random: Random(seed), model, graph, weights: Vec::new(), last, count: 0 }
    }

    fn shape(&self) -> Shape {
        self.graph.node(self.last.1).shape
    }

    /// A name for the next value, which is its layer's in the graph too.
    fn name(&mut self) -> String {
        self.count += 1;
        format!("v{}", self.count)
    }

    /// A tensor under that name in both.
    fn weight(&mut self, name: &str, dims: &[usize], positive: bool) {
        let count: usize = dims.iter().product();
        let random = &mut self.random;
        let value = |_| if positive { number(random).abs() + 0.5 } else { number(random) };
        let values: Vec<f32> = (0..count).map(value).collect();
        let sizes: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
        self.model = self.model.clone().floats(name, &sizes, &values);
        self.weights.push(Weight::from_f32(name, dims, values));
    }

    /// Appends a layer to both.
    fn push(&mut self, operator: &str, more: &[&str], attributes: &[Vec<u8>], op: Op) {
        let name = self.name();
        let from = self.last.clone();
        let inputs = [&[&*from.0], more].concat();
        self.model = self.model.clone().node(operator, &inputs, &[&name], attributes);
        let layer = self.graph.push(&name, op, &[from.1]).expect("it fits");
        self.last = (name, layer);
    }

    fn conv(&mut self) {
        let channels = self.shape().channels;
        let groups = if channels.is_multiple_of(2) { 1 + self.random.below(2) } else { 1 };
        let out_channels = groups * (1 + self.random.below(4));
        let mut pick = |most: usize| 1 + self.random.below(most);
        let (kernel, stride, dilation) = ([pick(3), pick(3)], [pick(2), pick(2)], [pick(2), 1]);
        let (padding, more_padding) = ([pick(3), pick(3)], [pick(3) - 1, pick(3) - 1]);
        let bias = pick(2) == 2;
        let end = [padding[0] + more_padding[0], padding[1] + more_padding[1]];
        let name = format!("v{}", self.count + 1);
        let dims = [out_channels, channels / groups, kernel[0], kernel[1]];
        self.weight(&format!("{name}.weight"), &dims, false);
        if bias {
            self.weight(&format!("{name}.bias"), &[out_channels], false);
        }
        let pair = |name: &str, pair: [usize; 2]| ints(name, &pair.map(|size| size as i64));
        let pads = [padding, end].concat().iter().map(|&size| size as i64).collect();
        let attributes = [
            pair("kernel_shape", kernel),
            pair("strides", stride),
            pair("dilations", dilation),
            attribute("pads", &Value::Ints(pads)),
            int("group", groups as i64),
        ];
        let (weight, of_bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let inputs = [&*weight, &*of_bias];
        let conv =
            Conv2d { out_channels, kernel, stride, padding, more_padding, dilation, groups, bias };
        self.push("Conv", &inputs[..1 + usize::from(bias)], &attributes, Op::Conv2d(conv));
    }

    fn batch_norm(&mut self) {
        let (name, channels) = (format!("v{}", self.count + 1), self.shape().channels);
        let names = ["weight", "bias", "running_mean", "running_var"];
        let names = names.map(|suffix| format!("{name}.{suffix}"));
        for name in &names {
            self.weight(name, &[channels], name.ends_with("var"));
        }
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let op = Op::BatchNorm2d { epsilon: 1e-5 };
        self.push("BatchNormalization", &inputs, &[], op);
    }

    fn step(&mut self) {
        match self.random.below(6) {
            0 => self.conv(),
            1 => self.batch_norm(),
            2 => self.push("Relu", &[], &[], Op::Relu),
            3 if self.shape().height > 3 && self.shape().width > 3 => {
                let attributes = [ints("kernel_shape", &[2, 2]), ints("strides", &[1, 1])];
                self.push("MaxPool", &[], &attributes, Op::MaxPool2d(MaxPool2d::new(2, 1)));
            }
            4 => {
                // The last two of the values around a layer, joined.
                let before = self.last.clone();
                self.push("Relu", &[], &[], Op::Relu);
                let (name, after) = (self.name(), self.last.clone());
                let (operator, op, attributes) = match self.random.below(2) {
                    0 => ("Add", Op::Add, vec![]),
                    _ => ("Concat", Op::Concat, vec![int("axis", 1)]),
                };
                let inputs = [&*before.0, &*after.0];
                self.model = self.model.clone().node(operator, &inputs, &[&name], &attributes);
                let layer = self.graph.push(&name, op, &[before.1, after.1]).expect("it fits");
                self.last = (name, layer);
            }
            _ => {
                let channels = self.shape().channels;
                if channels > 1 {
                    let start = self.random.below(channels - 1);
                    let name = format!("s{}", self.count);
                    let (from, to) = (format!("{name}from"), format!("{name}to"));
                    let model = self.model.clone().longs(&from, &[start as i64]);
                    self.model = model.longs(&to, &[i64::MAX]).longs(&name, &[1]);
                    let op = Op::Narrow { start, length: channels - start };
                    if start > 0 {
                        self.push("Slice", &[&from, &to, &name], &[], op);
                    }
                }
            }
        }
    }

    /// Scores of four classes at the end; the model, and the network.
    fn finish(mut self) -> (Model, Network) {
        let pool = Op::AdaptiveAvgPool2d([1, 1]);
        self.push("GlobalAveragePool", &[], &[], pool);
        self.push("Flatten", &[], &[], Op::Flatten);
        let (name, inputs) = (format!("v{}", self.count + 1), self.shape().channels);
        self.weight(&format!("{name}.weight"), &[4, inputs], false);
        let linear = Op::Linear(Linear { out_features: 4, bias: false });
        self.push("Gemm", &[&format!("{name}.weight")], &[int("transB", 1)], linear);
        let model = self.model.node("Identity", &[&self.last.0], &["y"], &[]);
        let weights = Weights::from_weights("twin", self.weights);
        (model, weights.bind(self.graph).expect("they fit"))
    }
}

#[test]
fn imported_networks_score_as_those_built_by_hand() {
    for seed in 0..CASES {
        let mut twins = Twins::new(seed);
        twins.conv();
        for _ in 0..3 + seed % 7 {
            twins.step();
        }
        let mut random = Random(seed ^ 77);
        let picture: Vec<f32> = (0..3 * 13 * 11).map(|_| number(&mut random)).collect();
        let (model, network) = twins.finish();
        let found = imported(&model);
        let expected = scores(&network, picture.clone());
        assert_eq!(scores(&found.network, picture), expected, "seed {seed}");
        assert!(expected.iter().all(|score| score.is_finite()));
        let ops = |network: &Network| -> Vec<Op> {
            network.graph().nodes().iter().map(|node| node.op.clone()).collect()
        };
        assert_eq!(ops(&found.network), ops(&network), "seed {seed}");
    }
}
