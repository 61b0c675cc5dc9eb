//! Counts the memory that a thread holds, so that a test can say how much a reader took.

#![expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one passes calls on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The most memory for any file, whatever its size.
const BASE: usize = 1 << 19;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn took(bytes: usize) {
    // Memory may come from one thread and go in another, and outlive the thread's counters.
    let held = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(bytes));
        held.get()
    });
    if let Ok(held) = held
        && held <= isize::MAX as usize
    {
        let _ = MOST.try_with(|most| most.set(most.get().max(held)));
    }
}

fn gave(bytes: usize) {
    let _ = HELD.try_with(|held| held.set(held.get().wrapping_sub(bytes)));
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks may be there for a moment.
        took(size);
        gave(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What `work` gives, and the most bytes it held at a time beyond what was held before.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    // Counting starts anew, as frees of other threads' memory may have left it below nothing.
    HELD.set(0);
    MOST.set(0);
    let result = work();
    (result, MOST.get())
}

/// The most bytes that reading a file of that size may take, with so many for each of its own.
pub(crate) fn allowed(per_byte: usize, length: usize) -> usize {
    per_byte * length + BASE
}
