//! A backward walk: signals go from a layer's output to its inputs, last layer first.

use super::forward::{Forward, affine, max_pool_geometry};
use super::ledger::{Record, tallied};
use super::lower::Plan;
use super::moves;
use super::operator::{Operator, Parts, vector, word};
use super::relevance::{Layer, Shared};
use super::signals::{Signal, Signals};
use super::{Builder, Operand, Slot, Source};
use crate::error::Result;
use crate::graph::{LocalResponseNorm, NodeId, Op};
use crate::kernels::{
    Call, Part, channel_affine, gate, local_response_norm_backward, max_pool2d_backward,
};
use crate::methods;
use crate::rules::{Composite, Rule};

/// How signals go down.
#[derive(Clone, Copy)]
pub(super) struct Walker<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) composite: &'a Composite,
    /// The rule of each node that has one.
    pub(super) rules: &'a [Option<Rule>],
    pub(super) non_negative: &'a [bool],
    pub(super) kind: methods::Walk,
    /// Rows of the signal for each picture.
    pub(super) repeat: usize,
}

impl Walker<'_> {
    /// Takes the signals through all nodes after `end`, which is left alone; what came to those
    /// that are `wanted`. `seen` is what a node sees of the forward pass, and whether its rule is
    /// mirrored.
    pub(super) fn descend<'f>(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        seen: impl Fn(NodeId) -> (&'f Forward, bool),
        signals: &mut Signals,
        end: NodeId,
        wanted: &[NodeId],
    ) -> Result<Vec<(NodeId, Slot)>> {
        let mut came = Vec::new();
        for id in (end.0 + 1..self.plan.network.graph().nodes().len()).rev().map(NodeId) {
            let Some(mut arrived) = signals.take(b, id) else { continue };
            if wanted.contains(&id) {
                let r = arrived.make(b);
                came.push((id, r));
                arrived = Signal::Value(r);
            }
            let (forward, mirrored) = seen(id);
            for (input, signal) in self.through(b, shared, forward, id, arrived, mirrored)? {
                signals.arrive(b, input, signal);
            }
        }
        Ok(came)
    }

    /// What one node sends to its inputs. It is put on record where somebody watches.
    fn through(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        forward: &Forward,
        id: NodeId,
        arrived: Signal,
        mirrored: bool,
    ) -> Result<Vec<(NodeId, Signal)>> {
        if !(shared.is_watched && self.kind.is_relevance()) {
            return self.sent(b, shared, forward, id, arrived, mirrored);
        }
        let r = arrived.make(b);
        let mut sent = self.sent(b, shared, forward, id, Signal::Value(r), mirrored)?;
        let passes = sent.len() == 1 && sent[0].1 == Signal::Value(r);
        if !passes {
            let rows = self.plan.batch * self.repeat;
            let mut tallies = Vec::new();
            let arrived = tallied(b, r, rows);
            for (_, signal) in &mut sent {
                let made = signal.make(b);
                *signal = Signal::Value(made);
                tallies.push(tallied(b, made, rows));
            }
            let op = &self.plan.network.graph().node(id).op;
            let is_even_pool = self.rules[id.0] == Some(Rule::Even) && *op != Op::Add;
            shared.records.push(Record {
                node: id,
                rule: self.note(id, mirrored),
                arrived,
                sent: tallies,
                losses: std::mem::take(&mut shared.losses),
                is_padding: is_even_pool || matches!(op, Op::ZeroPad2d(_)),
            });
        }
        Ok(sent)
    }

    fn sent(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        forward: &Forward,
        id: NodeId,
        arrived: Signal,
        mirrored: bool,
    ) -> Result<Vec<(NodeId, Signal)>> {
        let network = self.plan.network;
        let graph = network.graph();
        let node = graph.node(id);
        b.at(&node.name, &self.note(id, mirrored));
        let rows = self.plan.batch * self.repeat;
        let input = |i: usize| node.inputs[i];
        let shape = |i: usize| graph.node(input(i)).shape;
        let passing = |signal: Signal| vec![(input(0), signal)];
        let one = |signal: Slot| passing(Signal::Value(signal));
        Ok(match &node.op {
            Op::Input => Vec::new(),
            Op::Conv2d(_) | Op::Linear(_) | Op::AvgPool2d(_) | Op::AdaptiveAvgPool2d(_) => {
                passing(self.through_operator(b, shared, forward, id, arrived, mirrored)?)
            }
            Op::Relu => passing(self.gate(b, forward, id, [0.0, f32::MAX], arrived)),
            Op::Hardtanh { low, high } => {
                passing(self.gate(b, forward, id, [*low, *high], arrived))
            }
            Op::MaxPool2d(pool) => {
                let r = arrived.make(b);
                let params = max_pool2d_backward::Params {
                    pool: max_pool_geometry(pool, shape(0), node.shape, rows),
                    repeat: word(self.repeat),
                };
                let reads = [Operand::Value(forward.winners(id)), Operand::Value(r)];
                let call = Call::MaxPool2dBackward(params);
                one(b.emit(call, &reads, rows * shape(0).len()))
            }
            Op::BatchNorm2d { .. } | Op::ChannelAffine { .. } => {
                passing(self.through_scale(b, id, arrived))
            }
            Op::Add if self.kind.is_relevance() => {
                let rule = self.rules[id.0].expect("additions have rules");
                let layer = self.layer(forward, id, rule, mirrored);
                let sent = layer.hand_down_sum(b, shared, arrived, self.spared(id));
                node.inputs.iter().copied().zip(sent).collect()
            }
            Op::Add => {
                let r = Signal::Value(arrived.make(b));
                node.inputs.iter().map(|input| (*input, r)).collect()
            }
            Op::LocalResponseNorm(_) if self.kind.is_relevance() => passing(arrived),
            Op::LocalResponseNorm(norm) => {
                let r = arrived.make(b);
                one(self.through_norm(b, forward, id, norm, r))
            }
            Op::Concat => {
                let r = arrived.make(b);
                let parts = moves::split(b, network, id, rows, r).into_iter();
                parts.map(|(input, part)| (input, Signal::Value(part))).collect()
            }
            Op::Narrow { start, length } => {
                let r = arrived.make(b);
                one(moves::widen(b, shape(0), rows, r, *start, *length))
            }
            Op::ChannelShuffle { groups } => {
                let r = arrived.make(b);
                one(moves::shuffle(b, node.shape, rows, r, node.shape.channels / groups))
            }
            Op::ZeroPad2d(zeros) => {
                let r = arrived.make(b);
                one(moves::crop(b, shape(0), rows, r, *zeros))
            }
            Op::Flatten => {
                let r = arrived.make(b);
                one(moves::planes(b, shape(0), rows, r, false))
            }
            Op::Dropout | Op::Identity => passing(arrived),
        })
    }

    /// Through a layer that is linear: by its rule, or by its plain transpose.
    fn through_operator(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        forward: &Forward,
        id: NodeId,
        arrived: Signal,
        mirrored: bool,
    ) -> Result<Signal> {
        let operator = Operator::of(self.plan.network, id, self.plan.limits)
            .expect("weights are bound, and these layers are operators");
        let rule = self.rules[id.0].expect("operators have rules");
        if self.kind.is_relevance() && rule != Rule::Even {
            let operator = operator.with_rounding(forward.rounding_of_relevance());
            let layer = self.layer(forward, id, rule, mirrored);
            return layer.hand_down(b, shared, &operator, arrived);
        }
        let parts = Parts { weight: Part::All, bias: Part::Nothing, gamma: 0.0 };
        let r = arrived.make(b);
        Ok(Signal::Value(operator.transpose(b, self.plan.batch * self.repeat, r, parts)))
    }

    /// The term of a residual addition that nobody else reads and that may be told from the sum and the other
    /// term: of two the one that is made last, whose step can go on to the sum. Its digits that are lost so, where
    /// it is small beside the sum, matter as little as it does where a rule's denominators are of one sign; those of
    /// epsilon may be as small as it is.
    fn spared(&self, addition: NodeId) -> Option<NodeId> {
        let graph = self.plan.network.graph();
        let [one, other] = graph.node(addition).inputs[..] else { return None };
        let last = one.max(other);
        let mut from = last;
        while matches!(
            graph.node(from).op,
            Op::BatchNorm2d { .. } | Op::ChannelAffine { .. } | Op::Dropout | Op::Identity
        ) {
            from = graph.node(from).inputs[0];
        }
        let is_of_one_sign =
            matches!(self.rules[from.0], Some(Rule::ZPlus | Rule::AlphaBeta { .. }));
        let is_read_once = graph.readers(last).eq([addition]);
        (one != other && is_of_one_sign && is_read_once).then_some(last)
    }

    /// Through a fixed scale of channels, which relevance passes as it is.
    fn through_scale(&self, b: &mut Builder, id: NodeId, arrived: Signal) -> Signal {
        if self.kind.is_relevance() {
            return arrived;
        }
        let r = arrived.make(b);
        let network = self.plan.network;
        let (scale, _) = affine(network, id).expect("it scales channels");
        let scale = vector(b, Source::Made(scale));
        let len = b.len(r);
        let channels = word(network.graph().node(id).shape.channels);
        let params = channel_affine::Params { total: word(len), channels, shifted: 0 };
        let call = Call::ChannelAffine(params);
        Signal::Value(b.emit(call, &[Operand::Value(r), scale, scale], len))
    }

    fn layer<'a>(
        &'a self,
        forward: &'a Forward,
        id: NodeId,
        rule: Rule,
        mirrored: bool,
    ) -> Layer<'a> {
        let input = self.plan.network.graph().node(id).inputs[0];
        Layer {
            plan: self.plan,
            composite: self.composite,
            forward,
            id,
            rule,
            repeat: self.repeat,
            mirrored,
            non_negative: self.non_negative[input.0],
        }
    }

    /// Through a ReLU or hardtanh with these bounds. ReLU's readings hold for ReLU6, too; a
    /// hardtanh that lets negative values through has a gradient only.
    fn gate(
        &self,
        b: &mut Builder,
        forward: &Forward,
        id: NodeId,
        bounds: [f32; 2],
        arrived: Signal,
    ) -> Signal {
        let mode = match self.kind {
            methods::Walk::Relevance | methods::Walk::Excitation => return arrived,
            methods::Walk::Gradient(_) if bounds[0] < 0.0 => gate::Mode::Active,
            methods::Walk::Gradient(mode) => mode,
        };
        let r = arrived.make(b);
        let len = b.len(r);
        let count = word(len / (self.plan.batch * self.repeat));
        let params = gate::Params::new(word(len), count, word(self.repeat), mode, bounds);
        let reads = [Operand::Value(r), Operand::Value(forward.value(id))];
        Signal::Value(b.emit(Call::Gate(params), &reads, len))
    }

    fn through_norm(
        &self,
        b: &mut Builder,
        forward: &Forward,
        id: NodeId,
        norm: &LocalResponseNorm,
        g: Slot,
    ) -> Slot {
        let node = self.plan.network.graph().node(id);
        let len = b.len(g);
        let call = Call::LocalResponseNormBackward(local_response_norm_backward::Params {
            total: word(len),
            count: word(node.shape.len()),
            repeat: word(self.repeat),
            channels: word(node.shape.channels),
            before: word(norm.size / 2),
            after: word((norm.size - 1) / 2),
            share: norm.alpha / norm.size as f32,
            beta: norm.beta,
            k: norm.k,
        });
        let a = Operand::Value(forward.value(node.inputs[0]));
        b.emit(call, &[a, Operand::Value(g)], len)
    }

    fn note(&self, id: NodeId, mirrored: bool) -> String {
        match self.kind {
            methods::Walk::Relevance | methods::Walk::Excitation => {
                let rule = self.rules[id.0].map_or("pass".to_owned(), |rule| rule.to_string());
                if mirrored { format!("{rule} mirrored") } else { rule }
            }
            methods::Walk::Gradient(gate::Mode::Guided) => "guided-backprop".to_owned(),
            methods::Walk::Gradient(gate::Mode::Deconvnet) => "deconvnet".to_owned(),
            methods::Walk::Gradient(gate::Mode::Active | gate::Mode::Negative) => {
                "gradient".to_owned()
            }
        }
    }
}
