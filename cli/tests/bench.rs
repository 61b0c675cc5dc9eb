//! `clrp bench`: what it tells, not how fast anything is.

use std::io::Write;

use serde_json::Value;

use crate::support::{Place, words};

#[test]
fn every_method_is_timed_and_its_work_counted() {
    let place = Place::new();
    let line = "bench --model digits --device cpu --batch 2 --targets 3 --rounds 2 --layers --json";
    let json = place.json(words(line));
    let results = json["results"].as_array().expect("a list");
    let names: Vec<&Value> = results.iter().map(|result| &result["method"]).collect();
    assert_eq!(names, ["forward", "lrp", "clrp1", "clrp2", "gradient"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    for result in results {
        assert_eq!((&result["model"], &result["batch"]), (&"digits".into(), &2.into()));
        let (least, middle) = (number(&result["min_s"]), number(&result["median_s"]));
        assert!(0.0 < least && least <= middle, "{result}");
        let rate = number(&result["gflop"]) / middle;
        assert!((rate / number(&result["gflop_s"]) - 1.0).abs() < 1e-9, "{result}");
        assert!(number(&result["share_of_gemm"]) > 0.0);
    }
    // Three targets have more transposes than the forward pass has convolutions.
    assert!(number(&results[1]["gflop"]) > 3.0 * number(&results[0]["gflop"]));
    assert!(number(&json["ceilings"]["gemm_gflop_s"]) > 0.0);
    let layers = json["layers"].as_array().expect("a list");
    let is_first = |layer: &&Value| layer["layer"] == "features.0" && layer["method"] == "forward";
    let first = layers.iter().find(is_first).expect("the first layer");
    assert_eq!(first["kernel"], "conv2d");
    assert!(number(&first["seconds"]) > 0.0 && number(&first["gflop_s"]) > 0.0);

    let table = place.good(words("bench --model digits --device cpu --rounds 1 --method lrp")).out;
    assert!(
        table.starts_with("precision f32, ceilings: ") && table.contains("x forward"),
        "{table}"
    );
}

/// Bytes at the end that hundreds of runs more may take: what allocators keep varies.
const NO_GROWTH: f64 = 4e6;

#[test]
fn memory_does_not_grow_with_the_number_of_runs() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let many =
        if std::env::var("CLRP_LONG").is_ok_and(|value| value == "1") { 10_000 } else { 500 };
    let place = Place::new();
    let [few, many] = [50, many].map(|rounds| {
        let line =
            format!("bench --model digits --device cpu --method clrp1 --rounds {rounds} --json");
        let json = place.json(words(&line));
        json["machine"]["end_memory_bytes"].as_f64().expect("Linux tells it")
    });
    assert!(many - few < NO_GROWTH, "{few} bytes after few runs, {many} after many");
}

/// The name of a GPU that Vulkan drives, a software one too.
fn vulkan(place: &Place) -> Option<String> {
    let devices = place.json(["devices", "--json"]);
    let adapters = devices["devices"].as_array().expect("a list");
    let found = adapters.iter().find(|device| device["backend"] == "Vulkan");
    let name = found.and_then(|device| device["name"].as_str());
    if name.is_none() {
        let required = std::env::var("CLRP_REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!required, "CLRP_REQUIRE_GPU is 1: there is no Vulkan driver");
        writeln!(std::io::stderr(), "times of a GPU are left out: no Vulkan").expect("it is open");
    }
    name.map(str::to_owned)
}

#[test]
fn what_is_measured_of_a_gpu_is_kept() {
    let place = Place::new();
    let Some(adapter) = vulkan(&place) else { return };
    std::fs::create_dir(place.path("cache")).expect("the folder is new");
    std::fs::write(place.path("cache/devices.json"), "no JSON").expect("the folder is there");
    let told = place.good(["devices", "--calibrate", &adapter]).err;
    assert!(told.contains("workgroups keep `"), "{told}");
    let kept = std::fs::read(place.path("cache/devices.json")).expect("it is kept");
    let kept: Value = serde_json::from_slice(&kept).expect("it is JSON");
    assert_eq!(kept["devices"][0]["name"].as_str(), Some(&*adapter));
    assert!(kept["devices"][0]["busy"].as_u64() > Some(0), "{kept}");

    let devices = place.json(["devices", "--json"]);
    let devices = devices["devices"].as_array().expect("a list").clone();
    let listed = devices.iter().find(|device| device["name"].as_str() == Some(&*adapter));
    let listed = listed.expect("it is listed");
    for key in ["busy", "large_tiles"] {
        assert_eq!(listed[key], kept["devices"][0][key], "{key}");
    }
    let no_gpu = place.bad(words("devices --calibrate nosuchgpu"));
    assert!(no_gpu.contains("no GPU named `nosuchgpu` was found"), "{no_gpu}");
}

/// The one file of kept kernels, where the driver keeps them.
fn kept_kernels(place: &Place) -> Option<(std::path::PathBuf, Vec<u8>)> {
    let folder = std::fs::read_dir(place.path("cache/kernels")).expect("it is made");
    let file = folder.map(|entry| entry.expect("it can be listed").path()).next()?;
    let bytes = std::fs::read(&file).expect("it can be read");
    Some((file, bytes))
}

#[test]
fn kernels_are_kept_and_damaged_ones_are_made_anew() {
    let place = Place::with_scenes(1);
    let Some(adapter) = vulkan(&place) else { return };
    let explain = |to: &str| {
        let mut line = words("explain scene-00000.png --model digits --method lrp --npy -o");
        line.extend([to, "--device", &adapter]);
        place.good(line);
        let files = place.files().into_iter();
        let maps = files.filter(|file| file.starts_with(to) && file.ends_with(".npy"));
        let maps: Vec<_> = maps.map(|file| std::fs::read(place.path(&file))).collect();
        let [Ok(map)] = &maps[..] else { panic!("one map: {maps:?}") };
        map.clone()
    };
    let first = explain("first");
    let Some((file, bytes)) = kept_kernels(&place) else {
        let message = "kept kernels are left out: the driver keeps none";
        return writeln!(std::io::stderr(), "{message}").expect("it is open");
    };
    assert!(bytes.len() > 8, "{} bytes", bytes.len());
    assert_eq!(explain("again"), first);
    assert_eq!(kept_kernels(&place).expect("it is there").1, bytes, "nothing new was compiled");
    let mut other = bytes.clone();
    // A byte of the header that names the driver, one of the hash, and a cut.
    for at in [8, 8 + 16, 0] {
        other[at] ^= 0x55;
        std::fs::write(&file, &other).expect("it can be written");
        assert_eq!(explain("damaged"), first, "byte {at}");
        other.clone_from(&bytes);
    }
    std::fs::write(&file, &bytes[..5]).expect("it can be written");
    assert_eq!(explain("cut"), first);
    assert!(kept_kernels(&place).expect("it is there").1.len() > 8, "it is written anew");
}

#[test]
fn a_gpu_tells_what_its_steps_take() {
    let place = Place::new();
    let Some(adapter) = vulkan(&place) else { return };
    let line = "bench --model digits --rounds 1 --method lrp --layers --json --device";
    let mut line = words(line);
    line.push(&adapter);
    let json = place.json(line);
    let layers = json["layers"].as_array().expect("a list");
    let seconds = layers.iter().map(|layer| layer["seconds"].as_f64().expect("a number"));
    assert!(layers.len() > 20 && seconds.sum::<f64>() > 0.0, "{}", layers.len());
    assert!(layers.iter().all(|layer| layer["gflop_s"].is_number()));
}

#[test]
fn a_network_named_twice_is_measured_once() {
    let line = "bench --model digits,digits --device cpu --rounds 1 --method lrp --json";
    let report = Place::new().json(words(line));
    assert_eq!(report["results"].as_array().map(Vec::len), Some(2), "{report}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let place = Place::new();
    let targets = place.bad(words("bench --model digits --device cpu --targets 11"));
    assert!(targets.contains("--targets is 11, expected 1 to 10"), "{targets}");
    let model = place.bad(words("bench --model vgg61"));
    assert!(model.contains("unknown model `vgg61`"), "{model}");
}
