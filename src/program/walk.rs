//! A backward walk: signals go from a layer's output to its inputs, last layer first.

use super::forward::{Forward, affine, max_pool_geometry, planes, slices};
use super::lower::Plan;
use super::operator::{Operator, Parts, vector, word};
use super::relevance::{Layer, Shared};
use super::{Builder, Operand, Slot, Source};
use crate::error::Result;
use crate::graph::{NodeId, Op};
use crate::kernels::{Call, Part, add, channel_affine, copy_channels, gate, max_pool2d_backward};
use crate::methods;
use crate::rules::Rule;

/// The signal at each node's output, as far as it has come.
#[derive(Clone, Debug)]
pub(super) struct Signals(Vec<Option<Slot>>);

impl Signals {
    /// A signal at one node.
    pub(super) fn at(nodes: usize, id: NodeId, signal: Slot) -> Self {
        let mut signals = vec![None; nodes];
        signals[id.0] = Some(signal);
        Self(signals)
    }

    /// Takes the signal of a node, if one has come there.
    pub(super) fn take(&mut self, id: NodeId) -> Option<Slot> {
        self.0[id.0].take()
    }

    /// Signals that meet add up.
    fn arrive(&mut self, b: &mut Builder, id: NodeId, signal: Slot) {
        let met = self.0[id.0].map_or(signal, |other| {
            let len = b.len(signal);
            let call = Call::Add(add::Params { total: word(len) });
            b.emit(call, &[Operand::Value(other), Operand::Value(signal)], len)
        });
        self.0[id.0] = Some(met);
    }
}

/// How signals go down.
#[derive(Clone, Copy)]
pub(super) struct Walker<'a> {
    pub(super) plan: &'a Plan<'a>,
    /// The rule of each node that has one.
    pub(super) rules: &'a [Option<Rule>],
    pub(super) non_negative: &'a [bool],
    pub(super) kind: methods::Walk,
    /// Rows of the signal for each picture.
    pub(super) repeat: usize,
}

impl Walker<'_> {
    /// Takes the signals through all nodes after `end`, which is left alone.
    pub(super) fn descend(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        forward: &Forward,
        signals: &mut Signals,
        end: NodeId,
    ) -> Result<()> {
        for id in (end.0 + 1..self.plan.network.graph().nodes().len()).rev().map(NodeId) {
            if let Some(r) = signals.take(id) {
                for (input, signal) in self.through(b, shared, forward, id, r, false)? {
                    signals.arrive(b, input, signal);
                }
            }
        }
        Ok(())
    }

    /// What one node sends to its inputs.
    pub(super) fn through(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        forward: &Forward,
        id: NodeId,
        r: Slot,
        mirrored: bool,
    ) -> Result<Vec<(NodeId, Slot)>> {
        let network = self.plan.network;
        let graph = network.graph();
        let node = graph.node(id);
        b.at(&node.name, &self.note(id, mirrored));
        let rows = self.plan.batch * self.repeat;
        let input = |i: usize| node.inputs[i];
        let one = |signal: Slot| vec![(input(0), signal)];
        Ok(match &node.op {
            Op::Input => Vec::new(),
            Op::Conv2d(_) | Op::Linear(_) | Op::AvgPool2d(_) | Op::AdaptiveAvgPool2d(_) => {
                let operator = Operator::of(network, id, self.plan.limits)
                    .expect("weights are bound, and these layers are operators");
                let rule = self.rules[id.0].expect("operators have rules");
                if self.kind != methods::Walk::Relevance || rule == Rule::Even {
                    let parts = Parts { weight: Part::All, bias: Part::Nothing, gamma: 0.0 };
                    one(operator.transpose(b, rows, r, parts))
                } else {
                    let layer = self.layer(forward, id, rule, mirrored);
                    one(layer.hand_down(b, shared, &operator, r)?)
                }
            }
            Op::Relu => one(match self.kind {
                methods::Walk::Relevance => r,
                methods::Walk::Gradient(mode) => self.gate(b, mode, r, forward.value(id)),
            }),
            Op::MaxPool2d(pool) => {
                let shape = graph.node(input(0)).shape;
                let params = max_pool2d_backward::Params {
                    pool: max_pool_geometry(pool, shape, node.shape, rows),
                    repeat: word(self.repeat),
                };
                let reads = [Operand::Value(forward.winners(id)), Operand::Value(r)];
                let call = Call::MaxPool2dBackward(params);
                one(b.emit(call, &reads, rows * shape.len()))
            }
            Op::BatchNorm2d { .. } | Op::ChannelAffine { .. } => one(match self.kind {
                methods::Walk::Relevance => r,
                methods::Walk::Gradient(_) => {
                    let (scale, _) = affine(network, id).expect("both scale channels");
                    let scale = vector(b, Source::Made(scale));
                    let len = b.len(r);
                    let channels = word(node.shape.channels);
                    let params = channel_affine::Params { total: word(len), channels, shifted: 0 };
                    b.emit(Call::ChannelAffine(params), &[Operand::Value(r), scale, scale], len)
                }
            }),
            Op::Add => match self.kind {
                methods::Walk::Relevance => {
                    let rule = self.rules[id.0].expect("additions have rules");
                    let layer = self.layer(forward, id, rule, mirrored);
                    node.inputs.iter().copied().zip(layer.hand_down_sum(b, r)).collect()
                }
                methods::Walk::Gradient(_) => node.inputs.iter().map(|input| (*input, r)).collect(),
            },
            Op::Concat => {
                let cut = |(first, input, shape): (usize, NodeId, crate::tensor::Shape)| {
                    let params = copy_channels::Params {
                        positions: word(rows * shape.height * shape.width),
                        from_channels: word(node.shape.channels),
                        from_first: word(first),
                        to_channels: word(shape.channels),
                        to_first: 0,
                        count: word(shape.channels),
                    };
                    let call = Call::CopyChannels(params);
                    (input, b.emit(call, &[Operand::Value(r)], rows * shape.len()))
                };
                slices(network, id).into_iter().map(cut).collect()
            }
            Op::Flatten => one(planes(b, graph.node(input(0)).shape, rows, r, false)),
            Op::Dropout => one(r),
        })
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
            forward,
            id,
            rule,
            repeat: self.repeat,
            mirrored,
            non_negative: self.non_negative[input.0],
        }
    }

    fn gate(&self, b: &mut Builder, mode: gate::Mode, g: Slot, y: Slot) -> Slot {
        let len = b.len(g);
        let call = Call::Gate(gate::Params {
            total: word(len),
            count: word(len / (self.plan.batch * self.repeat)),
            repeat: word(self.repeat),
            mode: mode as u32,
            upper: f32::MAX,
        });
        b.emit(call, &[Operand::Value(g), Operand::Value(y)], len)
    }

    fn note(&self, id: NodeId, mirrored: bool) -> String {
        match self.kind {
            methods::Walk::Relevance => {
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
