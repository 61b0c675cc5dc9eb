//! How the CPU twins spread over cores: fixed pieces, so that the sums do not depend on timing, each
//! by the widest vectors that the processor has.

use pulp::Arch;
use rayon::prelude::*;

/// Values a piece should at least have for a thread to be worth waking.
const PIECE: usize = 1 << 14;

/// Calls `body(index of the first value, piece)` for pieces of `out` of a whole number of
/// `unit` values, on all cores.
pub fn pieces<T: Send>(out: &mut [T], unit: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    let unit = unit.max(1);
    let size = PIECE.div_ceil(unit) * unit;
    let arch = Arch::new();
    out.par_chunks_mut(size).enumerate().for_each(|(i, piece)| {
        arch.dispatch(
            #[inline(always)]
            || body(i * size, piece),
        );
    });
}

/// The same for two arrays of one length, whose pieces belong together.
pub fn pieces_of_two<T: Send, U: Send>(
    one: &mut [T],
    other: &mut [U],
    unit: usize,
    body: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    let unit = unit.max(1);
    let size = PIECE.div_ceil(unit) * unit;
    let arch = Arch::new();
    let both = one.par_chunks_mut(size).zip(other.par_chunks_mut(size));
    both.enumerate().for_each(|(i, (one, other))| {
        arch.dispatch(
            #[inline(always)]
            || body(i * size, one, other),
        );
    });
}

/// Calls `body(index, value)` for every value of `out`, on all cores.
pub fn each<T: Send>(out: &mut [T], body: impl Fn(usize, &mut T) + Sync) {
    pieces(out, 1, |first, piece| {
        for (i, value) in piece.iter_mut().enumerate() {
            body(first + i, value);
        }
    });
}
