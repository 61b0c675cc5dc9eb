//! The walks of a plan: one for each way of walking, with rows for all methods that walk alike.

use super::finish::{Rows, Tap};
use super::forward::Forward;
use super::layers::Contrast;
use super::ledger::{Entry, Records, Side};
use super::lower::{LayerOutput, MapOutput, Plan};
use super::operator::word;
use super::readout::Readout;
use super::relevance::Shared;
use super::signals::Signals;
use super::walk::Walker;
use super::{Builder, Operand, Slot};
use crate::error::Result;
use crate::graph::NodeId;
use crate::kernels::{Call, clamp, copy_channels, gate, seed};
use crate::methods::{Finish, Method, Recipe, Start, Walk};
use crate::rules::{Composite, Rule, excitation_rules};

/// The rules of a composite, layer by layer.
struct Assigned {
    composite: Composite,
    rules: Vec<Option<Rule>>,
}

/// A plan while it is lowered.
pub(super) struct Lowering<'a> {
    pub(super) plan: &'a Plan<'a>,
    /// Of the walk by the plan's composite, and of excitation backprop.
    relevance: Assigned,
    excitation: Option<Assigned>,
    non_negative: Vec<bool>,
    pub(super) forward: &'a Forward,
    readout: Readout,
    pub(super) shared: Shared,
    pub(super) b: Builder,
    records: Records,
    /// Grad-CAM's planes, once they are made.
    pub(super) cams: Option<Slot>,
}

/// A part of a walk: rows that go from one node to another, through which everything goes.
#[derive(Clone, Copy)]
struct Leg {
    kind: Walk,
    from: NodeId,
    rows: Rows,
    to: NodeId,
    /// Where it is one side of a contrast alone.
    side: Option<Side>,
}

/// Where the signals of a walk are, from its start to the picture.
pub(super) struct Arrived {
    /// At the picture.
    pub(super) input: Rows,
    /// At other layers that were asked for.
    pub(super) taps: Vec<Tap>,
    /// The sums of what was subtracted of the rows that contrasts start deeper.
    pub(super) duals: Vec<(Start, Slot)>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(
        plan: &'a Plan<'a>,
        forward: &'a Forward,
        readout: Readout,
        b: Builder,
    ) -> Result<Self> {
        let graph = plan.network.graph();
        let assigned = |composite: Composite| -> Result<Assigned> {
            Ok(Assigned { rules: composite.assign(graph)?, composite })
        };
        let walks = |walk| move |m: &Method| m.recipe().is_some_and(|recipe| recipe.walk == walk);
        let excitation = match plan.methods.iter().any(walks(Walk::Excitation)) {
            true => Some(assigned(excitation_rules())?),
            false => None,
        };
        Ok(Self {
            plan,
            relevance: assigned(plan.composite.clone())?,
            excitation,
            non_negative: graph.non_negative(),
            forward,
            readout,
            shared: Shared::watching(plan.extras.ledger),
            b,
            records: Records::default(),
            cams: None,
        })
    }

    /// What is left to do: outputs and the memory plan.
    pub(super) fn finish(self) -> (Readout, Builder) {
        (self.readout, self.b)
    }

    /// One walk for each way of walking that the methods need.
    pub(super) fn walks(&mut self) -> Result<(Vec<MapOutput>, Vec<LayerOutput>, Vec<Entry>)> {
        let mut recipes: Vec<(Method, Recipe)> = Vec::new();
        for method in self.plan.methods {
            recipes.extend(self.recipe(*method).map(|recipe| (*method, recipe)));
        }
        let needs_cams = recipes.iter().any(|(_, recipe)| recipe.finish == Finish::GuidedCam);
        if needs_cams && !self.plan.methods.contains(&Method::GradCam) {
            recipes.extend(self.recipe(Method::GradCam).map(|recipe| (Method::GradCam, recipe)));
        }
        let mut walks: Vec<Walk> = Vec::new();
        for (_, recipe) in &recipes {
            if !walks.contains(&recipe.walk) {
                walks.push(recipe.walk);
            }
        }
        // Grad-CAM's planes come before what is multiplied by them.
        walks.sort_by_key(|walk| *walk != Walk::Gradient(gate::Mode::Active));
        let (mut maps, mut layers) = (Vec::new(), Vec::new());
        for walk in walks {
            let of_walk: Vec<_> =
                recipes.iter().filter(|(_, recipe)| recipe.walk == walk).copied().collect();
            self.walk(walk, &of_walk, &mut maps, &mut layers)?;
        }
        maps.retain(|map| self.plan.methods.contains(&map.method));
        let order = |node: NodeId| self.plan.extras.layers.iter().position(|id| *id == node);
        layers.sort_by_key(|layer: &LayerOutput| order(layer.node));
        let ledger = std::mem::take(&mut self.records).entries(&mut self.b);
        Ok((maps, layers, ledger))
    }

    /// The method's recipe for these targets.
    fn recipe(&self, method: Method) -> Option<Recipe> {
        let recipe = method.recipe()?;
        let is_gradient = !recipe.walk.is_relevance();
        let start = match recipe.start {
            Start::Seed(seed::Mode::One) if is_gradient && self.plan.targets.against() => {
                Start::Seed(seed::Mode::OneAgainst)
            }
            start @ (Start::Seed(_) | Start::MirrorDifference(_)) => start,
        };
        Some(Recipe { start, ..recipe })
    }

    /// Walks once for all methods that walk alike, and finishes their maps.
    fn walk(
        &mut self,
        kind: Walk,
        recipes: &[(Method, Recipe)],
        maps: &mut Vec<MapOutput>,
        layers: &mut Vec<LayerOutput>,
    ) -> Result<()> {
        let mut starts: Vec<Start> = Vec::new();
        for start in recipes.iter().flat_map(|(_, r)| [Some(r.start), r.dual]).flatten() {
            if !starts.contains(&start) {
                starts.push(start);
            }
        }
        // The rows that contrasts start deeper come last, so that the others lie together.
        starts.sort_by_key(|start| matches!(start, Start::MirrorDifference(_)));
        let cam_layer = match recipes.iter().any(|(_, recipe)| recipe.finish == Finish::Cam) {
            true => Some(self.cam_layer()?),
            false => None,
        };
        let mut wanted = self.plan.extras.layers.to_vec();
        wanted.extend(cam_layer);
        let arrived = self.descend(kind, &starts, &wanted)?;
        if kind.is_relevance() {
            let methods = recipes.iter().map(|(method, recipe)| (*method, recipe.start));
            self.records.name(&starts, self.plan.targets.count(), methods);
        }
        for (method, recipe) in recipes {
            let made = self.finish_map(*method, *recipe, &starts, &arrived, cam_layer)?;
            let cam_layer = match recipe.finish {
                Finish::Cam | Finish::GuidedCam => Some(self.cam_layer()?),
                Finish::Map(_) => None,
            };
            maps.push(MapOutput { cam_layer, ..made });
            if matches!(recipe.finish, Finish::Map(_)) {
                layers.extend(self.layer_maps(*method, *recipe, &starts, &arrived));
            }
        }
        Ok(())
    }

    fn walker<'b>(&'b self, kind: Walk, repeat: usize) -> Walker<'b> {
        let assigned = match kind {
            Walk::Excitation => self.excitation.as_ref().expect("such a method is in the plan"),
            Walk::Relevance | Walk::Gradient(_) => &self.relevance,
        };
        Walker {
            plan: self.plan,
            composite: &assigned.composite,
            rules: &assigned.rules,
            non_negative: &self.non_negative,
            kind,
            repeat,
        }
    }

    /// The signal at the picture, with rows for all starts, and at the wanted layers.
    fn descend(&mut self, kind: Walk, starts: &[Start], wanted: &[NodeId]) -> Result<Arrived> {
        let graph = self.plan.network.graph();
        let targets = self.plan.targets.count();
        let (mut seeds, mut mirrored) = (Vec::new(), Vec::new());
        for start in starts {
            match start {
                Start::Seed(mode) => seeds.push(*mode),
                Start::MirrorDifference(mode) => mirrored.push(*mode),
            }
        }
        let mut taps = Vec::new();
        let mut from = (self.plan.at, None, 0);
        if !seeds.is_empty() {
            let rows = seeds.len() * targets;
            from.1 = Some(self.readout.seed(&mut self.b, self.plan, &seeds));
            from.2 = rows;
        }
        let mut duals = Vec::new();
        for mode in mirrored {
            let contrast = Contrast::find(self.plan, kind)?;
            let input = contrast.below;
            let (difference, sums) = self.mirror_difference(kind, mode, &contrast)?;
            duals.push((Start::MirrorDifference(mode), sums));
            from = match from {
                (_, None, _) => (input, Some(difference), targets),
                (top, Some(seeded), rows) => {
                    let seeded = Rows { slot: seeded, rows };
                    let leg = Leg { kind, from: top, rows: seeded, to: input, side: None };
                    let above = self.arrive(leg, wanted, &mut taps)?;
                    self.b.at(&graph.node(contrast.layers[0]).name, "contrast");
                    let joined = self.join([(above, rows), (difference, targets)]);
                    (input, Some(joined), rows + targets)
                }
            };
        }
        let (top, signal, rows) = from;
        let signal = signal.expect("a walk has at least one start");
        let signal = Rows { slot: signal, rows };
        let leg = Leg { kind, from: top, rows: signal, to: graph.input(), side: None };
        let slot = self.arrive(leg, wanted, &mut taps)?;
        let input = Rows { slot, rows };
        if wanted.contains(&graph.input()) {
            taps.push(Tap { node: graph.input(), rows: input });
        }
        Ok(Arrived { input, taps, duals })
    }

    /// Takes the signal down.
    fn arrive(&mut self, leg: Leg, wanted: &[NodeId], taps: &mut Vec<Tap>) -> Result<Slot> {
        let forward = self.forward;
        self.arrive_seeing(|_| (forward, false), leg, wanted, taps)
    }

    /// The same where layers see other activations, or are negated.
    fn arrive_seeing<'f>(
        &mut self,
        seen: impl Fn(NodeId) -> (&'f Forward, bool),
        Leg { kind, from, rows: Rows { slot, rows }, to, side }: Leg,
        wanted: &[NodeId],
        taps: &mut Vec<Tap>,
    ) -> Result<Slot> {
        let nodes = self.plan.network.graph().nodes().len();
        let mut signals = Signals::at(nodes, from, slot);
        let (mut b, mut shared) = (std::mem::take(&mut self.b), std::mem::take(&mut self.shared));
        let walker = self.walker(kind, rows);
        let done = walker.descend(&mut b, &mut shared, seen, &mut signals, to, wanted);
        (self.b, self.shared) = (b, shared);
        for (node, slot) in done? {
            taps.push(Tap { node, rows: Rows { slot, rows } });
        }
        if kind.is_relevance() {
            self.records.take(&mut self.shared, rows, side);
        }
        let arrived = signals.take(&mut self.b, to);
        let arrived =
            arrived.expect("layers send to all their inputs, and everything goes through it");
        Ok(arrived.make(&mut self.b))
    }

    /// A contrast below the layers of the target: relevance less what the network with those
    /// layers negated hands down, and the sums of the latter's rows.
    fn mirror_difference(
        &mut self,
        kind: Walk,
        mode: seed::Mode,
        contrast: &Contrast,
    ) -> Result<(Slot, Slot)> {
        let targets = self.plan.targets.count();
        let start = Start::MirrorDifference(mode);
        let seeded = self.readout.seed(&mut self.b, self.plan, &[mode]);
        let rows = Rows { slot: seeded, rows: targets };
        let side = |sign| Some(Side { start, sign });
        let leg = Leg { kind, from: self.plan.at, rows, to: contrast.below, side: side(1.0) };
        let own = self.arrive(leg, &[], &mut Vec::new())?;
        let negated = self.forward_negated(contrast);
        let forward = self.forward;
        let seen = |id: NodeId| match contrast.above.contains(&id) {
            true => (&negated, false),
            false => (forward, contrast.layers.contains(&id)),
        };
        let leg = Leg { side: side(-1.0), ..leg };
        let dual = self.arrive_seeing(seen, leg, &[], &mut Vec::new())?;
        self.b.at(&self.plan.network.graph().node(contrast.layers[0]).name, "contrast");
        let sums = self.sums(Rows { slot: dual, rows: targets });
        let dual = self.negate(dual);
        let len = self.b.len(own);
        let call = Call::Add(crate::kernels::add::Params { total: word(len) });
        Ok((self.b.emit(call, &[Operand::Value(own), Operand::Value(dual)], len), sums))
    }

    /// The forward pass with those layers negated, as far as what lies above them up to the target
    /// sees it.
    fn forward_negated(&mut self, contrast: &Contrast) -> Forward {
        let network = self.plan.network;
        let mut negated = self.forward.clone();
        // Where nothing lies above, nobody reads it.
        let read = if contrast.above.is_empty() { &[] } else { &contrast.layers[..] };
        for id in read {
            self.b.at(&network.graph().node(*id).name, "forward mirrored");
            negated.values[id.0] = Some(self.negate(self.forward.value(*id)));
        }
        for id in &contrast.above {
            negated.run(&mut self.b, network, *id, self.plan.batch, self.plan.limits);
        }
        negated
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
        let out = self.b.value(super::Element::Float, self.plan.batch * rows * count);
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
}
