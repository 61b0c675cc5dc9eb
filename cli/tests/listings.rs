//! `clrp devices`, `models`, `inspect`, `scenes`, `completions` and help.

use std::path::Path;

use clrp::image::{NpyValues, Picture};
use serde_json::Value;

use crate::support::{Place, words};

#[test]
fn the_cpu_is_the_first_device_and_auto_takes_one() {
    let place = Place::new();
    let json = place.json(["devices", "--json"]);
    let devices = json["devices"].as_array().expect("a list");
    assert_eq!(devices[0]["name"], "cpu");
    assert!(devices[0]["threads"].as_u64() >= Some(1));
    assert_eq!(devices.iter().filter(|device| device["auto"] == true).count(), 1);
    let table = place.good(["devices"]).out;
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("cpu")), "{table}");
    assert!(table.contains("<- auto"), "{table}");
}

#[test]
fn models_have_the_sizes_that_torchvision_publishes() {
    let json = Place::new().json(["models", "--json"]);
    let model = |name: &str| -> Value {
        let models = json["models"].as_array().expect("a list");
        models.iter().find(|model| model["name"] == name).expect(name).clone()
    };
    for (name, parameters) in [
        ("alexnet", 61_100_840),
        ("vgg16", 138_357_544),
        ("vgg16_bn", 138_365_992),
        ("vgg19", 143_667_240),
        ("squeezenet1_0", 1_248_424),
        ("squeezenet1_1", 1_235_496),
        ("googlenet", 6_624_904),
        ("resnet50", 25_557_032),
        ("densenet201", 20_013_928),
        ("shufflenet_v2_x1_0", 2_278_604),
    ] {
        assert_eq!(model(name)["parameters"], parameters, "{name}");
        assert_eq!(model(name)["bundled"], false);
        assert_eq!(model(name)["input"], serde_json::json!([3, 224, 224]));
    }
    assert_eq!(model("inception_v3")["input"], serde_json::json!([3, 299, 299]));
    assert_eq!(model("resnet50")["multiply_adds"], 4_089_184_256_u64);
    assert_eq!(model("resnet50")["flops"], 8_178_368_512_u64);
    assert_eq!(model("inception_v3")["weights"], "inception_v3_google-0cc3c7bd.pth");
    assert_eq!(model("digits")["bundled"], true);
    assert_eq!(model("digits")["weights"], Value::Null);
    let table = Place::new().good(["models"]).out;
    assert!(table.contains("138,357,544") && table.contains("resnet18-f37072fd.pth"), "{table}");
}

#[test]
fn inspect_shows_layers_rules_and_the_program_without_weights_too() {
    let place = Place::new();
    let run = place.good(["inspect", "--model", "vgg16"]);
    assert!(run.out.contains("features.0") && run.out.contains("z-box"), "{}", run.out);
    assert!(run.out.contains("steps") && run.out.contains("buffers"), "{}", run.out);
    let even = place.good(words("inspect --model vgg16 --composite gu2018")).out;
    assert!(even.contains("even") && !even.contains("norm"), "{even}");

    let run = place.good(words("inspect --model digits --device cpu"));
    assert!(run.out.contains("steps") && run.err.is_empty(), "{}", run.out);
    let listing = place.good(words("inspect --model digits --device cpu --program")).out;
    assert!(listing.lines().count() > run.out.lines().count() + 20, "{listing}");
}

#[test]
fn inspect_shows_networks_that_branch_and_the_choices_about_them() {
    let place = Place::new();
    let run = place.good(words("inspect --model shufflenet_v2_x0_5 --device cpu"));
    for kind in ["narrow", "ChannelShuffle", "Concat", "stage4.3.branch2.7"] {
        assert!(run.out.contains(kind), "{kind}: {}", run.out);
    }
    let shapes = |options: &str| -> String {
        let out =
            place.good(words(&format!("inspect --model resnet50 --device cpu {options}"))).out;
        let line = out.lines().find(|line| line.starts_with("layer2.0.conv1"));
        line.expect("the layer is there").to_owned()
    };
    assert!(shapes("").contains("128x56x56"));
    assert!(shapes("--stride-in-1x1").contains("128x28x28"));
    let line = "inspect --model vgg16 --transform-input true";
    let error = place.bad(words(line));
    assert!(error.contains("expected one of googlenet, inception_v3"), "{error}");
}

#[test]
fn scenes_are_the_same_as_array_and_as_pictures() {
    let place = Place::new();
    let line = "scenes --split train --digits 1-3 --count 7 --seed 5";
    place.good(words(&format!("{line} --npy scenes.npy --labels labels.csv")));
    place.good(words(&format!("{line} -o folder")));
    let array = place.npy("scenes.npy");
    assert_eq!(array.shape(), [7, 64, 64, 3]);
    let NpyValues::U8(values) = array.values() else { panic!("it is not uint8") };
    for (i, pixels) in values.chunks_exact(64 * 64 * 3).enumerate() {
        let path = place.path(&format!("folder/scene-{i:05}.png"));
        assert_eq!(Picture::open(path).expect("a picture").pixels(), pixels);
    }
    let read = |name: &str| std::fs::read_to_string(place.path(name)).expect("text");
    let labels = read("labels.csv");
    assert_eq!(labels, read("folder/boxes.csv"));
    let mut lines = labels.lines();
    assert_eq!(lines.next(), Some("index,digit,left,top,right,bottom"));
    let indices: Vec<&str> = lines.filter_map(|line| line.split(',').next()).collect();
    assert_eq!(indices, words("0 1 1 2 2 2 3 4 4 5 5 5 6"));
}

#[test]
fn wrong_usage_is_one_line_and_help_is_no_failure() {
    let place = Place::new();
    for line in [
        "explain",
        "explain a.png --preprocess twist",
        "explain a.png --precision f16",
        "explain a.png --batch 0",
        "classify a.png --top 0",
        "scenes --split test --digits 1 --count 0 -o .",
        "scenes --split test --digits 4 --count 1 -o .",
        "scenes --split test --digits 1 --count 1",
        "scenes --split test --digits 1 --count 1 --npy a.npy",
        "completions nosuchshell",
        "fetch",
        "fetch --list vgg16",
        "nosuchcommand",
    ] {
        assert!(place.bad(words(line)).ends_with("; see --help"), "{line}");
    }
    let nothing = place.run::<&str>([]);
    assert_eq!((nothing.code, nothing.out.as_str()), (1, ""));
    assert!(nothing.err.contains("Examples:"), "{}", nothing.err);
    let commands = "explain classify demo devices models inspect switches scenes fetch completions";
    for command in words(commands) {
        let help = place.good([command, "--help"]).out;
        assert!(help.contains("Examples:"), "{command}: {help}");
        assert!(!help.contains('\u{1b}'), "{command}: it is coloured");
    }
    for command in ["explain", "switches"] {
        assert!(place.good([command, "--help"]).out.contains("JSON (--json), one object"));
    }
    assert!(place.good(["--version"]).out.starts_with("clrp "));
}

#[test]
fn shells_complete_names() {
    let place = Place::new();
    // The others complete options only.
    for shell in ["bash", "zsh", "fish"] {
        let script = place.good(["completions", shell]).out;
        assert!(script.contains("guided-backprop") && script.contains("squeezenet1_1"), "{shell}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_stops_early_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_clrp"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn inspect_takes_the_size_whatever_the_weights_are_from() {
    let place = Place::new();
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/digits.safetensors");
    std::fs::copy(digits, place.path("digits.safetensors")).expect("there is room");
    for network in ["--model digits", "--weights digits.safetensors", "--model squeezenet1_1"] {
        let listed = place.good(words(&format!("inspect {network} --size 80x96"))).out;
        let input = listed.lines().find(|line| line.starts_with("input")).expect("a row");
        assert!(input.contains("3x80x96"), "{network}: {input}");
    }
    let small = place.bad(words("inspect --weights digits.safetensors --size 2"));
    assert!(small.starts_with("layer `"), "{small}");
}
