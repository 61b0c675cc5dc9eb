//! What `clrp explain` says of maps that say little.

use clrp::image::{Npy, NpyValues};
use serde_json::Value;

use crate::support::{Place, Run, words};

/// The input times its gradient, of an input with these values in three channels.
fn explain(value: impl Fn(usize, usize) -> f32) -> (Run, Value) {
    let place = Place::new();
    let values = (0..3 * 64 * 64).map(|i| value(i / 64 % 64, i % 64)).collect();
    let array = Npy::new(vec![3, 64, 64], NpyValues::F32(values)).expect("it fits");
    array.write(place.path("made.npy")).expect("it can be written");
    let line = "explain made.npy --model digits --device cpu --method gradient-x-input --json \
                --target 3";
    let run = place.good(words(line));
    let json: Value = serde_json::from_str(&run.out).expect("one object");
    let warnings = json["explanations"][0]["warnings"].clone();
    (run, warnings)
}

#[test]
fn a_map_on_the_border_is_told() {
    let (run, warnings) = explain(|y, x| match (y, x) {
        (0 | 63, _) | (_, 0 | 63) => 1.0,
        _ => 0.0,
    });
    // The ring is one pixel of 64: 252 of 4096.
    let message = "has 100 % of its magnitude within 1 px of the border, which is 6 % of the area: \
                   padding or the switches of max pools can be why";
    let expected = serde_json::json!([{
        "kind": "on-border", "message": message, "ring": 1, "share": 1.0, "area": 252.0 / 4096.0
    }]);
    assert_eq!(warnings, expected);
    let line = format!(
        "warning: `made.npy`: gradient-x-input of class 3 {message}; `clrp switches` shows what \
         max pools add to it\n"
    );
    assert_eq!(run.err, line);
}

#[test]
fn a_map_of_zeros_is_told() {
    let (run, warnings) = explain(|_, _| 0.0);
    let message = "is zero everywhere, as the slope is 0 wherever the input is not";
    assert_eq!(warnings, serde_json::json!([{"kind": "zero", "message": message}]));
    let line = format!("warning: `made.npy`: gradient-x-input of class 3 {message}\n");
    assert_eq!(run.err, line);
}

#[test]
fn of_other_maps_nothing_is_said() {
    let (run, warnings) = explain(|y, x| if (y / 8 + x / 8) % 2 == 0 { 1.0 } else { -1.0 });
    assert_eq!((run.err.as_str(), warnings), ("", serde_json::json!([])));
}

#[test]
fn figures_warn_too() {
    let place = Place::with_scenes(1);
    // With these rules CLRP2's two sides hand down the same.
    let run = place.good(words(
        "figure 3 scene-00000.png --model digits --device cpu --composite epsilon_plus",
    ));
    assert!(run.err.contains("warning: `scene-00000.png`: clrp2 of class"), "{}", run.err);
}

#[test]
fn a_clamp_hides_no_map_that_is_not_finite() {
    let place = Place::new();
    let array = Npy::new(vec![3, 64, 64], NpyValues::F32(vec![3e38; 3 * 64 * 64]));
    array.expect("it fits").write(place.path("huge.npy")).expect("it can be written");
    let line = "explain huge.npy --model digits --device cpu --target top2 --json --compare \
                --method lrp,clrp1";
    let json = place.json(words(line));
    for explanation in json["explanations"].as_array().expect("a list") {
        let kind = &explanation["warnings"][0]["kind"];
        assert_eq!(kind, "not-finite", "{explanation}");
    }
    assert!(json["compare"][0]["cosine"].is_null(), "{}", json["compare"]);
}

#[test]
fn maps_of_nothing_are_not_compared() {
    let place = Place::new();
    let values = NpyValues::F32(vec![0.0; 3 * 64 * 64]);
    let array = Npy::new(vec![3, 64, 64], values).expect("it fits");
    array.write(place.path("made.npy")).expect("it can be written");
    let line = "explain made.npy --model digits --device cpu --method gradient-x-input,lrp \
                --target top2 --compare";
    let json = place.json(words(&format!("{line} --json")));
    let pair = &json["compare"][0];
    assert_eq!(pair["method"], "gradient-x-input");
    for name in ["cosine", "spearman", "ssim"] {
        assert!(pair[name].is_null(), "{pair}");
    }
    assert!(json["compare"][1]["cosine"].is_number(), "{}", json["compare"]);
    let text = place.good(words(line)).out;
    let is_row = |line: &&str| line.split_whitespace().eq(["gradient-x-input", "0", "-", "-", "-"]);
    assert!(text.lines().any(|line| is_row(&line)), "{text}");
}
