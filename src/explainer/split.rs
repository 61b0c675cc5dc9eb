//! How much goes at once, and whether it suits.

use super::target::{Choice, Group};
use super::{Explainer, Job, Work};
use crate::error::{Error, Result};
use crate::graph::NodeId;
use crate::methods::{Method, Samples};
use crate::program::{Program, Targets, check_against};

/// How much goes at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// Pictures.
    pub(super) pictures: usize,
    /// Targets of each picture.
    pub(super) targets: usize,
}

/// Bytes that a run's values should not exceed; a run on more is split.
pub(super) const VALUE_BYTES: usize = 320 << 20;

impl Explainer {
    /// Whether the methods that a run does not check suit the target.
    pub(super) fn check_methods(&self, work: &Work<'_>) -> Result<()> {
        let methods = &work.request.methods;
        if let Some(layer) = work.request.layers.first()
            && !methods.is_empty()
            && !methods.iter().any(|method| method.has_layer_maps())
        {
            let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
            return Err(Error::Unsupported {
                what: format!("map at layer `{layer}`"),
                why: format!("{} does not walk through layers once", names.join(", ")),
            });
        }
        if methods.contains(&Method::Occlusion) {
            self.sampling.check_window(self.network.graph().input_shape())?;
        }
        match self.groups(work).iter().any(|group| group.targets(1).against()) {
            true => check_against(self.network.graph(), &work.request.methods),
            false => Ok(()),
        }
    }

    /// Whether the programs that the work takes can be made.
    pub(super) fn check_programs(&self, work: &Work<'_>) -> Result<()> {
        let targets = self.targets(work, 1);
        self.lowered(&work.job(&work.direct(), targets, 1))?;
        let sampled = work.request.methods.iter().filter_map(|method| method.samples());
        for inner in sampled.map(Samples::inner) {
            self.lowered(&Job::of_samples(inner, work.at, targets, 1))?;
        }
        Ok(())
    }

    /// So many targets of the work's kind.
    fn targets(&self, work: &Work<'_>, count: usize) -> Targets {
        let weighted = Targets::Weighted { count, against: false };
        match work.request.target.choice() {
            Choice::Top(_) => Targets::Top(count),
            Choice::RandomOfTop { .. } => weighted,
            Choice::Goals(_) | Choice::Each(_) => {
                let groups = self.groups(work);
                let is_weighted = |of: &Group| matches!(of.targets(1), Targets::Weighted { .. });
                if groups.iter().any(is_weighted) { weighted } else { Targets::Given(count) }
            }
        }
    }

    /// How many pictures and how many targets go at once.
    pub(super) fn split(&self, work: &Work<'_>, pictures: usize) -> Result<Split> {
        // Without pictures there may be no targets either.
        let count = work.request.target.count().max(1);
        let direct = work.direct();
        let targets = |count| self.targets(work, count);
        let fits = |count, batch| self.fits(&work.job(&direct, targets(count), batch));
        let mut pictures = self.max_batch.min(pictures.max(1));
        while pictures > 1 && !fits(count, pictures)? {
            pictures = pictures.div_ceil(2);
        }
        let sampled = work.request.methods.iter().filter_map(|method| method.samples());
        let inner: Vec<Option<Method>> = sampled.map(Samples::inner).collect();
        let fits = |count: usize| -> Result<bool> {
            for inner in &inner {
                if !self.fits(&Job::of_samples(*inner, work.at, targets(count), 1))? {
                    return Ok(false);
                }
            }
            fits(count, pictures)
        };
        let mut at_once = count;
        while at_once > 1 && !fits(at_once)? {
            at_once = at_once.div_ceil(2);
        }
        Ok(Split { pictures, targets: at_once })
    }

    /// How many samples of a picture go at once.
    pub(super) fn samples_at_once(
        &self,
        inner: Option<Method>,
        at: NodeId,
        targets: Targets,
    ) -> Result<usize> {
        let mut samples = self.max_batch;
        while samples > 1 && !self.fits(&Job::of_samples(inner, at, targets, samples))? {
            samples = samples.div_ceil(2);
        }
        Ok(samples)
    }

    /// The goals that do not depend on the picture, or those of the first, in groups.
    fn groups(&self, work: &Work<'_>) -> Vec<Group> {
        match work.request.target.choice() {
            Choice::Goals(goals) => self.groups_of(goals, work.at),
            Choice::Each(lists) => {
                lists.first().map_or_else(Vec::new, |l| self.groups_of(l, work.at))
            }
            Choice::Top(_) | Choice::RandomOfTop { .. } => Vec::new(),
        }
    }

    fn fits(&self, job: &Job) -> Result<bool> {
        // What has run fits.
        if self.recent.has(job) {
            return Ok(true);
        }
        self.program_fits(self.lowered(job).map(|lowered| lowered.program))
    }

    /// Whether a run's values take no more than they should; too many to count do not.
    pub(super) fn program_fits(&self, program: Result<Program>) -> Result<bool> {
        let program = match program {
            Ok(program) => program,
            Err(Error::TooLarge { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let float = self.device.float_bytes();
        let largest = program.largest_buffer().saturating_mul(float);
        let all = program.buffer_bytes(float);
        Ok(largest <= self.device.limits().binding_bytes && all <= self.value_bytes)
    }

    /// How often the network runs.
    pub(super) fn runs(&self, work: &Work<'_>, pictures: usize, split: Split) -> usize {
        let batches = pictures.div_ceil(split.pictures);
        let rounds_of = |count: usize| count.div_ceil(split.targets);
        let (finding, rounds) = match work.request.target.choice() {
            Choice::Top(count) if *count <= split.targets => (0, 1),
            Choice::Top(count) => (batches, rounds_of(*count)),
            Choice::RandomOfTop { .. } => (batches, 1),
            // Each group goes by itself.
            Choice::Goals(_) | Choice::Each(_) => {
                (0, self.groups(work).iter().map(|group| rounds_of(group.goals.len())).sum())
            }
        };
        let shape = self.network.graph().input_shape();
        let samples = work.request.methods.iter().filter_map(|method| method.samples());
        let counts = samples.map(|samples| self.sampling.count(samples, shape));
        let each = counts.fold(0, usize::saturating_add);
        let sampled = pictures.saturating_mul(each).saturating_mul(rounds);
        sampled.saturating_add(finding + batches * rounds)
    }
}
