//! The account of relevance: what each layer got, handed down and lost, and why.

use crate::backend::Output;
use crate::graph::Node;
use crate::program::{CAUSES, Entry, TALLY};

/// Where the relevance of one explanation went, from the target to the picture.
///
/// `start = arrived + the leaks of all rows`, up to rounding: [`unexplained`](Self::unexplained).
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// What the walk started with: `|score|` for LRP; 1 for excitation backprop, or for a channel as
    /// much as it has positions; 0 for what is set against something, and `|score|` where there is
    /// nothing to set it against. The account of `clrp1-logits` is that of the target's side, its
    /// other side is a walk of its own.
    pub start: f64,
    /// What arrived at the picture, before clamping.
    pub arrived: f64,
    /// The layers that changed something, in the order of the walk: last layer first.
    pub rows: Vec<LedgerRow>,
}

/// What one layer did.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerRow {
    /// The layer's name.
    pub layer: String,
    /// Its kind, in torch's words.
    pub kind: &'static str,
    /// The rule that was applied.
    pub rule: String,
    /// The relevance that the layer got.
    pub got: f64,
    /// The sum of its absolute values.
    pub magnitude: f64,
    /// The least relevance of an output.
    pub least: f64,
    /// The greatest relevance of an output.
    pub greatest: f64,
    /// The relevance that the layer's inputs got.
    pub sent: f64,
    /// What was lost on the way.
    pub leaks: Leaks,
}

/// What a layer lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Leaks {
    /// To biases in denominators.
    pub bias: f64,
    /// To padding: average pools that share evenly, zeros around.
    pub padding: f64,
    /// To outputs that no input contributes to.
    pub dead: f64,
    /// To the stabilizer of denominators.
    pub stabilizer: f64,
}

impl Leaks {
    /// All that was lost.
    pub fn sum(self) -> f64 {
        self.bias + self.padding + self.dead + self.stabilizer
    }
}

impl LedgerRow {
    /// What was neither handed down nor lost for a known reason: rounding, and what an addition
    /// with rule `pass` hands to each of its inputs.
    pub fn unexplained(&self) -> f64 {
        self.got - self.sent - self.leaks.sum()
    }
}

impl Ledger {
    pub(super) fn new(start: f64) -> Self {
        Self { start, arrived: 0.0, rows: Vec::new() }
    }

    /// All that was lost for a known reason.
    pub fn leaks(&self) -> Leaks {
        let mut all = Leaks::default();
        for row in &self.rows {
            all.bias += row.leaks.bias;
            all.padding += row.leaks.padding;
            all.dead += row.leaks.dead;
            all.stabilizer += row.leaks.stabilizer;
        }
        all
    }

    /// What is missing: `start - arrived - leaks`.
    pub fn unexplained(&self) -> f64 {
        self.start - self.arrived - self.leaks().sum()
    }

    /// Counts a program's row; the second side of a contrast goes to the layer's row.
    pub(super) fn add(
        &mut self,
        node: &Node,
        entry: &Entry,
        outputs: &[Output],
        row: usize,
        sign: f64,
        is_own: bool,
    ) {
        let tally_of = |place: usize| outputs[place].part(row * TALLY..(row + 1) * TALLY);
        let got = tally_of(entry.arrived);
        let sent: f64 = entry.sent.iter().map(|place| tally_of(*place)[0]).sum();
        let mut lost = Leaks::default();
        for loss in &entry.losses {
            let scale = f64::from(loss.scale);
            let causes = outputs[loss.causes].part(row * CAUSES..(row + 1) * CAUSES);
            lost.bias += scale * causes[0];
            lost.stabilizer += scale * causes[1];
            lost.dead += scale * causes[2];
        }
        // Relevance of outputs that no fraction serves.
        let served = entry.losses.iter().map(|loss| loss.served.map(|place| tally_of(place)[0]));
        if let Some(served) = served.sum::<Option<f64>>().filter(|_| !entry.losses.is_empty()) {
            lost.dead += got[0] - served;
        }
        if entry.is_padding {
            lost.padding = got[0] - sent;
        }
        let known = self.rows.iter().position(|known| known.layer == node.name);
        let index = match known.filter(|_| !is_own) {
            Some(index) => index,
            None => {
                self.rows.push(LedgerRow {
                    layer: node.name.clone(),
                    kind: node.op.kind(),
                    rule: entry.rule.clone(),
                    got: 0.0,
                    magnitude: got[1],
                    least: got[2],
                    greatest: got[3],
                    sent: 0.0,
                    leaks: Leaks::default(),
                });
                self.rows.len() - 1
            }
        };
        let to = &mut self.rows[index];
        to.got += sign * got[0];
        to.sent += sign * sent;
        to.leaks.bias += sign * lost.bias;
        to.leaks.padding += sign * lost.padding;
        to.leaks.dead += sign * lost.dead;
        to.leaks.stabilizer += sign * lost.stabilizer;
    }
}
