//! `clrp models`: the known networks.

use clap::Args;
use clrp::graph::Graph;
use clrp::models::{MODELS, Model};
use serde::Serialize;

use crate::console::{print, print_json};
use crate::failure::Result;
use crate::table::{Table, thousands};

const EXAMPLES: &str = "\
Examples:
  clrp models
  clrp inspect --model vgg16

JSON (--json), one object:
  models  name, input [3, H, W], parameters, multiply_adds (one forward pass), classes (of the
          published weights), bundled (whether --weights can be left out)";

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
    multiply_adds: usize,
    classes: usize,
    bundled: bool,
}

impl Entry {
    fn of(model: &Model) -> Result<Self> {
        let shape = model.input_shape();
        let graph = model.graph(shape, model.classes())?;
        Ok(Self {
            name: model.name,
            input: [shape.channels, shape.height, shape.width],
            parameters: parameters(&graph),
            multiply_adds: graph.multiply_adds(),
            classes: model.classes(),
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
        let headings = ["name", "input", ">parameters", ">multiply-adds", ">classes", "weights"];
        let mut table = Table::new(headings);
        for entry in models {
            table.row([
                entry.name.to_owned(),
                entry.input.map(|length| length.to_string()).join("x"),
                thousands(entry.parameters),
                thousands(entry.multiply_adds),
                entry.classes.to_string(),
                if entry.bundled { "bundled" } else { "file" }.to_owned(),
            ]);
        }
        print(table)
    }
}

/// Trained numbers, as torch counts them: without batch norm's running statistics.
pub(crate) fn parameters(graph: &Graph) -> usize {
    let trained = |name: &str| !name.ends_with(".running_mean") && !name.ends_with(".running_var");
    let specs = graph.weight_specs();
    specs
        .iter()
        .filter(|spec| trained(&spec.name))
        .map(|spec| spec.shape.iter().product::<usize>())
        .sum()
}
