//! What runs programs. A backend cannot tell which network, rule or method it runs.

pub mod cpu;
mod device;
#[cfg(feature = "gpu")]
pub mod gpu;

pub use device::{Device, DeviceChoice};

use std::ops::Range;

use crate::error::Result;

/// Numbers for one of a program's inputs.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// For [`Element::Float`](crate::program::Element::Float).
    Float(&'a [f32]),
    /// For the same; only the reference backend keeps what 32 bit do not hold.
    Double(&'a [f64]),
    /// For [`Element::Index`](crate::program::Element::Index).
    Index(&'a [u32]),
}

/// Numbers of one of a program's outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Floats of a 32 bit backend.
    F32(Vec<f32>),
    /// Floats of the reference backend.
    F64(Vec<f64>),
    /// Indices.
    Index(Vec<u32>),
}

impl Output {
    /// The floats, rounded where they are wider; empty for indices.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Output::F32(values) => values.clone(),
            Output::F64(values) => values.iter().map(|&v| v as f32).collect(),
            Output::Index(_) => Vec::new(),
        }
    }

    /// The floats; empty for indices.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Output::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Output::F64(values) => values.clone(),
            Output::Index(_) => Vec::new(),
        }
    }

    /// Some of the floats; none for indices.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn part(&self, range: Range<usize>) -> Vec<f64> {
        match self {
            Output::F32(values) => values[range].iter().map(|&v| f64::from(v)).collect(),
            Output::F64(values) => values[range].to_vec(),
            Output::Index(_) => Vec::new(),
        }
    }

    /// The indices; empty for floats.
    pub fn indices(&self) -> &[u32] {
        match self {
            Output::Index(values) => values,
            Output::F32(_) | Output::F64(_) => &[],
        }
    }
}

/// Is told before each piece of work how many pieces are done, and of how many; an error ends the
/// run.
pub type Watch<'a> = dyn FnMut(usize, usize) -> Result<()> + 'a;

/// A program made ready on a device: memory taken, weights in place, pipelines built.
pub trait Session: Send {
    /// Runs the program once.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    ///
    /// # Panics
    /// If the inputs are not those of the program, in number, type and length.
    fn run(&mut self, inputs: &[Input<'_>]) -> Result<Vec<Output>> {
        self.run_watched(inputs, &mut |_, _| Ok(()))
    }

    /// [`run`](Self::run), and `watch` is told how far it is: step by step on the CPU, submission
    /// by submission on a GPU.
    ///
    /// # Errors
    /// As [`run`](Self::run), and what `watch` returns.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    fn run_watched(&mut self, inputs: &[Input<'_>], watch: &mut Watch<'_>) -> Result<Vec<Output>>;

    /// Runs the program once; what each step takes, in seconds: by the clock on the CPU, by the
    /// device's own on a GPU. None where that has none. Steps that are done together with one before
    /// take nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    fn step_times(&mut self, inputs: &[Input<'_>]) -> Result<Option<Vec<f64>>>;

    /// The session, if it is one of a GPU, which can keep results.
    #[cfg(feature = "gpu")]
    fn as_gpu(&mut self) -> Option<&mut gpu::GpuSession> {
        None
    }
}
