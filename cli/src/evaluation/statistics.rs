//! Means and differences with their uncertainty.
//!
//! Objects of one picture belong together, so pictures are what is drawn again (bootstrap) and
//! what changes sides (sign-flip test). All of it is the same on every machine and for every
//! number of threads: random numbers are hashes of their places, and nothing is added up in
//! another order.

use std::collections::BTreeMap;

use clrp::num::mix;
use rayon::prelude::*;
use serde::Serialize;

/// How often the pictures are drawn again.
pub(crate) const RESAMPLES: usize = 2000;

/// How often the signs of differences are drawn.
pub(crate) const PERMUTATIONS: usize = 10_000;

/// Resamples that share a walk over the pictures.
const RESAMPLE_BATCH: usize = 16;

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

/// Numbers of pictures: a row for each, a column for each thing that is added up.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    columns: usize,
    values: Vec<f64>,
}

impl Sample {
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns, values: Vec::new() }
    }

    /// Appends a picture: a finite number for each column.
    pub(crate) fn push(&mut self, row: &[f64]) {
        assert_eq!(row.len(), self.columns, "a row has a number for each column");
        self.values.extend_from_slice(row);
    }

    pub(crate) fn pictures(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        // Without columns there are no values.
        self.values.chunks_exact(self.columns.max(1))
    }

    /// The sum of each column.
    pub(crate) fn totals(&self) -> Vec<f64> {
        let mut totals = vec![0.0; self.columns];
        self.rows().for_each(|row| add(&mut totals, row));
        totals
    }

    /// Means of columns; none where nothing was counted.
    pub(crate) fn means(&self, ratios: &[Ratio], seed: u64) -> Vec<Option<Estimate>> {
        let totals = self.totals();
        let resampled = resampled(self.pictures(), seed, self.columns, |counts| {
            let mut sums = vec![0.0; self.columns * RESAMPLE_BATCH];
            for (row, counts) in self.rows().zip(counts.chunks_exact(RESAMPLE_BATCH)) {
                for (sums, &count) in sums.chunks_exact_mut(self.columns).zip(counts) {
                    if count > 0 {
                        add_times(sums, row, f64::from(count));
                    }
                }
            }
            sums
        });
        let estimate = |ratio: &Ratio| {
            let value = share(&totals, ratio)?;
            let again = resampled.iter().filter_map(|sums| share(sums, ratio)).collect();
            Some(Estimate::new(value, again, totals[ratio.count]))
        };
        ratios.par_iter().map(estimate).collect()
    }

    /// For each column of differences the two-sided p value of the sign-flip permutation test:
    /// how often a sum is as far from 0 where each picture's two sides are swapped by chance.
    pub(crate) fn sign_flip_tests(&self, columns: &[usize], seed: u64) -> Vec<f64> {
        let mut tested = Sample::new(columns.len());
        let chosen = |row: &[f64]| columns.iter().map(|&column| row[column]).collect::<Vec<_>>();
        self.rows().for_each(|row| tested.push(&chosen(row)));
        let mut sizes = vec![0.0; columns.len()];
        for row in tested.rows() {
            sizes.iter_mut().zip(row).for_each(|(size, value)| *size += value.abs());
        }
        let totals = tested.totals();
        let flips = (0..PERMUTATIONS.div_ceil(FLIP_BATCH)).into_par_iter();
        let kept: Vec<Vec<f64>> = flips.map(|batch| tested.kept(seed, batch as u64)).collect();
        let test = |column: usize| {
            // Sums of the same numbers in another order are not quite equal.
            let least = totals[column].abs() - 1e-12 * sizes[column];
            let sums = kept.iter().flat_map(|kept| kept.chunks_exact(columns.len()));
            // What keeps its sign less what changes it.
            let flipped = sums.take(PERMUTATIONS).map(|sums| 2.0 * sums[column] - totals[column]);
            let extreme = flipped.filter(|sum| sum.abs() >= least).count();
            (extreme + 1) as f64 / (PERMUTATIONS + 1) as f64
        };
        (0..columns.len()).map(test).collect()
    }

    /// The sums of the pictures that keep their signs, for each flip of a batch.
    fn kept(&self, seed: u64, batch: u64) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns * FLIP_BATCH];
        let mut random = Random::new(seed, batch);
        for row in self.rows() {
            let word = random.next();
            for (flip, sums) in sums.chunks_exact_mut(self.columns.max(1)).enumerate() {
                if word >> flip & 1 == 1 {
                    add(sums, row);
                }
            }
        }
        sums
    }
}

/// Numbers of objects of several classes: their mean is that of the means of classes.
#[derive(Clone, Debug)]
pub(crate) struct ClassSample {
    columns: usize,
    pictures: usize,
    /// The picture and the class of each object.
    places: Vec<(usize, usize)>,
    values: Vec<f64>,
}

impl ClassSample {
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns, pictures: 0, places: Vec::new(), values: Vec::new() }
    }

    /// Starts a picture, to which the objects that follow belong.
    pub(crate) fn start_picture(&mut self) {
        self.pictures += 1;
    }

    /// Appends an object of the last picture: a finite number for each column.
    pub(crate) fn push(&mut self, class: usize, row: &[f64]) {
        assert_eq!(row.len(), self.columns, "a row has a number for each column");
        self.places.push((self.pictures.saturating_sub(1), class));
        self.values.extend_from_slice(row);
    }

    /// The mean of the means of classes, column by column; none without objects.
    ///
    /// Where pictures are drawn again objects keep the weights that this gives them: a class of one
    /// picture, whose mean is the same however often that is drawn, would vary too little.
    pub(crate) fn means(&self, seed: u64) -> Vec<Option<Estimate>> {
        let mut objects = BTreeMap::new();
        for (_, class) in &self.places {
            *objects.entry(class).or_insert(0.0) += 1.0;
        }
        let columns = 1 + self.columns;
        let mut rows = vec![vec![0.0; columns]; self.pictures];
        let values = self.values.chunks_exact(self.columns.max(1));
        for ((picture, class), values) in self.places.iter().zip(values) {
            let weight = 1.0 / objects[class];
            rows[*picture][0] += weight;
            add_times(&mut rows[*picture][1..], values, weight);
        }
        let mut sample = Sample::new(columns);
        rows.iter().for_each(|row| sample.push(row));
        let ratios: Vec<Ratio> = (1..columns).map(|sum| Ratio { sum, count: 0 }).collect();
        let means = sample.means(&ratios, seed).into_iter();
        let counted = |mean: Estimate| Estimate { objects: self.places.len(), ..mean };
        means.map(|mean| mean.map(counted)).collect()
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

/// Numbers for each resample, from those that `sum` makes of a batch's counts: for each picture,
/// how often each resample of the batch has it. None of fewer than two pictures.
fn resampled(
    pictures: usize,
    seed: u64,
    columns: usize,
    sum: impl Fn(&[u32]) -> Vec<f64> + Sync,
) -> Vec<Vec<f64>> {
    if pictures < 2 || columns == 0 {
        return Vec::new();
    }
    let batches = (0..RESAMPLES.div_ceil(RESAMPLE_BATCH)).into_par_iter();
    let sums: Vec<Vec<f64>> = batches.map(|batch| sum(&counts(pictures, seed, batch))).collect();
    let rows = sums.iter().flat_map(|sums| sums.chunks_exact(columns));
    rows.take(RESAMPLES).map(<[f64]>::to_vec).collect()
}

/// As many pictures as there are, drawn with putting back, for each resample of a batch.
fn counts(pictures: usize, seed: u64, batch: usize) -> Vec<u32> {
    let mut counts = vec![0; pictures * RESAMPLE_BATCH];
    for resample in 0..RESAMPLE_BATCH {
        let mut random = Random::new(seed, (batch * RESAMPLE_BATCH + resample) as u64);
        for _ in 0..pictures {
            counts[random.below(pictures) * RESAMPLE_BATCH + resample] += 1;
        }
    }
    counts
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
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        Self(mix(mix(seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_add(stream)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `count`, which fits 32 bits; the bias of 2^-32 does not matter here.
    fn below(&mut self, count: usize) -> usize {
        (((self.next() >> 32) * count as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: [Ratio; 1] = [Ratio { sum: 1, count: 0 }];

    /// Pictures with one object each.
    fn sample(values: impl IntoIterator<Item = f64>) -> Sample {
        let mut sample = Sample::new(2);
        values.into_iter().for_each(|value| sample.push(&[1.0, value]));
        sample
    }

    fn mean(sample: &Sample, seed: u64) -> Estimate {
        sample.means(&MEAN, seed)[0].expect("there are pictures")
    }

    fn width(estimate: Estimate) -> f64 {
        estimate.high.expect("several pictures") - estimate.low.expect("several pictures")
    }

    #[test]
    fn a_mean_is_over_objects_not_pictures() {
        let mut sample = Sample::new(2);
        sample.push(&[3.0, 3.0]);
        sample.push(&[1.0, 0.0]);
        // 3 of 4 objects, though the pictures' means are 1 and 0.
        let mean = mean(&sample, 7);
        assert_eq!((mean.value, mean.objects), (0.75, 4));
        // Two pictures twice are one of them in half of all resamples.
        assert_eq!((mean.low, mean.high), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn the_interval_holds_the_mean_and_shrinks_with_the_number_of_pictures() {
        let coins = |count: u64| sample((0..count).map(|i| (mix(i) & 1) as f64));
        let (few, many) = (mean(&coins(100), 1), mean(&coins(2500), 1));
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
        let mut together = Sample::new(2);
        (0..50_u64).for_each(|i| together.push(&[4.0, 4.0 * (mix(i) & 1) as f64]));
        let apart = sample((0..200_u64).map(|i| (mix(i / 4) & 1) as f64));
        let ratio = width(mean(&together, 3)) / width(mean(&apart, 3));
        assert!((ratio - 2.0).abs() < 0.3, "{ratio}");
    }

    #[test]
    fn the_interval_holds_the_truth_about_95_times_of_100() {
        let holds = |trial: u64| {
            let coin = |i: u64| (mix(trial * 1000 + i) % 10 < 3) as u8;
            let mean = mean(&sample((0..120).map(|i| f64::from(coin(i)))), trial);
            mean.low.expect("several") <= 0.3 && 0.3 <= mean.high.expect("several")
        };
        let held = (0..200).filter(|&trial| holds(trial)).count();
        assert!((180..=198).contains(&held), "{held} of 200");
    }

    #[test]
    fn what_is_not_there_has_no_mean() {
        assert_eq!(Sample::new(2).means(&MEAN, 0), [None]);
        let mut none = Sample::new(2);
        none.push(&[0.0, 0.0]);
        assert_eq!(none.means(&MEAN, 0), [None]);
        let one = mean(&sample([0.25]), 0);
        assert_eq!(one, Estimate { value: 0.25, low: None, high: None, objects: 1 });
        // Some resamples have none of the pictures that count.
        none.push(&[1.0, 0.5]);
        let some = mean(&none, 0);
        assert_eq!((some.value, some.low, some.high), (0.5, Some(0.5), Some(0.5)));
        assert_eq!(ClassSample::new(2).means(0), [None, None]);
    }

    #[test]
    fn seeds_and_threads_change_nothing_but_the_interval() {
        let sample = sample((0..40_u8).map(|i| f64::from(i % 7)));
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let alone = one_thread.install(|| (mean(&sample, 5), sample.sign_flip_tests(&[1], 5)));
        assert_eq!(alone, (mean(&sample, 5), sample.sign_flip_tests(&[1], 5)));
        let other = mean(&sample, 6);
        assert_eq!(other.value, alone.0.value);
        assert_ne!((other.low, other.high), (alone.0.low, alone.0.high));
        // What every machine finds.
        let drawn = (Random::new(5, 1).next(), Random::new(5, 2).below(1000));
        assert_eq!(drawn, (3_091_725_412_979_941_794, 373));
    }

    #[test]
    fn a_mean_of_classes_counts_each_class_once() {
        let mut sample = ClassSample::new(2);
        // Class 9: 1 of 3 and 3 of 3; class 4: 1 of 1 and 0 of 1.
        sample.start_picture();
        sample.push(9, &[1.0, 1.0]);
        sample.push(4, &[1.0, 0.0]);
        sample.start_picture();
        sample.push(9, &[0.0, 1.0]);
        sample.push(9, &[0.0, 1.0]);
        let means = sample.means(1);
        let value = |i: usize| means[i].expect("there are objects").value;
        assert!((value(0) - (1.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
        assert!((value(1) - 0.5).abs() < 1e-12);
        // Twice the first picture, one of each, or twice the second.
        let first = means[0].expect("there are objects");
        assert_eq!((first.low, first.high, first.objects), (Some(0.0), Some(1.0), 4));
        let second = means[1].expect("there are objects");
        // Class 9 weighs a third an object: 1/3 of 4/3.
        assert_eq!((second.low, second.high), (Some(0.25), Some(1.0)));
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
        let found = sample(differences).sign_flip_tests(&[1], 11)[0];
        // Four standard errors of 10,000 draws.
        assert!((found - exact).abs() < 4.0 * (exact * (1.0 - exact) / 1e4).sqrt(), "{found}");
    }

    #[test]
    fn equal_methods_do_not_differ_and_clear_ones_do() {
        assert_eq!(sample([0.0; 9]).sign_flip_tests(&[1], 0), [1.0]);
        assert_eq!(Sample::new(2).sign_flip_tests(&[1], 0), [1.0]);
        // Never by chance among 10,000 draws: 2^-99.
        assert_eq!(sample([0.1; 100]).sign_flip_tests(&[1], 0), [1.0 / 10_001.0]);
        let noise = sample((0..400_u64).map(|i| (mix(i) % 1000) as f64 - 499.5));
        assert!(noise.sign_flip_tests(&[1], 0)[0] > 0.05);
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!((quantile(&[5.0], 0.3), quantile(&[], 0.5)), (Some(5.0), None));
    }
}
