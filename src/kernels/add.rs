//! `y = a + b`: residual connections, and relevances that meet where a layer's output is used
//! twice. Twin of `shaders/add.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// Equal shapes.
    pub struct Params {
        /// Values.
        pub total: u32,
    }
}

kernel!("add", [Read, Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: `a`, `b`, `y`.
pub fn cpu<F: Float>(_: &Params, a: &[F], b: &[F], y: &mut [F]) {
    parallel::pieces(
        y,
        1,
        #[inline(always)]
        |first, y| {
            let (a, b) = (&a[first..][..y.len()], &b[first..][..y.len()]);
            y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = a + b);
        },
    );
}
