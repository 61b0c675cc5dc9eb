//! Room that threads keep from one piece of work to the next: memory that is asked for anew is filled with
//! zeros first, and is far from the core.

use std::cell::Cell;

use crate::aligned::Aligned;

thread_local! {
    static ROOM: Cell<Aligned<f32>> = Cell::default();
}

/// Does some work with the room of this thread, which holds what was left there. Work within the work has
/// another one.
pub(super) fn with_room<T>(work: impl FnOnce(&mut Aligned<f32>) -> T) -> T {
    let mut room = ROOM.take();
    let done = work(&mut room);
    ROOM.set(room);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_room_and_work_within_work_has_another() {
        let address = |room: &mut Aligned<f32>| {
            room.resize(100);
            room.as_ptr() as usize
        };
        let first = with_room(address);
        let (outer, inner) = with_room(|room| (address(room), with_room(address)));
        assert_eq!(outer, first);
        assert_ne!(inner, outer);
    }
}
