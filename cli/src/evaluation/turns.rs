//! Who runs on a device when several threads want to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Turns on a device. A CPU is busy with one run; while a GPU works, the CPU takes the results of the
/// run before apart, so that there are two.
#[derive(Debug)]
pub(crate) struct Turns {
    free: Mutex<Vec<usize>>,
    given_back: Condvar,
}

/// One of them, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    /// Which one, from 0.
    pub(crate) number: usize,
}

impl Turns {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new((0..count).rev().collect()), given_back: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one of the first `count`.
    pub(crate) fn take(&self, count: usize) -> Turn<'_> {
        let mut free = self.lock();
        loop {
            if let Some(place) = free.iter().rposition(|number| *number < count) {
                return Turn { turns: self, number: free.remove(place) };
            }
            free = self.given_back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().push(self.number);
        self.turns.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_comes_waits_until_a_turn_is_given_back() {
        let turns = Turns::new(2);
        let (first, second) = (turns.take(2), turns.take(2));
        assert_eq!((first.number, second.number), (0, 1));
        std::thread::scope(|scope| {
            let (tell, told) = channel();
            let turns = &turns;
            scope.spawn(move || tell.send(turns.take(1).number));
            // The second one does not suit.
            drop(second);
            assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
            drop(first);
            assert_eq!(told.recv(), Ok(0));
        });
        assert_eq!(turns.take(2).number + turns.take(2).number, 1);
    }
}
