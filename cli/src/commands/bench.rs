//! `clrp bench`: what the forward pass and explanations cost on a device.

use std::collections::BTreeSet;
use std::time::Instant;

use clap::Args;
use clrp::backend::{Device, Input};
use clrp::graph::Network;
use clrp::models::Model;
use clrp::program::{Bounds, Extras, Lowered, Plan, Targets, lower};
use clrp::rules::Composite;
use clrp::{Explainer, Goal, Method, Request, Target, Tensor};
use serde::Serialize;

use crate::bench::{Ceilings, flop, flop_of, median, peak_memory, present_memory, step_times};
use crate::console::{print, print_json, progress_with_rate};
use crate::failure::{Failure, Result};
use crate::known::Known;
use crate::options::{DeviceOptions, Precision, positive};
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  clrp bench                                     five networks, on the best device
  clrp bench --model vgg16 --batch 8 --device gpu --json
  clrp bench --model resnet50 --method clrp1 --layers

Networks have random weights: what is computed does not depend on them. Each round runs all methods,
turn by turn, each twice: the first run finds what others left in the caches, the second is timed.
Medians of the rounds are told: of a whole batch, of a picture of it, and as so many forward passes. GFLOP
count what the layers' formulas multiply and add; kernels that do with less may so come to more than
the GEMM. In --layers steps that are done with the one before them take 0 ms.

JSON (--json), one object:
  machine   threads (of the CPU), peak_memory_bytes and end_memory_bytes (of this process on the host, at
            most and at the end; null where they are not known)
  precision f32, f64 or fast
  ceilings  gemm_gflop_s, copy_gb_s: what the device reaches where nothing holds it up
  results   model, device, batch, targets (0 for the scores), method (`forward` for these), median_s, min_s,
            rounds, first_s (with all that is made ready once), gflop, gflop_s, share_of_gemm
  layers    model, method, layer, kernel, note, seconds, gflop_s (--layers)";

/// Arguments of `clrp bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// Networks, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Known::MODELS,
        hide_possible_values = true,
        default_value = "alexnet,vgg16,googlenet,inception_v3,resnet50")]
    model: Vec<String>,

    /// Ways to explain, with commas between; the forward pass is always measured
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Known::METHODS,
        hide_possible_values = true, default_value = "lrp,clrp1,clrp2,gradient")]
    method: Vec<String>,

    #[command(flatten)]
    device: DeviceOptions,

    /// How precisely is computed: f64 on a CPU, fast on a GPU with cooperative matrices
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    precision: Precision,

    /// Pictures that run at once
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4096))]
    batch: usize,

    /// Classes of each picture that are explained
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive::<usize>)]
    targets: usize,

    /// Timed runs of each method
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive::<usize>)]
    rounds: usize,

    /// Tell what each layer's steps take, by the device's clock on a GPU
    #[arg(long)]
    layers: bool,

    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    precision: &'static str,
    ceilings: Ceilings,
    results: Vec<Measured>,
    layers: Vec<LayerTime>,
}

#[derive(Serialize)]
struct Machine {
    threads: usize,
    peak_memory_bytes: Option<u64>,
    end_memory_bytes: Option<u64>,
}

/// One network by one method.
#[derive(Serialize)]
struct Measured {
    model: String,
    device: String,
    batch: usize,
    targets: usize,
    method: String,
    median_s: f64,
    min_s: f64,
    rounds: usize,
    first_s: f64,
    gflop: f64,
    gflop_s: f64,
    share_of_gemm: f64,
}

/// One step of a network's program.
#[derive(Serialize)]
struct LayerTime {
    model: String,
    method: String,
    layer: String,
    kernel: &'static str,
    note: String,
    seconds: f64,
    gflop_s: f64,
}

/// The name of the forward pass among methods.
const FORWARD: &str = "forward";

/// A network on a device with pictures of noise.
struct Subject<'a> {
    model: &'a Model,
    explainer: Explainer,
    pictures: Vec<Tensor>,
    targets: usize,
}

impl Bench {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let device = self.device.open(self.precision)?;
        let methods = self.method.iter().map(|name| Ok(name.parse()?));
        let methods = methods.collect::<Result<Vec<Method>>>()?;
        let models = self.model.iter().map(|name| Model::find(name));
        let mut models = models.collect::<clrp::Result<Vec<_>>>()?;
        let mut seen = BTreeSet::new();
        models.retain(|model| seen.insert(model.name));
        let (mut results, mut layers) = (Vec::new(), Vec::new());
        let bar = progress_with_rate(models.len() * (self.rounds + 1), "rounds");
        for model in models {
            let subject = self.subject(model, &device)?;
            results.extend(self.measure(&subject, &methods, || bar.inc(1))?);
            if self.layers {
                for method in std::iter::once(None).chain(methods.iter().copied().map(Some)) {
                    layers.extend(self.layer_times(&subject, method)?);
                }
            }
        }
        bar.finish_and_clear();
        let machine = Machine {
            threads: rayon::current_num_threads(),
            peak_memory_bytes: peak_memory(),
            end_memory_bytes: present_memory(),
        };
        // Last, because they take more memory than small networks.
        let ceilings = Ceilings::of(&device)?;
        for of in &mut results {
            of.share_of_gemm = of.gflop_s / ceilings.gemm_gflop_s;
        }
        let precision = self.precision.name();
        let report = Report { machine, precision, ceilings, results, layers };
        if self.json { print_json(&report) } else { print(report.text()) }
    }

    fn subject<'a>(&self, model: &'a Model, device: &Device) -> Result<Subject<'a>> {
        let weights = model.random_weights(0)?;
        let network = model.network(model.input_shape(), weights)?;
        let shape = model.input_shape();
        if self.targets > model.classes() {
            return Err(Failure::Said(format!(
                "--targets is {}, expected 1 to {}: `{}` has so many classes",
                self.targets,
                model.classes(),
                model.name
            )));
        }
        let picture = |number: usize| {
            let value = |i: usize| ((i * (number + 1)) % 255) as f32 / 64.0 - 2.0;
            Tensor::new(shape, (0..shape.len()).map(value).collect())
        };
        Ok(Subject {
            model,
            explainer: Explainer::builder(network, model.preprocess())
                .device(device.clone())
                .max_batch(self.batch)
                .build()?,
            pictures: (0..self.batch).map(picture).collect::<clrp::Result<_>>()?,
            targets: self.targets,
        })
    }

    /// The forward pass and all methods, turn by turn, each twice a round.
    fn measure(
        &self,
        subject: &Subject<'_>,
        methods: &[Method],
        tick: impl Fn(),
    ) -> Result<Vec<Measured>> {
        let all: Vec<Option<Method>> =
            std::iter::once(None).chain(methods.iter().copied().map(Some)).collect();
        let timed = |method: Option<Method>| {
            let start = Instant::now();
            subject.run(method)?;
            Ok::<_, Failure>(start.elapsed().as_secs_f64())
        };
        // The first round makes programs and weights ready.
        let firsts = all.iter().map(|method| timed(*method)).collect::<Result<Vec<_>>>()?;
        tick();
        let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); all.len()];
        for _ in 0..self.rounds {
            for (method, seconds) in all.iter().zip(&mut seconds) {
                // It finds what others left in the caches.
                timed(*method)?;
                seconds.push(timed(*method)?);
            }
            tick();
        }
        let mut measured = Vec::new();
        for ((method, first_s), seconds) in all.into_iter().zip(firsts).zip(seconds) {
            let gflop = flop(&subject.lowered(method)?.program) / 1e9;
            let median_s = median(&seconds);
            measured.push(Measured {
                model: subject.model.name.to_owned(),
                device: subject.explainer.device().name(),
                batch: self.batch,
                targets: if method.is_some() { self.targets } else { 0 },
                method: method.map_or(FORWARD, Method::name).to_owned(),
                median_s,
                min_s: seconds.iter().copied().fold(f64::MAX, f64::min),
                rounds: self.rounds,
                first_s,
                gflop,
                gflop_s: gflop / median_s,
                share_of_gemm: 0.0,
            });
        }
        Ok(measured)
    }

    fn layer_times(&self, subject: &Subject<'_>, method: Option<Method>) -> Result<Vec<LayerTime>> {
        let Lowered { program, .. } = subject.lowered(method)?;
        let mut session = subject.explainer.device().prepare(&program)?;
        let values: Vec<f32> =
            subject.pictures.iter().flat_map(|picture| picture.values()).copied().collect();
        let classes: Vec<u32> =
            (0..subject.pictures.len()).flat_map(|_| 0..subject.targets as u32).collect();
        let inputs = [Input::Float(&values), Input::Index(&classes)];
        let times = step_times(&mut *session, &inputs, self.rounds)?;
        let row = |(step, seconds): (&clrp::program::Step, f64)| LayerTime {
            model: subject.model.name.to_owned(),
            method: method.map_or(FORWARD, Method::name).to_owned(),
            layer: program.layers[step.layer].clone(),
            kernel: step.call.kernel().name,
            note: program.notes[step.note].clone(),
            seconds,
            // What is too short for the clock has no rate.
            gflop_s: if seconds > 0.0 { flop_of(&step.call) / seconds / 1e9 } else { 0.0 },
        };
        Ok(program.steps.iter().zip(times).map(row).collect())
    }
}

impl Subject<'_> {
    fn run(&self, method: Option<Method>) -> Result<()> {
        let Some(method) = method else {
            self.explainer.scores(&self.pictures)?;
            return Ok(());
        };
        let goals = |_| (0..self.targets).map(Goal::Class).collect();
        let target = Target::each((0..self.pictures.len()).map(goals));
        self.explainer.explain_all(&self.pictures, &Request::new(method, target))?;
        Ok(())
    }

    /// What the device runs for the method.
    fn lowered(&self, method: Option<Method>) -> Result<Lowered> {
        let network: &Network = self.explainer.network();
        let composite: &Composite = self.explainer.composite();
        let preprocess = self.explainer.preprocess();
        let wide = |values: [f32; 3]| values.map(f64::from).to_vec();
        Ok(lower(&Plan {
            network,
            composite,
            methods: method.as_slice(),
            at: network.graph().output(),
            targets: Targets::Given(self.targets),
            batch: self.pictures.len(),
            bounds: &Bounds { low: wide(preprocess.low()), high: wide(preprocess.high()) },
            limits: self.explainer.device().limits(),
            extras: Extras::default(),
        })?)
    }
}

impl Report {
    fn text(&self) -> String {
        let Ceilings { gemm_gflop_s, copy_gb_s } = self.ceilings;
        let mut text = format!(
            "precision {}, ceilings: {gemm_gflop_s:.1} GFLOP/s (GEMM), {copy_gb_s:.1} GB/s (copy)\n\n",
            self.precision
        );
        let headings =
            ["model", "device", ">batch", ">targets", "method", ">median ms", ">a picture"];
        let more = [">x forward", ">GFLOP/s", ">of GEMM", ">first ms"];
        let mut table = Table::new(headings.into_iter().chain(more));
        for own in self.results.chunk_by(|one, other| one.model == other.model) {
            let forward = own[0].median_s;
            for of in own {
                let ms = |seconds: f64| format!("{:.1}", 1e3 * seconds);
                table.row([
                    of.model.clone(),
                    of.device.clone(),
                    of.batch.to_string(),
                    of.targets.to_string(),
                    of.method.clone(),
                    ms(of.median_s),
                    ms(of.median_s / of.batch as f64),
                    format!("{:.2}", of.median_s / forward),
                    format!("{:.1}", of.gflop_s),
                    format!("{:.0} %", 100.0 * of.share_of_gemm),
                    ms(of.first_s),
                ]);
            }
        }
        text += &table.to_string();
        if !self.layers.is_empty() {
            let headings = ["model", "method", "layer", "kernel", "note", ">ms", ">GFLOP/s"];
            let mut table = Table::new(headings);
            for of in &self.layers {
                table.row([
                    of.model.clone(),
                    of.method.clone(),
                    of.layer.clone(),
                    of.kernel.to_owned(),
                    of.note.clone(),
                    format!("{:.3}", 1e3 * of.seconds.max(0.0)),
                    format!("{:.0}", of.gflop_s),
                ]);
            }
            text += &format!("\n{table}");
        }
        if let Some(bytes) = self.machine.peak_memory_bytes {
            text += &format!("\nmemory: {} MB at most\n", bytes >> 20);
        }
        text
    }
}
