//! The sum of each row. Twin of `shaders/sum_rows.wgsl`.

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

kernel!("sum_rows", [Read, Write]);

impl Params {
    /// One workgroup a row.
    pub fn workgroups(&self) -> [u32; 3] {
        [self.rows, 1, 1]
    }
}

/// Operands: rows, sums.
pub fn cpu<F: Float>(p: &Params, rows: &[F], sums: &mut [F]) {
    for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(p.count as usize)) {
        *sum = F::from_f64(row.iter().map(|r| r.to_f64()).sum());
    }
}
