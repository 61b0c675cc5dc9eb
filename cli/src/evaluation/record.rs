//! What a run writes down: a line of settings, then a line for each picture.

use serde::{Deserialize, Serialize};

/// What made the records. Runs go on, and shards are merged, only where all of it is the same.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// The experiment, as `pointing-game`.
    pub(crate) experiment: String,
    /// The program's version.
    pub(crate) version: String,
    /// The data set, in words, and how many pictures it has.
    pub(crate) dataset: String,
    pub(crate) pictures: usize,
    /// SHA-256 of the names of the pictures and of what is known of their annotations: another set
    /// has another one.
    pub(crate) dataset_sha256: String,
    pub(crate) networks: Vec<NetworkHeader>,
    pub(crate) device: String,
    pub(crate) precision: String,
    /// The preset or file of rules, with the changes to it.
    pub(crate) composite: String,
    /// The rules that this makes, and how denominators and batch norm are treated.
    pub(crate) rules: String,
    /// The names of methods, in the order of tables; `centre` is a baseline.
    pub(crate) methods: Vec<String>,
    /// Numbers of the experiment and of methods by their options' names, as `patch`, the side of
    /// the square that is taken out.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) seed: u64,
    /// Pictures that run at once: a part of the data set that is never split.
    pub(crate) batch: usize,
}

/// One of the networks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkHeader {
    pub(crate) name: String,
    pub(crate) classes: usize,
    /// Of the weight file, or of the weights that are bundled.
    pub(crate) weights_sha256: String,
    /// SHA-256 of the classes' names.
    pub(crate) labels_sha256: String,
    /// How pictures are brought to the network, in words.
    pub(crate) preprocess: String,
}

/// One picture.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// Its number in the data set.
    pub(crate) index: usize,
    pub(crate) name: String,
    /// Why it has no results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Objects of classes that a network lacks: network and class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lacking: Vec<(usize, String)>,
    /// What was measured: each network, then each of its objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) objects: Vec<ObjectRecord>,
    /// `clrp evaluate neurons`: each network, then each method.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) neurons: Vec<NeuronsRecord>,
}

impl Record {
    /// Of a picture of which nothing is measured yet.
    pub(crate) fn new(index: usize, name: String) -> Self {
        let (error, lacking, objects, neurons) = (None, Vec::new(), Vec::new(), Vec::new());
        Self { index, name, error, lacking, objects, neurons }
    }

    /// What cannot be of a run with these settings, if anything: files may have been edited.
    pub(crate) fn oddity(&self, header: &Header) -> Option<String> {
        if self.index >= header.pictures {
            return Some(format!("picture {}, of {} there are", self.index, header.pictures));
        }
        let count = header.networks.len();
        let mut networks = self.lacking.iter().map(|(network, _)| *network);
        if let Some(network) = networks.find(|network| *network >= count) {
            return Some(format!("network {network}, of {count} there are"));
        }
        let objects = self.objects.iter().find_map(|object| object.oddity(header));
        objects.or_else(|| self.neurons.iter().find_map(|neurons| neurons.oddity(header)))
    }

    /// Of a picture of which nothing can be measured.
    pub(crate) fn failed(index: usize, name: String, error: String) -> Self {
        Self { error: Some(error), ..Self::new(index, name) }
    }
}

/// All boxes of one class in a picture, and what a network says of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectRecord {
    /// Which of the header's networks.
    pub(crate) network: usize,
    pub(crate) class: usize,
    pub(crate) label: String,
    /// Logit and probability of the class, and whether it is the best one.
    pub(crate) score: f64,
    pub(crate) probability: f64,
    pub(crate) is_top: bool,
    /// Small, and not alone in the picture (Zhang et al. 2016): its boxes cover less than a quarter
    /// of the picture as it was before it was cropped.
    pub(crate) difficult: bool,
    /// Boxes of which the network's input shows nothing.
    pub(crate) cut_away: usize,
    /// The share of the input that the boxes cover; none without boxes, or where nothing is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) area: Option<f64>,
    /// In the order of the header's methods.
    pub(crate) methods: Vec<MethodRecord>,
}

impl ObjectRecord {
    fn oddity(&self, header: &Header) -> Option<String> {
        let count = header.networks.len();
        let Some(network) = header.networks.get(self.network) else {
            return Some(format!("network {}, of {count} there are", self.network));
        };
        if self.class >= network.classes {
            let (class, classes) = (self.class, network.classes);
            return Some(format!("class {class}, of {classes} that `{}` has", network.name));
        }
        if self.methods.len() != header.methods.len() {
            let (found, expected) = (self.methods.len(), header.methods.len());
            return Some(format!("{found} methods, of {expected} there are"));
        }
        let shares = |method: &MethodRecord| {
            let of_pointing = method.pointing.map(|p| [p.reach, p.mass, p.rank]);
            of_pointing.into_iter().flatten().collect::<Vec<f64>>()
        };
        let steps = header.settings.iter().find(|(name, _)| name == "curves");
        let points =
            steps.and_then(|(_, steps)| steps.parse::<usize>().ok()).map(|steps| steps + 1);
        let curves = || self.methods.iter().filter_map(|method| method.curves.as_ref());
        let curves = || curves().flat_map(|curves| [&curves.deletion, &curves.insertion]);
        if let Some(odd) = curves().find(|curve| Some(curve.len()) != points) {
            return Some(format!("a curve of {} points, expected {points:?}", odd.len()));
        }
        let curves = curves().flatten().copied();
        let mut all = self.methods.iter().flat_map(shares).chain([self.probability]).chain(curves);
        let odd = all.find(|share| !(0.0..=1.0 + ROUNDING).contains(share));
        odd.map(|share| format!("a share of {share}, expected 0 to 1"))
    }
}

/// How far sums of shares may be above 1.
const ROUNDING: f64 = 1e-6;

/// What was measured of one method's map.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MethodRecord {
    /// The map holds what is no finite number: it misses in every game, and nothing else is
    /// measured of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) not_finite: bool,
    /// A contrast of which nothing was subtracted: the map is that of the method without contrast.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) without_contrast: bool,
    /// None where the map points nowhere, or the boxes are not in the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pointing: Option<PointingRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ablation: Option<AblationRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) curves: Option<CurvesRecord>,
    /// `clrp evaluate sanity`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) alike: Vec<AlikeRecord>,
}

/// See [`clrp::evaluation::Pointing`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PointingRecord {
    /// Column and row of the maximum; none where the map is 0 or less everywhere.
    pub(crate) maximum: Option<(usize, usize)>,
    pub(crate) hit: bool,
    pub(crate) hit_within_tolerance: bool,
    pub(crate) hit_by_any_maximum: bool,
    /// The share of energy kept before the first pixel outside: a hit at p % where it is more.
    pub(crate) reach: f64,
    pub(crate) mass: f64,
    pub(crate) rank: f64,
}

/// What the squares at the strongest pixels cost.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AblationRecord {
    /// Column and row of each.
    pub(crate) centres: Vec<(usize, usize)>,
    pub(crate) drop_logit: f64,
    pub(crate) drop_probability: f64,
}

/// The class's probability while ever more of the picture is taken out, or put in: at equal steps
/// from none to all of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CurvesRecord {
    pub(crate) deletion: Vec<f64>,
    pub(crate) insertion: Vec<f64>,
}

/// How like the original map another one is: 1 is the same.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlikeRecord {
    /// What was changed: the layer down to which weights are random, or `class`.
    pub(crate) change: String,
    pub(crate) spearman: f64,
    pub(crate) ssim: f64,
    /// Of the absolute values.
    pub(crate) spearman_abs: f64,
}

/// How neurons of a layer differ for a picture (Gu et al. 2018, figure 5).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NeuronsRecord {
    pub(crate) network: usize,
    pub(crate) layer: String,
    pub(crate) method: String,
    /// The neurons: channels, or `channel@row,column`.
    pub(crate) neurons: Vec<String>,
    pub(crate) values: Vec<f64>,
    /// A map holds what is no finite number: nothing is measured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) not_finite: bool,
    /// The patch of each: column and row of its centre.
    pub(crate) centres: Vec<(usize, usize)>,
    /// Row i without the patch of neuron i, column j: how much the value of neuron j drops.
    pub(crate) drops: Vec<Vec<f64>>,
}

impl NeuronsRecord {
    fn oddity(&self, header: &Header) -> Option<String> {
        let (count, neurons) = (header.networks.len(), self.neurons.len());
        if self.network >= count {
            return Some(format!("network {}, of {count} there are", self.network));
        }
        if !header.methods.contains(&self.method) {
            return Some(format!("method `{}`, which the run has not", self.method));
        }
        let is_whole = self.not_finite || (self.is_square() && self.centres.len() == neurons);
        match is_whole && self.values.len() == neurons {
            true => None,
            false => {
                Some(format!("values, patches and drops that are not those of {neurons} neurons"))
            }
        }
    }

    /// How many neurons lose the most without their own patch: rows whose greatest drop is on the
    /// diagonal, and nowhere else. A row of equal drops says nothing.
    pub(crate) fn on_diagonal(&self) -> usize {
        (0..self.drops.len()).filter(|i| self.is_most_by_own_patch(*i)).count()
    }

    /// Whether the greatest drop of a row is on the diagonal, and nowhere else.
    pub(crate) fn is_most_by_own_patch(&self, i: usize) -> bool {
        let Some((row, own)) = self.drops.get(i).and_then(|row| Some((row, row.get(i)?))) else {
            return false;
        };
        row.iter().enumerate().all(|(j, drop)| j == i || drop < own)
    }

    /// Whether there is a drop of each neuron without the patch of each.
    pub(crate) fn is_square(&self) -> bool {
        let count = self.neurons.len();
        self.drops.len() == count && self.drops.iter().all(|row| row.len() == count)
    }
}
