//! Windows that slide over rows and columns: ONNX's attributes of convolutions and pooling.

use super::super::error::{Result, listed};
use super::super::node::Node;

/// The most of any of a window's numbers, so that sums of them stay small.
const MOST: usize = 1 << 24;

/// A window; pairs are rows, columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Cells above and to the left.
    pub(super) begin: [usize; 2],
    /// Cells below and to the right.
    pub(super) end: [usize; 2],
}

impl Window {
    /// The node's window of that size over so many rows and columns.
    pub(super) fn new(node: Node<'_>, kernel: [usize; 2], size: [usize; 2]) -> Result<Self> {
        let stride = node.pair("strides", 1)?;
        let dilation = node.pair("dilations", 1)?;
        let (begin, end) = match node.text("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" | "" => pads(node)?,
            "VALID" => ([0; 2], [0; 2]),
            mode @ ("SAME_UPPER" | "SAME_LOWER") => {
                let both = [0, 1].map(|i| same(kernel[i], stride[i], dilation[i], size[i]));
                let [Some(rows), Some(columns)] = both else {
                    let found = format!("window {kernel:?}, strides {stride:?}");
                    return Err(node.error("a window that can be padded", found));
                };
                // An odd cell goes to the end, or to the start.
                let less = [rows / 2, columns / 2];
                let more = [rows - less[0], columns - less[1]];
                if mode == "SAME_UPPER" { (less, more) } else { (more, less) }
            }
            other => {
                let expected = "`auto_pad` NOTSET, VALID, SAME_UPPER or SAME_LOWER";
                return Err(node.error(expected, crate::foreign::shown(other)));
            }
        };
        let window = Self { kernel, stride, dilation, begin, end };
        let all = [kernel, stride, dilation, begin, end];
        if all.iter().flatten().any(|&number| number > MOST) || kernel.contains(&0) {
            let expected = format!("a window with numbers of 1 to {MOST}");
            return Err(node.error(expected, format!("{window:?}")));
        }
        Ok(window)
    }

    /// Adds cells below and to the right where there are fewer than above and to the left, if they
    /// make room for no further window over so many rows and columns.
    pub(super) fn settle(&mut self, size: [usize; 2]) {
        for i in 0..2 {
            let reach = (self.kernel[i] - 1).saturating_mul(self.dilation[i]) + 1;
            let last = |end: usize| {
                let span = (size[i] + self.begin[i] + end).checked_sub(reach)?;
                span.checked_div(self.stride[i])
            };
            if self.end[i] < self.begin[i] && last(self.end[i]) == last(self.begin[i]) {
                self.end[i] = self.begin[i];
            }
        }
    }

    /// The zeros in front that a layer needs which has none of its own there: left, right, above,
    /// below. They leave the window.
    pub(super) fn take_ahead(&mut self) -> [usize; 4] {
        let [above, left] = [0, 1].map(|i| self.begin[i].saturating_sub(self.end[i]));
        self.begin = [self.begin[0] - above, self.begin[1] - left];
        [left, 0, above, 0]
    }

    /// How many more cells there are below than above, and to the right than to the left; none if
    /// there are fewer.
    pub(super) fn more(&self) -> Option<[usize; 2]> {
        let more = |i: usize| self.end[i].checked_sub(self.begin[i]);
        Some([more(0)?, more(1)?])
    }
}

/// The cells that ONNX's `pads` gives: above, left, below, right.
fn pads(node: Node<'_>) -> Result<([usize; 2], [usize; 2])> {
    let Some(values) = node.ints("pads")? else { return Ok(([0; 2], [0; 2])) };
    let sizes: Vec<usize> = values.iter().filter_map(|&pad| usize::try_from(pad).ok()).collect();
    match sizes[..] {
        [above, left, below, right] if values.len() == 4 => Ok(([above, left], [below, right])),
        _ => Err(node.error("four numbers of 0 or more as `pads`", listed(values))),
    }
}

/// Cells to add so that there are as many windows as steps in the length.
fn same(kernel: usize, stride: usize, dilation: usize, length: usize) -> Option<usize> {
    let windows = length.checked_add(stride)?.checked_sub(1)?.checked_div(stride)?;
    let reach = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
    let span = windows.checked_sub(1)?.checked_mul(stride)?.checked_add(reach)?;
    Some(span.saturating_sub(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_that_makes_no_window_is_added() {
        let window = |end: usize, stride: usize| Window {
            kernel: [3; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            begin: [1; 2],
            end: [end; 2],
        };
        // 8 and 1 cells are three windows by steps of 2, which end at 7; 8 and 2 are no more.
        let mut settled = window(0, 2);
        settled.settle([8, 8]);
        assert_eq!(settled.end, [1, 1]);
        let mut open = window(0, 2);
        open.settle([7, 7]);
        assert_eq!(open.end, [0, 0]);
        assert_eq!(open.take_ahead(), [1, 0, 1, 0]);
        assert_eq!(open, Window { begin: [0; 2], ..window(0, 2) });
    }

    #[test]
    fn same_padding_keeps_the_length() {
        assert_eq!(same(3, 1, 1, 7), Some(2));
        // 224 by steps of 2 are 112 windows, which reach to 111 * 2 + 3 = 225.
        assert_eq!(same(3, 2, 1, 224), Some(1));
        assert_eq!(same(3, 2, 1, 225), Some(2));
        assert_eq!(same(3, 1, 2, 7), Some(4));
        assert_eq!(same(1, 2, 1, 7), Some(0));
        assert_eq!(same(3, 0, 1, 7), None);
    }
}
