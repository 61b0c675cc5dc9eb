//! What commands print of a picture, as JSON and as text.

use std::collections::BTreeMap;
use std::path::Path;

use clrp::explainer::probabilities;
use clrp::labels::Labels;
use serde::Serialize;

use crate::pictures::Loaded;
use crate::table::{Table, number};

/// A class that the network takes the picture for.
#[derive(Serialize)]
pub(crate) struct Prediction {
    class: usize,
    label: String,
    logit: f32,
    probability: f64,
}

/// The `count` classes of the highest scores, best first.
pub(crate) fn predictions(scores: &[f32], labels: &Labels, count: usize) -> Vec<Prediction> {
    let probability = probabilities(scores);
    let mut classes: Vec<usize> = (0..scores.len()).collect();
    classes.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let prediction = |&class: &usize| Prediction {
        class,
        label: label(labels, class),
        logit: scores[class],
        probability: probability[class],
    };
    classes.iter().take(count).map(prediction).collect()
}

/// The class's name, or its number where it has none.
pub(crate) fn label(labels: &Labels, class: usize) -> String {
    labels.label(class).map_or_else(|| class.to_string(), str::to_owned)
}

/// Predictions as text.
pub(crate) fn prediction_table(predictions: &[Prediction]) -> Table {
    let mut table = Table::new([">class", "label", ">logit", ">probability"]).indented(2);
    for prediction in predictions {
        table.row([
            prediction.class.to_string(),
            prediction.label.clone(),
            number(prediction.logit.into()),
            format!("{:.4}", prediction.probability),
        ]);
    }
    table
}

/// What the network gets of a file: which pixel of a map belongs to which of the picture.
#[derive(Serialize)]
pub(crate) struct Input {
    /// Channels, height, width: the shape of maps.
    shape: [usize; 3],
    /// Width and height of the picture in the file; null for arrays.
    size: Option<(u32, u32)>,
    /// Width and height of it after resizing.
    scaled: Option<(u32, u32)>,
    /// Column and row of the resized picture at which the input starts.
    offset: Option<(i64, i64)>,
}

impl Input {
    /// That of a picture.
    pub(crate) fn of(picture: &Loaded) -> Self {
        let shape = picture.input.shape();
        Self {
            shape: [shape.channels, shape.height, shape.width],
            size: picture.origin.map(|(size, _)| size),
            scaled: picture.origin.map(|(_, geometry)| geometry.scaled),
            offset: picture.origin.map(|(_, geometry)| geometry.offset),
        }
    }
}

/// What all pictures of a run have in common.
#[derive(Serialize)]
pub(crate) struct Setting {
    pub(crate) model: String,
    /// The weight file; null for the bundled weights.
    pub(crate) weights: Option<String>,
    pub(crate) device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) composite: Option<String>,
    /// All that decides which layer gets which rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<String>,
    /// Numbers of the methods, by their options' names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) settings: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// How alike the maps of different targets are, over several pictures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) compare: Vec<MeanComparison>,
}

impl Setting {
    /// Of a network and its weights on a device; no rules and nothing compared.
    pub(crate) fn of(model: String, weights: Option<&Path>, device: String) -> Self {
        Self {
            model,
            weights: weights.map(shown),
            device,
            composite: None,
            rules: None,
            settings: BTreeMap::new(),
            seed: None,
            compare: Vec::new(),
        }
    }
}

/// How alike the maps of different targets are by one method: the means over pairs of maps, none
/// where no pair can be compared.
#[derive(Serialize)]
pub(crate) struct MeanComparison {
    pub(crate) method: &'static str,
    pub(crate) pairs: usize,
    pub(crate) cosine: Option<f64>,
    pub(crate) spearman: Option<f64>,
    pub(crate) ssim: Option<f64>,
}

/// The one object: a single picture's fields beside the setting's, or a list of pictures.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Document<'a, T> {
    One {
        #[serde(flatten)]
        picture: &'a T,
        #[serde(flatten)]
        setting: &'a Setting,
    },
    Many {
        #[serde(flatten)]
        setting: &'a Setting,
        images: &'a [T],
    },
}

impl<'a, T> Document<'a, T> {
    /// Of the pictures of a run.
    pub(crate) fn new(setting: &'a Setting, images: &'a [T]) -> Self {
        match images {
            [picture] => Document::One { picture, setting },
            images => Document::Many { setting, images },
        }
    }
}

/// A path as JSON and tables show it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
