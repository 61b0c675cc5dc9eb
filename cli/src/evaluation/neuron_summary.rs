//! How neurons of a layer differ, over all pictures.

use serde::Serialize;

use super::record::{Header, NeuronsRecord, Record};
use super::statistics::{Estimate, Ratio, Sample};

/// What the matrices of one network and method say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NeuronSummary {
    pub(crate) network: String,
    pub(crate) layer: String,
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

/// The columns of a picture's row: counts before sums.
const COLUMNS: usize = 6;
const DIAGONAL: Ratio = Ratio { count: 0, sum: 1 };
const OWN: Ratio = Ratio { count: 2, sum: 3 };
const OTHER: Ratio = Ratio { count: 4, sum: 5 };

impl NeuronSummary {
    /// Each network, then each method; `records` are in order.
    pub(crate) fn all(header: &Header, records: &[&Record]) -> Vec<Self> {
        let mut keys: Vec<(usize, &str)> = Vec::new();
        let all = || records.iter().flat_map(|record| &record.neurons);
        for of in all() {
            if !keys.contains(&(of.network, &of.method)) {
                keys.push((of.network, &of.method));
            }
        }
        keys.sort_by_key(|(network, _)| *network);
        let of_key = |(network, method): (usize, &str)| {
            let is_own = |of: &&NeuronsRecord| {
                of.network == network && of.method == method && !of.not_finite
            };
            let own: Vec<&NeuronsRecord> = all().filter(is_own).collect();
            Self::of(header, &own)
        };
        keys.into_iter().filter_map(of_key).collect()
    }

    /// Of the pictures of one network and method; none of no pictures.
    fn of(header: &Header, pictures: &[&NeuronsRecord]) -> Option<Self> {
        let first = pictures.first()?;
        let mut sample = Sample::new(COLUMNS);
        pictures.iter().for_each(|picture| sample.push(&row(picture)));
        let means = sample.means(&[DIAGONAL, OWN, OTHER], header.seed);
        let neurons: usize = pictures.iter().map(|picture| picture.neurons.len()).sum();
        let [on_diagonal, own_drop, other_drop] = means.try_into().ok()?;
        Some(Self {
            network: header.networks[first.network].name.clone(),
            layer: first.layer.clone(),
            method: first.method.clone(),
            pictures: pictures.len(),
            neurons,
            on_diagonal,
            by_chance: pictures.len() as f64 / neurons as f64,
            own_drop,
            other_drop,
        })
    }
}

/// A picture's counts and sums.
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

#[cfg(test)]
mod tests {
    use super::super::testing::header;
    use super::*;

    #[test]
    fn the_diagonal_and_the_drops_are_counted() {
        let of = |drops: [[f64; 2]; 2]| NeuronsRecord {
            network: 0,
            layer: "fc".to_owned(),
            method: "clrp2".to_owned(),
            neurons: vec!["3".to_owned(), "5".to_owned()],
            values: vec![2.0, 4.0],
            not_finite: false,
            centres: vec![(0, 0), (1, 1)],
            drops: drops.map(|row| row.to_vec()).to_vec(),
        };
        let record = |index, drops| {
            let record = Record::new(index, index.to_string());
            Record { neurons: vec![of(drops)], ..record }
        };
        // Both rows; the first alone, as the second patch costs neuron 3 more.
        let records = [record(0, [[1.0, 0.0], [0.0, 2.0]]), record(1, [[2.0, 1.0], [0.5, 0.0]])];
        let records: Vec<&Record> = records.iter().collect();
        let all = NeuronSummary::all(&header(&["clrp2"]), &records);
        let [summary] = &all[..] else { panic!("one network, one method") };
        let value = |estimate: &Option<Estimate>| estimate.as_ref().expect("measured").value;
        assert_eq!((summary.pictures, summary.neurons, summary.by_chance), (2, 4, 0.5));
        assert_eq!(value(&summary.on_diagonal), 0.75);
        // 1/2, 2/4, 2/2, 0/4; and 0, 0, 1/4, 0.5/2.
        assert_eq!((value(&summary.own_drop), value(&summary.other_drop)), (0.5, 0.125));
    }
}
