//! Real networks and pictures, where the folder `../shared/data` beside the project has them.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::{Place, words};

/// The folder, or a printed line that the test is left out.
pub(crate) fn data(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    let missing = folder.display();
    writeln!(std::io::stderr(), "{test} is left out: {missing} is missing").expect("it is open");
    None
}

#[test]
fn logits_are_those_of_an_independent_program() {
    let Some(data) = data("logits_are_those_of_an_independent_program") else { return };
    let place = Place::new();
    let data = data.display();
    let inputs: Vec<String> =
        (0..3).map(|i| format!("{data}/reference/squeezenet1_1-{i}-input_0.npy")).collect();
    let line = format!(
        "classify {} --weights {data}/weights/squeezenet1_1.safetensors --device cpu --npy l.npy",
        inputs.join(" ")
    );
    place.good(words(&line));
    let logits = place.npy("l.npy");
    assert_eq!(logits.shape(), [3, 1000]);
    for (input, found) in inputs.iter().zip(logits.to_f32().chunks_exact(1000)) {
        let expected = clrp::image::Npy::read(input.replace("input", "output")).expect("an array");
        for (class, (a, b)) in found.iter().zip(expected.to_f32()).enumerate() {
            assert!((a - b).abs() <= 1e-3, "{input}, class {class}: {a} {b}");
        }
    }
}

#[test]
fn clrp_tells_the_bulldog_from_the_cat() {
    let Some(data) = data("clrp_tells_the_bulldog_from_the_cat") else { return };
    let place = Place::new();
    let data = data.display();
    let json = place.json(words(&format!(
        "explain {data}/images/gradcam_both.png --method lrp,clrp1 --target 243,tabby --json --npy \
         --weights {data}/weights/squeezenet1_1.safetensors --device cpu --sheet",
    )));
    assert_eq!(json["model"], "squeezenet1_1");
    assert_eq!(json["explanations"][0]["label"], "bull mastiff");
    assert_eq!(json["explanations"][2]["label"], "tabby");
    // The dog fills the upper left, the cat the lower right: where the mean of each map lies.
    let center = |name: &str| {
        let map = place.npy(name).to_f32();
        let (mut sum, mut y) = (0.0, 0.0);
        for (i, &value) in map.iter().enumerate() {
            sum += f64::from(value);
            y += f64::from(value) * (i % (224 * 224) / 224) as f64;
        }
        y / sum
    };
    let apart = |method: &str| {
        center(&format!("gradcam_both_{method}_281.npy"))
            - center(&format!("gradcam_both_{method}_243.npy"))
    };
    let (lrp, clrp) = (apart("lrp"), apart("clrp1"));
    assert!(clrp > 40.0 && clrp > 2.0 * lrp.abs(), "LRP {lrp:.1} rows apart, CLRP {clrp:.1}");
}

#[test]
fn pictures_of_other_sizes_rebuild_the_network() {
    let Some(data) = data("pictures_of_other_sizes_rebuild_the_network") else { return };
    let place = Place::new();
    let data = data.display();
    let json = place.json(words(&format!(
        "explain {data}/images/gradcam_both.png {data}/images/omnixai_elephant.jpg \
         {data}/images/gradcam_horses.jpg --preprocess short-side --method clrp1 --json --npy \
         --weights {data}/weights/squeezenet1_0.safetensors --device cpu"
    )));
    for image in json["images"].as_array().expect("a list") {
        let file = image["explanations"][0]["files"]["npy"].as_str().expect("a path");
        let found: Vec<u64> = place.npy(file).shape().iter().map(|&length| length as u64).collect();
        assert_eq!(image["input"]["shape"], serde_json::json!(found));
        assert_eq!(found[1].min(found[2]), 224);
    }
    let error = place.bad(words(&format!(
        "explain {data}/images/gradcam_both.png --model squeezenet1_1 --device cpu \
         --weights {data}/weights/squeezenet1_0.safetensors"
    )));
    assert!(error.contains("features.0.weight` has shape [96, 3, 7, 7]"), "{error}");
}
