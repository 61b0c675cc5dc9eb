//! Numbers of units become weights of all units: 1 at the unit and 0 elsewhere, or the other way
//! round. Twin of `shaders/one_hot.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// A row for each unit.
    pub struct Params {
        /// Weights in all rows.
        pub total: u32,
        /// Weights of a row.
        pub count: u32,
        /// 1: 0 at the unit and 1 elsewhere.
        pub others: u32,
    }
}

kernel!("one_hot", [ReadIndex, Write]);

impl Params {
    /// One invocation a weight.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: units (beyond the last one, the last), rows.
pub fn cpu<F: Float>(p: &Params, units: &[u32], rows: &mut [F]) {
    let count = p.count as usize;
    let (at_unit, elsewhere) = if p.others == 0 { (F::ONE, F::ZERO) } else { (F::ZERO, F::ONE) };
    parallel::each(rows, |i, weight| {
        let unit = (units[i / count] as usize).min(count - 1);
        *weight = if i % count == unit { at_unit } else { elsewhere };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_set_apart() {
        let weights = |others| {
            let mut rows = [9.0; 6];
            cpu(&Params { total: 6, count: 3, others }, &[1, 7], &mut rows);
            rows
        };
        assert_eq!(weights(0), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(weights(1), [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
    }
}
