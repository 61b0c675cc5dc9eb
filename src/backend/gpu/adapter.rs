//! Which GPU: the adapters of this machine and the choice among them.

use std::fmt;

use crate::error::{Error, Result};

/// What an adapter is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the CPU's memory.
    Integrated,
    /// A GPU lent to a virtual machine.
    Virtual,
    /// Something the driver does not name.
    Other,
    /// The CPU posing as a GPU: right, and too slow for anything but tests.
    Software,
}

impl Kind {
    /// Workgroups that keep such an adapter busy, or about as many: two for each multiprocessor of a
    /// large GPU; software runs them one after the other.
    pub(super) const fn busy(self) -> u32 {
        match self {
            Kind::Discrete | Kind::Virtual => 256,
            Kind::Integrated | Kind::Other => 32,
            Kind::Software => 1,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Discrete => "discrete",
            Kind::Integrated => "integrated",
            Kind::Virtual => "virtual",
            Kind::Other => "other",
            Kind::Software => "software",
        })
    }
}

/// An adapter, as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The adapter's name.
    pub name: String,
    /// `Vulkan`, `Metal` or `Dx12`.
    pub backend: String,
    /// What it is made of.
    pub kind: Kind,
    /// The driver's name and version; empty where the backend does not tell.
    pub driver: String,
}

/// Parts of the names of adapters that run on the CPU, whatever kind their driver claims.
const SOFTWARE: &[&str] =
    &["llvmpipe", "lavapipe", "softpipe", "swiftshader", "warp", "basic render"];

impl AdapterInfo {
    pub(super) fn new(info: &wgpu::AdapterInfo) -> Self {
        let driver = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
        let names = format!("{} {driver}", info.name).to_lowercase();
        let kind = match info.device_type {
            _ if SOFTWARE.iter().any(|software| names.contains(software)) => Kind::Software,
            wgpu::DeviceType::DiscreteGpu => Kind::Discrete,
            wgpu::DeviceType::IntegratedGpu => Kind::Integrated,
            wgpu::DeviceType::VirtualGpu => Kind::Virtual,
            wgpu::DeviceType::Other => Kind::Other,
            wgpu::DeviceType::Cpu => Kind::Software,
        };
        Self { name: info.name.clone(), backend: format!("{:?}", info.backend), kind, driver }
    }

    /// Whether the CPU poses as this GPU.
    pub fn is_software(&self) -> bool {
        self.kind == Kind::Software
    }
}

impl fmt::Display for AdapterInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}, {})", self.name, self.backend, self.kind)
    }
}

/// Which adapter to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// A GPU and not the CPU posing as one: discrete ones first, then integrated ones.
    #[default]
    Real,
    /// The adapter with this in its name, or else in its driver's; upper and lower case are the
    /// same. Real ones first; software only if nothing else has the name.
    Named(String),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Real => f.write_str("GPU"),
            Choice::Named(name) => write!(f, "GPU named `{name}`"),
        }
    }
}

impl Choice {
    /// Indices of the adapters that suit, best first; there is at least one.
    pub(super) fn candidates(&self, adapters: &[AdapterInfo]) -> Result<Vec<usize>> {
        let having = |suits: &dyn Fn(&AdapterInfo) -> bool| {
            let mut found: Vec<usize> =
                (0..adapters.len()).filter(|&i| suits(&adapters[i])).collect();
            if found.iter().any(|&i| !adapters[i].is_software()) {
                found.retain(|&i| !adapters[i].is_software());
            }
            // Stable: Vulkan stays before DX12 for the same GPU.
            found.sort_by_key(|&i| adapters[i].kind as usize);
            found
        };
        let found = match self {
            Choice::Real => having(&|adapter| !adapter.is_software()),
            Choice::Named(name) => {
                let name = name.trim().to_lowercase();
                let named = |text: &str| !name.is_empty() && text.to_lowercase().contains(&name);
                let mut found = having(&|adapter| named(&adapter.name));
                if found.is_empty() {
                    found = having(&|adapter| named(&adapter.driver));
                }
                found
            }
        };
        if found.is_empty() {
            let names: Vec<String> = adapters.iter().map(AdapterInfo::to_string).collect();
            let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(Error::NoAdapter { wanted: self.to_string(), available });
        }
        Ok(found)
    }
}

/// The backends this library is built for; OpenGL's compute shaders are not among them.
const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// All adapters of this machine; none where no driver is installed.
pub(super) async fn all() -> Vec<wgpu::Adapter> {
    if wgpu::Instance::enabled_backend_features().intersection(BACKENDS).is_empty() {
        return Vec::new();
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: BACKENDS,
        // Validation layers only where WGPU_VALIDATION and its like ask for them.
        flags: wgpu::InstanceFlags::empty().with_env(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    instance.enumerate_adapters(BACKENDS).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, device_type: wgpu::DeviceType, driver: &str) -> AdapterInfo {
        let info = wgpu::AdapterInfo::new(device_type, wgpu::Backend::Vulkan);
        AdapterInfo::new(&wgpu::AdapterInfo { name: name.into(), driver: driver.into(), ..info })
    }

    fn machine() -> [AdapterInfo; 4] {
        use wgpu::DeviceType as D;
        [
            adapter("llvmpipe (LLVM 19.1.7, 256 bits)", D::Cpu, "llvmpipe"),
            adapter("Intel(R) UHD Graphics 770", D::IntegratedGpu, "Intel open-source Mesa driver"),
            adapter("Microsoft Basic Render Driver", D::Other, ""),
            adapter("NVIDIA GeForce RTX 3060", D::DiscreteGpu, "NVIDIA"),
        ]
    }

    #[test]
    fn a_real_gpu_is_never_the_cpu() {
        assert_eq!(Choice::Real.candidates(&machine()).unwrap(), [3, 1]);
        let error = Choice::Real.candidates(&machine()[..1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no GPU was found; available: `llvmpipe (LLVM 19.1.7, 256 bits)` (Vulkan, software)"
        );
    }

    #[test]
    fn a_name_finds_software_too() {
        let named = |name: &str| Choice::Named(name.to_owned()).candidates(&machine()).ok();
        assert_eq!(named("LLVMPIPE"), Some(vec![0]));
        assert_eq!(named("geforce"), Some(vec![3]));
        assert_eq!(named("mesa"), Some(vec![1]));
        assert_eq!(named("radeon"), None);
        assert_eq!(named(" "), None);
    }

    #[test]
    fn a_machine_without_drivers_says_so() {
        let error = Choice::Named("arc".to_owned()).candidates(&[]).unwrap_err();
        assert_eq!(error.to_string(), "no GPU named `arc` was found; available: none");
    }
}
