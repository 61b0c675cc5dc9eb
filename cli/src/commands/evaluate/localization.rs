//! `clrp evaluate pointing-game` and `clrp evaluate ablation`.

use clap::Args;
use clrp::evaluation::{Ablation, Perturbation};

use super::PatchOptions;
use crate::evaluation::examples::examples;
use crate::evaluation::localization::{Localization, Removal};
use crate::evaluation::records::RecordFile;
use crate::evaluation::running::stopped_by_signals;
use crate::evaluation::setup::{EvaluationOptions, Run};
use crate::failure::{Failure, Result};
use crate::options::positive;

const POINTING_EXAMPLES: &str = "\
Examples:
  clrp evaluate pointing-game --dataset digits --count 200
  clrp evaluate pointing-game --dataset VOC2007 --list test --model mine.onnx --labels voc.txt
  clrp evaluate pointing-game --dataset imagenet/val --annotations imagenet/xml --model vgg16 --resume";

const GAMES: &str = "\
Games, all of one map:
  paper      (Gu et al. 2018) every pixel that carries the strongest p % of the energy must lie in a
             box; the whole curve over p
  maximum    (Zhang et al. 2016) the strongest pixel must
  tolerance  (TorchRay) it must come nearer than 15 pixels of the network's input (TorchRay: of the
             picture); the mean of the classes' accuracies, for all objects and for difficult ones:
             less than a quarter of the picture, and not alone in it
  any        (Quantus) one of the strongest pixels must
  mass, rank (Arras et al. 2022) the share of the energy in the boxes; of as many of the strongest
             pixels as the boxes have, those in them
Several boxes of the class are one region. A box that the crop cuts away is counted.";

const USUAL: [&str; 7] =
    ["lrp", "clrp1", "clrp2", "gradient", "guided-backprop", "random", "centre"];

/// Arguments of `clrp evaluate pointing-game`.
#[derive(Debug, Args)]
#[command(after_help = POINTING_EXAMPLES,
    after_long_help = format!("{POINTING_EXAMPLES}\n\n{GAMES}"))]
pub(crate) struct PointingGame {
    #[command(flatten)]
    options: EvaluationOptions,
}

impl PointingGame {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let setup = self.options.open("pointing-game", &USUAL, Vec::new())?;
        setup.check_classes()?;
        if !setup.dataset.has_boxes() {
            return Err(Failure::Said(format!(
                "{} has no boxes to point at: `clrp evaluate ablation` needs none",
                setup.header.dataset
            )));
        }
        let records = self.options.lock(&setup)?;
        measure(&self.options.start(setup, records, stopped_by_signals()?)?, true, None)
    }
}

const ABLATION_EXAMPLES: &str = "\
Examples:
  clrp evaluate ablation --dataset digits --count 200
  clrp evaluate ablation --dataset imagenet/val --model vgg16 --patch 15 --patches 3
  clrp evaluate ablation --dataset photos --format folder --curves 20";

/// Arguments of `clrp evaluate ablation`.
#[derive(Debug, Args)]
#[command(after_help = ABLATION_EXAMPLES)]
pub(crate) struct AblationStudy {
    #[command(flatten)]
    options: EvaluationOptions,

    #[command(flatten)]
    patch: PatchOptions,

    /// How many squares: at the strongest pixel, then at the strongest outside it, ...
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive::<usize>)]
    patches: usize,

    /// Deletion and insertion, too: in so many steps from nothing to the whole picture
    #[arg(long, value_name = "STEPS", value_parser = positive::<usize>)]
    curves: Option<usize>,
}

impl AblationStudy {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let mut settings = self.patch.settings();
        settings.push(("patches".to_owned(), self.patches.to_string()));
        settings.extend(self.curves.map(|steps| ("curves".to_owned(), steps.to_string())));
        let mut setup = self.options.open("ablation", &USUAL, settings)?;
        setup.check_classes()?;
        for subject in &setup.subjects {
            let shape = subject.explainer.network().graph().input_shape();
            let (pixels, name) = (shape.height * shape.width, &subject.name);
            if let Some(steps) = self.curves.filter(|steps| *steps > pixels) {
                return Err(Failure::Said(format!(
                    "--curves is {steps}, expected 1 to {pixels}: `{name}` sees so many pixels"
                )));
            }
        }
        let stop = stopped_by_signals()?;
        let records = self.options.lock(&setup)?;
        let means = self.patch.means(&mut setup, self.options.of_run(), &records, &stop)?;
        let run = self.options.start(setup, records, stop)?;
        let removal = Removal {
            ablation: Ablation { size: self.patch.patch, count: self.patches },
            curves: self.curves.map(|steps| Perturbation { steps }),
            means,
        };
        measure(&run, run.setup.dataset.has_boxes(), Some(removal))
    }
}

fn measure(run: &Run<'_>, pointing: bool, removal: Option<Removal>) -> Result<()> {
    let work = Localization {
        dataset: &run.setup.dataset,
        subjects: &run.setup.subjects,
        ways: &run.setup.ways,
        stop: &run.stop,
        pointing,
        removal,
    };
    let draw = |records: &RecordFile| examples(&run.setup, records, &run.stop);
    run.go(|part| work.measure(part), draw)
}
