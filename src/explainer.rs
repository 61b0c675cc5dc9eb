//! The front door: a network, a composite and a device; pictures in, explanations out.

mod builder;
mod explanation;
mod input;

mod ledger;
#[cfg(feature = "gpu")]
mod on_gpu;
mod pending;
mod recent;
mod request;
mod run;
mod sampled;
mod samples;
mod split;
mod switches;
mod target;
mod warning;

use crate::backend::{Device, Input};
use crate::error::{Error, Result};
use crate::graph::{Network, NodeId};
use crate::image::Preprocess;
use crate::methods::Method;
use crate::num::mix;
use crate::program::{Bounds, Lowered, Targets, Upsampling};
use crate::rules::Composite;
use crate::tensor::Tensor;

pub use builder::ExplainerBuilder;
pub use explanation::{Explained, Explanation, LayerMap};
pub use input::ToInput;
pub use ledger::{Leaks, Ledger, LedgerRow};
#[cfg(feature = "gpu")]
pub use on_gpu::{ExplainedOnGpu, ExplanationOnGpu};
pub use pending::Pending;
pub use request::{Cancel, Methods, Request};
pub use samples::Sampling;
pub use target::{Choice, Goal, Target};
pub use warning::{Border, Emptiness, Numbers, Warning};

use recent::Recent;
use run::{Job, Progress, Results};
use sampled::Sampled;
use target::{Group, Rows, find_layer};

/// Explains what a network says of pictures.
///
/// ```
/// use clrp::image::Picture;
/// use clrp::models::Model;
/// use clrp::scene::{Scene, Split};
/// use clrp::{Explainer, Method, Target};
///
/// let model = Model::find("digits")?;
/// let weights = model.bundled().expect("the digits network is bundled")?;
/// let network = model.network(model.input_shape(), weights)?;
/// let explainer = Explainer::builder(network, model.preprocess()).build()?;
///
/// let scene = Scene::render(Split::Test, 2, 1, 0);
/// let picture = Picture::new(scene.side, scene.side, scene.pixels)?;
/// let explained = explainer.explain(&picture, Method::Clrp1, Target::top(2))?;
/// for explanation in &explained.explanations {
///     println!("class {}: {}", explanation.goal, explanation.score);
/// }
/// # Ok::<(), clrp::Error>(())
/// ```
pub struct Explainer {
    network: Network,
    preprocess: Preprocess,
    composite: Composite,
    device: Device,
    bounds: Bounds,
    max_batch: usize,
    seed: u64,
    sampling: Sampling,
    cam_layer: Option<NodeId>,
    upsampling: Upsampling,
    /// Bytes that a run's values should not exceed.
    value_bytes: usize,
    /// Programs that have run, for the next runs of their kinds.
    recent: Recent,
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer")
            .field("network", &self.network.graph().name())
            .field("composite", &self.composite.label())
            .field("device", &self.device.name())
            .finish_non_exhaustive()
    }
}

impl Explainer {
    /// Layers and weights.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The rules.
    pub fn composite(&self) -> &Composite {
        &self.composite
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How pictures become inputs.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// What would run for one picture.
    ///
    /// # Errors
    /// As [`explain`](Self::explain).
    pub fn lower(&self, methods: &[Method], targets: Targets) -> Result<Lowered> {
        self.lowered(&Job {
            methods: methods.to_vec(),
            at: self.network.graph().output(),
            targets,
            batch: 1,
            layers: Vec::new(),
            ledger: false,
            heatmaps: false,
        })
    }

    /// The scores of each picture, before softmax.
    ///
    /// # Errors
    /// As [`explain`](Self::explain).
    pub fn scores(&self, images: &[impl ToInput]) -> Result<Vec<Vec<f32>>> {
        let explained = self.explain_all(images, &Request::new([], Target::top(1)))?;
        Ok(explained.into_iter().map(|explained| explained.scores).collect())
    }

    /// Explains what the network says of a picture, by each method and for each target.
    ///
    /// # Errors
    /// [`Error::InputShape`] or [`Error::InputValue`] for a picture that does not suit (the latter
    /// also for scores that are not finite), [`Error::PictureSize`] for one that the preprocessing
    /// cannot take, [`Error::TargetOutOfRange`], [`Error::UnknownName`] or [`Error::Setting`] for a
    /// target that the network does not have (the last also for windows of occlusion that are larger
    /// than the picture), inside [`Error::OfPicture`] where pictures have
    /// targets of their own, [`Error::Unsupported`] for a method that does not suit the network or
    /// the target, [`Error::RuleMismatch`] where a z-box rule cannot know the bounds of its input,
    /// [`Error::TooLarge`] for more numbers than kernels can count, [`Error::DeviceMemory`] or
    /// [`Error::Device`] if the device cannot do it.
    pub fn explain(
        &self,
        image: &impl ToInput,
        methods: impl Into<Methods>,
        target: impl Into<Target>,
    ) -> Result<Explained> {
        let request = Request::new(methods, target);
        let mut explained = self.explain_all(std::slice::from_ref(image), &request)?;
        Ok(explained.pop().expect("there is one for each picture"))
    }

    /// Explains what the network says of each picture.
    ///
    /// Methods and targets of one run share the forward pass, the denominators and the switches.
    ///
    /// # Errors
    /// As [`explain`](Self::explain); [`Error::Cancelled`] if the work was cancelled.
    pub fn explain_all(
        &self,
        images: &[impl ToInput],
        request: &Request<'_>,
    ) -> Result<Vec<Explained>> {
        // Who asked may be gone before it begins.
        request.check_cancelled()?;
        let inputs = images.iter().map(|image| image.to_input(&self.preprocess));
        let inputs: Vec<_> = inputs.collect::<Result<_>>()?;
        let pictures: Vec<&Tensor> = inputs.iter().map(AsRef::as_ref).collect();
        self.check_pictures(&pictures)?;
        let work = self.work(request, pictures.len())?;
        let split = self.split(&work, pictures.len())?;
        let mut progress = Progress::new(request, self.runs(&work, pictures.len(), split));
        let mut explained = Vec::with_capacity(pictures.len());
        for (i, pictures) in pictures.chunks(split.pictures).enumerate() {
            let first = i * split.pictures;
            let made = self.explain_batch(first, pictures, &work, split.targets, &mut progress);
            explained.extend(made?);
        }
        Ok(explained)
    }

    /// Whether a request suits the network: what [`explain_all`](Self::explain_all) would refuse
    /// whatever the pictures show.
    ///
    /// # Errors
    /// As [`explain`](Self::explain), but for the pictures and the device.
    pub fn check(&self, request: &Request<'_>) -> Result<()> {
        let pictures = match request.target.choice() {
            Choice::Each(lists) => lists.len(),
            Choice::Top(_) | Choice::RandomOfTop { .. } | Choice::Goals(_) => 1,
        };
        self.check_programs(&self.work(request, pictures)?)
    }

    /// What is to be done for so many pictures.
    fn work<'a>(&self, request: &'a Request<'a>, pictures: usize) -> Result<Work<'a>> {
        let graph = self.network.graph();
        request.target.check(graph, pictures)?;
        let at = request.target.node(graph)?;
        let layer = |name: &String| {
            let layer = find_layer(graph, name)?;
            if graph.is_made_of(at, layer) {
                return Ok(layer);
            }
            let at = &graph.node(at).name;
            Err(Error::Unsupported {
                what: format!("map at layer `{name}`"),
                why: format!("the target at `{at}` does not depend on it"),
            })
        };
        let layers = request.layers.iter().map(layer);
        let layers = layers.collect::<Result<_>>()?;
        let work = Work { at, layers, heatmaps: false, request };
        self.check_methods(&work)?;
        Ok(work)
    }

    fn check_pictures(&self, pictures: &[&Tensor]) -> Result<()> {
        let shape = self.network.graph().input_shape();
        for (i, picture) in pictures.iter().enumerate() {
            let name = || format!("picture {i}");
            if picture.shape() != shape {
                let list = |s: crate::Shape| vec![s.channels, s.height, s.width];
                let (expected, found) = (list(shape), list(picture.shape()));
                return Err(Error::InputShape { name: name(), expected, found });
            }
            let values = picture.values();
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::InputValue { name: name(), index, found: values[index] });
            }
        }
        Ok(())
    }

    /// Explains pictures that go at once, `at_once` targets at a time; `first` is the number of the
    /// first one.
    fn explain_batch(
        &self,
        first: usize,
        pictures: &[&Tensor],
        work: &Work<'_>,
        at_once: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Explained>> {
        let values = joined(pictures);
        let direct = work.direct();
        let run = |targets: Targets, methods: &[Method], rows: Option<&Rows>, progress: &_| {
            let job = work.job(methods, targets, pictures.len());
            self.execute(&job, Input::Float(&values), rows, progress).map(|results| (job, results))
        };
        // For each picture, the goals of one group after the other.
        let groups: Vec<Vec<Group>> = match work.request.target.choice() {
            Choice::Top(count) if *count <= at_once => {
                let (job, results) = run(Targets::Top(*count), &direct, None, progress)?;
                progress.advance(1)?;
                let goals = self.goals_of(work.at, results.units().expect("it found the best"));
                let mut explained = self.with_scores(pictures.len(), &results.scores());
                let groups: Vec<Group> = goals
                    .chunks_exact(*count)
                    .flat_map(|goals| self.groups_of(goals, work.at))
                    .collect();
                let groups: Vec<&Group> = groups.iter().collect();
                let made = self.collect(&job, &groups, &results)?;
                self.complete(pictures, work, &groups, &results, made, &mut explained, progress)?;
                return Ok(explained);
            }
            Choice::Top(_) | Choice::RandomOfTop { .. } | Choice::Goals(_) | Choice::Each(_) => {
                let goals = self.find_goals(first, pictures, work, progress)?;
                goals.iter().map(|goals| self.groups_of(goals, work.at)).collect()
            }
        };
        let mut all: Vec<Explained> = Vec::new();
        for number in 0..groups[0].len() {
            for from in (0..groups[0][number].goals.len()).step_by(at_once) {
                let slices: Vec<Group> =
                    groups.iter().map(|of| of[number].slice(from, at_once)).collect();
                let slices: Vec<&Group> = slices.iter().collect();
                let (targets, rows) = Group::joined(&slices);
                let (job, results) = run(targets, &direct, Some(&rows), progress)?;
                progress.advance(1)?;
                if all.is_empty() {
                    all = self.with_scores(pictures.len(), &results.scores());
                }
                let made = self.collect(&job, &slices, &results)?;
                self.complete(pictures, work, &slices, &results, made, &mut all, progress)?;
            }
        }
        Ok(all)
    }

    /// The goals of each picture, in a run of their own where they are the best ones.
    fn find_goals(
        &self,
        first: usize,
        pictures: &[&Tensor],
        work: &Work<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Vec<Goal>>> {
        let choice = work.request.target.choice();
        let count = match choice {
            Choice::Goals(goals) => return Ok(vec![goals.clone(); pictures.len()]),
            Choice::Each(lists) => return Ok(lists[first..first + pictures.len()].to_vec()),
            Choice::Top(count) | Choice::RandomOfTop { of: count, .. } => *count,
        };
        let values = joined(pictures);
        let job = work.job(&[], Targets::Top(count), pictures.len());
        let results = self.execute(&job, Input::Float(&values), None, progress)?;
        progress.advance(1)?;
        let goals = self.goals_of(work.at, results.units().expect("it found the best"));
        Ok(goals.chunks_exact(count).map(|goals| chosen(choice, goals)).collect())
    }

    /// Appends the explanations of a run's targets, with those of sampled methods and of noise, in
    /// the order of the request.
    fn complete(
        &self,
        pictures: &[&Tensor],
        work: &Work<'_>,
        groups: &[&Group],
        results: &Results,
        made: Vec<Vec<Explanation>>,
        explained: &mut [Explained],
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let count = groups[0].goals.len();
        let all_values = results.values();
        for (image, made) in made.into_iter().enumerate() {
            let values = &all_values[image * count..][..count];
            let of =
                Sampled { picture: pictures[image], group: groups[image], at: work.at, values };
            let direct = work.direct();
            let place = |of: &Method| work.request.methods.iter().position(|method| method == of);
            let mut made: Vec<(usize, Option<usize>, Explanation)> = made
                .into_iter()
                .enumerate()
                .map(|(i, made)| (i / direct.len(), place(&made.method), made))
                .collect();
            for method in &work.request.methods {
                let more = match method.samples() {
                    Some(samples) => self.sampled((*method, samples), &of, progress)?,
                    None if *method == Method::Random => self.random(&of)?,
                    None => continue,
                };
                let more = more.into_iter().enumerate();
                made.extend(more.map(|(j, explanation)| (j, place(method), explanation)));
            }
            made.sort_by_key(|(j, of_method, _)| (*j, *of_method));
            explained[image].explanations.extend(made.into_iter().map(|(_, _, made)| made));
        }
        Ok(())
    }

    /// Uniform noise for each target, which depends on the seed, the picture and the target, not
    /// on their order.
    fn random(&self, of: &Sampled<'_>) -> Result<Vec<Explanation>> {
        let noise = |(goal, value): (&Goal, &f64)| {
            let layer = self.layer_name(of.at);
            let target = match &layer {
                Some(layer) => format!("{layer}:{goal}"),
                None => goal.to_string(),
            };
            let map = random(self.seed, of.picture, &target)?;
            let sum = map.values().iter().map(|&v| f64::from(v)).sum();
            let of_what = (Method::Random, goal, layer);
            Ok(Explanation::of_map(of_what, *value, map, sum, self.device.roundoff()))
        };
        of.group.goals.iter().zip(of.values).map(noise).collect()
    }

    /// The name of the layer that is explained, if it is not the scores.
    fn layer_name(&self, at: NodeId) -> Option<String> {
        let graph = self.network.graph();
        (at != graph.output()).then(|| graph.node(at).name.clone())
    }
}

/// A request, with the layers it speaks of.
struct Work<'a> {
    at: NodeId,
    layers: Vec<NodeId>,
    /// Whether planes that can be drawn are made, too.
    heatmaps: bool,
    request: &'a Request<'a>,
}

impl Work<'_> {
    /// The methods that take one run.
    fn direct(&self) -> Vec<Method> {
        let methods = self.request.methods.iter().copied();
        methods.filter(|method| method.recipe().is_some()).collect()
    }

    fn job(&self, methods: &[Method], targets: Targets, batch: usize) -> Job {
        Job {
            methods: methods.to_vec(),
            at: self.at,
            targets,
            batch,
            layers: self.layers.clone(),
            ledger: self.request.ledger,
            heatmaps: self.heatmaps,
        }
    }
}

/// The numbers of all pictures, one after the other.
fn joined(pictures: &[&Tensor]) -> Vec<f32> {
    pictures.iter().flat_map(|picture| picture.values().iter().copied()).collect()
}

/// The goals that a choice takes of the best ones.
fn chosen(choice: &Choice, best: &[Goal]) -> Vec<Goal> {
    let Choice::RandomOfTop { count, seed, .. } = choice else { return best.to_vec() };
    // The smallest of as many random numbers: a fair draw without repetition.
    let mut order: Vec<usize> = (0..best.len()).collect();
    order.sort_by_key(|i| mix(mix(*seed).wrapping_add(*i as u64)));
    order.truncate(*count);
    order.sort_unstable();
    let unit = |i: usize| match best[i] {
        Goal::Class(unit) | Goal::Channel(unit) => Some((unit, 1.0)),
        Goal::Neuron { .. } | Goal::Mixture(_) | Goal::Against { .. } => None,
    };
    vec![Goal::Mixture(order.into_iter().filter_map(unit).collect())]
}

fn random(seed: u64, picture: &Tensor, target: &str) -> Result<Tensor> {
    let of_target = target
        .bytes()
        .fold(0, |state: u64, byte| mix(state.wrapping_add(u64::from(byte)).wrapping_add(1)));
    let start = picture.values().iter().fold(mix(seed ^ of_target), |state, value| {
        mix(state.wrapping_add(u64::from(value.to_bits())))
    });
    let noise = (0..picture.shape().len() as u64).map(|i| {
        let bits = mix(start.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        (bits >> 40) as f32 / (1 << 24) as f32
    });
    Tensor::new(picture.shape(), noise.collect())
}

/// The share of each class by softmax.
pub fn probabilities(scores: &[f32]) -> Vec<f64> {
    softmax(&scores.iter().map(|&score| f64::from(score)).collect::<Vec<_>>())
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_survive_large_scores() {
        let shares = probabilities(&[1000.0, 1000.0, -1000.0]);
        assert!((shares[0] - 0.5).abs() < 1e-12 && shares[2] == 0.0);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
