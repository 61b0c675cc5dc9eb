//! Means and differences with their uncertainty.
//!
//! Objects of one picture belong together, so pictures are what is drawn again (bootstrap) and
//! what changes sides (sign-flip test). Pictures come one by one and are not kept: what grows with
//! their number is time alone. All of it is the same on every machine and for every number of
//! threads: random numbers are hashes of their places, and nothing is added up in another order.

use clrp::num::mix;
use rayon::prelude::*;
use serde::Serialize;

/// How often the pictures are drawn again.
pub(crate) const RESAMPLES: usize = 2000;

/// How often the signs of differences are drawn.
pub(crate) const PERMUTATIONS: usize = 10_000;

/// Pictures that resamples and flips walk over at once.
const ROWS: usize = 64;

/// Resamples that make a task worth a thread.
const RESAMPLES_OF_A_TASK: usize = 16;

/// Sign flips that share a walk: as many as a word has bits.
const FLIP_BATCH: usize = u64::BITS as usize;

/// What the interval leaves out on each side.
const TAIL: f64 = 0.025;

/// A mean, and the 95 % interval of its percentile bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    /// None of fewer than two pictures.
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    /// Of how many objects it is the mean.
    pub(crate) objects: usize,
}

/// Two columns: the mean is the sum of one over the sum of the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) sum: usize,
    pub(crate) count: usize,
}

/// Numbers of pictures that are still coming: a row for each, a column for each thing that is
/// added up.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    columns: usize,
    /// How many pictures are still to come.
    to_come: usize,
    /// The last rows, which resamples and flips have not seen.
    waiting: Vec<f64>,
    totals: Vec<f64>,
    resamples: Vec<Resample>,
    /// Columns of differences, and the sums of their absolute values.
    tested: Vec<usize>,
    sizes: Vec<f64>,
    flips: Vec<Flips>,
}

/// What all pictures have come to.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    totals: Vec<f64>,
    resampled: Vec<Vec<f64>>,
    /// The p value of each column that is tested.
    p_values: Vec<f64>,
}

impl Sample {
    /// Of so many pictures; `tested` are the columns of differences for which there are p values.
    pub(crate) fn new(columns: usize, tested: Vec<usize>, pictures: usize, seed: u64) -> Self {
        // Of one picture there is but one resample, and of no column none.
        let resamples = if pictures < 2 || columns == 0 { 0 } else { RESAMPLES };
        let flips = if tested.is_empty() { 0 } else { PERMUTATIONS.div_ceil(FLIP_BATCH) };
        let resample = |number: usize| Resample {
            random: Random::new(seed, number as u64),
            to_draw: pictures,
            sums: vec![0.0; columns],
        };
        let flip = |batch: usize| Flips {
            random: Random::new(mix(seed), batch as u64),
            kept: vec![0.0; tested.len() * FLIP_BATCH],
        };
        Self {
            columns,
            to_come: pictures,
            waiting: Vec::new(),
            totals: vec![0.0; columns],
            resamples: (0..resamples).map(resample).collect(),
            sizes: vec![0.0; tested.len()],
            flips: (0..flips).map(flip).collect(),
            tested,
        }
    }

    /// Adds a picture: a finite number for each column.
    pub(crate) fn push(&mut self, row: &[f64]) {
        assert_eq!(row.len(), self.columns, "a row has a number for each column");
        add(&mut self.totals, row);
        let tested = self.sizes.iter_mut().zip(&self.tested);
        tested.for_each(|(size, &column)| *size += row[column].abs());
        self.waiting.extend_from_slice(row);
        if self.waiting.len() >= ROWS * self.columns {
            self.walk();
        }
    }

    /// Shows the waiting rows to all resamples and flips.
    fn walk(&mut self) {
        // Without columns no row has numbers.
        let rows: Vec<&[f64]> = self.waiting.chunks_exact(self.columns.max(1)).collect();
        let to_come = self.to_come;
        let resamples = self.resamples.par_iter_mut().with_min_len(RESAMPLES_OF_A_TASK);
        resamples.for_each(|resample| resample.add(&rows, to_come));
        let chosen = |row: &&[f64]| self.tested.iter().map(|&column| row[column]).collect();
        let tested: Vec<Vec<f64>> = rows.iter().map(chosen).collect();
        self.flips.par_iter_mut().for_each(|flips| flips.add(&tested));
        assert!(rows.len() <= self.to_come, "no more pictures than were told of");
        self.to_come -= rows.len();
        self.waiting.clear();
    }

    /// What they come to, once all pictures are there.
    pub(crate) fn finish(mut self) -> Sums {
        self.walk();
        assert!(self.columns == 0 || self.to_come == 0, "as many pictures as were told of");
        let p_values = (0..self.tested.len()).map(|column| self.p_value(column)).collect();
        let resampled = self.resamples.into_iter().map(|resample| resample.sums).collect();
        Sums { totals: self.totals, resampled, p_values }
    }

    /// The two-sided p value of the sign-flip permutation test: how often the sum is as far from 0
    /// where each picture's two sides are swapped by chance.
    fn p_value(&self, column: usize) -> f64 {
        let total = self.totals[self.tested[column]];
        // Sums of the same numbers in another order are not quite equal.
        let least = total.abs() - 1e-12 * self.sizes[column];
        let kept = self.flips.iter().flat_map(|flips| flips.kept.chunks_exact(self.tested.len()));
        // What keeps its sign less what changes it.
        let flipped = kept.take(PERMUTATIONS).map(|kept| 2.0 * kept[column] - total);
        let extreme = flipped.filter(|sum| sum.abs() >= least).count();
        (extreme + 1) as f64 / (PERMUTATIONS + 1) as f64
    }
}

impl Sums {
    /// Means of columns; none where nothing was counted.
    pub(crate) fn means(&self, ratios: &[Ratio]) -> Vec<Option<Estimate>> {
        let estimate = |ratio: &Ratio| {
            let value = share(&self.totals, ratio)?;
            let again = self.resampled.iter().filter_map(|sums| share(sums, ratio)).collect();
            Some(Estimate::new(value, again, self.totals[ratio.count]))
        };
        ratios.par_iter().map(estimate).collect()
    }

    /// For each column that is tested, how likely it is by chance that the two sides differ so.
    pub(crate) fn p_values(&self) -> &[f64] {
        &self.p_values
    }
}

/// As many pictures as there are, drawn with putting back.
#[derive(Clone, Debug)]
struct Resample {
    random: Random,
    /// How many are still to be drawn.
    to_draw: usize,
    sums: Vec<f64>,
}

impl Resample {
    /// Draws from the next pictures, of `to_come` that are left: what all of them get is shared out
    /// picture by picture, so that none has to be known before.
    fn add(&mut self, rows: &[&[f64]], to_come: usize) {
        for (row, left) in rows.iter().zip((1..=to_come).rev()) {
            let times = self.random.share_of(self.to_draw, left);
            if times > 0 {
                add_times(&mut self.sums, row, times as f64);
                self.to_draw -= times;
            }
        }
    }
}

/// Some random choices of pictures that keep their sides.
#[derive(Clone, Debug)]
struct Flips {
    random: Random,
    /// The sums of each.
    kept: Vec<f64>,
}

impl Flips {
    fn add(&mut self, rows: &[Vec<f64>]) {
        for row in rows {
            let word = self.random.next();
            for (flip, kept) in self.kept.chunks_exact_mut(row.len().max(1)).enumerate() {
                if word >> flip & 1 == 1 {
                    add(kept, row);
                }
            }
        }
    }
}

impl Estimate {
    /// Of a mean and what it was for pictures that were drawn again; none of one picture only.
    fn new(value: f64, mut again: Vec<f64>, objects: f64) -> Self {
        again.sort_unstable_by(f64::total_cmp);
        let bound = |share| quantile(&again, share);
        Self { value, low: bound(TAIL), high: bound(1.0 - TAIL), objects: objects as usize }
    }
}

fn add(sums: &mut [f64], row: &[f64]) {
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
}

fn add_times(sums: &mut [f64], row: &[f64], times: f64) {
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += times * value);
}

fn share(sums: &[f64], ratio: &Ratio) -> Option<f64> {
    (sums[ratio.count] > 0.0).then(|| sums[ratio.sum] / sums[ratio.count])
}

/// The value below which that share of sorted values lies, linear between two of them.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let below = place.floor();
    let (low, high) = (sorted[below as usize], sorted[place.ceil() as usize]);
    Some(low + (place - below) * (high - low))
}

/// `SplitMix64` (Steele, Lea & Flood 2014), one stream of a seed's many.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        Self(mix(mix(seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_add(stream)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0, below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many of so many draws fall on one of `places` that are equally likely: binomial, by
    /// adding up chances from none on.
    fn share_of(&mut self, draws: usize, places: usize) -> usize {
        if places <= 1 {
            return draws;
        }
        let odds = 1.0 / (places - 1) as f64;
        let mut chance = power(1.0 - 1.0 / places as f64, draws);
        let (mut left, mut count) = (self.unit(), 0);
        let mean = draws as f64 / places as f64;
        while left >= chance && count < draws {
            // Rounding may leave more than all chances that are still to come.
            if chance < CHANCE_OF_NOTHING && count as f64 > mean {
                break;
            }
            left -= chance;
            chance *= (draws - count) as f64 / (count + 1) as f64 * odds;
            count += 1;
        }
        count
    }
}

/// Less than what a draw from 0 to 1 can tell from 0.
const CHANCE_OF_NOTHING: f64 = f64::EPSILON / 2.0;

/// By squaring: the standard library's powers differ from machine to machine.
fn power(mut base: f64, mut exponent: usize) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: [Ratio; 1] = [Ratio { sum: 1, count: 0 }];

    fn sums<const N: usize>(rows: impl IntoIterator<Item = [f64; N]>, seed: u64) -> Sums {
        let rows: Vec<[f64; N]> = rows.into_iter().collect();
        let mut sample = Sample::new(N, vec![1], rows.len(), seed);
        rows.iter().for_each(|row| sample.push(row));
        sample.finish()
    }

    /// Pictures with one object each.
    fn of(values: impl IntoIterator<Item = f64>, seed: u64) -> Sums {
        sums(values.into_iter().map(|value| [1.0, value]), seed)
    }

    fn mean(sums: &Sums) -> Estimate {
        sums.means(&MEAN)[0].expect("there are pictures")
    }

    fn width(estimate: Estimate) -> f64 {
        estimate.high.expect("several pictures") - estimate.low.expect("several pictures")
    }

    #[test]
    fn a_mean_is_over_objects_not_pictures() {
        // 3 of 4 objects, though the pictures' means are 1 and 0.
        let mean = mean(&sums([[3.0, 3.0], [1.0, 0.0]], 7));
        assert_eq!((mean.value, mean.objects), (0.75, 4));
        // Two pictures twice are one of them in half of all resamples.
        assert_eq!((mean.low, mean.high), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn the_interval_holds_the_mean_and_shrinks_with_the_number_of_pictures() {
        let coins = |count: u64| of((0..count).map(|i| (mix(i) & 1) as f64), 1);
        let (few, many) = (mean(&coins(100)), mean(&coins(2500)));
        for estimate in [few, many] {
            assert!(estimate.low < Some(estimate.value) && Some(estimate.value) < estimate.high);
        }
        // 2 * 1.96 * sqrt(.25 / n): .196 and .0392.
        assert!((width(few) - 0.196).abs() < 0.02, "{few:?}");
        assert!((width(many) - 0.0392).abs() < 0.004, "{many:?}");
    }

    #[test]
    fn objects_of_one_picture_are_drawn_together() {
        // 50 pictures of four equal objects are worth 50 objects, not 200.
        let together = sums((0..50_u64).map(|i| [4.0, 4.0 * (mix(i) & 1) as f64]), 3);
        let apart = of((0..200_u64).map(|i| (mix(i / 4) & 1) as f64), 3);
        let ratio = width(mean(&together)) / width(mean(&apart));
        assert!((ratio - 2.0).abs() < 0.3, "{ratio}");
    }

    #[test]
    fn the_interval_holds_the_truth_about_95_times_of_100() {
        let holds = |trial: u64| {
            let coin = |i: u64| (mix(trial * 1000 + i) % 10 < 3) as u8;
            let mean = mean(&of((0..120).map(|i| f64::from(coin(i))), trial));
            mean.low.expect("several") <= 0.3 && 0.3 <= mean.high.expect("several")
        };
        let held = (0..200).filter(|&trial| holds(trial)).count();
        assert!((180..=198).contains(&held), "{held} of 200");
    }

    #[test]
    fn a_resample_draws_as_many_pictures_as_there_are() {
        for pictures in [2, 3, ROWS - 1, ROWS, 3 * ROWS + 5] {
            let counted = of((0..pictures).map(|_| 1.0), 4);
            let drawn = |sums: &Vec<f64>| sums[0] == pictures as f64;
            assert!(counted.resampled.len() == RESAMPLES && counted.resampled.iter().all(drawn));
        }
        // How often the first and the last of 100 are drawn: Binomial(100, 1/100), of variance .99.
        let first_and_last = (0..100).map(|i| match i {
            0 => [1.0, 1.0, 0.0],
            99 => [1.0, 0.0, 1.0],
            _ => [1.0, 0.0, 0.0],
        });
        let counted = sums(first_and_last, 9);
        for column in [1, 2] {
            let counts: Vec<f64> = counted.resampled.iter().map(|sums| sums[column]).collect();
            let mean = counts.iter().sum::<f64>() / RESAMPLES as f64;
            let variance =
                counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / RESAMPLES as f64;
            // Four standard errors of 2000 draws.
            assert!(
                (mean - 1.0).abs() < 0.09 && (variance - 0.99).abs() < 0.16,
                "{mean} {variance}"
            );
        }
    }

    #[test]
    fn what_is_not_there_has_no_mean() {
        assert_eq!(sums::<2>([], 0).means(&MEAN), [None]);
        let none = [0.0, 0.0];
        assert_eq!(sums([none], 0).means(&MEAN), [None]);
        let one = mean(&of([0.25], 0));
        assert_eq!(one, Estimate { value: 0.25, low: None, high: None, objects: 1 });
        // Some resamples have none of the pictures that count.
        let some = mean(&sums([none, [1.0, 0.5]], 0));
        assert_eq!((some.value, some.low, some.high), (0.5, Some(0.5), Some(0.5)));
    }

    #[test]
    fn seeds_and_threads_change_nothing_but_the_interval() {
        let found = |seed| {
            let sums = of((0..400_u16).map(|i| f64::from(i % 7) - 3.0), seed);
            (mean(&sums), sums.p_values().to_vec())
        };
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let alone = one_thread.install(|| found(5));
        assert_eq!(alone, found(5));
        let (other, _) = found(6);
        assert_eq!(other.value, alone.0.value);
        assert_ne!((other.low, other.high), (alone.0.low, alone.0.high));
        // What every machine finds.
        let mut random = Random::new(5, 1);
        assert_eq!(random.next(), 3_091_725_412_979_941_794);
        let drawn: Vec<usize> = (0..8).map(|_| random.share_of(100, 50)).collect();
        assert_eq!(drawn, [2, 1, 1, 2, 1, 2, 4, 2]);
    }

    #[test]
    fn flips_are_counted_as_in_the_whole_list_of_them() {
        // All 32 of them; of the sums 9, 11, -9 and -11 are as far from 0 as that of none, 9.
        let differences = [1.0, 2.0, 3.0, 4.0, -1.0];
        let total: f64 = differences.iter().sum();
        let extreme = (0..32_u32).filter(|flips| {
            let sign = |i: usize| if flips >> i & 1 == 1 { -1.0 } else { 1.0 };
            let sum: f64 = differences.iter().enumerate().map(|(i, d)| sign(i) * d).sum();
            sum.abs() >= total
        });
        let exact = extreme.count() as f64 / 32.0;
        let found = of(differences, 11).p_values()[0];
        // Four standard errors of 10,000 draws.
        assert!((found - exact).abs() < 4.0 * (exact * (1.0 - exact) / 1e4).sqrt(), "{found}");
    }

    #[test]
    fn equal_methods_do_not_differ_and_clear_ones_do() {
        assert_eq!(of([0.0; 9], 0).p_values(), [1.0]);
        assert_eq!(of([], 0).p_values(), [1.0]);
        // Never by chance among 10,000 draws: 2^-99.
        assert_eq!(of([0.1; 100], 0).p_values(), [1.0 / 10_001.0]);
        let noise = of((0..400_u64).map(|i| (mix(i) % 1000) as f64 - 499.5), 0);
        assert!(noise.p_values()[0] > 0.05);
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!((quantile(&[5.0], 0.3), quantile(&[], 0.5)), (Some(5.0), None));
    }
}
