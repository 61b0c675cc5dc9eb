//! Records for tests.

use super::record::{
    AblationRecord, AlikeRecord, CurvesRecord, Header, MethodRecord, NetworkHeader, ObjectRecord,
    PointingRecord, Record,
};
use super::summary::Summary;

pub(super) fn summary_of(header: &Header, records: &[Record]) -> Summary {
    Summary::of(header, records).expect("records in memory can be read")
}

pub(super) fn header(methods: &[&str]) -> Header {
    let network = NetworkHeader {
        name: "net".to_owned(),
        classes: 10,
        weights_sha256: "a1b2".to_owned(),
        labels_sha256: "e5f6".to_owned(),
        preprocess: "224x224".to_owned(),
    };
    Header {
        experiment: "test".to_owned(),
        version: "0.1.0".to_owned(),
        dataset: "some <pictures>".to_owned(),
        pictures: 4,
        dataset_sha256: "c3d4".to_owned(),
        networks: vec![network],
        device: "cpu".to_owned(),
        precision: "f32".to_owned(),
        composite: "gu2018".to_owned(),
        rules: "conv=z-plus".to_owned(),
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
        settings: vec![("size".to_owned(), "9".to_owned())],
        seed: 7,
        batch: 8,
    }
}

pub(super) fn picture(index: usize, objects: Vec<ObjectRecord>) -> Record {
    Record { objects, ..Record::new(index, format!("picture {index}")) }
}

/// An object with a region.
pub(super) fn object(class: usize, methods: Vec<MethodRecord>) -> ObjectRecord {
    ObjectRecord {
        network: 0,
        class,
        label: format!("class {class}"),
        score: 2.5,
        probability: 0.75,
        is_top: true,
        difficult: false,
        cut_away: 0,
        area: Some(0.125),
        methods,
    }
}

/// All games hit or missed.
pub(super) fn pointing(hit: bool, reach: f64) -> MethodRecord {
    let pointing = PointingRecord {
        maximum: Some((3, 4)),
        hit,
        hit_within_tolerance: hit,
        hit_by_any_maximum: hit,
        reach,
        mass: 0.5,
        rank: 0.25,
    };
    MethodRecord { pointing: Some(pointing), ..MethodRecord::default() }
}

pub(super) fn ablation(drop_logit: f64, drop_probability: f64) -> MethodRecord {
    let centres = vec![(3, 4), (5, 6)];
    let ablation = AblationRecord { centres, drop_logit, drop_probability };
    MethodRecord { ablation: Some(ablation), ..MethodRecord::default() }
}

pub(super) fn curves(deletion: &[f64], insertion: &[f64]) -> MethodRecord {
    let curves = CurvesRecord { deletion: deletion.to_vec(), insertion: insertion.to_vec() };
    MethodRecord { curves: Some(curves), ..MethodRecord::default() }
}

pub(super) fn alike(change: &str, alike: f64) -> MethodRecord {
    let change = change.to_owned();
    let alike = AlikeRecord { change, spearman: alike, ssim: alike, spearman_abs: alike };
    MethodRecord { alike: vec![alike], ..MethodRecord::default() }
}
