//! `clrp devices`: what can run networks.

use clap::Args;
use clrp::backend::{Device, DeviceChoice};
use serde::Serialize;

use crate::console::{print, print_json, say};
use crate::failure::Result;
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  clrp devices
  clrp devices --calibrate                  measure this machine's GPU, once
  clrp explain cat.jpg --weights squeezenet1_1.safetensors --device llvmpipe

JSON (--json), one object:
  devices  name, backend, kind, driver, threads (of the CPU; null for GPUs), busy (workgroups that
           keep it so) and large_tiles (whether they are faster), as --calibrate has measured, else
           null, auto (whether --device auto takes it)";

/// Arguments of `clrp devices`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Devices {
    /// Measure what suits a GPU (a real one, or one with this in its name): how many workgroups keep it
    /// busy, and whether large tiles are faster. It is kept in the cache folder for all later runs;
    /// needed once for a GPU and driver, and not at all: without it what is common is taken
    #[cfg(feature = "gpu")]
    #[arg(long, value_name = "DEVICE", num_args = 0..=1, default_missing_value = "gpu")]
    calibrate: Option<String>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listing {
    devices: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    backend: String,
    kind: String,
    driver: String,
    threads: Option<usize>,
    busy: Option<u32>,
    large_tiles: Option<bool>,
    auto: bool,
}

impl Devices {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        #[cfg(feature = "gpu")]
        if let Some(name) = &self.calibrate {
            calibrate(name)?;
        }
        let mut devices = vec![Entry {
            name: "cpu".to_owned(),
            backend: "CPU".to_owned(),
            kind: "cpu".to_owned(),
            driver: String::new(),
            threads: Some(rayon::current_num_threads()),
            busy: None,
            large_tiles: None,
            auto: false,
        }];
        devices.extend(gpus());
        match Device::open(&DeviceChoice::Auto) {
            Ok(device) => {
                let name = device.name();
                if let Some(entry) = devices.iter_mut().find(|entry| entry.name == name) {
                    entry.auto = true;
                }
            }
            Err(error) => say("note", &format!("--device auto fails here: {error}")),
        }
        if self.json {
            return print_json(&Listing { devices });
        }
        let mut table = Table::new(["name", "backend", "kind", "driver", ""]);
        for entry in devices {
            let threads = entry.threads.map(|threads| format!("{threads} threads"));
            let auto = if entry.auto { "<- auto" } else { "" };
            table.row([
                entry.name,
                entry.backend,
                entry.kind,
                threads.unwrap_or(entry.driver),
                auto.to_owned(),
            ]);
        }
        print(table)
    }
}

#[cfg(feature = "gpu")]
fn calibrate(name: &str) -> Result<()> {
    use clrp::backend::gpu::{Choice, Gpu};

    let choice = match name {
        "gpu" => Choice::Real,
        name => Choice::Named(name.to_owned()),
    };
    let gpu = Gpu::open(&choice)?;
    let tuning = crate::tuning::calibrate(&gpu)?;
    let tiles = match tuning.large_tiles {
        Some(true) => ", large tiles are faster",
        Some(false) => ", small tiles are faster",
        None => "",
    };
    say("note", &format!("{} workgroups keep `{}` busy{tiles}", tuning.busy, gpu.name()));
    Ok(())
}

#[cfg(feature = "gpu")]
fn gpus() -> Vec<Entry> {
    let entry = |adapter: clrp::backend::gpu::AdapterInfo| {
        let tuning = crate::tuning::found(&adapter);
        Entry {
            busy: tuning.map(|tuning| tuning.busy),
            large_tiles: tuning.and_then(|tuning| tuning.large_tiles),
            name: adapter.name,
            backend: adapter.backend,
            kind: adapter.kind.to_string(),
            driver: adapter.driver,
            threads: None,
            auto: false,
        }
    };
    clrp::backend::gpu::Gpu::adapters().into_iter().map(entry).collect()
}

#[cfg(not(feature = "gpu"))]
fn gpus() -> Vec<Entry> {
    say("note", &"this build runs on the CPU only: it is without the feature `gpu`");
    Vec::new()
}
