//! Brings a file into a folder: goes on where it stopped, tries again, checks, and only then gives
//! the file its name.

use std::fs;
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::error::{Error, Result};
use super::hash::{agrees, measure};
use super::part::{Lock, Part};
use super::request::{Answer, Trouble, body_cause, request};
use super::source::Source;

/// A try that brought this much was a good one: the count of failures starts anew.
const GAIN: u64 = 1 << 20;

/// How patient a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a connection, an answer or its next bytes may take: 30 s.
    pub stall: Duration,
    /// How often it is tried again: 3 times, counted anew after each MiB that came.
    pub retries: u32,
    /// How long to wait before it is tried again, twice as long each time: 1 s.
    pub pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { stall: Duration::from_secs(30), retries: 3, pause: Duration::from_secs(1) }
    }
}

/// What a download is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Another process downloads the same file.
    Waiting,
    /// Bytes are on their way.
    Downloading,
    /// All bytes are there and their hash is taken.
    Checking,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Bytes that are there.
    pub done: u64,
    /// The file's bytes, once the server told them.
    pub total: Option<u64>,
    /// How many of the bytes were there already; 0 if the server made it start over.
    pub resumed_from: u64,
}

/// A file that is there, and is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes it has.
    pub bytes: u64,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: String,
}

/// [`fetch_with`] the usual patience.
///
/// # Errors
/// As [`fetch_with`].
pub fn fetch(
    source: &Source,
    folder: &Path,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Fetched> {
    fetch_with(&Settings::default(), source, folder, progress)
}

/// Sees to it that `folder` has the file, and that its SHA-256 starts as its name says.
///
/// A good file that is there is left as it is, and no server is asked. `progress` is called at
/// each step; with [`ControlFlow::Break`] the download ends, as soon as the next bytes come. What
/// came is kept, beside the file as `.part`, and the next call goes on from there. Calls of several
/// threads and processes for the same file wait for each other. Proxies are those of the variables
/// `ALL_PROXY`, `HTTPS_PROXY` and `HTTP_PROXY`, apart from `NO_PROXY`.
///
/// # Errors
/// [`Error`], of any kind.
pub fn fetch_with(
    settings: &Settings,
    source: &Source,
    folder: &Path,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Fetched> {
    let target = folder.join(source.file());
    if let Some(found) = good(&target, source)? {
        return Ok(found);
    }
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let mut waited = false;
    let _lock = Lock::take(&target, || {
        waited = true;
        tell(&mut progress, source, Phase::Waiting, (0, None, 0))
    })?;
    if waited && let Some(found) = good(&target, source)? {
        return Ok(found);
    }
    let part = Part::open(&target)?;
    let resumed_from = part.length();
    let mut download = Download {
        settings,
        source,
        target: &target,
        progress: &mut progress,
        part,
        total: None,
        resumed_from,
        validator: None,
        reached: false,
        pieces: 0,
    };
    let (sha256, bytes) = download.run()?;
    download.part.finish(&target)?;
    Ok(Fetched { path: target, bytes, sha256 })
}

/// The file, if it is there and is the right one.
fn good(path: &Path, source: &Source) -> Result<Option<Fetched>> {
    if !path.is_file() {
        return Ok(None);
    }
    let (sha256, bytes) = measure(path)?;
    let good = agrees(&sha256, source.prefix());
    Ok(good.then(|| Fetched { path: path.to_owned(), bytes, sha256 }))
}

fn tell(
    progress: &mut impl FnMut(Progress) -> ControlFlow<()>,
    source: &Source,
    phase: Phase,
    (done, total, resumed_from): (u64, Option<u64>, u64),
) -> Result<()> {
    match progress(Progress { phase, done, total, resumed_from }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled { url: source.url().into(), found: done }),
    }
}

/// A download under way.
struct Download<'a, P> {
    settings: &'a Settings,
    source: &'a Source,
    target: &'a Path,
    progress: &'a mut P,
    part: Part,
    total: Option<u64>,
    resumed_from: u64,
    validator: Option<String>,
    /// Whether a server has answered.
    reached: bool,
    /// How many answers the part is made of, apart from what was there.
    pieces: usize,
}

impl<P: FnMut(Progress) -> ControlFlow<()>> Download<'_, P> {
    /// Completes the part, and returns its hash and size.
    fn run(&mut self) -> Result<(String, u64)> {
        let mut again = true;
        loop {
            self.complete()?;
            self.tell(Phase::Checking)?;
            let (sha256, bytes) = measure(self.part.path())?;
            if agrees(&sha256, self.source.prefix()) {
                return Ok((sha256, bytes));
            }
            let mixed = self.pieces > 1 || self.resumed_from > 0;
            self.restart()?;
            // The pieces may be of different files; one in a single piece is simply wrong.
            if !(mixed && again) {
                let expected = self.source.prefix().to_owned();
                let found = sha256[..expected.len()].to_owned();
                return Err(Error::Hash { url: self.url(), expected, found });
            }
            again = false;
        }
    }

    /// Tries until all bytes are there.
    fn complete(&mut self) -> Result<()> {
        let (mut failures, mut furthest) = (0, self.part.length());
        loop {
            let cause = match self.attempt() {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(error)) => return Err(error),
                // Whoever is offline is told so at once.
                Err(Trouble::Unreached { host, cause }) if !self.reached => {
                    let path = self.target.to_owned();
                    return Err(Error::Unreachable { host, cause, url: self.url(), path });
                }
                Err(Trouble::Unfit(cause)) => {
                    self.restart()?;
                    furthest = self.part.length();
                    cause
                }
                Err(Trouble::Unreached { cause, .. } | Trouble::Passing(cause)) => cause,
            };
            if self.part.length() >= furthest + GAIN {
                (failures, furthest) = (0, self.part.length());
            }
            failures += 1;
            if failures > self.settings.retries {
                return Err(Error::Broken {
                    url: self.url(),
                    expected: self.total,
                    found: self.part.length(),
                    tries: failures,
                    cause,
                });
            }
            self.tell(Phase::Downloading)?;
            thread::sleep(self.settings.pause.saturating_mul(1 << (failures - 1).min(16)));
        }
    }

    /// Asks once, for what is missing.
    fn attempt(&mut self) -> Result<(), Trouble> {
        let (stall, offset) = (self.settings.stall, self.part.length());
        let answer = request(&self.source.address, offset, self.validator.as_deref(), stall);
        self.reached |= !matches!(answer, Err(Trouble::Unreached { .. }));
        match answer? {
            Answer::Beyond { total } if offset > 0 && total == Some(offset) => {
                self.total = total;
                Ok(())
            }
            Answer::Beyond { .. } => {
                Err(Trouble::Unfit(format!("there is nothing from byte {offset} on")))
            }
            Answer::Bytes { start, total, validator, body } => {
                if start < offset {
                    self.restart()?;
                }
                self.validator = validator;
                self.total = total;
                let limit = self.source.limit();
                if let Some(total) = total.filter(|total| *total > limit) {
                    return Err(self.too_large(limit, total));
                }
                self.pieces += 1;
                self.copy(body, total)
            }
        }
    }

    /// Appends the body to the part.
    fn copy(&mut self, mut body: impl Read, total: Option<u64>) -> Result<(), Trouble> {
        let most = total.unwrap_or(self.source.limit());
        let mut buffer = vec![0; 1 << 16];
        self.tell(Phase::Downloading)?;
        loop {
            let length = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Trouble::Passing(body_cause(error, self.settings.stall)));
                }
            };
            let done = self.part.length() + length as u64;
            if done > most {
                return Err(self.too_large(most, done));
            }
            self.part.append(&buffer[..length])?;
            self.tell(Phase::Downloading)?;
        }
        match total {
            Some(total) if self.part.length() < total => {
                Err(Trouble::Passing("the answer ended early".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Nothing of what was sent is to be trusted then.
    fn too_large(&mut self, expected: u64, found: u64) -> Trouble {
        let error = Error::Size { url: self.url(), expected, found };
        self.restart().map_or_else(Trouble::Final, |()| Trouble::Final(error))
    }

    fn restart(&mut self) -> Result<()> {
        self.part.restart()?;
        (self.resumed_from, self.validator, self.pieces) = (0, None, 0);
        Ok(())
    }

    fn tell(&mut self, phase: Phase) -> Result<()> {
        let state = (self.part.length(), self.total, self.resumed_from);
        tell(self.progress, self.source, phase, state)
    }

    fn url(&self) -> String {
        self.source.url().to_owned()
    }
}
