//! Compiled kernels kept in a file from process to process, where the driver can do that.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::device::Device;
use crate::file::{read_file, write_file_atomically};

/// What wgpu keeps of the kernels that were compiled, and the file where that is kept.
pub(super) struct OnDisk {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    /// The hash of what the file holds.
    written: Mutex<Option<u64>>,
}

impl OnDisk {
    /// With what the folder holds for this adapter; none where its driver keeps nothing.
    pub(super) fn open(device: &Device, folder: &Path) -> Option<Self> {
        if !device.handle.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = folder.join(wgpu::util::pipeline_cache_key(&device.handle.adapter_info())?);
        let found = read(&file);
        let with = |data: Option<&[u8]>| device.watch(|| create(&device.handle, data)).ok();
        // wgpu may refuse what another driver has written: then it begins anew.
        let (cache, written) = match found.and_then(|(hash, data)| Some((with(Some(&data))?, hash)))
        {
            Some((cache, hash)) => (cache, Some(hash)),
            None => (with(None)?, None),
        };
        Some(Self { cache, file, written: Mutex::new(written) })
    }

    pub(super) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file anew if there is something new.
    pub(super) fn write(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let hash = hash(&data);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.replace(hash) != Some(hash) {
            let bytes = [hash.to_le_bytes().as_slice(), &data].concat();
            // A full disk, or a folder that may not be written, costs the next process some time, and
            // this one nothing.
            let _ = write_file_atomically(&self.file, &bytes);
        }
    }
}

/// Bytes that such a file has at most; kernels take some hundred thousand.
const MOST_BYTES: u64 = 256 << 20;

/// What a file holds, and its hash, which stands before it; nothing if that is another one.
fn read(file: &Path) -> Option<(u64, Vec<u8>)> {
    // A cache that cannot be read is as good as none.
    let mut bytes = read_file(file, MOST_BYTES, "a cache of kernels").ok()?;
    let data = bytes.split_off(bytes.len().min(size_of::<u64>()));
    let written = u64::from_le_bytes(bytes.try_into().ok()?);
    (written == hash(&data)).then_some((written, data))
}

fn hash(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(data);
    hasher.finish()
}

#[expect(unsafe_code, reason = "wgpu has it unsafe: see SAFETY")]
fn create(handle: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("clrp"), data, fallback: true };
    // SAFETY: the data are what `OnDisk::write` has written, as their hash says; wgpu and the driver
    // check that they belong to this adapter and driver. `Gpu::keep_kernels` wants a folder that nobody
    // else writes.
    unsafe { handle.create_pipeline_cache(&descriptor) }
}
