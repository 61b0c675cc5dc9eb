//! Transpose of average pooling: every tap gets the window's signal over the window's divisor.
//! Twin of `shaders/avg_pool2d_backward.wgsl`; the shader gathers, the twin scatters.

use rayon::prelude::*;

pub use super::avg_pool2d::Params as Geometry;
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
    let out_plane = (p.out_height * p.out_width) as usize * channels;
    let in_plane = (p.in_height * p.in_width) as usize * channels;
    let rows = r_in.par_chunks_mut(in_plane.max(1)).zip(r_out.par_chunks(out_plane.max(1)));
    rows.for_each(|(r_in, r_out)| {
        r_in.fill(F::ZERO);
        for (position, r_out) in r_out.chunks_exact(channels).enumerate() {
            let (y, x) = (position / p.out_width as usize, position % p.out_width as usize);
            let (rows, columns, divisor) = p.window(y, x);
            let divisor = F::from_f64(divisor as f64);
            for row in rows {
                for column in columns.clone() {
                    let cell = (row * p.in_width as usize + column) * channels;
                    for (r_in, &r) in r_in[cell..][..channels].iter_mut().zip(r_out) {
                        *r_in += r / divisor;
                    }
                }
            }
        }
    });
}
