//! The front door: a network, a composite and a device; pictures in, explanations out.

mod switches;
mod warning;

use std::sync::Mutex;
use std::time::Instant;

use crate::backend::{Device, Input, Output, Session};
use crate::error::{Error, Result};
use crate::graph::Network;
use crate::image::Preprocess;
use crate::methods::Method;
use crate::program::{Bounds, Lowered, MapOutput, Plan, Program, Targets, lower};
use crate::rules::{BatchNorm, Composite, fold_batch_norm, preset};
use crate::tensor::Tensor;

pub use warning::{Border, Warning};

/// Which scores are explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The highest scores of each picture, best first.
    Top(usize),
    /// These classes, for every picture.
    Classes(Vec<usize>),
}

/// What a network says of a picture, and why.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The score of each class, before softmax.
    pub scores: Vec<f32>,
    /// One for each target and method: all methods of the first target, then the next.
    pub explanations: Vec<Explanation>,
}

/// Why a network gave a class its score.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// How it was computed.
    pub method: Method,
    /// The class.
    pub target: usize,
    /// Its score, before softmax.
    pub score: f32,
    /// One number for each number of the input, clamped where the method clamps.
    pub map: Tensor,
    /// The sum of the map.
    pub sum: f64,
    /// For relevance methods, what was lost on the way: what the walk started with (`|score|`
    /// for LRP, nothing for a contrast) less the sum of the map before clamping.
    pub leak: Option<f64>,
    /// The explanation's share of the run's time, in seconds.
    pub seconds: f64,
}

/// Builds an [`Explainer`].
#[derive(Clone, Debug)]
pub struct ExplainerBuilder {
    network: Network,
    preprocess: Preprocess,
    composite: Option<Composite>,
    device: Device,
    max_batch: usize,
    seed: u64,
}

impl ExplainerBuilder {
    /// Uses these rules instead of the preset `contrastive`.
    #[must_use]
    pub fn composite(self, composite: Composite) -> Self {
        Self { composite: Some(composite), ..self }
    }

    /// Runs on this device.
    #[must_use]
    pub fn device(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// Takes at most this many pictures at once (8 by default); fewer where a run's values would
    /// take more than a few hundred MiB.
    #[must_use]
    pub fn max_batch(self, max_batch: usize) -> Self {
        Self { max_batch: max_batch.max(1), ..self }
    }

    /// Seeds [`Method::Random`].
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Checks that the rules suit the network.
    ///
    /// # Errors
    /// [`Error::RuleMismatch`] if they do not, [`Error::Setting`] for numbers that make no sense.
    pub fn build(self) -> Result<Explainer> {
        let composite = match self.composite {
            Some(composite) => composite,
            None => preset("contrastive")?,
        };
        let network = match composite.batch_norm() {
            BatchNorm::Bypass => self.network,
            BatchNorm::Fold => fold_batch_norm(&self.network)?,
        };
        composite.assign(network.graph())?;
        self.preprocess.check_normalization()?;
        let widened = |bounds: [f32; 3]| bounds.map(f64::from).to_vec();
        let bounds =
            Bounds { low: widened(self.preprocess.low()), high: widened(self.preprocess.high()) };
        Ok(Explainer {
            network,
            composite,
            device: self.device,
            bounds,
            max_batch: self.max_batch,
            seed: self.seed,
            ready: Mutex::new(None),
        })
    }
}

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
/// let (input, _) = model.preprocess().apply(&picture)?;
/// let explained = explainer.explain(&[input], &[Method::Clrp1], &Target::Top(2))?;
/// for explanation in &explained[0].explanations {
///     println!("class {}: {}", explanation.target, explanation.score);
/// }
/// # Ok::<(), clrp::Error>(())
/// ```
pub struct Explainer {
    network: Network,
    composite: Composite,
    device: Device,
    bounds: Bounds,
    max_batch: usize,
    seed: u64,
    /// The last program that ran, for the next run of its kind.
    ready: Mutex<Option<Ready>>,
}

/// A program on the device, and what it was made for.
struct Ready {
    methods: Vec<Method>,
    targets: Targets,
    batch: usize,
    places: Places,
    session: Box<dyn Session>,
}

/// Where a run's results are among its outputs.
#[derive(Clone, Debug)]
struct Places {
    scores: usize,
    targets: usize,
    maps: Vec<MapOutput>,
}

/// Bytes that a run's values should not exceed; a run on more is split.
const VALUE_BYTES: usize = 320 << 20;

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
    /// Starts with the preset `contrastive` on the CPU. The preprocessing says which values the
    /// pictures can have.
    pub fn builder(network: Network, preprocess: Preprocess) -> ExplainerBuilder {
        ExplainerBuilder {
            network,
            preprocess,
            composite: None,
            device: Device::Cpu(crate::backend::cpu::Cpu::new()),
            max_batch: 8,
            seed: 0,
        }
    }

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

    /// What would run for one picture.
    ///
    /// # Errors
    /// As [`explain`](Self::explain).
    pub fn lower(&self, methods: &[Method], targets: Targets) -> Result<Lowered> {
        self.lowered(methods, targets, 1)
    }

    /// The scores of each picture, before softmax.
    ///
    /// # Errors
    /// As [`explain`](Self::explain).
    pub fn scores(&self, pictures: &[Tensor]) -> Result<Vec<Vec<f32>>> {
        let explained = self.explain(pictures, &[], &Target::Top(1))?;
        Ok(explained.into_iter().map(|explained| explained.scores).collect())
    }

    /// Explains what the network says of each picture, by each method and for each target.
    ///
    /// Methods and targets of one run share the forward pass, the denominators and the switches.
    ///
    /// # Errors
    /// [`Error::InputShape`] or [`Error::InputValue`] for a picture that does not suit,
    /// [`Error::TargetOutOfRange`] or [`Error::Setting`] for a target that does not,
    /// [`Error::Unsupported`] for a method that does not suit the network,
    /// [`Error::DeviceMemory`] or [`Error::Device`] if the device cannot do it.
    pub fn explain(
        &self,
        pictures: &[Tensor],
        methods: &[Method],
        target: &Target,
    ) -> Result<Vec<Explained>> {
        self.check_pictures(pictures)?;
        self.check_target(target)?;
        let mut unique: Vec<Method> = Vec::new();
        for method in methods {
            if !unique.contains(method) {
                unique.push(*method);
            }
        }
        let count = match target {
            Target::Top(count) => *count,
            Target::Classes(classes) => classes.len(),
        };
        let (batch, at_once) = self.split(&unique, count, pictures.len())?;
        let mut explained = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(batch) {
            explained.extend(self.explain_batch(pictures, &unique, target, at_once.min(count))?);
        }
        Ok(explained)
    }

    fn check_pictures(&self, pictures: &[Tensor]) -> Result<()> {
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

    fn check_target(&self, target: &Target) -> Result<()> {
        let graph = self.network.graph();
        let classes = graph.output_shape().len();
        match target {
            Target::Top(count) if (1..=classes).contains(count) => Ok(()),
            Target::Top(count) => Err(number_of_targets(*count, classes)),
            Target::Classes(targets) if targets.is_empty() => Err(number_of_targets(0, classes)),
            Target::Classes(targets) => match targets.iter().find(|&&target| target >= classes) {
                None => Ok(()),
                Some(&target) => {
                    let model = graph.name().to_owned();
                    Err(Error::TargetOutOfRange { target, model, classes })
                }
            },
        }
    }

    fn plan<'a>(&'a self, methods: &'a [Method], targets: Targets, batch: usize) -> Plan<'a> {
        Plan {
            network: &self.network,
            composite: &self.composite,
            methods,
            targets,
            batch,
            bounds: &self.bounds,
            limits: self.device.limits(),
        }
    }

    fn lowered(&self, methods: &[Method], targets: Targets, batch: usize) -> Result<Lowered> {
        lower(&self.plan(methods, targets, batch))
    }

    /// How many pictures and how many targets go at once.
    fn split(&self, methods: &[Method], count: usize, pictures: usize) -> Result<(usize, usize)> {
        let fits = |targets: usize, batch: usize| {
            let lowered = self.lowered(methods, Targets::Given(targets), batch);
            self.fits(lowered.map(|lowered| lowered.program))
        };
        let mut batch = self.max_batch.min(pictures.max(1));
        while batch > 1 && !fits(count, batch)? {
            batch = batch.div_ceil(2);
        }
        let mut targets = count;
        while targets > 1 && !fits(targets, batch)? {
            targets = targets.div_ceil(2);
        }
        Ok((batch, targets))
    }

    /// Whether a run's values take no more than they should; too many to count do not.
    fn fits(&self, program: Result<Program>) -> Result<bool> {
        let program = match program {
            Ok(program) => program,
            Err(Error::TooLarge { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let largest = program.largest_buffer().saturating_mul(4);
        let all = program.buffer_bytes(4);
        Ok(largest <= self.device.limits().binding_bytes && all <= VALUE_BYTES)
    }

    /// Explains pictures that go at once, `at_once` targets at a time.
    fn explain_batch(
        &self,
        pictures: &[Tensor],
        methods: &[Method],
        target: &Target,
        at_once: usize,
    ) -> Result<Vec<Explained>> {
        let values: Vec<f32> = pictures.iter().flat_map(|p| p.values().iter().copied()).collect();
        let given: Vec<Vec<u32>> = match target {
            Target::Top(count) if *count <= at_once => {
                return self.run(pictures, &values, methods, Targets::Top(*count), None);
            }
            Target::Top(count) => self.top(pictures.len(), &values, *count)?,
            Target::Classes(classes) => {
                vec![classes.iter().map(|&class| class as u32).collect(); pictures.len()]
            }
        };
        let mut all: Vec<Explained> = Vec::new();
        for first in (0..given[0].len()).step_by(at_once) {
            let count = at_once.min(given[0].len() - first);
            let flat: Vec<u32> =
                given.iter().flat_map(|row| row[first..first + count].to_vec()).collect();
            let part = self.run(pictures, &values, methods, Targets::Given(count), Some(&flat))?;
            if all.is_empty() {
                all = part;
            } else {
                for (explained, part) in all.iter_mut().zip(part) {
                    explained.explanations.extend(part.explanations);
                }
            }
        }
        Ok(all)
    }

    /// The highest classes of each picture.
    fn top(&self, batch: usize, values: &[f32], count: usize) -> Result<Vec<Vec<u32>>> {
        let (outputs, places, _) = self.outputs(batch, values, &[], Targets::Top(count), None)?;
        let classes = outputs[places.targets].indices();
        Ok(classes.chunks_exact(count).map(<[u32]>::to_vec).collect())
    }

    /// Runs the program once and takes its results apart.
    fn run(
        &self,
        pictures: &[Tensor],
        values: &[f32],
        methods: &[Method],
        targets: Targets,
        given: Option<&[u32]>,
    ) -> Result<Vec<Explained>> {
        let (outputs, places, seconds) =
            self.outputs(pictures.len(), values, methods, targets, given)?;
        let count = targets.count();
        let share = seconds / (pictures.len() * methods.len().max(1) * count) as f64;
        let all_scores = outputs[places.scores].to_f64();
        let per_picture = all_scores.len() / pictures.len();
        let classes = outputs[places.targets].indices();
        let maps: Vec<(Method, Option<Maps>)> = methods
            .iter()
            .map(|method| {
                let place = places.maps.iter().find(|place| place.method == *method);
                (*method, place.map(|place| Maps::of(*place, &outputs)))
            })
            .collect();
        let mut explained = Vec::new();
        for (image, picture) in pictures.iter().enumerate() {
            let scores = &all_scores[image * per_picture..][..per_picture];
            check_scores(self.network.graph().name(), scores)?;
            let mut explanations = Vec::new();
            for j in 0..count {
                let target = classes[image * count + j] as usize;
                for (method, maps) in &maps {
                    let (map, sum, leak) = match maps {
                        Some(maps) => maps.take(image, j, count, picture, scores[target])?,
                        None => {
                            let map = random(self.seed, picture, target)?;
                            let sum = map.values().iter().map(|&v| f64::from(v)).sum();
                            (map, sum, None)
                        }
                    };
                    explanations.push(Explanation {
                        method: *method,
                        target,
                        score: scores[target] as f32,
                        map,
                        sum,
                        leak,
                        seconds: share,
                    });
                }
            }
            let scores = scores.iter().map(|&score| score as f32).collect();
            explained.push(Explained { scores, explanations });
        }
        Ok(explained)
    }

    fn outputs(
        &self,
        batch: usize,
        values: &[f32],
        methods: &[Method],
        targets: Targets,
        given: Option<&[u32]>,
    ) -> Result<(Vec<Output>, Places, f64)> {
        // Taken out while it runs: a thread that waits for this one may run it too, and a run
        // that ends in a panic leaves nothing behind.
        let lock = || self.ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let last = lock().take();
        let suits = |ready: &Ready| {
            ready.methods == methods && ready.targets == targets && ready.batch == batch
        };
        let mut ready = match last {
            Some(ready) if suits(&ready) => ready,
            last => self.prepare(batch, methods, targets, last)?,
        };
        let mut inputs = vec![Input::Float(values)];
        inputs.extend(given.map(Input::Index));
        let start = Instant::now();
        let outputs = ready.session.run(&inputs)?;
        let seconds = start.elapsed().as_secs_f64();
        let places = ready.places.clone();
        *lock() = Some(ready);
        Ok((outputs, places, seconds))
    }

    /// Makes a program ready. The last one goes as late as memory allows: while it is there, its
    /// weights need not be brought to the device again.
    fn prepare(
        &self,
        batch: usize,
        methods: &[Method],
        targets: Targets,
        last: Option<Ready>,
    ) -> Result<Ready> {
        let Lowered { program, scores, targets: target_place, maps } =
            self.lowered(methods, targets, batch)?;
        let session = match self.device.prepare(&program) {
            Err(Error::DeviceMemory { .. }) if last.is_some() => {
                drop(last);
                self.device.prepare(&program)?
            }
            other => other?,
        };
        let places = Places { scores, targets: target_place, maps };
        Ok(Ready { methods: methods.to_vec(), targets, batch, places, session })
    }
}

fn number_of_targets(found: usize, classes: usize) -> Error {
    Error::Setting {
        what: "number of targets",
        found: found.to_string(),
        expected: format!("1 to {classes}"),
    }
}

/// Finite weights can still be so large that scores are not.
fn check_scores(model: &str, scores: &[f64]) -> Result<()> {
    match scores.iter().position(|score| !score.is_finite()) {
        None => Ok(()),
        Some(index) => {
            let name = format!("scores of {model}");
            Err(Error::InputValue { name, index, found: scores[index] as f32 })
        }
    }
}

/// A method's results of one run.
struct Maps {
    place: MapOutput,
    maps: Vec<f64>,
    sums: Vec<f64>,
}

impl Maps {
    fn of(place: MapOutput, outputs: &[Output]) -> Self {
        Self { place, maps: outputs[place.maps].to_f64(), sums: outputs[place.sums].to_f64() }
    }

    /// The map of a picture's target, its sum, and what leaked.
    fn take(
        &self,
        image: usize,
        j: usize,
        count: usize,
        picture: &Tensor,
        score: f64,
    ) -> Result<(Tensor, f64, Option<f64>)> {
        let len = picture.shape().len();
        let map = &self.maps[(image * count + j) * len..][..len];
        let before = self.sums[image * self.place.rows + self.place.first + j];
        let leak = match self.place.method {
            Method::Lrp | Method::Clrp1Logits => Some(score.abs() - before),
            // Score less score.
            Method::Clrp1 | Method::Clrp2 => Some(-before),
            Method::Gradient
            | Method::GuidedBackprop
            | Method::Deconvnet
            | Method::GradientXInput
            | Method::Random => None,
        };
        let values = map.iter().map(|&value| value as f32).collect();
        Ok((Tensor::new(picture.shape(), values)?, map.iter().sum(), leak))
    }
}

/// Uniform noise that depends on the seed, the picture and the target, not on their order.
fn random(seed: u64, picture: &Tensor, target: usize) -> Result<Tensor> {
    let mix = |x: u64| {
        // The finalizer of splitmix64 (Steele et al. 2014).
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    };
    let start = picture.values().iter().fold(mix(seed ^ mix(target as u64 + 1)), |state, value| {
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
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> = scores.iter().map(|&s| (f64::from(s) - f64::from(top)).exp()).collect();
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
