//! The weighted sums of a layer's outputs. Twin of `shaders/dot_rows.wgsl`.

use super::{kernel, params};
use crate::num::Float;

params! {
    /// The outputs of each picture serve all its rows.
    pub struct Params {
        /// Rows of weights.
        pub rows: u32,
        /// Values of a row.
        pub count: u32,
        /// Rows of a picture.
        pub repeat: u32,
    }
}

kernel!("dot_rows", [Read, Read, Write]);

impl Params {
    /// One workgroup a row.
    pub fn workgroups(&self) -> [u32; 3] {
        [self.rows, 1, 1]
    }
}

/// Operands: weights `w`, outputs `y`, sums.
pub fn cpu<F: Float>(p: &Params, w: &[F], y: &[F], sums: &mut [F]) {
    let count = p.count as usize;
    for (row, (sum, w)) in sums.iter_mut().zip(w.chunks_exact(count)).enumerate() {
        let y = &y[row / p.repeat as usize * count..][..count];
        *sum = F::from_f64(w.iter().zip(y).map(|(w, y)| w.to_f64() * y.to_f64()).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_meets_the_outputs_of_its_picture() {
        let p = Params { rows: 3, count: 2, repeat: 2 };
        let mut sums = [9.0; 3];
        cpu(&p, &[1.0, 0.0, 0.5, 0.5, 2.0, -1.0], &[3.0, 5.0, 7.0, 1.0], &mut sums);
        // 3; (3 + 5) / 2; 14 - 1
        assert_eq!(sums, [3.0, 4.0, 13.0]);
    }
}
