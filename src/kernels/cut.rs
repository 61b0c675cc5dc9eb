//! How products of rows by panels are cut into tasks, so that all threads end at about the same time.

/// Rows of a tile of vectors of so many numbers, if there are so many rows in all.
pub(super) fn rows_of_tile(lanes: usize, count: usize) -> usize {
    match lanes {
        16 => rows_of_widest(count),
        8 => 6,
        4 => 4,
        _ => 2,
    }
}

/// Rows of a tile of the widest vectors: seven for so many rows in all as fill these better than
/// eight, as the 49 pixels of a 7x7 map do. By less than a 24th it does not pay: seven rows share a
/// weight where eight could.
fn rows_of_widest(count: usize) -> usize {
    let sevens_pay = 25 * count.next_multiple_of(7) < 24 * count.next_multiple_of(8);
    if sevens_pay { 7 } else { 8 }
}

/// What a task does besides multiplying, as panels that it might go through meanwhile: it finds its rows, or
/// transforms them.
const OWN_WORK: f64 = 0.3;

/// Tasks for each thread, if that costs little: none waits long for one that was held up.
const TASKS: usize = 2;

/// What that may cost.
const LITTLE: f64 = 1.03;

/// Rows that go through panels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// How many rows.
    pub rows: usize,
    /// Numbers of a vector.
    pub lanes: usize,
    /// Rows of a task at most, but for those that fill its last tile.
    pub most_rows: usize,
    /// Rows of a task at least, unless even shares of the most are fewer.
    pub least_rows: usize,
    /// How many panels.
    pub panels: usize,
    /// Panels of a task at most.
    pub most_panels: usize,
}

/// Rows and panels of a task; of the last ones there may be fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub rows: usize,
    pub panels: usize,
}

impl Work {
    /// What lets the last of so many threads end soonest.
    pub(super) fn cut(&self, threads: usize) -> Cut {
        let fewest = self.rows.div_ceil(self.most_rows.max(1)).max(1);
        let pieces =
            fewest..=(self.rows / self.least_rows.max(1)).clamp(fewest, fewest + TASKS * threads);
        let few_panels = self.panels.div_ceil(self.most_panels.max(1)).max(1);
        let most_panels = self.panels.clamp(few_panels, few_panels + TASKS * threads);
        let mut best = (f64::INFINITY, Cut { rows: 1, panels: 1 });
        for pieces in pieces {
            for groups in few_panels..=most_panels {
                let even = self.rows.div_ceil(pieces);
                let cut = Cut {
                    rows: even.next_multiple_of(rows_of_tile(self.lanes, even)).max(1),
                    panels: self.panels.div_ceil(groups).max(1),
                };
                let tasks = self.rows.div_ceil(cut.rows) * self.panels.div_ceil(cut.panels);
                let slack = if tasks < TASKS * threads { LITTLE } else { 1.0 };
                let of_task = cut.rows as f64 * (cut.panels as f64 + OWN_WORK);
                let cost = slack * tasks.div_ceil(threads) as f64 * of_task;
                if cost < best.0 {
                    best = (cost, cut);
                }
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When the last of the threads ends, each of which takes up the next task when it is done.
    fn end(work: &Work, cut: Cut, threads: usize) -> usize {
        let mut ends = vec![0; threads];
        for row in (0..work.rows).step_by(cut.rows) {
            for panel in (0..work.panels).step_by(cut.panels) {
                let rows = cut.rows.min(work.rows - row);
                let rows = rows.next_multiple_of(rows_of_tile(work.lanes, rows));
                let next = ends.iter_mut().min().expect("there are threads");
                *next += rows * cut.panels.min(work.panels - panel);
            }
        }
        ends.into_iter().max().expect("there are threads")
    }

    #[test]
    fn threads_end_at_about_the_same_time() {
        // Rows and panels of ResNet-50's layers.
        for (rows, panels) in [(784, 4), (196, 8), (49, 16), (16, 32), (3136, 16), (196, 64)] {
            let (most_rows, least_rows) = (128, 24);
            let work = Work { rows, lanes: 16, most_rows, least_rows, panels, most_panels: 16 };
            for threads in [1, 2, 4, 8] {
                let cut = work.cut(threads);
                let ideal = (rows * panels).div_ceil(threads);
                let end = end(&work, cut, threads);
                assert!(end * 20 <= ideal * 21, "{work:?}, {threads}: {cut:?}, {end} of {ideal}");
            }
        }
    }

    #[test]
    fn limits_are_kept() {
        let (rows, most_rows, least_rows) = (1000, 96, 90);
        let work = Work { rows, lanes: 8, most_rows, least_rows, panels: 40, most_panels: 3 };
        for threads in [1, 3, 64] {
            let Cut { rows, panels } = work.cut(threads);
            assert!((90..96 + 6).contains(&rows) && rows % 6 == 0 && (1..=3).contains(&panels));
        }
        // Nothing at all is one task of nothing.
        let nothing = Work { rows: 0, panels: 0, ..work };
        assert_eq!(nothing.cut(4), Cut { rows: 1, panels: 1 });
    }
}
