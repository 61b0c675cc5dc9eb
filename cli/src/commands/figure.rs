//! `clrp figure`: the paper's figures from any network and pictures.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clrp::explainer::probabilities;
use clrp::graph::{Graph, Node, Op};
use clrp::image::{Colormap, Picture, Sheet, SheetRow, render};
use clrp::labels::Labels;
use clrp::{Error, Explained, Explainer, Explanation, Goal, Method, Request, Target};

use super::explain::{named, unique_methods};
use super::explain_report::warning_lines;
use crate::console::{print, progress, say};
use crate::failure::{Failure, Result};
use crate::folder::{Results, stem};
use crate::known::Known;
use crate::maps::palette;
use crate::options::{
    DeviceOptions, MethodOptions, NetworkOptions, PictureOptions, Precision, RuleOptions,
};
use crate::pictures::{self, Loaded};
use crate::report::{label, shown};
use crate::runner::Runner;
use crate::targets::Named;

const EXAMPLES: &str = "\
Examples:
  clrp figure 1 *.jpg --model vgg16
  clrp figure 3 both.png elephants.jpg --model vgg16 --target top2
  clrp figure 5 toyshop.jpg --model vgg16 --neurons classifier.0:top8";

const DETAILS: &str = "\
Figures of Gu, Yang & Tresp (2018):
  1  For each picture the maps of its three best classes and one of ten classes at once, drawn from
     the hundred best (--seed): LRP shows the same for all. One page, clrp-figure1.png.
  3  For each picture and its two best classes (or --target) LRP, CLRP1 and CLRP2. One page,
     clrp-figure3.png.
  5  For each picture the maps of eight neurons around it, a page for each method (LRP and CLRP2
     unless --method is given), {stem}-figure5-{method}.png. The strongest neurons of the first
     fully connected layer but the last, unless --neurons names others.";

/// Arguments of `clrp figure`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{DETAILS}"))]
pub(crate) struct Figure {
    /// Which figure of the paper
    #[arg(value_name = "NUMBER")]
    number: Number,

    #[command(flatten)]
    pictures: PictureOptions,

    #[command(flatten)]
    network: NetworkOptions,

    /// Ways to explain, with commas between; those of the figure unless given
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Known::METHODS)]
    method: Vec<String>,

    /// Figure 3: what to explain, as `clrp explain --target`; top2 unless given
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,

    /// Figure 5: up to eight neurons of a layer, as classifier.0:top8 or
    /// classifier.0:12,classifier.0:2431
    #[arg(long, value_name = "NEURONS")]
    neurons: Option<String>,

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

    /// The palette; hot or bwr, whatever suits the map, unless given
    #[arg(long, value_name = "NAME", value_parser = Known::PALETTES)]
    cmap: Option<String>,

    /// The seed of what is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    methods: MethodOptions,
}

/// A figure of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Number {
    /// LRP of several classes
    #[value(name = "1")]
    One,
    /// LRP beside CLRP
    #[value(name = "3")]
    Three,
    /// Neurons
    #[value(name = "5")]
    Five,
}

/// Around the picture there is room for so many.
const NEURONS: usize = 8;

impl Figure {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        self.check()?;
        let palette = self.cmap.as_deref().map(Colormap::parse).transpose()?;
        let rules = self.rules.read()?;
        let images = &self.pictures.images;
        pictures::check(images)?;
        let chosen = self.network.choose()?;
        rules.check(chosen.network.graph())?;
        let preprocess = self.pictures.shaping.preprocess(chosen.preprocess, self.network.size);
        let device = self.device.open_for(self.precision, images.len())?;
        let runner = Runner {
            composite: rules.composite,
            seed: self.seed,
            methods: Some(&self.methods),
            ..Runner::usual(chosen.network, device, preprocess, self.pictures.batch)?
        };
        let work = Work { figure: self, labels: chosen.labels, model: chosen.name, palette };
        let targets = work.targets(runner.explainer()?.network().graph())?;
        let weights = chosen.weights.as_ref();
        let mut results = match self.number {
            Number::One | Number::Three => Results::of_pages(&self.output, images, weights)?,
            Number::Five => Results::open(&self.output, images, weights)?,
        };

        let has_max_pools = runner.network.graph().max_pools().next().is_some();
        let bar = progress(images.len());
        let (mut rows, mut written) = (Vec::new(), Vec::new());
        let (mut warnings, mut drawn) = (Vec::new(), Vec::new());
        runner.process(images, &bar, |explainer, pictures| {
            for (picture, explained) in
                pictures.iter().zip(work.explain(explainer, pictures, &targets)?)
            {
                let name = shown(&picture.path);
                for explanation in explained.iter().flat_map(|one| &one.explanations) {
                    warnings.extend(warning_lines(&name, explanation, has_max_pools)?);
                    drawn.extend(work.drawn_classes(&name, explanation));
                }
                match self.number {
                    Number::One => rows.push(work.row_of_classes(picture, &explained)?),
                    Number::Three => rows.extend(work.rows_of_methods(picture, &explained[0])?),
                    Number::Five => {
                        for (method, sheet) in work.neurons(picture, &explained[0])? {
                            let page = sheet.render();
                            let page =
                                page.map_err(|error| Failure::about(&picture.path, error))?;
                            let name = format!("{}-figure5-{method}.png", stem(&picture.path));
                            written.push(results.write(&name, &page.encode_png())?);
                        }
                    }
                }
            }
            Ok(())
        })?;
        if !rows.is_empty() {
            let name = if self.number == Number::One { "1" } else { "3" };
            let page = Sheet { captions: work.captions()?, rows }.render()?;
            let name = format!("clrp-figure{name}.png");
            written.push(results.write(&name, &page.encode_png())?);
        }
        results.commit()?;
        warnings.iter().for_each(|warning| say("warning", warning));
        drawn.dedup();
        drawn.iter().for_each(|classes| say("note", classes));
        print(written.join("\n") + "\n")
    }

    /// Refuses what the figure does not take.
    fn check(&self) -> Result<()> {
        let wrong = match self.number {
            Number::One | Number::Five if self.target.is_some() => "--target is for figure 3",
            Number::One | Number::Three if self.neurons.is_some() => "--neurons is for figure 5",
            Number::One | Number::Three | Number::Five => {
                let methods = self.chosen_methods()?;
                self.methods.check(&methods)?;
                return self.rules.check(&methods);
            }
        };
        Err(Failure::Said(wrong.to_owned()))
    }

    fn chosen_methods(&self) -> Result<Vec<Method>> {
        if !self.method.is_empty() {
            return unique_methods(&self.method);
        }
        Ok(match self.number {
            Number::One => vec![Method::Lrp],
            Number::Three => vec![Method::Lrp, Method::Clrp1, Method::Clrp2],
            Number::Five => vec![Method::Lrp, Method::Clrp2],
        })
    }
}

/// A figure in the making.
struct Work<'a> {
    figure: &'a Figure,
    labels: Labels,
    model: String,
    palette: Option<Colormap>,
}

impl Work<'_> {
    /// What is explained of each picture.
    fn targets(&self, graph: &Graph) -> Result<Vec<Target>> {
        let classes = self.labels.len();
        let seed = self.figure.seed;
        let named = Named { labels: &self.labels, model: &self.model, graph };
        match self.figure.number {
            Number::One => {
                let of = classes.min(100);
                let drawn = Target::random_of_top(of.min(10), of, seed);
                Ok(vec![Target::top(classes.min(3)), drawn])
            }
            Number::Three => {
                let text = self.figure.target.as_deref().unwrap_or("top2");
                Ok(vec![named.target(text, None, seed)?])
            }
            Number::Five => {
                let target = match &self.figure.neurons {
                    Some(text) => named.target(text, None, seed)?,
                    None => usual_neurons(graph)?,
                };
                if target.layer().is_none() || target.count() > NEURONS {
                    let expected = format!("1 to {NEURONS} neurons of a layer");
                    let found = self.figure.neurons.clone().unwrap_or_default();
                    return Err(Error::Setting { what: "--neurons", found, expected }.into());
                }
                Ok(vec![target])
            }
        }
    }

    /// For each picture, what each target gave.
    fn explain(
        &self,
        explainer: &Explainer,
        pictures: &[Loaded],
        targets: &[Target],
    ) -> Result<Vec<Vec<Explained>>> {
        let inputs: Vec<_> = pictures.iter().map(|picture| &picture.input).collect();
        let methods = self.figure.chosen_methods()?;
        let mut all = vec![Vec::new(); pictures.len()];
        for target in targets {
            let request = Request::new(methods.clone(), target.clone());
            let explained = explainer.explain_all(&inputs, &request)?;
            all.iter_mut().zip(explained).for_each(|(all, explained)| all.push(explained));
        }
        Ok(all)
    }

    fn drawn(&self, explanation: &Explanation) -> Result<Picture> {
        let plane = explanation.plane()?;
        Ok(render(&plane, self.palette.unwrap_or_else(|| palette(&plane))))
    }

    /// The class and its probability.
    fn note(&self, explanation: &Explanation, explained: &Explained) -> String {
        match (explanation.class(), &explanation.goal) {
            (Some(class), _) => {
                let share = probabilities(&explained.scores)[class];
                format!("{} {share:.3}", named(explanation, &self.labels))
            }
            (None, Goal::Mixture(parts)) => format!("{} classes at random", parts.len()),
            (None, goal) => format!("{goal}: {:.3}", explanation.score),
        }
    }

    /// Which classes were drawn at random, for whom they are: the figure has no room for them.
    fn drawn_classes(&self, picture: &str, explanation: &Explanation) -> Option<String> {
        let is_drawn = self.figure.number == Number::One;
        let Goal::Mixture(parts) = &explanation.goal else { return None };
        let name = |(class, _): &(usize, f32)| format!("{class} {}", label(&self.labels, *class));
        let names: Vec<String> = parts.iter().map(name).collect();
        is_drawn.then(|| format!("`{picture}`: drawn at random were {}", names.join(", ")))
    }

    fn captions(&self) -> Result<Vec<String>> {
        let methods = self.figure.chosen_methods()?;
        let titles = methods.iter().map(|method| method.title().to_owned());
        let input = std::iter::once("Input".to_owned());
        Ok(match self.figure.number {
            Number::One => Vec::new(),
            Number::Three | Number::Five => input.chain(titles).collect(),
        })
    }

    /// The picture, then the map of each class.
    fn row_of_classes(&self, picture: &Loaded, explained: &[Explained]) -> Result<SheetRow> {
        let methods = self.figure.chosen_methods()?;
        let title = if let [method] = methods[..] { method.title() } else { "" };
        let (mut pictures, mut notes) = (vec![picture.seen.clone()], vec![title.to_owned()]);
        for explained in explained {
            for explanation in &explained.explanations {
                pictures.push(self.drawn(explanation)?);
                let note = self.note(explanation, explained);
                notes.push(match methods[..] {
                    [_] => note,
                    _ => format!("{}: {note}", explanation.method.title()),
                });
            }
        }
        Ok(SheetRow { pictures, notes, ..SheetRow::default() })
    }

    /// For each class the picture, then the map of each method.
    fn rows_of_methods(&self, picture: &Loaded, explained: &Explained) -> Result<Vec<SheetRow>> {
        let methods = self.figure.chosen_methods()?.len();
        let row = |explanations: &[Explanation]| {
            let mut pictures = vec![picture.seen.clone()];
            for explanation in explanations {
                pictures.push(self.drawn(explanation)?);
            }
            let label = named(&explanations[0], &self.labels);
            let detail = match explanations[0].class() {
                Some(class) => format!("p {:.3}", probabilities(&explained.scores)[class]),
                None => String::new(),
            };
            Ok(SheetRow { label, detail, pictures, notes: Vec::new() })
        };
        explained.explanations.chunks(methods).map(row).collect()
    }

    /// For each method a page with the picture in the middle and the neurons' maps around it.
    fn neurons(&self, picture: &Loaded, explained: &Explained) -> Result<Vec<(Method, Sheet)>> {
        let mut sheets = Vec::new();
        for method in self.figure.chosen_methods()? {
            let of_method = explained.explanations.iter().filter(|one| one.method == method);
            let mut cells = Vec::new();
            for explanation in of_method {
                cells.push((self.drawn(explanation)?, self.note(explanation, explained)));
            }
            let layer = explained.explanations.first().and_then(|one| one.layer.as_deref());
            let title = format!("{} of {}", method.title(), layer.unwrap_or("classes"));
            // In the middle, as far as there is one.
            cells.insert(cells.len().div_ceil(2), (picture.seen.clone(), title));
            let row = |cells: &[(Picture, String)]| {
                let (pictures, notes) = cells.iter().cloned().unzip();
                SheetRow { pictures, notes, ..SheetRow::default() }
            };
            let rows = cells.chunks(3).map(row).collect();
            sheets.push((method, Sheet { captions: Vec::new(), rows }));
        }
        Ok(sheets)
    }
}

/// The strongest neurons of the first fully connected layer that is not the last; of a network that
/// has none, those of the last layer with positions below its scores.
fn usual_neurons(graph: &Graph) -> Result<Target> {
    let strongest = |node: &Node| Target::top(node.shape.len().min(NEURONS)).at(&node.name);
    let is_linear = |node: &&Node| matches!(node.op, Op::Linear(_));
    if let [first, _, ..] = graph.nodes().iter().filter(is_linear).collect::<Vec<_>>()[..] {
        return Ok(strongest(first));
    }
    // Below the layer that makes a channel of each class.
    let classes = graph.output_shape().channels;
    let is_of_classes = |node: &&Node| {
        matches!(node.op, Op::Conv2d(_) | Op::Linear(_)) && node.shape.channels == classes
    };
    let mut below = graph.nodes().iter().rfind(is_of_classes).map(|node| node.inputs[0]);
    while let Some(id) = below {
        let node = graph.node(id);
        if !node.shape.is_vector() && id != graph.input() {
            return Ok(strongest(node));
        }
        below = node.inputs.first().copied();
    }
    Err(Failure::Said(format!(
        "`{}` has no layer below its scores that has neurons: give --neurons LAYER:top{NEURONS}",
        graph.name()
    )))
}

#[cfg(test)]
mod tests {
    use clrp::Shape;
    use clrp::graph::{Conv2d, NodeId};

    use super::*;

    #[test]
    fn neurons_are_those_below_what_makes_the_scores() {
        let mut all = Graph::new("convolutions", Shape::new(3, 8, 8));
        let build = |g: &mut Graph| {
            let x = g.conv2d("stem", g.input(), Conv2d::new(4, 3))?;
            let x = g.relu("relu", x)?;
            let x = g.conv2d("classes", x, Conv2d::new(5, 1))?;
            let x = g.adaptive_avg_pool2d("pool", x, 1)?;
            g.flatten("flatten", x)
        };
        build(&mut all).expect("shapes fit");
        assert_eq!(usual_neurons(&all).expect("a layer"), Target::top(8).at("relu"));

        let mut alone = Graph::new("alone", Shape::new(3, 1, 1));
        let x = alone.flatten("flatten", alone.input()).expect("it fits");
        alone.linear("fc", x, 4).expect("it fits");
        let error = usual_neurons(&alone).expect_err("there is none").to_string();
        assert!(error.starts_with("`alone` has no layer below its scores"), "{error}");
        alone.linear("fc2", NodeId(2), 4).expect("it fits");
        assert_eq!(usual_neurons(&alone).expect("a layer"), Target::top(4).at("fc"));
    }
}
