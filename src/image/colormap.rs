//! The field's palettes: hot, bwr, seismic and gray are matplotlib's, coldnhot is
//! zennit's. Each is linear between a few colours.

use crate::{Error, Result};

/// A palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Colormap {
    /// Black, red, yellow, white: for maps that are nowhere negative.
    Hot,
    /// Blue, white, red.
    Bwr,
    /// White, cyan, blue, black, red, yellow, white.
    Coldnhot,
    /// Dark blue, blue, white, red, dark red.
    Seismic,
    /// Black to white: for maps that are nowhere negative.
    Gray,
}

/// A position between 0 and 1, and the red, green and blue there.
type Stop = (f32, [f32; 3]);

const HOT: &[Stop] = &[
    (0.0, [0.0416, 0.0, 0.0]),
    (0.365_079, [1.0, 0.0, 0.0]),
    (0.746_032, [1.0, 1.0, 0.0]),
    (1.0, [1.0, 1.0, 1.0]),
];
const BWR: &[Stop] = &[(0.0, [0.0, 0.0, 1.0]), (0.5, [1.0, 1.0, 1.0]), (1.0, [1.0, 0.0, 0.0])];
const COLDNHOT: &[Stop] = &[
    (0.0, [1.0, 1.0, 1.0]),
    (1.0 / 6.0, [0.0, 1.0, 1.0]),
    (2.0 / 6.0, [0.0, 0.0, 1.0]),
    (0.5, [0.0, 0.0, 0.0]),
    (4.0 / 6.0, [1.0, 0.0, 0.0]),
    (5.0 / 6.0, [1.0, 1.0, 0.0]),
    (1.0, [1.0, 1.0, 1.0]),
];
const SEISMIC: &[Stop] = &[
    (0.0, [0.0, 0.0, 0.3]),
    (0.25, [0.0, 0.0, 1.0]),
    (0.5, [1.0, 1.0, 1.0]),
    (0.75, [1.0, 0.0, 0.0]),
    (1.0, [0.5, 0.0, 0.0]),
];
const GRAY: &[Stop] = &[(0.0, [0.0, 0.0, 0.0]), (1.0, [1.0, 1.0, 1.0])];

impl Colormap {
    /// All palettes.
    pub const ALL: [Colormap; 5] =
        [Colormap::Hot, Colormap::Bwr, Colormap::Coldnhot, Colormap::Seismic, Colormap::Gray];

    /// The palette of this name, in lower or upper case.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the nearest names.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|palette| palette.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| Error::unknown("palette", name, Self::ALL.map(Self::name)))
    }

    /// The palette's name.
    pub fn name(self) -> &'static str {
        match self {
            Colormap::Hot => "hot",
            Colormap::Bwr => "bwr",
            Colormap::Coldnhot => "coldnhot",
            Colormap::Seismic => "seismic",
            Colormap::Gray => "gray",
        }
    }

    /// Whether the middle of the palette stands for zero, rather than its start.
    pub fn is_signed(self) -> bool {
        match self {
            Colormap::Bwr | Colormap::Coldnhot | Colormap::Seismic => true,
            Colormap::Hot | Colormap::Gray => false,
        }
    }

    /// The colour at `position`, which is clamped to 0 to 1; NaN counts as 0.
    pub fn color(self, position: f32) -> [u8; 3] {
        let stops = self.stops();
        let position = if position.is_nan() { 0.0 } else { position.clamp(0.0, 1.0) };
        let after = stops.partition_point(|stop| stop.0 < position).clamp(1, stops.len() - 1);
        let ((start, from), (end, to)) = (stops[after - 1], stops[after]);
        let t = (position - start) / (end - start);
        let channel = |i: usize| ((from[i] + t * (to[i] - from[i])) * 255.0).round() as u8;
        [channel(0), channel(1), channel(2)]
    }

    fn stops(self) -> &'static [Stop] {
        match self {
            Colormap::Hot => HOT,
            Colormap::Bwr => BWR,
            Colormap::Coldnhot => COLDNHOT,
            Colormap::Seismic => SEISMIC,
            Colormap::Gray => GRAY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hot_goes_from_black_over_red_and_yellow_to_white() {
        let hot = |position| Colormap::Hot.color(position);
        // .0416 * 255 = 10.6.
        assert_eq!(hot(0.0), [11, 0, 0]);
        assert_eq!(hot(0.365_079), [255, 0, 0]);
        // Halfway from red to yellow: (.365079 + .746032) / 2.
        assert_eq!(hot(0.555_555_5), [255, 128, 0]);
        assert_eq!(hot(0.746_032), [255, 255, 0]);
        assert_eq!(hot(1.0), [255, 255, 255]);
    }

    #[test]
    fn signed_palettes_have_zero_in_the_middle() {
        assert_eq!(Colormap::Bwr.color(0.5), [255, 255, 255]);
        assert_eq!(Colormap::Bwr.color(0.0), [0, 0, 255]);
        // A quarter: half white, half blue.
        assert_eq!(Colormap::Bwr.color(0.25), [128, 128, 255]);
        assert_eq!(Colormap::Seismic.color(0.5), [255, 255, 255]);
        // .3 * 255 = 76.5 and .5 * 255 = 127.5.
        assert_eq!(Colormap::Seismic.color(0.0), [0, 0, 77]);
        assert_eq!(Colormap::Seismic.color(1.0), [128, 0, 0]);
        assert_eq!(Colormap::Coldnhot.color(0.5), [0, 0, 0]);
        assert_eq!(Colormap::Coldnhot.color(1.0 / 3.0), [0, 0, 255]);
        assert_eq!(Colormap::Coldnhot.color(1.0 / 6.0), [0, 255, 255]);
        assert_eq!(Colormap::Coldnhot.color(5.0 / 6.0), [255, 255, 0]);
        assert_eq!(Colormap::Coldnhot.color(0.0), [255, 255, 255]);
    }

    #[test]
    fn positions_outside_are_clamped() {
        assert_eq!(Colormap::Gray.color(0.2), [51, 51, 51]);
        assert_eq!(Colormap::Gray.color(-3.0), [0, 0, 0]);
        assert_eq!(Colormap::Gray.color(f32::INFINITY), [255, 255, 255]);
        assert_eq!(Colormap::Gray.color(f32::NAN), [0, 0, 0]);
    }

    #[test]
    fn palettes_are_found_by_name() {
        for palette in Colormap::ALL {
            assert_eq!(Colormap::parse(palette.name()).expect("it is known"), palette);
        }
        assert_eq!(Colormap::parse("BWR").expect("it is known"), Colormap::Bwr);
        let error = Colormap::parse("seismik").expect_err("it is unknown");
        assert_eq!(error.to_string(), "unknown palette `seismik`; nearest: `seismic`");
    }
}
