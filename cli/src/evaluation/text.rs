//! The summary in words and tables, for terminals and for Markdown.

use std::collections::BTreeMap;

use clrp::evaluation::Pointing;

use super::statistics::Estimate;
use super::summary::{
    MethodSummary, NetworkSummary, PointingSummary, Subset, SubsetSummary, Summary, Test,
};
use crate::table::{Table, thousands};

/// The shares of energy, in percent, that tables show.
const SHOWN: [u8; 9] = [1, 2, 5, 10, 25, 50, 75, 90, 100];

/// The heading of what tests say.
const DIFFERENCES: &str = "differences of methods, p uncorrected";

/// The measures of which differences are shown where there is little room.
const MAIN: [&str; 5] = ["by_maximum", "reach", "drop_logit", "deletion_area", "insertion_area"];

/// A table with its heading.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) table: Table,
}

/// How much is shown.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Detail {
    /// Differences in the main measures over all objects only.
    Main,
    All,
}

/// The summary as text for the terminal; `summary.json` has all of it.
pub(crate) fn table_text(summary: &Summary) -> String {
    let mut text = notes(summary).join("\n") + "\n";
    for Section { title, table } in sections(summary, Detail::Main) {
        text += &format!("\n{title}\n{}", table.indented(2));
    }
    text
}

/// The summary in Markdown.
pub(crate) fn markdown(summary: &Summary) -> String {
    let notes =
        notes(summary).into_iter().map(|note| format!("- {}\n", crate::table::escaped(&note)));
    let mut text: String = notes.collect();
    for Section { title, table } in sections(summary, Detail::Main) {
        text += &format!("\n**{}**\n\n{}", crate::table::escaped(&title), table.markdown());
    }
    text
}

/// What made the results, name by name.
pub(crate) fn facts(summary: &Summary) -> Vec<(String, String)> {
    let header = &summary.header;
    let mut facts = vec![
        ("experiment", header.experiment.clone()),
        ("program", format!("clrp {}", header.version)),
        ("data set", format!("{} ({} pictures)", header.dataset, thousands(header.pictures))),
        ("SHA-256 of names and annotations", header.dataset_sha256.clone()),
        ("device", header.device.clone()),
        ("precision", header.precision.clone()),
        ("composite", header.composite.clone()),
        ("rules", header.rules.clone()),
        ("methods", header.methods.join(", ")),
        ("seed", header.seed.to_string()),
        ("batch", header.batch.to_string()),
    ];
    facts.extend(header.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let mut facts: Vec<(String, String)> =
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for network in &header.networks {
        let weights = format!(
            "{} classes; weights' SHA-256 {}; {}",
            network.classes, network.weights_sha256, network.preprocess
        );
        facts.push((network.name.clone(), weights));
    }
    facts
}

/// What became of pictures and objects, a sentence each.
pub(crate) fn notes(summary: &Summary) -> Vec<String> {
    let counts = &summary.counts;
    let without = counts.without_boxes.map(|count| format!(", {} without boxes", thousands(count)));
    let mut notes = vec![format!(
        "{} of {} pictures: {} read, {} unreadable{}",
        thousands(counts.pictures),
        thousands(summary.header.pictures),
        thousands(counts.read),
        thousands(counts.unreadable),
        without.unwrap_or_default(),
    )];
    for unreadable in &counts.unreadable_named {
        notes.push(format!("unreadable: `{}`: {}", unreadable.name, unreadable.reason));
    }
    for network in summary.networks.iter().filter(|network| network.objects > 0) {
        notes.push(format!(
            "{}: {} objects in {} pictures; {} boxes cut away, {} objects not in the input",
            network.name,
            thousands(network.objects),
            thousands(network.pictures),
            thousands(network.boxes_cut_away),
            thousands(network.not_in_input),
        ));
    }
    let counted = |of: &BTreeMap<String, usize>| -> String {
        let counted = of.iter().map(|(name, count)| format!("{name} ({count})"));
        counted.collect::<Vec<_>>().join(", ")
    };
    for network in &summary.networks {
        if !network.lacking.is_empty() {
            notes.push(format!("{} lacks {}", network.name, counted(&network.lacking)));
        }
        if !network.not_finite.is_empty() {
            let methods = counted(&network.not_finite);
            notes.push(format!("{}: maps that are not finite: {methods}", network.name));
        }
        if !network.without_contrast.is_empty() {
            let methods = counted(&network.without_contrast);
            notes.push(format!(
                "{}: maps of which nothing was subtracted, those of the method without contrast: \
                 {methods} of {}",
                network.name,
                thousands(network.objects)
            ));
        }
    }
    notes
}

/// The summary's tables; none of what was not measured.
pub(crate) fn sections(summary: &Summary, detail: Detail) -> Vec<Section> {
    let mut sections: Vec<Section> = ablation_overview(summary).into_iter().collect();
    for network in &summary.networks {
        let subsets = network.subsets.iter().filter(|subset| subset.objects > 0);
        for subset in subsets {
            let tables = [
                ("pointing games, accuracy in %", games(subset)),
                ("where the energy is", energies(subset)),
                ("accuracy in % with a share of the energy kept", shares(subset)),
                ("what ablation costs", ablations(subset)),
                ("deletion and insertion", areas(subset)),
                ("how alike the maps of changed networks are", alike(subset)),
                (DIFFERENCES, tests(subset, detail)),
            ];
            sections.extend(
                tables
                    .into_iter()
                    .filter(|(_, table)| !table.rows().is_empty())
                    .map(|(name, table)| Section { title: title(network, subset, name), table }),
            );
        }
    }
    if !summary.neurons.is_empty() {
        let title = "how neurons differ (Gu et al. 2018, section 5.3)".to_owned();
        sections.push(Section { title, table: neurons(summary) });
    }
    for of in summary.neurons.iter().filter(|of| !of.tests.is_empty()) {
        let title = format!("{}, neurons of {}: {DIFFERENCES}", of.network, of.layer);
        sections.push(Section { title, table: test_table(&of.tests) });
    }
    sections
}

fn neurons(summary: &Summary) -> Table {
    let headings =
        ["network", "layer", "method", ">pictures", ">neurons", ">own patch costs most, %"];
    let more = [">by chance, %", ">own drop, %", ">drop of others, %"];
    let mut table = Table::new(headings.into_iter().chain(more));
    let shown = |found: &Option<Estimate>| found.as_ref().map_or_else(dash, percent);
    for network in &summary.neurons {
        for of in &network.methods {
            table.row([
                network.network.clone(),
                network.layer.clone(),
                of.method.clone(),
                thousands(of.pictures),
                thousands(of.neurons),
                shown(&of.on_diagonal),
                format!("{:.1}", 100.0 * of.by_chance),
                shown(&of.own_drop),
                shown(&of.other_drop),
            ]);
        }
    }
    table
}

fn title(network: &NetworkSummary, subset: &SubsetSummary, name: &str) -> String {
    let (objects, pictures) = (thousands(subset.objects), thousands(subset.pictures));
    let of = subset.subset.name();
    format!("{}, {of} ({objects} in {pictures} pictures): {name}", network.name)
}

/// Table 1 of Gu et al. (2018): networks by methods.
pub(crate) fn ablation_overview(summary: &Summary) -> Option<Section> {
    let methods = &summary.header.methods;
    let names = methods.iter().map(|method| format!(">{method}"));
    let mut table = Table::new(std::iter::once("network".to_owned()).chain(names));
    for network in &summary.networks {
        let all = network.subsets.first()?;
        let drop = |method: &MethodSummary| {
            method.ablation.as_ref().map_or_else(dash, |found| plain(&found.drop_logit))
        };
        let drops = all.methods.iter().map(drop);
        if all.methods.iter().any(|method| method.ablation.is_some()) {
            table.row(std::iter::once(network.name.clone()).chain(drops).collect::<Vec<_>>());
        }
    }
    let title = "mean drop of the logit after ablation".to_owned();
    (!table.rows().is_empty()).then_some(Section { title, table })
}

fn dash() -> String {
    "-".to_owned()
}

/// A mean with its interval.
fn with_interval(estimate: &Estimate, shown: impl Fn(f64) -> String) -> String {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => {
            format!("{} [{}, {}]", shown(estimate.value), shown(low), shown(high))
        }
        _ => shown(estimate.value),
    }
}

fn percent(estimate: &Estimate) -> String {
    with_interval(estimate, |share| format!("{:.1}", 100.0 * share))
}

fn plain(estimate: &Estimate) -> String {
    with_interval(estimate, |x| format!("{x:.3}"))
}

/// A row for each method that has what is shown.
fn table_of<'a, T: 'a>(
    headings: impl IntoIterator<Item = String>,
    subset: &'a SubsetSummary,
    found: impl Fn(&'a MethodSummary) -> Option<&'a T>,
    cells: impl Fn(&T) -> Vec<String>,
) -> Table {
    let mut table = Table::new(std::iter::once("method".to_owned()).chain(headings));
    for method in &subset.methods {
        if let Some(found) = found(method) {
            table.row([vec![method.method.clone()], cells(found)].concat());
        }
    }
    table
}

fn games(subset: &SubsetSummary) -> Table {
    let near = format!(">within {} px", Pointing::TOLERANCE);
    let headings = [">objects", ">nowhere", ">maximum", &near, ">any maximum"];
    let cells = |found: &PointingSummary| {
        vec![
            found.by_maximum.objects.to_string(),
            found.points_nowhere.to_string(),
            percent(&found.by_maximum),
            percent(&found.within_tolerance),
            percent(&found.by_any_maximum),
        ]
    };
    table_of(headings.map(str::to_owned), subset, |method| method.pointing.as_ref(), cells)
}

fn energies(subset: &SubsetSummary) -> Table {
    let headings = [">mass", ">rank", ">area under the curve"].map(str::to_owned);
    let cells =
        |found: &PointingSummary| [&found.mass, &found.rank, &found.reach].map(plain).to_vec();
    table_of(headings, subset, |method| method.pointing.as_ref(), cells)
}

fn shares(subset: &SubsetSummary) -> Table {
    let headings = SHOWN.map(|percent| format!(">{percent} %"));
    let cells = |found: &PointingSummary| {
        let shown = found.curve.iter().filter(|point| SHOWN.contains(&point.percent));
        shown.map(|point| format!("{:.1}", 100.0 * point.accuracy.value)).collect()
    };
    table_of(headings, subset, |method| method.pointing.as_ref(), cells)
}

fn ablations(subset: &SubsetSummary) -> Table {
    let headings = [">objects", ">drop of the logit", ">of the probability"].map(str::to_owned);
    table_of(
        headings,
        subset,
        |method| method.ablation.as_ref(),
        |found| {
            let objects = found.drop_logit.objects.to_string();
            vec![objects, plain(&found.drop_logit), plain(&found.drop_probability)]
        },
    )
}

fn areas(subset: &SubsetSummary) -> Table {
    let headings = [">objects", ">area under deletion", ">under insertion"].map(str::to_owned);
    table_of(
        headings,
        subset,
        |method| method.curves.as_ref(),
        |found| {
            let objects = found.deletion_area.objects.to_string();
            vec![objects, plain(&found.deletion_area), plain(&found.insertion_area)]
        },
    )
}

fn alike(subset: &SubsetSummary) -> Table {
    let headings = ["method", "changed", ">objects", ">Spearman", ">SSIM", ">Spearman of sizes"];
    let mut table = Table::new(headings);
    for method in &subset.methods {
        for alike in &method.alike {
            table.row([
                method.method.clone(),
                alike.change.clone(),
                alike.spearman.objects.to_string(),
                plain(&alike.spearman),
                plain(&alike.ssim),
                plain(&alike.spearman_abs),
            ]);
        }
    }
    table
}

fn tests(subset: &SubsetSummary, detail: Detail) -> Table {
    let shown = |test: &&Test| {
        let main = subset.subset == Subset::All && MAIN.contains(&test.measure.as_str());
        main || detail == Detail::All
    };
    test_table(subset.tests.iter().filter(shown))
}

fn test_table<'a>(tests: impl IntoIterator<Item = &'a Test>) -> Table {
    let headings = ["measure", "method", "less", ">difference", ">p"];
    let mut table = Table::new(headings);
    for test in tests {
        table.row([
            test.measure.clone(),
            test.method.clone(),
            test.against.clone(),
            with_interval(&test.difference, |x| format!("{x:+.4}")),
            format!("{:.4}", test.p),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        ablation, alike, curves, header, object, picture, pointing, summary_of,
    };
    use super::*;

    fn all() -> Summary {
        let mut full = pointing(true, 0.5);
        full.ablation = ablation(2.0, 0.5).ablation;
        full.curves = curves(&[1.0, 0.0], &[0.0, 1.0]).curves;
        full.alike = alike("fc", 0.25).alike;
        let objects = |index| picture(index, vec![object(0, vec![full.clone(), full.clone()])]);
        let mut odd = picture(9, Vec::new());
        odd.error = Some("it is *no* picture".to_owned());
        summary_of(&header(&["lrp", "clrp1"]), &[objects(0), objects(1), odd])
    }

    #[test]
    fn every_experiment_has_its_table() {
        let text = table_text(&all());
        for part in [
            "3 of 4 pictures: 2 read, 1 unreadable, 0 without boxes\n",
            "unreadable: `picture 9`: it is *no* picture\n",
            "net: 2 objects in 2 pictures; 0 boxes cut away, 0 objects not in the input\n",
            "net, all objects (2 in 2 pictures): pointing games, accuracy in %\n",
            "within 15 px",
            "100.0 [100.0, 100.0]",
            "2.000 [2.000, 2.000]",
            "area under deletion",
            "Spearman",
            "+0.0000 [+0.0000, +0.0000]  1.0000\n",
        ] {
            assert!(text.contains(part), "`{part}` in\n{text}");
        }
        assert!(!text.contains("drop_probability") && !text.contains("spearman: fc"));
        let full = sections(&all(), Detail::All);
        let last = full.last().expect("there are sections").table.to_string();
        assert!(last.contains("drop_probability") && last.contains("spearman: fc"), "{last}");
        // Nothing is said of what is not there.
        assert!(!text.contains("difficult") && !text.contains("NaN"));
    }

    #[test]
    fn the_overview_has_a_row_for_each_network() {
        let section = ablation_overview(&all()).expect("something was ablated");
        assert_eq!(
            section.table.markdown().lines().last(),
            Some("| net | 2.000 \\[2.000, 2.000\\] | 2.000 \\[2.000, 2.000\\] |")
        );
        assert!(ablation_overview(&summary_of(&header(&["lrp"]), &[])).is_none());
    }

    #[test]
    fn markdown_has_the_same_tables() {
        let text = markdown(&all());
        assert!(text.contains("| method | objects | nowhere | maximum |"), "{text}");
        assert!(text.contains("it is \\*no\\* picture"), "{text}");
        assert_eq!(text.matches("\n| --- |").count(), sections(&all(), Detail::Main).len());
    }
}
