//! The outputs of a layer that are explained, by their numbers. Twin of `shaders/gather.wgsl`.

use super::{kernel, lanes, params};

params! {
    /// As many numbers for each picture.
    pub struct Params {
        /// Numbers.
        pub rows: u32,
        /// Outputs of a picture.
        pub count: u32,
        /// Numbers of a picture.
        pub repeat: u32,
    }
}

kernel!("gather", [ReadIndex, Read, Write]);

impl Params {
    /// One invocation a number.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.rows)
    }
}

/// Operands: numbers, outputs `y`, values. A number past the last output counts as the last.
pub fn cpu<F: Copy>(p: &Params, units: &[u32], y: &[F], values: &mut [F]) {
    let pictures = y.chunks_exact(p.count as usize);
    let rows =
        units.chunks_exact(p.repeat as usize).zip(values.chunks_exact_mut(p.repeat as usize));
    for (y, (units, values)) in pictures.zip(rows) {
        for (unit, value) in units.iter().zip(values) {
            *value = y[(*unit).min(p.count - 1) as usize];
        }
    }
}
