//! The largest magnitude in each piece of each row. Twin of `shaders/largest.wgsl`.

use super::{kernel, params};
use crate::num::Float;

params! {
    /// Rows of equal length in equal pieces.
    pub struct Params {
        /// Rows.
        pub rows: u32,
        /// Values of a row.
        pub count: u32,
        /// Pieces of a row; the last ones may have fewer values, or none.
        pub pieces: u32,
    }
}

kernel!("largest", [Read, Write]);

impl Params {
    /// One workgroup a piece, and rows past the limit of a dimension in another.
    pub fn workgroups(&self) -> [u32; 3] {
        let x = self.rows.clamp(1, 65_535);
        [x, self.pieces, self.rows.div_ceil(x).max(1)]
    }
}

/// Operands: rows, magnitudes (`[row][piece]`; 0 for a piece without values).
pub fn cpu<F: Float>(p: &Params, rows: &[F], magnitudes: &mut [F]) {
    let pieces = p.pieces as usize;
    let piece = p.count.div_ceil(p.pieces) as usize;
    for (row, magnitudes) in
        rows.chunks_exact(p.count as usize).zip(magnitudes.chunks_exact_mut(pieces))
    {
        let mut values = row.chunks(piece);
        for magnitude in magnitudes {
            let values = values.next().unwrap_or_default();
            let largest = values.iter().fold(0.0_f64, |most, value| most.max(value.to_f64().abs()));
            *magnitude = F::from_f64(largest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_of_a_row_has_its_own() {
        let rows = [1.0, -3.0, 2.0, 0.0, 5.0, -6.0, 0.5, -0.25, 0.0, 0.0];
        let mut magnitudes = [9.0; 8];
        cpu(&Params { rows: 2, count: 5, pieces: 4 }, &rows, &mut magnitudes);
        // Pieces of two: the fourth has none.
        assert_eq!(magnitudes, [3.0, 2.0, 5.0, 0.0, 6.0, 0.25, 0.0, 0.0]);
    }
}
