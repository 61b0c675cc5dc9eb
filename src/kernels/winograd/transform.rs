//! How windows of inputs come to be what products are made of: `B^T d B`.

use pulp::Simd;

use super::{POINTS, Run, SIDE, STEP};
use crate::kernels::ahead::fetch_further;

impl Run<'_> {
    /// Brings the windows into the room, `[point][window][channel]`: `B^T d B`.
    #[inline(always)]
    pub(super) fn transform<S: Simd>(&mut self, simd: S) {
        let (channels, cells) = (self.filters.in_channels, self.cells());
        let (count, [down, across]) = (cells.len(), self.cells_along());
        let mut room = std::mem::take(self.room);
        room.resize(POINTS * count * channels);
        let [height, width] = self.p.input().size;
        let padding = [self.p.padding_height as usize, self.p.padding_width as usize];
        for (i, cell) in cells.enumerate() {
            let plane = cell / (down * across);
            let [y, x] = [STEP * (cell / across % down), STEP * (cell % across)];
            let pixels: [&[S::f32s]; POINTS] = std::array::from_fn(|point| {
                // What is in the padding before is past every end.
                let y = (y + point / SIDE).wrapping_sub(padding[0]);
                let x = (x + point % SIDE).wrapping_sub(padding[1]);
                let is_inside = y < height && x < width;
                let first = (plane * height + y.min(height)) * width + x.min(width);
                let pixel = match is_inside {
                    true => &self.a[first * channels..][..channels],
                    false => self.nothing,
                };
                S::as_simd_f32s(pixel).0
            });
            // The pixels of the window after the next one that it does not share with that.
            let further = 2 * STEP * channels;
            for row in pixels.chunks_exact(SIDE) {
                fetch_further(
                    bytemuck::cast_slice(row[SIDE - STEP]),
                    further..further + STEP * channels,
                );
            }
            let mut points = room
                .chunks_exact_mut(count * channels)
                .map(|point| S::as_mut_simd_f32s(&mut point[i * channels..][..channels]).0);
            let points: [&mut [S::f32s]; POINTS] =
                std::array::from_fn(|_| points.next().expect("the room has all points"));
            for c in 0..channels / S::F32_LANES {
                let mut rows = [[simd.splat_f32s(0.0); SIDE]; SIDE];
                for (i, row) in rows.iter_mut().enumerate() {
                    let pixels = &pixels[SIDE * i..][..SIDE];
                    let window = [pixels[0][c], pixels[1][c], pixels[2][c], pixels[3][c]];
                    *row = input_points(simd, window);
                }
                for j in 0..SIDE {
                    let column = [rows[0][j], rows[1][j], rows[2][j], rows[3][j]];
                    let column = input_points(simd, column);
                    for i in 0..SIDE {
                        points[SIDE * i + j][c] = column[i];
                    }
                }
            }
        }
        *self.room = room;
    }
}

/// A row of `B^T d`.
#[inline(always)]
fn input_points<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; SIDE]) -> [S::f32s; SIDE] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}
