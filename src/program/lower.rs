//! From a plan to a program: the forward pass once, then one walk for each way of walking, with
//! a row for every method and target that walks that way.

use std::ops::Range;

use super::builder::MOST_NUMBERS;
use super::forward::Forward;
use super::operator::word;
use super::relevance::{Shared, constant};
use super::walk::{Signals, Walker};
use super::{Builder, Element, Operand, Program, Slot};
use crate::error::{Error, Result};
use crate::graph::{Graph, Network, NodeId, Op};
use crate::kernels::{
    Call, Encoding, add, attribution, clamp, copy_channels, multiply_add, seed, sum_rows, top_k,
};
use crate::methods::{Method, Recipe, Start, Walk};
use crate::rules::{Composite, Rule};
use crate::weight::Weight;

/// What a device can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a weight that one step may read.
    pub binding_bytes: usize,
}

impl Limits {
    /// No limits: the CPU.
    pub const NONE: Limits = Limits { binding_bytes: usize::MAX };

    /// Ranges of rows of a matrix, each within the limit in the words that shaders read.
    pub(super) fn shards(self, matrix: &Weight) -> Vec<Range<usize>> {
        let (rows, columns) = (matrix.shape()[0], matrix.shape()[1]);
        let numbers = self.binding_bytes / 4 * Encoding::of(matrix.values()).per_word();
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

/// Which scores are explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// The highest scores of each picture.
    Top(usize),
    /// This many for each picture, which the caller gives for every run.
    Given(usize),
}

impl Targets {
    /// Targets of each picture.
    pub const fn count(self) -> usize {
        match self {
            Targets::Top(count) | Targets::Given(count) => count,
        }
    }
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
    /// The scores that are explained.
    pub targets: Targets,
    /// Pictures in a run.
    pub batch: usize,
    /// The picture's range, for the z-box rule.
    pub bounds: &'a Bounds,
    /// What the device can take.
    pub limits: Limits,
}

/// A program and the places of its results. Its inputs are the pictures (`batch` times the
/// network's input, NCHW) and, for [`Targets::Given`], the targets (`batch * targets` classes).
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The steps.
    pub program: Program,
    /// Output: the scores, `batch * classes`.
    pub scores: usize,
    /// Output: the targets, `batch * targets` indices.
    pub targets: usize,
    /// The maps of each method that needs the network.
    pub maps: Vec<MapOutput>,
}

/// The places of a method's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapOutput {
    /// The method.
    pub method: Method,
    /// Output: the maps, `batch * targets` times the network's input, NCHW.
    pub maps: usize,
    /// Output: sums of rows before clamping, `batch * rows`.
    pub sums: usize,
    /// Rows of each picture in `sums`.
    pub rows: usize,
    /// The row of the method's first target; the others follow.
    pub first: usize,
}

/// Lowers a plan.
///
/// # Errors
/// [`Error::RuleMismatch`] if the composite does not suit the network, [`Error::Unsupported`] if
/// a method does not, [`Error::Setting`] for sizes of 0 or more targets than classes,
/// [`Error::TooLarge`] for more numbers than kernels can count.
pub fn lower(plan: &Plan<'_>) -> Result<Lowered> {
    let graph = plan.network.graph();
    check(plan)?;
    let rules = plan.composite.assign(graph)?;
    let mut b = Builder::new();
    let picture = b.input(Element::Float, plan.batch * graph.input_shape().len());
    let given = match plan.targets {
        Targets::Given(count) => Some(b.input(Element::Index, plan.batch * count)),
        Targets::Top(_) => None,
    };
    let exact = plan.methods.iter().any(|method| method.jumps());
    let mut forward = Forward::start(&mut b, graph, plan.batch, picture, exact);
    for id in (1..graph.nodes().len()).map(NodeId) {
        forward.run(&mut b, plan.network, id, plan.batch, plan.limits);
    }
    let scores = forward.value(graph.output());
    b.at("targets", "forward");
    let targets = given.unwrap_or_else(|| {
        let (batch, k) = (word(plan.batch), word(plan.targets.count()));
        let classes = word(graph.output_shape().len());
        let call = Call::TopK(top_k::Params { batch, classes, k });
        b.emit_index(call, &[Operand::Value(scores)], plan.batch * plan.targets.count())
    });
    let non_negative = graph.non_negative();
    let mut lowering = Lowering {
        plan,
        rules: &rules,
        non_negative: &non_negative,
        forward: &forward,
        targets,
        shared: Shared::default(),
        b,
    };
    let maps = lowering.walks()?;
    let mut b = lowering.b;
    let scores = b.output(scores);
    let targets = b.output(targets);
    Ok(Lowered { program: b.finish()?, scores, targets, maps })
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
    let contrasts =
        |method: &&Method| matches!(method, Method::Clrp1 | Method::Clrp2 | Method::Clrp1Logits);
    if let (1, Some(method)) = (output.len(), plan.methods.iter().find(contrasts)) {
        return Err(Error::Unsupported {
            what: format!("method `{method}` on `{}`", graph.name()),
            why: "a contrast needs at least two classes, the network has one".to_owned(),
        });
    }
    let targets = plan.targets.count();
    if targets == 0 || targets > output.len() {
        return setting("number of targets", targets, format!("1 to {}", output.len()));
    }
    let channels = graph.input_shape().channels;
    if plan.bounds.low.len() != channels || plan.bounds.high.len() != channels {
        return setting("number of bounds", plan.bounds.low.len(), channels.to_string());
    }
    Ok(())
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

struct Lowering<'a> {
    plan: &'a Plan<'a>,
    rules: &'a [Option<Rule>],
    non_negative: &'a [bool],
    forward: &'a Forward,
    targets: Slot,
    shared: Shared,
    b: Builder,
}

impl<'a> Lowering<'a> {
    /// One walk for each way of walking that the methods need.
    fn walks(&mut self) -> Result<Vec<MapOutput>> {
        let recipes: Vec<(Method, Recipe)> =
            self.plan.methods.iter().filter_map(|m| Some((*m, m.recipe()?))).collect();
        let mut walks: Vec<Walk> = Vec::new();
        for (_, recipe) in &recipes {
            if !walks.contains(&recipe.walk) {
                walks.push(recipe.walk);
            }
        }
        let mut maps = Vec::new();
        for walk in walks {
            let of_walk: Vec<_> =
                recipes.iter().filter(|(_, recipe)| recipe.walk == walk).copied().collect();
            maps.extend(self.walk(walk, &of_walk)?);
        }
        Ok(maps)
    }

    /// Walks once for all methods that walk alike, and finishes their maps.
    fn walk(&mut self, kind: Walk, recipes: &[(Method, Recipe)]) -> Result<Vec<MapOutput>> {
        let mut starts: Vec<Start> = Vec::new();
        for start in recipes.iter().flat_map(|(_, r)| [Some(r.start), r.dual]).flatten() {
            if !starts.contains(&start) {
                starts.push(start);
            }
        }
        // The rows that CLRP2 starts deeper come last, so that the others lie together.
        starts.sort_by_key(|start| *start == Start::MirrorDifference);
        let targets = self.plan.targets.count();
        let rows = starts.len() * targets;
        let first = |start: Start| {
            targets * starts.iter().position(|s| *s == start).expect("all starts were listed")
        };
        let arrived = self.descend(kind, &starts)?;
        let shape = self.plan.network.graph().input_shape();
        self.b.at("input", "attribution");
        let sums = self.sums(arrived, rows);
        let mut sums_output = None;
        let mut maps = Vec::new();
        for (method, recipe) in recipes {
            let first_row = first(recipe.start);
            let (from, sums, place) = if recipe.times_input {
                let product = self.times_input(arrived, rows);
                let sums = self.sums(product, rows);
                (product, sums, self.b.output(sums))
            } else {
                let place = *sums_output.get_or_insert_with(|| self.b.output(sums));
                (arrived, sums, place)
            };
            let call = Call::Attribution(attribution::Params {
                batch: word(self.plan.batch),
                rows: word(rows),
                first: word(first_row),
                targets: word(targets),
                channels: word(shape.channels),
                positions: word(shape.height * shape.width),
                mode: recipe.finish as u32,
                dual_first: word(recipe.dual.map_or(0, first)),
            });
            let len = self.plan.batch * targets * shape.len();
            let out = self.b.emit(call, &[Operand::Value(from), Operand::Value(sums)], len);
            let map = self.b.output(out);
            maps.push(MapOutput {
                method: *method,
                maps: map,
                sums: place,
                rows,
                first: first_row,
            });
        }
        Ok(maps)
    }

    fn walker(&self, kind: Walk, repeat: usize) -> Walker<'a> {
        let (rules, non_negative) = (self.rules, self.non_negative);
        Walker { plan: self.plan, rules, non_negative, kind, repeat }
    }

    /// The signal at the picture, with rows for all starts.
    fn descend(&mut self, kind: Walk, starts: &[Start]) -> Result<Slot> {
        let graph = self.plan.network.graph();
        let targets = self.plan.targets.count();
        let seeds: Vec<seed::Mode> = starts
            .iter()
            .filter_map(|start| match start {
                Start::Seed(mode) => Some(*mode),
                Start::MirrorDifference => None,
            })
            .collect();
        let mut top = graph.output();
        let mut signal = (!seeds.is_empty()).then(|| (self.seed(&seeds), seeds.len() * targets));
        if starts.contains(&Start::MirrorDifference) {
            let contrast = contrast_layer(self.plan)?;
            let input = graph.node(contrast).inputs[0];
            let difference = self.mirror_difference(contrast)?;
            signal = Some(match signal {
                None => (difference, targets),
                Some((seeded, rows)) => {
                    let above = self.arrive(kind, graph.output(), seeded, rows, input)?;
                    self.b.at(&graph.node(contrast).name, "clrp2");
                    (self.join([(above, rows), (difference, targets)]), rows + targets)
                }
            });
            top = input;
        }
        let (signal, rows) = signal.expect("a walk has at least one start");
        self.arrive(kind, top, signal, rows, graph.input())
    }

    /// Takes a signal at node `from` down to node `to`, through which everything goes.
    fn arrive(
        &mut self,
        kind: Walk,
        from: NodeId,
        signal: Slot,
        rows: usize,
        to: NodeId,
    ) -> Result<Slot> {
        let walker = self.walker(kind, rows);
        let nodes = self.plan.network.graph().nodes().len();
        let mut signals = Signals::at(nodes, from, signal);
        walker.descend(&mut self.b, &mut self.shared, self.forward, &mut signals, to)?;
        let len = self.plan.batch * rows * self.plan.network.graph().node(to).shape.len();
        Ok(signals.take(to).unwrap_or_else(|| constant(&mut self.b, len, &[0.0])))
    }

    /// Rows at the scores, mode by mode.
    fn seed(&mut self, modes: &[seed::Mode]) -> Slot {
        let graph = self.plan.network.graph();
        let (targets, classes) = (self.plan.targets.count(), graph.output_shape().len());
        let rows = modes.len() * targets;
        self.b.at("targets", "seed");
        let out = self.b.value(Element::Float, self.plan.batch * rows * classes);
        for (i, mode) in modes.iter().enumerate() {
            let call = Call::Seed(seed::Params {
                batch: word(self.plan.batch),
                classes: word(classes),
                rows: word(rows),
                first: word(i * targets),
                targets: word(targets),
                mode: *mode as u32,
            });
            let scores = Operand::Value(self.forward.value(graph.output()));
            self.b.emit_into(call, &[scores, Operand::Value(self.targets)], &[out]);
        }
        out
    }

    /// CLRP2 at the input of the target's layer: relevance less what the network with that layer
    /// negated hands down.
    fn mirror_difference(&mut self, contrast: NodeId) -> Result<Slot> {
        let graph = self.plan.network.graph();
        let targets = self.plan.targets.count();
        let input = graph.node(contrast).inputs[0];
        let seeded = self.seed(&[seed::Mode::Score]);
        let own = self.arrive(Walk::Relevance, graph.output(), seeded, targets, input)?;
        // The layers above see the negated scores of the contrast layer.
        let mut negated = self.forward.clone();
        let y = self.forward.value(contrast);
        self.b.at(&graph.node(contrast).name, "forward mirrored");
        // Where nothing lies above, nobody reads them.
        if contrast != graph.output() {
            negated.values[contrast.0] = Some(self.negate(y));
        }
        for id in (contrast.0 + 1..graph.nodes().len()).map(NodeId) {
            negated.run(&mut self.b, self.plan.network, id, self.plan.batch, self.plan.limits);
        }
        let walker = self.walker(Walk::Relevance, targets);
        let mut signals = Signals::at(graph.nodes().len(), graph.output(), seeded);
        walker.descend(&mut self.b, &mut self.shared, &negated, &mut signals, contrast)?;
        let r = signals.take(contrast).expect("everything goes through the contrast layer");
        let sent =
            walker.through(&mut self.b, &mut self.shared, self.forward, contrast, r, true)?;
        let dual = self.negate(sent[0].1);
        let len = self.b.len(own);
        let call = Call::Add(add::Params { total: word(len) });
        Ok(self.b.emit(call, &[Operand::Value(own), Operand::Value(dual)], len))
    }

    fn negate(&mut self, value: Slot) -> Slot {
        let len = self.b.len(value);
        let call = Call::Clamp(clamp::Params::negate(word(len)));
        self.b.emit(call, &[Operand::Value(value)], len)
    }

    /// Rows of two signals side by side, for each picture.
    fn join(&mut self, signals: [(Slot, usize); 2]) -> Slot {
        let rows: usize = signals.iter().map(|(_, rows)| rows).sum();
        let count = self.b.len(signals[0].0) / (self.plan.batch * signals[0].1);
        let out = self.b.value(Element::Float, self.plan.batch * rows * count);
        let mut first = 0;
        for (signal, of) in signals {
            let call = Call::CopyChannels(copy_channels::Params {
                positions: word(self.plan.batch),
                from_channels: word(of * count),
                from_first: 0,
                to_channels: word(rows * count),
                to_first: word(first * count),
                count: word(of * count),
            });
            self.b.emit_into(call, &[Operand::Value(signal)], &[out]);
            first += of;
        }
        out
    }

    fn sums(&mut self, signal: Slot, rows: usize) -> Slot {
        let rows = self.plan.batch * rows;
        let count = word(self.b.len(signal) / rows);
        let call = Call::SumRows(sum_rows::Params { rows: word(rows), count });
        self.b.emit(call, &[Operand::Value(signal)], rows)
    }

    fn times_input(&mut self, signal: Slot, rows: usize) -> Slot {
        let len = self.b.len(signal);
        let count = word(self.plan.network.graph().input_shape().len());
        let call = Call::MultiplyAdd(multiply_add::Params {
            total: word(len),
            count,
            repeat: word(rows),
            stride: count,
            scale: 1.0,
            accumulate: 0,
        });
        let picture = Operand::Value(self.forward.value(NodeId(0)));
        self.b.emit(call, &[picture, Operand::Value(signal)], len)
    }
}

/// The layer whose outputs are the classes: the last convolution or fully connected layer, if
/// above it every class stays in its own channel.
fn contrast_layer(plan: &Plan<'_>) -> Result<NodeId> {
    let graph = plan.network.graph();
    let mut id = graph.output();
    loop {
        let node = graph.node(id);
        if matches!(node.op, Op::Conv2d(_) | Op::Linear(_)) {
            return Ok(id);
        }
        if !node.op.traits().keeps_channels {
            return Err(Error::Unsupported {
                what: format!("method `clrp2` on `{}`", graph.name()),
                why: format!(
                    "the scores do not come from one linear layer, but from `{}`, a {}",
                    node.name,
                    node.op.kind()
                ),
            });
        }
        id = node.inputs[0];
    }
}
