//! Windows that slide over planes, as their transposes ask for them.

use std::ops::Range;

/// Windows along one side of a plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// Cells from the first to the last tap.
    pub extent: u32,
    /// Cells from window to window.
    pub stride: u32,
    /// Cells of padding before the first one of the plane.
    pub padding: u32,
    /// How many windows there are.
    pub count: u32,
}

impl Windows {
    /// Those that reach over cell `at`; with dilation, it may lie between two of their taps.
    pub(super) fn that_reach(&self, at: usize) -> Range<usize> {
        let [extent, stride, padding, count] =
            [self.extent, self.stride, self.padding, self.count].map(|length| length as usize);
        let padded = at + padding;
        let first = (padded + stride).saturating_sub(extent) / stride;
        first..(padded / stride + 1).min(count)
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
                    let windows = Windows { extent, stride, padding, count: 4 };
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
