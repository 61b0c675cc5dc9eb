//! What is explained: weighted sums of a layer's outputs, one for each target.

use super::forward::Forward;
use super::lower::{Plan, Targets};
use super::operator::word;
use super::{Builder, Element, Operand, Slot};
use crate::kernels::{Call, dot_rows, gather, one_hot, seed, softmax, sum_rows, top_k};

/// The targets of a run. What only walks need of them is made when one starts.
#[derive(Debug)]
pub(super) struct Readout {
    /// The layer's outputs.
    outputs: Slot,
    /// What says which ones.
    targets: Chosen,
    /// The value of each target.
    pub(super) sums: Slot,
    /// The targets as rows.
    rows: Option<Rows>,
    /// The outputs as probabilities, and the value of each target among them.
    shares: Option<(Slot, Slot)>,
}

/// What says which targets there are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chosen {
    /// The numbers of outputs.
    Units(Slot),
    /// Weights and duals.
    Rows(Slot, Slot),
}

/// Targets as rows over the layer's outputs.
#[derive(Clone, Copy, Debug)]
struct Rows {
    /// The weight of each output in each target.
    weights: Slot,
    /// 1 at each output that a target is set against.
    duals: Slot,
    /// How many those are.
    dual_sums: Slot,
}

impl Readout {
    /// The program's inputs that say what the targets are; none for the best.
    pub(super) fn inputs(b: &mut Builder, plan: &Plan<'_>) -> Option<Chosen> {
        let numbers = plan.batch * plan.targets.count() * units_of(plan);
        match plan.targets {
            Targets::Top(_) => None,
            Targets::Given(count) => {
                Some(Chosen::Units(b.input(Element::Index, plan.batch * count)))
            }
            Targets::Weighted { .. } => {
                let weights = b.input(Element::Float, numbers);
                Some(Chosen::Rows(weights, b.input(Element::Float, numbers)))
            }
        }
    }

    /// Reads the layer's outputs.
    pub(super) fn new(
        b: &mut Builder,
        plan: &Plan<'_>,
        forward: &Forward,
        given: Option<Chosen>,
    ) -> Self {
        let outputs = forward.value(plan.at);
        b.at("targets", "forward");
        let targets = given.unwrap_or_else(|| Chosen::Units(best(b, plan, outputs)));
        let sums = values(b, plan, targets, outputs);
        Self { outputs, targets, sums, rows: None, shares: None }
    }

    /// The number of each target's output, where it is one.
    pub(super) fn units(&self) -> Option<Slot> {
        match self.targets {
            Chosen::Units(units) => Some(units),
            Chosen::Rows(..) => None,
        }
    }

    /// Rows that walks start with, mode by mode.
    pub(super) fn seed(&mut self, b: &mut Builder, plan: &Plan<'_>, modes: &[seed::Mode]) -> Slot {
        let (targets, units) = (plan.targets.count(), units_of(plan));
        let rows = modes.len() * targets;
        b.at("targets", "seed");
        let Rows { weights, duals, dual_sums } = self.rows(b, plan);
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
            let reads = [outputs, weights, duals, sums, dual_sums].map(Operand::Value);
            b.emit_into(call, &reads, &[out]);
        }
        out
    }

    fn rows(&mut self, b: &mut Builder, plan: &Plan<'_>) -> Rows {
        if let Some(rows) = self.rows {
            return rows;
        }
        let (weights, duals) = match self.targets {
            Chosen::Rows(weights, duals) => (weights, duals),
            Chosen::Units(units) => (one_hot(b, plan, units, 0), one_hot(b, plan, units, 1)),
        };
        let rows = plan.batch * plan.targets.count();
        let count = sum_rows::Params { rows: word(rows), count: word(units_of(plan)) };
        let dual_sums = b.emit(Call::SumRows(count), &[Operand::Value(duals)], rows);
        let made = Rows { weights, duals, dual_sums };
        self.rows = Some(made);
        made
    }

    fn shares(&mut self, b: &mut Builder, plan: &Plan<'_>) -> (Slot, Slot) {
        if let Some(shares) = self.shares {
            return shares;
        }
        let call =
            Call::Softmax(softmax::Params { batch: word(plan.batch), count: word(units_of(plan)) });
        let of_units = b.emit(call, &[Operand::Value(self.outputs)], plan.batch * units_of(plan));
        let shares = (of_units, values(b, plan, self.targets, of_units));
        self.shares = Some(shares);
        shares
    }
}

/// Outputs of the layer that is explained.
fn units_of(plan: &Plan<'_>) -> usize {
    plan.network.graph().node(plan.at).shape.len()
}

/// The numbers of the highest outputs.
fn best(b: &mut Builder, plan: &Plan<'_>, outputs: Slot) -> Slot {
    let count = plan.targets.count();
    let call = Call::TopK(top_k::Params {
        batch: word(plan.batch),
        classes: word(units_of(plan)),
        k: word(count),
    });
    b.emit_index(call, &[Operand::Value(outputs)], plan.batch * count)
}

/// Rows that are 1 at the unit and 0 elsewhere, or the other way round.
fn one_hot(b: &mut Builder, plan: &Plan<'_>, units: Slot, others: u32) -> Slot {
    let total = plan.batch * plan.targets.count() * units_of(plan);
    let params = one_hot::Params { total: word(total), count: word(units_of(plan)), others };
    b.emit(Call::OneHot(params), &[Operand::Value(units)], total)
}

/// The value of each target among these outputs.
fn values(b: &mut Builder, plan: &Plan<'_>, targets: Chosen, outputs: Slot) -> Slot {
    let (repeat, count) = (word(plan.targets.count()), word(units_of(plan)));
    let rows = plan.batch * plan.targets.count();
    let (call, of) = match targets {
        Chosen::Rows(weights, _) => {
            (Call::DotRows(dot_rows::Params { rows: word(rows), count, repeat }), weights)
        }
        Chosen::Units(units) => {
            (Call::Gather(gather::Params { rows: word(rows), count, repeat }), units)
        }
    };
    b.emit(call, &[Operand::Value(of), Operand::Value(outputs)], rows)
}
