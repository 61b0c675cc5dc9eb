//! Max pooling, backward: each input cell collects what the windows it won received.
//! Twin of `shaders/max_pool2d_backward.wgsl`; the shader gathers, the twin scatters.

use rayon::prelude::*;

pub use super::max_pool2d::Params as Geometry;
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

/// Rows of a plane that a task fills; the windows that reach into several are gone through for each.
const BAND: usize = 8;

/// Operands: winners, signal at the outputs, signal at the inputs.
pub fn cpu<F: Float>(params: &Params, winner: &[u32], r_out: &[F], r_in: &mut [F]) {
    let p = &params.pool;
    let channels = p.channels as usize;
    let (in_height, in_row) = (p.in_height as usize, p.in_width as usize * channels);
    let (out_height, out_row) = (p.out_height as usize, p.out_width as usize * channels);
    let out_plane = out_height * out_row;
    let reach = (p.kernel_height as usize - 1) * p.dilation_height as usize;
    let (stride, padding) = (p.stride_height as usize, p.padding_height as usize);
    let planes = r_in.par_chunks_mut((in_height * in_row).max(1));
    let planes = planes.zip(r_out.par_chunks(out_plane.max(1)));
    planes.enumerate().for_each(|(row, (r_in, r_out))| {
        let winner = &winner[row / params.repeat as usize * out_plane..][..out_plane];
        r_in.par_chunks_mut(BAND * in_row).enumerate().for_each(|(band, r_in)| {
            r_in.fill(F::ZERO);
            let first = band * BAND;
            let cells = first * p.in_width as usize * channels;
            // The windows that reach into the band.
            let start = (first + padding).saturating_sub(reach).div_ceil(stride);
            let end = (first + r_in.len() / in_row - 1 + padding) / stride + 1;
            let windows = start.min(out_height) * out_row..end.min(out_height) * out_row;
            let pixels = winner[windows.clone()].chunks_exact(channels);
            for (winner, r) in pixels.zip(r_out[windows].chunks_exact(channels)) {
                for (c, (&cell, &r)) in winner.iter().zip(r).enumerate() {
                    let at = (cell as usize * channels + c).wrapping_sub(cells);
                    if let Some(r_in) = r_in.get_mut(at) {
                        *r_in += r;
                    }
                }
            }
        });
    });
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
