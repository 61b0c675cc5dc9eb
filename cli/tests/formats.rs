//! Networks and weights in the formats that users have: PyTorch checkpoints, ONNX, safetensors.

use std::fs;
use std::path::{Path, PathBuf};

use clrp::graph::Weights;

use crate::checkpoint::legacy;
use crate::support::{Place, words};

/// The weights of the bundled network.
fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/digits.safetensors")
}

/// An ONNX file that the importer is tested with.
fn onnx(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights-tools/tests/onnx");
    fs::read(folder.join(name)).expect("it is there")
}

/// A scene and the bundled network's weights as a checkpoint.
fn with_checkpoint() -> Place {
    let place = Place::with_scenes(1);
    place.write("digits.pth", &legacy(&Weights::open(digits()).expect("they are whole")));
    place
}

/// Its bytes with every `from` replaced, which must be as long.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

#[test]
fn a_checkpoint_is_explained_as_the_weights_in_it() {
    let place = with_checkpoint();
    let of = |weights: &str, folder: &str| {
        let line = format!("explain scene-00000.png {weights} --method clrp1 --npy -o {folder}");
        place.good(words(&line));
        let files = place.files();
        let mut maps = files.iter().filter(|f| f.starts_with(folder) && f.ends_with(".npy"));
        fs::read(place.path(maps.next().expect("a map"))).expect("it can be read")
    };
    let expected = of("--model digits", "bundled");
    assert_eq!(of("--weights digits.pth", "checkpoint"), expected);

    place.good(words("convert digits.pth digits.safetensors"));
    assert_eq!(of("--weights digits.safetensors", "converted"), expected);
}

#[test]
fn convert_says_what_it_wrote() {
    let place = with_checkpoint();
    let run = place.good(words("convert digits.pth all.safetensors"));
    let last = run.out.lines().last().expect("a summary");
    let bytes = fs::metadata(place.path("all.safetensors")).expect("it is there").len();
    let hash = clrp_weights::fetch::sha256_file(place.path("all.safetensors")).expect("it is");
    assert!(last.starts_with("all.safetensors: ") && last.ends_with(&hash), "{last}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |name: &str| fs::metadata(place.path(name)).expect("it is there").permissions();
        // As of a file that the test itself wrote.
        assert_eq!(mode("all.safetensors").mode(), mode("digits.pth").mode());
    }
    let row = run.out.lines().find(|line| line.starts_with("features.0.weight"));
    assert!(row.is_some_and(|row| row.contains("F32")), "{}", run.out);

    let run = place.good(words("convert all.safetensors half.safetensors --f16"));
    let half = fs::metadata(place.path("half.safetensors")).expect("it is there").len();
    assert!(half * 100 < bytes * 56, "{half} of {bytes} bytes");
    assert!(run.out.contains("F16"), "{}", run.out);
    let row = run.out.lines().find(|line| line.starts_with("features.0.bias"));
    assert!(row.is_some_and(|row| row.contains("F32")), "{}", run.out);
    place.good(words("explain scene-00000.png --model digits --weights half.safetensors"));
}

#[test]
fn convert_names_what_is_wrong_and_leaves_nothing_behind() {
    let place = with_checkpoint();
    let onto_itself = place.bad(words("convert digits.pth digits.pth"));
    assert_eq!(onto_itself, "`digits.pth` is an input and would be written over");

    let whole = fs::read(place.path("digits.pth")).expect("it is there");
    place.write("cut.pth", &whole[..whole.len() / 2]);
    let cut = place.bad(words("convert cut.pth out.safetensors"));
    assert!(cut.contains("cut.pth") && cut.contains("storage"), "{cut}");

    place.write("code.pth", &replaced(&whole, b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"));
    let code = place.bad(words("convert code.pth out.safetensors"));
    assert!(code.contains("code.pth") && code.contains("_rebuild_tensor_v9"), "{code}");

    place.write("text.pth", b"weights");
    let text = place.bad(words("explain scene-00000.png --model digits --weights text.pth"));
    assert!(text.starts_with("`text.pth` is no PyTorch checkpoint: expected a ZIP"), "{text}");
}

#[test]
fn an_onnx_file_is_explained_by_its_own_size_and_classes() {
    let place = Place::with_scenes(1);
    place.write("mine.onnx", &onnx("residual.onnx"));
    let report = place.json(words("explain scene-00000.png --model mine.onnx --json -o out"));
    assert_eq!(report["model"], "mine.onnx");
    let shape = report["input"]["shape"].as_array().expect("a shape");
    assert_eq!(shape[0], 3);
    let methods = report["explanations"].as_array().expect("a list");
    assert_eq!(methods.len(), 3, "{report}");
    let weights = place.json(words("classify scene-00000.png --weights mine.onnx --json"));
    assert_eq!(weights["predictions"][0], report["predictions"][0]);

    place.write("soft.onnx", &onnx("softmax.onnx"));
    let run = place.good(words("explain scene-00000.png --model soft.onnx -o out"));
    assert!(run.err.contains("the trailing Softmax `"), "{}", run.err);
}

#[test]
fn classes_have_the_names_of_a_file() {
    let place = Place::with_scenes(1);
    place.write("mine.onnx", &onnx("residual.onnx"));
    let scores = place.json(words("classify scene-00000.png --model mine.onnx --top 99 --json"));
    let count = scores["predictions"].as_array().expect("a list").len();
    let names: String = (0..count).map(|class| format!("kind {class}\n")).collect();
    place.write("names.txt", names.as_bytes());
    let line =
        "explain scene-00000.png --model mine.onnx --labels names.txt --target kind_1 --json";
    let report = place.json(words(line));
    assert_eq!(report["explanations"][0]["label"], "kind 1");

    place.write("short.txt", b"one\n");
    let short = place.bad(words("explain scene-00000.png --model mine.onnx --labels short.txt"));
    let expected = format!("`short.txt` names 1 classes, expected {count}, as many as `mine.onnx`");
    assert!(short.starts_with(&expected), "{short}");
    let gone = place.bad(words("explain scene-00000.png --model digits --labels gone.txt"));
    assert!(gone.contains("gone.txt"), "{gone}");
}

#[test]
fn onnx_files_that_cannot_be_explained_are_named_with_the_node() {
    let place = Place::with_scenes(1);
    let whole = onnx("residual.onnx");
    place.write("tanh.onnx", &replaced(&whole, b"Relu", b"Tanh"));
    let tanh = place.bad(words("explain scene-00000.png --model tanh.onnx"));
    assert!(tanh.contains("tanh.onnx") && tanh.contains("`Tanh`"), "{tanh}");

    place.write("cut.onnx", &whole[..whole.len() - 100]);
    let cut = place.bad(words("explain scene-00000.png --model cut.onnx"));
    assert!(cut.contains("cut.onnx"), "{cut}");

    let missing = place.bad(words("explain scene-00000.png --model gone.onnx"));
    assert!(missing.contains("gone.onnx"), "{missing}");
}

#[test]
fn options_that_do_not_suit_the_file_are_refused() {
    let place = Place::with_scenes(1);
    place.write("mine.onnx", &onnx("residual.onnx"));
    let said = |rest: &str| place.bad(words(&format!("explain scene-00000.png {rest}")));
    let stride = said("--model mine.onnx --stride-in-1x1");
    assert!(stride.starts_with("--stride-in-1x1 is for torchvision's networks"), "{stride}");
    let transform = said("--model mine.onnx --transform-input true");
    assert!(transform.starts_with("--transform-input is for torchvision's networks"));
    let beside = said("--model mine.onnx --weights other.safetensors");
    assert!(beside.starts_with("--model beside --weights is for torchvision's"), "{beside}");
    let output = said("--model digits --output-name scores");
    assert!(output.starts_with("--output-name `scores` is for ONNX files"), "{output}");
    let output = said("--model mine.onnx --output-name scores");
    assert!(output.contains("mine.onnx") && output.contains("scores"), "{output}");
    let size = said("--model mine.onnx --size 50x60");
    assert!(size.contains("50") && size.contains("60"), "{size}");
}
