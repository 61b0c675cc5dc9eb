//! Backward rows at the input become a method's maps: planes (NCHW), clamped where the method
//! clamps. Twin of `shaders/attribution.wgsl`.

use super::{kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// Takes `targets` of the `rows` rows that each picture has.
    pub struct Params {
        /// Pictures.
        pub batch: u32,
        /// Rows of a picture.
        pub rows: u32,
        /// The first row that is taken.
        pub first: u32,
        /// Targets of a picture, one row each.
        pub targets: u32,
        /// Channels of the input.
        pub channels: u32,
        /// Height times width of the input.
        pub positions: u32,
        /// Which [`Mode`].
        pub mode: u32,
        /// The first row of the duals, in [`Mode::NormalizedDifference`].
        pub dual_first: u32,
    }
}

kernel!("attribution", [Read, Read, Write]);

/// How a row becomes a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// As it is.
    Plain = 0,
    /// `max(0, r)` (Gu et al. 2018, equation 2).
    Clamped = 1,
    /// `max(0, r / sum(r) - dual / sum(dual))`, as the authors' published code does; a sum of 0
    /// divides nothing.
    NormalizedDifference = 2,
}

impl Params {
    /// One invocation an output value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.batch * self.targets * self.positions * self.channels)
    }
}

/// Operands: rows, their sums, maps.
pub fn cpu<F: Float>(p: &Params, rows: &[F], sums: &[F], maps: &mut [F]) {
    let (channels, positions) = (p.channels as usize, p.positions as usize);
    let count = channels * positions;
    let share = |row: usize, at: usize| {
        let r = rows[row * count + at];
        if sums[row] == F::ZERO { r } else { r / sums[row] }
    };
    // What is no number stays none, so that it is told.
    let clamped = |r: F| if r <= F::ZERO { F::ZERO } else { r };
    // A plane of a map is a channel of a row.
    parallel::rows(
        maps,
        positions,
        #[inline(always)]
        |plane, start, out| {
            let (map, channel) = (plane / channels, plane % channels);
            let (image, j) = (map / p.targets as usize, map % p.targets as usize);
            let row = image * p.rows as usize + p.first as usize + j;
            let places = (start..start + out.len()).map(|position| position * channels + channel);
            let out = out.iter_mut().zip(places);
            match p.mode {
                0 => out.for_each(|(out, at)| *out = rows[row * count + at]),
                1 => out.for_each(|(out, at)| *out = clamped(rows[row * count + at])),
                _ => {
                    let dual = image * p.rows as usize + p.dual_first as usize + j;
                    out.for_each(|(out, at)| *out = clamped(share(row, at) - share(dual, at)));
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_planes_of_the_rows_asked_for() {
        // Two rows of two pixels with two channels; the second row is taken.
        let rows = [0.0, 0.0, 0.0, 0.0, 1.0, -2.0, 3.0, 4.0];
        let p = Params {
            batch: 1,
            rows: 2,
            first: 1,
            targets: 1,
            channels: 2,
            positions: 2,
            mode: Mode::Clamped as u32,
            dual_first: 0,
        };
        let mut maps = [9.0; 4];
        cpu(&p, &rows, &[0.0, 6.0], &mut maps);
        assert_eq!(maps, [1.0, 3.0, 0.0, 4.0]);
        let rows = [f64::NAN, 1.0, -1.0, f64::INFINITY];
        cpu(&Params { rows: 1, first: 0, ..p }, &rows, &[0.0], &mut maps);
        assert!(maps[0].is_nan() && maps[1..] == [0.0, 1.0, f64::INFINITY], "{maps:?}");
    }
}
