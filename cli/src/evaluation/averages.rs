//! The means of methods over some objects, and the differences between methods.

use std::collections::BTreeMap;

use clrp::Method;

use super::measure::{Family, PERCENT, is_hit_at, points_nowhere};
use super::record::{Header, ObjectRecord};
use super::statistics::{Estimate, Ratio, Sample};
use super::summary::{
    AblationSummary, AlikeSummary, CurvePoint, CurvesSummary, MethodSummary, PointingSummary,
    SubsetSummary, Test,
};

/// The paper's methods, which all others are held against.
const CONTRASTIVE: [&str; 2] = [Method::Clrp1.name(), Method::Clrp2.name()];

/// The method that all others should beat.
const RANDOM: &str = Method::Random.name();

/// What is known of the objects of a subset, which come picture by picture.
pub(super) struct Averages<'a> {
    header: &'a Header,
    families: &'a [Family],
    layout: Layout,
    /// What an object of each class weighs where classes count alike.
    weights: BTreeMap<usize, f64>,
    sample: Sample,
    methods: Vec<Totals>,
}

/// What a method has besides numbers with intervals.
#[derive(Clone, Default)]
struct Totals {
    points_nowhere: usize,
    /// How far each object's energy reaches: how many hits there are at 0, 1, ..., 100 %.
    played: usize,
    hits: Vec<usize>,
    deletion: MeanCurve,
    insertion: MeanCurve,
}

/// A mean step by step, of the curves that are as long as the first.
#[derive(Clone, Default)]
struct MeanCurve {
    count: f64,
    sums: Vec<f64>,
}

/// Some columns of a sample: how many objects have a family's numbers, then their sums.
#[derive(Clone, Copy)]
struct Block {
    family: usize,
    of: Of,
    start: usize,
    numbers: usize,
}

/// Whose numbers.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Method(usize),
    /// The first less the second, of objects that have both.
    Difference(usize, usize),
}

/// Which numbers are in which columns.
struct Layout {
    methods: usize,
    blocks: Vec<Block>,
    /// Of the blocks; after them come the sum of weights and that of each method's weighted hits.
    columns: usize,
}

impl Layout {
    fn new(families: &[Family], methods: &[String]) -> Self {
        let mut layout = Self { methods: methods.len(), blocks: Vec::new(), columns: 0 };
        for (family, numbers) in families.iter().enumerate() {
            for method in 0..methods.len() {
                layout.push(family, Of::Method(method), numbers.len());
            }
            for (method, against) in pairs(methods) {
                layout.push(family, Of::Difference(method, against), numbers.compared().len());
            }
        }
        layout
    }

    fn push(&mut self, family: usize, of: Of, numbers: usize) {
        self.blocks.push(Block { family, of, start: self.columns, numbers });
        self.columns += 1 + numbers;
    }

    /// Those of the blocks, then those of classes.
    fn ratios(&self) -> Vec<Ratio> {
        let of = |count: usize, numbers: usize| {
            (1..=numbers).map(move |number| Ratio { sum: count + number, count })
        };
        let blocks = self.blocks.iter().flat_map(|block| of(block.start, block.numbers));
        blocks.chain(of(self.columns, self.methods)).collect()
    }

    /// The columns of differences.
    fn tested(&self) -> Vec<usize> {
        let differences = self.blocks.iter().filter(|block| block.is_difference());
        differences.flat_map(|block| block.start + 1..=block.start + block.numbers).collect()
    }

    fn class_columns(&self) -> std::ops::Range<usize> {
        self.columns..self.columns + 1 + self.methods
    }
}

impl Block {
    fn is_difference(&self) -> bool {
        match self.of {
            Of::Method(_) => false,
            Of::Difference(..) => true,
        }
    }

    /// Where the means of its numbers start among those of all ratios: one for each column that
    /// is no count.
    fn first_mean(&self, layout: &Layout) -> usize {
        self.start - layout.blocks.iter().filter(|block| block.start < self.start).count()
    }
}

/// The methods that are compared: each with the contrastive ones and with chance, once.
pub(super) fn pairs(methods: &[String]) -> Vec<(usize, usize)> {
    let place = |name: &str| methods.iter().position(|method| method == name);
    let mut pairs = Vec::new();
    for one in CONTRASTIVE.into_iter().filter_map(place) {
        for other in 0..methods.len() {
            if other != one && !pairs.contains(&(other, one)) {
                pairs.push((one, other));
            }
        }
    }
    if let Some(random) = place(RANDOM) {
        for other in 0..methods.len() {
            if other != random && !pairs.contains(&(other, random)) {
                pairs.push((other, random));
            }
        }
    }
    pairs
}

impl<'a> Averages<'a> {
    /// Of the objects that the summary has counted.
    pub(super) fn new(header: &'a Header, families: &'a [Family], summary: &SubsetSummary) -> Self {
        let layout = Layout::new(families, &header.methods);
        let columns = layout.class_columns().end;
        let weigh = |(class, objects): (&usize, &usize)| (*class, 1.0 / *objects as f64);
        Self {
            header,
            families,
            weights: summary.played.iter().map(weigh).collect(),
            sample: Sample::new(columns, layout.tested(), summary.pictures, header.seed),
            methods: vec![Totals::default(); header.methods.len()],
            layout,
        }
    }

    /// Adds a picture's objects.
    pub(super) fn add(&mut self, objects: &[&ObjectRecord]) {
        let mut row = vec![0.0; self.layout.class_columns().end];
        for object in objects {
            add_object(&mut row, &self.layout, self.families, object);
            self.add_class(&mut row, object);
            for (method, totals) in self.methods.iter_mut().enumerate() {
                totals.add(object, method);
            }
        }
        self.sample.push(&row);
    }

    /// Adds what the object weighs, and of each method that if it hits within the tolerance.
    ///
    /// Where pictures are drawn again objects keep the weights that all of them give them: a class
    /// of one picture, whose mean is the same however often that is drawn, would vary too little.
    fn add_class(&self, row: &mut [f64], object: &ObjectRecord) {
        let hits = class_hits(object, self.layout.methods);
        let Some((hits, weight)) = hits.zip(self.weights.get(&object.class)) else { return };
        let numbers = std::iter::once(1.0).chain(hits);
        let columns = &mut row[self.layout.class_columns()];
        columns.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += weight * number);
    }

    /// The means of each method, and whether methods differ.
    pub(super) fn finish(self) -> (Vec<MethodSummary>, Vec<Test>) {
        let Self { header, families, layout, sample, methods, .. } = self;
        let sums = sample.finish();
        let means = sums.means(&layout.ratios());
        let found = Found { header, families, layout: &layout, means: &means };
        let summaries = methods.into_iter().enumerate();
        let summaries = summaries.map(|(method, totals)| found.method(method, totals)).collect();
        (summaries, found.tests(sums.p_values()))
    }
}

impl Totals {
    fn add(&mut self, object: &ObjectRecord, method: usize) {
        self.points_nowhere += usize::from(points_nowhere(object, method));
        if let Some(values) = Family::Pointing.values(object, method) {
            self.played += 1;
            self.hits.resize(101, 0);
            for (percent, hits) in (0..).zip(&mut self.hits) {
                *hits += usize::from(is_hit_at(values[REACH], percent));
            }
        }
        if Family::Curves.values(object, method).is_some()
            && let Some(curves) = &object.methods[method].curves
        {
            self.deletion.add(&curves.deletion);
            self.insertion.add(&curves.insertion);
        }
    }

    /// The accuracy at 0, 1, ..., 100 % of the energy.
    fn dense(&self) -> Vec<f64> {
        self.hits.iter().map(|&hits| hits as f64 / self.played as f64).collect()
    }
}

impl MeanCurve {
    fn add(&mut self, curve: &[f64]) {
        if self.count == 0.0 {
            self.sums = vec![0.0; curve.len()];
        }
        if self.sums.len() == curve.len() {
            self.sums.iter_mut().zip(curve).for_each(|(sum, value)| *sum += value);
            self.count += 1.0;
        }
    }

    fn mean(self) -> Vec<f64> {
        self.sums.into_iter().map(|sum| sum / self.count).collect()
    }
}

/// What all pictures have come to.
struct Found<'a> {
    header: &'a Header,
    families: &'a [Family],
    layout: &'a Layout,
    /// For each of the layout's ratios.
    means: &'a [Option<Estimate>],
}

impl Found<'_> {
    /// The means of a block's numbers, all of them or none.
    fn estimates(&self, block: &Block) -> Option<Vec<Estimate>> {
        let first = block.first_mean(self.layout);
        self.means[first..first + block.numbers].iter().copied().collect()
    }

    fn method(&self, method: usize, totals: Totals) -> MethodSummary {
        let mut summary = MethodSummary {
            method: self.header.methods[method].clone(),
            pointing: None,
            ablation: None,
            curves: None,
            alike: Vec::new(),
        };
        let own = self.layout.blocks.iter().filter(|block| block.of == Of::Method(method));
        for block in own {
            let Some(means) = self.estimates(block) else { continue };
            match &self.families[block.family] {
                Family::Pointing => summary.pointing = self.pointing(method, &totals, &means),
                Family::Ablation => {
                    let (drop_logit, drop_probability) = (means[0], means[1]);
                    summary.ablation = Some(AblationSummary { drop_logit, drop_probability });
                }
                Family::Curves => {
                    summary.curves = Some(CurvesSummary {
                        deletion_area: means[0],
                        insertion_area: means[1],
                        deletion: totals.deletion.clone().mean(),
                        insertion: totals.insertion.clone().mean(),
                    });
                }
                Family::Alike(change) => summary.alike.push(AlikeSummary {
                    change: change.clone(),
                    spearman: means[0],
                    ssim: means[1],
                    spearman_abs: means[2],
                }),
            }
        }
        summary
    }

    fn pointing(
        &self,
        method: usize,
        totals: &Totals,
        means: &[Estimate],
    ) -> Option<PointingSummary> {
        let of_classes = self.means[self.means.len() - self.layout.methods + method]?;
        let curve = PERCENT.into_iter().zip(&means[6..]);
        Some(PointingSummary {
            points_nowhere: totals.points_nowhere,
            by_maximum: means[0],
            within_tolerance: Estimate { objects: means[TOLERANCE].objects, ..of_classes },
            by_any_maximum: means[2],
            reach: means[REACH],
            mass: means[4],
            rank: means[5],
            curve: curve.map(|(percent, &accuracy)| CurvePoint { percent, accuracy }).collect(),
            dense: totals.dense(),
        })
    }

    /// Whether methods differ; there is a p value for each column of differences.
    fn tests(&self, p_values: &[f64]) -> Vec<Test> {
        let mut p_values = p_values.iter();
        let mut tests = Vec::new();
        for block in &self.layout.blocks {
            let Of::Difference(method, against) = block.of else { continue };
            let p_values = p_values.by_ref().take(block.numbers).collect::<Vec<_>>();
            let Some(differences) = self.estimates(block) else { continue };
            let measures = self.families[block.family].compared();
            for ((measure, difference), p) in measures.into_iter().zip(differences).zip(p_values) {
                tests.push(Test {
                    measure,
                    method: self.header.methods[method].clone(),
                    against: self.header.methods[against].clone(),
                    difference,
                    p: *p,
                });
            }
        }
        tests
    }
}

fn add_object(row: &mut [f64], layout: &Layout, families: &[Family], object: &ObjectRecord) {
    for blocks in layout.blocks.chunk_by(|one, other| one.family == other.family) {
        let family = &families[blocks[0].family];
        let values: Vec<_> =
            (0..layout.methods).map(|method| family.values(object, method)).collect();
        let values = |method: usize| values[method].as_ref();
        for block in blocks {
            let numbers: Option<Vec<f64>> = match block.of {
                Of::Method(method) => values(method).cloned(),
                Of::Difference(one, other) => values(one)
                    .zip(values(other))
                    .map(|(one, other)| one.iter().zip(other).map(|(a, b)| a - b).collect()),
            };
            if let Some(numbers) = numbers {
                let sums = &mut row[block.start..][..=block.numbers];
                sums[0] += 1.0;
                sums[1..].iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
            }
        }
    }
}

/// For each method, whether its map of the object hits within the tolerance: 1, or 0. None where
/// one was not played for: all methods have the same region, or none.
pub(super) fn class_hits(object: &ObjectRecord, methods: usize) -> Option<Vec<f64>> {
    let hit = |method| Some(Family::Pointing.values(object, method)?[TOLERANCE]);
    (0..methods).map(hit).collect()
}

/// Where a pointing game's numbers have these.
const TOLERANCE: usize = 1;
const REACH: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::summary::Subset;
    use super::super::testing::{header, object, picture, pointing, summary_of};

    #[test]
    fn a_mean_of_classes_counts_each_class_once() {
        let of = |class, one, other| object(class, vec![pointing(one, 0.0), pointing(other, 0.0)]);
        // Class 9: 1 of 3 and 3 of 3; class 4: 1 of 1 and 0 of 1.
        let records = [
            picture(0, vec![of(9, true, true), of(4, true, false)]),
            picture(1, vec![of(9, false, true), of(9, false, true)]),
        ];
        let summary = summary_of(&header(&["lrp", "clrp1"]), &records);
        let all = &summary.networks[0].subsets[0];
        assert_eq!(all.subset, Subset::All);
        let found = |method: usize| {
            all.methods[method].pointing.as_ref().expect("they played").within_tolerance
        };
        let (first, second) = (found(0), found(1));
        assert!((first.value - (1.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
        assert!((second.value - 0.5).abs() < 1e-12);
        // Twice the first picture, one of each, or twice the second.
        assert_eq!((first.low, first.high, first.objects), (Some(0.0), Some(1.0), 4));
        // Class 9 weighs a third an object: 1/3 of 4/3.
        assert_eq!((second.low, second.high), (Some(0.25), Some(1.0)));
    }
}
