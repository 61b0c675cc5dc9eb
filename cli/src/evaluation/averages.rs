//! The means of methods over some objects, and the differences between methods.

use super::measure::{Family, PERCENT, is_hit_at, points_nowhere};
use super::record::{CurvesRecord, Header, ObjectRecord};
use super::statistics::{ClassSample, Estimate, Ratio, Sample};
use super::summary::{
    AblationSummary, AlikeSummary, CurvePoint, CurvesSummary, MethodSummary, PointingSummary, Test,
};

/// Methods that all others are held against.
const CONTRASTIVE: [&str; 2] = ["clrp1", "clrp2"];

/// The method that all others should beat.
const RANDOM: &str = "random";

/// What is known of some objects.
pub(super) struct Averages<'a> {
    header: &'a Header,
    families: &'a [Family],
    /// The objects of each picture.
    pictures: &'a [Vec<&'a ObjectRecord>],
    layout: Layout,
    sample: Sample,
    /// For each of the layout's ratios.
    means: Vec<Option<Estimate>>,
    /// `TorchRay`'s accuracy of each method.
    class_means: Vec<Option<Estimate>>,
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

    fn ratios(&self) -> Vec<Ratio> {
        let of_block = |block: &Block| {
            let count = block.start;
            (1..=block.numbers).map(move |number| Ratio { sum: count + number, count })
        };
        self.blocks.iter().flat_map(of_block).collect()
    }
}

impl Block {
    /// Where the means of its numbers start among those of all ratios: one for each column that
    /// is no count.
    fn first_mean(&self, layout: &Layout) -> usize {
        self.start - layout.blocks.iter().filter(|block| block.start < self.start).count()
    }
}

/// The methods that are compared: each with the contrastive ones and with chance, once.
fn pairs(methods: &[String]) -> Vec<(usize, usize)> {
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
    pub(super) fn of(
        header: &'a Header,
        families: &'a [Family],
        pictures: &'a [Vec<&'a ObjectRecord>],
    ) -> Self {
        let layout = Layout::new(families, &header.methods);
        let mut sample = Sample::new(layout.columns);
        for objects in pictures {
            let mut row = vec![0.0; layout.columns];
            objects.iter().for_each(|object| add_object(&mut row, &layout, families, object));
            sample.push(&row);
        }
        let means = sample.means(&layout.ratios(), header.seed);
        let class_means = class_means(header, families, pictures);
        Self { header, families, pictures, layout, sample, means, class_means }
    }

    fn objects(&self) -> impl Iterator<Item = &'a ObjectRecord> {
        self.pictures.iter().flatten().copied()
    }

    /// The means of a block's numbers, all of them or none.
    fn estimates(&self, block: &Block) -> Option<Vec<Estimate>> {
        let first = block.first_mean(&self.layout);
        self.means[first..first + block.numbers].iter().copied().collect()
    }

    /// The means of each method.
    pub(super) fn methods(&self) -> Vec<MethodSummary> {
        let names = self.header.methods.iter().enumerate();
        names.map(|(method, name)| self.method(method, name)).collect()
    }

    fn method(&self, method: usize, name: &str) -> MethodSummary {
        let mut summary = MethodSummary {
            method: name.to_owned(),
            pointing: None,
            ablation: None,
            curves: None,
            alike: Vec::new(),
        };
        let own = self.layout.blocks.iter().filter(|block| block.of == Of::Method(method));
        for block in own {
            let Some(means) = self.estimates(block) else { continue };
            match &self.families[block.family] {
                Family::Pointing => summary.pointing = self.pointing(method, &means),
                Family::Ablation => {
                    let (drop_logit, drop_probability) = (means[0], means[1]);
                    summary.ablation = Some(AblationSummary { drop_logit, drop_probability });
                }
                Family::Curves => summary.curves = Some(self.curves(method, &means)),
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

    fn pointing(&self, method: usize, means: &[Estimate]) -> Option<PointingSummary> {
        let nowhere = self.objects().filter(|object| points_nowhere(object, method));
        let curve = PERCENT.into_iter().zip(&means[6..]);
        Some(PointingSummary {
            points_nowhere: nowhere.count(),
            by_maximum: means[0],
            within_tolerance: self.class_means[method]?,
            by_any_maximum: means[2],
            reach: means[3],
            mass: means[4],
            rank: means[5],
            curve: curve.map(|(percent, &accuracy)| CurvePoint { percent, accuracy }).collect(),
            dense: self.dense(method),
        })
    }

    /// The accuracy at 0, 1, ..., 100 % of the energy.
    fn dense(&self, method: usize) -> Vec<f64> {
        let reaches: Vec<f64> = self
            .objects()
            .filter_map(|object| Family::Pointing.values(object, method))
            .map(|values| values[3])
            .collect();
        let accuracy = |percent| {
            let hits = reaches.iter().filter(|&&reach| is_hit_at(reach, percent)).count();
            hits as f64 / reaches.len() as f64
        };
        (0..=100).map(accuracy).collect()
    }

    fn curves(&self, method: usize, means: &[Estimate]) -> CurvesSummary {
        let measured: Vec<&CurvesRecord> = self
            .objects()
            .filter(|object| Family::Curves.values(object, method).is_some())
            .filter_map(|object| object.methods[method].curves.as_ref())
            .collect();
        CurvesSummary {
            deletion_area: means[0],
            insertion_area: means[1],
            deletion: mean_curve(&measured, |curves| &curves.deletion),
            insertion: mean_curve(&measured, |curves| &curves.insertion),
        }
    }

    /// Whether methods differ.
    pub(super) fn tests(&self) -> Vec<Test> {
        let differences = self.layout.blocks.iter().filter_map(|block| match block.of {
            Of::Method(_) => None,
            Of::Difference(method, against) => Some((block, method, against)),
        });
        let found: Vec<_> = differences
            .filter_map(|(block, method, against)| {
                Some((block, method, against, self.estimates(block)?))
            })
            .collect();
        let columns: Vec<usize> = found
            .iter()
            .flat_map(|(block, ..)| block.start + 1..=block.start + block.numbers)
            .collect();
        let mut p = self.sample.sign_flip_tests(&columns, self.header.seed).into_iter();
        let mut tests = Vec::new();
        for (block, method, against, differences) in found {
            let measures = self.families[block.family].compared();
            for ((measure, difference), p) in measures.into_iter().zip(differences).zip(&mut p) {
                tests.push(Test {
                    measure,
                    method: self.header.methods[method].clone(),
                    against: self.header.methods[against].clone(),
                    difference,
                    p,
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

/// The mean of the classes' accuracies within the tolerance.
fn class_means(
    header: &Header,
    families: &[Family],
    pictures: &[Vec<&ObjectRecord>],
) -> Vec<Option<Estimate>> {
    let methods = header.methods.len();
    let mut sample = ClassSample::new(methods);
    if families.contains(&Family::Pointing) {
        for objects in pictures {
            sample.start_picture();
            for object in objects {
                let hit = |method| Some(Family::Pointing.values(object, method)?[1]);
                // All methods have the same region, or none.
                if let Some(row) = (0..methods).map(hit).collect::<Option<Vec<f64>>>() {
                    sample.push(object.class, &row);
                }
            }
        }
    }
    sample.means(header.seed)
}

/// Step by step, of the curves that are as long as the first.
fn mean_curve(measured: &[&CurvesRecord], of: fn(&CurvesRecord) -> &Vec<f64>) -> Vec<f64> {
    let length = measured.first().map_or(0, |curves| of(curves).len());
    let (mut sums, mut count) = (vec![0.0; length], 0.0);
    for curve in measured.iter().map(|curves| of(curves)).filter(|curve| curve.len() == length) {
        sums.iter_mut().zip(curve).for_each(|(sum, value)| *sum += value);
        count += 1.0;
    }
    sums.iter().map(|sum| sum / count).collect()
}
