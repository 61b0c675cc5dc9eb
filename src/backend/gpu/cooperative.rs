//! Cooperative matrices: products of small matrices that the invocations of a subgroup make together
//! ("tensor cores").

use super::adapter::AdapterInfo;
use super::device::Device;
use crate::error::{Error, Result};
use crate::kernels::Kernel;

/// What the kernels need to know of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cooperative {
    /// Invocations of a subgroup.
    subgroup: u32,
}

/// Rows and columns of the matrices.
const SIDE: u32 = 16;

/// Subgroups of a workgroup.
const SUBGROUPS: u32 = 4;

impl Cooperative {
    /// What a device is opened with.
    pub(super) const FEATURES: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        .union(wgpu::Features::SHADER_F16)
        .union(wgpu::Features::SUBGROUP);

    /// Those of an adapter.
    pub(super) fn of(adapter: &wgpu::Adapter, info: &AdapterInfo) -> Result<Self> {
        let without = |why: &str| Error::Unsupported {
            what: format!("precision fast on `{}`", info.name),
            why: why.to_owned(),
        };
        if !adapter.features().contains(Self::FEATURES) {
            return Err(without("its driver has no cooperative matrices of 16 bit"));
        }
        let half = wgpu::CooperativeScalarType::F16;
        let full = wgpu::CooperativeScalarType::F32;
        let suits = |p: &wgpu::CooperativeMatrixProperties| {
            [p.m_size, p.n_size, p.k_size] == [SIDE; 3] && p.ab_type == half && p.cr_type == full
        };
        // Mesa's llvmpipe lists those of 8x8 and makes all.
        if !adapter.cooperative_matrix_properties().iter().any(suits) && !info.is_software() {
            return Err(without("its cooperative matrices are not of 16x16 numbers"));
        }
        let found = adapter.get_info();
        if found.subgroup_min_size != found.subgroup_max_size {
            return Err(without("its subgroups are not all of one size"));
        }
        let subgroup = found.subgroup_min_size;
        if SUBGROUPS * subgroup > adapter.limits().max_compute_invocations_per_workgroup {
            return Err(without("its workgroups have no room for four subgroups"));
        }
        Ok(Self { subgroup })
    }

    /// What wgpu asks of those who use what is experimental.
    #[expect(unsafe_code, reason = "wgpu has it unsafe: see SAFETY")]
    pub(super) fn token() -> wgpu::ExperimentalFeatures {
        // SAFETY: it acknowledges that the feature may have bugs. Nothing but this library's own
        // shaders uses it, and only for who asks for it.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    }

    /// The invocations of a workgroup that runs the kernel.
    pub(super) fn lanes_on(device: &Device, kernel: &Kernel) -> Result<u32> {
        match device.cooperative {
            Some(Self { subgroup }) => Ok(SUBGROUPS * subgroup),
            None => Err(Error::Unsupported {
                what: format!("kernel `{}` on `{}`", kernel.name, device.info.name),
                why: "the GPU was not opened for cooperative matrices".to_owned(),
            }),
        }
    }
}
