//! Networks with made-up weights, and what backends say of them.

use clrp::Method;
use clrp::backend::Input;
use clrp::graph::{Graph, Network, Op, WeightSpec, Weights};
use clrp::program::{Bounds, Extras, Limits, Lowered, Plan, Targets, Upsampling, lower};
use clrp::rules::Composite;
use clrp::tensor::Shape;
use clrp::weight::Weight;

use super::backend::Backend;
use super::random::{mix, signed_unit};

/// Value `i` of stream `t`, as `golden/README.md` describes it.
fn drawn(seed: u64, t: u64, i: u64) -> f64 {
    let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let t = t.wrapping_mul(0xD1B5_4A32_D192_ED03);
    signed_unit(mix(seed.wrapping_add(t).wrapping_add(i)))
}

/// How weights are drawn.
#[derive(Default)]
pub(crate) struct Recipe {
    /// State-dict keys in the order of their streams; none: as the graph has them.
    pub(crate) order: Vec<String>,
    /// Offset and scale of batch norm's weights, where not the usual ones.
    pub(crate) norm_weight: Option<(f64, f64)>,
}

/// A network with weights drawn as `golden/README.md` describes it.
pub(crate) fn weights(graph: Graph, seed: u64) -> Network {
    drawn_weights(graph, seed, &Recipe::default())
}

/// The same by a recipe of its own.
pub(crate) fn drawn_weights(graph: Graph, seed: u64, recipe: &Recipe) -> Network {
    let specs = graph.weight_specs();
    let ranges: Vec<(f64, f64)> =
        specs.iter().map(|spec| offset_and_scale(&graph, spec, recipe)).collect();
    let stream = |number: usize, name: &str| match recipe.order.is_empty() {
        true => number,
        false => recipe.order.iter().position(|known| known == name).expect("it was drawn"),
    };
    let streams: Vec<usize> =
        specs.iter().enumerate().map(|(number, spec)| stream(number, &spec.name)).collect();
    assert!(recipe.order.is_empty() || recipe.order.len() == specs.len(), "tensors drawn");
    filled(graph, |number, _, i| {
        let (offset, scale) = ranges[number];
        (offset + scale * drawn(seed, streams[number] as u64, i as u64)) as f32
    })
}

fn offset_and_scale(graph: &Graph, spec: &WeightSpec, recipe: &Recipe) -> (f64, f64) {
    let (layer, suffix) = spec.name.rsplit_once('.').expect("weights are named layer.suffix");
    let node = graph.nodes().iter().find(|node| node.name == layer).expect("the layer exists");
    let normalises = matches!(node.op, Op::BatchNorm2d { .. });
    match (normalises, suffix) {
        (true, "weight") => recipe.norm_weight.unwrap_or((1.0, 0.3)),
        (true, "running_var") => (1.0, 0.5),
        (true, _) => (0.0, 0.2),
        (false, "weight") => (0.0, (6.0 / spec.shape[1..].iter().product::<usize>() as f64).sqrt()),
        (false, _) => (0.0, 0.1),
    }
}

/// A network whose weights are what `value` says of their number, their name and the flat index.
pub(crate) fn filled(graph: Graph, value: impl Fn(usize, &str, usize) -> f32) -> Network {
    let specs = graph.weight_specs();
    let weights = specs.iter().enumerate().map(|(number, spec)| {
        let len = spec.shape.iter().product();
        let values = (0..len).map(|i| value(number, &spec.name, i)).collect();
        Weight::from_f32(&spec.name, &spec.shape, values)
    });
    Weights::from_weights("made-up weights", weights).bind(graph).expect("they suit the graph")
}

/// One number of the weight with that state-dict key.
pub(crate) fn value(network: &Network, name: &str, i: usize) -> f32 {
    let (layer, suffix) = name.rsplit_once('.').expect("weights are named layer.suffix");
    network.weight(layer, suffix).expect("the weight is there").values().get(i)
}

/// The values of a weight, if the layer has it.
pub(crate) fn values(network: &Network, layer: &str, suffix: &str) -> Option<Vec<f64>> {
    let weight = network.weight(layer, suffix)?;
    Some((0..weight.len()).map(|i| weight.values().get(i)).collect())
}

/// `count` pictures (NCHW) drawn as `golden/README.md` describes it.
pub(crate) fn pictures(shape: Shape, count: usize, seed: u64) -> Vec<f32> {
    (0..count * shape.len()).map(|i| (2.0 * drawn(seed, 1000, i as u64)) as f32).collect()
}

/// Bounds of the same size for every channel.
pub(crate) fn bounds(channels: usize, low: f64, high: f64) -> Bounds {
    Bounds { low: vec![low; channels], high: vec![high; channels] }
}

/// What is to be explained.
pub(crate) struct Question<'a> {
    pub(crate) network: &'a Network,
    pub(crate) composite: &'a Composite,
    pub(crate) methods: &'a [Method],
    /// As many for each picture.
    pub(crate) targets: &'a [u32],
    /// NCHW, one after the other.
    pub(crate) pictures: &'a [f32],
    pub(crate) bounds: Bounds,
    pub(crate) limits: Limits,
    pub(crate) upsampling: Upsampling,
    pub(crate) ledger: bool,
}

/// A backend's answer.
#[derive(PartialEq)]
pub(crate) struct Answer {
    pub(crate) scores: Vec<f64>,
    /// For each method the maps: pictures, targets, NCHW.
    pub(crate) maps: Vec<Vec<f64>>,
    /// For each method the sum of each map before it was clamped, if rows are what it is made of.
    pub(crate) sums: Vec<Vec<f64>>,
}

impl<'a> Question<'a> {
    /// With bounds of -2..2 and no limits.
    pub(crate) fn new(
        network: &'a Network,
        composite: &'a Composite,
        methods: &'a [Method],
        targets: &'a [u32],
        pictures: &'a [f32],
    ) -> Self {
        let bounds = bounds(network.graph().input_shape().channels, -2.0, 2.0);
        let (limits, upsampling) = (Limits::NONE, Upsampling::Bilinear);
        let ledger = false;
        Self { network, composite, methods, targets, pictures, bounds, limits, upsampling, ledger }
    }

    /// The same, lowered for that backend.
    pub(crate) fn on(&self, backend: &Backend) -> Self {
        Self { limits: backend.device.limits(), bounds: self.bounds.clone(), ..*self }
    }

    fn batch(&self) -> usize {
        self.pictures.len() / self.network.graph().input_shape().len()
    }

    /// The program that answers.
    pub(crate) fn lowered(&self) -> Lowered {
        let plan = Plan {
            network: self.network,
            composite: self.composite,
            methods: self.methods,
            at: self.network.graph().output(),
            targets: Targets::Given(self.targets.len() / self.batch()),
            batch: self.batch(),
            bounds: &self.bounds,
            limits: self.limits,
            extras: Extras {
                upsampling: self.upsampling,
                ledger: self.ledger,
                ..Extras::default()
            },
        };
        lower(&plan).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Asks a backend.
    pub(crate) fn ask(&self, backend: &Backend) -> Answer {
        let lowered = self.lowered();
        let inputs = [Input::Float(self.pictures), Input::Index(self.targets)];
        let outputs = backend.run(&lowered.program, &inputs);
        let count = self.targets.len() / self.batch();
        let place = |method: &Method| lowered.maps.iter().find(|map| map.method == *method);
        let places = || self.methods.iter().map(|m| place(m).expect("the method uses the network"));
        let sums_of = |place: &clrp::program::MapOutput| {
            let Some(place) = place.sums else { return Vec::new() };
            let sums = outputs[place.sums].to_f64();
            let rows = sums.chunks_exact(place.rows);
            rows.flat_map(|rows| rows[place.first..][..count].to_vec()).collect()
        };
        Answer {
            scores: outputs[lowered.scores].to_f64(),
            maps: places().map(|place| outputs[place.maps].to_f64()).collect(),
            sums: places().map(sums_of).collect(),
        }
    }
}
