//! From options to what runs.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::Args;
use clrp::backend::Device;
use clrp::file::MappedFile;
use clrp::graph::Network;
use clrp::image::{Mode, Preprocess};
use clrp::rules::Composite;
use clrp::{Cancel, Error, Explainer, Method, Request, Shape, Target};
use sha2::{Digest, Sha256};

use super::log::{Locked, Log};
use super::part::Ready;
use super::record::{Header, NetworkHeader, Record};
use super::records::RecordFile;
use super::results::{Examples, finish};
use super::running::{Parts, Prepared, Shard, Work};
use super::subject::{Subject, Way};
use super::turns::Turns;
use crate::console::{print, progress_with_rate};
use crate::datasets::{Dataset, DatasetOptions};
use crate::failure::{Failure, Result};
use crate::folder::stem;
use crate::known::Known;
use crate::network::{Chosen, resized};
use crate::options::{
    DeviceOptions, MethodOptions, NetworkOptions, Precision, RuleOptions, ShapingOptions,
};
use crate::report::label;
use crate::runner::Runner;

/// What every experiment asks.
#[derive(Debug, Args)]
pub(crate) struct EvaluationOptions {
    #[command(flatten)]
    pub(crate) data: DatasetOptions,

    #[command(flatten)]
    network: NetworkOptions,

    /// Another network on the same pictures, one of `clrp models`, with these weights (published
    /// ones unless given); may be repeated, also for the same network with other weights
    #[arg(long, value_name = "MODEL=FILE")]
    also: Vec<String>,

    #[command(flatten)]
    shaping: ShapingOptions,

    /// Ways to explain, with commas between; `centre` is a baseline, as `random` is
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Known::WAYS)]
    method: Vec<String>,

    #[command(flatten)]
    rules: RuleOptions,

    #[command(flatten)]
    device: DeviceOptions,

    /// How precisely is computed: f64 on a CPU, fast on a GPU with cooperative matrices
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    precision: Precision,

    /// The seed of whatever is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    run: RunOptions,

    #[command(flatten)]
    methods: MethodOptions,
}

/// How many pictures may be unreadable.
#[derive(Debug, Args)]
pub(crate) struct UnreadableOptions {
    /// The share of pictures that may be unreadable, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub(crate) max_unreadable: f64,
}

/// How a run goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the run")]
pub(crate) struct RunOptions {
    /// The folder for records and results; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = "evaluation")]
    pub(crate) output: PathBuf,

    /// Go on with the run whose records are in the folder; unreadable pictures are tried again
    #[arg(long)]
    pub(crate) resume: bool,

    /// Do one of N parts of the pictures, as 1/3; `clrp evaluate merge` puts the parts together
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,

    #[command(flatten)]
    unreadable: UnreadableOptions,

    /// Pictures that run at once; results differ in their last bits with it. Eight times as many are
    /// in memory
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) batch: usize,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// What runs.
pub(crate) struct Setup {
    pub(crate) dataset: Dataset,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) ways: Vec<Way>,
    pub(crate) header: Header,
}

impl Setup {
    /// Whether all networks can explain such a target in all ways.
    pub(crate) fn check(&self, target: impl Fn(&Subject) -> Result<Target>) -> Result<()> {
        let methods: Vec<Method> = self.ways.iter().filter_map(|way| way.method()).collect();
        for subject in &self.subjects {
            subject.explainer.check(&Request::new(methods.clone(), target(subject)?))?;
        }
        Ok(())
    }

    /// The same where a class of the picture is explained.
    pub(crate) fn check_classes(&self) -> Result<()> {
        self.check(|_| Ok(Target::class(0)))
    }
}

/// A run that has begun: its records are open.
pub(crate) struct Run<'a> {
    pub(crate) setup: Setup,
    pub(crate) folder: &'a Path,
    pub(crate) stop: Cancel,
    options: &'a RunOptions,
    log: RefCell<Log>,
}

impl RunOptions {
    /// The share of pictures that may be unreadable.
    pub(crate) fn max_unreadable(&self) -> f64 {
        self.unreadable.max_unreadable
    }
}

impl Run<'_> {
    /// Measures all pictures, then writes the results. `draw` makes the pictures of the report.
    pub(crate) fn go(
        &self,
        measure: impl Fn(&[Prepared<Ready>]) -> Result<Vec<Record>> + Sync,
        draw: impl FnOnce(&RecordFile) -> Result<Vec<Examples>>,
    ) -> Result<()> {
        let Setup { dataset, subjects, .. } = &self.setup;
        let parts =
            Parts { pictures: dataset.len(), batch: self.options.batch, shard: self.options.shard };
        let bar = progress_with_rate(parts.count(), "pictures");
        let work = Work {
            parts: &parts,
            most_failed: self.options.max_unreadable(),
            bar: &bar,
            stop: &self.stop,
        };
        let prepare = |index| Ready::load(dataset, index, subjects);
        let mut log = self.log.borrow_mut();
        work.run(&mut log, prepare, |part| one_by_one(dataset, part, &measure))?;
        bar.finish_and_clear();
        log.unlock();
        if self.options.shard.is_some() {
            return print(format!(
                "{} pictures done; `clrp evaluate merge` puts the shards together\n",
                parts.count()
            ));
        }
        finish(self.folder, draw).map_err(|failure| {
            if failure.to_string() != Error::Cancelled.to_string() {
                return failure;
            }
            let message = "stopped while the results were made; all records are there, --resume \
                           makes them";
            Failure::Said(message.to_owned())
        })
    }
}

fn is_cpu(device: &Device) -> bool {
    matches!(device, Device::Cpu(_) | Device::CpuF64(_))
}

/// The device, by all that decides the last bits of what it computes.
fn described_device(device: &Device) -> String {
    let name = device.name();
    match is_cpu(device) {
        true => format!("{name}, vectors of {}", clrp::kernels::panels::lanes()),
        false => name,
    }
}

/// Measures a part. Where a number is not finite, each of its pictures by itself, so that it costs
/// no other one its results.
fn one_by_one(
    dataset: &Dataset,
    part: &[Prepared<Ready>],
    measure: &impl Fn(&[Prepared<Ready>]) -> Result<Vec<Record>>,
) -> Result<Vec<Record>> {
    match (measure(part), part) {
        (Err(Failure::NotFinite(error)), [Prepared { index, .. }]) => {
            Ok(vec![Record::failed(*index, dataset.name(*index), error)])
        }
        (Err(Failure::NotFinite(_)), _) => {
            let mut records = Vec::new();
            for picture in part.chunks(1) {
                records.extend(one_by_one(dataset, picture, measure)?);
            }
            Ok(records)
        }
        (done, _) => done,
    }
}

impl EvaluationOptions {
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The run's options.
    pub(crate) fn of_run(&self) -> &RunOptions {
        &self.run
    }

    /// Opens the records, so that nobody else writes them.
    pub(crate) fn lock(&self, setup: &Setup) -> Result<Locked> {
        let name = |index| setup.dataset.name(index);
        Locked::open(&self.run.output, self.run.resume, Some(&name))
    }

    /// Begins a run of what was found to be in order.
    pub(crate) fn start(&self, setup: Setup, records: Locked, stop: Cancel) -> Result<Run<'_>> {
        let log = RefCell::new(records.begin(&setup.header)?);
        Ok(Run { setup, folder: self.run.output.as_path(), stop, options: &self.run, log })
    }

    /// Opens the data set and the networks; `usual` are the names of the ways unless given.
    pub(crate) fn open(
        &self,
        experiment: &str,
        usual: &[&str],
        settings: Vec<(String, String)>,
    ) -> Result<Setup> {
        let usual: Vec<String> = usual.iter().map(|name| (*name).to_owned()).collect();
        let ways = Way::unique(if self.method.is_empty() { &usual } else { &self.method })?;
        let methods: Vec<Method> = ways.iter().filter_map(|way| way.method()).collect();
        self.methods.check(&methods)?;
        self.rules.check(&methods)?;
        let dataset = self.data.open()?;
        let rules = self.rules.read()?;
        let device = self.device.open(self.precision)?;
        let (mut subjects, mut networks) = (Vec::new(), Vec::new());
        let turns = if is_cpu(&device) { 1 } else { 2 };
        let turns = Arc::new(Turns::new(turns));
        for (chosen, options) in self.chosen()? {
            rules.check(chosen.network.graph())?;
            let preprocess = self.shaping.preprocess(chosen.preprocess, options.size);
            check_one_size(&preprocess)?;
            let (height, width) = preprocess.size;
            let shape = Shape::new(3, height as usize, width as usize);
            let network = resized(&chosen.network, shape, "--size")?;
            let explainer = self.explainer(
                network,
                device.clone(),
                rules.composite.clone(),
                preprocess,
                self.seed,
            )?;
            let (name, labels) = (chosen.name, chosen.labels);
            let second = self.second(&device, &explainer)?;
            let subject = Subject { name, explainer, labels, turns: turns.clone(), second };
            networks.push(described(&subject, chosen.weights.as_deref())?);
            subjects.push(subject);
        }
        let header = Header {
            experiment: experiment.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dataset: dataset.describe(),
            pictures: dataset.len(),
            dataset_sha256: hex(&dataset.sha256()),
            networks,
            device: described_device(&device),
            precision: self.precision.name().to_owned(),
            composite: rules.composite.label().to_owned(),
            rules: rules.composite.to_string(),
            methods: ways.iter().map(|way| way.name().to_owned()).collect(),
            settings: self.methods.settings().into_iter().chain(settings).collect(),
            seed: self.seed,
            batch: self.run.batch,
        };
        Ok(Setup { dataset, subjects, ways, header })
    }

    fn explainer(
        &self,
        network: Network,
        device: Device,
        composite: Composite,
        preprocess: Preprocess,
        seed: u64,
    ) -> Result<Explainer> {
        Runner {
            network,
            device,
            composite,
            preprocess,
            batch: self.run.batch,
            seed,
            methods: Some(&self.methods),
        }
        .explainer()
    }

    /// An explainer for a second run at once, where the device is a GPU.
    fn second(&self, device: &Device, like: &Explainer) -> Result<Mutex<Option<Arc<Explainer>>>> {
        let second = || self.explainer_like(like, like.network().clone(), self.seed);
        let second = (!is_cpu(device)).then(second).transpose()?;
        Ok(Mutex::new(second.map(Arc::new)))
    }

    /// An explainer like another, of another network, with a seed of its own.
    pub(crate) fn explainer_like(
        &self,
        like: &Explainer,
        network: Network,
        seed: u64,
    ) -> Result<Explainer> {
        let (device, composite) = (like.device().clone(), like.composite().clone());
        self.explainer(network, device, composite, *like.preprocess(), seed)
    }

    /// The networks with the options that chose them.
    fn chosen(&self) -> Result<Vec<(Chosen, NetworkOptions)>> {
        let mut all = vec![self.network.clone().usual_for(&self.data)];
        for also in &self.also {
            let (model, weights) = also.split_once('=').unwrap_or((also, ""));
            all.push(NetworkOptions {
                model: Some(model.to_owned()),
                weights: (!weights.is_empty()).then(|| PathBuf::from(weights)),
                ..self.network.clone()
            });
        }
        let mut chosen: Vec<(Chosen, NetworkOptions)> = Vec::new();
        for options in all {
            let mut next = options.choose()?;
            let is_taken = |name: &str| chosen.iter().any(|(other, _)| other.name == name);
            if is_taken(&next.name)
                && let Some(file) = &next.weights
            {
                // The same layers with other weights.
                next.name = format!("{} ({})", next.name, stem(file));
            }
            if is_taken(&next.name) {
                return Err(Failure::Said(format!("network `{}` is given twice", next.name)));
            }
            chosen.push((next, options));
        }
        Ok(chosen)
    }
}

impl NetworkOptions {
    /// The bundled network for the built-in scenes, unless another is asked for.
    pub(crate) fn usual_for(self, data: &DatasetOptions) -> Self {
        match (&self.model, &self.weights) {
            (None, None) if data.is_digits() => Self { model: Some("digits".to_owned()), ..self },
            _ => self,
        }
    }
}

/// Refuses a preprocessing that makes inputs of several sizes.
pub(crate) fn check_one_size(preprocess: &Preprocess) -> Result<()> {
    match preprocess.mode {
        Mode::CenterCrop { .. } | Mode::Squash => Ok(()),
        Mode::ShortSide => Err(Failure::Said(
            "--preprocess short-side makes inputs of many sizes, expected one: center-crop or \
             squash"
                .to_owned(),
        )),
    }
}

/// What is said of a network in records.
fn described(subject: &Subject, weights: Option<&Path>) -> Result<NetworkHeader> {
    let (explainer, labels) = (&subject.explainer, &subject.labels);
    let weights_sha256 = match weights {
        Some(path) => sha256_of(path)?,
        None => {
            let mut bundled = Sha256::new();
            for weight in explainer.network().weights() {
                bundled.update(weight.name());
                let values = weight.values();
                (0..weight.len()).for_each(|i| bundled.update(values.get::<f64>(i).to_le_bytes()));
            }
            hex(&bundled.finalize())
        }
    };
    let mut names = Sha256::new();
    (0..labels.len()).for_each(|class| names.update(label(labels, class) + "\n"));
    Ok(NetworkHeader {
        name: subject.name.clone(),
        classes: explainer.network().graph().output_shape().len(),
        weights_sha256,
        labels_sha256: hex(&names.finalize()),
        preprocess: in_words(explainer.preprocess()),
    })
}

/// The SHA-256 of a file.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    Ok(hex(&Sha256::digest(&MappedFile::open(path).map_err(failed)?[..])))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn in_words(preprocess: &Preprocess) -> String {
    let Preprocess { mode, size: (height, width), mean, std } = preprocess;
    let how = match mode {
        Mode::CenterCrop { resize } => format!("short side {resize}, centre {height}x{width}"),
        Mode::Squash => format!("squashed to {height}x{width}"),
        Mode::ShortSide => format!("short side {}", height.min(width)),
    };
    format!("{how}, mean {mean:?}, deviation {std:?}")
}
