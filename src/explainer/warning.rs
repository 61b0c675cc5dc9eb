//! Signs that a map says little of the picture, or not what its method is for: it is zero, holds no
//! numbers, is nothing but rounding, is no contrast, or lies on the border.

use std::fmt;

use super::{Explanation, Goal};
use crate::error::Result;
use crate::image::Plane;
use crate::methods::{Finish, Samples, Walk};

/// Width of the ring that counts as the border, as a share of the map's short side: the few pixels
/// that a padded first layer or the first windows of a pool see apart from all others.
const RING: f64 = 0.02;

/// How many times the share of its area the ring must hold. In maps of SqueezeNet 1.1 for 100
/// pictures of ILSVRC 2012 (LRP, CLRP1, CLRP2, guided backprop) it holds 0 to 1.7 times, 0.4 in the
/// middle.
const FACTOR: f64 = 4.0;

/// The share that the ring must hold: that of a long narrow map is so small an area that four
/// times as much can be a detail at the edge.
const LEAST: f64 = 0.2;

/// A contrast whose magnitude is less of what each side starts with than that many times the
/// rounding error (1e-6 in 32 bit) has no digits.
const NO_DIGITS: f64 = 16.0;

/// What the border of a map holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Border {
    /// Its width in pixels: 2 % of the short side, at least 1.
    pub ring: usize,
    /// Its share of the sum of absolute values, 0 to 1.
    pub share: f64,
    /// Its share of the pixels, 0 to 1.
    pub area: f64,
}

impl Border {
    /// Measures a map whose channels were joined; none where it is zero everywhere or a value is
    /// not finite.
    pub fn of(plane: &Plane) -> Option<Self> {
        let (height, width) = (plane.height(), plane.width());
        let ring = ((height.min(width) as f64 * RING).round() as usize).max(1);
        let outside = |at: usize, length: usize| at < ring || at + ring >= length;
        let (mut sum, mut of_ring, mut pixels) = (0.0, 0.0, 0_usize);
        for (y, row) in plane.values().chunks_exact(width).enumerate() {
            for (x, value) in row.iter().enumerate() {
                let value = f64::from(value.abs());
                sum += value;
                if outside(y, height) || outside(x, width) {
                    of_ring += value;
                    pixels += 1;
                }
            }
        }
        let area = pixels as f64 / (height * width) as f64;
        (sum > 0.0 && sum.is_finite()).then(|| Self { ring, share: of_ring / sum, area })
    }

    /// Whether the ring holds so much that the map is more about the border than about the
    /// picture: more than 4 times the share of its area, and 20 % or more.
    pub fn is_piled_up(&self) -> bool {
        self.share > FACTOR * self.area && self.share >= LEAST
    }
}

impl fmt::Display for Border {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ring, share, area) = (self.ring, self.share * 100.0, self.area * 100.0);
        write!(f, "has {share:.0} % of its magnitude within {ring} px of the border, ")?;
        write!(f, "which is {area:.0} % of the area")
    }
}

/// A sign that a map says little of the picture. `Display` goes on after the map's name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// It is zero everywhere.
    Zero(Emptiness),
    /// Values are infinite or not a number.
    NotFinite {
        /// How many; 0 if a clamp hid them.
        values: usize,
        /// What they are made of.
        of: Numbers,
        /// The first layer of the walk that got such relevance, where there is a ledger.
        layer: Option<String>,
    },
    /// A contrast whose magnitude is this share of what each of its sides starts with: a difference
    /// of equal maps.
    Rounding(f64),
    /// A contrast of which nothing was subtracted, as the negated layer hands down nothing, or as
    /// there is nothing to set the target against: the map is that of the method without contrast.
    NoContrast,
    /// Far more of it lies on the border than the border's area is worth. Max pools can be the
    /// reason: [`Explainer::switches`](super::Explainer::switches) tells.
    OnBorder(Border),
    /// The same of a method that covers windows of the picture: fewer of them cover a pixel at the
    /// border, and some may be cut off there.
    OnBorderByWindows(Border),
}

/// What the values of a map are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Numbers {
    /// Relevance.
    Relevance,
    /// Slopes.
    Slopes,
    /// Values of what is explained, for changed pictures.
    Values,
}

/// Why a map is zero everywhere. `Display` goes on after a comma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Emptiness {
    /// The number that is explained is 0.
    NoValue,
    /// The contrast is negative or 0 everywhere, and negative values are cut off.
    Negative,
    /// The contrast is 0 everywhere.
    Equal,
    /// All relevance was lost between the target and the picture.
    Lost,
    /// The probability that is explained does not change with the scores, so that nothing starts;
    /// or all was lost.
    Saturated,
    /// The slope at the picture is 0.
    Flat,
    /// The product of the picture and a slope is 0.
    NoProduct,
    /// Grad-CAM's weighted sums of channels are negative or 0 everywhere, and those are cut off.
    NegativeCam,
    /// Guided backprop's map is 0 wherever Grad-CAM's plane is not.
    NoOverlap,
    /// The number is the same for all samples of the picture.
    Unmoved,
}

impl fmt::Display for Emptiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Emptiness::NoValue => "as the number that is explained is 0",
            Emptiness::Negative => {
                "as no pixel gets more relevance from the target than from what it is set against"
            }
            Emptiness::Equal => {
                "as the target and what it is set against hand down the same relevance"
            }
            Emptiness::Lost => {
                "as all relevance was lost on the way from the target; a ledger tells where"
            }
            Emptiness::Saturated => {
                "as nothing starts where softmax is saturated, or as all relevance was lost on the \
                 way from the target; a ledger tells which"
            }
            Emptiness::Flat => {
                "as nothing between the picture and the target passes the method's signal"
            }
            Emptiness::NoProduct => "as the slope is 0 wherever the input is not",
            Emptiness::NegativeCam => {
                "as the channels of its layer, weighted by their slopes, sum to 0 or less everywhere"
            }
            Emptiness::NoOverlap => "as guided backprop is 0 wherever Grad-CAM is not",
            Emptiness::Unmoved => "as no change of the picture changes the number",
        })
    }
}

impl Warning {
    /// The name in reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Warning::Zero(_) => "zero",
            Warning::NotFinite { .. } => "not-finite",
            Warning::Rounding(_) => "rounding",
            Warning::NoContrast => "no-contrast",
            Warning::OnBorder(_) | Warning::OnBorderByWindows(_) => "on-border",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Zero(why) => write!(f, "is zero everywhere, {why}"),
            Warning::NotFinite { values, of, layer } => {
                match values {
                    0 => f.write_str("comes of values that are not finite, as ")?,
                    _ => write!(f, "has {values} values that are not finite, as ")?,
                }
                match (of, layer) {
                    (Numbers::Slopes, _) => {
                        return f.write_str("slopes grew without bound on the way to the picture");
                    }
                    (Numbers::Values, _) => {
                        return f.write_str(
                            "the explained number grew without bound for changed pictures",
                        );
                    }
                    (Numbers::Relevance, Some(layer)) => {
                        write!(f, "relevance grew without bound above `{layer}`, ")?;
                    }
                    (Numbers::Relevance, None) => f.write_str("relevance grew without bound, ")?,
                }
                f.write_str("where denominators nearly vanish (a larger epsilon keeps it small) ")?;
                f.write_str("or numbers are too large")
            }
            Warning::Rounding(share) => {
                write!(f, "has a magnitude of {share:.0e} of what it starts with, as the target ")?;
                f.write_str("and what it is set against hand down the same: that is rounding")
            }
            Warning::NoContrast => f.write_str(
                "has nothing subtracted, as what the target is set against hands down no \
                 relevance: it is the map without contrast",
            ),
            Warning::OnBorder(border) => {
                write!(f, "{border}: padding or the switches of max pools can be why")
            }
            Warning::OnBorderByWindows(border) => {
                write!(f, "{border}: fewer windows cover a pixel there, and some may be cut off")
            }
        }
    }
}

impl Explanation {
    /// What speaks against reading the map.
    ///
    /// # Errors
    /// As [`plane`](Self::plane).
    pub fn warnings(&self) -> Result<Vec<Warning>> {
        let values = self.map.values();
        let not_finite = values.iter().filter(|value| !value.is_finite()).count();
        // A clamp may have hidden them.
        let is_hidden = self.arrived.is_some_and(|arrived| !arrived.is_finite());
        if not_finite > 0 || is_hidden {
            let rows = self.ledger.iter().flat_map(|ledger| &ledger.rows);
            let layer = rows.clone().find(|row| !row.magnitude.is_finite());
            let layer = layer.map(|row| row.layer.clone());
            let of = match self.method.recipe_of_each().map(|recipe| recipe.walk) {
                Some(Walk::Relevance | Walk::Excitation) => Numbers::Relevance,
                Some(Walk::Gradient(_)) => Numbers::Slopes,
                None => Numbers::Values,
            };
            return Ok(vec![Warning::NotFinite { values: not_finite, of, layer }]);
        }
        let plane = self.plane()?;
        if plane.values().iter().all(|&value| value == 0.0) {
            return Ok(vec![Warning::Zero(self.emptiness())]);
        }
        let magnitude: f64 = values.iter().map(|&value| f64::from(value.abs())).sum();
        if let Some(scale) = self.scale.filter(|_| self.method.contrasts())
            && magnitude < self.rounding(scale)
        {
            return Ok(vec![Warning::Rounding(magnitude / scale)]);
        }
        let contrast = self.is_without_contrast().then_some(Warning::NoContrast);
        // What a neuron at the border sees lies there.
        let is_anywhere = !matches!(self.goal, Goal::Neuron { .. });
        let on_border = match self.method.samples() {
            Some(Samples::Windows) => Warning::OnBorderByWindows,
            Some(Samples::Noise(_) | Samples::Path(_) | Samples::Masks) | None => Warning::OnBorder,
        };
        let border = Border::of(&plane).filter(|border| is_anywhere && border.is_piled_up());
        Ok(contrast.into_iter().chain(border.map(on_border)).collect())
    }

    /// What is nothing but rounding, of a sum of so much.
    fn rounding(&self, scale: f64) -> f64 {
        NO_DIGITS * self.roundoff * scale
    }

    /// Whether it is a contrast of which nothing was subtracted.
    pub fn is_without_contrast(&self) -> bool {
        let least = self.scale.map_or(0.0, |scale| self.rounding(scale));
        self.dual.is_some_and(|dual| dual.abs() <= least)
    }

    /// Why a map of zeros is one.
    fn emptiness(&self) -> Emptiness {
        let Some(recipe) = self.method.recipe_of_each() else { return Emptiness::Unmoved };
        if !recipe.walk.is_relevance() {
            let is_path = matches!(self.method.samples(), Some(Samples::Path(_)));
            return match recipe.finish {
                Finish::Cam => Emptiness::NegativeCam,
                Finish::GuidedCam => Emptiness::NoOverlap,
                Finish::Map(_) if recipe.times_input || is_path => Emptiness::NoProduct,
                Finish::Map(_) => Emptiness::Flat,
            };
        }
        if recipe.start.is_score() && self.score == 0.0 {
            return Emptiness::NoValue;
        }
        if recipe.start.is_probability() {
            return Emptiness::Saturated;
        }
        let arrived = self.arrived.unwrap_or(0.0);
        match recipe.dual {
            _ if !self.method.contrasts() => Emptiness::Lost,
            // Each side is divided by its sum: one of them is above the other somewhere.
            Some(_) if arrived == 0.0 => Emptiness::Lost,
            Some(_) => Emptiness::Equal,
            None if arrived < 0.0 => Emptiness::Negative,
            None if self.is_without_contrast() => Emptiness::Lost,
            None => Emptiness::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explainer::Goal;
    use crate::methods::{Method, Quadrature, Slope};
    use crate::tensor::{Shape, Tensor};

    /// An explanation with two channels of 10x20 pixels.
    fn explanation(value: impl Fn(usize, usize, usize) -> f32) -> Explanation {
        let shape = Shape::new(2, 10, 20);
        let at = |i: usize| value(i / 200, i / 20 % 10, i % 20);
        let map = Tensor::new(shape, (0..400).map(at).collect()).expect("it fits");
        Explanation {
            method: Method::Lrp,
            goal: Goal::Class(0),
            layer: None,
            score: 1.0,
            map,
            sum: 0.0,
            leak: None,
            dual: None,
            cam_layer: None,
            seconds: 0.0,
            layers: Vec::new(),
            ledger: None,
            arrived: None,
            scale: Some(1.0),
            roundoff: 6e-8,
        }
    }

    fn on_border(y: usize, x: usize) -> bool {
        y == 0 || y == 9 || x == 0 || x == 19
    }

    #[test]
    fn the_border_is_a_ring_of_two_percent() {
        let inside = explanation(|_, y, x| if on_border(y, x) { 0.0 } else { 1.0 });
        let border = Border::of(&inside.plane().expect("ok")).expect("not zero");
        // 2 * 20 + 2 * 8 of 200 pixels.
        assert_eq!((border.ring, border.share, border.area), (1, 0.0, 56.0 / 200.0));
        let ring = |side: usize| {
            let plane = Plane::new(side, side, vec![1.0; side * side]).expect("it fits");
            let border = Border::of(&plane).expect("not zero");
            assert!((border.share - border.area).abs() < 1e-12);
            border.ring
        };
        assert_eq!([1, 10, 74, 75, 224].map(ring), [1, 1, 1, 2, 4]);
    }

    #[test]
    fn channels_that_cancel_count_nothing() {
        // Inside 1 - 0.5; on the border 3 - 3.
        let values = |c: usize, y, x| match (on_border(y, x), c) {
            (true, 0) => 3.0,
            (true, _) => -3.0,
            (false, 0) => 1.0,
            (false, _) => -0.5,
        };
        let border = Border::of(&explanation(values).plane().expect("ok")).expect("not zero");
        assert_eq!(border.share, 0.0);
    }

    #[test]
    fn the_ring_must_hold_four_times_its_area_and_a_fifth() {
        let piled = |share, area| Border { ring: 1, share, area }.is_piled_up();
        assert!(piled(0.33, 0.08) && !piled(0.32, 0.08));
        assert!(piled(0.2, 0.01) && !piled(0.19, 0.01));
    }

    #[test]
    fn each_warning_is_for_its_map() {
        let warnings =
            |value: &dyn Fn(usize, usize, usize) -> f32| explanation(value).warnings().expect("ok");
        assert_eq!(warnings(&|_, _, _| 1.0), []);
        assert_eq!(warnings(&|_, _, _| -0.0), [Warning::Zero(Emptiness::Lost)]);
        let holes = |_, y, _| if y == 3 { f32::NAN } else { 0.0 };
        assert_eq!(
            warnings(&holes),
            [Warning::NotFinite { values: 40, of: Numbers::Relevance, layer: None }]
        );
        let hidden = Explanation { arrived: Some(f64::NAN), ..explanation(|_, _, _| 0.0) };
        let not_finite = Warning::NotFinite { values: 0, of: Numbers::Relevance, layer: None };
        assert_eq!(hidden.warnings().expect("ok"), [not_finite]);
        // In a map this small the ring is 28 % of the area, more than a fourth.
        assert_eq!(warnings(&|_, y, x| f32::from(u8::from(on_border(y, x)))), []);
        let border = Border { ring: 4, share: 0.613, area: 0.0703 };
        assert_eq!(
            Warning::OnBorder(border).to_string(),
            "has 61 % of its magnitude within 4 px of the border, which is 7 % of the area: \
             padding or the switches of max pools can be why"
        );
        let layer = Some("fc".to_owned());
        let not_finite = Warning::NotFinite { values: 2, of: Numbers::Relevance, layer };
        assert_eq!(
            not_finite.to_string(),
            "has 2 values that are not finite, as relevance grew without bound above `fc`, where \
             denominators nearly vanish (a larger epsilon keeps it small) or numbers are too large"
        );
    }

    #[test]
    fn values_that_are_not_finite_are_of_what_the_method_puts_together() {
        let holes = explanation(|_, _, _| f32::INFINITY);
        for (method, expected) in [
            (Method::ExcitationBackprop, Numbers::Relevance),
            (Method::GradCam, Numbers::Slopes),
            (Method::SmoothGrad(Slope::Deconvnet), Numbers::Slopes),
            (Method::IntegratedGradients(Quadrature::GaussLegendre), Numbers::Slopes),
            (Method::Occlusion, Numbers::Values),
            (Method::Rise, Numbers::Values),
        ] {
            let found = Explanation { method, ..holes.clone() }.warnings().expect("ok");
            let not_finite = Warning::NotFinite { values: 400, of: expected, layer: None };
            assert_eq!(found, [not_finite], "{method}");
        }
    }

    #[test]
    fn a_map_of_zeros_is_told_why() {
        let zero = explanation(|_, _, _| 0.0);
        let why = |method, score, arrived, dual| {
            let of = Explanation { method, score, arrived, dual, ..zero.clone() };
            of.warnings().expect("ok")
        };
        for (method, score, arrived, dual, expected) in [
            (Method::Lrp, 0.0, Some(0.0), None, Emptiness::NoValue),
            (Method::Lrp, 2.0, Some(0.0), None, Emptiness::Lost),
            (Method::Clrp1, 2.0, Some(-0.5), None, Emptiness::Negative),
            (Method::Clrp1, 2.0, Some(0.0), None, Emptiness::Equal),
            // Nothing is set against it.
            (Method::Clrp1, 2.0, Some(0.0), Some(0.0), Emptiness::Lost),
            (Method::Clrp2, 2.0, Some(0.0), Some(1.0), Emptiness::Equal),
            (Method::Clrp2, 0.0, Some(0.0), Some(0.0), Emptiness::NoValue),
            (Method::Clrp1Logits, 2.0, Some(1.5), None, Emptiness::Equal),
            (Method::Clrp1Logits, 2.0, Some(0.0), None, Emptiness::Lost),
            (Method::Clrp1Logits, 0.0, Some(0.0), None, Emptiness::NoValue),
            (Method::Sglrp, 0.0, Some(0.0), None, Emptiness::Saturated),
            (Method::ExcitationBackprop, 0.0, Some(0.0), None, Emptiness::Lost),
            (Method::Gradient, 2.0, None, None, Emptiness::Flat),
            (Method::GradCam, 2.0, None, None, Emptiness::NegativeCam),
            (Method::GuidedGradCam, 2.0, None, None, Emptiness::NoOverlap),
            (Method::GradientXInput, 2.0, None, None, Emptiness::NoProduct),
            (Method::SmoothGrad(Slope::Gradient), 2.0, None, None, Emptiness::Flat),
            (Method::SmoothGrad(Slope::GradientXInput), 2.0, None, None, Emptiness::NoProduct),
            (
                Method::IntegratedGradients(Quadrature::Riemann),
                2.0,
                None,
                None,
                Emptiness::NoProduct,
            ),
            (Method::Occlusion, 2.0, None, None, Emptiness::Unmoved),
        ] {
            let found = why(method, score, arrived, dual);
            assert_eq!(found, [Warning::Zero(expected)], "{method} {score} {arrived:?}");
        }
    }

    #[test]
    fn a_contrast_with_nothing_against_it_is_told() {
        let of = |dual| {
            let map = explanation(|_, _, _| 1.0);
            Explanation { method: Method::Clrp2, dual, ..map }.warnings().expect("ok")
        };
        assert_eq!(of(Some(0.0)), [Warning::NoContrast]);
        assert_eq!(of(Some(1e-3)), []);
        assert_eq!(of(None), []);
        // What is rounding depends on what it starts with.
        let map = explanation(|_, _, _| 1.0);
        let large =
            Explanation { method: Method::Clrp2, dual: Some(1e-3), scale: Some(1e6), ..map };
        assert_eq!(large.warnings().expect("ok"), [Warning::NoContrast]);
    }

    #[test]
    fn a_contrast_of_equal_maps_is_rounding() {
        let noise = explanation(|_, _, _| 1e-10);
        let of = |method| Explanation { method, ..noise.clone() }.warnings().expect("ok");
        assert_eq!(of(Method::Lrp), []);
        for method in [
            Method::Clrp1,
            Method::Clrp2,
            Method::Clrp1Logits,
            Method::ContrastiveExcitationBackprop,
        ] {
            let [Warning::Rounding(share)] = of(method)[..] else { panic!("it is rounding") };
            assert!((share - 4e-8).abs() < 1e-9);
        }
        // In 64 bit there are digits left; and so there are where less starts.
        let exact = Explanation { method: Method::Clrp2, roundoff: 1e-16, ..noise.clone() };
        assert_eq!(exact.warnings().expect("ok"), []);
        let small = Explanation { method: Method::Clrp2, scale: Some(1e-6), ..noise };
        assert_eq!(small.warnings().expect("ok"), []);
    }

    #[test]
    fn a_map_of_which_no_pixel_is_left_is_zero() {
        // Drawn are positive sums alone.
        let map = explanation(|_, _, _| -1.0);
        let method = Method::ContrastiveExcitationBackprop;
        let of = Explanation { method, arrived: Some(-400.0), ..map };
        assert_eq!(of.warnings().expect("ok"), [Warning::Zero(Emptiness::Negative)]);
    }

    #[test]
    fn a_map_piled_up_on_its_border_is_told() {
        let mut map = explanation(|_, _, _| 0.0);
        let values = (0..2 * 100 * 100).map(|i| f32::from(u8::from(i % 100 == 0)));
        map.map = Tensor::new(Shape::new(2, 100, 100), values.collect()).expect("it fits");
        let [Warning::OnBorder(border)] = map.warnings().expect("ok")[..] else {
            panic!("it lies on the border")
        };
        assert_eq!((border.ring, border.share), (2, 1.0));
    }
}
