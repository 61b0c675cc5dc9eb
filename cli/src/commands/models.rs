//! `clrp models`: the known networks.

use clap::Args;
use clrp::models::{MODELS, Model};
use clrp_weights::fetch::PUBLISHED;
use serde::Serialize;

use crate::console::{print, print_json};
use crate::failure::Result;
use crate::table::{Table, thousands};

const EXAMPLES: &str = "\
Examples:
  clrp models
  clrp inspect --model vgg16

JSON (--json), one object:
  models  name, input [3, H, W], parameters, flops (of one forward pass: a multiply-add counts
          two), multiply_adds (half of them), classes (of the published weights), weights (the
          published file; null: none), bundled (whether they come with clrp)";

/// Arguments of `clrp models`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Models {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listing {
    models: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    input: [usize; 3],
    parameters: usize,
    flops: usize,
    multiply_adds: usize,
    classes: usize,
    weights: Option<&'static str>,
    bundled: bool,
}

impl Entry {
    fn of(model: &Model) -> Result<Self> {
        let shape = model.input_shape();
        let graph = model.graph(shape, model.classes())?;
        let published = PUBLISHED.iter().find(|published| published.model == model.name);
        Ok(Self {
            name: model.name,
            input: [shape.channels, shape.height, shape.width],
            parameters: graph.parameters(),
            flops: 2 * graph.multiply_adds(),
            multiply_adds: graph.multiply_adds(),
            classes: model.classes(),
            weights: published.map(|published| published.file),
            bundled: model.bundled().is_some(),
        })
    }
}

impl Models {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let models = MODELS.iter().map(Entry::of).collect::<Result<Vec<_>>>()?;
        if self.json {
            return print_json(&Listing { models });
        }
        let headings = ["name", "input", ">parameters", ">FLOPs", ">classes", "weights"];
        let mut table = Table::new(headings);
        for entry in models {
            table.row([
                entry.name.to_owned(),
                entry.input.map(|length| length.to_string()).join("x"),
                thousands(entry.parameters),
                thousands(entry.flops),
                entry.classes.to_string(),
                match entry.weights {
                    Some(file) => file.to_owned(),
                    None if entry.bundled => "bundled".to_owned(),
                    None => String::new(),
                },
            ]);
        }
        print(format!("{table}\nFLOPs of one forward pass; a multiply-add counts two.\n"))
    }
}
