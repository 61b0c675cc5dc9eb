//! Whatever is wrong ends in one line that names it, code 1, and no file.

use clrp::image::{Npy, NpyValues};

use crate::support::{Place, words};

/// Runs `explain` on a folder with one scene and whatever `prepare` adds.
#[track_caller]
fn check(place: &Place, line: &str, expected: &str) {
    let error = place.bad(words(line));
    assert!(error.contains(expected), "{line}\n  {error}\n  {expected}");
}

#[test]
fn unknown_names_get_the_nearest() {
    let place = Place::with_scenes(1);
    let explain = "explain scene-00000.png --device cpu";
    for (rest, expected) in [
        ("--model digit", "unknown model `digit`; nearest: `digits`"),
        ("--model digits --method clrp", "unknown method `clrp`; nearest: `clrp1`"),
        ("--model digits --method lrp,clrb1", "unknown method `clrb1`; nearest: `clrp1`"),
        ("--model digits --method lrp,", "--method lrp,: a name is missing beside a comma"),
        ("--model digits --composite gu2019", "unknown composite `gu2019`; nearest: `gu2018`"),
        ("--model digits --cmap hott", "unknown palette `hott`; nearest: `hot`"),
        ("--model digits --target zebra", "unknown class `zebra`"),
        ("--model digits --target 10", "target 10 is out of range, `digits` has 10 classes"),
        ("--model digits --target -1", "target is -1, expected a class from 0 to 9"),
        ("--model digits --target top0", "target is top0, expected top1 to top10"),
        ("--model digits --target top11", "target is top11, expected top1 to top10"),
        (
            "--model digits --target top2,3",
            "target `top2` is a choice of its own and cannot stand among others",
        ),
        ("--offline", "the weights of `squeezenet1_1` are missing and must not be fetched"),
        ("--model vgg16 --offline", "the weights of `vgg16` are missing and must not be fetched"),
        ("--weights net.safetensors", "cannot read `net.safetensors`: No such file"),
        (
            "--weights scene-00000.png",
            "`scene-00000.png` is not a usable safetensors file: it does not start",
        ),
        ("--model digits --method foo", "unknown method `foo`; expected `lrp`, `clrp1`, "),
        ("--model digits --cmap rainbow", "unknown palette `rainbow`; expected `hot`, "),
        ("--model digits --precision f16", "[possible values: f32, f64, fast]"),
        ("--model digits --batch 0", "invalid value '0' for '--batch <N>'"),
        ("--model digits --bogus", "unexpected argument '--bogus' found"),
    ] {
        check(&place, &format!("{explain} {rest}"), expected);
    }
}

#[test]
fn devices_that_are_not_there_are_named() {
    let place = Place::with_scenes(1);
    let explain = "explain scene-00000.png --model digits";
    check(&place, &format!("{explain} --device nosuchgpu"), "no GPU named `nosuchgpu` was found");
    check(&place, &format!("{explain} --device nosuchgpu --precision f64"), "for the CPU only");
    check(&place, "demo --device nosuchgpu", "no GPU named `nosuchgpu` was found");
}

#[test]
fn bad_pictures_are_named() {
    let place = Place::with_scenes(1);
    let whole = std::fs::read(place.path("scene-00000.png")).expect("it is there");
    place.write("cut.png", &whole[..whole.len() / 2]);
    place.write("empty.png", b"");
    place.write("text.png", b"just some text, no picture at all");
    place.write("one.png", &png_of_size(1, 1));
    place.write("thin.png", &png_of_size(1, 500));
    place.write("huge.png", &png_of_size(20_000, 20_000));
    place.write("none.png", &png_of_size(0, 7));
    for (image, expected) in [
        ("missing.png", "cannot read `missing.png`"),
        (".", "cannot read `.`"),
        ("cut.png", "`cut.png` is not a usable picture"),
        ("empty.png", "`empty.png` is not a usable picture: the file is empty"),
        ("text.png", "`text.png` is not a usable picture"),
        ("one.png", "`one.png` has 1x1 pixels, expected 2 to"),
        ("thin.png", "`thin.png` has 1x500 pixels, expected 2 to"),
        ("huge.png", "`huge.png` has 20000x20000 pixels, expected"),
        ("none.png", "`none.png` is not a usable picture"),
        ("missing.npy", "cannot read `missing.npy`"),
    ] {
        let rest = format!("{image} --model digits --device cpu");
        check(&place, &format!("explain {rest} --sheet --npy --overlay -o new/maps"), expected);
        check(&place, &format!("classify {rest} --npy logits.npy"), expected);
    }
    // Most is found before the work begins.
    for (image, expected) in [("missing.png", "cannot read"), ("text.png", "is not a usable")] {
        let rest = format!("scene-00000.png {image} --model digits --device cpu --batch 1");
        check(&place, &format!("explain {rest}"), &format!("`{image}`"));
        check(&place, &format!("switches {rest} -o new/maps"), expected);
    }
}

#[test]
fn what_was_written_before_a_failure_is_taken_back() {
    let place = Place::with_scenes(2);
    let whole = std::fs::read(place.path("scene-00001.png")).expect("it is there");
    place.write("scene-00001.png", &whole[..whole.len() / 2]);
    let before = place.files();
    for output in [".", "new/maps"] {
        for command in ["explain --sheet --npy --overlay", "switches"] {
            let run = place.run(words(&format!(
                "{command} scene-00000.png scene-00001.png --model digits --device cpu --batch 1 \
                 -o {output}"
            )));
            assert_eq!(run.code, 1);
            assert!(run.err.contains("`scene-00001.png` is not a usable picture"), "{}", run.err);
            assert_eq!(place.files(), before);
        }
    }
    // A folder in the way of the last file.
    std::fs::create_dir(place.path("scene-00000_sheet.png")).expect("it can be made");
    let line = "explain scene-00000.png --model digits --device cpu --sheet";
    check(&place, line, "cannot write `./scene-00000_sheet.png`: is a directory");
}

#[test]
fn bad_arrays_are_named() {
    let place = Place::new();
    let write = |name: &str, shape: &[usize], values: NpyValues| {
        let array = Npy::new(shape.to_vec(), values).expect("it fits");
        array.write(place.path(name)).expect("it can be written");
    };
    let count = 3 * 64 * 64;
    let with = |value: f32| {
        let mut values = vec![0.5; count];
        values[7] = value;
        NpyValues::F32(values)
    };
    write("nan.npy", &[3, 64, 64], with(f32::NAN));
    write("inf.npy", &[1, 3, 64, 64], with(f32::INFINITY));
    write("double.npy", &[3, 64, 64], NpyValues::F64(vec![0.5; count]));
    write("bytes.npy", &[3, 64, 64], NpyValues::U8(vec![5; count]));
    write("last.npy", &[64, 64, 3], with(0.5));
    write("two.npy", &[2, 3, 8, 8], NpyValues::F32(vec![0.5; 2 * 3 * 64]));
    write("flat.npy", &[count], with(0.5));
    write("none.npy", &[3, 0, 5], NpyValues::F32(Vec::new()));
    write("large.npy", &[3, 128, 128], NpyValues::F32(vec![0.5; 3 * 128 * 128]));
    write("tiny.npy", &[3, 1, 1], NpyValues::F32(vec![0.5; 3]));
    let whole = std::fs::read(place.path("double.npy")).expect("it is there");
    place.write("cut.npy", &whole[..whole.len() / 2]);
    place.write("text.npy", b"no array");
    for (image, expected) in [
        ("nan.npy", "`nan.npy` holds NaN at element 7"),
        ("inf.npy", "`inf.npy` holds inf at element 7"),
        ("double.npy", "type is `<f8`, expected `<f4`"),
        ("bytes.npy", "type is `|u1`, expected `<f4`"),
        ("last.npy", "shape is [64, 64, 3], expected [3, H, W] or [1, 3, H, W]"),
        ("two.npy", "shape is [2, 3, 8, 8]"),
        ("flat.npy", "shape is [12288]"),
        ("none.npy", "shape is [3, 0, 5]"),
        ("large.npy", "`large.npy` has shape [3, 128, 128], the network takes [3, 64, 64]"),
        ("tiny.npy", "`tiny.npy`: layer `"),
        ("cut.npy", "`cut.npy` is not a usable .npy array"),
        ("text.npy", "`text.npy` is not a usable .npy array"),
    ] {
        check(&place, &format!("explain {image} --model digits --device cpu"), expected);
    }
}

#[test]
fn bad_weights_are_named() {
    let place = Place::with_scenes(1);
    let mut header = b"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}".to_vec();
    let mut foreign = (header.len() as u64).to_le_bytes().to_vec();
    foreign.append(&mut header);
    foreign.extend([0; 4]);
    place.write("foreign.safetensors", &foreign);
    let misfit = b"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}";
    let length = (misfit.len() as u64).to_le_bytes();
    place.write("misfit.safetensors", &[&length[..], misfit, &[0; 4]].concat());
    place.write("cut.safetensors", &foreign[..foreign.len() - 2]);
    place.write("empty.safetensors", b"");
    place.write("text.safetensors", b"this is no weight file, is it?");
    for (weights, expected) in [
        ("foreign", "`foreign.safetensors`: weight `features.0.weight` is missing"),
        (
            "cut",
            "`cut.safetensors` is not a usable safetensors file: the file is truncated: \
                 expected 66 bytes, found 64",
        ),
        ("misfit", "tensor `a` does not take as many bytes as its shape and type need"),
        ("empty", "`empty.safetensors` is not a usable safetensors file"),
        ("text", "`text.safetensors` is not a usable safetensors file"),
        ("missing", "cannot read `missing.safetensors`"),
    ] {
        for command in ["explain scene-00000.png", "classify scene-00000.png", "inspect"] {
            let rest = format!("--model digits --device cpu --weights {weights}.safetensors");
            check(&place, &format!("{command} {rest}"), expected);
        }
    }
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let place = Place::with_scenes(1);
    place.write("file", b"in the way");
    let explain = "explain scene-00000.png --model digits --device cpu";
    check(&place, &format!("{explain} -o file"), "cannot create `file`");
    check(&place, &format!("{explain} -o file/below"), "cannot create `file/below`");
    check(&place, "demo --device cpu -o file", "cannot create `file`");
    let scenes = "scenes --split test --digits 1 --count 1";
    check(&place, &format!("{scenes} -o file"), "cannot create `file`");
    let classify = "classify scene-00000.png --model digits --device cpu";
    check(&place, &format!("{classify} --npy no/a.npy"), "cannot write `no/a.npy`");
    check(&place, &format!("{classify} --npy ."), "cannot write `");
    check(&place, &format!("{scenes} --npy no/a.npy --labels a.csv"), "cannot write `no/a.npy`");
    check(&place, &format!("{scenes} --npy a.npy --labels no/a.csv"), "cannot write `no/a.csv`");
}

#[test]
fn pictures_of_one_name_do_not_overwrite_each_other() {
    let place = Place::with_scenes(1);
    std::fs::create_dir(place.path("b")).expect("it can be made");
    std::fs::copy(place.path("scene-00000.png"), place.path("b/scene-00000.png")).expect("a copy");
    let rest = "--model digits --device cpu";
    let line = format!("explain scene-00000.png b/scene-00000.png {rest}");
    check(&place, &line, "`scene-00000.png` and `b/scene-00000.png` would be written to the same");

    let copy = place.path("scene-00000_lrp_3.png");
    std::fs::copy(place.path("scene-00000.png"), copy).expect("a copy");
    let line =
        format!("explain scene-00000.png scene-00000_lrp_3.png {rest} --target 3 --method lrp");
    check(&place, &line, "scene-00000_lrp_3.png` is an input and would be written over");
}

#[test]
fn inputs_and_other_outputs_are_not_written_over() {
    let place = Place::with_scenes(1);
    std::fs::copy(place.path("scene-00000.png"), place.path("copy.npy")).expect("a copy");
    let classify = "classify copy.npy --model digits --device cpu --npy ./copy.npy";
    check(&place, classify, "`./copy.npy` is an input and would be written over");
    let scenes = "scenes --split test --digits 1 --count 1 --npy new --labels ./new";
    check(&place, scenes, "`new` is given both for --npy and --labels");
}

/// A PNG file whose header promises a size, and whose pixels are missing.
fn png_of_size(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [&header[..], b"IDAT", b"IEND"] {
        png.extend((chunk.len() as u32 - 4).to_be_bytes());
        png.extend(chunk);
        png.extend(crc(chunk).to_be_bytes());
    }
    png
}

/// The checksum of PNG's chunks, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_file_of_weights() {
    let place = Place::with_scenes(1);
    for name in ["pipe", "pipe.pth", "pipe.onnx"] {
        let made = std::process::Command::new("mkfifo").arg(place.path(name)).status();
        assert!(made.expect("every Unix has it").success());
        let expected = format!("cannot read `{name}`: expected a regular file, found a pipe");
        let explain = format!("explain scene-00000.png --weights {name}");
        let beside = if name.ends_with("onnx") { "" } else { " --model digits" };
        check(&place, &format!("{explain}{beside}"), &expected);
        check(&place, &format!("convert {name} out.safetensors"), &expected);
    }
}
