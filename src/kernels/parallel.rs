//! How the CPU twins spread over cores: fixed pieces, so that the sums do not depend on timing, each
//! by the widest vectors that the processor has. That holds for what is inlined into the call: a closure
//! says `#[inline(always)]` where its lanes matter.

use pulp::Arch;
use rayon::prelude::*;

/// Values a piece should at least have for a thread to be worth waking.
const PIECE: usize = 1 << 14;

/// Values that loops treat as one: the compiler makes vectors of as many.
pub(super) const LANES: usize = 16;

/// Calls `body(index of the first value, piece)` for pieces of `out` of a whole number of
/// `unit` values, on all cores.
pub fn pieces<T: Send>(out: &mut [T], unit: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    let size = size(unit);
    run(
        out.par_chunks_mut(size),
        #[inline(always)]
        |i, piece| body(i * size, piece),
    );
}

/// The same for two arrays of one length, whose pieces belong together.
pub fn pieces_of_two<T: Send, U: Send>(
    one: &mut [T],
    other: &mut [U],
    unit: usize,
    body: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    let size = size(unit);
    run(
        one.par_chunks_mut(size).zip(other.par_chunks_mut(size)),
        #[inline(always)]
        |i, (one, other)| body(i * size, one, other),
    );
}

/// Calls `body(row, index within the row, piece)` for pieces of rows of `count` values; a row may be
/// cut, since those of one picture are for all cores.
pub fn rows<T: Send>(out: &mut [T], count: usize, body: impl Fn(usize, usize, &mut [T]) + Sync) {
    pieces(
        out,
        1,
        #[inline(always)]
        |mut first, mut piece| {
            while !piece.is_empty() {
                let (row, start) = (first / count, first % count);
                let (of_row, rest) = piece.split_at_mut(piece.len().min(count - start));
                first += of_row.len();
                body(row, start, of_row);
                piece = rest;
            }
        },
    );
}

/// The length of a piece of whole units.
fn size(unit: usize) -> usize {
    PIECE.next_multiple_of(unit.max(1))
}

fn run<P: Send>(pieces: impl IndexedParallelIterator<Item = P>, body: impl Fn(usize, P) + Sync) {
    let arch = Arch::new();
    pieces.enumerate().for_each(|(i, piece)| {
        arch.dispatch(
            #[inline(always)]
            || body(i, piece),
        );
    });
}

/// Calls `body(index, value)` for every value of `out`, on all cores.
pub fn each<T: Send>(out: &mut [T], body: impl Fn(usize, &mut T) + Sync) {
    pieces(
        out,
        1,
        #[inline(always)]
        |first, piece| {
            for (i, value) in piece.iter_mut().enumerate() {
                body(first + i, value);
            }
        },
    );
}
