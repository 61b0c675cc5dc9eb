//! Which layer gets which rule.

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeId, Op};
use crate::rules::text::{FIXED, KINDS};
use crate::rules::{BatchNorm, PARAMETER_RANGE, Rule};

/// Kinds of layers that a rule can be chosen for. All others have one way to hand relevance on:
/// ReLU, dropout and flatten as it is, max pools to the winner, concatenations by slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// Convolutions.
    Conv2d,
    /// Fully connected layers.
    Linear,
    /// Average pools, adaptive or not.
    AvgPool2d,
    /// Residual additions.
    Add,
    /// Batch normalisation and other fixed scales of channels.
    BatchNorm2d,
}

impl LayerKind {
    /// What layers of the kind are, in torch's words.
    pub const fn name(self) -> &'static str {
        match self {
            LayerKind::Conv2d => "Conv2d",
            LayerKind::Linear => "Linear",
            LayerKind::AvgPool2d => "AvgPool2d",
            LayerKind::Add => "Add",
            LayerKind::BatchNorm2d => "BatchNorm2d",
        }
    }

    /// The kind of a layer, if a rule can be chosen for it.
    pub const fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Conv2d(_) => Some(LayerKind::Conv2d),
            Op::Linear(_) => Some(LayerKind::Linear),
            Op::AvgPool2d(_) | Op::AdaptiveAvgPool2d(_) => Some(LayerKind::AvgPool2d),
            Op::Add => Some(LayerKind::Add),
            Op::BatchNorm2d { .. } | Op::ChannelAffine { .. } => Some(LayerKind::BatchNorm2d),
            Op::Input
            | Op::Relu
            | Op::Hardtanh { .. }
            | Op::MaxPool2d(_)
            | Op::LocalResponseNorm(_)
            | Op::Concat
            | Op::Narrow { .. }
            | Op::ChannelShuffle { .. }
            | Op::ZeroPad2d(_)
            | Op::Flatten
            | Op::Dropout
            | Op::Identity => None,
        }
    }
}

/// Which layers an entry of a composite speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Layers of the kind that see the picture itself.
    First(LayerKind),
    /// All layers of the kind.
    Kind(LayerKind),
    /// The layer of that name; with a `*`, which stands for any characters, all layers whose names
    /// match and whose kind takes the rule.
    Name(String),
}

/// Rules for the layers of a network: the first entry that speaks of a layer decides.
///
/// ```
/// use clrp::rules::{Composite, LayerKind, Rule};
///
/// let composite = Composite::new("mine")
///     .first(LayerKind::Conv2d, Rule::ZBox)
///     .name("classifier.*", Rule::Epsilon { epsilon: 1e-6 })
///     .each(LayerKind::Conv2d, Rule::Gamma { gamma: 0.25 });
/// assert_eq!(composite.label(), "mine");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    label: String,
    entries: Vec<(Selector, Rule)>,
    stabilizer: f32,
    bias: bool,
    batch_norm: BatchNorm,
}

impl Composite {
    /// No entries yet: every layer gets the default rule of its kind. These are z+ for
    /// convolutions and fully connected layers, [`Rule::Norm`] for average pools and additions,
    /// [`Rule::Pass`] for batch norm.
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            entries: Vec::new(),
            stabilizer: 1e-9,
            bias: false,
            batch_norm: BatchNorm::Bypass,
        }
    }

    /// Appends a rule for the layers of the kind that see the picture itself.
    #[must_use]
    pub fn first(self, kind: LayerKind, rule: Rule) -> Self {
        self.entry(Selector::First(kind), rule)
    }

    /// Appends a rule for all layers of the kind.
    #[must_use]
    pub fn each(self, kind: LayerKind, rule: Rule) -> Self {
        self.entry(Selector::Kind(kind), rule)
    }

    /// Appends a rule for the layer of that name; with a `*`, which stands for any characters, for
    /// all layers whose names match and whose kind takes the rule.
    #[must_use]
    pub fn name(self, pattern: impl Into<String>, rule: Rule) -> Self {
        self.entry(Selector::Name(pattern.into()), rule)
    }

    /// Appends an entry.
    #[must_use]
    pub fn entry(mut self, selector: Selector, rule: Rule) -> Self {
        self.entries.push((selector, rule));
        self
    }

    /// The same with entries that come before all others.
    #[must_use]
    pub fn with_rules(mut self, rules: impl IntoIterator<Item = (Selector, Rule)>) -> Self {
        self.entries.splice(0..0, rules);
        self
    }

    /// The same under another name.
    #[must_use]
    pub fn with_label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// The same with another stabilizer of denominators (1e-9 by default).
    #[must_use]
    pub fn with_stabilizer(self, stabilizer: f32) -> Self {
        Self { stabilizer, ..self }
    }

    /// The same with biases in the denominators or without (the default).
    #[must_use]
    pub fn with_bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// The same with batch norm bypassed (the default) or folded into its neighbours; who lowers
    /// a network calls [`fold_batch_norm`](super::fold_batch_norm) before.
    #[must_use]
    pub fn with_batch_norm(self, batch_norm: BatchNorm) -> Self {
        Self { batch_norm, ..self }
    }

    /// The composite's name.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The entries: the first that speaks of a layer decides.
    pub fn entries(&self) -> &[(Selector, Rule)] {
        &self.entries
    }

    /// What is added to denominators, with their sign.
    pub fn stabilizer(&self) -> f32 {
        self.stabilizer
    }

    /// What becomes of batch norm.
    pub fn batch_norm(&self) -> BatchNorm {
        self.batch_norm
    }

    /// Whether biases take part in denominators.
    pub fn bias(&self) -> bool {
        self.bias
    }

    /// The rule of every layer that a rule can be chosen for.
    ///
    /// # Errors
    /// [`Error::RuleMismatch`] if an entry gives a layer a rule that does not apply to it, as z-box
    /// above the first layer,
    /// [`Error::UnknownName`] for a name that no layer has, [`Error::Setting`] for numbers that
    /// make no sense.
    pub fn assign(&self, graph: &Graph) -> Result<Vec<Option<Rule>>> {
        self.entries.iter().try_for_each(|(_, rule)| rule.check())?;
        if !(self.stabilizer.is_finite() && self.stabilizer >= 0.0) {
            let found = self.stabilizer.to_string();
            let expected = PARAMETER_RANGE.to_owned();
            return Err(Error::Setting { what: "stabilizer", found, expected });
        }
        self.entries.iter().try_for_each(|(selector, rule)| check_entry(graph, selector, *rule))?;
        let bounds = bounds(graph);
        let assign = |(place, entry): (usize, Option<Option<usize>>)| {
            let node = graph.node(NodeId(place));
            let (Some(kind), Some(entry)) = (LayerKind::of(&node.op), entry) else {
                return Ok(None);
            };
            let rule = entry.map_or_else(|| default_rule(kind), |entry| self.entries[entry].1);
            match rule.needs_bounds() && bounds[node.inputs[0].0] == Bounds::Unknown {
                true => Err(mismatch(rule, &node.name, "its input has no known bounds")),
                false => Ok(Some(rule)),
            }
        };
        self.deciding(graph).into_iter().enumerate().map(assign).collect()
    }

    /// For each layer that a rule can be chosen for, the number of the entry that decides, if one
    /// does.
    fn deciding(&self, graph: &Graph) -> Vec<Option<Option<usize>>> {
        let sees_picture = sees_picture(graph);
        let of_node = |node: &Node| {
            let kind = LayerKind::of(&node.op)?;
            let speaks = |(selector, rule): &(Selector, Rule)| match selector {
                Selector::First(of) => *of == kind && sees_picture[node.inputs[0].0],
                Selector::Kind(of) => *of == kind,
                Selector::Name(pattern) => matches(pattern, &node.name) && rule.applies_to(kind),
            };
            Some(self.entries.iter().position(speaks))
        };
        graph.nodes().iter().map(of_node).collect()
    }

    /// The entry that decides the rule of a layer, if one does.
    pub fn entry_of(&self, graph: &Graph, layer: &str) -> Option<&(Selector, Rule)> {
        let place = graph.nodes().iter().position(|node| node.name == layer)?;
        self.entries.get(self.deciding(graph).swap_remove(place)??)
    }
}

/// Whether the rule suits the kind of layers that a selector speaks of, whether or not the graph
/// has any, or a layer that the selector names.
fn check_entry(graph: &Graph, selector: &Selector, rule: Rule) -> Result<()> {
    let pattern = match selector {
        Selector::First(kind) | Selector::Kind(kind) if rule.applies_to(*kind) => return Ok(()),
        Selector::First(kind) | Selector::Kind(kind) => {
            return Err(mismatch(rule, &selector.to_string(), kind.name()));
        }
        Selector::Name(pattern) => pattern,
    };
    let mut named = graph.nodes().iter().filter(|node| matches(pattern, &node.name)).peekable();
    match named.peek().copied() {
        None => {
            let names = graph.nodes().iter().skip(1).map(|node| node.name.as_str());
            let prefix = format!("{pattern}.");
            if names.clone().any(|name| name.starts_with(&prefix)) {
                let suggestions = vec![format!("{prefix}*")];
                let (name, expected) = (pattern.clone(), Vec::new());
                return Err(Error::UnknownName { kind: "layer", name, suggestions, expected });
            }
            if let Some((name, op)) = FIXED.iter().find(|(name, _)| name == pattern) {
                return Err(mismatch(rule, name, op));
            }
            let kinds = KINDS.iter().map(|(name, _)| *name);
            Err(Error::unknown("layer", pattern, kinds.chain(names)))
        }
        Some(_)
            if named.any(|node| LayerKind::of(&node.op).is_some_and(|k| rule.applies_to(k))) =>
        {
            Ok(())
        }
        Some(node) => Err(mismatch(rule, &node.name, node.op.kind())),
    }
}

fn mismatch(rule: Rule, layer: &str, op: &'static str) -> Error {
    Error::RuleMismatch { rule: rule.to_string(), layer: layer.to_owned(), op }
}

pub(super) fn default_rule(kind: LayerKind) -> Rule {
    match kind {
        LayerKind::Conv2d | LayerKind::Linear => Rule::ZPlus,
        LayerKind::AvgPool2d | LayerKind::Add => Rule::Norm,
        LayerKind::BatchNorm2d => Rule::Pass,
    }
}

/// For each node, whether its output is the picture: scaled, padded or taken apart by channels at
/// most.
fn sees_picture(graph: &Graph) -> Vec<bool> {
    let mut known: Vec<bool> = Vec::new();
    for node in graph.nodes() {
        known.push(node.op.traits().keeps_picture && node.inputs.iter().all(|id| known[id.0]));
    }
    known
}

/// What is known of the values that a node can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bounds {
    Unknown,
    /// Those of each channel.
    Known,
    /// The same, and zeros around them, which z-box takes as the picture has them.
    Padded,
}

/// For each node, what is known of its values.
fn bounds(graph: &Graph) -> Vec<Bounds> {
    let mut known: Vec<Bounds> = Vec::new();
    for node in graph.nodes() {
        let inputs = || node.inputs.iter().map(|id| known[id.0]);
        let all_known = inputs().all(|bounds| bounds == Bounds::Known);
        known.push(match (&node.op, inputs().next()) {
            (_, Some(Bounds::Unknown)) => Bounds::Unknown,
            (Op::ZeroPad2d(_), _) => Bounds::Padded,
            (Op::Dropout | Op::Identity, Some(of_input)) => of_input,
            (op, _) if op.traits().keeps_picture && all_known => Bounds::Known,
            (_, _) => Bounds::Unknown,
        });
    }
    known
}

/// Whether the pattern, in which `*` stands for any characters, covers the whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    (0..=name.len()).filter(|&at| name.is_char_boundary(at)).any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches("features.*", "features.0"));
        assert!(matches("*.expand*", "features.3.expand1x1"));
        assert!(matches("conv", "conv"));
        assert!(!matches("features.1", "features.10"));
        assert!(!matches("a*b", "abc"));
    }
}
