//! `clrp evaluate neurons`.

use clap::Args;
use clrp::Target;
use clrp::evaluation::Ablation;

use super::PatchOptions;
use crate::evaluation::neurons::NeuronStudy;
use crate::evaluation::running::stopped_by_signals;
use crate::evaluation::setup::EvaluationOptions;
use crate::evaluation::subject::{Subject, Way};
use crate::failure::{Failure, Result};
use crate::targets::Named;

const EXAMPLES: &str = "\
Examples:
  clrp evaluate neurons --dataset digits --count 100 --neurons classifier.0:top8
  clrp evaluate neurons --dataset imagenet/val --model vgg16 --neurons classifier.0:top8 --count 1000

The study of section 5.3: the patch that each neuron's map points at is taken out, and the drop of
every neuron told: row i without the patch of neuron i, column j neuron j. How often the greatest
drop of a row is on the diagonal is counted; by chance it would be one in the number of neurons.";

/// Arguments of `clrp evaluate neurons`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Neurons {
    #[command(flatten)]
    options: EvaluationOptions,

    /// Neurons of a layer: the strongest of each picture, as classifier.0:top8, or those named, as
    /// classifier.0:12,classifier.0:31
    #[arg(long, value_name = "NEURONS")]
    neurons: String,

    #[command(flatten)]
    patch: PatchOptions,
}

const USUAL: [&str; 3] = ["lrp", "clrp2", "random"];

impl Neurons {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let mut settings = self.patch.settings();
        settings.push(("neurons".to_owned(), self.neurons.clone()));
        let mut setup = self.options.open("neurons", &USUAL, settings)?;
        if setup.ways.contains(&Way::Centre) {
            let message = "`centre` has no map of a neuron, expected methods";
            return Err(Failure::Said(message.to_owned()));
        }
        setup.check(|subject| self.target(subject))?;
        let target = self.target(&setup.subjects[0])?;
        let stop = stopped_by_signals()?;
        let records = self.options.lock(&setup)?;
        let means = self.patch.means(&mut setup, self.options.of_run(), &records, &stop)?;
        let run = self.options.start(setup, records, stop)?;
        let study = NeuronStudy {
            dataset: &run.setup.dataset,
            subjects: &run.setup.subjects,
            ways: &run.setup.ways,
            stop: &run.stop,
            target,
            ablation: Ablation { size: self.patch.patch, count: 1 },
            means,
        };
        run.go(|part| study.measure(part), |records| study.examples(records))
    }

    /// The neurons; those of a layer do not depend on the network's labels.
    fn target(&self, subject: &Subject) -> Result<Target> {
        let named = Named {
            labels: &subject.labels,
            model: &subject.name,
            graph: subject.explainer.network().graph(),
        };
        let target = named.target(&self.neurons, None, 0)?;
        if target.layer().is_some() && target.count() > 1 {
            return Ok(target);
        }
        let message = "expected two or more neurons of a layer";
        Err(Failure::Said(format!("--neurons is `{}`, {message}", self.neurons)))
    }
}
