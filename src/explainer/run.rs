//! Runs programs and takes their results apart.

use std::sync::Arc;
use std::time::Instant;

use super::Explainer;
use super::ledger::Ledger;
use super::request::Request;
use super::target::{Group, Rows, goal_of, grouped, of_scores};
use super::{Explained, Explanation, Goal, LayerMap};
use crate::backend::{Input, Output, Session};
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::methods::{Method, Recipe};
use crate::program::{Extras, Lowered, MapOutput, Plan, Targets, lower};
use crate::tensor::{Shape, Tensor};

/// What a program is made for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) methods: Vec<Method>,
    pub(super) at: NodeId,
    pub(super) targets: Targets,
    pub(super) batch: usize,
    pub(super) layers: Vec<NodeId>,
    pub(super) ledger: bool,
    pub(super) heatmaps: bool,
}

impl Job {
    /// One sample of a picture each, and what is asked of it.
    pub(super) fn of_samples(
        inner: Option<Method>,
        at: NodeId,
        targets: Targets,
        batch: usize,
    ) -> Self {
        let methods = inner.into_iter().collect();
        Self { methods, at, targets, batch, layers: Vec::new(), ledger: false, heatmaps: false }
    }

    /// Refuses a layer at which no method of the run has a map.
    fn check_layers(&self, graph: &Graph, lowered: &Lowered) -> Result<()> {
        let has_map = |layer| lowered.layers.iter().any(|place| place.node == layer);
        match self.layers.iter().find(|layer| !self.methods.is_empty() && !has_map(**layer)) {
            None => Ok(()),
            Some(layer) => {
                let names: Vec<&str> = self.methods.iter().map(|method| method.name()).collect();
                let names = names.join(", ");
                Err(Error::Unsupported {
                    what: format!("map at layer `{}`", graph.node(*layer).name),
                    why: format!("no signal of {names} reaches it (a contrast starts lower down)"),
                })
            }
        }
    }
}

/// A program on the device, and where its results are.
pub(super) struct Ready {
    pub(super) job: Job,
    pub(super) lowered: Arc<Lowered>,
    pub(super) session: Box<dyn Session>,
}

/// How far the work is, and whether it goes on.
pub(super) struct Progress<'a> {
    request: &'a Request<'a>,
    done: f64,
    runs: f64,
}

impl<'a> Progress<'a> {
    /// Nothing of so many runs is done.
    pub(super) fn new(request: &'a Request<'a>, runs: usize) -> Self {
        Self { request, done: 0.0, runs: runs.max(1) as f64 }
    }

    /// Part of the present run is done.
    pub(super) fn step(&self, done: usize, of: usize) -> Result<()> {
        self.request.check_cancelled()?;
        if let Some(progress) = &self.request.progress {
            progress((self.done + done as f64 / of.max(1) as f64) / self.runs);
        }
        Ok(())
    }

    /// So many runs are done.
    pub(super) fn advance(&mut self, runs: usize) -> Result<()> {
        self.done += runs as f64;
        self.step(0, 1)
    }
}

/// The numbers of one run.
pub(super) struct Results {
    lowered: Arc<Lowered>,
    outputs: Vec<Output>,
    pub(super) seconds: f64,
}

impl Results {
    /// The scores of all pictures.
    pub(super) fn scores(&self) -> Vec<f64> {
        self.outputs[self.lowered.scores].to_f64()
    }

    /// The value of each target of each picture.
    pub(super) fn values(&self) -> Vec<f64> {
        self.outputs[self.lowered.values].to_f64()
    }

    /// The number of each target's output, where it is a single one.
    pub(super) fn units(&self) -> Option<&[u32]> {
        self.lowered.targets.map(|place| self.outputs[place].indices())
    }

    /// All maps of a method, and how many planes each has.
    pub(super) fn maps(&self, method: Method) -> Option<(Vec<f64>, usize)> {
        let place = self.lowered.map_of(method)?;
        Some((self.outputs[place.maps].to_f64(), place.channels))
    }
}

impl Explainer {
    pub(super) fn lowered(&self, job: &Job) -> Result<Lowered> {
        let lowered = lower(&Plan {
            network: &self.network,
            composite: &self.composite,
            methods: &job.methods,
            at: job.at,
            targets: job.targets,
            batch: job.batch,
            bounds: &self.bounds,
            limits: self.device.limits(),
            extras: Extras {
                layers: &job.layers,
                ledger: job.ledger,
                cam_layer: self.cam_layer,
                upsampling: self.upsampling,
                heatmaps: job.heatmaps,
            },
        })?;
        job.check_layers(self.network.graph(), &lowered)?;
        Ok(lowered)
    }

    /// Runs a job's program once.
    pub(super) fn execute(
        &self,
        job: &Job,
        pictures: Input<'_>,
        rows: Option<&Rows>,
        progress: &Progress<'_>,
    ) -> Result<Results> {
        let run = |ready: &mut Ready, inputs: &[Input<'_>]| {
            let mut watch = |done, of| progress.step(done, of);
            Ok((ready.session.run_watched(inputs, &mut watch)?, ()))
        };
        Ok(self.execute_by(job, pictures, rows, run)?.0)
    }

    /// Runs a job's program once, by `run`, which may bring more than the outputs.
    pub(super) fn execute_by<T>(
        &self,
        job: &Job,
        pictures: Input<'_>,
        rows: Option<&Rows>,
        run: impl FnOnce(&mut Ready, &[Input<'_>]) -> Result<(Vec<Output>, T)>,
    ) -> Result<(Results, T)> {
        let mut ready = match self.recent.take(job) {
            Some(ready) => ready,
            None => self.prepare(job)?,
        };
        let mut inputs = vec![pictures];
        match rows {
            None => {}
            Some(Rows::Units(units)) => inputs.push(Input::Index(units)),
            Some(Rows::Weighted { weights, duals }) => {
                inputs.extend([Input::Double(weights), Input::Double(duals)]);
            }
        }
        let start = Instant::now();
        let done = run(&mut ready, &inputs);
        let seconds = start.elapsed().as_secs_f64();
        let lowered = ready.lowered.clone();
        self.recent.put(ready, self.value_bytes, self.device.float_bytes());
        let (outputs, more) = done?;
        let results = Results { lowered, outputs, seconds };
        check_scores(self.network.graph().name(), &results.scores())?;
        Ok((results, more))
    }

    /// Makes a program ready. Others go only where memory is short: while they are there, their
    /// weights need not be brought to the device again.
    fn prepare(&self, job: &Job) -> Result<Ready> {
        let lowered = Arc::new(self.lowered(job)?);
        let session = match self.device.prepare(&lowered.program) {
            Err(Error::DeviceMemory { .. }) if self.recent.clear() => {
                self.device.prepare(&lowered.program)?
            }
            other => other?,
        };
        Ok(Ready { job: job.clone(), lowered, session })
    }

    /// Goals in groups that run together.
    pub(super) fn groups_of(&self, goals: &[Goal], at: NodeId) -> Vec<Group> {
        let graph = self.network.graph();
        let shape = graph.node(at).shape;
        if at != graph.output() {
            return grouped(goals, shape);
        }
        let scores: Vec<Goal> = goals.iter().map(|goal| of_scores(goal, shape)).collect();
        grouped(&scores, shape)
    }

    /// Takes the results of a run apart: for each picture its explanations, all methods of the
    /// first target, then the next.
    pub(super) fn collect(
        &self,
        job: &Job,
        groups: &[&Group],
        results: &Results,
    ) -> Result<Vec<Vec<Explanation>>> {
        let count = job.targets.count();
        let values = results.values();
        let places = job.methods.iter().filter_map(|method| results.lowered.map_of(*method));
        let in_order = places.map(|place| Maps::of(*place, &results.outputs));
        let in_order: Vec<Maps> = in_order.collect();
        let share = results.seconds / (job.batch * in_order.len().max(1) * count) as f64;
        let of_picture = |(image, group): (usize, &&Group)| {
            let each = (0..count).flat_map(|j| in_order.iter().map(move |maps| (j, maps)));
            let explanation = |(j, maps): (usize, &Maps)| {
                let score = values[image * count + j];
                let made = self.explanation(job, (image, group, j), score, maps, results)?;
                Ok(Explanation { seconds: share, ..made })
            };
            each.map(explanation).collect()
        };
        groups.iter().enumerate().map(of_picture).collect()
    }

    /// The explanation of a picture's target by the method that the maps are of.
    fn explanation(
        &self,
        job: &Job,
        (image, group, j): (usize, &Group, usize),
        score: f64,
        maps: &Maps,
        results: &Results,
    ) -> Result<Explanation> {
        let (method, count) = (maps.place.method, job.targets.count());
        let recipe = method.recipe().filter(|recipe| recipe.walk.is_relevance());
        let sums = group.sums(j);
        let start = recipe.and_then(|recipe| recipe.start.total(score, sums));
        let picture = self.network.graph().input_shape();
        let (map, sum, arrived) = maps.take(image, j, count, picture)?;
        let is_alone = !sums.has_dual && recipe.is_some_and(Recipe::is_against_others);
        let dual = match &maps.dual {
            Some(sums) => Some(sums[image * count + j]),
            None => is_alone.then_some(0.0),
        };
        let of_what = (method, &group.goals[j], self.layer_name(job.at));
        let cam_layer = maps.place.cam_layer.map(|id| self.network.graph().node(id).name.clone());
        Ok(Explanation {
            cam_layer,
            leak: start.zip(arrived).map(|(start, arrived)| start - arrived),
            dual,
            arrived,
            scale: recipe.and_then(|recipe| recipe.scale(score, sums)),
            layers: self.layer_maps(method, image * count + j, results)?,
            ledger: (job.ledger && recipe.is_some())
                .then(|| self.ledger(method, image, j, start, results)),
            ..Explanation::of_map(of_what, score, map, sum, self.device.roundoff())
        })
    }

    fn layer_maps(
        &self,
        method: Method,
        target: usize,
        results: &Results,
    ) -> Result<Vec<LayerMap>> {
        let graph = self.network.graph();
        let of_method = results.lowered.layers.iter().filter(|layer| layer.method == method);
        of_method
            .map(|place| {
                let node = graph.node(place.node);
                let len = node.shape.len();
                let map = results.outputs[place.maps].part(target * len..(target + 1) * len);
                Ok(LayerMap { layer: node.name.clone(), map: tensor(node.shape, &map)? })
            })
            .collect()
    }

    fn ledger(
        &self,
        method: Method,
        image: usize,
        j: usize,
        start: Option<f64>,
        results: &Results,
    ) -> Ledger {
        let graph = self.network.graph();
        let mut ledger = Ledger::new(start.unwrap_or(0.0));
        for entry in &results.lowered.ledger {
            for rows in entry.methods.iter().filter(|rows| rows.method == method) {
                let row = image * entry.rows + rows.first + j;
                let node = graph.node(entry.node);
                let is_own = rows.sign > 0.0;
                ledger.add(node, entry, &results.outputs, row, rows.sign, is_own);
            }
        }
        if let Some(place) = results.lowered.map_of(method)
            && let Some(sums) = place.sums
        {
            let row = image * sums.rows + sums.first + j;
            ledger.arrived = results.outputs[sums.sums].part(row..row + 1)[0];
        }
        ledger
    }

    /// The goals that a run found by itself.
    pub(super) fn goals_of(&self, at: NodeId, units: &[u32]) -> Vec<Goal> {
        let graph = self.network.graph();
        let (shape, is_scores) = (graph.node(at).shape, at == graph.output());
        units.iter().map(|unit| goal_of(*unit, shape, is_scores)).collect()
    }

    /// Scores of a run, with explanations still to come.
    pub(super) fn with_scores(&self, pictures: usize, scores: &[f64]) -> Vec<Explained> {
        let each = scores.chunks_exact(scores.len() / pictures);
        let rounded = each.map(|scores| scores.iter().map(|&score| score as f32).collect());
        rounded.map(|scores| Explained { scores, explanations: Vec::new() }).collect()
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

/// Numbers of either width as a tensor.
pub(super) fn tensor(shape: Shape, values: &[f64]) -> Result<Tensor> {
    Tensor::new(shape, values.iter().map(|&value| value as f32).collect())
}

/// A method's results of one run.
struct Maps {
    place: MapOutput,
    maps: Vec<f64>,
    sums: Option<Vec<f64>>,
    dual: Option<Vec<f64>>,
}

impl Maps {
    fn of(place: MapOutput, outputs: &[Output]) -> Self {
        let sums = place.sums.map(|sums| outputs[sums.sums].to_f64());
        let dual = place.dual.map(|dual| outputs[dual].to_f64());
        Self { place, maps: outputs[place.maps].to_f64(), sums, dual }
    }

    /// The map of a picture's target, its sum, and that of its row before clamping.
    fn take(
        &self,
        image: usize,
        j: usize,
        count: usize,
        picture: Shape,
    ) -> Result<(Tensor, f64, Option<f64>)> {
        let shape = Shape::new(self.place.channels, picture.height, picture.width);
        let map = &self.maps[(image * count + j) * shape.len()..][..shape.len()];
        let arrived = self.sums.as_ref().zip(self.place.sums);
        let arrived = arrived.map(|(sums, place)| sums[image * place.rows + place.first + j]);
        Ok((tensor(shape, map)?, map.iter().sum(), arrived))
    }
}
