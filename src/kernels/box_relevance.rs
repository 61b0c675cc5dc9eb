//! What the z-box rule hands down through a convolution: `(a - low) c+ + (a - high) c-`, where `c+` and `c-`
//! are the transposes by the positive and the negative weights. Twin of `shaders/box_relevance.wgsl`.
//!
//! A weight is in one of the two sums. In 32 bit vectors hold pixels that lie side by side, and products are
//! sorted by the signs of the weights that a value of the signal meets, one for each channel: so each of
//! them is made once.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

pub use super::conv2d::Params as Geometry;
use super::conv2d::{Filters, TILE};
use super::conv_transpose2d::lattices;
use super::panels::{Lattice, WIDTH};
use super::sums::{PIECE, added};
use super::{Encoding, and_field, kernel};
use crate::num::Float;

/// The convolution with all of its weights, seen from the forward side: `batch` counts rows of the signal, the
/// bias fields play no part.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Params {
    /// The convolution.
    pub conv: Geometry,
    /// Rows of the signal for each picture.
    pub repeat: u32,
}

kernel!("box_relevance", [Read, ReadWeight, Read, Read, Write]);

impl Params {
    /// The fields of the uniform buffer.
    pub const FIELDS: &'static [(&'static str, usize)] = &and_field::<{ Geometry::FIELDS.len() + 1 }>(
        Geometry::FIELDS,
        ("repeat", std::mem::offset_of!(Params, repeat)),
    );

    /// The content of the uniform buffer.
    pub fn words(&self) -> Vec<u32> {
        let mut words = self.conv.words();
        words.push(self.repeat);
        words
    }

    /// Tiles of input positions that stand at the same place between two strides.
    pub fn workgroups(&self) -> [u32; 3] {
        let p = &self.conv;
        let cells = p.in_height.div_ceil(p.stride_height) * p.in_width.div_ceil(p.stride_width);
        let at_one_place = (p.batch * cells).div_ceil(TILE);
        p.tiles(at_one_place * p.stride_height * p.stride_width, 1)
    }
}

/// Whether it can be done: one group, one input channel or the three of colors, output channels in fours, and
/// weights of 32 bit.
pub const fn suits(p: &Geometry) -> bool {
    p.groups == 1
        && matches!(p.in_channels, 1 | 3)
        && p.out_channels.is_multiple_of(4)
        && p.stored == Encoding::F32.code()
}

/// Operands: the signal (`[row][row of pixels][column][output channel]`), packed filters, inputs (`[picture][row
/// of pixels][column][input channel]`), the bounds (`[low, high][input channel]`), what is handed down (as the
/// inputs, for each row of the signal).
pub fn cpu<F: Float>(
    p: &Params,
    s: &[F],
    w: Filters<'_, F>,
    a: &[F],
    bounds: &[F],
    out: &mut [F],
) {
    let Filters::Ready(w) = w else { unreachable!("filters of 32 bit are packed and at hand") };
    let plane = (p.conv.in_height * p.conv.in_width * p.conv.in_channels) as usize;
    let of_picture = |row: usize| &a[row / p.repeat as usize * plane..][..plane];
    let narrow = [s, w, a, bounds].map(F::as_f32);
    let ([Some(s), Some(w), Some(a), Some(bounds)], Some(out)) = (narrow, F::as_f32_mut(out)) else {
        let formula = Formula { p: &p.conv, lattices: &lattices(&p.conv), s, w, bounds };
        let planes = out.par_chunks_mut(plane.max(1)).enumerate();
        planes.for_each(|(row, out)| formula.plane(row, of_picture(row), out));
        return;
    };
    match p.conv.in_channels {
        1 => Sorted::<1>::new(&p.conv, w).run(p, s, a, bounds, out),
        _ => Sorted::<3>::new(&p.conv, w).run(p, s, a, bounds, out),
    }
}
