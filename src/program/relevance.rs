//! One engine for all rules: `z = sum of M(W) m(a)`, `s = r / z`, `c = M(W)^T s`,
//! `r' = scale * m(a) * c`.

use std::collections::HashMap;

use super::forward::{Forward, affine};
use super::ledger::{Loss, Record, tallied};
use super::lower::Plan;
use super::moves;
use super::operator::{Operator, Parts, bias_operand, vector, word};
use super::signals::{Product, Signal};
use super::{Builder, Operand, Slot, Source};
use crate::error::{Error, Result};
use crate::graph::{NodeId, Op};
use crate::kernels::{
    Call, Part, channel_affine, channel_constant, clamp, gate, leaks, multiply_difference,
    stabilized_gate, stabilized_ratio,
};
use crate::rules::{Composite, Fraction, Input, Outputs, Rule};

/// What several walks and rows share: parts of inputs and denominators. Where somebody watches,
/// what layers got, handed down and lost is put on record, too.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// By the value and the part.
    parts: HashMap<(Slot, Input), (Slot, usize)>,
    /// By the layer, the value it read and the fraction's text (it holds floats).
    denominators: HashMap<(NodeId, Slot, String), (Slot, usize)>,
    pub(super) is_watched: bool,
    /// Of the present layer.
    pub(super) losses: Vec<Loss>,
    pub(super) records: Vec<Record>,
}

impl Shared {
    /// Nothing is shared yet.
    pub(super) fn watching(is_watched: bool) -> Self {
        Self { is_watched, ..Self::default() }
    }
}

/// A layer about to hand its relevance down.
pub(super) struct Layer<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) composite: &'a Composite,
    pub(super) forward: &'a Forward,
    pub(super) id: NodeId,
    pub(super) rule: Rule,
    /// Rows of the signal for each picture.
    pub(super) repeat: usize,
    /// Whether the layer's weight and bias are negated (CLRP2's dual).
    pub(super) mirrored: bool,
    /// Whether the layer's input is known to be 0 or more.
    pub(super) non_negative: bool,
}

impl Layer<'_> {
    /// The relevance at the layer's input.
    pub(super) fn hand_down(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        operator: &Operator,
        arrived: Signal,
    ) -> Result<Signal> {
        let fractions = self.rule.fractions(self.composite.bias());
        let fractions = fractions.expect("rules that apply to operators are made of fractions");
        let input = self.plan.network.graph().node(self.id).inputs[0];
        let input_len = self.plan.network.graph().node(input).shape.len();
        let rows = self.plan.batch * self.repeat;
        let fractions: Vec<Fraction> =
            fractions.iter().map(|fraction| self.fitted(fraction)).collect();
        let r = arrived.make(b);
        let is_single = fractions.iter().map(|fraction| fraction.terms.len()).sum::<usize>() == 1;
        let mut handed: Option<Slot> = None;
        for fraction in fractions.iter().filter(|fraction| !fraction.terms.is_empty()) {
            let z = self.denominator(b, shared, operator, fraction)?;
            let served = self.served(b, fraction, r);
            if shared.is_watched {
                let bias = operator.bias(b, fraction.bias);
                let causes = self.causes(b, served, z, bias, fraction.gamma);
                let served = (served != r).then(|| tallied(b, served, rows));
                shared.losses.push(Loss { scale: fraction.scale, causes, served });
            }
            let s = self.ratio(b, served, z);
            if fractions.len() == 1
                && let Some(handed) = self.handed_at_once(b, operator, fraction, s)
            {
                return Ok(Signal::Value(handed));
            }
            for (part, weight) in &fraction.terms {
                let parts = Parts { weight: *weight, bias: Part::Nothing, gamma: fraction.gamma };
                let c = operator.transpose(b, rows, s, parts);
                let a = self.input_part(b, shared, *part)?;
                let product = self.product(b, a, fraction.scale, c);
                if is_single {
                    return Ok(Signal::Product(product));
                }
                handed = Some(product.make(b, handed));
            }
        }
        Ok(Signal::Value(handed.unwrap_or_else(|| constant(b, rows * input_len, &[0.0]))))
    }

    /// Of a part of the input, whose pictures lie `stride` apart, and what is handed down.
    fn product(&self, b: &Builder, (a, stride): (Slot, usize), scale: f32, c: Slot) -> Product {
        let rows = self.plan.batch * self.repeat;
        Product { a, stride, repeat: self.repeat, rows, scale, c, place: b.place() }
    }

    /// The fraction for this layer as it stands: negated or not, its input's sign known or not.
    fn fitted(&self, fraction: &Fraction) -> Fraction {
        let fraction = if self.mirrored { fraction.mirrored() } else { fraction.clone() };
        fraction.fitted(self.non_negative)
    }

    /// The denominators, and how far apart those of two pictures lie (0: all have the same).
    fn denominator(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        operator: &Operator,
        fraction: &Fraction,
    ) -> Result<(Slot, usize)> {
        let graph = self.plan.network.graph();
        let input = self.forward.value(graph.node(self.id).inputs[0]);
        let key = (self.id, input, format!("{fraction:?}"));
        if let Some(z) = shared.denominators.get(&key) {
            return Ok(*z);
        }
        let count = graph.node(self.id).shape.len();
        let (batch, stride) = match fraction.sees_input() {
            true => (self.plan.batch, count),
            false => (1, 0),
        };
        let made_along = match fraction.terms[..] {
            [(Input::All, weight)] => {
                let parts = Parts { weight, bias: fraction.bias, gamma: fraction.gamma };
                self.forward.denominators(self.id, input, parts)
            }
            _ => None,
        };
        if let Some(z) = made_along {
            return Ok((z, stride));
        }
        let mut z = self.made_of_outputs(b, operator, fraction);
        if z.is_none() {
            for (part, weight) in &fraction.terms {
                let (a, _) = self.input_part(b, shared, *part)?;
                let bias = if z.is_none() { fraction.bias } else { Part::Nothing };
                let parts = Parts { weight: *weight, bias, gamma: fraction.gamma };
                z = Some(operator.apply(b, batch, a, parts, z));
            }
        }
        let z = (z.expect("fractions without terms were passed over"), stride);
        shared.denominators.insert(key, z);
        Ok(z)
    }

    /// The denominators from the layer's outputs, where these differ by what no picture changes: those of
    /// z-box.
    fn made_of_outputs(
        &self,
        b: &mut Builder,
        operator: &Operator,
        fraction: &Fraction,
    ) -> Option<Slot> {
        let (before, [low, high]) = self.z_box(fraction)?;
        let outputs_and_inputs = [self.id, before].map(|id| self.forward.value(id));
        operator.box_denominators(b, self.plan.batch, outputs_and_inputs, [&low, &high])
    }

    /// What is handed down, where one kernel makes all of it: that of z-box.
    fn handed_at_once(
        &self,
        b: &mut Builder,
        operator: &Operator,
        fraction: &Fraction,
        s: Slot,
    ) -> Option<Slot> {
        let (before, [low, high]) = self.z_box(fraction).filter(|_| fraction.scale == 1.0)?;
        let rows = [self.plan.batch * self.repeat, self.repeat];
        let signal_and_inputs = [s, self.forward.value(before)];
        operator.box_relevance(b, rows, signal_and_inputs, [&low, &high])
    }

    /// The layer before one whose fraction is that of z-box, and its bounds; none where it has no bounds for
    /// all of it, as with zeros around a picture.
    fn z_box(&self, fraction: &Fraction) -> Option<(NodeId, [Vec<f64>; 2])> {
        let z_box = [(Input::AboveLow, Part::Positive), (Input::BelowHigh, Part::Negative)];
        if fraction.terms[..] != z_box || fraction.bias != Part::Nothing {
            return None;
        }
        let before = self.plan.network.graph().node(self.id).inputs[0];
        let (low, high) = self.bounds(before).ok()?;
        Some((before, [low, high]))
    }

    /// The relevance of the outputs that the fraction serves.
    fn served(&self, b: &mut Builder, fraction: &Fraction, r: Slot) -> Slot {
        let mode = match fraction.outputs {
            Outputs::All => return r,
            Outputs::Positive => gate::Mode::Active,
            Outputs::Negative => gate::Mode::Negative,
        };
        let len = b.len(r);
        let count = word(len / (self.plan.batch * self.repeat));
        let repeat = word(self.repeat);
        let call = Call::Gate(gate::Params::new(word(len), count, repeat, mode, [0.0, f32::MAX]));
        let y = self.forward.value(self.id);
        b.emit(call, &[Operand::Value(r), Operand::Value(y)], len)
    }

    fn ratio(&self, b: &mut Builder, r: Slot, (z, stride): (Slot, usize)) -> Slot {
        let len = b.len(r);
        let call = Call::StabilizedRatio(stabilized_ratio::Params {
            total: word(len),
            count: word(len / (self.plan.batch * self.repeat)),
            repeat: word(self.repeat),
            stride: word(stride),
            epsilon: self.epsilon(),
        });
        b.emit(call, &[Operand::Value(r), Operand::Value(z)], len)
    }

    fn epsilon(&self) -> f32 {
        self.rule.epsilon().unwrap_or(self.composite.stabilizer())
    }

    /// What the denominators keep of each row, by cause.
    fn causes(
        &self,
        b: &mut Builder,
        r: Slot,
        (z, stride): (Slot, usize),
        (bias, part, channels): (Operand, Part, usize),
        gamma: f32,
    ) -> Slot {
        let rows = self.plan.batch * self.repeat;
        let call = Call::Leaks(leaks::Params {
            rows: word(rows),
            count: word(b.len(r) / rows),
            repeat: word(self.repeat),
            stride: word(stride),
            channels: word(channels),
            epsilon: self.epsilon(),
            bias_part: part.code(),
            gamma,
        });
        b.emit(call, &[Operand::Value(r), Operand::Value(z), bias], rows * leaks::CAUSES)
    }

    /// Residual addition: each input in proportion to its share of the sum, evenly, or all of it
    /// to each.
    pub(super) fn hand_down_sum(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        arrived: Signal,
        spared: Option<NodeId>,
    ) -> Vec<Signal> {
        let node = self.plan.network.graph().node(self.id);
        let count = node.shape.len();
        match self.rule {
            Rule::Pass => return vec![Signal::Value(arrived.make(b)); node.inputs.len()],
            Rule::Even => {
                let r = arrived.make(b);
                let len = b.len(r);
                let share = 1.0 / node.inputs.len() as f32;
                let call = Call::Clamp(clamp::Params::scale(word(len), share));
                let shared = Signal::Value(b.emit(call, &[Operand::Value(r)], len));
                return vec![shared; node.inputs.len()];
            }
            Rule::Norm => {}
            Rule::Epsilon { .. }
            | Rule::Gamma { .. }
            | Rule::ZPlus
            | Rule::AlphaBeta { .. }
            | Rule::ZBox
            | Rule::WSquare
            | Rule::Flat => unreachable!("composites give additions no such rule"),
        }
        // A ledger needs what arrives.
        if let Signal::Product(product) = arrived
            && !shared.is_watched
            && self.is_of_own_relu(product.a)
        {
            return self.hand_down_positive_sum(b, product, spared);
        }
        let r = arrived.make(b);
        let z = (self.forward.value(self.id), count);
        if shared.is_watched {
            let bias = bias_operand(b, None, Part::Nothing);
            let causes = self.causes(b, r, z, bias, 0.0);
            shared.losses.push(Loss { scale: 1.0, causes, served: None });
        }
        let s = self.ratio(b, r, z);
        let share = |input: &NodeId| {
            let a = (self.forward.value(*input), count);
            Signal::Product(self.product(b, a, 1.0, s))
        };
        node.inputs.iter().map(share).collect()
    }

    /// The same where relevance is a product with what a ReLU made of the sums, so that nothing arrives where
    /// these are 0 or less: elsewhere the ReLU's output is the sum, which need not be kept. Nor need the term
    /// `spared`, which is the sum less the other one.
    fn hand_down_positive_sum(
        &self,
        b: &mut Builder,
        product: Product,
        spared: Option<NodeId>,
    ) -> Vec<Signal> {
        let node = self.plan.network.graph().node(self.id);
        let s = self.gated(b, product);
        let share = |input: &NodeId| match spared.filter(|spared| spared == input) {
            Some(spared) => {
                let rest = node.inputs.iter().find(|input| **input != spared);
                let rest = self.forward.value(*rest.expect("sums have two terms"));
                Signal::Value(times_difference(b, product, rest, s))
            }
            None => {
                let a = (self.forward.value(*input), node.shape.len());
                Signal::Product(self.product(b, a, 1.0, s))
            }
        };
        node.inputs.iter().map(share).collect()
    }

    /// Whether a value is what a ReLU made of this layer's output. What a ReLU6 made is not the sum where it
    /// clips.
    fn is_of_own_relu(&self, a: Slot) -> bool {
        let nodes = self.plan.network.graph().nodes().iter().zip(&self.forward.values);
        nodes
            .filter(|(node, _)| node.op == Op::Relu && node.inputs[0] == self.id)
            .any(|(_, value)| *value == Some(a))
    }

    /// The ratio of a product to its own factor.
    fn gated(
        &self,
        b: &mut Builder,
        Product { a, stride, repeat, rows, scale, c, .. }: Product,
    ) -> Slot {
        let len = b.len(c);
        let call = Call::StabilizedGate(stabilized_gate::Params {
            total: word(len),
            count: word(len / rows),
            repeat: word(repeat),
            stride: word(stride),
            scale,
            epsilon: self.epsilon(),
        });
        b.emit(call, &[Operand::Value(a), Operand::Value(c)], len)
    }

    /// A part of the layer's input, and how far apart two pictures lie in it (0: one for all).
    fn input_part(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        part: Input,
    ) -> Result<(Slot, usize)> {
        self.part_of(b, shared, self.plan.network.graph().node(self.id).inputs[0], part)
    }

    fn part_of(
        &self,
        b: &mut Builder,
        shared: &mut Shared,
        id: NodeId,
        part: Input,
    ) -> Result<(Slot, usize)> {
        let graph = self.plan.network.graph();
        let a = self.forward.value(id);
        let node = graph.node(id);
        let shape = node.shape;
        if part == Input::All {
            return Ok((a, shape.len()));
        }
        if let Some(known) = shared.parts.get(&(a, part)) {
            return Ok(*known);
        }
        let len = self.plan.batch * shape.len();
        let from = [Operand::Value(a)];
        let made = match part {
            Input::All => (a, shape.len()),
            Input::Positive => {
                (b.emit(Call::Clamp(clamp::Params::relu(word(len))), &from, len), shape.len())
            }
            Input::Negative => {
                (b.emit(Call::Clamp(clamp::Params::negative(word(len))), &from, len), shape.len())
            }
            Input::One => (constant(b, shape.len(), &vec![1.0; shape.channels]), 0),
            Input::AboveLow | Input::BelowHigh => {
                // Bounds are 0 where zeros were put around the picture, as the picture is.
                if let Op::ZeroPad2d(zeros) = node.op {
                    let (inner, _) = self.part_of(b, shared, node.inputs[0], part)?;
                    let from = graph.node(node.inputs[0]).shape;
                    (moves::pad(b, from, self.plan.batch, inner, zeros), shape.len())
                } else if matches!(node.op, Op::Dropout | Op::Identity) {
                    return self.part_of(b, shared, node.inputs[0], part);
                } else {
                    let bounds = self.bounds(id)?;
                    let bound = if part == Input::AboveLow { bounds.0 } else { bounds.1 };
                    let scale = vector(b, Source::Made(vec![1.0; shape.channels]));
                    let shift = vector(b, Source::Made(bound.iter().map(|bound| -bound).collect()));
                    let channels = word(shape.channels);
                    let params = channel_affine::Params { total: word(len), channels, shifted: 1 };
                    let call = Call::ChannelAffine(params);
                    (b.emit(call, &[from[0], scale, shift], len), shape.len())
                }
            }
        };
        shared.parts.insert((a, part), made);
        Ok(made)
    }

    /// The least and greatest values that the picture's channels can have at that node, unless
    /// zeros were put around it, which have other bounds than it has.
    fn bounds(&self, id: NodeId) -> Result<(Vec<f64>, Vec<f64>)> {
        let graph = self.plan.network.graph();
        let node = graph.node(id);
        match &node.op {
            Op::Input => Ok((self.plan.bounds.low.clone(), self.plan.bounds.high.clone())),
            Op::Dropout | Op::Identity => self.bounds(node.inputs[0]),
            Op::ChannelAffine { .. } | Op::BatchNorm2d { .. } => {
                let (scale, shift) = affine(self.plan.network, id).expect("it scales channels");
                let (low, high) = self.bounds(node.inputs[0])?;
                let at = |bound: &[f64], c: usize| bound[c] * scale[c] + shift[c];
                let ends: Vec<(f64, f64)> =
                    (0..scale.len()).map(|c| (at(&low, c), at(&high, c))).collect();
                Ok(ends.iter().map(|(a, b)| (a.min(*b), a.max(*b))).unzip())
            }
            Op::Narrow { start, length } => {
                let (low, high) = self.bounds(node.inputs[0])?;
                let taken = *start..start + length;
                Ok((low[taken.clone()].to_vec(), high[taken].to_vec()))
            }
            Op::Concat => {
                let (mut low, mut high) = (Vec::new(), Vec::new());
                for input in &node.inputs {
                    let of_input = self.bounds(*input)?;
                    low.extend(of_input.0);
                    high.extend(of_input.1);
                }
                Ok((low, high))
            }
            Op::Conv2d(_)
            | Op::Linear(_)
            | Op::Relu
            | Op::Hardtanh { .. }
            | Op::MaxPool2d(_)
            | Op::AvgPool2d(_)
            | Op::AdaptiveAvgPool2d(_)
            | Op::LocalResponseNorm(_)
            | Op::Add
            | Op::ZeroPad2d(_)
            | Op::ChannelShuffle { .. }
            | Op::Flatten => Err(Error::RuleMismatch {
                rule: self.rule.to_string(),
                layer: graph.node(self.id).name.clone(),
                op: "its input has no known bounds",
            }),
        }
    }
}

/// Planes of one value a channel.
pub(super) fn constant(b: &mut Builder, len: usize, values: &[f64]) -> Slot {
    let channels = word(values.len());
    let values = vector(b, Source::Made(values.to_vec()));
    let call = Call::ChannelConstant(channel_constant::Params { total: word(len), channels });
    b.emit(call, &[values], len)
}

/// `(y - rest) s` of the sums `y` that a product has. Where `rest` is nearly the sum, the difference has but a
/// few digits, as the walk must allow for.
fn times_difference(b: &mut Builder, sums: Product, rest: Slot, s: Slot) -> Slot {
    let len = b.len(s);
    let count = len / sums.rows;
    debug_assert_eq!(sums.stride, count, "each picture has sums of its own");
    let call = Call::MultiplyDifference(multiply_difference::Params {
        total: word(len),
        count: word(count),
        repeat: word(sums.repeat),
    });
    b.emit(call, &[sums.a, rest, s].map(Operand::Value), len)
}
