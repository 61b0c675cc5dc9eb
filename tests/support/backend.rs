//! The backends that tests run on.

use clrp::backend::cpu::Cpu;
use clrp::backend::{Device, DeviceChoice, Input, Output};
use clrp::kernels::Call;
use clrp::program::Program;

/// A device with the name that failures tell.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) device: Device,
    /// Whether it runs without variants of kernels, joined steps and the like; on a GPU with checks.
    pub(crate) is_plain: bool,
}

impl Backend {
    fn open(choice: &DeviceChoice) -> Self {
        let device = Device::open(choice).expect("there is always a CPU");
        Self { name: device.name(), device, is_plain: false }
    }

    /// Whether this is the f64 reference.
    pub(crate) fn is_reference(&self) -> bool {
        matches!(self.device, Device::CpuF64(_))
    }

    /// The tolerance for this backend's precision.
    pub(crate) fn of_precision(&self, f64: f64, f32: f64) -> f64 {
        if self.is_reference() { f64 } else { f32 }
    }

    /// The same if it is a GPU, but that no tiles are shared, and that they are large where they can be.
    pub(crate) fn with_whole_tiles(&self) -> Option<Self> {
        let device = gpu::sharing(&self.device, false)?;
        Some(Self { name: format!("{}, whole tiles", self.name), device, ..*self })
    }

    /// Whether it can run such a kernel: GPUs need cooperative matrices for some.
    pub(crate) fn takes(&self, call: &Call) -> bool {
        let is_cpu = matches!(self.device, Device::Cpu(_) | Device::CpuF64(_));
        is_cpu || !call.cooperates() || self.device.limits().cooperative
    }

    /// Runs a program once.
    pub(crate) fn run(&self, program: &Program, inputs: &[Input<'_>]) -> Vec<Output> {
        let session = self.device.prepare(program);
        let mut session = session.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        session.run(inputs).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// The CPU in 64 bit, which all others are held against.
pub(crate) fn reference() -> Backend {
    Backend::open(&DeviceChoice::CpuF64)
}

/// Every backend, the reference first.
///
/// # Panics
/// If there is no GPU, not even a software one, and `CLRP_REQUIRE_GPU` is 1.
pub(crate) fn backends() -> Vec<Backend> {
    let plain = Backend {
        name: "cpu, plain".to_owned(),
        device: Device::Cpu(Cpu::new().variants(false)),
        is_plain: true,
    };
    let mut backends = vec![reference(), Backend::open(&DeviceChoice::Cpu), plain];
    backends.extend(gpu::backends());
    backends
}

/// A GPU that multiplies by cooperative matrices; tells once if there is none.
///
/// # Panics
/// If there is none, and `CLRP_REQUIRE_FAST` is 1.
pub(crate) fn fast() -> Option<Backend> {
    static TOLD: std::sync::Once = std::sync::Once::new();
    let choices = [DeviceChoice::Gpu, DeviceChoice::Named("llvmpipe".to_owned())];
    let mut why = String::new();
    for choice in choices {
        match Device::open_fast(&choice) {
            Ok(device) => {
                let name = format!("{}, fast", device.name());
                let device = gpu::sharing(&device, true).expect("it is a GPU's");
                return Some(Backend { name, device, is_plain: false });
            }
            Err(error) => why = error.to_string(),
        }
    }
    let required = std::env::var("CLRP_REQUIRE_FAST").is_ok_and(|value| value == "1");
    assert!(!required, "CLRP_REQUIRE_FAST is 1: {why}");
    TOLD.call_once(|| say(&format!("tests of precision fast are left out: {why}")));
    None
}

/// Tells once that GPU tests are left out.
fn leave_gpu_out(why: &str) {
    static TOLD: std::sync::Once = std::sync::Once::new();
    let required = std::env::var("CLRP_REQUIRE_GPU").is_ok_and(|value| value == "1");
    assert!(!required, "CLRP_REQUIRE_GPU is 1: {why}");
    TOLD.call_once(|| say(&format!("GPU tests are left out: {why}")));
}

/// Prints past the harness, which hides what passing tests print.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    // There is nobody to tell if this fails.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(feature = "gpu")]
mod gpu {
    use std::sync::OnceLock;

    use clrp::Error;
    use clrp::backend::Device;
    use clrp::backend::gpu::{Choice, Gpu};

    use super::Backend;

    /// A real GPU, else Mesa's software one: with unchecked kernels, as they are used, but that tiles
    /// are shared wherever they can be, and with checked ones, of which none is for some shapes only.
    pub(super) fn backends() -> Vec<Backend> {
        static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
        let Some(gpu) = GPU.get_or_init(open) else {
            super::leave_gpu_out("no adapter");
            return Vec::new();
        };
        let of = |checked: bool| Backend {
            name: format!("{}, {}", gpu.name(), if checked { "checked" } else { "unchecked" }),
            device: Device::Gpu(gpu.clone().checked(checked).variants(!checked).busy(MANY)),
            is_plain: checked,
        };
        vec![of(true), of(false)]
    }

    /// More workgroups than any of the tests' convolutions has.
    const MANY: u32 = 4096;

    /// The device with tiles shared wherever they can be, or nowhere, but large.
    pub(super) fn sharing(device: &Device, shares: bool) -> Option<Device> {
        let busy = if shares { MANY } else { 1 };
        if let Device::Gpu(gpu) = device {
            return Some(Device::Gpu(gpu.clone().busy(busy).large_tiles(!shares)));
        }
        None
    }

    fn open() -> Option<Gpu> {
        let software = || Gpu::open(&Choice::Named("llvmpipe".to_owned()));
        let opened = match Gpu::open(&Choice::Real) {
            Err(Error::NoAdapter { .. }) => software(),
            other => other,
        };
        match opened {
            Ok(gpu) => Some(gpu),
            Err(Error::NoAdapter { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(not(feature = "gpu"))]
mod gpu {
    pub(super) fn backends() -> Vec<super::Backend> {
        super::leave_gpu_out("this build is without the feature `gpu`");
        Vec::new()
    }

    pub(super) fn sharing(_: &super::Device, _: bool) -> Option<super::Device> {
        None
    }
}
