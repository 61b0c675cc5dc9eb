//! Options that several subcommands share.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use clrp::backend::{Device, DeviceChoice};
use clrp::image::{Mode, Preprocess};
use clrp::methods::Quadrature;
use clrp::models::BuildOptions;
use clrp::program::Upsampling;
use clrp::rules::{BatchNorm, PRESETS, Rule, Selector};
use clrp::{ExplainerBuilder, Method, Sampling};

use crate::composites::{self, Rules};
use crate::failure::{Failure, Result};
use crate::known::Known;

/// Pictures, and how they are brought to the network.
#[derive(Debug, Args)]
pub(crate) struct PictureOptions {
    /// Pictures (JPEG, PNG, WebP), or .npy files (float32, (3,H,W) or (1,3,H,W), normalised)
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) shaping: ShapingOptions,

    /// Pictures that run at once, at most
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) batch: usize,
}

/// How pictures are brought to the network.
#[derive(Debug, Args)]
pub(crate) struct ShapingOptions {
    /// How pictures are brought to the network's size; as it was trained unless given
    #[arg(long, value_name = "HOW")]
    preprocess: Option<Shaping>,

    /// Mean of red, green and blue, where white is 1; as the network was trained, or ImageNet's
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    mean: Option<[f32; 3]>,

    /// Standard deviation of red, green and blue
    #[arg(long, value_name = "R,G,B", value_parser = three)]
    std: Option<[f32; 3]>,
}

/// How pictures are brought to the network's size.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shaping {
    /// The short side is resized, then the centre is cut out
    CenterCrop,
    /// Both sides are resized, whatever that does to the proportions
    Squash,
    /// The short side is resized, nothing is cut off
    ShortSide,
}

impl ShapingOptions {
    /// The network's own preprocessing, with the changes that were asked for, `size` among them.
    pub(crate) fn preprocess(&self, own: Preprocess, size: Option<[u32; 2]>) -> Preprocess {
        let own = size.map_or(own, |size| resized(own, size));
        let mode = match (self.preprocess, own.mode) {
            (None, mode) | (Some(Shaping::CenterCrop), mode @ Mode::CenterCrop { .. }) => mode,
            (Some(Shaping::CenterCrop), Mode::Squash | Mode::ShortSide) => {
                Mode::CenterCrop { resize: own.size.0.max(own.size.1) }
            }
            (Some(Shaping::Squash), _) => Mode::Squash,
            (Some(Shaping::ShortSide), _) => Mode::ShortSide,
        };
        let (mean, std) = (self.mean.unwrap_or(own.mean), self.std.unwrap_or(own.std));
        Preprocess { mode, mean, std, ..own }
    }
}

/// For another size; what is cut off stays the same share.
fn resized(own: Preprocess, [height, width]: [u32; 2]) -> Preprocess {
    let mode = match own.mode {
        Mode::CenterCrop { resize } => {
            let (old, new) = (own.size.0.max(own.size.1), height.max(width));
            let resize = u64::from(resize) * u64::from(new) / u64::from(old.max(1));
            Mode::CenterCrop { resize: u32::try_from(resize).unwrap_or(u32::MAX) }
        }
        mode @ (Mode::Squash | Mode::ShortSide) => mode,
    };
    Preprocess { mode, size: (height, width), ..own }
}

/// `224` or `224x320`.
pub(crate) fn size(text: &str) -> Result<[u32; 2], String> {
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    match (height.parse(), width.parse()) {
        (Ok(height @ 2..=16_384), Ok(width @ 2..=16_384)) => Ok([height, width]),
        _ => Err("expected a number, or HxW, from 2 to 16384".to_owned()),
    }
}

/// A number of things of which there must be one.
pub(crate) fn positive<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number >= T::from(1));
    number.ok_or_else(|| "expected a number of at least 1".to_owned())
}

/// `0.485,0.456,0.406`.
fn three(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    numbers.ok_or_else(|| "expected three numbers with commas between".to_owned())
}

/// Which network.
#[derive(Clone, Debug, Args)]
pub(crate) struct NetworkOptions {
    /// The network, or an ONNX file; guessed from the name of the weight file unless given
    #[arg(long, value_name = "NAME", value_parser = Known::MODELS, hide_possible_values = true)]
    pub(crate) model: Option<String>,

    /// Its weights: safetensors or a PyTorch checkpoint (.pth) under torchvision's names, or an
    /// ONNX file; fetched if it is one of torchvision's, and left out
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

    /// The size that pictures are brought to: rows and columns, or one number for both; as the
    /// network was trained unless given
    #[arg(long, value_name = "HxW", value_parser = size)]
    pub(crate) size: Option<[u32; 2]>,

    /// Names of the classes, in order: a text file with a line for each (after the WordNet id, if
    /// it has them), or a JSON list or object of them; as the network has them unless given
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,

    /// Fetch nothing
    #[arg(long)]
    pub(crate) offline: bool,

    /// ONNX: the output whose scores are explained; the first unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) output_name: Option<String>,

    /// GoogLeNet, Inception v3: whether the network brings normalised pictures to -1..1 first;
    /// true unless given, as for torchvision's weights
    #[arg(long, value_name = "BOOL")]
    pub(crate) transform_input: Option<bool>,

    /// ResNets with bottlenecks: stride 2 stands in conv1 (v1), as weights converted from Caffe
    /// want it, not in conv2 (torchvision)
    #[arg(long)]
    pub(crate) stride_in_1x1: bool,
}

impl NetworkOptions {
    /// What is chosen about the layers.
    pub(crate) fn layers(&self) -> BuildOptions {
        let (transform_input, stride_in_1x1) = (self.transform_input, self.stride_in_1x1);
        BuildOptions { transform_input, stride_in_1x1 }
    }
}

/// How relevance goes down.
#[derive(Debug, Args)]
pub(crate) struct RuleOptions {
    /// The rules of relevance: a preset, or a TOML file with rules of your own
    #[arg(long, value_name = "NAME", default_value = "contrastive",
        value_parser = Known::COMPOSITES)]
    composite: String,

    /// A rule for layers, before those of the composite, as features.0=z-box, conv=gamma:0.25,
    /// first-conv=flat, linear=epsilon:1e-6, 'features.*=flat', avg-pool=even or add=norm; may be
    /// repeated
    #[arg(long, value_name = "LAYERS=RULE", value_parser = composites::rule)]
    rule: Vec<(Selector, Rule)>,

    /// What is added to denominators, with their sign; as the composite has it unless given
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true,
        value_parser = composites::stabilizer)]
    stabilizer: Option<f32>,

    /// Whether biases take part in denominators; as the composite has it unless given
    #[arg(long, value_name = "BOOL")]
    bias: Option<bool>,

    /// What becomes of batch norm: passed as it is, or folded into the convolution beside it first;
    /// one that has none beside it, as many in a DenseNet, is passed all the same; as the composite
    /// has it unless given
    #[arg(long, value_name = "HOW")]
    batch_norm: Option<BatchNormOption>,
}

/// What becomes of batch norm.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BatchNormOption {
    /// Relevance passes it as it is
    Bypass,
    /// It is folded into the convolution beside it
    Fold,
}

impl RuleOptions {
    /// Refuses options of rules where no method follows any.
    pub(crate) fn check(&self, methods: &[Method]) -> Result<()> {
        let given = [
            ("rule", !self.rule.is_empty()),
            ("stabilizer", self.stabilizer.is_some()),
            ("bias", self.bias.is_some()),
            ("composite", self.composite != PRESETS[0]),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) if !methods.iter().any(|method| method.follows_composite()) => {
                Err(Failure::Said(format!(
                    "--{option} is for methods that follow a composite, as lrp or clrp1; none is \
                     asked for"
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The rules that were asked for.
    pub(crate) fn read(&self) -> Result<Rules> {
        let mut rules = composites::named(&self.composite)?.with_options(&self.rule);
        let mut composite = rules.composite;
        if let Some(stabilizer) = self.stabilizer {
            composite = composite.with_stabilizer(stabilizer);
        }
        if let Some(bias) = self.bias {
            composite = composite.with_bias(bias);
        }
        rules.composite = match self.batch_norm {
            None => composite,
            Some(BatchNormOption::Bypass) => composite.with_batch_norm(BatchNorm::Bypass),
            Some(BatchNormOption::Fold) => composite.with_batch_norm(BatchNorm::Fold),
        };
        Ok(rules)
    }
}

/// The numbers of methods that have any.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of single methods")]
pub(crate) struct MethodOptions {
    /// smoothgrad: noisy pictures
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    samples: Option<usize>,

    /// smoothgrad: standard deviation of the noise, as a share of the picture's range
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    noise: Option<f64>,

    /// integrated-gradients: steps (20 unless given; 50 for integrated-gradients-gauss)
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    steps: Option<usize>,

    /// occlusion: rows and columns of the window
    #[arg(long, value_name = "HxW", value_parser = pair)]
    window: Option<[usize; 2]>,

    /// occlusion: rows and columns from window to window
    #[arg(long, value_name = "HxW", value_parser = pair)]
    stride: Option<[usize; 2]>,

    /// rise: masks
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    masks: Option<usize>,

    /// rise: cells of a mask in each direction
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    cells: Option<usize>,

    /// grad-cam: the layer it looks at; unless given, the nearest below the target with positions
    /// through which everything goes that the target is made of
    #[arg(long, value_name = "LAYER")]
    cam_layer: Option<String>,

    /// grad-cam: how its plane is brought to the picture's size; bilinear unless given
    #[arg(long, value_name = "HOW")]
    cam_upsampling: Option<UpsamplingOption>,
}

/// How a plane is brought to the picture's size.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UpsamplingOption {
    /// Between the nearest cells, as pytorch-grad-cam does
    Bilinear,
    /// The nearest cell, as Captum does
    Nearest,
}

/// Methods that options are for.
#[derive(Clone, Copy, Debug)]
enum Of {
    SmoothGrad,
    IntegratedGradients,
    Occlusion,
    Rise,
    GradCam,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Of::SmoothGrad => "smoothgrad",
            Of::IntegratedGradients => "integrated-gradients",
            Of::Occlusion => "occlusion",
            Of::Rise => "rise",
            Of::GradCam => "grad-cam",
        }
    }

    fn has(self, method: Method) -> bool {
        match self {
            Of::SmoothGrad => matches!(method, Method::SmoothGrad(_)),
            Of::IntegratedGradients => matches!(method, Method::IntegratedGradients(_)),
            Of::Occlusion => method == Method::Occlusion,
            Of::Rise => method == Method::Rise,
            Of::GradCam => matches!(method, Method::GradCam | Method::GuidedGradCam),
        }
    }
}

impl MethodOptions {
    /// Refuses an option of methods that are not asked for.
    pub(crate) fn check(&self, methods: &[Method]) -> Result<()> {
        let is_used = |(_, _, of): &(_, _, Of)| methods.iter().any(|method| of.has(*method));
        match self.given().into_iter().find(|given| !is_used(given)) {
            None => Ok(()),
            Some((option, _, of)) => Err(Failure::Said(format!(
                "--{option} is for the method {}, which is not asked for",
                of.name()
            ))),
        }
    }

    /// The options that are given, with their values, by name.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let given = self.given().into_iter();
        given.map(|(option, value, _)| (option.to_owned(), value)).collect()
    }

    /// The numbers that decide the maps of these methods, given or not, by their options' names.
    pub(crate) fn numbers(&self, methods: &[Method]) -> BTreeMap<&'static str, String> {
        let Sampling { noisy, noise, riemann, gauss, window, stride, masks, cells, keep } =
            self.sampling();
        let is_path = |quadrature| Method::IntegratedGradients(quadrature);
        let paths = [(Quadrature::Riemann, riemann), (Quadrature::GaussLegendre, gauss)];
        let steps = paths.into_iter().filter(|(kind, _)| methods.contains(&is_path(*kind)));
        let steps: Vec<String> = steps.map(|(_, steps)| steps.to_string()).collect();
        let pair = |[rows, columns]: [usize; 2]| format!("{rows}x{columns}");
        let upsampling = match self.upsampling() {
            Upsampling::Bilinear => "bilinear",
            Upsampling::Nearest => "nearest",
        };
        let all = [
            ("samples", noisy.to_string(), Of::SmoothGrad),
            ("noise", noise.to_string(), Of::SmoothGrad),
            ("steps", steps.join(","), Of::IntegratedGradients),
            ("window", pair(window), Of::Occlusion),
            ("stride", pair(stride), Of::Occlusion),
            ("masks", masks.to_string(), Of::Rise),
            ("cells", cells.to_string(), Of::Rise),
            ("keep", keep.to_string(), Of::Rise),
            ("cam-upsampling", upsampling.to_owned(), Of::GradCam),
        ];
        let is_used = |of: Of| methods.iter().any(|method| of.has(*method));
        let used = all.into_iter().filter(|(_, _, of)| is_used(*of));
        used.map(|(name, value, _)| (name, value)).collect()
    }

    /// The names of the options that are given, their values, and the methods that they are for.
    fn given(&self) -> Vec<(&'static str, String, Of)> {
        fn text(value: &Option<impl Debug>) -> Option<String> {
            value.as_ref().map(|value| format!("{value:?}"))
        }
        let all = [
            ("samples", text(&self.samples), Of::SmoothGrad),
            ("noise", text(&self.noise), Of::SmoothGrad),
            ("steps", text(&self.steps), Of::IntegratedGradients),
            ("window", text(&self.window), Of::Occlusion),
            ("stride", text(&self.stride), Of::Occlusion),
            ("masks", text(&self.masks), Of::Rise),
            ("cells", text(&self.cells), Of::Rise),
            ("cam-layer", self.cam_layer.clone(), Of::GradCam),
            ("cam-upsampling", text(&self.cam_upsampling), Of::GradCam),
        ];
        let given = all.into_iter().filter_map(|(name, value, of)| Some((name, value?, of)));
        given.collect()
    }

    fn sampling(&self) -> Sampling {
        let own = Sampling::default();
        Sampling {
            noisy: self.samples.unwrap_or(own.noisy),
            noise: self.noise.unwrap_or(own.noise),
            riemann: self.steps.unwrap_or(own.riemann),
            gauss: self.steps.unwrap_or(own.gauss),
            window: self.window.unwrap_or(own.window),
            stride: self.stride.unwrap_or(own.stride),
            masks: self.masks.unwrap_or(own.masks),
            cells: self.cells.unwrap_or(own.cells),
            ..own
        }
    }

    fn upsampling(&self) -> Upsampling {
        match self.cam_upsampling {
            None => Upsampling::default(),
            Some(UpsamplingOption::Bilinear) => Upsampling::Bilinear,
            Some(UpsamplingOption::Nearest) => Upsampling::Nearest,
        }
    }

    /// An explainer's builder with these numbers.
    pub(crate) fn apply(&self, builder: ExplainerBuilder) -> ExplainerBuilder {
        let builder = builder.sampling(self.sampling()).upsampling(self.upsampling());
        match &self.cam_layer {
            Some(layer) => builder.cam_layer(layer),
            None => builder,
        }
    }
}

/// `16` or `16x32`.
fn pair(text: &str) -> Result<[usize; 2], String> {
    let (rows, columns) = text.split_once('x').unwrap_or((text, text));
    match (rows.parse(), columns.parse()) {
        (Ok(rows @ 1..), Ok(columns @ 1..)) => Ok([rows, columns]),
        _ => Err("expected a number, or HxW, from 1".to_owned()),
    }
}

/// Where to run.
#[derive(Debug, Args)]
pub(crate) struct DeviceOptions {
    /// auto (a real GPU, else the CPU), cpu, gpu, or a part of a GPU's name, as `llvmpipe`
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = Known::DEVICES,
        hide_possible_values = true)]
    pub(crate) device: String,
}

/// Pictures that pay for copies of matrices: one takes 2 ms less of AlexNet's time, the copies 160.
const MANY: usize = 80;

impl DeviceOptions {
    /// Opens the device.
    pub(crate) fn open(&self, precision: Precision) -> Result<Device> {
        // It never fails: what is no keyword is a part of a name.
        let choice = self.device.parse().unwrap_or(DeviceChoice::Auto);
        let choice = match (precision, choice) {
            (Precision::F32, choice) => choice,
            (Precision::Fast, choice) => return Ok(tuned(Device::open_fast(&choice)?)),
            (Precision::F64, DeviceChoice::Auto | DeviceChoice::Cpu | DeviceChoice::CpuF64) => {
                DeviceChoice::CpuF64
            }
            (Precision::F64, DeviceChoice::Gpu | DeviceChoice::Named(_)) => {
                let device = &self.device;
                return Err(Failure::Said(format!(
                    "precision f64 is for the CPU only, not for device `{device}`"
                )));
            }
        };
        Ok(tuned(Device::open(&choice)?))
    }

    /// Opens the device for so many pictures: nothing is made that only more pay for.
    pub(crate) fn open_for(&self, precision: Precision, pictures: usize) -> Result<Device> {
        let device = self.open(precision)?;
        if let Device::Cpu(cpu) = device {
            return Ok(Device::Cpu(cpu.columns(pictures >= MANY)));
        }
        Ok(device)
    }
}

/// A GPU as it was measured, which keeps what it compiles.
#[cfg(feature = "gpu")]
fn tuned(device: Device) -> Device {
    if let Device::Gpu(gpu) = &device {
        return Device::Gpu(crate::tuning::tuned(gpu.clone()));
    }
    device
}

#[cfg(not(feature = "gpu"))]
fn tuned(device: Device) -> Device {
    device
}

/// How precisely is computed.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Precision {
    /// 32 bit
    #[default]
    F32,
    /// 64 bit: the reference, on the CPU only
    F64,
    /// 16 bit where that costs little, summed in 32, by a GPU's cooperative matrices
    Fast,
}

impl Precision {
    /// The name in records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F64 => "f64",
            Precision::Fast => "fast",
        }
    }
}
