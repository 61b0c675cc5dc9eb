//! Lets a backward signal pass where the layer's output allows it: the backward half of ReLU in
//! its three readings (or of ReLU6), and the sign filter of the gamma rule. Twin of `shaders/gate.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// The outputs of each picture serve all its rows.
    pub struct Params {
        /// Values in all rows.
        pub total: u32,
        /// Values of a row.
        pub count: u32,
        /// Rows of a picture.
        pub repeat: u32,
        /// Which [`Mode`].
        pub mode: u32,
        /// Outputs at or below it are saturated (ReLU: 0).
        pub lower: f32,
        /// Outputs at or above it are saturated (ReLU6: 6).
        pub upper: f32,
    }
}

kernel!("gate", [Read, Read, Write]);

/// What lets a signal pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// An active output: the gradient.
    Active = 0,
    /// An active output and a positive signal: guided backprop (Springenberg et al. 2014).
    Guided = 1,
    /// A positive signal: deconvnet (Zeiler & Fergus 2014).
    Deconvnet = 2,
    /// A negative output.
    Negative = 3,
}

impl Params {
    /// Lets pass where the outputs, `count` for a picture, lie between the bounds.
    pub fn new(total: u32, count: u32, repeat: u32, mode: Mode, [lower, upper]: [f32; 2]) -> Self {
        Self { total, count, repeat, mode: mode as u32, lower, upper }
    }

    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: signal `g`, outputs of the layer `y`, what passes.
pub fn cpu<F: Float>(p: &Params, g: &[F], y: &[F], out: &mut [F]) {
    let (lower, upper) = (F::from_f32(p.lower), F::from_f32(p.upper));
    let active = |y: F| y > lower && y < upper;
    match p.mode {
        0 => pass(p, g, y, out, |_, y| active(y)),
        1 => pass(p, g, y, out, |g, y| active(y) && g > F::ZERO),
        2 => pass(p, g, y, out, |g, _| g > F::ZERO),
        _ => pass(p, g, y, out, |_, y| y < F::ZERO),
    }
}

fn pass<F: Float>(
    p: &Params,
    g: &[F],
    y: &[F],
    out: &mut [F],
    passes: impl Fn(F, F) -> bool + Sync,
) {
    let count = p.count as usize;
    parallel::rows(
        out,
        count,
        #[inline(always)]
        |row, start, out| {
            let y = &y[row / p.repeat as usize * count + start..][..out.len()];
            let g = &g[row * count + start..][..out.len()];
            for ((out, &g), &y) in out.iter_mut().zip(g).zip(y) {
                *out = if passes(g, y) { g } else { F::ZERO };
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(mode: Mode) -> [f32; 4] {
        let p = Params::new(4, 4, 1, mode, [0.0, 6.0]);
        let mut out = [9.0; 4];
        cpu(&p, &[1.0, -1.0, 1.0, 1.0], &[2.0, 2.0, 0.0, 6.0], &mut out);
        out
    }

    #[test]
    fn the_three_readings_of_relu_differ() {
        assert_eq!(passed(Mode::Active), [1.0, -1.0, 0.0, 0.0]);
        assert_eq!(passed(Mode::Guided), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(passed(Mode::Deconvnet), [1.0, 0.0, 1.0, 1.0]);
        assert_eq!(passed(Mode::Negative), [0.0, 0.0, 0.0, 0.0]);
    }
}
