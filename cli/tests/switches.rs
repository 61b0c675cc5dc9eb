//! `clrp switches`: tables, numbers and the picture.

use clrp::image::Picture;
use serde_json::Value;

use crate::drawn::weights_file;
use crate::support::{Place, words};

const SWITCHES: &str = "switches --model digits --device cpu";

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list").iter();
    list.map(|number| number.as_f64().expect("a number")).collect()
}

/// All numbers of lists in a list.
fn sum(value: &Value) -> f64 {
    value.as_array().expect("a list").iter().flat_map(numbers).sum()
}

#[test]
fn a_picture_and_a_table_of_every_pool_are_made() {
    let place = Place::with_scenes(1);
    let run = place.good(words(&format!("{SWITCHES} scene-00000.png -o a/b")));
    let files = ["a", "a/b", "a/b/scene-00000-switches.png", "boxes.csv", "scene-00000.png"];
    assert_eq!(place.files(), files);
    assert!(run.out.starts_with("scene-00000.png: digits on cpu\n"), "{}", run.out);
    assert!(run.out.ends_with("a/b/scene-00000-switches.png\n\n"), "{}", run.out);
    for part in ["features.2", "12x64x64", "tied %", "winners at each tap", "(50.0)"] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    let page = Picture::open(place.path("a/b/scene-00000-switches.png")).expect("a picture");
    let red = page.pixels().chunks_exact(3).filter(|pixel| *pixel == [178, 24, 43]).count();
    assert!(red > 100, "{red} pixels");
    assert!(red < page.pixels().len() / 30, "{red} pixels");
}

#[test]
fn the_numbers_add_up_and_name_the_channels_of_the_picture() {
    let place = Place::with_scenes(2);
    let line = format!("{SWITCHES} scene-00000.png scene-00001.png --json");
    let json = place.json(words(&line));
    assert_eq!((&json["model"], &json["device"]), (&"digits".into(), &"cpu".into()));
    let images = json["images"].as_array().expect("a list");
    assert_eq!(images.len(), 2);
    assert_ne!(images[0]["pools"], images[1]["pools"]);
    for image in images {
        assert!(place.path(image["sheet"].as_str().expect("a path")).is_file());
        let pools = image["pools"].as_array().expect("a list");
        assert_eq!(pools.len(), 4);
        assert_eq!(pools[3]["kernel"], serde_json::json!([8, 8]));
        for pool in pools {
            let number = |name: &str| pool[name].as_f64().expect("a number");
            let decided = number("windows") - number("tied");
            assert_eq!(number("windows"), numbers(&pool["output"]).iter().product::<f64>());
            assert_eq!(sum(&pool["taps"]["winners"]), decided);
            assert!((sum(&pool["taps"]["uniform"]) - decided).abs() < 1e-6);
            for edge in pool["edges"].as_array().expect("a list") {
                let decided = edge["windows"].as_f64().zip(edge["tied"].as_f64());
                let decided = decided.map(|(windows, tied)| windows - tied).expect("numbers");
                assert_eq!(numbers(&edge["winners"]).iter().sum::<f64>(), decided);
                assert!((numbers(&edge["uniform"]).iter().sum::<f64>() - decided).abs() < 1e-6);
            }
            assert_eq!(numbers(&pool["channels"]).len(), 4);
        }
    }
}

#[test]
fn a_seed_draws_the_same_channels_again() {
    let place = Place::with_scenes(1);
    let run = |seed: u64, folder: &str| {
        let line = format!("{SWITCHES} scene-00000.png --seed {seed} -o {folder} --json");
        let channels = place.json(words(&line))["pools"]
            .as_array()
            .map(|pools| pools.iter().map(|pool| pool["channels"].clone()).collect::<Vec<_>>());
        let page = std::fs::read(place.path(&format!("{folder}/scene-00000-switches.png")));
        (channels.expect("a list"), page.expect("it was written"))
    };
    assert_eq!(run(3, "one"), run(3, "two"));
    assert_ne!(run(3, "one"), run(4, "other"));
}

#[test]
fn what_cannot_be_shown_is_named() {
    let place = Place::with_scenes(1);
    place.write("zeros.safetensors", &weights_file("mnasnet0_5", |_| 0.0));
    place.write("text.png", b"no picture");
    std::fs::create_dir(place.path("b")).expect("it can be made");
    for copy in ["b/scene-00000.png", "scene-00000-switches.png"] {
        std::fs::copy(place.path("scene-00000.png"), place.path(copy)).expect("a copy");
    }
    let straight = "scene-00000.png --model mnasnet0_5 --weights zeros.safetensors --device cpu";
    for (line, expected) in [
        (format!("switches {straight} -o new"), "the switches of `mnasnet0_5` is not supported"),
        (format!("{SWITCHES} text.png -o new"), "`text.png` is not a usable picture"),
        (format!("{SWITCHES} missing.png"), "cannot read `missing.png`"),
        (format!("{SWITCHES} scene-00000.png b/scene-00000.png"), "be written to the same files"),
        (
            format!("{SWITCHES} scene-00000.png scene-00000-switches.png"),
            "scene-00000-switches.png` is an input and would be written over",
        ),
    ] {
        let error = place.bad(words(&line));
        assert!(error.contains(expected), "{line}\n  {error}");
    }
}
