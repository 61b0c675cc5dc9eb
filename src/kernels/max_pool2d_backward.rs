//! Max pooling, backward: each input cell collects what the windows it won received.
//! Twin of `shaders/max_pool2d_backward.wgsl`.

use std::hint::select_unpredictable;

pub use super::max_pool2d::Params as Geometry;
use super::parallel::{self, LANES};
use super::windows::Windows;
use super::{and_field, kernel, lanes};
use crate::num::Float;

/// The pooling, and how many rows of signal each picture has.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Params {
    /// The pooling; `batch` counts rows of the signal.
    pub pool: Geometry,
    /// Rows of a picture.
    pub repeat: u32,
}

kernel!("max_pool2d_backward", [ReadIndex, Read, Write]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = &and_field::<{ Geometry::FIELDS.len() + 1 }>(
        Geometry::FIELDS,
        ("repeat", std::mem::offset_of!(Params, repeat)),
    );

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        let mut words = self.pool.words();
        words.push(self.repeat);
        words
    }

    /// One invocation an input value.
    pub fn workgroups(&self) -> [u32; 3] {
        let p = &self.pool;
        lanes(p.batch * p.in_height * p.in_width * p.channels)
    }
}

/// Operands: winners, signal at the outputs, signal at the inputs.
pub fn cpu<F: Float>(params: &Params, winner: &[u32], r_out: &[F], r_in: &mut [F]) {
    let p = &params.pool;
    let channels = p.channels as usize;
    let [in_height, in_width] = [p.in_height, p.in_width].map(|length| length as usize);
    let [out_height, out_width] = [p.out_height, p.out_width].map(|length| length as usize);
    let plane = out_height * out_width * channels;
    let taps = [p.kernel_height, p.dilation_height];
    let down = Windows::new(taps, p.stride_height, p.padding_height, p.out_height);
    let taps = [p.kernel_width, p.dilation_width];
    let across = Windows::new(taps, p.stride_width, p.padding_width, p.out_width);
    parallel::pieces(
        r_in,
        channels,
        #[inline(always)]
        |first, piece| {
            let mut windows = Vec::new();
            for (i, r_in) in piece.chunks_exact_mut(channels).enumerate() {
                let position = first / channels + i;
                let (line, x) = (position / in_width, position % in_width);
                let (row, y) = (line / in_height, line % in_height);
                windows.clear();
                for y in down.that_reach(y) {
                    windows.extend(across.that_reach(x).map(|x| y * out_width + x));
                }
                let of_picture = row / params.repeat as usize * plane;
                let (winner, r_out) = (&winner[of_picture..], &r_out[row * plane..]);
                let cell = (y * in_width + x) as u32;
                collect(cell, &windows, &winner[..plane], &r_out[..plane], r_in);
            }
        },
    );
}

/// What a cell receives from the windows that it won, for each channel.
#[inline(always)]
fn collect<F: Float>(cell: u32, windows: &[usize], winner: &[u32], r_out: &[F], r_in: &mut [F]) {
    let channels = r_in.len();
    let (r_in, rest) = r_in.as_chunks_mut::<LANES>();
    for (block, r_in) in r_in.iter_mut().enumerate() {
        let mut sums = [F::ZERO; LANES];
        for window in windows {
            let at = window * channels + block * LANES;
            let has_all = "a window has all channels";
            let winner = winner[at..].first_chunk::<LANES>().expect(has_all);
            let r = r_out[at..].first_chunk::<LANES>().expect(has_all);
            for lane in 0..LANES {
                // No jumps, which would keep lanes from being compared at once.
                sums[lane] += select_unpredictable(winner[lane] == cell, r[lane], F::ZERO);
            }
        }
        *r_in = sums;
    }
    let first = channels - rest.len();
    for (c, r_in) in rest.iter_mut().enumerate() {
        let of_windows = windows.iter().map(|window| window * channels + first + c);
        *r_in = F::ZERO;
        for at in of_windows.filter(|at| winner[*at] == cell) {
            *r_in += r_out[at];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relevance_goes_to_the_winner() {
        // Two 2x2 windows side by side; cell 5 wins the first, cell 2 the second.
        let pool = Geometry {
            batch: 1,
            channels: 1,
            in_height: 2,
            in_width: 4,
            out_height: 1,
            out_width: 2,
            kernel_height: 2,
            kernel_width: 2,
            stride_height: 2,
            stride_width: 2,
            padding_height: 0,
            padding_width: 0,
            dilation_height: 1,
            dilation_width: 1,
        };
        let mut r_in = [0.0; 8];
        cpu(&Params { pool, repeat: 1 }, &[5, 2], &[1.0, 3.0], &mut r_in);
        #[rustfmt::skip]
        assert_eq!(r_in, [
            0.0, 0.0, 3.0, 0.0,
            0.0, 1.0, 0.0, 0.0,
        ]);
    }
}
