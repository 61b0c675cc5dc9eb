//! What is computed for a target: relevance, contrastive relevance, gradients.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::kernels::{attribution, gate, seed};

/// A way to explain a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Layer-wise relevance propagation by the composite's rules.
    Lrp,
    /// Contrastive LRP against all other classes (Gu et al. 2018, section 4).
    Clrp1,
    /// Contrastive LRP against the network with the target's layer negated (ibid.).
    Clrp2,
    /// CLRP1 as the authors' published code has it: every other class with its own |logit|, and
    /// both maps divided by their sums before the difference is taken.
    Clrp1Logits,
    /// The gradient of the score (Simonyan et al. 2014).
    Gradient,
    /// Guided backprop (Springenberg et al. 2014).
    GuidedBackprop,
    /// Deconvnet (Zeiler & Fergus 2014).
    Deconvnet,
    /// The gradient times the input.
    GradientXInput,
    /// Uniform noise in \[0, 1): the baseline of evaluations.
    Random,
}

/// How a backward walk treats the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Walk {
    /// By the rules of a composite.
    Relevance,
    /// By plain transposes, ReLU as the gate says.
    Gradient(gate::Mode),
}

/// How a method's maps come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The walk.
    pub walk: Walk,
    /// What the walk starts with.
    pub start: Start,
    /// How rows become maps.
    pub finish: attribution::Mode,
    /// The start of the second walk that the finish needs, if it does.
    pub dual: Option<Start>,
    /// Whether rows are multiplied by the picture before they become maps.
    pub times_input: bool,
}

/// What a walk starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// Values at the scores.
    Seed(seed::Mode),
    /// `|S|` at the target; at the input of the target's layer, the same in the network with that
    /// layer negated is subtracted (CLRP2).
    MirrorDifference,
}

/// What the numbers of a map are, which decides how its channels are best joined into one plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Shares of the score: their sum over channels is the pixel's.
    Relevance,
    /// Slopes: their largest absolute value is the pixel's.
    Slope,
}

impl Method {
    /// Every method, in the order of lists.
    pub const ALL: [Method; 9] = [
        Method::Lrp,
        Method::Clrp1,
        Method::Clrp2,
        Method::Clrp1Logits,
        Method::Gradient,
        Method::GuidedBackprop,
        Method::Deconvnet,
        Method::GradientXInput,
        Method::Random,
    ];

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Lrp => "lrp",
            Method::Clrp1 => "clrp1",
            Method::Clrp2 => "clrp2",
            Method::Clrp1Logits => "clrp1-logits",
            Method::Gradient => "gradient",
            Method::GuidedBackprop => "guided-backprop",
            Method::Deconvnet => "deconvnet",
            Method::GradientXInput => "gradient-x-input",
            Method::Random => "random",
        }
    }

    /// The name in captions.
    pub const fn title(self) -> &'static str {
        match self {
            Method::Lrp => "LRP",
            Method::Clrp1 => "CLRP1",
            Method::Clrp2 => "CLRP2",
            Method::Clrp1Logits => "CLRP1 (logits)",
            Method::Gradient => "Gradient",
            Method::GuidedBackprop => "Guided backprop",
            Method::Deconvnet => "Deconvnet",
            Method::GradientXInput => "Gradient x input",
            Method::Random => "Random",
        }
    }

    /// What the numbers of the method's maps are.
    pub const fn map_kind(self) -> MapKind {
        match self {
            Method::Lrp
            | Method::Clrp1
            | Method::Clrp2
            | Method::Clrp1Logits
            | Method::GradientXInput
            | Method::Random => MapKind::Relevance,
            Method::Gradient | Method::GuidedBackprop | Method::Deconvnet => MapKind::Slope,
        }
    }

    /// Whether the method's maps are 0 or more everywhere.
    pub const fn is_clamped(self) -> bool {
        matches!(self, Method::Clrp1 | Method::Clrp2 | Method::Clrp1Logits | Method::Random)
    }

    /// Whether the maps jump where the forward pass nearly ties: a gradient takes another way if a
    /// ReLU or a max pool decides otherwise, so that rounding there costs it far more than itself.
    /// One such method makes the forward pass sum exactly for all that share it.
    pub fn jumps(self) -> bool {
        self.recipe().is_some_and(|recipe| matches!(recipe.walk, Walk::Gradient(_)))
    }

    /// How the maps come about; `None` where nothing of the network is needed.
    pub const fn recipe(self) -> Option<Recipe> {
        let relevance = Recipe {
            walk: Walk::Relevance,
            start: Start::Seed(seed::Mode::Score),
            finish: attribution::Mode::Plain,
            dual: None,
            times_input: false,
        };
        let gradient = Recipe {
            walk: Walk::Gradient(gate::Mode::Active),
            start: Start::Seed(seed::Mode::One),
            ..relevance
        };
        let clamped = attribution::Mode::Clamped;
        Some(match self {
            Method::Lrp => relevance,
            Method::Clrp1 => {
                Recipe { start: Start::Seed(seed::Mode::Contrast), finish: clamped, ..relevance }
            }
            Method::Clrp2 => {
                Recipe { start: Start::MirrorDifference, finish: clamped, ..relevance }
            }
            Method::Clrp1Logits => Recipe {
                finish: attribution::Mode::NormalizedDifference,
                dual: Some(Start::Seed(seed::Mode::OtherScores)),
                ..relevance
            },
            Method::Gradient => gradient,
            Method::GuidedBackprop => {
                Recipe { walk: Walk::Gradient(gate::Mode::Guided), ..gradient }
            }
            Method::Deconvnet => Recipe { walk: Walk::Gradient(gate::Mode::Deconvnet), ..gradient },
            Method::GradientXInput => Recipe { times_input: true, ..gradient },
            Method::Random => return None,
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = || Self::ALL.into_iter().map(Method::name);
        Self::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| Error::unknown("method", name, known()))
    }
}
