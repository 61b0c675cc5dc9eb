//! The switches of max pools: which cell won each window, and how often winners lie where.
//!
//! Relevance and gradients go to the winners only. Where these crowd at the border of a plane, as
//! in torchvision's Inception v3, so do maps (Gu et al. 2018, supplement B). A window is *tied*
//! where its largest value occurs more than once, which behind a ReLU is mostly a window of zeros.
//! The first cell in scan order wins it, wherever the picture's content lies, so that tied windows
//! are counted apart and in no share.

use crate::graph::MaxPool2d;
use crate::num::Float;
use crate::tensor::Shape;

/// The switches of one max pool for one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Switches {
    layer: String,
    pool: MaxPool2d,
    input: Shape,
    output: Shape,
    /// For each value of the output (NHWC) the winner, `row * in_width + column`.
    winners: Vec<Option<u32>>,
}

/// A side of a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// The first row.
    Top,
    /// The last row.
    Bottom,
    /// The first column.
    Left,
    /// The last column.
    Right,
}

/// How often winners lie where, in all channels.
#[derive(Clone, Debug, PartialEq)]
pub struct SwitchCounts {
    /// Windows: one for each value of the output.
    pub windows: usize,
    /// Those that are tied.
    pub tied: usize,
    /// For each tap of the window, row by row.
    pub taps: Vec<Tally>,
    /// Top, bottom, left, right.
    pub edges: [EdgeCounts; 4],
}

/// Where winners lie in the windows along one edge of the output.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeCounts {
    /// Which edge.
    pub edge: Edge,
    /// Windows along it, in all channels.
    pub windows: usize,
    /// Those that are tied.
    pub tied: usize,
    /// For each distance from the edge of the input in rows or columns, the outermost first, as
    /// far as these windows reach.
    pub distances: Vec<Tally>,
}

/// Winners at a place, of windows that are not tied.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// How many there are.
    pub found: usize,
    /// How many there would be if every cell of a window were as likely to win. Padding, which
    /// never wins, is no cell.
    pub uniform: f64,
}

impl Edge {
    /// Every edge, in the order of [`SwitchCounts::edges`].
    pub const ALL: [Edge; 4] = [Edge::Top, Edge::Bottom, Edge::Left, Edge::Right];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Edge::Top => "top",
            Edge::Bottom => "bottom",
            Edge::Left => "left",
            Edge::Right => "right",
        }
    }

    /// What is counted from the edge: 0 for rows, 1 for columns.
    const fn axis(self) -> usize {
        match self {
            Edge::Top | Edge::Bottom => 0,
            Edge::Left | Edge::Right => 1,
        }
    }

    /// The `at`th of `count` rows or columns, counted from this edge: its number, and the other
    /// way round.
    const fn counted(self, at: usize, count: usize) -> usize {
        match self {
            Edge::Top | Edge::Left => at,
            Edge::Bottom | Edge::Right => count - 1 - at,
        }
    }
}

impl EdgeCounts {
    /// The outermost row or column of the input; none where these windows do not reach it, as the
    /// last ones if the stride leaves a rest.
    pub fn outermost(&self) -> Option<Tally> {
        self.distances.first().copied().filter(|tally| tally.uniform > 0.0)
    }
}

/// A pool along rows or columns.
#[derive(Clone, Copy)]
struct Axis {
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    /// Of the input.
    cells: usize,
    /// Of the output.
    windows: usize,
}

impl Axis {
    /// The taps of a window that are cells of the input, with these.
    fn taps(self, window: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..self.kernel).filter_map(move |tap| {
            let padded = window * self.stride + tap * self.dilation;
            let cell = padded.checked_sub(self.padding)?;
            (cell < self.cells).then_some((tap, cell))
        })
    }

    /// The tap of a window that is this cell.
    fn tap(self, window: usize, cell: usize) -> usize {
        (cell + self.padding - window * self.stride) / self.dilation
    }
}

impl Switches {
    /// Of the values that a pool looked at and the winners it recorded, both NHWC.
    pub(crate) fn new<F: Float>(
        layer: &str,
        pool: MaxPool2d,
        [input, output]: [Shape; 2],
        values: &[F],
        winners: &[u32],
    ) -> Self {
        let layer = layer.to_owned();
        let mut switches = Self { layer, pool, input, output, winners: Vec::new() };
        let [rows, columns] = switches.axes();
        let (channels, mut decided) = (output.channels, Vec::with_capacity(winners.len()));
        let value = |cell: usize, channel: usize| values[cell * channels + channel];
        for (at, winners) in winners.chunks_exact(channels).enumerate() {
            let (y, x) = (at / output.width, at % output.width);
            let row = |(_, y): (usize, usize)| columns.taps(x).map(move |(_, x)| (y, x));
            let cells = rows.taps(y).flat_map(row).map(|(y, x)| y * input.width + x);
            let cells: Vec<usize> = cells.collect();
            for (channel, &winner) in winners.iter().enumerate() {
                let largest = value(winner as usize, channel);
                let reach = cells.iter().filter(|&&cell| value(cell, channel) == largest).count();
                decided.push((reach == 1).then_some(winner));
            }
        }
        switches.winners = decided;
        switches
    }

    /// The pool's name, as `maxpool1`.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// Window, stride, padding.
    pub fn pool(&self) -> MaxPool2d {
        self.pool
    }

    /// The shape of what it looks at.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// The shape of its output.
    pub fn output(&self) -> Shape {
        self.output
    }

    /// Row and column, in the input, of the cell that won the window of output `(y, x)`; none
    /// where it is tied.
    ///
    /// # Panics
    /// If the output has no such channel, row or column.
    pub fn winner(&self, channel: usize, y: usize, x: usize) -> Option<[usize; 2]> {
        let Shape { channels, height, width } = self.output;
        assert!(channel < channels && y < height && x < width, "inside the output");
        let cell = self.winners[(y * width + x) * channels + channel]? as usize;
        Some([cell / self.input.width, cell % self.input.width])
    }

    /// The winners of the windows along an edge of the output, in one channel; tied windows have
    /// none.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn along(&self, edge: Edge, channel: usize) -> impl Iterator<Item = [usize; 2]> {
        self.windows_along(edge).filter_map(move |[y, x]| self.winner(channel, y, x))
    }

    /// How often winners lie where.
    pub fn counts(&self) -> SwitchCounts {
        let [rows, columns] = self.axes();
        let channels = self.output.channels;
        let mut taps = vec![Tally::default(); rows.kernel * columns.kernel];
        let mut tied = 0;
        for (at, winners) in self.winners.chunks_exact(channels).enumerate() {
            let (y, x) = (at / self.output.width, at % self.output.width);
            let decided: Vec<usize> = winners.iter().flatten().map(|&cell| cell as usize).collect();
            tied += channels - decided.len();
            let cells = rows.taps(y).count() * columns.taps(x).count();
            for (row, column) in
                rows.taps(y).flat_map(|(row, _)| columns.taps(x).map(move |(tap, _)| (row, tap)))
            {
                let share = decided.len() as f64 / cells as f64;
                taps[row * columns.kernel + column].uniform += share;
            }
            for cell in decided {
                let row = rows.tap(y, cell / self.input.width);
                let column = columns.tap(x, cell % self.input.width);
                taps[row * columns.kernel + column].found += 1;
            }
        }
        let edges = Edge::ALL.map(|edge| self.edge(edge));
        SwitchCounts { windows: self.winners.len(), tied, taps, edges }
    }

    fn edge(&self, edge: Edge) -> EdgeCounts {
        let axis = self.axes()[edge.axis()];
        let distance = |cell: usize| edge.counted(cell, axis.cells);
        let window = edge.counted(0, axis.windows);
        let reached: Vec<usize> = axis.taps(window).map(|(_, cell)| distance(cell)).collect();
        let farthest = reached.iter().max().map_or(0, |farthest| farthest + 1);
        let mut distances = vec![Tally::default(); farthest];
        let windows = self.windows_along(edge).count() * self.output.channels;
        let mut decided = 0_usize;
        for cell in (0..self.output.channels).flat_map(|channel| self.along(edge, channel)) {
            distances[distance(cell[edge.axis()])].found += 1;
            decided += 1;
        }
        for &distance in &reached {
            distances[distance].uniform = decided as f64 / reached.len() as f64;
        }
        EdgeCounts { edge, windows, tied: windows - decided, distances }
    }

    /// Row and column, in the output, of the windows along an edge.
    fn windows_along(&self, edge: Edge) -> impl Iterator<Item = [usize; 2]> {
        let sizes = [self.output.height, self.output.width];
        let across = edge.axis();
        let fixed = edge.counted(0, sizes[across]);
        (0..sizes[1 - across]).map(move |i| if across == 0 { [fixed, i] } else { [i, fixed] })
    }

    fn axes(&self) -> [Axis; 2] {
        let (input, output) = (self.input, self.output);
        let (cells, windows) = ([input.height, input.width], [output.height, output.width]);
        [0, 1].map(|i| Axis {
            kernel: self.pool.kernel[i],
            stride: self.pool.stride[i],
            padding: self.pool.padding[i],
            dilation: self.pool.dilation[i],
            cells: cells[i],
            windows: windows[i],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One channel of these rows and columns.
    fn shapes(input: [usize; 2], output: [usize; 2]) -> [Shape; 2] {
        [input, output].map(|[height, width]| Shape::new(1, height, width))
    }

    fn tally(found: usize, uniform: f64) -> Tally {
        Tally { found, uniform }
    }

    #[test]
    fn padding_is_not_expected_to_win() {
        // Windows of 3 with padding 1 over a row of three: columns 0 1, 0 1 2, 1 2.
        let pool = MaxPool2d { kernel: [1, 3], padding: [0, 1], ..MaxPool2d::new(1, 1) };
        let shapes = shapes([1, 3], [1, 3]);
        let switches = Switches::new("pool", pool, shapes, &[1.0, 2.0, 3.0], &[1, 2, 2]);
        let counts = switches.counts();
        assert_eq!((counts.windows, counts.tied), (3, 0));
        // Tap 0 is padding once: 1/3 + 1/2; tap 1 always a cell: 1/2 + 1/3 + 1/2.
        let (outer, inner) = (1.0 / 3.0 + 0.5, 0.5 + 1.0 / 3.0 + 0.5);
        assert_eq!(counts.taps, [tally(0, outer), tally(1, inner), tally(2, 0.5 + 1.0 / 3.0)]);
        let [_, _, left, right] = counts.edges;
        assert_eq!(left.distances, [tally(0, 0.5), tally(1, 0.5)]);
        assert_eq!(right.distances, [tally(1, 0.5), tally(0, 0.5)]);
        assert_eq!(right.outermost(), Some(tally(1, 0.5)));
    }

    #[test]
    fn ties_are_counted_apart() {
        let pool = MaxPool2d::new(2, 2);
        let shapes = shapes([2, 6], [1, 3]);
        // All zero, one largest, two largest.
        let values = [0.0, 0.0, 1.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 4.0];
        let switches = Switches::new("pool", pool, shapes, &values, &[0, 9, 4]);
        let counts = switches.counts();
        assert_eq!((counts.windows, counts.tied), (3, 2));
        let quarter = tally(0, 0.25);
        assert_eq!(counts.taps, [quarter, quarter, quarter, tally(1, 0.25)]);
        // The one window that is left lies along the top and the bottom, at neither side.
        let [top, bottom, left, right] = counts.edges;
        assert_eq!((top.windows, top.tied), (3, 2));
        assert_eq!(top.distances, [tally(0, 0.5), tally(1, 0.5)]);
        assert_eq!(bottom.distances, [tally(1, 0.5), tally(0, 0.5)]);
        assert_eq!((left.tied, left.outermost()), (1, None));
        assert_eq!((right.tied, right.outermost()), (1, None));
        assert_eq!(switches.along(Edge::Top, 0).collect::<Vec<_>>(), [[1, 3]]);
        assert_eq!(switches.winner(0, 0, 0), None);
    }

    #[test]
    fn an_edge_that_no_window_reaches_has_no_outermost_share() {
        // Four columns, windows of 2 at stride 3 without ceil_mode: columns 0 1.
        let pool = MaxPool2d { kernel: [1, 2], ..MaxPool2d::new(1, 3) };
        let shapes = shapes([1, 4], [1, 1]);
        let switches = Switches::new("pool", pool, shapes, &[1.0, 0.0, 0.0, 0.0], &[0]);
        let [_, _, left, right] = switches.counts().edges;
        assert_eq!(left.outermost(), Some(tally(1, 0.5)));
        assert_eq!(right.outermost(), None);
        let none = tally(0, 0.0);
        assert_eq!(right.distances, [none, none, tally(0, 0.5), tally(1, 0.5)]);
    }
}
