//! How a layer hands its relevance to its inputs, and which layer gets which rule.
//!
//! A rule is a value: a list of [`Fraction`]s that one engine runs, whatever the rule. The letters
//! are those of the field: `a` input of a layer, `w` weight, `b` bias, `z` denominator, `s` ratio
//! `r / z`, `c` what the transpose hands down, `r` relevance.

mod canonize;
mod composite;
mod fraction;
mod presets;
mod text;

use std::fmt;

pub use canonize::{BatchNorm, fold_batch_norm};
pub use composite::{Composite, LayerKind, Selector};
pub use fraction::{Fraction, Input, Outputs};
pub use presets::{PRESETS, excitation_rules, preset};

use crate::error::{Error, Result};
use crate::kernels::Part;

/// What numbers of rules and stabilizers may be.
pub const PARAMETER_RANGE: &str = "a finite number of 32 bits, 0 or more";

/// How one layer hands its relevance `r` to its inputs `a`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// LRP-epsilon (Bach et al. 2015); LRP-0, the z-rule, where `epsilon` is 0.
    Epsilon {
        /// The stabilizer of this rule.
        epsilon: f32,
    },
    /// LRP-gamma (Montavon et al. 2019), for inputs of either sign.
    Gamma {
        /// How much positive contributions are favoured.
        gamma: f32,
    },
    /// The z+ rule (Montavon et al. 2017; Gu et al. 2018, equation 1).
    ZPlus,
    /// Positive and negative contributions, each normalised alone (Bach et al. 2015).
    AlphaBeta {
        /// The share of the positive ones.
        alpha: f32,
        /// The share of the negative ones, `alpha - 1`.
        beta: f32,
    },
    /// The z-beta or z-box rule for bounded inputs (Gu et al. 2018, equation 1).
    ZBox,
    /// The w-square rule (Montavon et al. 2017): by the squared weights alone.
    WSquare,
    /// To all inputs of a window alike.
    Flat,
    /// In proportion to the inputs: average pools and residual additions.
    Norm,
    /// Average pools: the transpose of the pool, evenly; the share of padding is lost. Residual
    /// additions: as much to each input.
    Even,
    /// Handed on as it is; of residual additions all of it to each input, as gradients do.
    Pass,
}

impl Rule {
    /// The fractions that the rule sums, where it is made of fractions; `bias` says whether the
    /// bias takes part in denominators.
    pub fn fractions(self, with_bias: bool) -> Option<Vec<Fraction>> {
        use Input as A;
        use Part as W;
        let bias = |part| if with_bias { part } else { W::Nothing };
        let one = |terms: &[(A, W)]| Fraction::of(1.0, terms);
        Some(match self {
            Rule::Epsilon { .. } => vec![one(&[(A::All, W::All)]).bias(bias(W::All))],
            Rule::Norm => vec![one(&[(A::All, W::All)])],
            Rule::ZPlus => {
                return Rule::AlphaBeta { alpha: 1.0, beta: 0.0 }.fractions(with_bias);
            }
            Rule::AlphaBeta { alpha, beta } => [
                Fraction::of(alpha, &[(A::Positive, W::Positive), (A::Negative, W::Negative)])
                    .bias(bias(W::Positive)),
                Fraction::of(-beta, &[(A::Positive, W::Negative), (A::Negative, W::Positive)])
                    .bias(bias(W::Negative)),
            ]
            .into_iter()
            .filter(|fraction| fraction.scale != 0.0)
            .collect(),
            Rule::Gamma { gamma } => {
                let raised = |plus, minus, outputs| Fraction {
                    gamma,
                    ..one(&[(A::Positive, plus), (A::Negative, minus)])
                        .bias(bias(plus))
                        .outputs(outputs)
                };
                vec![
                    raised(W::RaisedPositive, W::RaisedNegative, Outputs::Positive),
                    raised(W::RaisedNegative, W::RaisedPositive, Outputs::Negative),
                ]
            }
            // x w - l w+ - h w- with w = w+ + w-: only terms of one sign are summed.
            Rule::ZBox => vec![one(&[(A::AboveLow, W::Positive), (A::BelowHigh, W::Negative)])],
            Rule::WSquare => vec![one(&[(A::One, W::Square)]).bias(bias(W::Square))],
            Rule::Flat => vec![one(&[(A::One, W::One)])],
            Rule::Even | Rule::Pass => return None,
        })
    }

    /// Whether the rule's numbers make sense.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the rule.
    pub fn check(self) -> Result<()> {
        let (is_fine, expected) = match self {
            Rule::Epsilon { epsilon: x } | Rule::Gamma { gamma: x } => {
                (x.is_finite() && x >= 0.0, PARAMETER_RANGE)
            }
            Rule::AlphaBeta { alpha, beta } => (
                alpha.is_finite() && beta >= 0.0 && (alpha - beta - 1.0).abs() <= 1e-6,
                "finite numbers, none below 0, with alpha - beta = 1",
            ),
            Rule::ZPlus
            | Rule::ZBox
            | Rule::WSquare
            | Rule::Flat
            | Rule::Norm
            | Rule::Even
            | Rule::Pass => (true, ""),
        };
        if is_fine {
            return Ok(());
        }
        let (found, expected) = (format!("`{self}`"), expected.to_owned());
        Err(Error::Setting { what: "rule", found, expected })
    }

    /// The stabilizer of the rule's denominators, if it has one of its own.
    pub fn epsilon(self) -> Option<f32> {
        match self {
            Rule::Epsilon { epsilon } => Some(epsilon),
            Rule::Gamma { .. }
            | Rule::ZPlus
            | Rule::AlphaBeta { .. }
            | Rule::ZBox
            | Rule::WSquare
            | Rule::Flat
            | Rule::Norm
            | Rule::Even
            | Rule::Pass => None,
        }
    }

    /// Whether the rule needs to know which values its input can have.
    pub(crate) fn needs_bounds(self) -> bool {
        let inputs = self.fractions(false).into_iter().flatten().flat_map(|of| of.terms);
        inputs.into_iter().any(|(input, _)| matches!(input, Input::AboveLow | Input::BelowHigh))
    }

    /// Whether the rule suits layers of that kind.
    pub fn applies_to(self, kind: LayerKind) -> bool {
        match self {
            Rule::Epsilon { .. }
            | Rule::Gamma { .. }
            | Rule::ZPlus
            | Rule::AlphaBeta { .. }
            | Rule::ZBox
            | Rule::WSquare
            | Rule::Flat => matches!(kind, LayerKind::Conv2d | LayerKind::Linear),
            Rule::Norm | Rule::Even => matches!(kind, LayerKind::AvgPool2d | LayerKind::Add),
            Rule::Pass => matches!(kind, LayerKind::BatchNorm2d | LayerKind::Add),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Epsilon { epsilon } => write!(f, "epsilon:{epsilon:?}"),
            Rule::Gamma { gamma } => write!(f, "gamma:{gamma:?}"),
            Rule::ZPlus => f.write_str("z-plus"),
            Rule::AlphaBeta { alpha, beta } => write!(f, "alpha-beta:{alpha},{beta}"),
            Rule::ZBox => f.write_str("z-box"),
            Rule::WSquare => f.write_str("w-square"),
            Rule::Flat => f.write_str("flat"),
            Rule::Norm => f.write_str("norm"),
            Rule::Even => f.write_str("even"),
            Rule::Pass => f.write_str("pass"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every rule, with its usual numbers. The compiler asks for the place of a new one.
    pub(super) fn every() -> Vec<Rule> {
        let rules = vec![
            Rule::Epsilon { epsilon: 1e-6 },
            Rule::Gamma { gamma: 0.25 },
            Rule::ZPlus,
            Rule::AlphaBeta { alpha: 2.0, beta: 1.0 },
            Rule::ZBox,
            Rule::WSquare,
            Rule::Flat,
            Rule::Norm,
            Rule::Even,
            Rule::Pass,
        ];
        let place = |rule: &Rule| match rule {
            Rule::Epsilon { .. } => 0,
            Rule::Gamma { .. } => 1,
            Rule::ZPlus => 2,
            Rule::AlphaBeta { .. } => 3,
            Rule::ZBox => 4,
            Rule::WSquare => 5,
            Rule::Flat => 6,
            Rule::Norm => 7,
            Rule::Even => 8,
            Rule::Pass => 9,
        };
        assert!(rules.iter().map(place).eq(0..rules.len()), "each rule has its place");
        rules
    }

    #[test]
    fn z_plus_on_positive_inputs_is_the_papers_single_sum() {
        let fractions = Rule::ZPlus.fractions(false).expect("made of fractions");
        let simple = fractions[0].for_non_negative_input();
        assert_eq!(fractions.len(), 1);
        assert_eq!(simple.terms, [(Input::All, Part::Positive)]);
    }

    #[test]
    fn terms_that_do_not_see_the_input_stand_in_fractions_of_their_own() {
        for rule in every() {
            for fraction in rule.fractions(true).into_iter().flatten() {
                let blind = fraction.terms.iter().filter(|(input, _)| *input == Input::One);
                let expected = if fraction.sees_input() { 0 } else { fraction.terms.len() };
                assert_eq!(blind.count(), expected, "{rule}");
            }
        }
    }

    #[test]
    fn negating_the_layer_turns_positive_into_negative_contributions() {
        let fractions = Rule::ZPlus.fractions(false).expect("made of fractions");
        assert_eq!(
            fractions[0].mirrored().terms,
            [(Input::Positive, Part::Negative), (Input::Negative, Part::Positive)]
        );
    }
}
