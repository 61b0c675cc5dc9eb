//! Windows that slide over planes, as their transposes ask for them.

use std::ops::Range;

/// Windows along one side of a plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Cells from the first to the last tap.
    extent: usize,
    stride: usize,
    padding: usize,
    count: usize,
}

impl Windows {
    /// Of so many taps and so many cells from tap to tap: so many cells from window to window, of padding
    /// before the first cell of the plane, and so many windows.
    pub(super) fn new([taps, dilation]: [u32; 2], stride: u32, padding: u32, count: u32) -> Self {
        let extent = (taps - 1) * dilation + 1;
        let [extent, stride, padding, count] =
            [extent, stride, padding, count].map(|length| length as usize);
        Self { extent, stride, padding, count }
    }

    /// Those that reach over cell `at`; with dilation, it may lie between two of their taps.
    pub(super) fn that_reach(&self, at: usize) -> Range<usize> {
        let padded = at + self.padding;
        let first = (padded + self.stride).saturating_sub(self.extent) / self.stride;
        first..(padded / self.stride + 1).min(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_reach_over_what_lies_from_their_first_tap_to_their_last() {
        for extent in 1..5 {
            for stride in 1..5 {
                for padding in 0..4 {
                    let windows = Windows::new([extent, 1], stride, padding, 4);
                    for at in 0..20 {
                        let padded = at as u32 + padding;
                        let reaches = |window: &u32| {
                            (window * stride..window * stride + extent).contains(&padded)
                        };
                        let expected: Vec<usize> =
                            (0..4).filter(reaches).map(|window| window as usize).collect();
                        let found: Vec<usize> = windows.that_reach(at).collect();
                        assert_eq!(found, expected, "{windows:?} over {at}");
                    }
                }
            }
        }
    }
}
