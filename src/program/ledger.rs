//! What relevance each layer gets, hands down and loses, as outputs of a program.

use super::operator::word;
use super::relevance::Shared;
use super::{Builder, Operand, Slot};
use crate::graph::NodeId;
use crate::kernels::{Call, leaks, tally};
use crate::methods::{Method, Start};

/// Numbers of a tally: sum, sum of absolute values, least, greatest.
pub const TALLY: usize = tally::FIELDS_OF_A_ROW;

/// Causes of loss: bias, stabilizer, outputs that nothing contributes to.
pub const CAUSES: usize = leaks::CAUSES;

/// A layer's part of a walk of relevance. Tallies are outputs of `batch * rows` times [`TALLY`]
/// numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The layer.
    pub node: NodeId,
    /// The rule that was applied.
    pub rule: String,
    /// Rows of each picture.
    pub rows: usize,
    /// The methods whose relevance this is.
    pub methods: Vec<MethodRows>,
    /// Output: the tallies of what the layer got.
    pub arrived: usize,
    /// Outputs: the tallies of what each input got.
    pub sent: Vec<usize>,
    /// What denominators kept.
    pub losses: Vec<LossOutput>,
    /// Whether all that is lost went to padding.
    pub is_padding: bool,
}

/// Which of an entry's rows are a method's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MethodRows {
    /// The method.
    pub method: Method,
    /// The row of the first target; the others follow.
    pub first: usize,
    /// The factor with which rows count: -1 for the dual of a contrast.
    pub sign: f64,
}

/// What the denominators of one fraction kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossOutput {
    /// The factor of the fraction.
    pub scale: f32,
    /// Output: `batch * rows` times what went to each of the [`CAUSES`].
    pub causes: usize,
    /// Output: the tallies of the relevance that the fraction serves, where that is not all.
    pub served: Option<usize>,
}

/// What the denominators of one fraction keep.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) scale: f32,
    pub(super) causes: Slot,
    pub(super) served: Option<Slot>,
}

/// An entry whose places among the outputs are not known yet.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) node: NodeId,
    pub(super) rule: String,
    pub(super) arrived: Slot,
    pub(super) sent: Vec<Slot>,
    pub(super) losses: Vec<Loss>,
    pub(super) is_padding: bool,
}

/// One side of a contrast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// What the contrast starts with.
    pub(super) start: Start,
    /// The factor with which the side counts.
    pub(super) sign: f64,
}

/// The records of all walks.
#[derive(Debug, Default)]
pub(super) struct Records {
    named: Vec<(Pending, Vec<MethodRows>)>,
    /// Of the present walk.
    pending: Vec<Pending>,
}

/// A record, before it is said whose it is.
#[derive(Debug)]
struct Pending {
    record: Record,
    /// Rows of each picture.
    rows: usize,
    side: Option<Side>,
}

impl Records {
    /// Takes what was recorded of a signal with that many rows.
    pub(super) fn take(&mut self, shared: &mut Shared, rows: usize, side: Option<Side>) {
        let records = shared.records.drain(..);
        self.pending.extend(records.map(|record| Pending { record, rows, side }));
    }

    /// Says which rows of the present walk are whose, and ends it.
    pub(super) fn name(
        &mut self,
        starts: &[Start],
        targets: usize,
        methods: impl Iterator<Item = (Method, Start)> + Clone,
    ) {
        for pending in self.pending.drain(..) {
            let of = |(method, start): (Method, Start)| match pending.side {
                Some(Side { start: of, sign }) => {
                    (of == start).then_some(MethodRows { method, first: 0, sign })
                }
                None => {
                    let place = starts.iter().position(|s| *s == start)?;
                    // The contrast's rows start deeper.
                    let rows = MethodRows { method, first: targets * place, sign: 1.0 };
                    (targets * (place + 1) <= pending.rows).then_some(rows)
                }
            };
            let methods = methods.clone().filter_map(of).collect();
            self.named.push((pending, methods));
        }
    }

    /// Makes the tallies outputs.
    pub(super) fn entries(self, b: &mut Builder) -> Vec<Entry> {
        let entry = |(Pending { record, rows, .. }, methods): (Pending, _)| Entry {
            node: record.node,
            rule: record.rule,
            rows,
            methods,
            arrived: b.output(record.arrived),
            sent: record.sent.into_iter().map(|slot| b.output(slot)).collect(),
            losses: record
                .losses
                .into_iter()
                .map(|loss| LossOutput {
                    scale: loss.scale,
                    causes: b.output(loss.causes),
                    served: loss.served.map(|slot| b.output(slot)),
                })
                .collect(),
            is_padding: record.is_padding,
        };
        self.named.into_iter().map(entry).collect()
    }
}

/// The tallies of a signal's rows.
pub(super) fn tallied(b: &mut Builder, signal: Slot, rows: usize) -> Slot {
    let count = word(b.len(signal) / rows);
    let call = Call::Tally(tally::Params { rows: word(rows), count });
    b.emit(call, &[Operand::Value(signal)], rows * tally::FIELDS_OF_A_ROW)
}
