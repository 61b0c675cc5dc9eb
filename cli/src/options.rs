//! Options that several subcommands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clrp::backend::{Device, DeviceChoice};
use clrp::image::{Mode, Preprocess};
use clrp::models::BuildOptions;

use crate::failure::{Failure, Result};
use crate::known::Known;

/// Pictures, and how they are brought to the network.
#[derive(Debug, Args)]
pub(crate) struct PictureOptions {
    /// Pictures (JPEG, PNG, WebP), or .npy files (float32, (3,H,W) or (1,3,H,W), normalised)
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<PathBuf>,

    /// How pictures are brought to the network's size; as it was trained unless given
    #[arg(long, value_name = "HOW")]
    pub(crate) preprocess: Option<Shaping>,

    /// Pictures that run at once, at most
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) batch: usize,
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

impl PictureOptions {
    /// The network's own preprocessing, with the shaping that was asked for.
    pub(crate) fn preprocess(&self, own: Preprocess) -> Preprocess {
        let mode = match (self.preprocess, own.mode) {
            (None, mode) | (Some(Shaping::CenterCrop), mode @ Mode::CenterCrop { .. }) => mode,
            (Some(Shaping::CenterCrop), Mode::Squash | Mode::ShortSide) => {
                Mode::CenterCrop { resize: own.size.0.max(own.size.1) }
            }
            (Some(Shaping::Squash), _) => Mode::Squash,
            (Some(Shaping::ShortSide), _) => Mode::ShortSide,
        };
        Preprocess { mode, ..own }
    }
}

/// Which network.
#[derive(Debug, Args)]
pub(crate) struct NetworkOptions {
    /// The network; guessed from the name of the weight file unless given
    #[arg(long, value_name = "NAME", value_parser = Known::MODELS, hide_possible_values = true)]
    pub(crate) model: Option<String>,

    /// Its weights: safetensors under torchvision's names; `digits` needs none
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,

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

/// Where to run.
#[derive(Debug, Args)]
pub(crate) struct DeviceOptions {
    /// auto (a real GPU, else the CPU), cpu, gpu, or a part of a GPU's name, as `llvmpipe`
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = Known::DEVICES,
        hide_possible_values = true)]
    pub(crate) device: String,
}

impl DeviceOptions {
    /// Opens the device.
    pub(crate) fn open(&self, precision: Precision) -> Result<Device> {
        // It never fails: what is no keyword is a part of a name.
        let choice = self.device.parse().unwrap_or(DeviceChoice::Auto);
        let choice = match (precision, choice) {
            (Precision::F32, choice) => choice,
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
        Ok(Device::open(&choice)?)
    }
}

/// Width of numbers on the CPU.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Precision {
    /// 32 bit
    #[default]
    F32,
    /// 64 bit: the reference, on the CPU only
    F64,
}
