//! The named composites.

use super::{Composite, LayerKind, Rule};
use crate::error::{Error, Result};

/// Names of the presets, the default first.
pub const PRESETS: &[&str] = &["contrastive", "gu2018"];

/// The preset of that name.
///
/// # Errors
/// [`Error::UnknownName`] with the nearest names.
pub fn preset(name: &str) -> Result<Composite> {
    match name {
        "contrastive" => Ok(contrastive()),
        "gu2018" => Ok(gu2018()),
        _ => Err(Error::unknown("composite", name, PRESETS.iter().copied())),
    }
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
