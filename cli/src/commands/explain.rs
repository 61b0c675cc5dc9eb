//! `clrp explain`: which pixels speak for a class.

use std::path::PathBuf;

use clap::Args;
use clrp::explainer::{Methods, probabilities};
use clrp::image::Colormap;
use clrp::labels::Labels;
use clrp::methods::Walk;
use clrp::rules::{Composite, excitation_rules};
use clrp::{Explained, Explanation, Goal, Method, Request, Target};

use super::explain_report::{
    ExplanationReport, LayerReport, LedgerReport, PictureReport, TargetReport, WarningReport,
    comparison_table, comparisons, means,
};
use crate::console::{print, print_json, progress};
use crate::failure::{Failure, Result};
use crate::folder::Results;
use crate::known::Known;
use crate::maps::Writer;
use crate::options::{
    DeviceOptions, MethodOptions, NetworkOptions, PictureOptions, Precision, RuleOptions,
};
use crate::pictures::{self, Loaded};
use crate::report::{Document, Input, Setting, label, predictions, shown};
use crate::runner::Runner;
use crate::targets::{Named, none_is_empty};

const EXAMPLES: &str = "\
Examples:
  clrp explain both.png --weights squeezenet1_1.safetensors --target 243,281 --sheet
  clrp explain *.jpg --weights vgg16.safetensors --method clrp1 --overlay -o maps
  clrp explain scene.png --model digits --target top2 --json
  clrp explain both.png --target 243 --against 281 --method clrp1,gradient
  clrp explain cat.jpg --model vgg16 --target features.28:17@3,5 --method lrp,clrp2
  clrp explain cat.jpg --model vgg16 --rule conv=gamma:0.25 --rule linear=epsilon:1e-6 --ledger";

const DETAILS: &str = "\
Files, which appear together at the end of the run:
  {stem}_{method}_{class}.png          the coloured map, as large as the network's input
  {stem}_{method}_{class}_overlay.png  half map, half picture (--overlay)
  {stem}_{method}_{class}.npy          float32 (3,H,W): one number for each input value, CLRP after
                                       its clamp, before channels are joined (--npy)
  {stem}_{method}_{class}_{layer}.png  the map at a layer, and as .npy (--layers); Grad-CAM, guided
                                       Grad-CAM, random and methods of many samples have none
  {stem}_sheet.png                     a row for each target, a column for each method (--sheet)
  For {class} other targets stand as layer-channel-row-column or as their classes and weights;
  long ones are cut and end in a number that tells them apart.

Targets:
  top3              the best classes of each picture
  340, zebra        classes by number, name or WordNet id, with commas between
  340*0.7+386*0.3   a weighted mean of scores; 340+386 the mean of two
  10-of-top100      the mean of 10 of the 100 best, drawn by --seed (the paper's figure 1)
  features.28:17@3,5, features.28:17, classifier.0:2431, classifier.0:top8
                    a neuron (channel, row, column), a whole channel (its sum), the strongest
  --target 340 --against 386: CLRP1 sets the class against those instead of all others, gradients
  are those of the difference

Rules (--rule LAYERS=RULE), the first that speaks of a layer decides:
  LAYERS            conv, linear, avg-pool, add or batch-norm: all of the kind; first-conv,
                    first-linear: those that see the picture; features.0: that layer; with a * for
                    any characters: all layers of such names whose kind takes the rule
  RULE              epsilon:1e-6, gamma:0.25, z-plus, alpha-beta:2,1, w-square, flat (conv, linear);
                    z-box (where the picture comes in); norm, even (avg-pool, add); pass (add,
                    batch-norm)
  Excitation backprop has rules of its own, slopes and values have none.

Ledger (--ledger), for relevance: what each layer got, what it sent to its inputs, and what was
  lost to biases in denominators, to padding, to outputs that nothing contributes to (dead) and to
  the stabilizer; the rest is rounding. start = arrived + all that was lost.

Maps:
  Relevance starts with the score's magnitude: evidence for a negative score is positive, too.
  Relevance is summed over channels, and of contrastive-excitation-backprop only what is above 0 is
  shown; of slopes (gradient, guided-backprop, guided-grad-cam, deconvnet) the largest absolute
  value counts. --npy writes the values before that. Colours are `hot` (0 to the largest value)
  where no pixel is negative by more than a thousandth of the largest, else `bwr` (symmetric about
  0).

JSON (--json), one object:
  image         the path as given; with several IMAGEs these fields are in a list `images`, up to
                `explanations` and `sheet`
  input         shape [3, H, W] of the maps; size [width, height] of the picture in the file, scaled
                after resizing, and offset [column, row] at which the input starts in it, so that
                x = (column + offset[0] + .5) * size[0] / scaled[0]; null for .npy
  predictions   the best 5: class, label, logit, probability
  explanations  all methods of the first target, then the next: method, target (class number, or
                text), layer (of a neuron), label, score (logit), probability (null for neurons and
                mixtures), sum (of the map's values, as --npy writes them),
                leak (what relevance methods lost on the way; null for others), seconds (share of
                the run), files {map, overlay, npy}, rules (that its relevance followed; null for
                slopes), cam_layer (that Grad-CAM looked at), layers (--layers: layer, shape, sum, files),
                ledger (--ledger: start, arrived, bias, padding, dead, stabilizer, unexplained;
                rows: layer, kind, rule, got, sent, the same leaks, magnitude, min, max), warnings
                (kind: zero, not-finite, rounding, no-contrast or on-border; message; on-border:
                ring in pixels, and its share of the map's magnitude and of its area)
  compare       --compare: method, targets [a, b], cosine, spearman, ssim of their maps;
                null where one is zero everywhere or not finite. With several IMAGEs, beside
                `images`, the means over all pictures: method, pairs, cosine, spearman, ssim
  sheet         its path
  model, weights (null: bundled), device, composite, rules (in order; the first that speaks of a
                layer decides; and stabilizer, bias and batch norm; left out where no method
                follows them), settings (numbers of the methods by their options' names), seed";

/// Arguments of `clrp explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{DETAILS}"))]
pub(crate) struct Explain {
    #[command(flatten)]
    pictures: PictureOptions,

    #[command(flatten)]
    network: NetworkOptions,

    /// Ways to explain, with commas between; lrp,clrp1,clrp2 unless given (lrp,clrp2 of neurons,
    /// clrp1 with --against)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Known::METHODS)]
    method: Vec<String>,

    /// What to explain: top1, top3, ...; classes by number, name or id (340, zebra, n02391049),
    /// with commas between; mixtures and neurons as --help tells
    #[arg(long, value_name = "TARGET", default_value = "top1", allow_hyphen_values = true)]
    target: String,

    /// Classes that the target is set against, instead of all others
    #[arg(long, value_name = "CLASSES")]
    against: Option<String>,

    #[command(flatten)]
    rules: RuleOptions,

    #[command(flatten)]
    device: DeviceOptions,

    /// How precisely is computed: f64 on a CPU, fast on a GPU with cooperative matrices
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
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

    /// Write the maps at these layers, too, with commas between: of methods that walk through them
    /// once (not grad-cam, guided-grad-cam, random or those of many samples)
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    layers: Vec<String>,

    /// Show what relevance each layer got, handed down and lost, and why
    #[arg(long)]
    ledger: bool,

    /// Show how alike the maps of different targets are
    #[arg(long)]
    compare: bool,

    /// Print JSON instead of tables; --help describes it
    #[arg(long)]
    json: bool,

    /// The palette; hot or bwr, whatever suits the map, unless given
    #[arg(long, value_name = "NAME", value_parser = Known::PALETTES)]
    cmap: Option<String>,

    /// The seed of random, smoothgrad, rise and targets that are drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    methods: MethodOptions,
}

impl Explain {
    /// The ways to explain the target, if they suit the other options.
    fn methods_for(&self, target: &Target) -> Result<Vec<Method>> {
        let methods = match (&self.method[..], &self.against, target.layer()) {
            ([], Some(_), _) => vec![Method::Clrp1],
            ([], None, Some(_)) => vec![Method::Lrp, Method::Clrp2],
            ([], None, None) => vec![Method::Lrp, Method::Clrp1, Method::Clrp2],
            (names, _, _) => unique_methods(names)?,
        };
        self.methods.check(&methods)?;
        self.rules.check(&methods)?;
        if self.ledger && !methods.iter().any(|method| method.has_ledger()) {
            let message = "--ledger needs a method of relevance, as lrp or clrp1";
            return Err(Failure::Said(message.to_owned()));
        }
        none_is_empty("--layers", &self.layers)?;
        if !self.layers.is_empty() && !methods.iter().any(|method| method.has_layer_maps()) {
            let message = "--layers needs a method that walks through them once, as lrp or \
                           gradient (not grad-cam, guided-grad-cam, random or those of many \
                           samples)";
            return Err(Failure::Said(message.to_owned()));
        }
        Ok(methods)
    }

    /// What is asked of the network, and by which methods.
    fn request(&self, named: &Named<'_>) -> Result<(Request<'static>, Vec<Method>)> {
        let target = named.target(&self.target, self.against.as_deref(), self.seed)?;
        if self.compare && target.count() < 2 {
            let expected = "at least two targets, as --target top2";
            return Err(Failure::Said(format!("--compare needs {expected}, found one")));
        }
        let methods = self.methods_for(&target)?;
        let request = Request::new(methods.clone(), target)
            .layers(self.layers.iter().cloned())
            .ledger(self.ledger);
        Ok((request, methods))
    }

    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let palette = self.cmap.as_deref().map(Colormap::parse).transpose()?;
        let rules = self.rules.read()?;
        let images = &self.pictures.images;
        pictures::check(images)?;
        let chosen = self.network.choose()?;
        let graph = chosen.network.graph();
        rules.check(graph)?;
        let has_max_pools = graph.max_pools().next().is_some();
        let named = Named { labels: &chosen.labels, model: &chosen.name, graph };
        let (request, methods) = self.request(&named)?;
        let preprocess = self.pictures.shaping.preprocess(chosen.preprocess, self.network.size);
        let device = self.device.open_for(self.precision, images.len())?;
        let runner = Runner {
            composite: rules.composite,
            seed: self.seed,
            methods: Some(&self.methods),
            ..Runner::usual(chosen.network, device, preprocess, self.pictures.batch)?
        };
        // Rules that do not suit the network once batch norm is folded.
        runner.explainer()?;
        let results = Results::open(&self.output, images, chosen.weights.as_ref())?;
        let mut writer = Writer { results, palette, overlay: self.overlay, npy: self.npy };
        let setting = Setting {
            composite: Some(runner.composite.label().to_owned()),
            rules: methods
                .iter()
                .any(|method| method.follows_composite())
                .then(|| runner.composite.to_string()),
            settings: self.methods.numbers(&methods),
            seed: Some(self.seed),
            ..Setting::of(chosen.name, chosen.weights.as_deref(), runner.device.name())
        };

        let bar = progress(images.len());
        let mut reports = Vec::new();
        runner.process(images, &bar, |explainer, pictures| {
            let inputs: Vec<_> = pictures.iter().map(|picture| &picture.input).collect();
            let explained = explainer.explain_all(&inputs, &request)?;
            for (picture, explained) in pictures.iter().zip(&explained) {
                let said = Said::new(explained, &chosen.labels, &runner.composite);
                reports.push(self.write(&mut writer, &said, methods.len(), picture)?);
            }
            Ok(())
        })?;
        // The files are there whether or not somebody reads what is printed.
        writer.results.commit()?;
        self.tell(setting, &reports, has_max_pools)
    }

    /// Prints what came out.
    fn tell(
        &self,
        mut setting: Setting,
        reports: &[PictureReport],
        has_max_pools: bool,
    ) -> Result<()> {
        if !self.json {
            print(rules_text(reports))?;
        }
        for report in reports {
            report.warn(has_max_pools);
            if !self.json {
                print(report.text(&setting))?;
            }
        }
        if reports.len() > 1 {
            setting.compare = means(reports.iter().flat_map(|report| &report.compare));
        }
        if self.json {
            return print_json(&Document::new(&setting, reports));
        }
        if setting.compare.is_empty() {
            return Ok(());
        }
        let table = comparison_table(&setting.compare);
        print(format!("all pictures: how alike the maps of different targets are\n{table}\n"))
    }

    /// Writes the files of one picture.
    fn write(
        &self,
        writer: &mut Writer,
        said: &Said<'_>,
        methods: usize,
        picture: &Loaded,
    ) -> Result<PictureReport> {
        let all = &said.explained.explanations;
        let explanations = all.iter().map(|one| report(writer, said, picture, one));
        let explanations = explanations.collect::<Result<_>>()?;
        let compare = match self.compare {
            true => comparisons(all)?,
            false => Vec::new(),
        };
        let sheet =
            self.sheet.then(|| writer.write_sheet(picture, methods, all, |one| said.caption(one)));
        Ok(PictureReport {
            image: shown(&picture.path),
            input: Input::of(picture),
            predictions: predictions(&said.explained.scores, said.labels, 5),
            explanations,
            compare,
            sheet: sheet.transpose()?,
        })
    }
}

/// The rules that explanations followed, each once.
fn rules_text(reports: &[PictureReport]) -> String {
    let mut told: Vec<(Vec<&str>, &str)> = Vec::new();
    let all = reports.iter().flat_map(|report| &report.explanations);
    for (method, rules) in all.filter_map(|one| Some((one.method, one.rules.as_deref()?))) {
        match told.iter_mut().find(|(_, there)| *there == rules) {
            Some((methods, _)) if methods.contains(&method) => {}
            Some((methods, _)) => methods.push(method),
            None => told.push((vec![method], rules)),
        }
    }
    let line = |(methods, rules): (Vec<&str>, &str)| {
        format!("rules of {}: {rules}\n\n", methods.join(", "))
    };
    told.into_iter().map(line).collect()
}

/// What the network says of a picture, in words and probabilities.
struct Said<'a> {
    explained: &'a Explained,
    probabilities: Vec<f64>,
    labels: &'a Labels,
    composite: &'a Composite,
}

impl<'a> Said<'a> {
    fn new(explained: &'a Explained, labels: &'a Labels, composite: &'a Composite) -> Self {
        let probabilities = probabilities(&explained.scores);
        Self { explained, probabilities, labels, composite }
    }

    /// The rules that an explanation's relevance followed.
    fn rules(&self, explanation: &Explanation) -> Option<String> {
        match explanation.method.recipe_of_each()?.walk {
            Walk::Relevance => Some(self.composite.to_string()),
            Walk::Excitation => Some(excitation_rules().to_string()),
            Walk::Gradient(_) => None,
        }
    }

    /// The probability of what is explained, if that is a class.
    fn probability(&self, explanation: &Explanation) -> Option<f64> {
        let class = match explanation.goal {
            Goal::Against { class, .. } => Some(class),
            Goal::Class(_) | Goal::Channel(_) | Goal::Neuron { .. } | Goal::Mixture(_) => {
                explanation.class()
            }
        };
        class.map(|class| self.probabilities[class])
    }

    /// What a sheet says of an explanation: its name and a detail.
    fn caption(&self, explanation: &Explanation) -> (String, String) {
        let detail = match (explanation.class(), self.probability(explanation)) {
            (Some(class), Some(probability)) => format!("class {class}, p {probability:.3}"),
            (_, Some(probability)) => format!("p {probability:.3}"),
            (_, None) => format!("value {:.4}", explanation.score),
        };
        (named(explanation, self.labels), detail)
    }
}

/// Writes the files of one explanation.
fn report(
    writer: &mut Writer,
    said: &Said<'_>,
    picture: &Loaded,
    explanation: &Explanation,
) -> Result<ExplanationReport> {
    let mut layers = Vec::new();
    for of in &explanation.layers {
        let shape = of.map.shape();
        layers.push(LayerReport {
            layer: of.layer.clone(),
            shape: [shape.channels, shape.height, shape.width],
            sum: of.map.values().iter().map(|value| f64::from(*value)).sum(),
            files: writer.write_layer(picture, explanation, of)?,
        });
    }
    Ok(ExplanationReport {
        method: explanation.method.name(),
        target: TargetReport::of(explanation),
        layer: explanation.layer.clone(),
        label: named(explanation, said.labels),
        score: explanation.score,
        probability: said.probability(explanation),
        sum: explanation.sum,
        leak: explanation.leak,
        seconds: explanation.seconds,
        files: writer.write(picture, explanation)?,
        rules: said.rules(explanation),
        cam_layer: explanation.cam_layer.clone(),
        layers,
        ledger: explanation.ledger.as_ref().map(LedgerReport::from),
        warnings: explanation.warnings()?.into_iter().map(WarningReport::from).collect(),
    })
}

/// What is explained, in words.
pub(crate) fn named(explanation: &Explanation, labels: &Labels) -> String {
    let list = |classes: &[usize]| {
        let names: Vec<String> = classes.iter().map(|class| label(labels, *class)).collect();
        names.join(", ")
    };
    match (&explanation.layer, &explanation.goal) {
        (Some(layer), goal) => format!("{layer}:{goal}"),
        (None, Goal::Class(class)) => label(labels, *class),
        (None, Goal::Against { class, against }) => {
            format!("{} against {}", label(labels, *class), list(against))
        }
        (None, Goal::Mixture(parts)) => {
            list(&parts.iter().map(|(class, _)| *class).collect::<Vec<_>>())
        }
        (None, goal @ (Goal::Channel(_) | Goal::Neuron { .. })) => goal.to_string(),
    }
}

/// The methods of these names, each once.
pub(crate) fn unique_methods(names: &[String]) -> Result<Vec<Method>> {
    none_is_empty("--method", names)?;
    let methods = names.iter().map(|name| name.trim().parse());
    Ok(methods.collect::<clrp::Result<Methods>>()?.into())
}
