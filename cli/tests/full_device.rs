//! A GPU that runs full: a Vulkan layer refuses memory beyond a limit, as a driver would.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::support::{Place, Run};

/// All that the bundled network can be asked at once: 6 MB for the largest values.
const MUCH: &str = "explain scene-00000.png --model digits --target 0,1,2,3,4,5,6,7,8,9 -o maps \
                    --method lrp,clrp1,clrp2,gradient,guided-backprop,deconvnet --device";

/// Runs [`MUCH`] on the adapter with that much memory.
fn run_with_memory(place: &Place, adapter: &str, bytes: &str) -> Run {
    let folder = place.path("layer");
    let folder = folder.to_str().expect("it is UTF-8");
    let variables = [
        ("VK_ADD_LAYER_PATH", folder),
        ("VK_INSTANCE_LAYERS", "VK_LAYER_CLRP_full_device"),
        ("CLRP_TEST_DEVICE_BYTES", bytes),
    ];
    place.run_with(&variables, MUCH.split_whitespace().chain([adapter]))
}

fn build_layer(folder: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/full_device");
    fs::create_dir(folder).expect("the folder is new");
    fs::copy(source.join("manifest.json"), folder.join("manifest.json")).expect("it is there");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(folder.join("libfull_device.so"))
        .arg(source.join("layer.c"))
        .status();
    assert!(compiled.expect("a C compiler, which Rust links with").success());
}

#[test]
fn a_full_device_is_one_line_that_names_what_did_not_fit() {
    let place = Place::with_scenes(1);
    build_layer(&place.path("layer"));
    let devices = place.json(["devices", "--json"]);
    let adapters = devices["devices"].as_array().expect("a list");
    let vulkan = adapters.iter().find(|device| device["backend"] == "Vulkan");
    let Some(adapter) = vulkan.and_then(|device| device["name"].as_str()) else {
        let required = std::env::var("CLRP_REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!required, "CLRP_REQUIRE_GPU is 1: there is no Vulkan driver");
        writeln!(std::io::stderr(), "the full device is left out: no Vulkan").expect("it is open");
        return;
    };

    // The device cannot be opened; buffers do not fit, earlier and later.
    let cases = [
        ("0", "Not enough memory left"),
        ("9000000", "cannot make a buffer: needs 5898240 bytes for values of layer `features."),
        ("20000000", "cannot make a buffer: needs 5898240 bytes for values of layer `features."),
    ];
    for (bytes, message) in cases {
        let run = run_with_memory(&place, adapter, bytes);
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{bytes}: {}", run.err);
        assert!(run.err.starts_with(&format!("error: `{adapter}`")), "{}", run.err);
        assert!(run.err.contains(message), "{bytes}: {}", run.err);
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        assert!(!place.path("maps").exists(), "{bytes}: nothing is half-written");
    }
    let run = run_with_memory(&place, adapter, "1000000000");
    assert_eq!(run.code, 0, "{}", run.err);
}
