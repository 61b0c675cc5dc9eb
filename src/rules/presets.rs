//! The named composites.

use super::{Composite, LayerKind, Rule, Selector};
use crate::error::{Error, Result};

/// Names of the presets, the default first.
pub const PRESETS: &[&str] = &[
    "contrastive",
    "gu2018",
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_gamma_box",
    "epsilon_alpha2_beta1",
    "epsilon_alpha2_beta1_flat",
    "excitation_backprop",
];

/// The preset of that name. All but the first two are zennit's, with its defaults: biases take
/// part, and the stabilizer is 1e-6.
///
/// # Errors
/// [`Error::UnknownName`] with the nearest names.
pub fn preset(name: &str) -> Result<Composite> {
    let epsilon = Rule::Epsilon { epsilon: 1e-6 };
    let plus = |label| zennit(label, Rule::ZPlus, epsilon);
    let alpha2_beta1 = |label| zennit(label, Rule::AlphaBeta { alpha: 2.0, beta: 1.0 }, epsilon);
    match name {
        "contrastive" => Ok(contrastive()),
        "gu2018" => Ok(gu2018()),
        "epsilon_plus" => Ok(plus(name)),
        "epsilon_plus_flat" => Ok(flat_first(plus(name))),
        "epsilon_gamma_box" => Ok(zennit(name, Rule::Gamma { gamma: 0.25 }, epsilon)
            .with_rules([(Selector::First(LayerKind::Conv2d), Rule::ZBox)])),
        "epsilon_alpha2_beta1" => Ok(alpha2_beta1(name)),
        "epsilon_alpha2_beta1_flat" => Ok(flat_first(alpha2_beta1(name))),
        "excitation_backprop" => Ok(zennit(name, Rule::ZPlus, Rule::ZPlus)),
        _ => Err(Error::unknown("composite", name, PRESETS.iter().copied())),
    }
}

/// The rules of excitation backprop, whatever composite other methods follow: z+ everywhere; Zhang
/// et al. (2016) know no biases.
pub fn excitation_rules() -> Composite {
    zennit("excitation-backprop", Rule::ZPlus, Rule::ZPlus).with_bias(false).with_stabilizer(1e-9)
}

/// A composite of zennit's: one rule for convolutions, one for fully connected layers; average
/// pools and additions in proportion to their inputs.
fn zennit(label: &str, convolutions: Rule, linear: Rule) -> Composite {
    Composite::new(label)
        .each(LayerKind::Conv2d, convolutions)
        .each(LayerKind::Linear, linear)
        .each(LayerKind::AvgPool2d, Rule::Norm)
        .with_stabilizer(1e-6)
        .with_bias(true)
}

/// The same with the flat rule on the layer that sees the picture.
fn flat_first(composite: Composite) -> Composite {
    let first = [LayerKind::Conv2d, LayerKind::Linear].map(Selector::First);
    composite.with_rules(first.map(|selector| (selector, Rule::Flat)))
}

/// The rules of Gu, Yang & Tresp (2018), section 3.1, to the letter: z-box on the pixels, z+
/// above, average pools evenly, biases and normalisation bypassed.
fn gu2018() -> Composite {
    Composite::new("gu2018")
        .first(LayerKind::Conv2d, Rule::ZBox)
        .first(LayerKind::Linear, Rule::ZBox)
        .each(LayerKind::Conv2d, Rule::ZPlus)
        .each(LayerKind::Linear, Rule::ZPlus)
        .each(LayerKind::AvgPool2d, Rule::Even)
}

/// `gu2018` with average pools that hand relevance down in proportion to their inputs. The paper's
/// networks have no average pool that matters; in those that end in one, the even split hands
/// relevance to positions that were never active.
fn contrastive() -> Composite {
    Composite::new("contrastive")
        .first(LayerKind::Conv2d, Rule::ZBox)
        .first(LayerKind::Linear, Rule::ZBox)
        .each(LayerKind::Conv2d, Rule::ZPlus)
        .each(LayerKind::Linear, Rule::ZPlus)
        .each(LayerKind::AvgPool2d, Rule::Norm)
}
