//! `clrp explain` and `figure` beyond classes and the usual methods: targets, rules, ledgers, maps
//! of layers, comparisons and the paper's figures.

use clrp::image::Picture;
use serde_json::Value;

use crate::support::{Place, words};

const EXPLAIN: &str = "explain --model digits --device cpu scene-00000.png";

fn explain(place: &Place, rest: &str) -> Value {
    place.json(words(&format!("{EXPLAIN} --json {rest}")))
}

fn list(json: &Value) -> &[Value] {
    json["explanations"].as_array().expect("a list")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn targets_are_what_they_say() {
    let place = Place::with_scenes(1);
    let neuron = explain(&place, "--target features.3:2@5,6,features.3:2");
    let found = list(&neuron).iter().map(|one| (&one["layer"], &one["target"], &one["method"]));
    let methods = [("2@5,6", "lrp"), ("2@5,6", "clrp2"), ("2", "lrp"), ("2", "clrp2")];
    for ((layer, target, method), expected) in found.zip(methods) {
        assert_eq!(layer, "features.3");
        assert_eq!((target.as_str(), method.as_str()), (Some(expected.0), Some(expected.1)));
    }
    assert!(place.path("scene-00000_clrp2_features.3-2-5-6.png").is_file());
    assert_eq!(list(&neuron)[0]["probability"], Value::Null);

    let strongest = explain(&place, "--target classifier.0:top3 --method lrp");
    let values: Vec<f64> = list(&strongest).iter().map(|one| number(&one["score"])).collect();
    assert!(values.len() == 3 && values.is_sorted_by(|a, b| a >= b), "{values:?}");

    let classes = explain(&place, "--target 3,8 --method gradient");
    let scores: Vec<f64> = list(&classes).iter().map(|one| number(&one["score"])).collect();
    let mixed = explain(&place, "--target 3*3+8*1 --method gradient");
    let expected = 0.75 * scores[0] + 0.25 * scores[1];
    assert!((number(&list(&mixed)[0]["score"]) - expected).abs() < 1e-5);

    let against = explain(&place, "--target 3 --against 8");
    assert_eq!(list(&against)[0]["method"], "clrp1");
    assert_eq!(list(&against)[0]["label"], "3 against 8");
    let twice = explain(&place, "--target 3 --against 8,8");
    assert_eq!(list(&twice)[0]["label"], "3 against 8");

    let drawn = |seed| explain(&place, &format!("--target 3-of-top8 --method lrp --seed {seed}"));
    let classes = |json: &Value| list(json)[0]["target"].as_str().expect("text").to_owned();
    assert_eq!(classes(&drawn(1)), classes(&drawn(1)));
    assert_ne!(classes(&drawn(1)), classes(&drawn(2)));
}

#[test]
fn rules_come_from_options_and_files() {
    let place = Place::with_scenes(1);
    place.write(
        "mine.toml",
        b"base = \"epsilon_plus\"\nstabilizer = 1e-7\n\n[rules]\n\"features.0\" = \"flat\"\n",
    );
    let rest = "--method lrp --target 3 --ledger";
    let file = explain(&place, &format!("--composite mine.toml {rest}"));
    let options = "--composite epsilon_plus --stabilizer 1e-7 --rule features.0=flat";
    let options = explain(&place, &format!("{options} {rest}"));
    assert_eq!(
        (&file["composite"], &options["composite"]),
        (&"mine.toml".into(), &"epsilon_plus with --rule".into(),)
    );
    let rules = |json: &Value| -> Vec<String> {
        let rows = list(json)[0]["ledger"]["rows"].as_array().expect("a list").clone();
        rows.iter().map(|row| format!("{} {}", row["layer"], row["rule"])).collect()
    };
    assert_eq!(rules(&file), rules(&options));
    assert_eq!(rules(&file).last().map(String::as_str), Some("\"features.0\" \"flat\""));
    assert_eq!(list(&file)[0]["sum"], list(&options)[0]["sum"]);
    // A file may be meant for other networks, too.
    place.write("all.toml", b"[rules]\nadd = \"norm\"\n");
    let noted = place.good(words(&format!("{EXPLAIN} --composite all.toml --method lrp")));
    let note = "note: `all.toml`, line 2, column 1: `digits` has no Add layer";
    assert!(noted.err.contains(note), "{}", noted.err);
    let noted = place.good(words(&format!("{EXPLAIN} --rule add=norm --method lrp")));
    assert!(
        noted.err.contains("note: --rule add=norm: `digits` has no Add layer"),
        "{}",
        noted.err
    );
    let kept = explain(&place, &format!("--composite epsilon_plus --bias false {rest}"));
    assert_eq!(
        kept["rules"],
        "conv=z-plus linear=epsilon:1e-6 avg-pool=norm add=norm stabilizer=1e-6 bias=false \
         batch-norm=bypass"
    );
    assert!(number(&list(&kept)[0]["ledger"]["bias"]).abs() < 1e-6);
}

#[test]
fn a_ledger_adds_up_and_is_a_table_too() {
    let place = Place::with_scenes(1);
    let rest = "--method lrp,clrp1,gradient --composite epsilon_plus --target 3 --ledger";
    let json = explain(&place, rest);
    for one in &list(&json)[..2] {
        let ledger = &one["ledger"];
        let lost = ["arrived", "bias", "padding", "dead", "stabilizer", "unexplained"];
        let sum: f64 = lost.iter().map(|key| number(&ledger[key])).sum();
        assert!((number(&ledger["start"]) - sum).abs() < 1e-9, "{ledger}");
        assert!(number(&ledger["unexplained"]).abs() < 1e-4, "{ledger}");
        assert!(number(&ledger["bias"]).abs() > 1e-3, "epsilon_plus keeps biases");
    }
    // Gradients have none.
    assert_eq!(list(&json)[2]["ledger"], Value::Null);
    let run = place.good(words(&format!("{EXPLAIN} {rest}")));
    assert_eq!(run.out.matches("  ledger of ").count(), 2, "{}", run.out);
    assert!(run.out.contains("classifier.0  Linear     epsilon:"), "{}", run.out);
}

#[test]
fn maps_of_layers_have_the_sum_of_the_walk() {
    let place = Place::with_scenes(1);
    let json = explain(&place, "--method lrp --target 3 --layers features.3,classifier.0 --npy");
    let layers = list(&json)[0]["layers"].as_array().expect("a list");
    let score = number(&list(&json)[0]["score"]).abs();
    let found: Vec<_> = layers.iter().map(|one| one["layer"].as_str().expect("text")).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    for layer in layers {
        assert!((number(&layer["sum"]) - score).abs() < 1e-4 * score, "{layer}");
        let npy = place.npy(layer["files"]["npy"].as_str().expect("a path"));
        let shape: Vec<usize> = layer["shape"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|size| size.as_u64().expect("a number") as usize)
            .collect();
        assert_eq!(npy.shape(), shape);
    }
}

#[test]
fn contrastive_maps_of_different_targets_differ_more_than_others() {
    let place = Place::with_scenes(1);
    let json = explain(&place, "--target top2 --method lrp,clrp2 --compare");
    let compare = json["compare"].as_array().expect("a list");
    let cosine = |method: &str| {
        let of = compare.iter().find(|one| one["method"] == method).expect(method);
        number(&of["cosine"])
    };
    assert_eq!(compare.len(), 2);
    assert!(cosine("lrp") > 0.95 && cosine("clrp2") < 0.8, "{compare:?}");
}

#[test]
fn figures_are_pages() {
    let place = Place::with_scenes(2);
    let scenes = "scene-00000.png scene-00001.png --model digits --device cpu";
    for number in [1, 3] {
        let run = place.good(words(&format!("figure {number} {scenes} -o out")));
        assert_eq!(run.out, format!("out/clrp-figure{number}.png\n"));
        let page = place.path(&format!("out/clrp-figure{number}.png"));
        Picture::open(page).expect("it is a picture");
    }
    place.good(words(&format!("figure 5 {scenes} -o five --method clrp2")));
    let neurons = "--neurons features.3:0,features.3:5@1,2";
    place.good(words(&format!("figure 5 {scenes} {neurons} -o named --method lrp")));
    for name in ["five/scene-00001-figure5-clrp2.png", "named/scene-00000-figure5-lrp.png"] {
        Picture::open(place.path(name)).expect("it is a picture");
    }
}

#[test]
fn what_does_not_apply_is_told() {
    let place = Place::with_scenes(1);
    place.write("wrong.toml", b"base = \"contrastive\"\n[rules]\nconv = \"gama:1\"\n");
    place.write("cut.toml", b"base = \"contr\n");
    place.write("layer.toml", b"[rules]\n\"features.99\" = \"flat\"\n");
    place.write("relu.toml", b"[rules]\n\n \"features.1\" = \"flat\"\n");
    place.write("box.toml", b"[rules]\nconv = \"z-box\"\n");
    place.write("large.toml", b"stabilizer = 1e300\n");
    for (rest, expected) in [
        ("--target featres.0:3", "unknown layer `featres.0`; nearest: `features.0`"),
        ("--target features.0:99", "channel is 99, expected 0 to 11 in layer `features.0`"),
        ("--target features.0:3@99,0", "row is 99, expected 0 to 63 in layer `features.0`"),
        ("--target features.0:3@0,64", "column is 64, expected 0 to 63 in layer `features.0`"),
        ("--target features.0:3@0", "expected a layer, a channel and perhaps a row and a column"),
        ("--target classifier.0:64", "channel is 64, expected 0 to 63 in layer `classifier.0`"),
        ("--target 3*0+5*0", "mixture is `3*0+5*0`, expected finite weights of 0 or more"),
        ("--target 3*x", "part of a mixture is `3*x`, expected a class, `*` and a number"),
        ("--target 3 --against 3", "expected other classes than the target"),
        ("--target top2 --against 3", "--against needs a class as --target, found `top2`"),
        ("--target 9-of-top5", "target is 9-of-top5, expected as `10-of-top100`"),
        ("--target 3,features.0:2", "are of several layers, expected one"),
        ("--target features.0:1 --method sglrp", "it explains probabilities, which only classes"),
        ("--target 3 --against 5 --method guided-backprop --compare", "--compare needs at least"),
        ("--rule features.1=flat", "rule `flat` does not apply to layer `features.1` (ReLU)"),
        ("--rule add=flat", "rule `flat` does not apply to layer `add` (Add)"),
        ("--rule =flat", "a layer is missing before `=flat`"),
        ("--method gradient --rule conv=flat", "--rule is for methods that follow a composite, as"),
        (
            "--method excitation-backprop --bias true",
            "--bias is for methods that follow a composite",
        ),
        ("--rule convv=flat", "unknown layer `convv`; nearest: `conv`"),
        ("--rule conv=gamma:-1", "rule is `gamma:-1`, expected a finite number of 32 bits, 0 or"),
        ("--rule conv=gamma:1e39", "rule is `gamma:1e39`, expected a finite number of 32 bits"),
        ("--rule features=flat", "unknown layer `features`; nearest: `features.*`"),
        ("--method gradient --ledger", "--ledger needs a method of relevance"),
        ("--method grad-cam,rise --layers features.0", "--layers needs a method that walks"),
        ("--layers features.0,", "--layers features.0,: a name is missing beside a comma"),
        ("--layers qqq", "unknown layer `qqq`; expected `features.0`, `features.1`"),
        ("--target 3 --against 5,", "--against 5,: a name is missing beside a comma"),
        ("--rule linear=z-box", "--rule linear=z-box: rule `z-box` does not apply to layer `class"),
        ("--composite box.toml", "`box.toml`, line 2, column 1: rule `z-box` does not apply to"),
        ("--rule max-pool=flat", "rule `flat` does not apply to layer `max-pool` (MaxPool2d)"),
        ("--target features.0", "target `features.0` is a whole layer, expected one of its"),
        ("--rule nosuch=flat", "unknown layer `nosuch`"),
        ("--rule conv=gama:1", "unknown rule `gama`; nearest: `gamma`"),
        ("--rule conv", "expected a layer, `=` and a rule, as conv=gamma:0.25"),
        ("--composite wrong.toml", "`wrong.toml`, line 3, column 8: unknown rule `gama`"),
        ("--composite cut.toml", "`cut.toml`, line 1, column "),
        ("--composite none.toml", "cannot read `none.toml`"),
        ("--composite wrong", "unknown composite `wrong`; expected `contrastive`"),
        ("--composite wrong", "; the file is `wrong.toml`"),
        ("--composite layer.toml", "`layer.toml`, line 2, column 1: unknown layer `features.99`"),
        ("--composite relu.toml", "`relu.toml`, line 3, column 2: rule `flat` does not apply to"),
        ("--composite large.toml", "line 1, column 14: stabilizer is 1e300, expected a finite"),
        ("--method lrp,,clrp1", "--method lrp,,clrp1: a name is missing beside a comma"),
        ("--cam-upsampling nearest", "--cam-upsampling is for the method grad-cam, which is not"),
        ("--method clrp2 --layers classifier.2", "map at layer `classifier.2` is not supported"),
        ("--stabilizer -1", "invalid value '-1' for '--stabilizer <NUMBER>': expected a finite"),
        ("--stabilizer 1e300", "'1e300' for '--stabilizer <NUMBER>': expected a finite number"),
        ("--layers nosuch", "unknown layer `nosuch`"),
        ("--layers input", "layer is `input`, the picture itself"),
        ("--method grad-cam --cam-layer nosuch", "unknown layer `nosuch`"),
        ("--method smoothgrad --noise nan", "noise is NaN, expected a finite number of 0 or more"),
        ("--method rise --cells 1", "number of cells is 1, expected 2 to 1024"),
        ("--method rise --cells 18446744073709551615", "expected 2 to 1024"),
        ("--method rise --masks 18446744073709551615", "expected 1 to 1000000000"),
        ("--method integrated-gradients-gauss --steps 10001", "expected 1 to 10000"),
        ("--method lrp --samples 5", "--samples is for the method smoothgrad, which is not asked"),
        ("--cam-layer features.0", "--cam-layer is for the method grad-cam, which is not asked"),
        ("--target features.3:2 --layers features.9", "the target at `features.3` does not depend"),
    ] {
        let line = place.bad(words(&format!("{EXPLAIN} -o out {rest}")));
        assert!(line.contains(expected), "{rest}\n  {line}\n  {expected}");
    }
    let figure = "figure 5 scene-00000.png --model digits --device cpu";
    let line = place.bad(words(&format!("{figure} --neurons features.0:top9")));
    assert!(line.contains("--neurons is features.0:top9, expected 1 to 8"), "{line}");
    let line = place.bad(words(&format!("{figure} --target 3")));
    assert!(line.contains("--target is for figure 3"), "{line}");
    let line = place.bad(words(&format!("{} --window 4x4", figure.replace('5', "3"))));
    assert!(line.contains("--window is for the method occlusion"), "{line}");
}

#[test]
fn how_maps_were_made_is_on_record() {
    let place = Place::with_scenes(1);
    let methods = "--method lrp,gradient,excitation-backprop,grad-cam,smoothgrad";
    let json = explain(&place, &format!("{methods} --samples 3 --seed 9 --target 3"));
    assert_eq!(json["seed"], 9);
    let settings =
        serde_json::json!({"samples": "3", "noise": "0.1", "cam-upsampling": "bilinear"});
    assert_eq!(json["settings"], settings);
    let [lrp, gradient, excitation, cam, _] = list(&json) else { panic!("five: {json}") };
    assert_eq!(lrp["rules"], json["rules"]);
    assert!(lrp["rules"].as_str().is_some_and(|rules| rules.starts_with("first-conv=z-box")));
    assert!(excitation["rules"].as_str().is_some_and(|rules| rules.starts_with("conv=z-plus")));
    assert_eq!((&gradient["rules"], &gradient["cam_layer"]), (&Value::Null, &Value::Null));
    assert_eq!(cam["cam_layer"], "features.12");
    let text = place.good(words(&format!("explain scene-00000.png --model digits {methods}"))).out;
    let rules = lrp["rules"].as_str().expect("a text");
    assert!(text.starts_with(&format!("rules of lrp: {rules}\n")), "{text}");
    assert!(text.contains("rules of excitation-backprop: conv=z-plus"), "{text}");
}

#[test]
fn comparisons_of_several_pictures_have_means() {
    let place = Place::with_scenes(2);
    let line = "explain scene-00000.png scene-00001.png --model digits --target top2 --compare \
                --method lrp,clrp1";
    let json: Value = serde_json::from_str(&place.good(words(&format!("{line} --json"))).out)
        .expect("one object");
    let of = |image: usize, pair: usize| json["images"][image]["compare"][pair]["cosine"].as_f64();
    for (method, name) in ["lrp", "clrp1"].into_iter().enumerate() {
        let mean = &json["compare"][method];
        assert_eq!((&mean["method"], &mean["pairs"]), (&Value::from(name), &Value::from(2)));
        let expected = of(0, method).zip(of(1, method)).map(|(a, b)| (a + b) / 2.0);
        assert_eq!(mean["cosine"].as_f64(), expected);
    }
    let text = place.good(words(line)).out;
    let (_, table) = text.split_once("all pictures: how alike the maps").expect("a table");
    assert!(table.contains("lrp") && table.contains("clrp1"), "{table}");
}
