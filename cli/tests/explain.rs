//! `clrp explain`, `classify`, `demo`: files and numbers.

use clrp::image::{NpyValues, Picture};
use serde_json::Value;

use crate::support::{Place, words};

const EXPLAIN: &str = "explain --model digits --device cpu";

fn explain(place: &Place, rest: &str) -> Value {
    place.json(words(&format!("{EXPLAIN} --json {rest}")))
}

fn floats(place: &Place, name: &str) -> Vec<f32> {
    let array = place.npy(name);
    assert!(matches!(array.values(), NpyValues::F32(_)), "{name}");
    array.to_f32()
}

#[test]
fn every_file_that_was_asked_for_is_there_and_no_other() {
    let place = Place::with_scenes(1);
    let run = place.good(words(&format!(
        "{EXPLAIN} scene-00000.png --target 3,5 --method lrp,clrp1 --overlay --npy --sheet -o a/b"
    )));
    let mut expected: Vec<String> =
        ["a", "a/b", "a/b/scene-00000_sheet.png", "boxes.csv", "scene-00000.png"]
            .map(str::to_owned)
            .to_vec();
    for map in ["clrp1_3", "clrp1_5", "lrp_3", "lrp_5"] {
        for end in [".npy", ".png", "_overlay.png"] {
            expected.push(format!("a/b/scene-00000_{map}{end}"));
        }
    }
    expected.sort();
    assert_eq!(place.files(), expected);
    assert!(run.out.contains("a/b/scene-00000_lrp_3.png"), "{}", run.out);
    assert_eq!(place.npy("a/b/scene-00000_lrp_3.npy").shape(), [3, 64, 64]);
    for end in [".png", "_overlay.png"] {
        let path = place.path(&format!("a/b/scene-00000_clrp1_5{end}"));
        let picture = Picture::open(path).expect("it is a picture");
        assert_eq!((picture.width(), picture.height()), (64, 64));
    }
}

#[test]
fn one_picture_is_one_json_object() {
    let place = Place::with_scenes(1);
    let json = explain(&place, "scene-00000.png --target top2 --npy");
    assert_eq!(json["image"], "scene-00000.png");
    assert_eq!((&json["model"], &json["device"]), (&"digits".into(), &"cpu".into()));
    assert_eq!((&json["composite"], &json["weights"]), (&"contrastive".into(), &Value::Null));
    assert_eq!(json["input"]["shape"], serde_json::json!([3, 64, 64]));
    let predictions = json["predictions"].as_array().expect("a list");
    assert_eq!(predictions.len(), 5);
    let explanations = json["explanations"].as_array().expect("a list");
    let methods: Vec<_> = explanations.iter().map(|one| one["method"].as_str()).collect();
    let each = ["lrp", "clrp1", "clrp2"].map(Some);
    assert_eq!(methods, [each, each].concat());
    for (i, one) in explanations.iter().enumerate() {
        let prediction = &predictions[i / 3];
        assert_eq!(one["target"], prediction["class"]);
        assert_eq!(one["label"], prediction["label"]);
        assert_eq!(one["score"], prediction["logit"]);
        assert_eq!(one["probability"], prediction["probability"]);
        let map = floats(&place, one["files"]["npy"].as_str().expect("a path"));
        let sum: f64 = map.iter().map(|&value| f64::from(value)).sum();
        assert!((sum - one["sum"].as_f64().expect("a number")).abs() < 1e-9);
        assert!(place.path(one["files"]["map"].as_str().expect("a path")).is_file());
        assert!(one["seconds"].as_f64().expect("a number") >= 0.0);
        assert!(one["leak"].is_number());
    }
}

#[test]
fn several_pictures_in_batches_are_as_one_by_one() {
    let place = Place::with_scenes(3);
    let pictures = "scene-00000.png scene-00001.png scene-00002.png";
    let all = explain(&place, &format!("{pictures} --batch 2 -o all --npy"));
    let images = all["images"].as_array().expect("a list");
    assert_eq!(images.len(), 3);
    for (image, name) in images.iter().zip(words(pictures)) {
        let one = explain(&place, &format!("{name} -o one --npy"));
        assert_eq!(image["image"], name);
        assert_eq!(image["predictions"][0]["class"], one["predictions"][0]["class"]);
        let list = |of: &Value| of["explanations"].as_array().expect("a list").clone();
        let (all, alone) = (list(image), list(&one));
        assert_eq!((all.len(), alone.len()), (3, 3));
        for (a, b) in all.iter().zip(&alone) {
            let map = |one: &Value| floats(&place, one["files"]["npy"].as_str().expect("a path"));
            let (a, b) = (map(a), map(b));
            let error: f32 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
            let size: f32 = b.iter().map(|b| b * b).sum();
            assert!(error <= 1e-8 * size, "{error} {size}");
        }
    }
}

#[test]
fn an_array_is_explained_as_the_picture_it_was_made_of() {
    let place = Place::with_scenes(1);
    let picture = Picture::open(place.path("scene-00000.png")).expect("a picture");
    let values = picture.pixels().iter().map(|&byte| (f32::from(byte) / 255.0 - 0.5) / 0.5);
    let (values, side) = (values.collect::<Vec<f32>>(), 64 * 64);
    let planes: Vec<f32> = (0..3)
        .flat_map(|c| (0..side).map(move |i| (c, i)))
        .map(|(c, i)| values[3 * i + c])
        .collect();
    for (name, shape) in [("three.npy", vec![3, 64, 64]), ("four.npy", vec![1, 3, 64, 64])] {
        let array = clrp::image::Npy::new(shape, NpyValues::F32(planes.clone())).expect("it fits");
        array.write(place.path(name)).expect("it can be written");
        let rest = "--target 4 --method clrp1 --npy --overlay --sheet";
        explain(&place, &format!("{name} {rest}"));
        explain(&place, &format!("scene-00000.png {rest}"));
        let stem = name.trim_end_matches(".npy");
        let map = |stem: &str| floats(&place, &format!("{stem}_clrp1_4.npy"));
        assert_eq!(map(stem), map("scene-00000"));
        let sheet = |stem: &str| std::fs::read(place.path(&format!("{stem}_sheet.png"))).ok();
        assert_eq!(sheet(stem), sheet("scene-00000"));
    }
}

#[test]
fn f64_agrees_with_f32_and_all_methods_run_twice_alike() {
    let place = Place::with_scenes(1);
    let methods = "lrp,clrp1,clrp2,clrp1-logits,gradient,guided-backprop,deconvnet,\
                   gradient-x-input,random,lrp";
    let rest = format!("scene-00000.png --method {methods} --npy --target 7");
    let narrow = explain(&place, &format!("{rest} -o narrow"));
    let again = explain(&place, &format!("{rest} -o again"));
    let wide = explain(&place, &format!("{rest} -o wide --precision f64"));
    assert_eq!(wide["device"], "cpu (f64)");
    let list = |json: &Value| json["explanations"].as_array().expect("a list").clone();
    assert_eq!(list(&narrow).len(), 9);
    for ((narrow, again), wide) in list(&narrow).iter().zip(list(&again)).zip(list(&wide)) {
        let map = |one: &Value| floats(&place, one["files"]["npy"].as_str().expect("a path"));
        assert_eq!(map(narrow), map(&again));
        let (a, b) = (map(narrow), map(&wide));
        let error: f32 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
        let size: f32 = b.iter().map(|b| b * b).sum();
        assert!(error <= 1e-6 * size, "{}: {error} {size}", narrow["method"]);
    }
}

#[test]
fn classify_writes_the_logits_that_explain_reports() {
    let place = Place::with_scenes(2);
    let json = place.json(words(
        "classify --model digits --device cpu scene-00000.png scene-00001.png --top 3 --json \
         --npy logits.npy",
    ));
    assert_eq!(place.npy("logits.npy").shape(), [2, 10]);
    let logits = floats(&place, "logits.npy");
    for (i, image) in json["images"].as_array().expect("a list").iter().enumerate() {
        let predictions = image["predictions"].as_array().expect("a list");
        assert_eq!(predictions.len(), 3);
        for prediction in predictions {
            let class = prediction["class"].as_u64().expect("a number") as usize;
            let logit = prediction["logit"].as_f64().expect("a number") as f32;
            assert_eq!(logits[10 * i + class], logit);
        }
    }
    let run = place.good(words("classify --model digits --device cpu scene-00000.png"));
    assert!(run.out.starts_with("scene-00000.png: digits on cpu\n"), "{}", run.out);
}

#[test]
fn the_demo_needs_no_file_and_ends_in_a_picture() {
    let place = Place::new();
    let run = place.good(words("demo --device cpu -o out"));
    assert_eq!(place.files(), ["out", "out/clrp-demo.png"]);
    assert!(run.out.ends_with("out/clrp-demo.png\n"), "{}", run.out);
    for method in ["lrp", "clrp1", "clrp2", "gradient", "guided-backprop"] {
        assert_eq!(run.out.matches(&format!(" {method} ")).count(), 2, "{}", run.out);
    }
    Picture::open(place.path("out/clrp-demo.png")).expect("it is a picture");
}
