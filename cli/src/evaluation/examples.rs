//! Pictures with their maps, for reports: those where a way does best, and worst.

use clrp::evaluation::Region;
use clrp::image::{Picture, Plane, Sheet, SheetRow, render};
use clrp::{Cancel, Tensor};

use super::part::{Ready, Unit};
use super::record::{MethodRecord, ObjectRecord};
use super::records::{RecordFile, Records};
use super::results::{Example, Examples};
use super::setup::Setup;
use super::subject::Way;
use crate::failure::Result;
use crate::maps::palette;

/// How many of the best, and of the worst.
const MOST: usize = 4;

/// The colours of a region's outline: seen on dark and on light pixels.
const OUTLINE: [[u8; 3]; 2] = [[0, 255, 0], [0, 96, 0]];

/// An object by what decides.
#[derive(Clone, Copy)]
struct Ranked {
    worth: f64,
    /// The number of its picture, and its place in the record.
    index: usize,
    place: usize,
}

/// The best and the worst objects of the first network, by the first contrastive way, else the
/// first that is no baseline: by how much more of the energy is in the boxes than they cover of the
/// picture, or by what the score drops.
pub(crate) fn examples(
    setup: &Setup,
    records: &RecordFile,
    stop: &Cancel,
) -> Result<Vec<Examples>> {
    let is_contrastive = |way: &&Way| way.method().is_some_and(clrp::Method::contrasts);
    let judges = || setup.ways.iter().filter(|way| !way.is_baseline());
    let Some(way) = judges().find(is_contrastive).or_else(|| judges().next()) else {
        return Ok(Vec::new());
    };
    let judge = setup.ways.iter().position(|other| other == way).unwrap_or(0);
    let (mut by_energy, mut by_drop) = (Extremes::default(), Extremes::default());
    records.all(|record| {
        for (place, object) in record.objects.iter().enumerate() {
            let Some(method) = object.methods.get(judge).filter(|_| object.network == 0) else {
                continue;
            };
            let ranked = |worth| Ranked { worth, index: record.index, place };
            by_energy.add(beyond_area(object, method).map(ranked));
            by_drop.add(method.ablation.as_ref().map(|ablation| ranked(ablation.drop_logit)));
        }
    })?;
    // An ablation plays the games, too.
    let (extremes, measure) = match by_drop.count {
        0 => (by_energy, BEYOND_AREA),
        _ => (by_drop, "what the logit drops without what it points at"),
    };
    let most = MOST.min(extremes.count / 2);
    let mut reader = records.reader()?;
    let mut draw = |chosen: &[Ranked]| -> Result<Vec<Example>> {
        let mut drawn = Vec::new();
        for one in chosen {
            let Some(record) = reader.record(one.index)? else { continue };
            let Some(object) = record.objects.get(one.place) else { continue };
            drawn.push(example(setup, one.index, object, *way, stop)?);
        }
        Ok(drawn)
    };
    let outlined = if setup.dataset.has_boxes() { " Boxes are outlined in green." } else { "" };
    let caption = format!("By {}: {measure}.{outlined}", way.name());
    let sections = [
        ("Best pictures", draw(&extremes.best[..most])?),
        ("Worst pictures", draw(&extremes.worst[..most])?),
    ];
    let section = |(title, pictures): (&str, _)| Examples {
        title: title.to_owned(),
        caption: caption.clone(),
        pictures,
    };
    Ok(sections.into_iter().map(section).collect())
}

const BEYOND_AREA: &str =
    "the share of its energy in the boxes less the share of the picture that they cover";

/// How much more of the energy is in the boxes than they cover. A box that is the whole picture is
/// no feat to hit.
fn beyond_area(object: &ObjectRecord, method: &MethodRecord) -> Option<f64> {
    let (pointing, area) = method.pointing.as_ref().zip(object.area)?;
    Some(pointing.mass - area)
}

/// The best and the worst of objects that come one by one; of equal ones the first are the best and
/// the last the worst.
#[derive(Default)]
struct Extremes {
    best: Vec<Ranked>,
    worst: Vec<Ranked>,
    count: usize,
}

impl Extremes {
    fn add(&mut self, ranked: Option<Ranked>) {
        let Some(ranked) = ranked else { return };
        self.count += 1;
        let at = self.best.partition_point(|best| best.worth >= ranked.worth);
        self.best.insert(at, ranked);
        let at = self.worst.partition_point(|worst| worst.worth < ranked.worth);
        self.worst.insert(at, ranked);
        self.best.truncate(MOST);
        self.worst.truncate(MOST);
    }
}

/// The picture and its map by each way.
fn example(
    setup: &Setup,
    index: usize,
    object: &ObjectRecord,
    way: Way,
    stop: &Cancel,
) -> Result<Example> {
    let subject = &setup.subjects[0];
    let ready = Ready::load(&setup.dataset, index, &setup.subjects[..1])?;
    let view = &ready.views[0];
    let input: &Tensor = &view.input;
    // The class is in the record; which of the picture's objects it is decides the boxes.
    let class = |name: &str| setup.dataset.class_of(name, &subject.labels, &subject.name).ok();
    let place = ready.objects.iter().position(|found| class(&found.class) == Some(object.class));
    let region = place.and_then(|place| view.regions[place].as_ref());
    let unit = Unit { picture: 0, object: place.unwrap_or(0), class: object.class };
    let answers = subject.answers(&[input], &[unit], &setup.ways, stop)?;
    let mut pictures: Vec<Picture> = vec![outlined(&view.seen, region)?];
    let (width, height) = (input.shape().width, input.shape().height);
    let nothing = Plane::new(height, width, vec![0.0; height * width])?;
    for plane in answers.iter().flat_map(|answer| &answer.planes) {
        let plane = plane.as_ref().unwrap_or(&nothing);
        pictures.push(outlined(&render(plane, palette(plane)), region)?);
    }
    let titles = setup.ways.iter().map(|way| way.title().to_owned());
    let captions = std::iter::once("Input".to_owned()).chain(titles).collect();
    let rows = vec![SheetRow { pictures, ..SheetRow::default() }];
    let page = Sheet { captions, rows }.render()?;
    Ok(Example {
        title: format!("{}: {}", setup.dataset.name(index), object.label),
        caption: caption(object, setup, way),
        png: page.encode_png(),
    })
}

/// The picture with the region's outline, if there is one.
fn outlined(picture: &Picture, region: Option<&Region>) -> Result<Picture> {
    let Some(region) = region else { return Ok(picture.clone()) };
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut pixels = picture.pixels().to_vec();
    for (at, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        let (x, y) = (at % width, at / width);
        let is_inner = |x: usize, y: usize| region.contains(x, y);
        let neighbours = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
        if is_inner(x, y) && !neighbours.into_iter().all(|(x, y)| is_inner(x, y)) {
            pixel.copy_from_slice(&OUTLINE[(x + y) / 2 % 2]);
        }
    }
    Ok(Picture::new(width as u32, height as u32, pixels)?)
}

fn caption(object: &ObjectRecord, setup: &Setup, way: Way) -> String {
    let place = setup.ways.iter().position(|other| *other == way).unwrap_or(0);
    let mut parts = vec![format!("p {:.3}", object.probability)];
    parts.extend(object.area.map(|area| format!("boxes: {:.0} % of the picture", 100.0 * area)));
    if let Some(method) = object.methods.get(place) {
        parts.extend(method.pointing.as_ref().map(|pointing| {
            let hit = if pointing.hit { "a hit" } else { "a miss" };
            format!(
                "{}: {hit}, {:.0} % of the energy in the boxes",
                way.name(),
                100.0 * pointing.mass
            )
        }));
        parts.extend(method.ablation.as_ref().map(|ablation| {
            format!("{}: the logit drops by {:.3}", way.name(), ablation.drop_logit)
        }));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_and_the_worst_are_kept() {
        let mut extremes = Extremes::default();
        for (index, worth) in [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0].into_iter().enumerate() {
            extremes.add(Some(Ranked { worth, index, place: 0 }));
            extremes.add(None);
        }
        let numbers = |of: &[Ranked]| of.iter().map(|one| one.index).collect::<Vec<_>>();
        assert_eq!(extremes.count, 8);
        assert_eq!(numbers(&extremes.best), [5, 7, 4, 2]);
        assert_eq!(numbers(&extremes.worst), [3, 1, 6, 0]);
    }
}
