//! How the CPU twins spread over cores: fixed pieces, so that the sums do not depend on timing.

use rayon::prelude::*;

/// Values a piece should at least have for a thread to be worth waking.
const PIECE: usize = 1 << 14;

/// Calls `body(index of the first value, piece)` for pieces of `out` of a whole number of
/// `unit` values, on all cores.
pub fn pieces<T: Send>(out: &mut [T], unit: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    let unit = unit.max(1);
    let size = PIECE.div_ceil(unit) * unit;
    out.par_chunks_mut(size).enumerate().for_each(|(i, piece)| body(i * size, piece));
}

/// Calls `body(index, value)` for every value of `out`, on all cores.
pub fn each<T: Send>(out: &mut [T], body: impl Fn(usize, &mut T) + Sync) {
    pieces(out, 1, |first, piece| {
        for (i, value) in piece.iter_mut().enumerate() {
            body(first + i, value);
        }
    });
}
