//! `clrp explain`: which pixels speak for a class.

use std::path::PathBuf;

use clap::Args;
use clrp::explainer::{Border, probabilities};
use clrp::image::Colormap;
use clrp::labels::Labels;
use clrp::{Explained, Explanation, Method, Warning};
use serde::Serialize;

use crate::console::{print, print_json, progress, say};
use crate::failure::Result;
use crate::folder::Results;
use crate::known::Known;
use crate::maps::{Files, Writer};
use crate::options::{DeviceOptions, NetworkOptions, PictureOptions, Precision, RuleOptions};
use crate::pictures::{self, Loaded};
use crate::report::{
    Document, Input, Prediction, Setting, label, prediction_table, predictions, shown,
};
use crate::runner::Runner;
use crate::table::{Table, number};
use crate::targets;

const EXAMPLES: &str = "\
Examples:
  clrp explain both.png --weights squeezenet1_1.safetensors --target 243,281 --sheet
  clrp explain *.jpg --weights vgg16.safetensors --method clrp1 --overlay -o maps
  clrp explain scene.png --model digits --target top2 --json";

const DETAILS: &str = "\
Files, which appear together at the end of the run:
  {stem}_{method}_{class}.png          the coloured map, as large as the network's input
  {stem}_{method}_{class}_overlay.png  half map, half picture (--overlay)
  {stem}_{method}_{class}.npy          float32 (3,H,W): one number for each input value, CLRP after
                                       its clamp, before channels are joined (--npy)
  {stem}_sheet.png                     a row for each target, a column for each method (--sheet)

Maps:
  Relevance is summed over channels; of slopes (gradient, guided-backprop, deconvnet) the largest
  absolute value counts. Colours are `hot` (0 to the largest value) where no pixel is negative by
  more than a thousandth of the largest, else `bwr` (symmetric about 0).

JSON (--json), one object:
  image         the path as given; with several IMAGEs these fields are in a list `images`, up to
                `explanations` and `sheet`
  input         shape [3, H, W] of the maps; size [width, height] of the picture in the file, scaled
                after resizing, and offset [column, row] at which the input starts in it, so that
                x = (column + offset[0] + .5) * size[0] / scaled[0]; null for .npy
  predictions   the best 5: class, label, logit, probability
  explanations  all methods of the first target, then the next: method, target (class number),
                label, score (logit), probability, sum (of the map), leak (what relevance methods
                lost on the way; null for others), seconds (share of the run), files {map, overlay,
                npy}, warnings (kind: zero, not-finite or on-border; message; on-border: ring in
                pixels, and its share of the map's magnitude and of its area)
  sheet         its path
  model, weights (null: bundled), device, composite";

/// Arguments of `clrp explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{DETAILS}"))]
pub(crate) struct Explain {
    #[command(flatten)]
    pictures: PictureOptions,

    #[command(flatten)]
    network: NetworkOptions,

    /// Ways to explain, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "lrp,clrp1,clrp2",
        value_parser = Known::METHODS)]
    method: Vec<String>,

    /// What to explain: top1, top3, ...; or classes by number, name or id (340, zebra, n02391049),
    /// with commas between
    #[arg(long, value_name = "TARGET", default_value = "top1", allow_hyphen_values = true)]
    target: String,

    #[command(flatten)]
    rules: RuleOptions,

    #[command(flatten)]
    device: DeviceOptions,

    /// Width of numbers on the CPU
    #[arg(long, value_name = "WIDTH", default_value = "f32")]
    precision: Precision,

    /// The folder for all files; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// Write a sheet for each picture: a row for each target, a column for each method
    #[arg(long)]
    sheet: bool,

    /// Write maps over pictures
    #[arg(long)]
    overlay: bool,

    /// Write maps as numbers
    #[arg(long)]
    npy: bool,

    /// Print JSON instead of tables; --help describes it
    #[arg(long)]
    json: bool,

    /// The palette; hot or bwr, whatever suits the map, unless given
    #[arg(long, value_name = "NAME", value_parser = Known::PALETTES)]
    cmap: Option<String>,

    /// The seed of the method `random`
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Serialize)]
struct PictureReport {
    image: String,
    input: Input,
    predictions: Vec<Prediction>,
    explanations: Vec<ExplanationReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sheet: Option<String>,
}

#[derive(Serialize)]
struct ExplanationReport {
    method: &'static str,
    target: usize,
    label: String,
    score: f32,
    probability: f64,
    sum: f64,
    leak: Option<f64>,
    seconds: f64,
    files: Files,
    warnings: Vec<WarningReport>,
}

#[derive(Serialize)]
struct WarningReport {
    kind: &'static str,
    message: String,
    #[serde(flatten)]
    border: Option<BorderReport>,
}

#[derive(Serialize)]
struct BorderReport {
    ring: usize,
    share: f64,
    area: f64,
}

impl From<Warning> for WarningReport {
    fn from(warning: Warning) -> Self {
        let mut border = None;
        if let Warning::OnBorder(Border { ring, share, area }) = warning {
            border = Some(BorderReport { ring, share, area });
        }
        Self { kind: warning.name(), message: warning.to_string(), border }
    }
}

impl Explain {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let methods = unique_methods(&self.method)?;
        let palette = self.cmap.as_deref().map(Colormap::parse).transpose()?;
        let composite = self.rules.composite()?;
        let images = &self.pictures.images;
        pictures::check(images)?;
        let chosen = self.network.choose()?;
        let runner = Runner {
            network: chosen.network,
            device: self.device.open(self.precision)?,
            composite,
            preprocess: self.pictures.preprocess(chosen.preprocess, self.network.size),
            batch: self.pictures.batch.min(images.len()),
            seed: self.seed,
        };
        // Rules that do not suit the network.
        runner.explainer()?;
        let labels = chosen.labels;
        let target = targets::parse(&self.target, &labels, &chosen.name)?;
        let weights = chosen.weights.as_ref();
        let results = Results::open(&self.output, images, weights)?;
        let mut writer = Writer { results, palette, overlay: self.overlay, npy: self.npy };
        let has_max_pools = runner.network.graph().max_pools().next().is_some();
        let setting = Setting {
            model: chosen.name,
            weights: chosen.weights.as_deref().map(shown),
            device: runner.device.name(),
            composite: Some(runner.composite.label().to_owned()),
        };

        let bar = progress(images.len());
        let mut reports = Vec::new();
        runner.process(images, &bar, |explainer, pictures| {
            let inputs: Vec<_> = pictures.iter().map(|picture| picture.input.clone()).collect();
            let explained = explainer.explain(&inputs, &methods, &target)?;
            for (picture, explained) in pictures.iter().zip(&explained) {
                reports.push(self.write(
                    &mut writer,
                    &labels,
                    methods.len(),
                    picture,
                    explained,
                )?);
            }
            Ok(())
        })?;
        // The files are there whether or not somebody reads what is printed.
        writer.results.commit()?;
        for report in &reports {
            report.warn(has_max_pools);
            if !self.json {
                print(report.text(&setting))?;
            }
        }
        if self.json { print_json(&Document::new(&setting, &reports)) } else { Ok(()) }
    }

    /// Writes the files of one picture.
    fn write(
        &self,
        writer: &mut Writer,
        labels: &Labels,
        methods: usize,
        picture: &Loaded,
        explained: &Explained,
    ) -> Result<PictureReport> {
        let probabilities = probabilities(&explained.scores);
        let mut report = |explanation: &Explanation| -> Result<ExplanationReport> {
            let target = explanation.target;
            Ok(ExplanationReport {
                method: explanation.method.name(),
                target,
                label: label(labels, target),
                score: explanation.score,
                probability: probabilities[target],
                sum: explanation.sum,
                leak: explanation.leak,
                seconds: explanation.seconds,
                files: writer.write(picture, explanation)?,
                warnings: explanation.warnings()?.into_iter().map(WarningReport::from).collect(),
            })
        };
        let explanations = explained.explanations.iter().map(&mut report).collect::<Result<_>>()?;
        let text = |explanation: &Explanation| {
            let target = explanation.target;
            let detail = format!("class {target}, p {:.3}", probabilities[target]);
            (label(labels, target), detail)
        };
        let sheet =
            self.sheet.then(|| writer.write_sheet(picture, methods, &explained.explanations, text));
        Ok(PictureReport {
            image: shown(&picture.path),
            input: Input::of(picture),
            predictions: predictions(&explained.scores, labels, 5),
            explanations,
            sheet: sheet.transpose()?,
        })
    }
}

impl PictureReport {
    /// Says which maps say little.
    fn warn(&self, has_max_pools: bool) {
        for explanation in &self.explanations {
            let (method, target) = (explanation.method, explanation.target);
            for WarningReport { message, border, .. } in &explanation.warnings {
                let cause = match border {
                    Some(_) if has_max_pools => "; `clrp switches` shows what max pools add to it",
                    _ => "",
                };
                let map = format!("`{}`: {method} of class {target}", self.image);
                say("warning", &format!("{map} {message}{cause}"));
            }
        }
    }

    fn text(&self, setting: &Setting) -> String {
        let composite = setting.composite.as_deref().unwrap_or_default();
        let head = format!("{}: {} on {}, {composite}", self.image, setting.model, setting.device);
        let mut table =
            Table::new(["method", ">class", "label", ">score", ">sum", ">leak", "file"])
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
        let sheet = self.sheet.as_ref().map(|sheet| format!("  {sheet}\n")).unwrap_or_default();
        format!("{head}\n{}\n{table}{sheet}\n", prediction_table(&self.predictions))
    }
}

/// The methods of these names, each once.
pub(crate) fn unique_methods(names: &[String]) -> Result<Vec<Method>> {
    let mut methods = Vec::new();
    for name in names {
        let method = name.trim().parse()?;
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(methods)
}
