//! Explanations that stay on the GPU, for apps that draw them.

use std::sync::Arc;

use super::pending::Pending;
use super::request::Request;
use super::run::{Progress, Ready};
use super::target::{Choice, Goal, Group, Rows};
use super::{Explainer, ToInput, Work};
use crate::backend::gpu::{Form, Keep, KeptMap};
use crate::backend::{Device, Input, Output, Watch};
use crate::error::{Error, Result};
use crate::methods::Method;
use crate::program::{MapOutput, Targets};
use crate::tensor::{Shape, Tensor};

/// What a network says of a picture, and why, the maps on the GPU.
#[derive(Clone, Debug)]
pub struct ExplainedOnGpu {
    /// The score of each class, before softmax.
    pub scores: Vec<f32>,
    /// One for each target and method: all methods of the first target, then the next.
    pub explanations: Vec<ExplanationOnGpu>,
}

/// Why a network gave a number, the map on the GPU.
#[derive(Clone, Debug)]
pub struct ExplanationOnGpu {
    /// How it was computed.
    pub method: Method,
    /// What is explained.
    pub goal: Goal,
    /// The layer that gave it, if that is not the scores.
    pub layer: Option<String>,
    /// The number that is explained: for a class its score, before softmax.
    pub score: f32,
    /// The map, as a buffer and as a texture.
    pub kept: KeptMap,
}

impl Explainer {
    /// As [`explain_all`](Self::explain_all) of one picture, but maps stay on the GPU; only scores
    /// and targets are read.
    ///
    /// ```
    /// use clrp::image::Picture;
    /// use clrp::{Explainer, Method, Request, Target, wgpu};
    ///
    /// # fn example(explainer: &Explainer, picture: &Picture) -> clrp::Result<()> {
    /// let request = Request::new(Method::Clrp1, Target::top(3));
    /// let explained = explainer.explain_on_gpu(picture, &request)?;
    /// for explanation in &explained.explanations {
    ///     let numbers: &wgpu::Buffer = explanation.kept.map();
    ///     let drawn: &wgpu::Texture = explanation.kept.heatmap();
    ///     # let _ = (numbers, drawn);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`explain_all`](Self::explain_all); [`Error::Unsupported`] if the explainer does not run
    /// on a GPU, for methods that are put together from many runs (SmoothGrad, integrated
    /// gradients, occlusion, RISE) or need none (random), for requests without methods, and for
    /// those of ledgers or of maps at layers.
    pub fn explain_on_gpu(
        &self,
        image: &impl ToInput,
        request: &Request<'_>,
    ) -> Result<ExplainedOnGpu> {
        request.check_cancelled()?;
        self.check_keeping(request)?;
        let input = image.to_input(&self.preprocess)?;
        self.check_pictures(&[&input])?;
        let work = Work { heatmaps: true, ..self.work(request, 1)? };
        let split = self.split(&work, 1)?;
        let (at_once, runs) = (split.targets, self.runs(&work, 1, split));
        let progress = Progress::new(request, runs);
        let mut kept =
            Keeping { explainer: self, work: &work, input: &input, progress, explained: None };
        match request.target.choice() {
            Choice::Top(count) if *count <= at_once => kept.run(Targets::Top(*count), None)?,
            Choice::Top(_) | Choice::RandomOfTop { .. } | Choice::Goals(_) | Choice::Each(_) => {
                let goals = self.find_goals(0, &[&input], &work, &mut kept.progress)?;
                for group in self.groups_of(&goals[0], work.at) {
                    for first in (0..group.goals.len()).step_by(at_once) {
                        kept.run_group(&group.slice(first, at_once))?;
                    }
                }
            }
        }
        Ok(kept.explained.expect("there is at least one target"))
    }

    /// [`explain_on_gpu`](Self::explain_on_gpu) on a thread of the pool that the CPU backend uses,
    /// too. The request's progress is told there.
    pub fn explain_on_gpu_async(
        self: &Arc<Self>,
        image: impl ToInput + Send + 'static,
        request: Request<'static>,
    ) -> Pending<ExplainedOnGpu> {
        self.spawn(request, move |explainer, request| explainer.explain_on_gpu(&image, request))
    }

    /// Whether all that is asked for can stay on the GPU.
    fn check_keeping(&self, request: &Request<'_>) -> Result<()> {
        let unsupported =
            |what: String, why: &str| Err(Error::Unsupported { what, why: why.to_owned() });
        if !matches!(self.device, Device::Gpu(_)) {
            let what = format!("keeping maps on `{}`", self.device.name());
            return unsupported(what, "it is no GPU");
        }
        if let Some(method) = request.methods.iter().find(|method| method.recipe().is_none()) {
            let what = format!("keeping maps of `{method}` on the GPU");
            return unsupported(what, "they are put together on the CPU");
        }
        if request.methods.is_empty() {
            return unsupported("keeping maps of no method".to_owned(), "there are none");
        }
        if request.ledger || !request.layers.is_empty() {
            let what = "keeping ledgers or maps at layers on the GPU".to_owned();
            return unsupported(what, "only maps at the picture stay there");
        }
        Ok(())
    }
}

/// The runs of one picture.
struct Keeping<'a> {
    explainer: &'a Explainer,
    work: &'a Work<'a>,
    input: &'a Tensor,
    progress: Progress<'a>,
    explained: Option<ExplainedOnGpu>,
}

impl Keeping<'_> {
    fn run_group(&mut self, group: &Group) -> Result<()> {
        let (targets, rows) = Group::joined(&[group]);
        self.run(targets, Some((rows, &group.goals)))
    }

    fn run(&mut self, targets: Targets, given: Option<(Rows, &[Goal])>) -> Result<()> {
        let (explainer, methods) = (self.explainer, &self.work.request.methods);
        let job = self.work.job(methods, targets, 1);
        let picture = self.input.shape();
        let (rows, goals) = given.unzip();
        let progress = &self.progress;
        let run = |ready: &mut Ready, inputs: &[Input<'_>]| {
            keep(ready, inputs, picture, &mut |done, of| progress.step(done, of))
        };
        let (results, kept) =
            explainer.execute_by(&job, Input::Float(self.input.values()), rows.as_ref(), run)?;
        self.progress.advance(1)?;
        let found;
        let goals = match goals {
            Some(goals) => goals,
            None => {
                let units = results.units().expect("it found the best");
                found = explainer.goals_of(self.work.at, units);
                &found[..]
            }
        };
        let explained = self.explained.get_or_insert_with(|| ExplainedOnGpu {
            scores: results.scores().into_iter().map(|score| score as f32).collect(),
            explanations: Vec::new(),
        });
        let values = results.values();
        let mut kept = kept.into_iter();
        for (goal, value) in goals.iter().zip(values) {
            for method in methods {
                explained.explanations.push(ExplanationOnGpu {
                    method: *method,
                    goal: goal.clone(),
                    layer: explainer.layer_name(self.work.at),
                    score: value as f32,
                    kept: kept.next().expect("there is one for each target and method"),
                });
            }
        }
        Ok(())
    }
}

/// Runs a program whose maps stay: all methods of the first target, then the next.
fn keep(
    ready: &mut Ready,
    inputs: &[Input<'_>],
    picture: Shape,
    watch: &mut Watch<'_>,
) -> Result<(Vec<Output>, Vec<KeptMap>)> {
    let Shape { height, width, .. } = picture;
    let of = |place: &MapOutput, j: usize| {
        let len = place.channels * height * width;
        let heatmaps = place.heatmaps.expect("the job asks for heatmaps");
        [
            Keep { output: place.maps, first: j * len, form: Form::Buffer(len) },
            Keep {
                output: heatmaps.planes,
                first: j * height * heatmaps.stride,
                form: Form::Texture { height, width, stride: heatmaps.stride },
            },
        ]
    };
    let targets = ready.job.targets.count();
    let in_order = ready.job.methods.iter().map(|method| ready.lowered.map_of(*method));
    let in_order: Vec<&MapOutput> = in_order.flatten().collect();
    let all: Vec<Keep> =
        (0..targets).flat_map(|j| in_order.iter().flat_map(move |place| of(place, j))).collect();
    let session = ready.session.as_gpu().expect("the device is a GPU");
    let (outputs, kept) = session.run_keeping(inputs, watch, &all)?;
    let mut kept = kept.into_iter();
    let pair = || KeptMap::new(kept.next()?, kept.next()?);
    Ok((outputs, std::iter::from_fn(pair).collect()))
}
