//! Max pooling that records its switches: the first maximum in scan order wins, padding never.
//! Twin of `shaders/max_pool2d.wgsl`.

use super::parallel::{self, LANES};
use super::{kernel, lanes, params};
use crate::num::Float;

params! {
    /// A window sliding over each channel.
    pub struct Params {
        /// Pictures.
        pub batch: u32,
        /// Channels.
        pub channels: u32,
        /// Rows of the input.
        pub in_height: u32,
        /// Columns of the input.
        pub in_width: u32,
        /// Rows of the output.
        pub out_height: u32,
        /// Columns of the output.
        pub out_width: u32,
        /// Rows of the window.
        pub kernel_height: u32,
        /// Columns of the window.
        pub kernel_width: u32,
        /// Rows from window to window.
        pub stride_height: u32,
        /// Columns from window to window.
        pub stride_width: u32,
        /// Rows of padding above.
        pub padding_height: u32,
        /// Columns of padding to the left.
        pub padding_width: u32,
        /// Rows from tap to tap.
        pub dilation_height: u32,
        /// Columns from tap to tap.
        pub dilation_width: u32,
    }
}

kernel!("max_pool2d", [Read, Write, WriteIndex]);

impl Params {
    /// One invocation an output value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.batch * self.out_height * self.out_width * self.channels)
    }
}

/// Operands: input, maxima, winners as `row * in_width + column`.
pub fn cpu<F: Float>(p: &Params, a: &[F], out: &mut [F], winner: &mut [u32]) {
    let channels = p.channels as usize;
    let plane = (p.in_height * p.in_width) as usize * channels;
    let out_positions = (p.out_height * p.out_width) as usize;
    parallel::pieces_of_two(
        out,
        winner,
        channels,
        #[inline(always)]
        |first, out, winner| {
            let mut cells = Vec::with_capacity((p.kernel_height * p.kernel_width) as usize);
            let windows = out.chunks_exact_mut(channels).zip(winner.chunks_exact_mut(channels));
            for (i, (out, winner)) in windows.enumerate() {
                let at = first / channels + i;
                let (image, position) = (at / out_positions, at % out_positions);
                let (y, x) = (position / p.out_width as usize, position % p.out_width as usize);
                list_cells(p, y, x, &mut cells);
                find_maxima(&a[image * plane..][..plane], &cells, out, winner);
            }
        },
    );
}

/// The cells of the window of output `(y, x)`, in scan order.
fn list_cells(p: &Params, y: usize, x: usize, cells: &mut Vec<usize>) {
    cells.clear();
    for ky in 0..p.kernel_height as usize {
        let padded = y * p.stride_height as usize + ky * p.dilation_height as usize;
        let Some(in_y) = super::conv2d::inside(padded, p.padding_height, p.in_height) else {
            continue;
        };
        for kx in 0..p.kernel_width as usize {
            let padded = x * p.stride_width as usize + kx * p.dilation_width as usize;
            if let Some(in_x) = super::conv2d::inside(padded, p.padding_width, p.in_width) {
                cells.push(in_y * p.in_width as usize + in_x);
            }
        }
    }
}

/// The maximum of each channel among the cells of a plane, and which cell has it.
#[inline(always)]
fn find_maxima<F: Float>(a: &[F], cells: &[usize], out: &mut [F], winner: &mut [u32]) {
    let channels = out.len();
    let (out, out_rest) = out.as_chunks_mut::<LANES>();
    let (winner, winner_rest) = winner.as_chunks_mut::<LANES>();
    for (block, (out, winner)) in out.iter_mut().zip(winner).enumerate() {
        let (mut most, mut best) = ([F::ZERO; LANES], [0; LANES]);
        for (i, &cell) in cells.iter().enumerate() {
            let candidates: &[F; LANES] = a[cell * channels + block * LANES..]
                .first_chunk()
                .expect("a cell has all channels");
            for lane in 0..LANES {
                let is_more = i == 0 || candidates[lane] > most[lane];
                most[lane] = if is_more { candidates[lane] } else { most[lane] };
                best[lane] = if is_more { cell as u32 } else { best[lane] };
            }
        }
        (*out, *winner) = (most, best);
    }
    let first = channels - out_rest.len();
    for (c, (out, winner)) in out_rest.iter_mut().zip(winner_rest).enumerate() {
        for (i, &cell) in cells.iter().enumerate() {
            let candidate = a[cell * channels + first + c];
            if i == 0 || candidate > *out {
                (*out, *winner) = (candidate, cell as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_maximum_wins_and_padding_never() {
        // One channel, 2x2, all negative; 2x2 windows with padding 1 see one cell each.
        let p = Params {
            batch: 1,
            channels: 1,
            in_height: 2,
            in_width: 2,
            out_height: 2,
            out_width: 2,
            kernel_height: 2,
            kernel_width: 2,
            stride_height: 2,
            stride_width: 2,
            padding_height: 1,
            padding_width: 1,
            dilation_height: 1,
            dilation_width: 1,
        };
        let (mut out, mut winner) = ([0.0; 4], [9; 4]);
        cpu(&p, &[-1.0, -2.0, -3.0, -4.0], &mut out, &mut winner);
        assert_eq!(out, [-1.0, -2.0, -3.0, -4.0]);
        assert_eq!(winner, [0, 1, 2, 3]);
        // One window over four equal cells: the first in scan order.
        let p = Params { out_height: 1, out_width: 1, padding_height: 0, padding_width: 0, ..p };
        let (mut out, mut winner) = ([0.0], [9]);
        cpu(&p, &[5.0, 5.0, 5.0, 5.0], &mut out, &mut winner);
        assert_eq!((out, winner), ([5.0], [0]));
    }
}
