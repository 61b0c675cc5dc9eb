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

/// A safetensors file: four bytes a tensor of these names and types.
fn safetensors(tensors: &[(&str, &str, [u8; 4])]) -> Vec<u8> {
    let entry = |(i, (name, dtype, _)): (usize, &(&str, &str, [u8; 4]))| {
        let (start, end) = (4 * i, 4 * i + 4);
        format!(r#""{name}":{{"dtype":"{dtype}","shape":[1],"data_offsets":[{start},{end}]}}"#)
    };
    let entries: Vec<String> = tensors.iter().enumerate().map(entry).collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(tensors.iter().flat_map(|(_, _, bytes)| *bytes));
    file
}

#[test]
fn convert_says_what_is_left_out_and_what_cannot_run() {
    let place = Place::new();
    let half = 0.5_f32.to_le_bytes();
    let said = |tensors: &[(&str, &str, [u8; 4])]| {
        place.write("in.safetensors", &safetensors(tensors));
        place.good(words("convert in.safetensors out.safetensors")).err
    };
    assert_eq!(said(&[("a", "F32", half)]), "");
    assert_eq!(
        said(&[("a", "F32", half), ("b", "I32", half)]),
        "note: a tensor that is no weight is left out: `b` (I32)\n"
    );
    let nan = f32::NAN.to_le_bytes();
    let others = ["c", "d", "e", "f", "g"].map(|name| (name, "U32", half));
    let tensors = [&[("a", "F32", half), ("b", "F32", nan)], &others[..]].concat();
    assert_eq!(
        said(&tensors),
        "note: 5 tensors that are no weights are left out: `c` (U32), `d` (U32), `e` (U32) and 2 \
         more\nwarning: weight `b` holds NaN at element 0; no network runs with such a number\n"
    );
}

#[test]
fn convert_names_what_is_wrong_and_leaves_nothing_behind() {
    let place = with_checkpoint();
    let onto_itself = place.bad(words("convert digits.pth digits.pth"));
    assert_eq!(onto_itself, "`digits.pth` is an input and would be written over");

    for name in ["handmade.external_data.onnx", "handmade.external_data.data"] {
        place.write(name, &onnx(name));
    }
    let line = "convert handmade.external_data.onnx handmade.external_data.data";
    let data = place.bad(words(line));
    assert_eq!(data, "`handmade.external_data.data` is an input and would be written over");

    let whole = fs::read(place.path("digits.pth")).expect("it is there");
    place.write("cut.pth", &whole[..whole.len() / 2]);
    let cut = place.bad(words("convert cut.pth out.safetensors"));
    assert!(cut.contains("cut.pth") && cut.contains("storage"), "{cut}");

    place.write("code.pth", &replaced(&whole, b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"));
    let code = place.bad(words("convert code.pth out.safetensors"));
    assert!(code.contains("code.pth") && code.contains("_rebuild_tensor_v9"), "{code}");

    place.write("text.pth", b"weights");
    let beside = place.bad(words("explain scene-00000.png --model digits.pth"));
    assert!(
        beside.starts_with("--model `digits.pth` is a file of weights: give it as --weights"),
        "{beside}"
    );
    let text = place.bad(words("explain scene-00000.png --model digits --weights text.pth"));
    let expected = "`text.pth`: the start: expected a PyTorch checkpoint (ZIP, legacy stream or \
                    TAR), found other content of 7 bytes";
    assert_eq!(text, expected);
    // Safetensors under such a name are none the worse for it.
    place.write("renamed.pth", &fs::read(digits()).expect("it is there"));
    place.good(words("classify scene-00000.png --model digits --weights renamed.pth"));
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
    place.write("latin.txt", b"one\ncaf\xe9\n");
    let latin = place.bad(words("explain scene-00000.png --model mine.onnx --labels latin.txt"));
    assert_eq!(latin, "`latin.txt`: expected text in UTF-8, found byte 0xe9 in line 2");
    place.write("cut.json", b"[\"one\"");
    let cut = place.bad(words("explain scene-00000.png --model mine.onnx --labels cut.json"));
    assert!(cut.starts_with("`cut.json`: expected JSON, found EOF while parsing a list"), "{cut}");
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

/// A field of protobuf with short content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("it is short");
    [&[number << 3 | 2, length], content].concat()
}

/// An ONNX model that gives the mean of each channel of its input `x`; a size of 0 is open.
fn means(channels: u8, rows: u8, columns: u8) -> Vec<u8> {
    let node = [field(1, b"x"), field(2, b"y"), field(4, b"GlobalAveragePool")].concat();
    let sizes: Vec<u8> =
        [1, channels, rows, columns].iter().flat_map(|&size| field(1, &[8, size])).collect();
    let kind = field(1, &[&[8, 1], &field(2, &sizes)[..]].concat());
    let input = [field(1, b"x"), field(2, &kind)].concat();
    let graph = [field(1, &node), field(11, &input), field(12, &field(1, b"y"))].concat();
    [field(7, &graph), field(8, &[0x10, 20])].concat()
}

#[test]
fn inputs_that_are_no_pictures_or_of_any_size_are_named() {
    let place = Place::with_scenes(1);
    place.write("grey.onnx", &means(1, 28, 30));
    for command in ["explain scene-00000.png", "inspect"] {
        let grey = place.bad(words(&format!("{command} --model grey.onnx --device cpu")));
        let expected =
            "`grey.onnx`: input `x` takes 1x28x30, expected 3 channels: red, green and blue";
        assert_eq!(grey, expected);
    }
    place.write("any.onnx", &means(3, 0, 0));
    for line in ["classify scene-00000.png --model any.onnx", "convert any.onnx any.safetensors"] {
        let any = place.bad(words(line));
        let expected = "`any.onnx`: input `x`: expected a fixed height and width, found x 1x3x?x?; \
                        give --size HxW";
        assert_eq!(any, expected);
    }
    place.good(words("classify scene-00000.png --model any.onnx --size 40 --device cpu"));
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
    place.write("other.safetensors", b"");
    let beside = said("--model mine.onnx --weights other.safetensors");
    assert!(beside.starts_with("--model beside --weights is for torchvision's"), "{beside}");
    let stride = said("--model resnet18 --stride-in-1x1");
    assert!(
        stride.starts_with("--stride-in-1x1 is chosen for `resnet18`, expected one of resnet50")
    );
    let output = said("--model digits --output-name scores");
    assert!(output.starts_with("--output-name `scores` is for ONNX files"), "{output}");
    let output = said("--model mine.onnx --output-name scores");
    assert!(output.contains("mine.onnx") && output.contains("scores"), "{output}");
    let size = said("--model mine.onnx --size 50x60");
    assert!(size.contains("50") && size.contains("60"), "{size}");
}
