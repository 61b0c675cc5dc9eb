//! From a plan to a program: the forward pass once, then one walk for each way of walking, with
//! a row for every method and target that walks that way.

use std::ops::Range;

use super::builder::MOST_NUMBERS;
use super::forward::{Forward, Needs};
use super::operator::Parts;
use super::readout::Readout;
use super::walks::Lowering;
use super::{Builder, Element, Entry, Program};
use crate::error::{Error, Result};
use crate::graph::{Graph, Network, NodeId, Op};
use crate::kernels::Encoding;
use crate::kernels::conv2d::Rounding;
use crate::methods::{Method, Walk};
use crate::rules::{Composite, Input, Rule};
use crate::weight::Weight;

/// What a device can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a weight that one step may read.
    pub binding_bytes: usize,
    /// Bytes of a matrix that one step should read: those that it has read need not stay in memory.
    pub matrix_bytes: usize,
    /// Whether it has kernels of its own for some shapes, as channels that come in fours.
    pub has_variants: bool,
    /// Whether it multiplies by cooperative matrices where sums may be rounded to 16 bit.
    pub cooperative: bool,
    /// Which steps it does together, so that some values are never kept.
    pub joins: Joins,
    /// Whether z-box has kernels of its own: its denominators are made from a layer's outputs, and what it
    /// hands down by both signs of the weights at once.
    pub box_kernels: bool,
}

/// Which steps a device does together with those whose sums they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joins {
    /// None.
    None,
    /// Any number of them, where the CPU makes sums by panels. Sums can be kept for others, and added to
    /// what is there.
    Panels,
    /// Up to three that read three values or weights besides, where a GPU has the kernels for channels in
    /// fours.
    Quads,
}

impl Limits {
    /// No limits, and nothing special.
    pub const NONE: Limits = Limits {
        binding_bytes: usize::MAX,
        matrix_bytes: usize::MAX,
        has_variants: false,
        cooperative: false,
        joins: Joins::None,
        box_kernels: false,
    };

    /// Ranges of rows of a matrix, each within the limits in the words that shaders read.
    pub(super) fn shards(self, matrix: &Weight) -> Vec<Range<usize>> {
        let (rows, columns) = (matrix.shape()[0], matrix.shape()[1]);
        let bytes = self.binding_bytes.min(self.matrix_bytes);
        let numbers = bytes / 4 * Encoding::of(matrix.values()).per_word();
        let step = (numbers / columns.max(1)).max(1);
        (0..rows).step_by(step).map(|first| first..(first + step).min(rows)).collect()
    }
}

/// The least and greatest values that each channel of the picture can have.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// One value a channel.
    pub low: Vec<f64>,
    /// One value a channel.
    pub high: Vec<f64>,
}

/// Which outputs of a layer are explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// The highest of each picture.
    Top(usize),
    /// This many for each picture, which the caller numbers for every run.
    Given(usize),
    /// This many weighted sums of outputs for each picture, which the caller weighs for every run.
    Weighted {
        /// How many.
        count: usize,
        /// Whether the duals are outputs that the target is set against, and not all others.
        against: bool,
    },
}

impl Targets {
    /// Targets of each picture.
    pub const fn count(self) -> usize {
        match self {
            Targets::Top(count) | Targets::Given(count) | Targets::Weighted { count, .. } => count,
        }
    }

    /// Whether each target is set against outputs of its own.
    pub const fn against(self) -> bool {
        matches!(self, Targets::Weighted { against: true, .. })
    }
}

/// How a plane is brought to the size of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Upsampling {
    /// Between the four nearest cells.
    #[default]
    Bilinear,
    /// The nearest cell.
    Nearest,
}

/// What is wanted besides the maps at the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    /// Layers at whose outputs maps are wanted, too.
    pub layers: &'a [NodeId],
    /// Whether it is told what relevance each layer gets, hands down and loses.
    pub ledger: bool,
    /// The layer that Grad-CAM looks at; the nearest one with positions through which everything
    /// goes that the target is made of unless given.
    pub cam_layer: Option<NodeId>,
    /// How Grad-CAM's plane is brought to the size of the picture.
    pub upsampling: Upsampling,
    /// Whether planes that can be drawn are wanted of the maps.
    pub heatmaps: bool,
}

/// What is to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Layers and weights.
    pub network: &'a Network,
    /// The rules.
    pub composite: &'a Composite,
    /// The ways to explain, without repetition.
    pub methods: &'a [Method],
    /// The layer whose outputs are explained; the graph's output for scores.
    pub at: NodeId,
    /// Which outputs are explained.
    pub targets: Targets,
    /// Pictures in a run.
    pub batch: usize,
    /// The picture's range, for the z-box rule.
    pub bounds: &'a Bounds,
    /// What the device can take.
    pub limits: Limits,
    /// What else is wanted.
    pub extras: Extras<'a>,
}

/// A program and the places of its results. Its inputs are the pictures (`batch` times the
/// network's input, NCHW) and, for [`Targets::Given`], the targets (`batch * targets` numbers of
/// outputs), for [`Targets::Weighted`] the weights and the duals (`batch * targets` times the
/// layer's outputs each; duals are 1 at each output that a target is set against). Outputs of a
/// layer are numbered as they lie: NHWC.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The steps.
    pub program: Program,
    /// Output: the scores, `batch * classes`.
    pub scores: usize,
    /// Output: the targets, `batch * targets` indices; none for weighted sums.
    pub targets: Option<usize>,
    /// Output: the value of each target, `batch * targets`.
    pub values: usize,
    /// The maps of each method that needs the network.
    pub maps: Vec<MapOutput>,
    /// The maps at layers, in the order of the plan's layers, then of its methods; those that no
    /// signal of the method reaches are left out.
    pub layers: Vec<LayerOutput>,
    /// What each layer got and handed down, last layer first.
    pub ledger: Vec<Entry>,
}

impl Lowered {
    /// The maps of a method.
    pub fn map_of(&self, method: Method) -> Option<&MapOutput> {
        self.maps.iter().find(|map| map.method == method)
    }
}

/// The places of a method's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapOutput {
    /// The method.
    pub method: Method,
    /// Output: the maps, `batch * targets` times `channels` planes of the picture's size.
    pub maps: usize,
    /// Planes of a map: those of the picture, or one.
    pub channels: usize,
    /// The sums of rows before clamping, where rows are what maps are made of.
    pub sums: Option<SumsOutput>,
    /// Output: the sums of what a contrast that starts below the target's layers subtracts there,
    /// `batch * targets`.
    pub dual: Option<usize>,
    /// The maps' planes, if they are wanted.
    pub heatmaps: Option<HeatmapOutput>,
    /// The layer that Grad-CAM looked at.
    pub cam_layer: Option<NodeId>,
}

/// The place of the planes that can be drawn of a method's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeatmapOutput {
    /// Output: `batch * targets` [planes](crate::kernels::heatmap) of the picture's height.
    pub planes: usize,
    /// Values from one row of a plane to the next.
    pub stride: usize,
}

/// The places of a method's sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumsOutput {
    /// Output: sums of rows before clamping, `batch * rows`.
    pub sums: usize,
    /// Rows of each picture in `sums`.
    pub rows: usize,
    /// The row of the method's first target; the others follow.
    pub first: usize,
}

/// The place of a method's maps at a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerOutput {
    /// The layer.
    pub node: NodeId,
    /// The method.
    pub method: Method,
    /// Output: the maps, `batch * targets` times the layer's output, NCHW.
    pub maps: usize,
}

/// Lowers a plan.
///
/// # Errors
/// [`Error::RuleMismatch`] if the composite does not suit the network, [`Error::Unsupported`] if
/// a method does not, [`Error::Setting`] for sizes of 0 or more targets than outputs,
/// [`Error::TooLarge`] for more numbers than kernels can count.
pub fn lower(plan: &Plan<'_>) -> Result<Lowered> {
    let graph = plan.network.graph();
    check(plan)?;
    let mut b = Builder::new();
    let picture = b.input(Element::Float, plan.batch * graph.input_shape().len());
    let given = Readout::inputs(&mut b, plan);
    let rules = plan.composite.assign(graph)?;
    let non_negative = graph.non_negative();
    let [of_forward, of_relevance] = roundings(plan, &rules, &non_negative);
    let needs =
        Needs { of_forward, of_relevance, denominators: denominators(plan, &rules, &non_negative) };
    let mut forward = Forward::start(&mut b, graph, plan.batch, picture, needs);
    for id in (1..graph.nodes().len()).map(NodeId) {
        forward.run(&mut b, plan.network, id, plan.batch, plan.limits);
    }
    let readout = Readout::new(&mut b, plan, &forward, given);
    let mut lowering = Lowering::new(plan, &forward, readout, b)?;
    let (maps, layers, ledger) = lowering.walks()?;
    let (readout, mut b) = lowering.finish();
    let scores = b.output(forward.value(graph.output()));
    let targets = readout.units().map(|units| b.output(units));
    let values = b.output(readout.sums);
    b.join(plan.limits.joins);
    Ok(Lowered { program: b.finish()?, scores, targets, values, maps, layers, ledger })
}

/// The denominators of fully connected layers that walks of relevance will need, where the forward
/// pass can make them: both wait for the same weights.
fn denominators(
    plan: &Plan<'_>,
    rules: &[Option<Rule>],
    non_negative: &[bool],
) -> Vec<Option<Parts>> {
    let graph = plan.network.graph();
    let mut wanted = vec![None; graph.nodes().len()];
    if !walks_relevance(plan) {
        return wanted;
    }
    for (id, node) in graph.nodes().iter().enumerate().take(plan.at.0 + 1) {
        let (Op::Linear(_), Some(rule)) = (&node.op, rules[id]) else { continue };
        let fractions = rule.fractions(plan.composite.bias()).unwrap_or_default();
        let fitted =
            fractions.iter().map(|fraction| fraction.fitted(non_negative[node.inputs[0].0]));
        let mut fitted = fitted.filter(|fraction| !fraction.terms.is_empty());
        if let Some(only) = fitted.next()
            && fitted.next().is_none()
            && let [(Input::All, weight)] = only.terms[..]
        {
            let parts = Parts { weight, bias: only.bias, gamma: only.gamma };
            // Those of all weights are the layer's outputs.
            wanted[id] = (parts != Parts::LAYER).then_some(parts);
        }
    }
    wanted
}

fn walks_relevance(plan: &Plan<'_>) -> bool {
    let walks = |method: &Method| method.recipe().is_some_and(|r| r.walk == Walk::Relevance);
    plan.methods.iter().any(walks)
}

/// How convolutions of the forward pass and those of relevance round. The former exactly where that
/// costs the maps far more than itself: where gradients jump; where pools share evenly, which sends
/// relevance to outputs that are nearly 0, and below it is divided by that; and where they share in
/// proportion to inputs of either sign, whose sum may be nearly 0 itself, though no ReLU comes next that
/// would end such relevance (`DenseNet`). Each for itself where additions do the latter.
fn roundings(plan: &Plan<'_>, rules: &[Option<Rule>], non_negative: &[bool]) -> [Rounding; 2] {
    let [of_forward, of_relevance] = match walks_relevance(plan) {
        true => roundings_of_rules(plan.network.graph(), rules, non_negative),
        false => [Rounding::Shared, Rounding::Own],
    };
    let jumps = plan.methods.iter().any(|method| method.jumps());
    [if jumps { Rounding::Exact } else { of_forward }, of_relevance]
}

fn roundings_of_rules(
    graph: &Graph,
    rules: &[Option<Rule>],
    non_negative: &[bool],
) -> [Rounding; 2] {
    let is_signed = |id: &NodeId| !non_negative[id.0];
    let (mut pools_do, mut additions_do) = (rules.contains(&Some(Rule::Even)), false);
    for (id, node) in graph.nodes().iter().enumerate() {
        if rules[id] != Some(Rule::Norm) || !node.inputs.iter().any(is_signed) {
            continue;
        }
        if node.op == Op::Add {
            let mut readers = graph.nodes().iter().filter(|of| of.inputs.contains(&NodeId(id)));
            additions_do |= !readers.all(|reader| reader.op == Op::Relu);
        } else {
            pools_do = true;
        }
    }
    match (pools_do, additions_do) {
        (true, _) => [Rounding::Exact, Rounding::Own],
        (false, true) => [Rounding::Own, Rounding::Own],
        (false, false) => [Rounding::Shared, Rounding::Checked],
    }
}

fn check(plan: &Plan<'_>) -> Result<()> {
    let graph = plan.network.graph();
    let output = graph.output_shape();
    if !output.is_vector() {
        return Err(Error::Unsupported {
            what: format!("a network that ends in {output}"),
            why: "scores must be a vector, one a class".to_owned(),
        });
    }
    let setting = |what, found: usize, expected: String| {
        Err(Error::Setting { what, found: found.to_string(), expected })
    };
    check_batch(graph, plan.batch)?;
    let units = graph.node(plan.at).shape.len();
    let is_output = plan.at == graph.output();
    for method in plan.methods {
        if method.contrasts() && units == 1 {
            let why = match is_output {
                true => "a contrast needs at least two classes, the network has one",
                false => "a contrast needs at least two neurons, the layer has one",
            };
            return Err(unsuited(graph, *method, why));
        }
        if method.recipe().is_some_and(|recipe| recipe.start.is_probability()) && !is_output {
            let why = "it explains probabilities, which only classes have";
            return Err(unsuited(graph, *method, why));
        }
    }
    if plan.targets.against() {
        check_against(graph, plan.methods)?;
    }
    match plan.targets {
        // The same may be given twice.
        Targets::Given(count) | Targets::Weighted { count, .. } if count == 0 => {
            return setting("number of targets", count, "at least 1".to_owned());
        }
        Targets::Top(count) if !(1..=units).contains(&count) => {
            return setting("number of targets", count, format!("1 to {units}"));
        }
        Targets::Top(_) | Targets::Given(_) | Targets::Weighted { .. } => {}
    }
    let channels = graph.input_shape().channels;
    if plan.bounds.low.len() != channels || plan.bounds.high.len() != channels {
        return setting("number of bounds", plan.bounds.low.len(), channels.to_string());
    }
    Ok(())
}

/// That a method does not suit the network, or the target.
pub(super) fn unsuited(graph: &Graph, method: Method, why: impl Into<String>) -> Error {
    let what = format!("method `{method}` on `{}`", graph.name());
    Error::Unsupported { what, why: why.into() }
}

/// Whether all methods can set a target against chosen classes.
pub(crate) fn check_against(graph: &Graph, methods: &[Method]) -> Result<()> {
    match methods.iter().find(|method| !method.takes_against()) {
        None => Ok(()),
        Some(method) => {
            let can = Method::ALL.iter().filter(|method| method.takes_against());
            let can: Vec<&str> = can.map(|method| method.name()).collect();
            let why = format!(
                "it cannot set a target against chosen classes; these can: {}",
                can.join(", ")
            );
            Err(unsuited(graph, *method, why))
        }
    }
}

/// Whether as many pictures can run, before anything is multiplied in 32 bit.
pub(super) fn check_batch(graph: &Graph, batch: usize) -> Result<()> {
    if batch == 0 {
        let (found, expected) = (batch.to_string(), "at least 1".to_owned());
        return Err(Error::Setting { what: "batch", found, expected });
    }
    for node in graph.nodes() {
        let found = batch.saturating_mul(node.shape.len());
        if found > MOST_NUMBERS {
            let what = format!("layer `{}`", node.name);
            return Err(Error::TooLarge { what, found, most: MOST_NUMBERS });
        }
    }
    Ok(())
}
