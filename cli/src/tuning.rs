//! What is kept of GPUs from run to run, in the user's cache folder: compiled kernels, and what suits
//! them.

use std::fs;
use std::path::PathBuf;

use clrp::backend::gpu::{AdapterInfo, Gpu, Tuning};
use clrp::file::write_file_atomically;
use clrp_weights::fetch::Cache;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};

/// The file of measured numbers.
const FILE: &str = "devices.json";

/// The folder of compiled kernels.
const KERNELS: &str = "kernels";

#[derive(Default, Serialize, Deserialize)]
struct Measured {
    devices: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    backend: String,
    driver: String,
    busy: u32,
    #[serde(default)]
    large_tiles: Option<bool>,
}

impl Entry {
    fn is_of(&self, info: &AdapterInfo) -> bool {
        (&self.name, &self.backend, &self.driver) == (&info.name, &info.backend, &info.driver)
    }
}

/// The GPU as it was measured, if it was, which keeps what it compiles. Without a cache folder it is
/// the GPU as it is.
pub(crate) fn tuned(gpu: Gpu) -> Gpu {
    let Ok(folder) = folder() else { return gpu };
    let kernels = folder.join(KERNELS);
    if fs::create_dir_all(&kernels).is_ok() {
        gpu.keep_kernels(&kernels);
    }
    match found(gpu.info()) {
        Some(tuning) => gpu.tuned(tuning),
        None => gpu,
    }
}

/// What suits an adapter, if that was measured.
pub(crate) fn found(info: &AdapterInfo) -> Option<Tuning> {
    let found = measured().devices.into_iter().find(|entry| entry.is_of(info));
    found.map(|entry| {
        let mut tuning = Tuning::default();
        (tuning.busy, tuning.large_tiles) = (entry.busy, entry.large_tiles);
        tuning
    })
}

/// Measures the GPU and keeps what was found.
pub(crate) fn calibrate(gpu: &Gpu) -> Result<Tuning> {
    let folder = folder()?;
    let tuning = gpu.measure()?;
    let Tuning { busy, large_tiles, .. } = tuning;
    let info = gpu.info();
    let mut measured = measured();
    measured.devices.retain(|entry| !entry.is_of(info));
    let AdapterInfo { name, backend, driver, .. } = info.clone();
    measured.devices.push(Entry { name, backend, driver, busy, large_tiles });
    fs::create_dir_all(&folder).map_err(|source| {
        Failure::Said(format!("cannot make the folder `{}`: {source}", folder.display()))
    })?;
    let text = serde_json::to_string_pretty(&measured).expect("it is text and numbers");
    write_file_atomically(folder.join(FILE), text.as_bytes())?;
    Ok(tuning)
}

/// What was measured; nothing where the file is not there or is none.
fn measured() -> Measured {
    let read = |folder: PathBuf| fs::read(folder.join(FILE)).ok();
    let bytes = folder().ok().and_then(read);
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn folder() -> Result<PathBuf> {
    Ok(Cache::user()?.folder().to_owned())
}
