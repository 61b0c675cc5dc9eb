//! What is explained: weighted sums of a layer's outputs, one for each target.

use super::forward::Forward;
use super::lower::{Plan, Targets};
use super::operator::word;
use super::{Builder, Element, Operand, Slot};
use crate::kernels::{Call, dot_rows, one_hot, seed, softmax, sum_rows, top_k};

/// The targets of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readout {
    /// The layer's outputs.
    outputs: Slot,
    /// The number of each target's output, where it is one.
    pub(super) units: Option<Slot>,
    /// The weight of each output in each target.
    weights: Slot,
    /// 1 at each output that a target is set against.
    duals: Slot,
    /// The value of each target.
    pub(super) sums: Slot,
    /// How many outputs each target is set against.
    dual_sums: Slot,
    /// The outputs as probabilities, and the value of each target among them.
    shares: Option<(Slot, Slot)>,
}

/// What the caller gives of the targets.
pub(super) enum Given {
    /// Nothing.
    Nothing,
    /// Their numbers.
    Units(Slot),
    /// Weights and duals.
    Rows(Slot, Slot),
}

impl Readout {
    /// The program's inputs that say what the targets are.
    pub(super) fn inputs(b: &mut Builder, plan: &Plan<'_>) -> Given {
        let numbers = plan.batch * plan.targets.count() * units_of(plan);
        match plan.targets {
            Targets::Top(_) => Given::Nothing,
            Targets::Given(count) => Given::Units(b.input(Element::Index, plan.batch * count)),
            Targets::Weighted { .. } => {
                let weights = b.input(Element::Float, numbers);
                Given::Rows(weights, b.input(Element::Float, numbers))
            }
        }
    }

    /// Reads the layer's outputs.
    pub(super) fn new(b: &mut Builder, plan: &Plan<'_>, forward: &Forward, given: Given) -> Self {
        let outputs = forward.value(plan.at);
        b.at("targets", "forward");
        let (units, weights, duals) = match given {
            Given::Rows(weights, duals) => (None, weights, duals),
            Given::Units(units) => one_hots(b, plan, units),
            Given::Nothing => {
                let (batch, k) = (word(plan.batch), word(plan.targets.count()));
                let classes = word(units_of(plan));
                let call = Call::TopK(top_k::Params { batch, classes, k });
                let count = plan.batch * plan.targets.count();
                let units = b.emit_index(call, &[Operand::Value(outputs)], count);
                one_hots(b, plan, units)
            }
        };
        let sums = dots(b, plan, weights, outputs);
        let rows = plan.batch * plan.targets.count();
        let count = sum_rows::Params { rows: word(rows), count: word(units_of(plan)) };
        let dual_sums = b.emit(Call::SumRows(count), &[Operand::Value(duals)], rows);
        Self { outputs, units, weights, duals, sums, dual_sums, shares: None }
    }

    /// Rows that walks start with, mode by mode.
    pub(super) fn seed(&mut self, b: &mut Builder, plan: &Plan<'_>, modes: &[seed::Mode]) -> Slot {
        let (targets, units) = (plan.targets.count(), units_of(plan));
        let rows = modes.len() * targets;
        b.at("targets", "seed");
        let out = b.value(Element::Float, plan.batch * rows * units);
        for (i, mode) in modes.iter().enumerate() {
            let (outputs, sums) = match mode {
                seed::Mode::Probability => self.shares(b, plan),
                seed::Mode::Score
                | seed::Mode::Contrast
                | seed::Mode::OtherScores
                | seed::Mode::One
                | seed::Mode::OneAgainst => (self.outputs, self.sums),
            };
            let call = Call::Seed(seed::Params {
                batch: word(plan.batch),
                count: word(units),
                rows: word(rows),
                first: word(i * targets),
                targets: word(targets),
                mode: *mode as u32,
            });
            let reads = [outputs, self.weights, self.duals, sums, self.dual_sums];
            let reads = reads.map(Operand::Value);
            b.emit_into(call, &reads, &[out]);
        }
        out
    }

    fn shares(&mut self, b: &mut Builder, plan: &Plan<'_>) -> (Slot, Slot) {
        if let Some(shares) = self.shares {
            return shares;
        }
        let call =
            Call::Softmax(softmax::Params { batch: word(plan.batch), count: word(units_of(plan)) });
        let of_units = b.emit(call, &[Operand::Value(self.outputs)], plan.batch * units_of(plan));
        let shares = (of_units, dots(b, plan, self.weights, of_units));
        self.shares = Some(shares);
        shares
    }
}

/// Outputs of the layer that is explained.
fn units_of(plan: &Plan<'_>) -> usize {
    plan.network.graph().node(plan.at).shape.len()
}

/// Weights and duals of single outputs.
fn one_hots(b: &mut Builder, plan: &Plan<'_>, numbers: Slot) -> (Option<Slot>, Slot, Slot) {
    let total = plan.batch * plan.targets.count() * units_of(plan);
    let mut rows = |others| {
        let params = one_hot::Params { total: word(total), count: word(units_of(plan)), others };
        b.emit(Call::OneHot(params), &[Operand::Value(numbers)], total)
    };
    (Some(numbers), rows(0), rows(1))
}

/// The weighted sum of the outputs for each target.
fn dots(b: &mut Builder, plan: &Plan<'_>, weights: Slot, outputs: Slot) -> Slot {
    let targets = plan.targets.count();
    let rows = plan.batch * targets;
    let call = Call::DotRows(dot_rows::Params {
        rows: word(rows),
        count: word(units_of(plan)),
        repeat: word(targets),
    });
    b.emit(call, &[Operand::Value(weights), Operand::Value(outputs)], rows)
}
