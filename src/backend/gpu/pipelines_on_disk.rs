//! Compiled kernels kept in a file from process to process, where the driver can do that.

use std::path::{Path, PathBuf};

use super::device::Device;
use crate::error::Result;
use crate::file::{read_file, write_file_atomically};

/// What wgpu keeps of the kernels that were compiled, and the file where that is kept.
pub(super) struct OnDisk {
    cache: wgpu::PipelineCache,
    file: PathBuf,
}

impl OnDisk {
    /// With what the folder holds for this adapter; none where its driver keeps nothing.
    pub(super) fn open(device: &Device, folder: &Path) -> Result<Option<Self>> {
        if !device.handle.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return Ok(None);
        }
        let Some(name) = wgpu::util::pipeline_cache_key(&device.handle.adapter_info()) else {
            return Ok(None);
        };
        let file = folder.join(name);
        // A cache that cannot be read is as good as none.
        let data = read_file(&file, MOST_BYTES, "a cache of kernels").ok();
        let cache = device.attempt(|| create(&device.handle, data.as_deref()))?;
        Ok(Some(Self { cache, file }))
    }

    pub(super) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file anew.
    pub(super) fn write(&self) {
        if let Some(data) = self.cache.get_data() {
            // A full disk, or a folder that may not be written, costs the next process some time, and
            // this one nothing.
            let _ = write_file_atomically(&self.file, &data);
        }
    }
}

/// Bytes that such a file has at most; kernels take some hundred thousand.
const MOST_BYTES: u64 = 256 << 20;

#[expect(unsafe_code, reason = "wgpu has it unsafe: see SAFETY")]
fn create(handle: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("clrp"), data, fallback: true };
    // SAFETY: the data were written by `OnDisk::write`; wgpu and the driver check that they belong to
    // this adapter and driver, and begin anew if not. Who may write the user's cache folder may do
    // worse than to mislead a driver.
    unsafe { handle.create_pipeline_cache(&descriptor) }
}
