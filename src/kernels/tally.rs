//! Sum, sum of absolute values, least and greatest value of each row.
//! Twin of `shaders/tally.wgsl`.

use super::{kernel, params};
use crate::num::Float;

params! {
    /// Rows of equal length.
    pub struct Params {
        /// Rows.
        pub rows: u32,
        /// Values of a row.
        pub count: u32,
    }
}

kernel!("tally", [Read, Write]);

/// Numbers of a row's tally.
pub const FIELDS_OF_A_ROW: usize = 4;

impl Params {
    /// One workgroup a row.
    pub fn workgroups(&self) -> [u32; 3] {
        [self.rows, 1, 1]
    }
}

/// Operands: rows, tallies (sum, sum of absolute values, least, greatest).
pub fn cpu<F: Float>(p: &Params, rows: &[F], tallies: &mut [F]) {
    let tallies = tallies.chunks_exact_mut(FIELDS_OF_A_ROW);
    for (tally, row) in tallies.zip(rows.chunks_exact(p.count as usize)) {
        tally[0] = F::from_f64(row.iter().map(|r| r.to_f64()).sum());
        tally[1] = F::from_f64(row.iter().map(|r| r.to_f64().abs()).sum());
        tally[2] = row.iter().fold(row[0], |least, r| least.minimum(*r));
        tally[3] = row.iter().fold(row[0], |most, r| most.maximum(*r));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_own_tally() {
        let mut tallies = [9.0; 8];
        cpu(&Params { rows: 2, count: 2 }, &[1.0, -3.0, 5.0, 2.0], &mut tallies);
        assert_eq!(tallies, [-2.0, 4.0, -3.0, 1.0, 7.0, 7.0, 2.0, 5.0]);
    }
}
