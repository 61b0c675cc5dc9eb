//! Rules and selectors as text: `gamma:0.25`, `first-conv`, `features.*`.

use std::fmt;
use std::str::FromStr;

use super::composite::default_rule;
use super::{BatchNorm, Composite, LayerKind, Rule, Selector};
use crate::error::{Error, Result};

/// A rule as text.
struct Spelling {
    name: &'static str,
    /// The numbers that it takes, unless others are given after a colon.
    usual: &'static [f32],
    /// The rule with as many numbers.
    rule: fn(&[f32]) -> Rule,
}

/// The spelling of a rule with these usual numbers.
const fn spelled(name: &'static str, usual: &'static [f32], rule: fn(&[f32]) -> Rule) -> Spelling {
    Spelling { name, usual, rule }
}

const RULES: &[Spelling] = &[
    spelled("epsilon", &[1e-6], |numbers| Rule::Epsilon { epsilon: numbers[0] }),
    spelled("gamma", &[0.25], |numbers| Rule::Gamma { gamma: numbers[0] }),
    spelled("z-plus", &[], |_| Rule::ZPlus),
    spelled("alpha-beta", &[2.0, 1.0], |numbers| Rule::AlphaBeta {
        alpha: numbers[0],
        beta: numbers[1],
    }),
    spelled("z-box", &[], |_| Rule::ZBox),
    spelled("w-square", &[], |_| Rule::WSquare),
    spelled("flat", &[], |_| Rule::Flat),
    spelled("norm", &[], |_| Rule::Norm),
    spelled("even", &[], |_| Rule::Even),
    spelled("pass", &[], |_| Rule::Pass),
];

impl FromStr for Rule {
    type Err = Error;

    /// Reads a rule as `Display` writes it; numbers may be left out.
    fn from_str(text: &str) -> Result<Self> {
        let (name, given) = match text.trim().split_once(':') {
            Some((name, numbers)) => (name.trim(), Some(numbers)),
            None => (text.trim(), None),
        };
        let known = || RULES.iter().map(|spelling| spelling.name);
        let spelling = RULES.iter().find(|spelling| spelling.name == name);
        let Spelling { usual, rule, .. } =
            spelling.ok_or_else(|| Error::unknown("rule", name, known()))?;
        let numbers = match given {
            None => usual.to_vec(),
            Some(given) => numbers(given, usual.len()).ok_or_else(|| {
                let expected = match usual {
                    [] => format!("`{name}` without numbers"),
                    [usual] => format!("`{name}:` and a number, as `{name}:{usual:?}`"),
                    usual => format!("`{name}:` and {} numbers, as `{name}:2,1`", usual.len()),
                };
                Error::Setting { what: "rule", found: format!("`{}`", text.trim()), expected }
            })?,
        };
        let rule = rule(&numbers);
        // As it was written: what f32 cannot hold would read `inf`.
        rule.check().map_err(|mut error| {
            if let Error::Setting { found, .. } = &mut error {
                *found = format!("`{}`", text.trim());
            }
            error
        })?;
        Ok(rule)
    }
}

/// So many numbers with commas between.
fn numbers(text: &str, count: usize) -> Option<Vec<f32>> {
    let numbers: Option<Vec<f32>> =
        text.split(',').map(|number| number.trim().parse().ok()).collect();
    numbers.filter(|numbers| numbers.len() == count)
}

/// Kinds of layers by their names in text.
pub(super) const KINDS: &[(&str, LayerKind)] = &[
    ("conv", LayerKind::Conv2d),
    ("linear", LayerKind::Linear),
    ("avg-pool", LayerKind::AvgPool2d),
    ("add", LayerKind::Add),
    ("batch-norm", LayerKind::BatchNorm2d),
];

/// Kinds of layers that no rule can be chosen for, as one would write them.
pub(super) const FIXED: &[(&str, &str)] = &[
    ("max-pool", "MaxPool2d"),
    ("relu", "ReLU"),
    ("dropout", "Dropout"),
    ("flatten", "Flatten"),
    ("concat", "Concat"),
];

impl From<&str> for Selector {
    /// `conv`, `linear`, `avg-pool`, `add` or `batch-norm`; the same after `first-` for those that
    /// see the picture; else the name of a layer, in which `*` stands for any characters.
    fn from(text: &str) -> Self {
        let text = text.trim();
        let kind = |name: &str| KINDS.iter().find(|(known, _)| *known == name).map(|(_, k)| *k);
        if let Some(kind) = kind(text) {
            return Selector::Kind(kind);
        }
        match text.strip_prefix("first-").and_then(kind) {
            Some(kind) => Selector::First(kind),
            None => Selector::Name(text.to_owned()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |kind: &LayerKind| KINDS.iter().find(|(_, k)| k == kind).map_or("", |(name, _)| name);
        match self {
            Selector::First(kind) => write!(f, "first-{}", name(kind)),
            Selector::Kind(kind) => f.write_str(name(kind)),
            Selector::Name(pattern) => f.write_str(pattern),
        }
    }
}

impl fmt::Display for Composite {
    /// All that decides a layer's rule, whatever the composite is called: its entries in order, the
    /// rules of kinds that they do not speak of, and its settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (selector, rule) in self.entries() {
            write!(f, "{selector}={rule} ")?;
        }
        // What no entry speaks of; batch norm takes one rule only.
        let spoken = |kind| {
            let mut selectors = self.entries().iter().map(|(selector, _)| selector);
            kind == LayerKind::BatchNorm2d || selectors.any(|of| *of == Selector::Kind(kind))
        };
        for (name, kind) in KINDS.iter().filter(|(_, kind)| !spoken(*kind)) {
            write!(f, "{name}={} ", default_rule(*kind))?;
        }
        let batch_norm = match self.batch_norm() {
            BatchNorm::Bypass => "bypass",
            BatchNorm::Fold => "fold",
        };
        let (stabilizer, bias) = (self.stabilizer(), self.bias());
        write!(f, "stabilizer={stabilizer:e} bias={bias} batch-norm={batch_norm}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        for rule in super::super::tests::every() {
            assert_eq!(rule.to_string().parse::<Rule>().expect("its own text"), rule);
            let name = rule.to_string();
            let name = name.split(':').next().expect("a name");
            assert_eq!(name.parse::<Rule>().expect("the usual numbers"), rule);
        }
    }

    #[test]
    fn wrong_rules_are_named() {
        let message = |text: &str| text.parse::<Rule>().expect_err(text).to_string();
        assert_eq!(message("gama:1"), "unknown rule `gama`; nearest: `gamma`");
        assert_eq!(
            message("gamma:x"),
            "rule is `gamma:x`, expected `gamma:` and a number, as `gamma:0.25`"
        );
        assert_eq!(message("flat:1"), "rule is `flat:1`, expected `flat` without numbers");
        assert!(message("alpha-beta:2,2").starts_with("rule is `alpha-beta:2,2`, expected"));
    }

    #[test]
    fn a_composite_is_told_in_full() {
        let composite = Composite::new("mine")
            .first(LayerKind::Conv2d, Rule::ZBox)
            .name("features.*", Rule::Gamma { gamma: 0.5 })
            .with_bias(true);
        let expected = "first-conv=z-box features.*=gamma:0.5 conv=z-plus linear=z-plus \
                        avg-pool=norm add=norm stabilizer=1e-9 bias=true batch-norm=bypass";
        assert_eq!(composite.to_string(), expected);
    }

    #[test]
    fn selectors_are_kinds_first_layers_or_names() {
        assert_eq!(Selector::from("conv"), Selector::Kind(LayerKind::Conv2d));
        assert_eq!(Selector::from("first-linear"), Selector::First(LayerKind::Linear));
        assert_eq!(Selector::from("first-block"), Selector::Name("first-block".to_owned()));
        assert_eq!(Selector::from("features.*").to_string(), "features.*");
    }
}
