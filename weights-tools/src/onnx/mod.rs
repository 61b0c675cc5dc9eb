//! Imports ONNX models of convolutional networks as clrp's own graphs.
//!
//! The operators that PyTorch's exporters write for image classifiers are known, as are most that
//! others write; what is computed from shapes is computed here. Any other operator, and any use of
//! one that clrp has no layer for, is an error that names the node. Only what the scores need is
//! imported. Numbers that lie aligned in a mapped file, or in a data file beside it, stay there.
//!
//! Layers have the names of torch's modules where the file tells them: by the names of weights
//! (`features.0.weight` is of `features.0`) or of nodes (`/layer1/layer1.0/Add` is
//! `layer1.0.add`).
//!
//! A file from a stranger costs no more than time and memory in proportion to its size: its
//! messages are checked before they are parsed (some 100 bytes for each of the file at most), and
//! copies, computed constants and layers together count for at most 16 times its bytes and a
//! little more.

mod constant;
mod error;
mod external;
mod fold;
mod import;
mod input;
mod metadata;
mod names;
mod node;
mod operators;
mod parse;
mod plan;
mod tensor;
mod value;
mod wire;

use std::path::{Path, PathBuf};

use clrp::file::MappedFile;
use clrp::graph::{Graph, Network, Op, Weights};
use rten_onnx::onnx::ModelProto;

pub use self::error::{Error, Result};
pub use self::input::{Dimension, Input};
pub use self::metadata::Hints;

use self::constant::Storage;
use self::external::DataFiles;
use self::import::{BASE, EXPANSION, Importer};
use self::plan::Plan;
use self::value::{Activation, Form, Value};
use crate::foreign::shown;

/// What the file leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Rows and columns of the picture, for a model that takes any.
    pub input: Option<[usize; 2]>,
    /// The output whose scores are explained; the first one if none is named.
    pub output: Option<String>,
}

/// A model as clrp runs it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The layers and their weights.
    pub network: Network,
    /// What the file says of the picture.
    pub input: Input,
    /// The name of the scores.
    pub output: String,
    /// How many scores there are.
    pub class_count: usize,
    /// The classes' names, if the file has one for each.
    pub classes: Option<Vec<String>>,
    /// What the file says of how pictures become its input.
    pub hints: Hints,
    /// The files beside the model that hold its numbers.
    pub data_files: Vec<PathBuf>,
    /// What is not as the file has it, one sentence each.
    pub notes: Vec<String>,
}

/// Maps a model into memory and imports it, with the data files in its folder.
///
/// The files must not change while the network is in use.
///
/// # Errors
/// [`enum@Error`], naming the file, the node or tensor, and what is not as it should be.
pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Imported> {
    let path = path.as_ref();
    let unreadable = |source| Error::File { path: path.to_path_buf(), source };
    let map = MappedFile::open(path).map_err(unreadable)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    import(&path.display().to_string(), &map, Some(&map), Some(folder), options)
}

/// As [`read`], from a file in memory, which is copied as far as it holds weights. `source` names
/// it in errors; data files are looked for in `folder`.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(
    source: &str,
    bytes: &[u8],
    folder: Option<&Path>,
    options: &Options,
) -> Result<Imported> {
    import(source, bytes, None, folder, options)
}

fn import(
    file: &str,
    bytes: &[u8],
    map: Option<&MappedFile>,
    folder: Option<&Path>,
    options: &Options,
) -> Result<Imported> {
    let wrong = |what: &str, expected: &str, found: String| Error::Model {
        file: file.to_owned(),
        what: what.to_owned(),
        expected: expected.to_owned(),
        found,
    };
    let model = parse::model(file, bytes)?;
    let graph = model.graph.as_ref();
    let graph = graph.filter(|graph| !graph.node.is_empty()).ok_or_else(|| {
        wrong("it", "an ONNX model with a graph of nodes", format!("none in {} bytes", bytes.len()))
    })?;
    let opset = opset(&model)
        .ok_or_else(|| wrong("the model", "a version of ONNX's operators", "none".to_owned()))?;
    let plan = Plan::new(file, graph, options.output.as_deref())?;
    let &[info] = &plan.inputs[..] else {
        let names = plan.inputs.iter().take(8).map(|input| input.name.as_deref());
        let names: Vec<String> = names.map(|name| shown(name.unwrap_or_default())).collect();
        let found = format!("{} ({})", plan.inputs.len(), names.join(", "));
        return Err(wrong("the graph", "one input that the scores need", found));
    };
    let input = Input::new(file, info)?;
    let name = info.name.as_deref().unwrap_or_default();
    let picture = input.picture(file, options.input, comes_channels_last(&plan, name))?;

    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let room = bytes.len().saturating_mul(EXPANSION).saturating_add(BASE);
    let storage = Storage { bytes, map, room };
    let layers = Graph::new(stem.unwrap_or_default(), picture.shape);
    let first = Activation { layer: layers.input(), dims: picture.dims, form: picture.form };
    let batch = first.batch();
    let files = DataFiles::new(folder);
    let mut importer = Importer::new(file, &plan, opset, layers, storage, files);
    importer.define(name, Value::Activation(first));
    if plan.outputs.len() > 1 {
        let text =
            format!("of {} outputs, `{}` is explained", plan.outputs.len(), shown(plan.output));
        importer.notes.push(text);
    }
    if batch > 1 {
        importer.notes.push(format!("the file's batch of {batch} is not kept: any number will do"));
    }
    for &number in &plan.nodes {
        if !importer.is_absorbed(number) {
            let node = importer.node(number);
            operators::import(&mut importer, node)?;
        }
    }
    let class_count = scores(&mut importer)?;
    let mut notes = std::mem::take(&mut importer.notes);
    let mut classes = metadata::classes(&model.metadata_props);
    if let Some(names) = classes.take_if(|names| names.len() != class_count) {
        notes.push(format!("the file names {} classes and has {class_count}", names.len()));
    }
    let Importer { graph, weights, files, .. } = importer;
    Ok(Imported {
        network: Weights::from_weights(file, weights).bind(graph)?,
        input,
        output: plan.output.to_owned(),
        class_count,
        classes,
        hints: metadata::hints(&model.metadata_props),
        data_files: files.paths(),
        notes,
    })
}

/// Whether all that is done with the picture is to bring its channels to the front: TensorFlow
/// has them last.
fn comes_channels_last(plan: &Plan<'_>, input: &str) -> bool {
    let takers = plan.takers(input);
    !takers.is_empty()
        && takers.iter().all(|&taker| {
            let node = plan.node(taker);
            let order = node.attribute.iter().find(|found| found.name.as_deref() == Some("perm"));
            let to_front = order.is_some_and(|order| order.ints == [0, 3, 1, 2]);
            node.op_type.as_deref() == Some("Transpose") && to_front
        })
}

/// The version of the default domain's operators.
fn opset(model: &ModelProto) -> Option<i64> {
    let default = |domain: Option<&str>| matches!(domain.unwrap_or_default(), "" | "ai.onnx");
    model.opset_import.iter().find(|set| default(set.domain.as_deref()))?.version
}

/// Sees to it that the output is a score for each class, computed by the last layer; how many
/// there are.
fn scores(importer: &mut Importer<'_>) -> Result<usize> {
    let plan = importer.plan;
    let wrong = |importer: &Importer<'_>, found: String| Error::Model {
        file: importer.file.to_owned(),
        what: format!("output `{}`", shown(plan.output)),
        expected: "a score for each class".to_owned(),
        found,
    };
    let last = match importer.known(plan.output)? {
        Some(Value::Activation(activation)) => activation,
        Some(Value::Constant(_)) => return Err(wrong(importer, "a constant".to_owned())),
        None => return Err(wrong(importer, "no node that computes it".to_owned())),
    };
    match last.form {
        Form::Plain => {}
        Form::Probabilities(node) => {
            importer.notes.push(format!(
                "the trailing {node} is left out: its input, the logits, is explained"
            ));
        }
        other @ (Form::ChannelsLast
        | Form::Padded(_)
        | Form::Grouped(_)
        | Form::Shuffled(_)
        | Form::Stacked(..)
        | Form::Response(_)) => return Err(wrong(importer, other.described())),
    }
    let shape = importer.graph.node(last.layer).shape;
    if !shape.is_vector() || last.layer == importer.graph.input() {
        return Err(wrong(importer, format!("{shape}")));
    }
    if last.layer != importer.graph.output() {
        let name = importer.names.unique("output".to_owned());
        importer.graph.push(name, Op::Identity, &[last.layer])?;
    }
    Ok(shape.channels)
}
