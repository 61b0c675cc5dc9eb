//! Which plots a summary has.

use super::{Chart, Curve, Head, Plotted, grid};
use crate::evaluation::record::Header;
use crate::evaluation::sanity::CLASS;
use crate::evaluation::subject::plain;
use crate::evaluation::summary::{
    CurvesSummary, MethodSummary, NetworkSummary, Subset, SubsetSummary, Summary,
};
use crate::evaluation::text::{Section, ablation_overview};
use crate::failure::Result;
use crate::table::thousands;

/// A plot and what it is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// That of its files, without an ending.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) plotted: Plotted,
}

/// All plots of a summary.
pub(crate) fn figures(summary: &Summary) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut push = |base: String, title: String, plotted: Plotted| {
        // Networks of one name have files of their own.
        let names = std::iter::once(base.clone()).chain((2..).map(|i| format!("{base}-{i}")));
        let free = |name: &String| !figures.iter().any(|figure: &Figure| figure.name == *name);
        let name = names.into_iter().find(free).unwrap_or(base);
        figures.push(Figure { name, title, plotted });
    };
    let header = &summary.header;
    if let Some(Section { title, table }) = ablation_overview(summary) {
        let head = Head { title: title.clone(), note: note(header, None) + INTERVALS };
        push("ablation".to_owned(), title, grid(head, &table)?);
    }
    for network in &summary.networks {
        for (name, chart) in charts(header, network) {
            let plotted = chart.plot()?;
            push(format!("{name}-{}", plain(&network.name)), chart.head.title, plotted);
        }
    }
    Ok(figures)
}

/// What bands and brackets are.
const INTERVALS: &str = "; with 95 % intervals";

fn intervals(curves: &[Curve]) -> &'static str {
    if curves.len() <= Chart::BANDS { INTERVALS } else { "" }
}

/// Of what a figure is, and how it was made.
fn note(header: &Header, subset: Option<&SubsetSummary>) -> String {
    let counts = subset.map(|subset| {
        let (objects, pictures) = (thousands(subset.objects), thousands(subset.pictures));
        format!("{objects} objects in {pictures} pictures of ")
    });
    format!("{}{}; composite {}", counts.unwrap_or_default(), header.dataset, header.composite)
}

/// The charts of a network, with the starts of their files' names; none without curves.
fn charts(header: &Header, network: &NetworkSummary) -> Vec<(&'static str, Chart)> {
    let mut charts = Vec::new();
    for subset in &network.subsets {
        let name = match subset.subset {
            Subset::All => "pointing",
            Subset::Difficult => "pointing-difficult",
            Subset::CorrectlyClassified => "pointing-correct",
        };
        charts.push((name, pointing(header, network, subset)));
    }
    if let Some(all) = network.subsets.first() {
        let of = |name, curve| removal(header, network, all, name, curve);
        charts.push(("deletion", of("taken out", |curves| &curves.deletion)));
        charts.push(("insertion", of("put in", |curves| &curves.insertion)));
        charts.push(("sanity", sanity(header, network, all)));
    }
    charts.retain(|(_, chart)| !chart.curves.is_empty());
    charts
}

/// Figure 4 of Gu et al. (2018).
fn pointing(header: &Header, network: &NetworkSummary, subset: &SubsetSummary) -> Chart {
    let curve = |(look, method): (usize, &MethodSummary)| {
        let found = method.pointing.as_ref()?;
        let points = (0..).zip(&found.dense).skip(1);
        let band = found.curve.iter().filter_map(|point| {
            let (low, high) = (point.accuracy.low?, point.accuracy.high?);
            Some((f64::from(point.percent), 100.0 * low, 100.0 * high))
        });
        Some(Curve {
            name: method.method.clone(),
            look,
            points: points
                .map(|(percent, share): (i32, _)| (percent.into(), 100.0 * share))
                .collect(),
            band: band.collect(),
        })
    };
    let curves: Vec<Curve> = subset.methods.iter().enumerate().filter_map(curve).collect();
    Chart {
        head: Head {
            title: format!("Pointing game, {}, {}", network.name, subset.subset.name()),
            note: note(header, Some(subset)) + intervals(&curves),
        },
        x_title: "energy kept [%]".to_owned(),
        y_title: "accuracy [%]".to_owned(),
        x: (0.0, 100.0),
        y: (0.0, top(&curves, 10.0)),
        names: Vec::new(),
        curves,
    }
}

fn removal(
    header: &Header,
    network: &NetworkSummary,
    subset: &SubsetSummary,
    what: &str,
    of: fn(&CurvesSummary) -> &Vec<f64>,
) -> Chart {
    let curve = |(look, method): (usize, &MethodSummary)| {
        let values = of(method.curves.as_ref()?);
        let last = values.len().saturating_sub(1).max(1) as f64;
        let points = values.iter().enumerate().map(|(i, &value)| (100.0 * i as f64 / last, value));
        let (name, points) = (method.method.clone(), points.collect());
        Some(Curve { name, look, points, band: Vec::new() })
    };
    let curves: Vec<Curve> = subset.methods.iter().enumerate().filter_map(curve).collect();
    Chart {
        head: Head {
            title: format!("Probability of the class, {}", network.name),
            note: note(header, Some(subset)),
        },
        x_title: format!("share of the picture {what} [%]"),
        y_title: "probability".to_owned(),
        x: (0.0, 100.0),
        y: (0.0, top(&curves, 0.1)),
        names: Vec::new(),
        curves,
    }
}

/// How alike maps stay while ever more layers are random.
fn sanity(header: &Header, network: &NetworkSummary, subset: &SubsetSummary) -> Chart {
    let mut names: Vec<String> = Vec::new();
    for alike in subset.methods.iter().flat_map(|method| &method.alike) {
        if alike.change != CLASS && !names.contains(&alike.change) {
            names.push(alike.change.clone());
        }
    }
    let curve = |(look, method): (usize, &MethodSummary)| {
        let place = |change: &String| names.iter().position(|name| name == change);
        let layers = method.alike.iter().filter_map(|alike| Some((place(&alike.change)?, alike)));
        let mut layers: Vec<_> = layers.map(|(at, alike)| (at as f64, alike.spearman)).collect();
        layers.sort_by(|one, other| one.0.total_cmp(&other.0));
        let band = layers.iter().filter_map(|(x, found)| Some((*x, found.low?, found.high?)));
        let band = band.collect();
        let points: Vec<_> = layers.iter().map(|(x, found)| (*x, found.value)).collect();
        let name = method.method.clone();
        (points.len() > 1).then_some(Curve { name, look, points, band })
    };
    let curves: Vec<Curve> = subset.methods.iter().enumerate().filter_map(curve).collect();
    let points = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1));
    let bands = curves.iter().flat_map(|curve| curve.band.iter().map(|band| band.1));
    let least = points.chain(bands).fold(0.0_f64, f64::min);
    Chart {
        head: Head {
            title: format!("Likeness of maps to those of the trained {}", network.name),
            note: note(header, Some(subset)) + intervals(&curves),
        },
        x_title: "random from the last layer down to".to_owned(),
        y_title: "Spearman correlation".to_owned(),
        x: (0.0, names.len().saturating_sub(1).max(1) as f64),
        y: (if least < 0.0 { (5.0 * least).floor() / 5.0 } else { 0.0 }, 1.0),
        names,
        curves,
    }
}

/// The next multiple of a step that is above all points and bands.
fn top(curves: &[Curve], step: f64) -> f64 {
    let points = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1));
    let bands = curves.iter().flat_map(|curve| curve.band.iter().map(|band| band.2));
    let most = points.chain(bands).filter(|y| y.is_finite()).fold(0.0_f64, f64::max);
    ((most / step).ceil() * step).max(step)
}

#[cfg(test)]
mod tests {
    use clrp::image::Picture;

    use super::*;
    use crate::evaluation::testing::{
        ablation, alike, curves, header, object, picture, pointing, summary_of,
    };

    const METHODS: [&str; 4] = ["lrp", "clrp1", "grad-cam", "random"];

    /// All experiments at once.
    fn summary() -> Summary {
        let picture = |index: usize| {
            let method = |method: usize| {
                let reach = ((index * 7 + method * 5) % 20) as f64 / 20.0;
                let mut found = pointing(reach > 0.3, reach);
                found.ablation = ablation(reach, reach / 2.0).ablation;
                found.curves = curves(&[1.0, reach, 0.0], &[0.0, reach, 0.9]).curves;
                found.alike = [alike("fc", reach), alike("conv", -reach)].map(|a| a.alike).concat();
                found
            };
            picture(index, vec![object(0, (0..METHODS.len()).map(method).collect())])
        };
        let records: Vec<_> = (0..20).map(picture).collect();
        let mut header = header(&METHODS);
        header.networks[0].name = "net/<1>".to_owned();
        summary_of(&header, &records)
    }

    #[test]
    fn each_experiment_has_its_plots() {
        let summary = summary();
        let figures = figures(&summary).expect("they can be drawn");
        let names: Vec<_> = figures.iter().map(|figure| &*figure.name).collect();
        let expected = [
            "ablation",
            "pointing-net--1-",
            "pointing-correct-net--1-",
            "deletion-net--1-",
            "insertion-net--1-",
            "sanity-net--1-",
        ];
        assert_eq!(names, expected);
        for figure in &figures {
            let document = roxmltree::Document::parse(&figure.plotted.svg).expect("SVG is XML");
            let root = document.root_element();
            let texts: String = root.descendants().filter_map(|node| node.text()).collect();
            assert!(texts.contains("clrp1") && texts.contains("net/<1>"), "{texts}");
            let png = Picture::decode(&figure.name, &figure.plotted.png).expect("PNG is a picture");
            let size = |name| root.attribute(name).and_then(|size| size.parse().ok());
            assert_eq!(size("width"), Some(png.width()));
            assert_eq!(size("height"), Some(png.height()));
            let inked = png.pixels().iter().filter(|&&channel| channel < 128).count();
            assert!(inked > 2000, "{} has {inked} dark channels", figure.name);
        }
        assert_eq!(figures, super::figures(&summary).expect("they can be drawn again"));
    }

    #[test]
    fn nothing_measured_is_nothing_drawn() {
        let none = summary_of(&header(&METHODS), &[]);
        assert_eq!(figures(&none).expect("there is nothing to fail"), []);
    }

    #[test]
    fn networks_of_one_name_have_files_of_their_own() {
        let mut summary = summary();
        summary.networks.push(summary.networks[0].clone());
        let figures = figures(&summary).expect("they can be drawn");
        let mut names: Vec<_> = figures.iter().map(|figure| &figure.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), figures.len());
    }

    #[test]
    fn axes_end_above_the_curves() {
        let curve =
            |y| Curve { name: String::new(), look: 0, points: vec![(0.0, y)], band: vec![] };
        assert_eq!(top(&[curve(41.0), curve(f64::NAN)], 10.0), 50.0);
        assert_eq!((top(&[], 10.0), top(&[curve(0.0)], 0.1)), (10.0, 0.1));
    }
}
