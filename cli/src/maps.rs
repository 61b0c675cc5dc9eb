//! Maps as files: coloured, over the picture, as numbers, and all of a picture on one sheet.

use clrp::Explanation;
use clrp::explainer::LayerMap;
use clrp::image::{Colormap, Npy, Picture, Plane, Sheet, SheetRow, overlay, reduce, render};
use clrp::num::mix;
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::folder::{Results, stem};
use crate::pictures::Loaded;

/// Share of the picture's colour that the map takes.
const ALPHA: f32 = 0.5;

/// `bwr` if some pixel is negative by more than a thousandth of the largest, else `hot`.
pub(crate) fn palette(plane: &Plane) -> Colormap {
    let largest = plane.values().iter().copied().fold(0.0, f32::max);
    let smallest = plane.values().iter().copied().fold(0.0, f32::min);
    if smallest < -1e-3 * largest { Colormap::Bwr } else { Colormap::Hot }
}

/// The files of one explanation.
#[derive(Serialize)]
pub(crate) struct Files {
    /// The coloured map.
    pub(crate) map: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    npy: Option<String>,
}

/// Writes maps to a folder.
pub(crate) struct Writer {
    pub(crate) results: Results,
    pub(crate) palette: Option<Colormap>,
    pub(crate) overlay: bool,
    pub(crate) npy: bool,
}

impl Writer {
    /// Writes the files of an explanation.
    pub(crate) fn write(&mut self, picture: &Loaded, explanation: &Explanation) -> Result<Files> {
        let name = |end: &str| format!("{}{end}", start(picture, explanation));
        let plane = explanation.plane()?;
        let palette = self.palette.unwrap_or_else(|| palette(&plane));
        let map = self.results.write(&name(".png"), &render(&plane, palette).encode_png())?;
        let overlay = match self.overlay {
            true => {
                let mixed = overlay(&picture.seen, &plane, palette, ALPHA)?;
                Some(self.results.write(&name("_overlay.png"), &mixed.encode_png())?)
            }
            false => None,
        };
        let npy = match self.npy {
            true => {
                let array = Npy::from(&explanation.map).encode();
                Some(self.results.write(&name(".npy"), &array)?)
            }
            false => None,
        };
        Ok(Files { map, overlay, npy })
    }

    /// Writes the map of an explanation at a layer: its channels joined as the method's are, and
    /// its numbers if they are wanted.
    pub(crate) fn write_layer(
        &mut self,
        picture: &Loaded,
        explanation: &Explanation,
        of: &LayerMap,
    ) -> Result<Files> {
        let name = |end: &str| {
            format!("{}_{}{end}", start(picture, explanation), shortened(&in_a_name(&of.layer)))
        };
        let plane = reduce(&of.map, explanation.reduction())?;
        let palette = self.palette.unwrap_or_else(|| palette(&plane));
        let map = self.results.write(&name(".png"), &render(&plane, palette).encode_png())?;
        let npy = match self.npy {
            true => Some(self.results.write(&name(".npy"), &Npy::from(&of.map).encode())?),
            false => None,
        };
        Ok(Files { map, overlay: None, npy })
    }

    /// Writes the sheet of a picture: a row for each target, a column for each method.
    pub(crate) fn write_sheet(
        &mut self,
        picture: &Loaded,
        methods: usize,
        explanations: &[Explanation],
        text: impl Fn(&Explanation) -> (String, String),
    ) -> Result<String> {
        let sheet = sheet(&picture.seen, methods, explanations, self.palette, text)?;
        let page = sheet.render().map_err(|error| Failure::about(&picture.path, error))?;
        self.results.write(&format!("{}_sheet.png", stem(&picture.path)), &page.encode_png())
    }
}

/// What the names of an explanation's files start with.
fn start(picture: &Loaded, explanation: &Explanation) -> String {
    let goal = explanation.goal.to_string();
    let target = match &explanation.layer {
        Some(layer) => in_a_name(&format!("{layer}-{goal}")),
        None => in_a_name(&goal),
    };
    let target = shortened(&target);
    format!("{}_{}_{target}", stem(&picture.path), explanation.method)
}

/// A target's or a layer's name; long ones (mixtures of many classes) end in a number that tells
/// them apart, as file systems take 255 bytes.
fn shortened(name: &str) -> String {
    const MOST: usize = 80;
    if name.len() <= MOST {
        return name.to_owned();
    }
    let hash = name.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
    format!("{}-{hash:016x}", &name[..MOST - 17])
}

/// Text whose letters every file system takes.
fn in_a_name(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    text.chars().map(letter).collect()
}

/// A page with a row for each target: the picture, then the map of each method.
pub(crate) fn sheet(
    seen: &Picture,
    methods: usize,
    explanations: &[Explanation],
    chosen: Option<Colormap>,
    text: impl Fn(&Explanation) -> (String, String),
) -> Result<Sheet> {
    let columns = explanations.iter().take(methods).map(|one| one.method.title().to_owned());
    let captions = std::iter::once("Input".to_owned()).chain(columns).collect();
    let row = |explanations: &[Explanation]| -> Result<SheetRow> {
        let (label, detail) = text(&explanations[0]);
        let mut pictures = vec![seen.clone()];
        for explanation in explanations {
            let plane = explanation.plane()?;
            pictures.push(render(&plane, chosen.unwrap_or_else(|| palette(&plane))));
        }
        Ok(SheetRow { label, detail, pictures, notes: Vec::new() })
    };
    let rows = explanations.chunks(methods).map(row).collect::<Result<_>>()?;
    Ok(Sheet { captions, rows })
}
