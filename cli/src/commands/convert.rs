//! `clrp convert`: weights of other formats as safetensors.

use std::path::PathBuf;

use clap::Args;
use clrp::graph::Weights;
use clrp::weight::Weight;
use clrp_weights::convert::{Summary, convert};

use crate::console::{print, say};
use crate::failure::Result;
use crate::folder::spare;
use crate::network::open_any;
use crate::options::size;
use crate::table::{Table, thousands};

const EXAMPLES: &str = "\
Examples:
  clrp convert vgg16-397923af.pth vgg16.safetensors --f16
  clrp convert mine.onnx mine.safetensors

Prints the tensors, and the file's bytes and SHA-256. With --f16, matrices and filters get 16 bits;
biases and batch norm keep their type.";

/// Arguments of `clrp convert`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Convert {
    /// A PyTorch checkpoint (.pth), an ONNX file or safetensors
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// The safetensors file
    #[arg(value_name = "OUT")]
    output: PathBuf,

    /// ONNX: the size of the picture, for a file that takes any; rows and columns, or one number
    /// for both
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<[u32; 2]>,

    /// Write matrices and filters as 16-bit numbers
    #[arg(long)]
    f16: bool,
}

impl Convert {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        spare(&self.output, [&self.input])?;
        let (weights, data_files) = open_any(&self.input, self.size)?;
        spare(&self.output, &data_files)?;
        if let Some(note) = left_out(&weights) {
            say("note", &note);
        }
        let not_finite =
            |weight: &Weight| Some((weight.name().to_owned(), weight.first_not_finite()?));
        if let Some((name, (index, found))) = weights.iter().find_map(not_finite) {
            let line = format!(
                "weight `{name}` holds {found} at element {index}; no network runs with such a number"
            );
            say("warning", &line);
        }
        let Summary { tensors, bytes, sha256 } = convert(&weights, &self.output, self.f16)?;
        let mut table = Table::new(["tensor", "type", "shape"]);
        for tensor in &tensors {
            let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
            table.row([tensor.name.clone(), tensor.dtype.to_owned(), shape.join("x")]);
        }
        let path = self.output.display();
        let (count, bytes) = (thousands(tensors.len()), thousands(bytes));
        print(format!("{table}\n{path}: {count} tensors, {bytes} bytes, SHA-256 {sha256}\n"))
    }
}

/// What is said of tensors whose type no weight can have, if there are any.
fn left_out(weights: &Weights) -> Option<String> {
    const MOST: usize = 3;
    let mut named = weights.others().map(|(name, dtype)| format!("`{name}` ({dtype})"));
    let names: Vec<String> = named.by_ref().take(MOST).collect();
    let (shown, more) = (names.join(", "), named.count());
    match (names.len(), more) {
        (0, _) => None,
        (1, 0) => Some(format!("a tensor that is no weight is left out: {shown}")),
        (count, 0) => Some(format!("{count} tensors that are no weights are left out: {shown}")),
        (count, more) => Some(format!(
            "{} tensors that are no weights are left out: {shown} and {more} more",
            count + more
        )),
    }
}
