//! `y = clamp(a, low, high) * scale`: ReLU, ReLU6, positive and negative parts, negation.
//! Twin of `shaders/clamp.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// One function for all values.
    pub struct Params {
        /// Values.
        pub total: u32,
        /// The smallest value let through.
        pub low: f32,
        /// The largest value let through.
        pub high: f32,
        /// The factor afterwards.
        pub scale: f32,
    }
}

kernel!("clamp", [Read, Write]);

impl Params {
    /// `max(a, 0)`.
    pub fn relu(total: u32) -> Self {
        Self { total, low: 0.0, high: f32::MAX, scale: 1.0 }
    }

    /// `min(a, 0)`.
    pub fn negative(total: u32) -> Self {
        Self { total, low: f32::MIN, high: 0.0, scale: 1.0 }
    }

    /// `-a`.
    pub fn negate(total: u32) -> Self {
        Self::scale(total, -1.0)
    }

    /// `a * scale`.
    pub fn scale(total: u32, scale: f32) -> Self {
        Self { total, low: f32::MIN, high: f32::MAX, scale }
    }

    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: `a`, `y`.
pub fn cpu<F: Float>(p: &Params, a: &[F], y: &mut [F]) {
    let (low, high, scale) = (F::from_f32(p.low), F::from_f32(p.high), F::from_f32(p.scale));
    parallel::pieces(
        y,
        1,
        #[inline(always)]
        |first, piece| {
            for (y, &a) in piece.iter_mut().zip(&a[first..]) {
                *y = a.maximum(low).minimum(high) * scale;
            }
        },
    );
}
