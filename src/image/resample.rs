//! Bilinear resampling with antialiasing, bit for bit as Pillow's `resize`.
//!
//! (Pillow 12.3 goes along columns first where a picture is more than 100 times as
//! high as wide, and Pillow 13 where its height shrinks much more than its width;
//! single values then differ by 1.)
//!
//! Each output pixel is a weighted mean, `out[i] = sum over j of w[i][j] * in[j]`,
//! first along rows, then along columns, rounded to 8 bits after each. The weights
//! are a triangle around the pixel's centre, as wide as two output pixels or two
//! input pixels, whichever is more, in fixed point with 22 fractional bits.

use std::ops::Range;

use super::picture::Picture;
use crate::Result;

const FRACTION_BITS: u32 = 22;
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// Resizes to `scaled` (width, height), and computes only the given part of it.
pub(super) fn resample(
    picture: &Picture,
    scaled: (u32, u32),
    columns: Range<u32>,
    rows: Range<u32>,
) -> Result<Picture> {
    let (width, height) = (columns.len() as u32, rows.len() as u32);
    let across: Vec<Taps> = columns.map(|x| Taps::new(picture.width(), scaled.0, x)).collect();
    let down: Vec<Taps> = rows.map(|y| Taps::new(picture.height(), scaled.1, y)).collect();

    // The weights' centres grow, so the first and the last output row span the input rows.
    let first = down.first().map_or(0, |taps| taps.first);
    let end = down.last().map_or(0, Taps::end);
    let row_length = picture.width() as usize * 3;
    let source = &picture.pixels()[first * row_length..end * row_length];
    let mut narrow = Vec::with_capacity((end - first) * across.len() * 3);
    for row in source.chunks_exact(row_length) {
        narrow.extend(across.iter().flat_map(|taps| taps.mean_pixel(row)));
    }

    let row_length = across.len() * 3;
    let mut pixels = Vec::with_capacity(down.len() * row_length);
    for taps in &down {
        pixels.extend(taps.mean_row(&narrow[(taps.first - first) * row_length..], row_length));
    }
    Picture::new(width, height, pixels)
}

/// The weights of one output position along an axis.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Taps {
    fn new(in_length: u32, out_length: u32, position: u32) -> Self {
        let scale = f64::from(in_length) / f64::from(out_length);
        let support = scale.max(1.0);
        let center = (f64::from(position) + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as u32;
        let end = ((center + support + 0.5) as u32).min(in_length);
        let triangle = |j: u32| {
            let distance = (f64::from(j) - center + 0.5) * (1.0 / support);
            (1.0 - distance.abs()).max(0.0)
        };
        let sum: f64 = (first..end).map(triangle).sum();
        let fixed = |j| (triangle(j) / sum * f64::from(1 << FRACTION_BITS) + 0.5) as i32;
        Self { first: first as usize, weights: (first..end).map(fixed).collect() }
    }

    fn end(&self) -> usize {
        self.first + self.weights.len()
    }

    /// The mean of the pixels of a row.
    fn mean_pixel(&self, row: &[u8]) -> [u8; 3] {
        let mut sum = [HALF; 3];
        for (&weight, pixel) in self.weights.iter().zip(row[self.first * 3..].chunks_exact(3)) {
            for channel in 0..3 {
                sum[channel] += weight * i32::from(pixel[channel]);
            }
        }
        sum.map(to_byte)
    }

    /// The mean of rows, the first of which starts `rows`.
    fn mean_row(&self, rows: &[u8], row_length: usize) -> impl Iterator<Item = u8> {
        let mut sum = vec![HALF; row_length];
        for (&weight, row) in self.weights.iter().zip(rows.chunks_exact(row_length)) {
            for (sum, &value) in sum.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        sum.into_iter().map(to_byte)
    }
}

fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, values: &[u8]) -> Picture {
        let pixels = values.iter().flat_map(|&value| [value; 3]).collect();
        Picture::new(width, height, pixels).expect("the length fits")
    }

    fn resized(picture: &Picture, width: u32, height: u32) -> Vec<u8> {
        let scaled = resample(picture, (width, height), 0..width, 0..height);
        scaled.expect("it is not empty").pixels().iter().copied().step_by(3).collect()
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let values: Vec<u8> = (0..35).map(|i| i * 7).collect();
        assert_eq!(resized(&grey(7, 5, &values), 7, 5), values);
    }

    #[test]
    fn halving_weights_the_neighbours_by_their_distance() {
        // Centre 1, support 2: pixels 0, 1, 2 at distance -1/4, 1/4, 3/4 weigh
        // 3/4, 3/4, 1/4; divided by 7/4: 3/7, 3/7, 1/7. And the other way round.
        // (0 + 3*70 + 140)/7 = 50, (70 + 3*140 + 3*210)/7 = 160.
        assert_eq!(resized(&grey(4, 1, &[0, 70, 140, 210]), 2, 1), [50, 160]);
        assert_eq!(resized(&grey(1, 4, &[0, 70, 140, 210]), 1, 2), [50, 160]);
    }

    #[test]
    fn doubling_interpolates_between_neighbours() {
        // Centres 1/4, 3/4, 5/4, 7/4; pixel centres 1/2 and 3/2: 3/4 and 1/4 of each.
        assert_eq!(resized(&grey(2, 1, &[0, 100]), 4, 1), [0, 25, 75, 100]);
    }

    #[test]
    fn the_values_are_pillows() {
        // Image.fromarray(..).resize((3, 7), Image.BILINEAR), and (7, 3), Pillow 12.3.
        let values: Vec<u8> = (0..20).map(|i: u8| i.wrapping_mul(97).wrapping_add(13)).collect();
        #[rustfmt::skip]
        assert_eq!(resized(&grey(5, 4, &values), 3, 7), [
            55, 150, 103,
            98, 140, 93,
            166, 125, 78,
            161, 138, 118,
            145, 151, 157,
            130, 136, 142,
            120, 126, 132,
        ]);
        #[rustfmt::skip]
        assert_eq!(resized(&grey(5, 4, &values), 7, 3), [
            82, 93, 130, 199, 85, 82, 137,
            229, 138, 98, 167, 144, 123, 105,
            196, 105, 65, 134, 203, 163, 72,
        ]);
    }

    #[test]
    fn a_part_equals_that_part_of_the_whole() {
        let values: Vec<u8> = (0..=255).map(|i: u8| i.wrapping_mul(151) ^ 90).collect();
        let picture = grey(16, 16, &values);
        let whole = resample(&picture, (11, 23), 0..11, 0..23).expect("it is not empty");
        let part = resample(&picture, (11, 23), 3..8, 9..20).expect("it is not empty");
        for (x, y) in (0..5).flat_map(|x| (0..11).map(move |y| (x, y))) {
            assert_eq!(part.pixel(x, y), whole.pixel(x + 3, y + 9));
        }
    }

    #[test]
    fn white_stays_white_at_any_scale() {
        for (from, to) in [(2, 999), (999, 2), (3, 7), (65_535, 3)] {
            let white = grey(from, 1, &vec![255; from as usize]);
            assert!(resized(&white, to, 1).iter().all(|&value| value == 255), "{from} {to}");
        }
    }
}
