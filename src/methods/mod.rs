//! What is computed for a target: relevance, contrastive relevance, gradients, and what is sampled.

mod recipe;

use std::fmt;
use std::str::FromStr;

pub use recipe::{Finish, Recipe, RowSums, Start, Walk};

use crate::error::Error;
use crate::kernels::seed;

/// A way to explain a number that a network gives.
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
    /// LRP that starts with the gradient of the target's probability by the scores (Iwana et al.
    /// 2019).
    Sglrp,
    /// Excitation backprop (Zhang et al. 2016): z+ on all layers, whatever the composite.
    ExcitationBackprop,
    /// Contrastive excitation backprop (ibid.): against the network with the target's layer
    /// negated.
    ContrastiveExcitationBackprop,
    /// The gradient of the target (Simonyan et al. 2014).
    Gradient,
    /// Guided backprop (Springenberg et al. 2014).
    GuidedBackprop,
    /// Deconvnet (Zeiler & Fergus 2014).
    Deconvnet,
    /// The gradient times the input.
    GradientXInput,
    /// Grad-CAM (Selvaraju et al. 2017): one plane.
    GradCam,
    /// Guided backprop times Grad-CAM (ibid.).
    GuidedGradCam,
    /// The mean of a gradient over noisy pictures (Smilkov et al. 2017).
    SmoothGrad(Slope),
    /// The gradient's mean on the way from black to the picture, times the picture (Sundararajan
    /// et al. 2017).
    IntegratedGradients(Quadrature),
    /// How much the target falls where a window is covered (Zeiler & Fergus 2014): one plane.
    Occlusion,
    /// The mean of random masks, weighted by the target's probability behind them (Petsiuk et al.
    /// 2018): one plane.
    Rise,
    /// Uniform noise in \[0, 1): the baseline of evaluations.
    Random,
}

/// A gradient method that can be averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slope {
    /// [`Method::Gradient`].
    Gradient,
    /// [`Method::GuidedBackprop`].
    GuidedBackprop,
    /// [`Method::Deconvnet`].
    Deconvnet,
    /// [`Method::GradientXInput`].
    GradientXInput,
}

impl Slope {
    /// The method that is averaged.
    pub const fn method(self) -> Method {
        match self {
            Slope::Gradient => Method::Gradient,
            Slope::GuidedBackprop => Method::GuidedBackprop,
            Slope::Deconvnet => Method::Deconvnet,
            Slope::GradientXInput => Method::GradientXInput,
        }
    }
}

/// What a method that runs the network many times changes about the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Samples {
    /// Noise: the mean of a gradient method's maps.
    Noise(Slope),
    /// Its brightness: an integral of gradients.
    Path(Quadrature),
    /// A window is covered.
    Windows,
    /// It is seen through random masks.
    Masks,
}

impl Samples {
    /// The method whose maps of all samples are put together; none where the target's value is
    /// enough.
    pub const fn inner(self) -> Option<Method> {
        match self {
            Samples::Noise(slope) => Some(slope.method()),
            Samples::Path(_) => Some(Method::Gradient),
            Samples::Windows | Samples::Masks => None,
        }
    }
}

/// How an integral over the way to the picture becomes a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quadrature {
    /// Equal steps, each by its end: zennit's convention, with 20 steps.
    Riemann,
    /// Gauss and Legendre's: Captum's convention, with 50 steps.
    GaussLegendre,
}

/// What the numbers of a map are, which decides how its channels are best joined into one plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Shares of the score: their sum over channels is the pixel's.
    Relevance,
    /// Shares of a difference: their sum over channels is the pixel's, if it is positive.
    PositiveRelevance,
    /// Slopes: their largest absolute value is the pixel's.
    Slope,
}

impl Method {
    /// Every method, in the order of lists.
    pub const ALL: [Method; 22] = [
        Method::Lrp,
        Method::Clrp1,
        Method::Clrp2,
        Method::Clrp1Logits,
        Method::Sglrp,
        Method::ExcitationBackprop,
        Method::ContrastiveExcitationBackprop,
        Method::Gradient,
        Method::GuidedBackprop,
        Method::Deconvnet,
        Method::GradientXInput,
        Method::GradCam,
        Method::GuidedGradCam,
        Method::SmoothGrad(Slope::Gradient),
        Method::SmoothGrad(Slope::GuidedBackprop),
        Method::SmoothGrad(Slope::Deconvnet),
        Method::SmoothGrad(Slope::GradientXInput),
        Method::IntegratedGradients(Quadrature::Riemann),
        Method::IntegratedGradients(Quadrature::GaussLegendre),
        Method::Occlusion,
        Method::Rise,
        Method::Random,
    ];

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        self.names().0
    }

    /// The name in captions.
    pub const fn title(self) -> &'static str {
        self.names().1
    }

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Method::Lrp => ("lrp", "LRP"),
            Method::Clrp1 => ("clrp1", "CLRP1"),
            Method::Clrp2 => ("clrp2", "CLRP2"),
            Method::Clrp1Logits => ("clrp1-logits", "CLRP1 (logits)"),
            Method::Sglrp => ("sglrp", "SGLRP"),
            Method::ExcitationBackprop => ("excitation-backprop", "Excitation"),
            Method::ContrastiveExcitationBackprop => {
                ("contrastive-excitation-backprop", "Contr. excitation")
            }
            Method::Gradient => ("gradient", "Gradient"),
            Method::GuidedBackprop => ("guided-backprop", "Guided backprop"),
            Method::Deconvnet => ("deconvnet", "Deconvnet"),
            Method::GradientXInput => ("gradient-x-input", "Gradient x input"),
            Method::GradCam => ("grad-cam", "Grad-CAM"),
            Method::GuidedGradCam => ("guided-grad-cam", "Guided Grad-CAM"),
            Method::SmoothGrad(Slope::Gradient) => ("smoothgrad", "SmoothGrad"),
            Method::SmoothGrad(Slope::GuidedBackprop) => {
                ("smoothgrad-guided-backprop", "Smooth guided bp")
            }
            Method::SmoothGrad(Slope::Deconvnet) => ("smoothgrad-deconvnet", "Smooth deconvnet"),
            Method::SmoothGrad(Slope::GradientXInput) => {
                ("smoothgrad-gradient-x-input", "Smooth grad x input")
            }
            Method::IntegratedGradients(Quadrature::Riemann) => {
                ("integrated-gradients", "Int. gradients")
            }
            Method::IntegratedGradients(Quadrature::GaussLegendre) => {
                ("integrated-gradients-gauss", "Int. grad. (Gauss)")
            }
            Method::Occlusion => ("occlusion", "Occlusion"),
            Method::Rise => ("rise", "RISE"),
            Method::Random => ("random", "Random"),
        }
    }

    /// What the numbers of the method's maps are.
    pub const fn map_kind(self) -> MapKind {
        match self {
            Method::Lrp
            | Method::Clrp1
            | Method::Clrp2
            | Method::Clrp1Logits
            | Method::Sglrp
            | Method::ExcitationBackprop
            | Method::GradientXInput
            | Method::GradCam
            | Method::SmoothGrad(Slope::GradientXInput)
            | Method::IntegratedGradients(_)
            | Method::Occlusion
            | Method::Rise
            | Method::Random => MapKind::Relevance,
            Method::ContrastiveExcitationBackprop => MapKind::PositiveRelevance,
            Method::Gradient
            | Method::GuidedBackprop
            | Method::Deconvnet
            | Method::GuidedGradCam
            | Method::SmoothGrad(Slope::Gradient | Slope::GuidedBackprop | Slope::Deconvnet) => {
                MapKind::Slope
            }
        }
    }

    /// What the method changes about the picture, if it runs the network many times.
    pub const fn samples(self) -> Option<Samples> {
        match self {
            Method::SmoothGrad(slope) => Some(Samples::Noise(slope)),
            Method::IntegratedGradients(quadrature) => Some(Samples::Path(quadrature)),
            Method::Occlusion => Some(Samples::Windows),
            Method::Rise => Some(Samples::Masks),
            Method::Lrp
            | Method::Clrp1
            | Method::Clrp2
            | Method::Clrp1Logits
            | Method::Sglrp
            | Method::ExcitationBackprop
            | Method::ContrastiveExcitationBackprop
            | Method::Gradient
            | Method::GuidedBackprop
            | Method::Deconvnet
            | Method::GradientXInput
            | Method::GradCam
            | Method::GuidedGradCam
            | Method::Random => None,
        }
    }

    /// Whether the maps jump where the forward pass nearly ties: a gradient takes another way if a
    /// ReLU or a max pool decides otherwise, so that rounding there costs it far more than itself.
    /// One such method makes the forward pass sum exactly for all that share it.
    pub fn jumps(self) -> bool {
        self.recipe().is_some_and(|recipe| matches!(recipe.walk, Walk::Gradient(_)))
    }

    /// Whether the method has maps at layers: its signal walks through them once.
    pub fn has_layer_maps(self) -> bool {
        self.recipe().is_some_and(|recipe| matches!(recipe.finish, Finish::Map(_)))
    }

    /// Whether the method can tell what relevance each layer got, handed down and lost.
    pub fn has_ledger(self) -> bool {
        self.recipe().is_some_and(|recipe| recipe.walk.is_relevance())
    }

    /// Whether its relevance follows a composite: not that of excitation backprop, which has
    /// [rules of its own](crate::rules::excitation_rules).
    pub fn follows_composite(self) -> bool {
        self.recipe_of_each().is_some_and(|recipe| recipe.walk == Walk::Relevance)
    }

    /// The recipe of the method's maps, or of those that it puts together; `None` where the
    /// target's value is enough, or nothing is asked of the network.
    pub fn recipe_of_each(self) -> Option<Recipe> {
        let inner = || self.samples().and_then(Samples::inner).and_then(Method::recipe);
        self.recipe().or_else(inner)
    }

    /// Whether the method can set the target against chosen classes: what its walk starts with is
    /// a contrast that knows them, or becomes the gradient of a difference.
    pub fn takes_against(self) -> bool {
        self.recipe_of_each().is_some_and(|recipe| match recipe.walk {
            Walk::Gradient(_) => true,
            Walk::Relevance | Walk::Excitation => recipe.start == Start::Seed(seed::Mode::Contrast),
        })
    }

    /// Whether the method sets the target against something, so that it needs a second class.
    pub fn contrasts(self) -> bool {
        self.recipe().is_some_and(|recipe| {
            recipe.is_against_others() || matches!(recipe.start, Start::MirrorDifference(_))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn those(is_such: fn(Method) -> bool) -> Vec<&'static str> {
        Method::ALL.into_iter().filter(|method| is_such(*method)).map(Method::name).collect()
    }

    #[test]
    fn recipes_tell_what_methods_can() {
        assert_eq!(
            those(Method::contrasts),
            ["clrp1", "clrp2", "clrp1-logits", "contrastive-excitation-backprop"]
        );
        assert_eq!(
            those(|method| !method.takes_against()),
            [
                "lrp",
                "clrp2",
                "clrp1-logits",
                "sglrp",
                "excitation-backprop",
                "contrastive-excitation-backprop",
                "occlusion",
                "rise",
                "random",
            ]
        );
        assert_eq!(those(Method::has_ledger).len(), 7);
    }
}
