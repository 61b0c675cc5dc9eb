//! How neurons of a layer differ, over all pictures.

use serde::Serialize;

use super::averages::pairs;
use super::record::{Header, NeuronsRecord, Record};
use super::records::Records;
use super::statistics::{Estimate, Ratio, Sample, Sums};
use super::summary::Test;
use crate::failure::Result;

/// What the matrices of one network say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NeuronSummary {
    pub(crate) network: String,
    pub(crate) layer: String,
    pub(crate) methods: Vec<NeuronMethod>,
    /// Whether methods differ in the shares and drops below, by their names there.
    pub(crate) tests: Vec<Test>,
}

/// What the matrices of one method say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NeuronMethod {
    pub(crate) method: String,
    pub(crate) pictures: usize,
    /// Of all pictures.
    pub(crate) neurons: usize,
    /// The share of patches without which all other neurons of the picture lose less than their
    /// own.
    pub(crate) on_diagonal: Option<Estimate>,
    /// What that share would be by chance.
    pub(crate) by_chance: f64,
    /// What neurons lose of their values without their own patches, and without those of others;
    /// of neurons with values above 0.
    pub(crate) own_drop: Option<Estimate>,
    pub(crate) other_drop: Option<Estimate>,
}

/// The columns of a picture and a method, or two methods: counts before sums.
const COLUMNS: usize = 2 * MEASURES.len();
const MEASURES: [&str; 3] = ["on_diagonal", "own_drop", "other_drop"];

impl NeuronSummary {
    /// Of each network.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub(crate) fn all(header: &Header, records: &(impl Records + ?Sized)) -> Result<Vec<Self>> {
        // For each network the layer, and the pictures of which matrices were made.
        let mut found: Vec<Option<(String, usize)>> = vec![None; header.networks.len()];
        records.all(|record| {
            for (number, found) in found.iter_mut().enumerate() {
                if let Some(first) = record.neurons.iter().find(|of| of.network == number) {
                    found.get_or_insert_with(|| (first.layer.clone(), 0)).1 += 1;
                }
            }
        })?;
        let mut all = Vec::new();
        for (number, found) in found.into_iter().enumerate() {
            let Some((layer, pictures)) = found else { continue };
            let mut sums = NeuronSums::new(header, pictures);
            records.all(|record| {
                sums.add(number, record);
            })?;
            let (methods, tests) = sums.finish();
            let network = header.networks[number].name.clone();
            all.push(Self { network, layer, methods, tests });
        }
        Ok(all)
    }
}

/// What is added up of one network.
struct NeuronSums<'a> {
    header: &'a Header,
    /// Methods that are held against each other.
    pairs: Vec<(usize, usize)>,
    sample: Sample,
    /// Pictures and neurons of each method.
    counts: Vec<[usize; 2]>,
}

impl<'a> NeuronSums<'a> {
    fn new(header: &'a Header, pictures: usize) -> Self {
        let (methods, pairs) = (header.methods.len(), pairs(&header.methods));
        let tested = (methods..methods + pairs.len()).flat_map(ratios);
        let tested = tested.map(|ratio| ratio.sum).collect();
        let columns = COLUMNS * (methods + pairs.len());
        Self {
            header,
            pairs,
            sample: Sample::new(columns, tested, pictures, header.seed),
            counts: vec![[0; 2]; methods],
        }
    }

    /// Adds a picture's matrices, if it has any of the network.
    fn add(&mut self, network: usize, record: &Record) {
        if !record.neurons.iter().any(|of| of.network == network) {
            return;
        }
        let of_method = |method: &String| {
            let own = |of: &&NeuronsRecord| of.network == network && of.method == *method;
            record.neurons.iter().find(own).filter(|of| !of.not_finite)
        };
        let matrices: Vec<Option<&NeuronsRecord>> =
            self.header.methods.iter().map(of_method).collect();
        let rows: Vec<Option<[f64; COLUMNS]>> =
            matrices.iter().map(|matrix| Some(row(matrix.as_ref()?))).collect();
        let difference = |&(one, other): &(usize, usize)| Some(less(rows[one]?, rows[other]?));
        let differences = self.pairs.iter().map(difference);
        let all = rows.iter().copied().chain(differences);
        let columns: Vec<f64> = all.flat_map(|row| row.unwrap_or([0.0; COLUMNS])).collect();
        self.sample.push(&columns);
        for ([pictures, neurons], matrix) in self.counts.iter_mut().zip(matrices) {
            *pictures += usize::from(matrix.is_some());
            *neurons += matrix.map_or(0, |matrix| matrix.neurons.len());
        }
    }

    fn finish(self) -> (Vec<NeuronMethod>, Vec<Test>) {
        let Self { header, pairs, sample, counts } = self;
        let sums = sample.finish();
        let names = header.methods.iter().zip(counts).enumerate();
        let methods = names.filter(|(_, (_, [pictures, _]))| *pictures > 0);
        let method = |(block, (name, [pictures, neurons])): (usize, (&String, [usize; 2]))| {
            let [on_diagonal, own_drop, other_drop] = means(&sums, block);
            NeuronMethod {
                method: name.clone(),
                pictures,
                neurons,
                on_diagonal,
                by_chance: pictures as f64 / neurons as f64,
                own_drop,
                other_drop,
            }
        };
        let methods: Vec<NeuronMethod> = methods.map(method).collect();
        let mut tests = Vec::new();
        let p_values = sums.p_values().chunks_exact(MEASURES.len());
        for ((place, (one, other)), p_values) in pairs.into_iter().enumerate().zip(p_values) {
            let differences = means(&sums, header.methods.len() + place);
            for ((measure, difference), p) in MEASURES.iter().zip(differences).zip(p_values) {
                tests.extend(difference.map(|difference| Test {
                    measure: (*measure).to_owned(),
                    method: header.methods[one].clone(),
                    against: header.methods[other].clone(),
                    difference,
                    p: *p,
                }));
            }
        }
        (methods, tests)
    }
}

/// The columns of a method, or of two.
fn ratios(block: usize) -> [Ratio; MEASURES.len()] {
    [0, 2, 4].map(|at| Ratio { count: COLUMNS * block + at, sum: COLUMNS * block + at + 1 })
}

fn means(sums: &Sums, block: usize) -> [Option<Estimate>; MEASURES.len()] {
    let means = sums.means(&ratios(block));
    [0, 1, 2].map(|measure| means[measure])
}

/// What a picture's matrix counts and adds up.
fn row(picture: &NeuronsRecord) -> [f64; COLUMNS] {
    let (mut own, mut other) = ([0.0; 2], [0.0; 2]);
    for (i, drops) in picture.drops.iter().enumerate() {
        for (j, (drop, value)) in drops.iter().zip(&picture.values).enumerate() {
            if *value > 0.0 {
                let to = if i == j { &mut own } else { &mut other };
                to[0] += 1.0;
                to[1] += drop / value;
            }
        }
    }
    let diagonal = [picture.neurons.len() as f64, picture.on_diagonal() as f64];
    [diagonal[0], diagonal[1], own[0], own[1], other[0], other[1]]
}

/// One method's sums less another's; both are of the same neurons.
fn less(one: [f64; COLUMNS], other: [f64; COLUMNS]) -> [f64; COLUMNS] {
    let mut row = one;
    for ratio in ratios(0) {
        row[ratio.sum] -= other[ratio.sum];
    }
    row
}

#[cfg(test)]
mod tests {
    use super::super::testing::header;
    use super::*;

    fn matrix(method: &str, drops: [[f64; 2]; 2]) -> NeuronsRecord {
        NeuronsRecord {
            network: 0,
            layer: "fc".to_owned(),
            method: method.to_owned(),
            neurons: vec!["3".to_owned(), "5".to_owned()],
            values: vec![2.0, 4.0],
            not_finite: false,
            centres: vec![(0, 0), (1, 1)],
            drops: drops.map(|row| row.to_vec()).to_vec(),
        }
    }

    fn record(index: usize, neurons: Vec<NeuronsRecord>) -> Record {
        Record { neurons, ..Record::new(index, index.to_string()) }
    }

    #[test]
    fn the_diagonal_and_the_drops_are_counted() {
        let of = |index, drops| record(index, vec![matrix("clrp2", drops)]);
        // Both rows; the first alone, as the second patch costs neuron 3 more.
        let records = [of(0, [[1.0, 0.0], [0.0, 2.0]]), of(1, [[2.0, 1.0], [0.5, 0.0]])];
        let all = NeuronSummary::all(&header(&["clrp2"]), &records[..]).expect("they are there");
        let [summary] = &all[..] else { panic!("one network") };
        let [method] = &summary.methods[..] else { panic!("one method") };
        let value = |estimate: &Option<Estimate>| estimate.as_ref().expect("measured").value;
        assert_eq!((method.pictures, method.neurons, method.by_chance), (2, 4, 0.5));
        assert_eq!((&*summary.layer, value(&method.on_diagonal)), ("fc", 0.75));
        // 1/2, 2/4, 2/2, 0/4; and 0, 0, 1/4, 0.5/2.
        assert_eq!((value(&method.own_drop), value(&method.other_drop)), (0.5, 0.125));
        assert_eq!(summary.tests, []);
    }

    #[test]
    fn methods_are_held_against_each_other_picture_by_picture() {
        let pairs = |index| {
            let clrp2 = matrix("clrp2", [[2.0, 0.0], [0.0, 4.0]]);
            let mut lrp = matrix("lrp", [[1.0, 2.0], [0.0, 2.0]]);
            // What has no map is not compared.
            lrp.not_finite = index == 0;
            record(index, vec![lrp, clrp2])
        };
        let records: Vec<Record> = (0..12).map(pairs).collect();
        let header = header(&["lrp", "clrp2"]);
        let all = NeuronSummary::all(&header, &records[..]).expect("they are there");
        let tests: Vec<_> = all[0]
            .tests
            .iter()
            .map(|test| (&*test.measure, &*test.method, &*test.against, test.difference.value))
            .collect();
        // Both of two against one; 1 and 1 against 1/2 and 1/2; 0 and 0 against 2/4 and 0.
        let expected = [
            ("on_diagonal", "clrp2", "lrp", 0.5),
            ("own_drop", "clrp2", "lrp", 0.5),
            ("other_drop", "clrp2", "lrp", -0.25),
        ];
        assert_eq!(tests, expected);
        assert!(all[0].tests.iter().all(|test| test.p < 0.01 && test.difference.objects == 22));
        assert_eq!(all[0].methods.iter().map(|of| of.pictures).collect::<Vec<_>>(), [11, 12]);
    }
}
