//! How a method's maps come about in one run of the network.

use super::Method;
use crate::kernels::{attribution, gate, seed};

/// How a backward walk treats the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Walk {
    /// By the rules of a composite.
    Relevance,
    /// By the rules of excitation backprop.
    Excitation,
    /// By plain transposes, ReLU as the gate says.
    Gradient(gate::Mode),
}

impl Walk {
    /// Whether relevance goes down, and not a gradient.
    pub const fn is_relevance(self) -> bool {
        matches!(self, Walk::Relevance | Walk::Excitation)
    }
}

/// How a method's maps come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The walk.
    pub walk: Walk,
    /// What the walk starts with.
    pub start: Start,
    /// How rows become maps.
    pub finish: Finish,
    /// The start of the second walk that the finish needs, if it does.
    pub dual: Option<Start>,
    /// Whether rows are multiplied by the picture before they become maps.
    pub times_input: bool,
}

/// What a walk starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// Values at the layer that is explained.
    Seed(seed::Mode),
    /// Values there; at the nearest node below the layers that make the target, the same in the
    /// network with those layers negated is subtracted (CLRP2).
    MirrorDifference(seed::Mode),
}

/// What is known of a target's rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowSums {
    /// The sum of the weights.
    pub weights: f64,
    /// Whether there is anything that it is set against.
    pub has_dual: bool,
}

impl Start {
    /// Whether it is as large as the score.
    pub const fn is_score(self) -> bool {
        let (Start::Seed(mode) | Start::MirrorDifference(mode)) = self;
        matches!(mode, seed::Mode::Score | seed::Mode::Contrast)
    }

    /// Whether it is the gradient of a probability, which only classes have.
    pub const fn is_probability(self) -> bool {
        matches!(self, Start::Seed(seed::Mode::Probability))
    }

    /// The sum of what starts, for a target of this score, if it is known.
    pub fn total(self, score: f64, sums: RowSums) -> Option<f64> {
        match self {
            Start::Seed(seed::Mode::Score) => Some(score.abs()),
            Start::Seed(seed::Mode::Contrast) if !sums.has_dual => Some(score.abs()),
            // As much against as for.
            Start::Seed(seed::Mode::Contrast | seed::Mode::Probability)
            | Start::MirrorDifference(_) => Some(0.0),
            Start::Seed(seed::Mode::One) => Some(sums.weights),
            Start::Seed(seed::Mode::OtherScores | seed::Mode::OneAgainst) => None,
        }
    }
}

impl Recipe {
    /// Whether the target is set against other outputs of its layer.
    pub fn is_against_others(self) -> bool {
        self.dual.is_some() || self.start == Start::Seed(seed::Mode::Contrast)
    }

    /// How large each side of a map is where its walk starts, for a target of this score, if it is
    /// known: in a contrast the target's as well as what it is set against.
    pub fn scale(self, score: f64, sums: RowSums) -> Option<f64> {
        if self.finish == Finish::Map(attribution::Mode::NormalizedDifference) {
            // Both are divided by their sums.
            return Some(1.0);
        }
        let (Start::Seed(mode) | Start::MirrorDifference(mode)) = self.start;
        match mode {
            seed::Mode::Score | seed::Mode::Contrast => Some(score.abs()),
            seed::Mode::One => Some(sums.weights),
            seed::Mode::OtherScores | seed::Mode::OneAgainst | seed::Mode::Probability => None,
        }
    }
}

/// How rows become maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The rows at the picture.
    Map(attribution::Mode),
    /// The rows at a layer weigh its channels (Grad-CAM).
    Cam,
    /// The product of guided backprop's map and Grad-CAM's plane.
    GuidedCam,
}

impl Method {
    /// How the maps come about in one run; `None` where none of the network is needed, or many.
    pub const fn recipe(self) -> Option<Recipe> {
        let relevance = Recipe {
            walk: Walk::Relevance,
            start: Start::Seed(seed::Mode::Score),
            finish: Finish::Map(attribution::Mode::Plain),
            dual: None,
            times_input: false,
        };
        let gradient = Recipe {
            walk: Walk::Gradient(gate::Mode::Active),
            start: Start::Seed(seed::Mode::One),
            ..relevance
        };
        let clamped = Finish::Map(attribution::Mode::Clamped);
        Some(match self {
            Method::Lrp => relevance,
            Method::Clrp1 => {
                Recipe { start: Start::Seed(seed::Mode::Contrast), finish: clamped, ..relevance }
            }
            Method::Clrp2 => Recipe {
                start: Start::MirrorDifference(seed::Mode::Score),
                finish: clamped,
                ..relevance
            },
            Method::Clrp1Logits => Recipe {
                finish: Finish::Map(attribution::Mode::NormalizedDifference),
                dual: Some(Start::Seed(seed::Mode::OtherScores)),
                ..relevance
            },
            Method::Sglrp => Recipe { start: Start::Seed(seed::Mode::Probability), ..relevance },
            Method::ExcitationBackprop => {
                Recipe { walk: Walk::Excitation, start: Start::Seed(seed::Mode::One), ..relevance }
            }
            Method::ContrastiveExcitationBackprop => Recipe {
                walk: Walk::Excitation,
                start: Start::MirrorDifference(seed::Mode::One),
                ..relevance
            },
            Method::Gradient => gradient,
            Method::GuidedBackprop => {
                Recipe { walk: Walk::Gradient(gate::Mode::Guided), ..gradient }
            }
            Method::Deconvnet => Recipe { walk: Walk::Gradient(gate::Mode::Deconvnet), ..gradient },
            Method::GradientXInput => Recipe { times_input: true, ..gradient },
            Method::GradCam => Recipe { finish: Finish::Cam, ..gradient },
            Method::GuidedGradCam => Recipe {
                walk: Walk::Gradient(gate::Mode::Guided),
                finish: Finish::GuidedCam,
                ..gradient
            },
            Method::SmoothGrad(_)
            | Method::IntegratedGradients(_)
            | Method::Occlusion
            | Method::Rise
            | Method::Random => return None,
        })
    }
}
