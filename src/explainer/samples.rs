//! The changed pictures of sampled methods.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::methods::{Quadrature, Samples};
use crate::num::mix;
use crate::tensor::{Shape, Tensor};

/// The numbers of sampled methods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// SmoothGrad: noisy pictures; the last one has no noise, as zennit's.
    pub noisy: usize,
    /// SmoothGrad: the noise's standard deviation, as a share of the range of the picture's values.
    pub noise: f64,
    /// Integrated gradients by equal steps: how many.
    pub riemann: usize,
    /// Integrated gradients by Gauss and Legendre: how many points.
    pub gauss: usize,
    /// Occlusion: rows and columns of the window, at most those of the picture.
    pub window: [usize; 2],
    /// Occlusion: rows and columns from window to window.
    pub stride: [usize; 2],
    /// RISE: masks.
    pub masks: usize,
    /// RISE: cells of a mask in each direction.
    pub cells: usize,
    /// RISE: the probability that a cell stays.
    pub keep: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            noisy: 20,
            noise: 0.1,
            riemann: 20,
            gauss: 50,
            window: [16; 2],
            stride: [8; 2],
            masks: 4000,
            cells: 7,
            keep: 0.5,
        }
    }
}

impl Sampling {
    /// Whether the numbers make sense.
    pub(super) fn check(&self) -> Result<()> {
        let counts = [
            ("number of noisy pictures", self.noisy),
            ("number of steps", self.riemann),
            ("number of points", self.gauss),
            ("rows of the window", self.window[0]),
            ("columns of the window", self.window[1]),
            ("rows from window to window", self.stride[0]),
            ("columns from window to window", self.stride[1]),
            ("number of masks", self.masks),
        ];
        const MOST: usize = 1_000_000_000;
        // Each takes steps for all of them.
        const MOST_POINTS: usize = 10_000;
        const MOST_CELLS: usize = 1024;
        let wrong = |what, found: String, expected: &str| {
            Err(Error::Setting { what, found, expected: expected.to_owned() })
        };
        let is_wrong = |count: &usize| !(1..=MOST).contains(count);
        if let Some((what, count)) = counts.into_iter().find(|(_, count)| is_wrong(count)) {
            return wrong(what, count.to_string(), &format!("1 to {MOST}"));
        }
        if self.gauss > MOST_POINTS {
            let expected = format!("1 to {MOST_POINTS}");
            return wrong("number of points", self.gauss.to_string(), &expected);
        }
        if !(2..=MOST_CELLS).contains(&self.cells) {
            let expected = format!("2 to {MOST_CELLS}");
            return wrong("number of cells", self.cells.to_string(), &expected);
        }
        if !(self.noise.is_finite() && self.noise >= 0.0) {
            return wrong("noise", self.noise.to_string(), "a finite number of 0 or more");
        }
        if !(self.keep > 0.0 && self.keep <= 1.0) {
            return wrong("share of cells that stay", self.keep.to_string(), "above 0, at most 1");
        }
        Ok(())
    }

    /// Whether the window is no larger than the picture, as Captum asks, too.
    pub(super) fn check_window(&self, shape: Shape) -> Result<()> {
        let sides = [
            ("rows of the window", self.window[0], shape.height),
            ("columns of the window", self.window[1], shape.width),
        ];
        match sides.into_iter().find(|(_, window, size)| window > size) {
            None => Ok(()),
            Some((what, window, size)) => {
                let expected = format!("1 to {size}, as the picture has");
                Err(Error::Setting { what, found: window.to_string(), expected })
            }
        }
    }

    /// How many changed pictures there are.
    pub(super) fn count(&self, samples: Samples, shape: Shape) -> usize {
        match samples {
            Samples::Noise(_) => self.noisy,
            Samples::Path(Quadrature::Riemann) => self.riemann,
            Samples::Path(Quadrature::GaussLegendre) => self.gauss,
            Samples::Windows => self.windows(shape).len(),
            Samples::Masks => self.masks,
        }
    }

    /// Rows and columns of each window, cut off at the border. The last ones may reach past it, as
    /// Captum's do.
    fn windows(&self, shape: Shape) -> Vec<[Range<usize>; 2]> {
        let along = |size: usize, window: usize, stride: usize| {
            // A stride wider than the window can lead past the border at once.
            let last = size.saturating_sub(window).div_ceil(stride).min((size - 1) / stride);
            (0..=last).map(move |i| i * stride..(i * stride).saturating_add(window).min(size))
        };
        let rows = along(shape.height, self.window[0], self.stride[0]);
        let cut = |rows: Range<usize>| {
            let columns = along(shape.width, self.window[1], self.stride[1]);
            columns.map(move |columns| [rows.clone(), columns])
        };
        rows.flat_map(cut).collect()
    }
}

/// A changed picture and what its result counts.
pub(super) struct Sample {
    pub(super) picture: Vec<f64>,
    pub(super) weight: f64,
    /// Which pixels get the result: a number for each.
    pub(super) mask: Option<Vec<f64>>,
}

impl Sampling {
    /// The changed pictures of a method.
    pub(super) fn samples<'a>(
        &self,
        samples: Samples,
        picture: &'a Tensor,
        seed: u64,
    ) -> Box<dyn Iterator<Item = Sample> + 'a> {
        let sampling = *self;
        let along = move |(alpha, weight): (f64, f64)| {
            let scaled = picture.values().iter().map(|x| f64::from(*x) * alpha);
            Sample { picture: scaled.collect(), weight, mask: None }
        };
        match samples {
            Samples::Noise(_) => Box::new((0..sampling.noisy).map(move |i| {
                let is_last = i + 1 == sampling.noisy;
                let scale = if is_last { 0.0 } else { sampling.noise };
                let picture = noisy(picture, scale, seed, i as u64);
                Sample { picture, weight: 1.0 / sampling.noisy as f64, mask: None }
            })),
            Samples::Path(Quadrature::Riemann) => {
                let steps = sampling.riemann as f64;
                Box::new(
                    (1..=sampling.riemann).map(move |i| along((i as f64 / steps, 1.0 / steps))),
                )
            }
            Samples::Path(Quadrature::GaussLegendre) => {
                Box::new(gauss_legendre(sampling.gauss).map(along))
            }
            Samples::Windows => {
                let windows = sampling.windows(picture.shape());
                Box::new(windows.into_iter().map(move |window| covered(picture, window)))
            }
            Samples::Masks => Box::new((0..sampling.masks).map(move |i| {
                let shape = picture.shape();
                let mask = mask(shape, sampling.cells, sampling.keep, seed, i as u64);
                let seen = picture.values().iter().zip(mask.iter().cycle());
                let seen = seen.map(|(x, m)| f64::from(*x) * m).collect();
                let weight = 1.0 / (sampling.masks as f64 * sampling.keep);
                Sample { picture: seen, weight, mask: Some(mask) }
            })),
        }
    }
}

/// Number `i` of stream `t`.
fn drawn(seed: u64, t: u64, i: u64) -> u64 {
    let start = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mix(start.wrapping_add(t.wrapping_mul(0xD1B5_4A32_D192_ED03)).wrapping_add(i))
}

/// Uniform in \[0, 1).
fn uniform(seed: u64, t: u64, i: u64) -> f64 {
    (drawn(seed, t, i) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The picture with normal noise of that share of its range (Box and Muller's method).
fn noisy(picture: &Tensor, scale: f64, seed: u64, sample: u64) -> Vec<f64> {
    let of = |pick: fn(f32, f32) -> f32, from| picture.values().iter().copied().fold(from, pick);
    let range = f64::from(of(f32::max, f32::NEG_INFINITY)) - f64::from(of(f32::min, f32::INFINITY));
    let noise = |i: u64| {
        let radius = ((drawn(seed, sample, 2 * i) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        let angle = std::f64::consts::TAU * uniform(seed, sample, 2 * i + 1);
        (-2.0 * radius.ln()).sqrt() * angle.cos()
    };
    let values = picture.values().iter().enumerate();
    values.map(|(i, x)| f64::from(*x) + scale * range * noise(i as u64)).collect()
}

/// The picture with a window set to 0: the mean of all pictures, as they are normalised.
fn covered(picture: &Tensor, [rows, columns]: [Range<usize>; 2]) -> Sample {
    let Shape { channels, height, width } = picture.shape();
    let mut values: Vec<f64> = picture.values().iter().copied().map(f64::from).collect();
    let mut mask = vec![0.0; height * width];
    for row in rows {
        mask[row * width..][columns.clone()].fill(1.0);
        for channel in 0..channels {
            values[(channel * height + row) * width..][columns.clone()].fill(0.0);
        }
    }
    Sample { picture: values, weight: 1.0, mask: Some(mask) }
}

/// A mask of RISE: cells of 0 and 1, brought to a size a cell larger than the picture's and cut
/// out at random, as TorchRay does it.
fn mask(shape: Shape, cells: usize, keep: f64, seed: u64, number: u64) -> Vec<f64> {
    let kept = |row: usize, column: usize| {
        let is_kept = uniform(seed, number, (row * cells + column) as u64) < keep;
        f64::from(u8::from(is_kept))
    };
    let shift = |size: usize, i: usize| {
        let share = uniform(seed, number, (cells * cells + i) as u64);
        (share * size.div_ceil(cells) as f64) as usize
    };
    // Two cells of the grid, extended by reflection, and the share of the second.
    let between = |size: usize, at: usize| {
        let larger = (size + size.div_ceil(cells)).div_ceil(cells);
        let place = (at as f64 + 0.5) / larger as f64 - 0.5;
        let first = place.floor();
        let reflected = |cell: f64| match cell {
            cell if cell < 0.0 => 1,
            cell if cell >= cells as f64 => cells - 2,
            cell => cell as usize,
        };
        (reflected(first), reflected(first + 1.0), place - first)
    };
    let (lower_by, later_by) = (shift(shape.height, 0), shift(shape.width, 1));
    let mix = |a: f64, b: f64, share: f64| (1.0 - share) * a + share * b;
    let mut values = Vec::with_capacity(shape.height * shape.width);
    for y in 0..shape.height {
        let (above, below, of_below) = between(shape.height, y + lower_by);
        for x in 0..shape.width {
            let (left, right, of_right) = between(shape.width, x + later_by);
            let upper = mix(kept(above, left), kept(above, right), of_right);
            let lower = mix(kept(below, left), kept(below, right), of_right);
            values.push(mix(upper, lower, of_below));
        }
    }
    values
}

/// Points and weights of Gauss and Legendre's quadrature on 0 to 1.
fn gauss_legendre(count: usize) -> impl Iterator<Item = (f64, f64)> {
    // The polynomial of that degree and its derivative.
    let legendre = move |x: f64| {
        let (mut last, mut value) = (1.0, x);
        for degree in 2..=count {
            let n = degree as f64;
            (last, value) = (value, ((2.0 * n - 1.0) * x * value - (n - 1.0) * last) / n);
        }
        (value, count as f64 * (x * value - last) / (x * x - 1.0))
    };
    (0..count).map(move |i| {
        // Newton's method from Tricomi's guess doubles the digits that are right.
        let mut x = -(std::f64::consts::PI * (i as f64 + 0.75) / (count as f64 + 0.5)).cos();
        for _ in 0..5 {
            let (value, slope) = legendre(x);
            x -= value / slope;
        }
        let (_, slope) = legendre(x);
        (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_points_integrate_a_polynomial_of_degree_five() {
        let integral: f64 = gauss_legendre(3).map(|(x, w)| w * 6.0 * x.powi(5)).sum();
        assert!((integral - 1.0).abs() < 1e-14, "{integral}");
        for count in [1, 2, 50, 2000] {
            let weights: f64 = gauss_legendre(count).map(|(_, w)| w).sum();
            assert!((weights - 1.0).abs() < 1e-13, "{count}: {weights}");
        }
    }

    #[test]
    fn the_last_window_is_cut_off_at_the_border() {
        let sampling = Sampling { window: [4, 3], stride: [3, 2], ..Sampling::default() };
        let windows = sampling.windows(Shape::new(3, 6, 4));
        assert_eq!(windows, [[0..4, 0..3], [0..4, 2..4], [3..6, 0..3], [3..6, 2..4]]);
        let sampling = Sampling { window: [2, 9], stride: [5, usize::MAX], ..sampling };
        let windows = sampling.windows(Shape::new(3, 9, 4));
        assert_eq!(windows, [[0..2, 0..4], [5..7, 0..4]]);
    }
}
