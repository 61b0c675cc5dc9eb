//! Every `clrp` line of the README runs, on made files of the names it uses.

use std::fs;
use std::path::Path;

use crate::support::{Place, weights_file, words};

/// A safetensors file with random weights for a network.
fn random_weights(model: &str) -> Vec<u8> {
    let mut state = 1_u32;
    weights_file(model, |gain| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        gain * (state as f32 / u32::MAX as f32 * 2.0 - 1.0)
    })
}

/// The lines of the README's shell blocks, without what follows `#` or `>`.
fn shell_lines() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("it is there");
    let blocks = readme.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or("").lines());
    let command = |line: &str| line.split(['#', '>']).next().unwrap_or("").trim().to_owned();
    lines.map(command).collect()
}

#[test]
fn every_clrp_line_of_the_readme_runs() {
    let place = Place::with_scenes(1);
    let picture = fs::read(place.path("scene-00000.png")).expect("it was written");
    place.write("both.png", &picture);
    place.write("photo.jpg", &picture);
    place.write("squeezenet1_1.safetensors", &random_weights("squeezenet1_1"));
    let mut run = 0;
    for line in shell_lines() {
        if let Some(arguments) = line.strip_prefix("clrp ") {
            place.good(words(arguments));
            run += 1;
        }
    }
    assert!(run >= 8, "only {run} lines were found");
}
