//! A data set through an experiment: in parts that are always the same, decoded while the device
//! works on those before and others are judged, written down part by part.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use clrp::{Cancel, Error};
use indicatif::ProgressBar;
use rayon::prelude::*;

use super::log::Log;
use super::record::Record;
use crate::failure::{Failure, Result};

/// The exit code of what a signal has ended.
const INTERRUPTED: i32 = 130;

/// Parts that are measured at once: while one runs on the device, others are judged, which takes
/// about as long where the device is fast.
const AT_ONCE: usize = 3;

/// Parts that are anywhere between their files and the records, which bounds memory: one is
/// decoded, some are measured, the others wait.
const IN_FLIGHT: usize = AT_ONCE + 5;

/// One of several machines that share a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which one, from 0.
    pub(crate) number: usize,
    pub(crate) count: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((i, count)) if (1..=count).contains(&i) => Ok(Self { number: i - 1, count }),
            _ => Err("expected a part and how many there are, as 1/3".to_owned()),
        }
    }
}

/// How a data set is parted.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Pictures of the data set.
    pub(crate) pictures: usize,
    /// Pictures of a part. Which pictures run together decides the last bits of their maps, so
    /// parts do not depend on shards, nor on where an earlier run ended.
    pub(crate) batch: usize,
    pub(crate) shard: Option<Shard>,
}

/// What goes through an experiment, and how.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) parts: &'a Parts,
    /// The share of pictures that may be without results.
    pub(crate) most_failed: f64,
    pub(crate) bar: &'a ProgressBar,
    pub(crate) stop: &'a Cancel,
}

/// A picture that is ready for the experiment, or why it is not.
pub(crate) struct Prepared<T> {
    pub(crate) index: usize,
    pub(crate) picture: Result<T, String>,
}

/// What became of a part.
struct Measured {
    pictures: usize,
    records: Result<Vec<Record>>,
}

/// Pictures of a part, by its number.
type Numbered<T> = (usize, Vec<Prepared<T>>);

/// Measures parts as they come, until there are no more or nobody wants them.
fn measure_parts<T>(
    prepared: &Mutex<Receiver<Numbered<T>>>,
    measured: &SyncSender<(usize, Measured)>,
    measure: &impl Fn(&[Prepared<T>]) -> Result<Vec<Record>>,
) {
    let next = || prepared.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok((number, part)) = next() {
        let tell = |records| measured.send((number, Measured { pictures: part.len(), records }));
        let told = match catch_unwind(AssertUnwindSafe(|| measure(&part))) {
            Ok(records) => tell(records),
            Err(panic) => {
                // What waits for this part must not wait for ever; where nobody does, all is well.
                let message = "measuring pictures ended in a panic".to_owned();
                let _ = tell(Err(Failure::Said(message)));
                resume_unwind(panic)
            }
        };
        if told.is_err() {
            break;
        }
    }
}

impl Parts {
    /// The parts of this shard.
    fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let all = (0..self.pictures).step_by(self.batch).enumerate();
        let is_mine = |number: usize| self.shard.is_none_or(|s| number % s.count == s.number);
        all.filter(move |(number, _)| is_mine(*number))
            .map(|(_, first)| first..(first + self.batch).min(self.pictures))
    }

    /// How many pictures this shard has.
    pub(crate) fn count(&self) -> usize {
        self.iter().map(|part| part.len()).sum()
    }
}

impl Work<'_> {
    /// Prepares every picture that is not done, on all cores, and gives them to `measure` part by
    /// part, several at once; what it makes of them is written down in order. Where some of a part
    /// are done, all of it runs, and only what is missing is written.
    pub(crate) fn run<T: Send>(
        &self,
        log: &mut Log,
        prepare: impl Fn(usize) -> Result<T> + Sync,
        measure: impl Fn(&[Prepared<T>]) -> Result<Vec<Record>> + Sync,
    ) -> Result<()> {
        let is_done = |part: &Range<usize>| part.clone().all(|i| log.done().contains(&i));
        let (done, missing): (Vec<_>, Vec<_>) = self.parts.iter().partition(is_done);
        self.bar.set_position(done.iter().map(|part: &Range<usize>| part.len() as u64).sum());
        // The rate is that of this run.
        self.bar.reset_eta();
        let prepare = |index| {
            let picture = prepare(index).map_err(|failure: Failure| failure.to_string());
            Prepared { index, picture }
        };
        std::thread::scope(|scope| {
            let (sender, prepared) = sync_channel(IN_FLIGHT);
            let (measured, receiver) = sync_channel(IN_FLIGHT);
            // One for each part that may begin; a part that is written down gives its own back.
            let (give_back, places) = sync_channel(IN_FLIGHT);
            (0..IN_FLIGHT).try_for_each(|_| give_back.send(())).expect("there is room for them");
            scope.spawn(move || {
                for (number, part) in missing.into_iter().enumerate() {
                    // Nobody waits for more where the run has ended.
                    if places.recv().is_err() || self.stop.is_cancelled() {
                        break;
                    }
                    let pictures: Vec<_> = part.into_par_iter().map(prepare).collect();
                    if sender.send((number, pictures)).is_err() {
                        break;
                    }
                }
            });
            // The workers own it: once they have ended, so does what prepares.
            let prepared = Arc::new(Mutex::new(prepared));
            for _ in 0..AT_ONCE {
                let (prepared, measured, measure) = (prepared.clone(), measured.clone(), &measure);
                scope.spawn(move || measure_parts(&prepared, &measured, measure));
            }
            drop((prepared, measured));
            self.write_down(log, &receiver, &give_back)
        })
    }

    /// Writes down what is measured, in the order of the parts. Where the run is stopped, the parts
    /// that have begun end, or fail for it: what stands before the first that fails is kept.
    fn write_down(
        &self,
        log: &mut Log,
        measured: &Receiver<(usize, Measured)>,
        give_back: &SyncSender<()>,
    ) -> Result<()> {
        let mut early = BTreeMap::new();
        let mut next = 0;
        while let Ok((number, part)) = measured.recv() {
            early.insert(number, part);
            // All that is ready goes to the disk at once: waiting for it takes as long as a part.
            early.extend(measured.try_iter());
            let (mut records, mut pictures, mut ended) = (Vec::new(), 0, Ok(()));
            let before = next;
            while ended.is_ok() {
                let Some(part) = early.remove(&next) else { break };
                next += 1;
                match part.records {
                    Ok(new) => {
                        pictures += part.pictures;
                        records.extend(new);
                    }
                    Err(failure) => ended = Err(failure),
                }
            }
            records.retain(|record| !log.done().contains(&record.index));
            log.append(records)?;
            self.bar.inc(pictures as u64);
            log.check_failed(self.most_failed, self.parts.count())?;
            if ended.is_err() {
                self.check_stop(log)?;
            }
            ended?;
            for _ in before..next {
                // Where all have begun, nobody takes it.
                let _ = give_back.try_send(());
            }
        }
        self.check_stop(log)
    }

    fn check_stop(&self, log: &Log) -> Result<()> {
        if !self.stop.is_cancelled() {
            return Ok(());
        }
        let (done, all) = (log.done().len(), self.parts.count());
        Err(Failure::Said(format!("stopped after {done} of {all} pictures; --resume goes on")))
    }
}

/// Is cancelled by Ctrl-C, and where the system asks to end; a second time ends the program at once,
/// which loses nothing.
pub(crate) fn stopped_by_signals() -> Result<Cancel> {
    let stop = Cancel::new();
    let on_signal = stop.clone();
    let handler = move || {
        if on_signal.is_cancelled() {
            std::process::exit(INTERRUPTED);
        }
        on_signal.cancel();
    };
    ctrlc::set_handler(handler).map_err(|error| {
        let source = std::io::Error::other(error);
        Failure::from(Error::File { action: "listen to", path: "signals".into(), source })
    })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::super::log::{FILE, Locked};
    use super::super::testing::{header, picture};
    use super::*;

    #[test]
    fn shards_share_out_whole_parts() {
        let of = |shard| Parts { pictures: 11, batch: 3, shard };
        let parts = |shard: &str| -> Vec<Range<usize>> {
            of(Some(shard.parse().expect("a shard"))).iter().collect()
        };
        assert_eq!(of(None).iter().collect::<Vec<_>>(), [0..3, 3..6, 6..9, 9..11]);
        assert_eq!(parts("1/3"), [0..3, 9..11]);
        assert!(parts("2/3").into_iter().eq(std::iter::once(3..6)));
        assert_eq!((parts("5/5"), of(None).count()), (vec![], 11));
        for wrong in ["0/3", "4/3", "1", "a/b", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    fn log(folder: &Path, resume: bool) -> Result<Log> {
        Locked::open(folder, resume, None)?.begin(&header(&["lrp"]))
    }

    /// Measures pictures in parts of two; what is written, in order, and how far the bar is.
    fn run(
        pictures: usize,
        measure: impl Fn(&[Prepared<usize>]) -> Result<Vec<Record>> + Sync,
    ) -> (Result<()>, Vec<usize>, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = log(folder.path(), false).expect("a new file");
        let parts = Parts { pictures, batch: 2, shard: None };
        let (bar, stop) = (ProgressBar::hidden(), Cancel::new());
        let work = Work { parts: &parts, most_failed: 0.0, bar: &bar, stop: &stop };
        let done = work.run(&mut log, Ok, measure);
        let file = fs::read_to_string(folder.path().join(FILE)).expect("it is there");
        let index =
            |line: &str| -> usize { serde_json::from_str::<Record>(line).expect("a record").index };
        (done, file.lines().skip(1).map(index).collect(), bar.position())
    }

    #[test]
    fn parts_are_measured_together_and_written_in_order() {
        let (tell, told) = sync_channel(1);
        let told = Mutex::new(told);
        let measure = |part: &[Prepared<usize>]| {
            let index = part[0].index;
            match index {
                // The first part ends only once a later one has begun.
                0 => told
                    .lock()
                    .expect("no panic")
                    .recv_timeout(Duration::from_secs(60))
                    .expect("it began"),
                _ => drop(tell.try_send(())),
            }
            Ok(part.iter().map(|one| picture(one.index, Vec::new())).collect())
        };
        let (done, written, position) = run(12, measure);
        done.expect("nothing fails");
        assert_eq!((written, position), ((0..12).collect(), 12));
    }

    #[test]
    fn a_panic_ends_the_run_after_what_came_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let written = || {
            let file = fs::read_to_string(folder.path().join(FILE)).expect("it is there");
            file.lines().count() - 1
        };
        let run = || {
            let mut log = log(folder.path(), true).expect("it opens");
            let parts = Parts { pictures: 200, batch: 2, shard: None };
            let (bar, stop) = (ProgressBar::hidden(), Cancel::new());
            let work = Work { parts: &parts, most_failed: 0.0, bar: &bar, stop: &stop };
            work.run(&mut log, Ok, |part: &[Prepared<usize>]| {
                assert_ne!(part[0].index, 10, "on purpose");
                Ok(part.iter().map(|one| picture(one.index, Vec::new())).collect())
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert_eq!(written(), 10);
    }

    #[test]
    fn what_is_ready_when_it_is_stopped_is_written_down() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = log(folder.path(), false).expect("a new file");
        let parts = Parts { pictures: 100, batch: 2, shard: None };
        let (bar, stop) = (ProgressBar::hidden(), Cancel::new());
        let work = Work { parts: &parts, most_failed: 0.0, bar: &bar, stop: &stop };
        let (tell, told) = sync_channel(IN_FLIGHT);
        let told = Mutex::new(told);
        let measure = |part: &[Prepared<usize>]| {
            match part[0].index {
                // The first part ends once all others that may begin have ended.
                0 => {
                    let told = told.lock().expect("no panic");
                    for _ in 1..IN_FLIGHT {
                        told.recv_timeout(Duration::from_secs(60)).expect("they end");
                    }
                    stop.cancel();
                }
                _ => tell.send(()).expect("somebody waits"),
            }
            Ok(part.iter().map(|one| picture(one.index, Vec::new())).collect())
        };
        let stopped = work.run(&mut log, Ok, measure).expect_err("it was stopped").to_string();
        let done = log.done().len();
        assert_eq!(done, 2 * IN_FLIGHT);
        assert_eq!(stopped, format!("stopped after {done} of 100 pictures; --resume goes on"));
    }

    #[test]
    fn what_fails_ends_the_run_after_what_came_before() {
        let measure = |part: &[Prepared<usize>]| match part[0].index {
            10 => Err(Failure::Said("no more".to_owned())),
            _ => Ok(part.iter().map(|one| picture(one.index, Vec::new())).collect()),
        };
        let (done, written, position) = run(40, measure);
        assert_eq!(done.expect_err("a part fails").to_string(), "no more");
        assert_eq!((written, position), ((0..10).collect(), 10));
    }
}
