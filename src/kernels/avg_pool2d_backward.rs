//! Transpose of average pooling: every tap gets the window's signal over the window's divisor.
//! Twin of `shaders/avg_pool2d_backward.wgsl`; each input row gets from the windows that hold it.

use std::ops::Range;

pub use super::avg_pool2d::Params as Geometry;
use super::parallel::{self, LANES};
use super::{kernel, lanes};
use crate::num::Float;

/// The pooling; `batch` counts rows of the signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params(pub Geometry);

kernel!("avg_pool2d_backward", [Read, Write]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = Geometry::FIELDS;

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        self.0.words()
    }

    /// One invocation an input value.
    pub fn workgroups(&self) -> [u32; 3] {
        let p = &self.0;
        lanes(p.batch * p.in_height * p.in_width * p.channels)
    }
}

/// Operands: signal at the outputs, signal at the inputs.
pub fn cpu<F: Float>(params: &Params, r_out: &[F], r_in: &mut [F]) {
    let p = &params.0;
    let channels = p.channels as usize;
    let [in_row, out_row] = [p.in_width, p.out_width].map(|width| width as usize * channels);
    let in_height = p.in_height as usize;
    parallel::pieces(
        r_in,
        in_row,
        #[inline(always)]
        |first, piece| {
            for (i, r_in) in piece.chunks_exact_mut(in_row).enumerate() {
                let line = first / in_row + i;
                let plane = line / in_height * p.out_height as usize;
                r_in.fill(F::ZERO);
                for y in p.rows_that_hold(line % in_height) {
                    let r_out = &r_out[(plane + y) * out_row..][..out_row];
                    for (x, r) in r_out.chunks_exact(channels).enumerate() {
                        let (_, columns, divisor) = p.window(y, x);
                        add_shares(r, F::from_f64(divisor as f64), columns, r_in);
                    }
                }
            }
        },
    );
}

/// Adds a window's signal over its divisor to those of a row's pixels that it holds.
#[inline(always)]
fn add_shares<F: Float>(r: &[F], divisor: F, columns: Range<usize>, r_in: &mut [F]) {
    let (blocks, rest) = r.as_chunks::<LANES>();
    let (channels, whole) = (r.len(), blocks.len() * LANES);
    for (block, r) in blocks.iter().enumerate() {
        let share = r.map(|r| r / divisor);
        for column in columns.clone() {
            let to = r_in[column * channels + block * LANES..].first_chunk_mut::<LANES>();
            for (to, share) in to.expect("a pixel has all channels").iter_mut().zip(share) {
                *to += share;
            }
        }
    }
    for (c, r) in rest.iter().enumerate() {
        for column in columns.clone() {
            r_in[column * channels + whole + c] += *r / divisor;
        }
    }
}
