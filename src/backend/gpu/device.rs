//! The open device: its limits, its memory and its failures.
//!
//! wgpu reports failures in four ways, none of them a `Result`: to error scopes, to a handler of
//! what no scope caught, to a callback when the device is lost, and by a panic while waiting. All
//! end here as [`Error`]s.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

use super::adapter::{self, AdapterInfo, Choice};
use super::cooperative::Cooperative;
use crate::error::{Error, Result};

/// A wgpu device with what is known of it.
pub(super) struct Device {
    pub(super) info: AdapterInfo,
    pub(super) handle: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: wgpu::Limits,
    /// Cooperative matrices, if it was opened for them.
    pub(super) cooperative: Option<Cooperative>,
    faults: Arc<Faults>,
}

/// What wgpu said outside of any call.
#[derive(Default)]
struct Faults {
    lost: OnceLock<String>,
    uncaught: Mutex<Option<String>>,
}

impl Device {
    /// Opens the best adapter that suits, for cooperative matrices or without; the next one if that
    /// fails.
    pub(super) async fn open(choice: &Choice, cooperates: bool) -> Result<Self> {
        let adapters = adapter::all().await;
        let infos: Vec<_> = adapters.iter().map(|a| AdapterInfo::new(&a.get_info())).collect();
        let mut failure = None;
        for i in choice.candidates(&infos)? {
            match Self::request(&adapters[i], &infos[i], cooperates).await {
                Ok(device) => return Ok(device),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.expect("there is at least one candidate"))
    }

    async fn request(
        adapter: &wgpu::Adapter,
        info: &AdapterInfo,
        cooperates: bool,
    ) -> Result<Self> {
        let cooperative = cooperates.then(|| Cooperative::of(adapter, info)).transpose()?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("clrp"),
            // To tell what steps take, and to keep what is compiled.
            required_features: adapter.features()
                & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE)
                | cooperative.map_or(wgpu::Features::empty(), |_| Cooperative::FEATURES),
            // Weights and activations need far more than WebGPU's defaults.
            required_limits: adapter.limits(),
            experimental_features: match cooperative {
                Some(_) => Cooperative::token(),
                None => wgpu::ExperimentalFeatures::disabled(),
            },
            // Large buffers get memory of their own; for the small ones 8 MiB blocks will do.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
        };
        let (handle, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| device_error(&info.name, &chain(&error)))?;
        let device = Self { cooperative, ..Self::from_parts(handle, queue) };
        let faults = device.faults.clone();
        device.handle.on_uncaptured_error(Arc::new(move |error| {
            let mut uncaught = faults.uncaught.lock().unwrap_or_else(PoisonError::into_inner);
            uncaught.get_or_insert_with(|| message(&error));
        }));
        let faults = device.faults.clone();
        device.handle.set_device_lost_callback(move |reason, message| {
            // The first reason counts; losing that race is no failure.
            let _ = faults.lost.set(format!("device lost ({reason:?}): {}", one_line(&message)));
        });
        Ok(device)
    }

    /// Wraps a device that someone else opened, and whose error handlers stay theirs.
    pub(super) fn from_parts(handle: wgpu::Device, queue: wgpu::Queue) -> Self {
        let info = AdapterInfo::new(&handle.adapter_info());
        let limits = handle.limits();
        Self { info, handle, queue, limits, cooperative: None, faults: Arc::default() }
    }

    pub(super) fn max_binding_bytes(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }

    /// A new buffer of zeros, which `what` names in errors.
    pub(super) fn buffer(
        &self,
        bytes: u64,
        usage: wgpu::BufferUsages,
        what: impl Fn() -> String,
    ) -> Result<wgpu::Buffer> {
        let too_large = |limit| Error::DeviceMemory {
            adapter: self.info.name.clone(),
            action: "make a buffer",
            what: what(),
            needed: bytes,
            limit,
        };
        let most = if usage.contains(wgpu::BufferUsages::STORAGE) {
            self.max_binding_bytes()
        } else {
            self.limits.max_buffer_size
        };
        if bytes > most {
            return Err(too_large(format!("and allows {most} for one")));
        }
        let descriptor =
            wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
        let buffer = self.watch(|| self.handle.create_buffer(&descriptor));
        self.alive()?;
        buffer.map_err(|error| match error {
            wgpu::Error::OutOfMemory { .. } => too_large("and has no more memory".to_owned()),
            wgpu::Error::Validation { .. } | wgpu::Error::Internal { .. } => self.failure(&error),
        })
    }

    /// Does the work and catches the first failure that wgpu reports meanwhile on this thread.
    pub(super) fn watch<T>(&self, work: impl FnOnce() -> T) -> Result<T, wgpu::Error> {
        let memory = self.handle.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.handle.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.handle.push_error_scope(wgpu::ErrorFilter::Internal);
        let done = work();
        // Popping takes effect at once; on native backends the futures are ready.
        let internal = pollster::block_on(internal.pop());
        let validation = pollster::block_on(validation.pop());
        let memory = pollster::block_on(memory.pop());
        memory.or(internal).or(validation).map_or(Ok(done), Err)
    }

    /// [`watch`](Self::watch), with any failure as the library's error.
    pub(super) fn attempt<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let done = self.watch(work).map_err(|error| self.failure(&error))?;
        self.alive()?;
        Ok(done)
    }

    /// Waits until the submission has run.
    pub(super) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<()> {
        self.alive()?;
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        // `Device::poll` panics when the device is lost while it waits (wgpu 30.0.1,
        // `handle_error_fatal` in backend/wgpu_core.rs): a driver's reset must not end the app.
        let polled = catch_unwind(AssertUnwindSafe(|| self.handle.poll(wait)));
        let lost = match polled {
            Ok(Ok(_)) => return self.alive(),
            // `Queue::submit` says nothing when it is refused, but its index is never reached.
            Ok(Err(wgpu::PollError::WrongSubmissionIndex(..))) => "it takes no work",
            Ok(Err(wgpu::PollError::Timeout)) => "it does not answer",
            Err(_) => "it failed while working",
        };
        // The callback has set the reason already if the device is ours.
        let _ = self.faults.lost.set(format!("device lost: {lost}"));
        self.alive()
    }

    /// Waits until the submission has run, and reads a buffer.
    pub(super) fn read<T>(
        &self,
        buffer: &wgpu::Buffer,
        submission: wgpu::SubmissionIndex,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let (mapped, mapping) = mpsc::sync_channel(1);
        let mapping_begins = self.attempt(|| {
            buffer.map_async(wgpu::MapMode::Read, .., move |done| {
                // Nobody listens after a failure.
                let _ = mapped.send(done);
            });
        });
        let found = mapping_begins.and_then(|()| {
            self.wait(submission)?;
            match mapping.recv() {
                Ok(Ok(())) => {
                    let view = buffer.get_mapped_range(..);
                    Ok(read(&view.map_err(|error| self.error(&error.to_string()))?))
                }
                Ok(Err(_)) | Err(_) => Err(self.error("a buffer could not be read")),
            }
        });
        // After a failure there may be nothing to unmap, which is no news.
        let unmapped = self.watch(|| buffer.unmap());
        let found = found?;
        unmapped.map_err(|error| self.failure(&error))?;
        Ok(found)
    }

    /// Whether the device is still there and nothing went wrong behind our back.
    pub(super) fn alive(&self) -> Result<()> {
        if let Some(lost) = self.faults.lost.get() {
            return Err(self.error(lost));
        }
        let mut uncaught = self.faults.uncaught.lock().unwrap_or_else(PoisonError::into_inner);
        uncaught.take().map_or(Ok(()), |message| Err(self.error(&message)))
    }

    /// What wgpu reported, as the library's error.
    pub(super) fn failure(&self, error: &wgpu::Error) -> Error {
        self.error(&message(error))
    }

    /// An error of this device.
    pub(super) fn error(&self, message: &str) -> Error {
        device_error(&self.info.name, message)
    }
}

fn device_error(adapter: &str, message: &str) -> Error {
    Error::Device { adapter: adapter.to_owned(), message: one_line(message) }
}

fn message(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => "out of memory".to_owned(),
        wgpu::Error::Validation { description, .. } => one_line(description),
        wgpu::Error::Internal { description, .. } => one_line(description),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// wgpu's messages are indented trees.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
