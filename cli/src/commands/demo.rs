//! `clrp demo`: a scene of two digits, explained without any file.

use std::path::PathBuf;

use clap::Args;
use clrp::explainer::probabilities;
use clrp::image::{Picture, Plane};
use clrp::models::Model;
use clrp::scene::{Bounds, PlacedDigit, Scene, Split};
use clrp::{Explained, Explainer, Explanation, Method, Target};

use crate::console::{print, say};
use crate::failure::{Failure, Result};
use crate::folder::OutputFolder;
use crate::maps::sheet;
use crate::options::{DeviceOptions, Precision};
use crate::table::{Table, number};

const EXAMPLES: &str = "\
Examples:
  clrp demo
  clrp demo -o /tmp --seed 7 --device cpu";

const METHODS: [Method; 5] =
    [Method::Lrp, Method::Clrp1, Method::Clrp2, Method::Gradient, Method::GuidedBackprop];

/// Scenes to look through for one whose digits the network finds, and how many at once.
const SCENES: u64 = 256;
const BATCH: u64 = 32;

/// Arguments of `clrp demo`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    #[command(flatten)]
    device: DeviceOptions,

    /// The folder for `clrp-demo.png`; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// Another seed, another scene; that of the default was chosen for a clear picture
    #[arg(long, value_name = "N", default_value_t = 2)]
    seed: u64,
}

impl Demo {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let model = Model::find("digits")?;
        let weights = model.bundled().transpose()?;
        let weights = weights.ok_or_else(|| Failure::Said("`digits` is not bundled".to_owned()))?;
        let network = model.network(model.input_shape(), weights)?;
        let device = self.device.open(Precision::F32)?;
        let mut folder = OutputFolder::open(&self.output)?;
        let explainer = Explainer::builder(network, model.preprocess())
            .device(device)
            .max_batch(BATCH as usize)
            .build()?;

        let (index, scene) = self.pick(model, &explainer)?;
        let picture = Picture::new(scene.side, scene.side, scene.pixels.clone())?;
        let (input, seen) = model.preprocess().apply(&picture)?;
        let classes = scene.digits.iter().map(|digit| usize::from(digit.class));
        let explained = &explainer.explain(&input, METHODS, Target::classes(classes))?;

        let probabilities = probabilities(&explained.scores);
        let text = |explanation: &Explanation| {
            let probability = explanation.class().map_or(0.0, |class| probabilities[class]);
            (format!("Why {}?", explanation.goal), format!("p {probability:.3}"))
        };
        let page = sheet(&seen, METHODS.len(), &explained.explanations, None, text)?.render()?;
        let path = folder.write("clrp-demo.png", &page.encode_png())?;
        folder.commit()?;

        let digits: Vec<String> = scene.digits.iter().map(describe).collect();
        let device = explainer.device().name();
        print(format!(
            "scene {index} of seed {}, digits the network has never seen: {}\n\
             explained on {device}; shares are of the map's positive part\n\n{}\n{}\n",
            self.seed,
            digits.join(", "),
            shares(&scene, explained)?,
            path.display()
        ))
    }

    /// The first scene whose two digits are the two best classes, with positive scores.
    fn pick(&self, model: &Model, explainer: &Explainer) -> Result<(u64, Scene)> {
        let scene = |index| Scene::render(Split::Test, 2, self.seed, index);
        for first in (0..SCENES).step_by(BATCH as usize) {
            let scenes: Vec<Scene> = (first..first + BATCH).map(scene).collect();
            let mut inputs = Vec::new();
            for scene in &scenes {
                let picture = Picture::new(scene.side, scene.side, scene.pixels.clone())?;
                inputs.push(model.preprocess().apply(&picture)?.0);
            }
            let scores = explainer.scores(&inputs)?;
            let found = scenes.into_iter().zip(scores).enumerate();
            for (i, (scene, scores)) in found {
                if sees_both(&scene.digits, &scores) {
                    return Ok((first + i as u64, scene));
                }
            }
        }
        say("note", &format!("the network sees both digits in none of {SCENES} scenes"));
        Ok((0, scene(0)))
    }
}

/// Whether the scores of the digits are above 0 and above all others.
fn sees_both(digits: &[PlacedDigit], scores: &[f32]) -> bool {
    let present = |class: usize| digits.iter().any(|digit| usize::from(digit.class) == class);
    let of = |wanted: bool| {
        let classes = (0..scores.len()).filter(move |&class| present(class) == wanted);
        classes.map(|class| scores[class])
    };
    let others = of(false).fold(0.0, f32::max);
    of(true).all(|score| score > others)
}

fn describe(digit: &PlacedDigit) -> String {
    let Bounds { left, top, right, bottom } = digit.bounds;
    let (right, bottom) = (right - 1, bottom - 1);
    format!("a {} at columns {left} to {right}, rows {top} to {bottom}", digit.class)
}

/// For each method and target, how much of the map lies on either digit.
fn shares(scene: &Scene, explained: &Explained) -> Result<Table> {
    let headings = [">target", "method", ">score", ">in its box", ">in the other's", ">elsewhere"];
    let mut table = Table::new(headings);
    for explanation in &explained.explanations {
        let plane = explanation.plane()?;
        let share = |of_target: bool| -> f64 {
            let boxes = scene.digits.iter();
            let wanted = boxes.filter(|digit| {
                (Some(usize::from(digit.class)) == explanation.class()) == of_target
            });
            wanted.map(|digit| energy(&plane, digit.bounds)).sum()
        };
        let (own, other) = (share(true), share(false));
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        table.row([
            explanation.goal.to_string(),
            explanation.method.name().to_owned(),
            number(explanation.score.into()),
            percent(own),
            percent(other),
            percent(1.0 - own - other),
        ]);
    }
    Ok(table)
}

/// The share of the positive part that lies in the box; 0 if there is none.
fn energy(plane: &Plane, bounds: Bounds) -> f64 {
    let (mut inside, mut all) = (0.0, 0.0);
    for (y, row) in plane.values().chunks_exact(plane.width()).enumerate() {
        for (x, &value) in row.iter().enumerate() {
            let value = f64::from(value.max(0.0));
            all += value;
            if bounds.contains(x as u32, y as u32) {
                inside += value;
            }
        }
    }
    if all > 0.0 { inside / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_the_positive_share_inside() {
        let plane = Plane::new(2, 2, vec![1.0, -5.0, 2.0, 1.0]).expect("it fits");
        let bounds = Bounds { left: 0, top: 0, right: 1, bottom: 2 };
        assert_eq!(energy(&plane, bounds), 0.75);
        let zero = Plane::new(1, 1, vec![-1.0]).expect("it fits");
        assert_eq!(energy(&zero, bounds), 0.0);
    }

    #[test]
    fn both_digits_are_seen_if_they_are_the_best() {
        let bounds = Bounds { left: 0, top: 0, right: 1, bottom: 1 };
        let digits = [0, 2].map(|class| PlacedDigit { class, bounds, sample: 0 });
        assert!(sees_both(&digits, &[2.0, 1.0, 3.0]));
        assert!(!sees_both(&digits, &[2.0, 2.5, 3.0]));
        assert!(!sees_both(&digits, &[-1.0, -2.0, 3.0]));
    }
}
