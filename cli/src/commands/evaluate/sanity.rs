//! `clrp evaluate sanity`.

use std::sync::Mutex;

use clap::Args;
use clrp::num::mix;

use crate::evaluation::running::stopped_by_signals;
use crate::evaluation::sanity::{SanityCheck, shuffled, steps};
use crate::evaluation::setup::EvaluationOptions;
use crate::evaluation::subject::Subject;
use crate::failure::Result;
use crate::options::positive;

const EXAMPLES: &str = "\
Examples:
  clrp evaluate sanity --dataset digits --count 100
  clrp evaluate sanity --dataset imagenet/val --model vgg16 --count 50 --shuffles 4

Two checks (Adebayo et al. 2018), each by how alike maps are (1: the same): the weights are shuffled
layer by layer from the last one down, and the class is changed for the one that the network thinks
of last. A map that stays as it is does not explain the network, or not the class.";

/// Arguments of `clrp evaluate sanity`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sanity {
    #[command(flatten)]
    options: EvaluationOptions,

    /// In how many steps the layers are shuffled; each is a network in memory
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive::<usize>)]
    shuffles: usize,
}

const USUAL: [&str; 6] = ["lrp", "clrp1", "clrp2", "gradient", "guided-backprop", "random"];

impl Sanity {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let settings = vec![("shuffles".to_owned(), self.shuffles.to_string())];
        let setup = self.options.open("sanity", &USUAL, settings)?;
        setup.check_classes()?;
        let records = self.options.lock(&setup)?;
        let run = self.options.start(setup, records, stopped_by_signals()?)?;
        let of = |subject: &Subject| self.shuffled(subject);
        let check = SanityCheck {
            dataset: &run.setup.dataset,
            subjects: &run.setup.subjects,
            ways: &run.setup.ways,
            stop: &run.stop,
            shuffled: run.setup.subjects.iter().map(of).collect::<Result<_>>()?,
        };
        run.go(|part| check.measure(part), |_| Ok(Vec::new()))
    }

    /// The networks with ever more layers shuffled.
    fn shuffled(&self, subject: &Subject) -> Result<Vec<(String, Subject)>> {
        let network = subject.explainer.network();
        let step = |layer: String| {
            // Noise must not be the same by construction.
            let name = layer.bytes().fold(0, |name, byte| mix(name ^ u64::from(byte)));
            let seed = mix(self.options.seed() ^ name);
            let explainer = self.options.explainer_like(
                &subject.explainer,
                shuffled(network, &layer, self.options.seed())?,
                seed,
            )?;
            let (name, labels) = (subject.name.clone(), subject.labels.clone());
            Ok((
                layer,
                Subject {
                    name,
                    explainer,
                    labels,
                    turns: subject.turns.clone(),
                    second: Mutex::new(None),
                },
            ))
        };
        steps(network, self.shuffles).into_iter().map(step).collect()
    }
}
