//! What a rule is made of: `r' = sum of scale * m(a) * M(W)^T s` with `s = r / sum of M(W) m(a)`.

use crate::kernels::Part;

/// Which part of a layer's input enters a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// `a`.
    All,
    /// `max(a, 0)`.
    Positive,
    /// `min(a, 0)`.
    Negative,
    /// 1, whatever the input.
    One,
    /// `a - low`: how far the input is above its lower bound.
    AboveLow,
    /// `a - high`: how far the input is below its upper bound, negative.
    BelowHigh,
}

/// Which outputs a fraction serves, by the sign of the layer's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outputs {
    /// All.
    All,
    /// Those above 0.
    Positive,
    /// Those below 0.
    Negative,
}

/// One denominator and the terms it normalises.
#[derive(Clone, Debug, PartialEq)]
pub struct Fraction {
    /// The factor of all terms.
    pub scale: f32,
    /// Parts of the input with the parts of the weight they meet.
    pub terms: Vec<(Input, Part)>,
    /// The part of the bias in the denominator.
    pub bias: Part,
    /// The outputs whose relevance this fraction hands down.
    pub outputs: Outputs,
    /// The factor of raised parts.
    pub gamma: f32,
}

impl Fraction {
    /// A fraction without bias, for all outputs.
    pub(super) fn of(scale: f32, terms: &[(Input, Part)]) -> Self {
        Self {
            scale,
            terms: terms.to_vec(),
            bias: Part::Nothing,
            outputs: Outputs::All,
            gamma: 0.0,
        }
    }

    /// Whether the denominators depend on the picture. Terms of [`Input::One`] do not, and stand in
    /// a fraction of their own: all pictures share it.
    pub fn sees_input(&self) -> bool {
        self.terms.iter().any(|(input, _)| *input != Input::One)
    }

    /// The same with a part of the bias.
    pub(super) fn bias(self, bias: Part) -> Self {
        Self { bias, ..self }
    }

    /// The same for the outputs of one sign.
    pub(super) fn outputs(self, outputs: Outputs) -> Self {
        Self { outputs, ..self }
    }

    /// The fraction for the layer with its weight and bias negated: numerator and denominator
    /// both change sign, which leaves the ratio as the mirrored parts give it.
    pub fn mirrored(&self) -> Self {
        let terms = self.terms.iter().map(|(input, part)| (*input, part.mirrored())).collect();
        let outputs = match self.outputs {
            Outputs::All => Outputs::All,
            Outputs::Positive => Outputs::Negative,
            Outputs::Negative => Outputs::Positive,
        };
        Self { terms, outputs, bias: self.bias.mirrored(), ..*self }
    }

    /// The fraction as it stands where inputs are known to be 0 or more, or are not.
    pub fn fitted(&self, non_negative: bool) -> Self {
        if non_negative { self.for_non_negative_input() } else { self.clone() }
    }

    /// The fraction for inputs that are all 0 or more: their positive part is all of them.
    pub fn for_non_negative_input(&self) -> Self {
        let terms = self.terms.iter().filter(|(input, _)| *input != Input::Negative);
        let all = |(input, part): &(Input, Part)| match input {
            Input::Positive => (Input::All, *part),
            Input::All | Input::Negative | Input::One | Input::AboveLow | Input::BelowHigh => {
                (*input, *part)
            }
        };
        Self { terms: terms.map(all).collect(), ..*self }
    }
}
