//! What `clrp explain` says of a picture, as JSON and as text.

use clrp::explainer::{Border, LedgerRow};
use clrp::similarity::{Comparable, Similarity};
use clrp::{Explanation, Ledger, Warning};
use serde::Serialize;

use crate::console::say;
use crate::maps::Files;
use crate::report::{Input, MeanComparison, Prediction, Setting, prediction_table};
use crate::table::{Table, number};

/// What is said of a picture.
#[derive(Serialize)]
pub(crate) struct PictureReport {
    pub(crate) image: String,
    pub(crate) input: Input,
    pub(crate) predictions: Vec<Prediction>,
    pub(crate) explanations: Vec<ExplanationReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) compare: Vec<ComparisonReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sheet: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct ExplanationReport {
    pub(crate) method: &'static str,
    pub(crate) target: TargetReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<String>,
    pub(crate) label: String,
    pub(crate) score: f32,
    /// None for what is no class.
    pub(crate) probability: Option<f64>,
    pub(crate) sum: f64,
    pub(crate) leak: Option<f64>,
    pub(crate) seconds: f64,
    pub(crate) files: Files,
    /// The rules that its relevance followed; none of slopes and values.
    pub(crate) rules: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cam_layer: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<LayerReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ledger: Option<LedgerReport>,
    pub(crate) warnings: Vec<WarningReport>,
}

/// A class by its number, anything else as text.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum TargetReport {
    Class(usize),
    Other(String),
}

impl TargetReport {
    pub(crate) fn of(explanation: &Explanation) -> Self {
        match explanation.class() {
            Some(class) => TargetReport::Class(class),
            None => TargetReport::Other(explanation.goal.to_string()),
        }
    }

    /// What is explained, in a sentence; of a layer, if it is not the scores.
    fn place(&self, layer: Option<&str>) -> String {
        match (layer, self) {
            (Some(layer), target) => format!("`{layer}:{target}`"),
            (None, TargetReport::Class(class)) => format!("class {class}"),
            (None, target) => format!("`{target}`"),
        }
    }
}

impl std::fmt::Display for TargetReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TargetReport::Class(class) => write!(f, "{class}"),
            TargetReport::Other(text) => f.write_str(text),
        }
    }
}

/// The map at a layer.
#[derive(Serialize)]
pub(crate) struct LayerReport {
    pub(crate) layer: String,
    pub(crate) shape: [usize; 3],
    pub(crate) sum: f64,
    pub(crate) files: Files,
}

/// How alike the maps of two targets are; none where one is zero everywhere or not finite.
#[derive(Serialize)]
pub(crate) struct ComparisonReport {
    pub(crate) method: &'static str,
    pub(crate) targets: [TargetReport; 2],
    pub(crate) cosine: Option<f64>,
    pub(crate) spearman: Option<f64>,
    pub(crate) ssim: Option<f64>,
}

#[derive(Serialize)]
pub(crate) struct LedgerReport {
    start: f64,
    arrived: f64,
    bias: f64,
    padding: f64,
    dead: f64,
    stabilizer: f64,
    unexplained: f64,
    rows: Vec<LedgerRowReport>,
}

#[derive(Serialize)]
struct LedgerRowReport {
    layer: String,
    kind: &'static str,
    rule: String,
    got: f64,
    sent: f64,
    bias: f64,
    padding: f64,
    dead: f64,
    stabilizer: f64,
    unexplained: f64,
    magnitude: f64,
    min: f64,
    max: f64,
}

impl From<&LedgerRow> for LedgerRowReport {
    fn from(row: &LedgerRow) -> Self {
        Self {
            layer: row.layer.clone(),
            kind: row.kind,
            rule: row.rule.clone(),
            got: row.got,
            sent: row.sent,
            bias: row.leaks.bias,
            padding: row.leaks.padding,
            dead: row.leaks.dead,
            stabilizer: row.leaks.stabilizer,
            unexplained: row.unexplained(),
            magnitude: row.magnitude,
            min: row.least,
            max: row.greatest,
        }
    }
}

impl From<&Ledger> for LedgerReport {
    fn from(ledger: &Ledger) -> Self {
        let leaks = ledger.leaks();
        Self {
            start: ledger.start,
            arrived: ledger.arrived,
            bias: leaks.bias,
            padding: leaks.padding,
            dead: leaks.dead,
            stabilizer: leaks.stabilizer,
            unexplained: ledger.unexplained(),
            rows: ledger.rows.iter().map(LedgerRowReport::from).collect(),
        }
    }
}

impl LedgerReport {
    fn table(&self) -> Table {
        let headings = [
            "layer",
            "kind",
            "rule",
            ">got",
            ">sent",
            ">bias",
            ">padding",
            ">dead",
            ">stabilizer",
            ">rest",
            ">min",
            ">max",
        ];
        let mut table = Table::new(headings).indented(4);
        for row in &self.rows {
            table.row([
                row.layer.clone(),
                row.kind.to_owned(),
                row.rule.clone(),
                number(row.got),
                number(row.sent),
                number(row.bias),
                number(row.padding),
                number(row.dead),
                number(row.stabilizer),
                number(row.unexplained),
                number(row.min),
                number(row.max),
            ]);
        }
        table.row([
            "all".to_owned(),
            String::new(),
            String::new(),
            number(self.start),
            number(self.arrived),
            number(self.bias),
            number(self.padding),
            number(self.dead),
            number(self.stabilizer),
            number(self.unexplained),
            String::new(),
            String::new(),
        ]);
        table
    }
}

#[derive(Serialize)]
pub(crate) struct WarningReport {
    kind: &'static str,
    message: String,
    #[serde(flatten)]
    border: Option<BorderReport>,
}

#[derive(Serialize)]
pub(crate) struct BorderReport {
    ring: usize,
    share: f64,
    area: f64,
    /// Whether max pools can be why.
    #[serde(skip)]
    of_pools: bool,
}

impl WarningReport {
    /// What is said of a picture's map, by the method and what it explains.
    fn line(&self, (image, method, of): (&str, &str, String), has_max_pools: bool) -> String {
        let cause = match self.border {
            Some(BorderReport { of_pools: true, .. }) if has_max_pools => {
                "; `clrp switches` shows what max pools add to it"
            }
            _ => "",
        };
        format!("`{image}`: {method} of {of} {}{cause}", self.message)
    }
}

/// What speaks against reading an explanation of a picture, a line each.
pub(crate) fn warning_lines(
    image: &str,
    explanation: &Explanation,
    has_max_pools: bool,
) -> clrp::Result<Vec<String>> {
    let line = |warning| {
        let place = TargetReport::of(explanation).place(explanation.layer.as_deref());
        let of = (image, explanation.method.name(), place);
        WarningReport::from(warning).line(of, has_max_pools)
    };
    Ok(explanation.warnings()?.into_iter().map(line).collect())
}

impl From<Warning> for WarningReport {
    fn from(warning: Warning) -> Self {
        let mut border = None;
        if let Warning::OnBorder(found) | Warning::OnBorderByWindows(found) = warning {
            let Border { ring, share, area } = found;
            let of_pools = matches!(warning, Warning::OnBorder(_));
            border = Some(BorderReport { ring, share, area, of_pools });
        }
        Self { kind: warning.name(), message: warning.to_string(), border }
    }
}

/// How alike the maps of each two targets are, method by method.
pub(crate) fn comparisons(explanations: &[Explanation]) -> clrp::Result<Vec<ComparisonReport>> {
    let mut reports = Vec::new();
    let mut methods = Vec::new();
    for explanation in explanations {
        if !methods.contains(&explanation.method) {
            methods.push(explanation.method);
        }
    }
    for method in methods {
        let of_method = explanations.iter().filter(|explanation| explanation.method == method);
        let ready = |explanation: &Explanation| match Comparable::new(&explanation.plane()?) {
            // A map that is not finite is like nothing; its warning tells of it.
            Err(clrp::Error::InputValue { .. }) => Ok(None),
            ready => Ok(Some(ready?)),
        };
        let maps: Vec<(TargetReport, Option<Comparable>)> = of_method
            .map(|of| Ok((TargetReport::of(of), ready(of)?)))
            .collect::<clrp::Result<_>>()?;
        for (i, (one, a)) in maps.iter().enumerate() {
            for (other, b) in &maps[i + 1..] {
                let alike = match (a, b) {
                    (Some(a), Some(b)) => Similarity::between(a, b)?,
                    (None, _) | (_, None) => None,
                };
                reports.push(ComparisonReport {
                    method: method.name(),
                    targets: [one.clone(), other.clone()],
                    cosine: alike.map(|alike| alike.cosine),
                    spearman: alike.map(|alike| alike.spearman),
                    ssim: alike.map(|alike| alike.ssim),
                });
            }
        }
    }
    Ok(reports)
}

/// The means of each method's comparisons, of the pairs that can be compared.
pub(crate) fn means<'a>(
    comparisons: impl IntoIterator<Item = &'a ComparisonReport>,
) -> Vec<MeanComparison> {
    let mut by_method: Vec<(&'static str, Vec<&ComparisonReport>)> = Vec::new();
    for pair in comparisons {
        match by_method.iter_mut().find(|(method, _)| *method == pair.method) {
            Some((_, pairs)) => pairs.push(pair),
            None => by_method.push((pair.method, vec![pair])),
        }
    }
    let mean = |(method, pairs): (&'static str, Vec<&ComparisonReport>)| {
        let mean = |of: fn(&ComparisonReport) -> Option<f64>| {
            let values: Vec<f64> = pairs.iter().filter_map(|pair| of(pair)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        MeanComparison {
            method,
            pairs: pairs.iter().filter(|pair| pair.cosine.is_some()).count(),
            cosine: mean(|pair| pair.cosine),
            spearman: mean(|pair| pair.spearman),
            ssim: mean(|pair| pair.ssim),
        }
    };
    by_method.into_iter().map(mean).collect()
}

pub(crate) fn comparison_table(means: &[MeanComparison]) -> Table {
    let mut table = Table::new(["method", ">pairs", ">cosine", ">Spearman", ">SSIM"]).indented(2);
    let text = |mean: Option<f64>| mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.3}"));
    for of in means {
        table.row([
            of.method.to_owned(),
            of.pairs.to_string(),
            text(of.cosine),
            text(of.spearman),
            text(of.ssim),
        ]);
    }
    table
}

impl PictureReport {
    /// Says which maps say little.
    pub(crate) fn warn(&self, has_max_pools: bool) {
        for explanation in &self.explanations {
            for warning in &explanation.warnings {
                let place = explanation.target.place(explanation.layer.as_deref());
                let of = (self.image.as_str(), explanation.method, place);
                say("warning", &warning.line(of, has_max_pools));
            }
        }
    }

    pub(crate) fn text(&self, setting: &Setting) -> String {
        let composite = setting.composite.as_deref().unwrap_or_default();
        let head = format!("{}: {} on {}, {composite}", self.image, setting.model, setting.device);
        let mut table =
            Table::new(["method", ">target", "label", ">score", ">sum", ">leak", "file"])
                .indented(2);
        for explanation in &self.explanations {
            table.row([
                explanation.method.to_owned(),
                explanation.target.to_string(),
                explanation.label.clone(),
                number(explanation.score.into()),
                number(explanation.sum),
                explanation.leak.map_or_else(|| "-".to_owned(), number),
                explanation.files.map.clone(),
            ]);
        }
        let mut text = format!("{head}\n{}\n{table}", prediction_table(&self.predictions));
        for explanation in &self.explanations {
            let name = format!("{} of {}", explanation.method, explanation.target);
            if let Some(ledger) = &explanation.ledger {
                text += &format!("\n  ledger of {name}\n{}", ledger.table());
            }
            for LayerReport { layer, files, .. } in &explanation.layers {
                text += &format!("  {name} at {layer}: {}\n", files.map);
            }
        }
        if !self.compare.is_empty() {
            let table = comparison_table(&means(&self.compare));
            text +=
                &format!("\n  how alike the maps of different targets are (1: the same)\n{table}");
        }
        if let Some(sheet) = &self.sheet {
            text += &format!("  {sheet}\n");
        }
        text + "\n"
    }
}
