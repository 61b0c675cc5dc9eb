//! The results of a run: what its records say of each network, subset and method.

use std::collections::BTreeMap;

use serde::Serialize;

use super::averages::{Averages, class_hits};
use super::measure::Family;
use super::neuron_summary::NeuronSummary;
use super::record::{Header, ObjectRecord, Record};
use super::records::Records;
use super::statistics::{Estimate, PERMUTATIONS, RESAMPLES};
use crate::failure::Result;

/// How many pictures that could not be read are named.
const NAMED: usize = 20;

/// All results; the same for the same records, in whatever order they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) header: Header,
    pub(crate) counts: Counts,
    /// How often pictures were drawn again for intervals, and signs for p values.
    pub(crate) resamples: usize,
    pub(crate) permutations: usize,
    pub(crate) networks: Vec<NetworkSummary>,
    /// How neurons of each network differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) neurons: Vec<NeuronSummary>,
}

/// What became of the pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// Of which there is a record; the data set's are in the header.
    pub(crate) pictures: usize,
    pub(crate) read: usize,
    pub(crate) unreadable: usize,
    /// The first of them.
    pub(crate) unreadable_named: Vec<Unreadable>,
    /// Pictures that have no boxes at all; none where the experiment asks for no boxes.
    pub(crate) without_boxes: Option<usize>,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) without_boxes_named: Vec<String>,
    /// Pictures that have some.
    #[serde(skip)]
    boxed: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Unreadable {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// What a network's records say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct NetworkSummary {
    pub(crate) name: String,
    /// Pictures with objects.
    pub(crate) pictures: usize,
    pub(crate) objects: usize,
    /// Objects of which the input shows nothing: no pointing game is played for them.
    pub(crate) not_in_input: usize,
    pub(crate) boxes_cut_away: usize,
    /// Classes that the network does not have, by name, with the number of their objects.
    pub(crate) lacking: BTreeMap<String, usize>,
    /// Methods with maps that are not finite, with their number.
    pub(crate) not_finite: BTreeMap<String, usize>,
    /// Contrastive methods with maps of which nothing was subtracted, with their number: those are
    /// maps of the method without contrast.
    pub(crate) without_contrast: BTreeMap<String, usize>,
    pub(crate) subsets: Vec<SubsetSummary>,
}

/// Which of the objects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subset {
    All,
    Difficult,
    CorrectlyClassified,
}

impl Subset {
    pub(crate) const ALL: [Subset; 3] =
        [Subset::All, Subset::Difficult, Subset::CorrectlyClassified];

    /// The subset in words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Subset::All => "all objects",
            Subset::Difficult => "difficult objects",
            Subset::CorrectlyClassified => "objects of the best class",
        }
    }

    /// Those of a record's objects as the network of that number sees them.
    fn of(self, network: usize, record: &Record) -> impl Iterator<Item = &ObjectRecord> {
        let own = record.objects.iter().filter(move |object| object.network == network);
        own.filter(move |object| self.has(object))
    }

    fn has(self, object: &ObjectRecord) -> bool {
        match self {
            Subset::All => true,
            Subset::Difficult => object.difficult,
            Subset::CorrectlyClassified => object.is_top,
        }
    }
}

/// What the records of some of a network's objects say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SubsetSummary {
    pub(crate) subset: Subset,
    pub(crate) pictures: usize,
    pub(crate) objects: usize,
    /// How many objects of each class maps point at: `within_tolerance` is a mean over classes.
    #[serde(skip)]
    pub(crate) played: BTreeMap<usize, usize>,
    pub(crate) methods: Vec<MethodSummary>,
    pub(crate) tests: Vec<Test>,
}

/// The means of a method; none of what was not measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MethodSummary {
    pub(crate) method: String,
    pub(crate) pointing: Option<PointingSummary>,
    pub(crate) ablation: Option<AblationSummary>,
    pub(crate) curves: Option<CurvesSummary>,
    pub(crate) alike: Vec<AlikeSummary>,
}

/// Shares of 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PointingSummary {
    /// Objects whose map points nowhere: they count as missed.
    pub(crate) points_nowhere: usize,
    pub(crate) by_maximum: Estimate,
    /// As in `TorchRay`: the mean of the classes' accuracies.
    pub(crate) within_tolerance: Estimate,
    /// As in Quantus.
    pub(crate) by_any_maximum: Estimate,
    /// The mean share of energy before the first pixel outside: the area under the curve.
    pub(crate) reach: Estimate,
    pub(crate) mass: Estimate,
    pub(crate) rank: Estimate,
    /// The accuracy where the strongest pixels with that share of the energy are kept.
    pub(crate) curve: Vec<CurvePoint>,
    /// The same for 0, 1, ..., 100 %.
    pub(crate) dense: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct CurvePoint {
    pub(crate) percent: u8,
    pub(crate) accuracy: Estimate,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AblationSummary {
    pub(crate) drop_logit: Estimate,
    pub(crate) drop_probability: Estimate,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CurvesSummary {
    pub(crate) deletion_area: Estimate,
    pub(crate) insertion_area: Estimate,
    /// Mean probabilities at equal steps from none to all of the picture.
    pub(crate) deletion: Vec<f64>,
    pub(crate) insertion: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AlikeSummary {
    pub(crate) change: String,
    pub(crate) spearman: Estimate,
    pub(crate) ssim: Estimate,
    pub(crate) spearman_abs: Estimate,
}

/// Whether two methods differ, picture by picture; p is not corrected for the number of tests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Test {
    /// As the fields above are called; of `within_tolerance`, which is a mean over classes, the mean
    /// over all objects: `within_tolerance_by_object`.
    pub(crate) measure: String,
    pub(crate) method: String,
    pub(crate) against: String,
    /// Of the method less what it is held against.
    pub(crate) difference: Estimate,
    pub(crate) p: f64,
}

impl Summary {
    /// Sums up a run: first everything is counted, then the objects of each subset are averaged.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub(crate) fn of(header: &Header, records: &(impl Records + ?Sized)) -> Result<Self> {
        // Of neurons there are no objects.
        let networks = if header.experiment == "neurons" { &[][..] } else { &header.networks };
        let mut counts = Counts::of(&header.experiment);
        let mut networks: Vec<NetworkSummary> =
            networks.iter().map(|network| NetworkSummary::named(&network.name)).collect();
        records.all(|record| {
            counts.add(record);
            for (number, network) in networks.iter_mut().enumerate() {
                network.count(number, header, record);
            }
        })?;
        counts.forget_boxes(&header.experiment);
        let families = Family::of(&header.experiment, records)?;
        for (number, network) in networks.iter_mut().enumerate() {
            for summary in &mut network.subsets {
                let mut averages = Averages::new(header, &families, summary);
                records.all(|record| {
                    let objects: Vec<&ObjectRecord> = summary.subset.of(number, record).collect();
                    if !objects.is_empty() {
                        averages.add(&objects);
                    }
                })?;
                (summary.methods, summary.tests) = averages.finish();
            }
        }
        Ok(Self {
            header: header.clone(),
            counts,
            resamples: RESAMPLES,
            permutations: PERMUTATIONS,
            networks,
            neurons: NeuronSummary::all(header, records)?,
        })
    }

    /// The summary as the content of a JSON file; what is no finite number is null.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("all keys are text");
        json.push(b'\n');
        json
    }
}

impl Counts {
    fn of(experiment: &str) -> Self {
        let asks_for_boxes = !matches!(experiment, "neurons" | "sanity");
        Self { without_boxes: asks_for_boxes.then_some(0), ..Self::default() }
    }

    /// Where no picture has any, the data set knows of none, and only the pointing game asks.
    fn forget_boxes(&mut self, experiment: &str) {
        if self.boxed == 0 && experiment != "pointing-game" {
            self.without_boxes = None;
            self.without_boxes_named.clear();
        }
    }

    fn add(&mut self, record: &Record) {
        self.pictures += 1;
        if let Some(reason) = &record.error {
            self.unreadable += 1;
            if self.unreadable_named.len() < NAMED {
                let (name, reason) = (record.name.clone(), reason.clone());
                self.unreadable_named.push(Unreadable { name, reason });
            }
            return;
        }
        self.read += 1;
        let is_boxed = |object: &ObjectRecord| object.area.is_some() || object.cut_away > 0;
        let is_boxed = record.objects.iter().any(is_boxed);
        self.boxed += usize::from(is_boxed);
        let is_without = record.lacking.is_empty() && !is_boxed;
        if let Some(without) = self.without_boxes.as_mut().filter(|_| is_without) {
            *without += 1;
            if self.without_boxes_named.len() < NAMED {
                self.without_boxes_named.push(record.name.clone());
            }
        }
    }
}

impl NetworkSummary {
    fn named(name: &str) -> Self {
        let subset = |subset| SubsetSummary {
            subset,
            pictures: 0,
            objects: 0,
            played: BTreeMap::new(),
            methods: Vec::new(),
            tests: Vec::new(),
        };
        let subsets = Subset::ALL.map(subset).to_vec();
        Self { name: name.to_owned(), subsets, ..Self::default() }
    }

    /// Counts what the record says of the network of that number.
    fn count(&mut self, number: usize, header: &Header, record: &Record) {
        for (_, class) in record.lacking.iter().filter(|(network, _)| *network == number) {
            *self.lacking.entry(class.clone()).or_insert(0) += 1;
        }
        for object in Subset::All.of(number, record) {
            // Pictures without boxes are explained too, in other experiments.
            self.not_in_input += usize::from(object.area.is_none() && object.cut_away > 0);
            self.boxes_cut_away += object.cut_away;
            for (name, method) in header.methods.iter().zip(&object.methods) {
                let counted = [
                    (method.not_finite, &mut self.not_finite),
                    (method.without_contrast, &mut self.without_contrast),
                ];
                for (_, counts) in counted.into_iter().filter(|(is_so, _)| *is_so) {
                    *counts.entry(name.clone()).or_insert(0) += 1;
                }
            }
        }
        for summary in &mut self.subsets {
            let mut objects = 0;
            for object in summary.subset.of(number, record) {
                objects += 1;
                if class_hits(object, header.methods.len()).is_some() {
                    *summary.played.entry(object.class).or_insert(0) += 1;
                }
            }
            summary.objects += objects;
            summary.pictures += usize::from(objects > 0);
        }
        // The first subset is that of all objects.
        if let Some(all) = self.subsets.first() {
            (self.pictures, self.objects) = (all.pictures, all.objects);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::MethodRecord;
    use super::super::testing::{
        ablation, alike, curves, header, object, picture, pointing, summary_of,
    };
    use super::*;

    /// Four pictures: two objects of class 0, of class 1 one in the first, and one that lies
    /// outside; the fourth could not be read.
    fn records() -> Vec<Record> {
        let methods = |hit, reach| vec![pointing(hit, reach), pointing(true, 1.0)];
        let mut difficult = object(1, methods(false, 0.0));
        difficult.difficult = true;
        difficult.is_top = false;
        let mut nowhere = object(0, methods(true, 0.3));
        nowhere.methods[0] = MethodRecord { not_finite: true, ..MethodRecord::default() };
        let mut outside = object(0, vec![MethodRecord::default(), MethodRecord::default()]);
        (outside.area, outside.cut_away) = (None, 2);
        let mut failed = picture(3, Vec::new());
        failed.error = Some("no JPEG".to_owned());
        let mut second = picture(1, vec![nowhere]);
        second.lacking = vec![(0, "unicorn".to_owned())];
        vec![
            picture(0, vec![object(0, methods(true, 0.3)), difficult]),
            second,
            picture(2, vec![outside]),
            failed,
        ]
    }

    fn summary() -> Summary {
        summary_of(&header(&["lrp", "clrp1"]), &records())
    }

    fn of(summary: &Summary, subset: usize, method: usize) -> &PointingSummary {
        let method = &summary.networks[0].subsets[subset].methods[method];
        method.pointing.as_ref().expect("it was measured")
    }

    #[test]
    fn pictures_and_objects_are_counted() {
        let summary = summary();
        let counts = &summary.counts;
        assert_eq!((counts.pictures, counts.read, counts.unreadable), (4, 3, 1));
        assert_eq!(counts.unreadable_named[0].name, "picture 3");
        assert_eq!(counts.unreadable_named[0].reason, "no JPEG");
        assert_eq!(counts.without_boxes, Some(0));
        let neurons = Header { experiment: "neurons".to_owned(), ..header(&["lrp"]) };
        assert_eq!(summary_of(&neurons, &records()).counts.without_boxes, None);
        let network = &summary.networks[0];
        assert_eq!((network.pictures, network.objects), (3, 4));
        assert_eq!((network.not_in_input, network.boxes_cut_away), (1, 2));
        assert_eq!(network.lacking, BTreeMap::from([("unicorn".to_owned(), 1)]));
        assert_eq!(network.not_finite, BTreeMap::from([("lrp".to_owned(), 1)]));
        let sizes: Vec<_> = network.subsets.iter().map(|s| (s.pictures, s.objects)).collect();
        assert_eq!(sizes, [(3, 4), (1, 1), (3, 3)]);
    }

    #[test]
    fn pointing_is_what_a_hand_counts() {
        let summary = summary();
        let lrp = of(&summary, 0, 0);
        // Of three objects with a region one is hit; one map points nowhere.
        assert_eq!(lrp.points_nowhere, 1);
        assert_eq!((lrp.by_maximum.value, lrp.by_maximum.objects), (1.0 / 3.0, 3));
        // Class 0: one of two; class 1: none.
        assert_eq!(lrp.within_tolerance.value, 0.25);
        assert!((lrp.reach.value - 0.1).abs() < 1e-12);
        // .5 and .5 and nothing.
        assert!((lrp.mass.value - 1.0 / 3.0).abs() < 1e-12);
        let at = |percent| {
            let point = lrp.curve.iter().find(|point| point.percent == percent);
            point.expect("it is on the curve").accuracy.value
        };
        assert_eq!([at(1), at(30), at(35)], [1.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert_eq!(lrp.dense.len(), 101);
        assert_eq!([lrp.dense[0], lrp.dense[30], lrp.dense[31]], [1.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert_eq!(of(&summary, 0, 1).dense, [1.0; 101]);
        // Difficult and correctly classified ones alone.
        assert_eq!(of(&summary, 1, 0).by_maximum.value, 0.0);
        assert_eq!(of(&summary, 2, 0).by_maximum.value, 0.5);
    }

    #[test]
    fn methods_are_held_against_the_contrastive_ones_and_chance_once() {
        let methods = ["lrp", "clrp1", "clrp2", "random"];
        let numbers = [0.25, 1.0, 0.5, 0.0];
        let object = || object(0, numbers.map(|drop| ablation(drop, drop / 2.0)).to_vec());
        let records: Vec<_> = (0..20).map(|index| picture(index, vec![object()])).collect();
        let summary = summary_of(&header(&methods), &records);
        let tests = &summary.networks[0].subsets[0].tests;
        let pairs: Vec<_> = tests
            .iter()
            .filter(|test| test.measure == "drop_logit")
            .map(|test| (&*test.method, &*test.against, test.difference.value))
            .collect();
        let expected = [
            ("clrp1", "lrp", 0.75),
            ("clrp1", "clrp2", 0.5),
            ("clrp1", "random", 1.0),
            ("clrp2", "lrp", 0.25),
            ("clrp2", "random", 0.5),
            ("lrp", "random", 0.25),
        ];
        assert_eq!(pairs, expected);
        // Always the same: no sum but the first is as large.
        assert!(tests.iter().all(|test| test.p < 0.001));
        let found = summary.networks[0].subsets[0].methods[0].ablation.as_ref().expect("measured");
        assert_eq!((found.drop_logit.value, found.drop_probability.value), (0.25, 0.125));
    }

    #[test]
    fn curves_are_averaged_point_by_point() {
        let one = object(0, vec![curves(&[1.0, 0.5, 0.0], &[0.0, 0.0, 1.0])]);
        let other = object(0, vec![curves(&[0.5, 0.0, 0.0], &[0.0, 1.0, 1.0])]);
        let summary = summary_of(&header(&["lrp"]), &[picture(0, vec![one, other])]);
        let found = summary.networks[0].subsets[0].methods[0].curves.clone().expect("measured");
        assert_eq!(found.deletion, [0.75, 0.25, 0.0]);
        assert_eq!(found.insertion, [0.0, 0.5, 1.0]);
        // (.5 + .125) / 2 and (.25 + .75) / 2.
        assert_eq!((found.deletion_area.value, found.insertion_area.value), (0.3125, 0.5));
    }

    #[test]
    fn likeness_is_averaged_change_by_change() {
        let objects = [("fc", 0.5), ("fc", 0.0), ("conv", 0.25)];
        let objects = objects.map(|(change, value)| object(0, vec![alike(change, value)]));
        let summary = summary_of(&header(&["lrp"]), &[picture(0, objects.to_vec())]);
        let found = &summary.networks[0].subsets[0].methods[0].alike;
        let found: Vec<_> =
            found.iter().map(|a| (&*a.change, a.ssim.value, a.ssim.objects)).collect();
        assert_eq!(found, [("fc", 0.25, 2), ("conv", 0.25, 1)]);
    }

    #[test]
    fn the_order_of_records_changes_nothing() {
        let mut turned = records();
        turned.reverse();
        assert_eq!(summary_of(&header(&["lrp", "clrp1"]), &turned).json(), summary().json());
    }

    #[test]
    fn without_records_and_of_one_there_is_a_summary() {
        let none = summary_of(&header(&["lrp", "random"]), &[]);
        assert_eq!(none.networks[0].subsets[0].methods[0].pointing, None);
        let one = object(0, vec![pointing(true, 0.5), pointing(true, 0.5)]);
        let one = summary_of(&header(&["lrp", "random"]), &[picture(0, vec![one])]);
        let found = of(&one, 0, 0).by_maximum;
        assert_eq!(found, Estimate { value: 1.0, low: None, high: None, objects: 1 });
        // Flipping one picture's sign is no evidence.
        assert!(one.networks[0].subsets[0].tests.iter().all(|test| test.p == 1.0));
    }

    #[test]
    fn odd_records_are_no_reason_to_stop() {
        let mut odd = object(0, vec![pointing(true, f64::NAN), ablation(f64::INFINITY, 0.0)]);
        odd.methods.truncate(2);
        let mut elsewhere = odd.clone();
        elsewhere.network = 7;
        let records = [picture(0, vec![odd.clone(), elsewhere]), picture(0, vec![odd])];
        let summary = summary_of(&header(&["lrp", "clrp1", "random"]), &records);
        let json = String::from_utf8(summary.json()).expect("JSON is text");
        assert!(!json.contains("NaN") && !json.contains("inf"), "{json}");
        assert_eq!(summary.networks[0].objects, 2);
    }

    #[test]
    fn numbers_survive_as_json() {
        let json: serde_json::Value =
            serde_json::from_slice(&summary().json()).expect("it is JSON");
        let subset = &json["networks"][0]["subsets"][1];
        assert_eq!(subset["subset"], "difficult");
        let mean =
            json["networks"][0]["subsets"][0]["methods"][0]["pointing"]["by_maximum"].clone();
        assert_eq!(mean["value"], 1.0 / 3.0);
        assert_eq!(json["header"]["seed"], 7);
        assert_eq!(json["resamples"], 2000);
    }

    #[test]
    fn pictures_without_any_box_are_counted_apart() {
        let mut predicted = object(0, vec![ablation(1.0, 0.5)]);
        predicted.area = None;
        let boxed = picture(2, vec![object(0, vec![ablation(1.0, 0.5)])]);
        let records = [picture(0, vec![predicted]), picture(1, Vec::new()), boxed];
        let none = summary_of(&header(&["lrp"]), &records[..2]);
        assert_eq!(none.counts.without_boxes, None);
        let summary = summary_of(&header(&["lrp"]), &records);
        assert_eq!(summary.counts.without_boxes, Some(2));
        assert_eq!(summary.networks[0].not_in_input, 0);
    }
}
