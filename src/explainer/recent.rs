//! Programs that have run, for the next runs of their kinds.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::run::{Job, Ready};

/// How many are kept: whoever explains and then scores what was changed does both turn by turn.
const KEPT: usize = 3;

/// Programs on the device, the last one that ran at the end.
#[derive(Default)]
pub(super) struct Recent(Mutex<Vec<Ready>>);

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Vec<Ready>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is one for the job.
    pub(super) fn has(&self, job: &Job) -> bool {
        self.lock().iter().any(|ready| ready.job == *job)
    }

    /// Takes the job's program out to run it: another thread makes its own meanwhile, and a run
    /// that ends in a panic leaves nothing behind.
    pub(super) fn take(&self, job: &Job) -> Option<Ready> {
        let mut kept = self.lock();
        let place = kept.iter().position(|ready| ready.job == *job)?;
        Some(kept.remove(place))
    }

    /// Puts one back, and drops those that ran longest ago while the values of all, which take
    /// `float` bytes each, take more than so many bytes.
    pub(super) fn put(&self, ready: Ready, value_bytes: usize, float: usize) {
        let mut kept = self.lock();
        kept.retain(|other| other.job != ready.job);
        kept.push(ready);
        let bytes = |kept: &[Ready]| -> usize {
            let each = kept.iter().map(|ready| ready.lowered.program.buffer_bytes(float));
            each.fold(0, usize::saturating_add)
        };
        while kept.len() > KEPT || (kept.len() > 1 && bytes(&kept) > value_bytes) {
            kept.remove(0);
        }
    }

    /// Drops them all; whether there were any.
    pub(super) fn clear(&self) -> bool {
        let kept = std::mem::take(&mut *self.lock());
        !kept.is_empty()
    }
}
