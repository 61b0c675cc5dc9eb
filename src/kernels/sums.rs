//! The innermost loop of products: the sums of a tile in registers, in pieces of some products which are added
//! up with what f32 loses.

use pulp::Simd;

use super::Part;
use super::ahead::Ahead;
use super::panels::{Tap, WIDTH};

/// Products after which a piece ends, at the end of a tap or of as many of its rows: the sum of many
/// more in f32 alone costs digits.
pub(super) const PIECE: usize = 128;

/// Products between two fetches of what comes ahead: a few lines at a time find room beside what products
/// wait for.
const BETWEEN: usize = 32;
const _: () = assert!(PIECE.is_multiple_of(BETWEEN), "pieces end with a fetch");

/// How often something is fetched while a tap's row of so many numbers is multiplied.
pub(super) const fn steps(depth: usize) -> usize {
    depth.div_ceil(BETWEEN)
}

/// Parts of weights, as [`Part::code`] numbers them.
pub(super) const ALL: u32 = Part::All.code();
pub(super) const POSITIVE: u32 = Part::Positive.code();
pub(super) const NEGATIVE: u32 = Part::Negative.code();

/// The sums of a tile: for each of its positions those of a panel's columns. Every few products something of
/// what comes `ahead` is fetched.
///
/// # Safety
/// Each row has `depth` values, and the vectors of a panel have [`WIDTH`].
#[inline(always)]
#[expect(unsafe_code, reason = "the compiler does not see that all rows are equally long")]
pub(super) unsafe fn sums<S: Simd, const ROWS: usize, const VECTORS: usize, const PART: u32>(
    simd: S,
    taps: &[Tap],
    rows: &[Option<[&[f32]; ROWS]>],
    panel: &[f32],
    depth: usize,
    ahead: &mut Ahead<'_>,
) -> [[S::f32s; VECTORS]; ROWS] {
    let zero = simd.splat_f32s(0.0);
    let mut piece = [[zero; VECTORS]; ROWS];
    let mut total = [[(zero, zero); VECTORS]; ROWS];
    let mut products = 0;
    for (tap, rows) in taps.iter().zip(rows) {
        let panel = &panel[tap.number * depth * WIDTH..][..depth * WIDTH];
        let weights: &[S::f32s] = bytemuck::cast_slice(panel);
        for start in (0..depth).step_by(PIECE) {
            let end = depth.min(start + PIECE);
            for from in (start..end).step_by(BETWEEN) {
                ahead.step();
                let Some(rows) = rows else { continue };
                for k in from..end.min(from + BETWEEN) {
                    for i in 0..ROWS {
                        // SAFETY: `k` is below `depth`, and of weights there are `VECTORS` for each.
                        let a = simd.splat_f32s(unsafe { *rows[i].get_unchecked(k) });
                        for j in 0..VECTORS {
                            let w = unsafe { *weights.get_unchecked(k * VECTORS + j) };
                            let w = match PART {
                                POSITIVE => simd.max_f32s(w, zero),
                                NEGATIVE => simd.min_f32s(w, zero),
                                _ => w,
                            };
                            piece[i][j] = simd.mul_add_e_f32s(a, w, piece[i][j]);
                        }
                    }
                }
            }
            // Where pieces end does not depend on what the source has.
            products += end - start;
            if products >= PIECE {
                products = 0;
                for (total, piece) in
                    total.as_flattened_mut().iter_mut().zip(piece.as_flattened_mut())
                {
                    *total = added(simd, *total, *piece);
                    *piece = zero;
                }
            }
        }
    }
    let mut sums = piece;
    for (sum, total) in sums.as_flattened_mut().iter_mut().zip(total.as_flattened()) {
        *sum = simd.add_f32s(total.0, simd.add_f32s(total.1, *sum));
    }
    sums
}

/// A sum and what it has lost, with another number (Knuth 1969, vol. 2, 4.2.2, theorem B).
#[inline(always)]
pub(super) fn added<S: Simd>(
    simd: S,
    (sum, lost): (S::f32s, S::f32s),
    piece: S::f32s,
) -> (S::f32s, S::f32s) {
    let new = simd.add_f32s(sum, piece);
    let added = simd.sub_f32s(new, sum);
    let of_sum = simd.sub_f32s(sum, simd.sub_f32s(new, added));
    let of_piece = simd.sub_f32s(piece, added);
    (new, simd.add_f32s(lost, simd.add_f32s(of_sum, of_piece)))
}
