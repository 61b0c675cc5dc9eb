//! The figures of an independent program, picture by picture: `tests/golden/boxed` holds what
//! PyTorch and numpy say (`weights-tools/scripts/evaluate_boxed.py`) of 400 ILSVRC pictures, which
//! lie in `../shared/data` beside the project. The first of them, or all where `CLRP_REFERENCES` asks
//! for the long comparisons.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::real_input::data;
use crate::support::{Place, words};

const METHODS: &str = "lrp,clrp1,clrp2,gradient,guided-backprop,centre";

/// Pictures of the short comparison.
const FEW: usize = 40;

/// How far drops may be apart.
const DROP: f64 = 1e-3;

/// How far shares of energy may be apart: a pixel that is as strong as another to 5 digits counts, or
/// it does not.
const SHARE: f64 = 5e-3;

/// Numbers of the reference by file, method and column.
struct Reference(HashMap<(String, String), HashMap<String, f64>>);

impl Reference {
    fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/boxed");
        let text = fs::read_to_string(folder.join(name)).expect("it is there");
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let headings = lines.next().expect("it has headings");
        let row = |cells: Vec<&str>| {
            let numbers = headings.iter().zip(&cells).skip(3);
            let numbers = numbers.map(|(name, cell)| {
                ((*name).to_owned(), cell.parse().expect("the rest are numbers"))
            });
            ((cells[0].to_owned(), cells[2].to_owned()), numbers.collect())
        };
        Self(lines.map(row).collect())
    }
}

/// A number, or a truth as 0 or 1.
fn number(value: &Value) -> f64 {
    match value.as_bool() {
        Some(truth) => f64::from(u8::from(truth)),
        None => value.as_f64().unwrap_or_else(|| panic!("{value} is a number")),
    }
}

/// Runs the command as the reference was made, and compares.
fn compare(preprocess: &str, composite: &str) {
    let test = format!("the comparison with Python, {preprocess}, {composite}");
    let Some(data) = data(&test) else { return };
    let place = Place::new();
    let pictures = format!(
        "--dataset {data}/boxed/ilsvrc2012-val-400 --preprocess {preprocess} \
         --weights {data}/weights/squeezenet1_1.safetensors",
        data = data.display()
    );
    // The mean is of all pictures in any case.
    place.good(words(&format!("evaluate mean-image {pictures} -o mean.npy")));
    let is_long = std::env::var_os("CLRP_REFERENCES").is_some();
    let count = if is_long { String::new() } else { format!("--count {FEW}") };
    place.good(words(&format!(
        "evaluate ablation {pictures} --mean-image mean.npy {count} --composite {composite} \
         --device cpu --method {METHODS} -o out"
    )));
    let reference = Reference::read(&format!("{preprocess}-{composite}.csv"));
    let records = fs::read_to_string(place.path("out/records.jsonl")).expect("it was written");
    let mut compared = 0;
    // By method: the sum of the differences of rank accuracy.
    let mut rank: HashMap<&str, f64> = HashMap::new();
    for line in records.lines().skip(1) {
        let record: Value = serde_json::from_str(line).expect("it is JSON");
        let file = record["name"].as_str().expect("a name").rsplit('/').next().expect("a part");
        for (method, found) in METHODS.split(',').zip(methods(&record)) {
            let expected = &reference.0[&(file.to_owned(), method.to_owned())];
            let about = |what: &str| format!("{file}, {method}: {what}");
            compare_pointing(&found["pointing"], expected, &about);
            for column in ["drop_logit", "drop_probability"] {
                let found = number(&found["ablation"][column]);
                let apart = (found - expected[column]).abs();
                let problem = format!("{found}, expected {}", expected[column]);
                assert!(apart <= DROP, "{}: {problem}", about(column));
            }
            let found = found["pointing"]["rank"].as_f64().unwrap_or(0.0);
            *rank.entry(method).or_default() += found - expected["rank"];
            compared += 1;
        }
    }
    let expected = if is_long { reference.0.len() } else { 6 * FEW };
    assert_eq!(compared, expected, "each picture and method was compared");
    // In contrastive maps many pixels are 0 or nearly so: which of them are among the strongest
    // depends on the last bit.
    for (method, sum) in rank {
        let apart = sum.abs() / (compared / 6) as f64;
        assert!(apart <= DROP, "{method}: mean rank accuracy is {apart} apart");
    }
}

fn methods(record: &Value) -> &[Value] {
    let objects = record["objects"].as_array().expect("a list");
    assert_eq!(objects.len(), 1, "{record}");
    objects[0]["methods"].as_array().expect("a list")
}

fn compare_pointing(
    found: &Value,
    expected: &HashMap<String, f64>,
    about: &impl Fn(&str) -> String,
) {
    // The boxes are not in the input, or the map points nowhere.
    if found.is_null() || found["maximum"].is_null() {
        let all = ["hit", "tolerance", "any", "reach", "mass", "rank"];
        assert!(all.iter().all(|column| expected[*column] == 0.0), "{}", about("points nowhere"));
        return;
    }
    let maximum = &found["maximum"];
    let pairs = [
        ("max_x", &maximum[0]),
        ("max_y", &maximum[1]),
        ("hit", &found["hit"]),
        ("tolerance", &found["hit_within_tolerance"]),
        ("any", &found["hit_by_any_maximum"]),
    ];
    for (column, found) in pairs {
        assert_eq!(number(found), expected[column], "{}", about(column));
    }
    for column in ["reach", "mass"] {
        let (found, expected) = (number(&found[column]), expected[column]);
        let apart = (found - expected).abs();
        assert!(apart <= SHARE, "{}: {found}, expected {expected}", about(column));
    }
}

#[test]
fn gu2018_on_squashed_pictures() {
    compare("squash", "gu2018");
}

#[test]
fn contrastive_on_squashed_pictures() {
    compare("squash", "contrastive");
}

#[test]
fn contrastive_on_centre_crops() {
    compare("center-crop", "contrastive");
}
