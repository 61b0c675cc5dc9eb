//! Every `clrp` line of the README runs, on made files of the names it uses.

use std::fs;
use std::path::Path;

use clrp::graph::Weights;

use crate::checkpoint::legacy;
use crate::drawn::published_squeezenet;
use crate::server::Server;
use crate::support::{Place, words};

fn readme() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    fs::read_to_string(readme).expect("it is there")
}

/// The lines of the README's shell blocks, without what follows `#` or `>`.
fn shell_lines() -> Vec<String> {
    let readme = readme();
    let blocks = readme.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or("").lines());
    let command = |line: &str| line.split(['#', '>']).next().unwrap_or("").trim().to_owned();
    lines.map(command).collect()
}

/// The README's composite.
fn toml() -> String {
    let text = readme();
    let (_, rest) = text.split_once("```toml\n").expect("there is one");
    rest.split("```").next().unwrap_or_default().to_owned()
}

/// Experiments on the built-in scenes with few of them: two, and not thousands.
fn few_scenes(line: &str) -> String {
    if !line.contains("--dataset digits") {
        return line.to_owned();
    }
    let (before, rest) = line.split_once(" --count").unwrap_or((line, ""));
    let rest = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before} --count 2 {rest}")
}

#[test]
fn every_clrp_line_of_the_readme_runs() {
    let place = Place::with_scenes(1);
    let picture = fs::read(place.path("scene-00000.png")).expect("it was written");
    place.write("both.png", &picture);
    place.write("photo.jpg", &picture);
    let weights = published_squeezenet();
    let checkpoint = legacy(&Weights::from_bytes("drawn", &weights).expect("they are whole"));
    place.write("squeezenet1_1.safetensors", &weights);
    place.write("squeezenet1_1-b8a52dc0.pth", &checkpoint);
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weights-tools/tests/onnx");
    let onnx = fs::read(onnx.join("inverted_residuals.onnx")).expect("it is there");
    place.write("mine.onnx", &onnx);
    place.write("mine.toml", toml().as_bytes());
    let server = Server::start(&weights, &[]);
    let variables = [("CLRP_MIRROR", server.base()), ("CLRP_CACHE", "cache".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut run = 0;
    for line in shell_lines() {
        if let Some(arguments) = line.strip_prefix("clrp ") {
            let few = few_scenes(arguments);
            let arguments = words(&few).into_iter().map(|word| word.trim_matches('\''));
            let run_of_line = place.run_with(&variables, arguments);
            assert_eq!(run_of_line.code, 0, "{line}: {}", run_of_line.err);
            run += 1;
        }
    }
    assert!(run >= 30, "only {run} lines were found");
    assert_eq!(server.asked().len(), 1, "weights are fetched once");
}
