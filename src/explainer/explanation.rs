//! What comes out: maps, and what they are of.

use super::ledger::Ledger;
use super::target::Goal;
use crate::error::Result;
use crate::image::{Plane, Reduction, reduce};
use crate::methods::{MapKind, Method};
use crate::tensor::Tensor;

/// What a network says of a picture, and why.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The score of each class, before softmax.
    pub scores: Vec<f32>,
    /// One for each target and method: all methods of the first target, then the next.
    pub explanations: Vec<Explanation>,
}

/// Why a network gave a number.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// How it was computed.
    pub method: Method,
    /// What is explained.
    pub goal: Goal,
    /// The layer that gave it, if that is not the scores.
    pub layer: Option<String>,
    /// The number that is explained: for a class its score, before softmax.
    pub score: f32,
    /// One number for each number of the input, or for each of its pixels (Grad-CAM, occlusion,
    /// RISE), clamped where the method clamps.
    pub map: Tensor,
    /// The sum of the map.
    pub sum: f64,
    /// For relevance methods, what was lost on the way: what the walk started with
    /// ([`Ledger::start`]) less the sum of the map before clamping.
    pub leak: Option<f64>,
    /// For contrasts that start below the layers that make the target (CLRP2, contrastive excitation
    /// backprop), the relevance that was subtracted there: 0 if those layers negated hand down
    /// nothing, so that the map is that of the method without contrast. For other contrasts 0 if
    /// there is nothing to set the target against, as of a mixture of all classes; else none.
    pub dual: Option<f64>,
    /// The layer that Grad-CAM looked at.
    pub cam_layer: Option<String>,
    /// The explanation's share of the run's time, in seconds.
    pub seconds: f64,
    /// The maps at the layers that were asked for.
    pub layers: Vec<LayerMap>,
    /// Where relevance went, if that was asked for.
    pub ledger: Option<Ledger>,
    /// The sum of the map's row before clamping, where the map is made of one.
    pub(super) arrived: Option<f64>,
    /// For relevance methods, how large each side of the map is where its walk starts, if that is
    /// known.
    pub(super) scale: Option<f64>,
    /// The relative rounding error of the device's numbers.
    pub(super) roundoff: f64,
}

impl Explanation {
    /// A map by itself: no leak, dual, ledger or layers, no time.
    pub(super) fn of_map(
        (method, goal, layer): (Method, &Goal, Option<String>),
        score: f64,
        map: Tensor,
        sum: f64,
        roundoff: f64,
    ) -> Self {
        Self {
            method,
            goal: goal.clone(),
            layer,
            score: score as f32,
            map,
            sum,
            leak: None,
            dual: None,
            cam_layer: None,
            seconds: 0.0,
            layers: Vec::new(),
            ledger: None,
            arrived: None,
            scale: None,
            roundoff,
        }
    }

    /// The class, if one is explained.
    pub fn class(&self) -> Option<usize> {
        match self.goal {
            Goal::Class(class) if self.layer.is_none() => Some(class),
            Goal::Class(_)
            | Goal::Channel(_)
            | Goal::Neuron { .. }
            | Goal::Mixture(_)
            | Goal::Against { .. } => None,
        }
    }

    /// One number for each pixel: relevance summed over channels, of slopes the largest absolute
    /// value.
    ///
    /// # Errors
    /// [`Error::InputShape`](crate::Error::InputShape) if the map has no values.
    pub fn plane(&self) -> Result<Plane> {
        reduce(&self.map, self.reduction())
    }

    /// How the channels of the method's maps become one plane.
    pub fn reduction(&self) -> Reduction {
        match self.method.map_kind() {
            MapKind::Relevance => Reduction::Sum,
            MapKind::PositiveRelevance => Reduction::PositiveSum,
            MapKind::Slope => Reduction::MaxAbs,
        }
    }
}

/// A map at the output of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMap {
    /// The layer.
    pub layer: String,
    /// One number for each of its outputs.
    pub map: Tensor,
}
