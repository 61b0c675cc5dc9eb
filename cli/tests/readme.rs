//! Every `clrp` line of the README runs, on made files of the names it uses.

use std::fs;
use std::path::Path;

use clrp::models::Model;
use serde_json::json;

use crate::support::{Place, words};

/// A safetensors file with random weights for a network.
fn random_weights(model: &str) -> Vec<u8> {
    let model = Model::find(model).expect("a known network");
    let graph = model.graph(model.input_shape(), model.classes()).expect("it builds");
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    let mut state = 1_u32;
    for spec in graph.weight_specs() {
        let start = data.len();
        let gain = (6.0 / spec.shape[1..].iter().product::<usize>() as f32).sqrt();
        for _ in 0..spec.shape.iter().product() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = gain * (state as f32 / u32::MAX as f32 * 2.0 - 1.0);
            data.extend(value.to_le_bytes());
        }
        let entry =
            json!({"dtype": "F32", "shape": spec.shape, "data_offsets": [start, data.len()]});
        header.insert(spec.name, entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
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
