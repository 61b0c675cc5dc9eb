//! Pictures with their maps, for reports: those where a way does best, and worst.

use clrp::image::{Picture, Plane, Sheet, SheetRow, render};
use clrp::{Cancel, Tensor};

use super::html::Example;
use super::part::{Ready, Unit};
use super::record::{MethodRecord, ObjectRecord, Record};
use super::results::Examples;
use super::setup::Setup;
use super::subject::Way;
use crate::failure::Result;
use crate::maps::palette;

/// How many of the best, and of the worst.
const MOST: usize = 4;

/// The best and the worst objects of the first network, by the first contrastive way, or the first
/// way if there is none: by the energy in the boxes, or by what the score drops.
pub(crate) fn examples(setup: &Setup, records: &[Record], stop: &Cancel) -> Result<Examples> {
    let is_contrastive = |way: &&Way| way.method().is_some_and(clrp::Method::contrasts);
    let way = setup.ways.iter().find(is_contrastive).or(setup.ways.first());
    let Some(way) = way else { return Ok(Examples::default()) };
    let place = setup.ways.iter().position(|other| other == way).unwrap_or(0);
    let mut ranked: Vec<(f64, &Record, &ObjectRecord)> = Vec::new();
    for record in records {
        for object in record.objects.iter().filter(|object| object.network == 0) {
            let worth = object.methods.get(place).and_then(worth);
            ranked.extend(worth.map(|worth| (worth, record, object)));
        }
    }
    // Stable: of equal ones the first.
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let most = MOST.min(ranked.len() / 2);
    let draw = |chosen: &[(f64, &Record, &ObjectRecord)]| -> Result<Vec<Example>> {
        chosen
            .iter()
            .map(|(_, record, object)| example(setup, record, object, *way, stop))
            .collect()
    };
    let mut worst = draw(&ranked[ranked.len() - most..])?;
    worst.reverse();
    Ok(Examples { best: draw(&ranked[..most])?, worst })
}

/// What decides which pictures are the best.
fn worth(method: &MethodRecord) -> Option<f64> {
    let pointing = method.pointing.as_ref().map(|pointing| pointing.mass);
    pointing.or(method.ablation.as_ref().map(|ablation| ablation.drop_logit))
}

/// The picture and its map by each way.
fn example(
    setup: &Setup,
    record: &Record,
    object: &ObjectRecord,
    way: Way,
    stop: &Cancel,
) -> Result<Example> {
    let subject = &setup.subjects[0];
    let ready = Ready::load(&setup.dataset, record.index, &setup.subjects[..1])?;
    let input: &Tensor = &ready.views[0].input;
    let unit = Unit { picture: 0, object: 0, class: object.class };
    let answers = subject.answers(&[input], &[unit], &setup.ways, stop)?;
    let mut pictures: Vec<Picture> = vec![ready.views[0].seen.clone()];
    let (width, height) = (input.shape().width, input.shape().height);
    let nothing = Plane::new(height, width, vec![0.0; height * width])?;
    for plane in answers.iter().flat_map(|answer| &answer.planes) {
        let plane = plane.as_ref().unwrap_or(&nothing);
        pictures.push(render(plane, palette(plane)));
    }
    let titles = setup.ways.iter().map(|way| way.title().to_owned());
    let captions = std::iter::once("Input".to_owned()).chain(titles).collect();
    let rows = vec![SheetRow { pictures, ..SheetRow::default() }];
    let page = Sheet { captions, rows }.render()?;
    Ok(Example {
        title: format!("{}: {}", record.name, object.label),
        caption: caption(object, setup, way),
        png: page.encode_png(),
    })
}

fn caption(object: &ObjectRecord, setup: &Setup, way: Way) -> String {
    let place = setup.ways.iter().position(|other| *other == way).unwrap_or(0);
    let mut parts = vec![format!("p {:.3}", object.probability)];
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
