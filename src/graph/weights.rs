//! Named weights, from safetensors files or from memory, checked against a graph.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

use super::{Graph, Node, Op};
use crate::error::{Error, Result};
use crate::file::MappedFile;
use crate::weight::{Dtype, Weight};

/// A weight that a network needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightSpec {
    /// The state-dict key.
    pub name: String,
    /// Torch's shape.
    pub shape: Vec<usize>,
}

pub(super) fn specs_of(graph: &Graph, node: &Node) -> Vec<WeightSpec> {
    let spec = |suffix: &str, shape: &[usize]| WeightSpec {
        name: format!("{}.{suffix}", node.name),
        shape: shape.to_vec(),
    };
    let input = || graph.node(node.inputs[0]).shape;
    let with_bias = |weight: WeightSpec, outputs: usize, bias: bool| {
        let mut specs = vec![weight];
        if bias {
            specs.push(spec("bias", &[outputs]));
        }
        specs
    };
    match node.op {
        Op::Conv2d(conv) => {
            let [height, width] = conv.kernel;
            let shape = [conv.out_channels, input().channels / conv.groups, height, width];
            with_bias(spec("weight", &shape), conv.out_channels, conv.bias)
        }
        Op::Linear(linear) => {
            let shape = [linear.out_features, input().channels];
            with_bias(spec("weight", &shape), linear.out_features, linear.bias)
        }
        Op::BatchNorm2d { .. } => ["weight", "bias", "running_mean", "running_var"]
            .iter()
            .map(|suffix| spec(suffix, &[node.shape.channels]))
            .collect(),
        Op::Input
        | Op::Relu
        | Op::Hardtanh { .. }
        | Op::MaxPool2d(_)
        | Op::AvgPool2d(_)
        | Op::AdaptiveAvgPool2d(_)
        | Op::ChannelAffine { .. }
        | Op::LocalResponseNorm(_)
        | Op::Add
        | Op::Concat
        | Op::Narrow { .. }
        | Op::ChannelShuffle { .. }
        | Op::ZeroPad2d(_)
        | Op::Flatten
        | Op::Dropout
        | Op::Identity => Vec::new(),
    }
}

/// What is wrong about the bytes of a file: mostly that some are missing.
fn describe(bytes: &[u8], error: &SafeTensorError) -> String {
    let Some((start, rest)) = bytes.split_first_chunk() else {
        return format!("it has {} bytes", bytes.len());
    };
    let (length, found) = (u64::from_le_bytes(*start), bytes.len() as u64);
    let header = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    if header.is_none() && rest.starts_with(b"{") {
        let end = length.saturating_add(8);
        return format!("the file is truncated: its header ends at {end}, the file at {found}");
    }
    if matches!(error, SafeTensorError::HeaderTooLarge) && !rest.starts_with(b"{") {
        return "it does not start as one".to_owned();
    }
    if matches!(error, SafeTensorError::MetadataIncompleteBuffer)
        && let Some(Ok(header)) = header.map(serde_json::from_slice::<Metadata>)
    {
        let expected = length.saturating_add(8).saturating_add(header.data_len() as u64);
        let what = if found < expected { "truncated" } else { "too long" };
        return format!("the file is {what}: expected {expected} bytes, found {found}");
    }
    if matches!(error, SafeTensorError::TensorInvalidInfo)
        && let Some(name) = header.and_then(first_misfit)
    {
        let name = tamed(&name);
        return format!("tensor `{name}` does not take as many bytes as its shape and type need");
    }
    tamed(&error.to_string())
}

/// A text with a name in it that is the file's: of any length, and with any characters.
fn tamed(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

/// The name of a tensor whose place is not as large as its shape and type need.
fn first_misfit(header: &[u8]) -> Option<String> {
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let fits = |info: &TensorInfo| {
        let numbers = info.shape.iter().try_fold(1_usize, |n, size| n.checked_mul(*size));
        let bits = numbers.and_then(|numbers| numbers.checked_mul(info.dtype.bitsize()));
        let (start, end) = info.data_offsets;
        let place = end.checked_sub(start).and_then(|bytes| bytes.checked_mul(8));
        bits.is_some() && bits == place
    };
    let misfits = |info: serde_json::Value| {
        serde_json::from_value(info).is_ok_and(|info: TensorInfo| !fits(&info))
    };
    header.into_iter().find_map(|(name, info)| misfits(info).then_some(name))
}

/// Weights by their state-dict keys, not yet tied to a network.
#[derive(Clone, Debug)]
pub struct Weights {
    source: String,
    found: BTreeMap<String, Found>,
}

/// A weight of a type that can be used, or the name of its type.
#[derive(Clone, Debug)]
enum Found {
    Usable(Weight),
    OfType(String),
}

impl Weights {
    /// Maps a safetensors file into memory; numbers of the type F32, F16, BF16 or F64 stay there.
    ///
    /// The file must not change while the weights are in use.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, [`Error::Malformed`] if it is not safetensors.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |source| Error::File { action: "read", path: path.to_path_buf(), source };
        let map = MappedFile::open(path).map_err(unreadable)?;
        let base = map.as_ptr() as usize;
        Self::deserialized(path, &map, |name, view, dtype| {
            let start = view.data().as_ptr() as usize - base;
            Weight::mapped(name, view.shape(), dtype, &map, start..start + view.data().len())
        })
    }

    /// As [`open`](Self::open), from a file in memory, which is copied as far as it holds weights.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not safetensors; `source` names it.
    pub fn from_bytes(source: &str, bytes: &[u8]) -> Result<Self> {
        Self::deserialized(Path::new(source), bytes, |name, view, dtype| {
            Some(Weight::from_le_bytes(name, view.shape(), dtype, view.data()))
        })
    }

    /// The tensors of a safetensors file; `weight` makes those that can be used.
    fn deserialized(
        path: &Path,
        bytes: &[u8],
        weight: impl Fn(&str, &TensorView<'_>, Dtype) -> Option<Weight>,
    ) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| Error::Malformed {
            path: path.to_path_buf(),
            expected: "safetensors file",
            found: describe(bytes, &error),
        })?;
        let found = tensors.iter().map(|(name, view)| {
            let usable = usable(&view).and_then(|dtype| weight(name, &view, dtype));
            let of_type = || Found::OfType(format!("{:?}", view.dtype()));
            (name.to_owned(), usable.map_or_else(of_type, Found::Usable))
        });
        Ok(Self { source: path.display().to_string(), found: found.collect() })
    }

    /// Weights made in memory; `source` names them in errors.
    pub fn from_weights(source: &str, weights: impl IntoIterator<Item = Weight>) -> Self {
        let found =
            weights.into_iter().map(|weight| (weight.name().to_owned(), Found::Usable(weight)));
        Self { source: source.to_owned(), found: found.collect() }
    }

    /// The same, and tensors whose type no weight can have, as `I64`, so that errors can name it.
    #[must_use]
    pub fn with_others(mut self, others: impl IntoIterator<Item = (String, String)>) -> Self {
        self.found.extend(others.into_iter().map(|(name, found)| (name, Found::OfType(found))));
        self
    }

    /// The same under other names, where `renamed` knows one that is not taken.
    #[must_use]
    pub fn renamed(mut self, renamed: impl Fn(&str) -> Option<String>) -> Self {
        let pairs = self.found.keys().filter_map(|old| Some((old.clone(), renamed(old)?)));
        for (old, new) in pairs.collect::<Vec<_>>() {
            if self.found.contains_key(&new) {
                continue;
            }
            let found = match self.found.remove(&old) {
                Some(Found::Usable(weight)) => Found::Usable(weight.renamed(&new)),
                Some(found @ Found::OfType(_)) => found,
                None => continue,
            };
            self.found.insert(new, found);
        }
        self
    }

    /// The same without those whose names start with one of `prefixes`.
    #[must_use]
    pub fn without(mut self, prefixes: &[&str]) -> Self {
        self.found.retain(|name, _| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
        self
    }

    /// All weights of a type that can be used, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Weight> {
        self.found.values().filter_map(|found| match found {
            Found::Usable(weight) => Some(weight),
            Found::OfType(_) => None,
        })
    }

    /// Names and types of the tensors whose type no weight can have.
    pub fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found.iter().filter_map(|(name, found)| match found {
            Found::Usable(_) => None,
            Found::OfType(found) => Some((name.as_str(), found.as_str())),
        })
    }

    /// Zeros for every weight of a graph: enough to see what would run, which does not depend on
    /// the numbers.
    pub fn zeros(graph: &Graph) -> Self {
        let zeros = graph.weight_specs().into_iter().map(|spec| {
            let values = vec![0.0; spec.shape.iter().product()];
            Weight::from_f32(spec.name, &spec.shape, values)
        });
        Self::from_weights("zeros", zeros)
    }

    /// Torch's shape of the weight of that name, if there is one.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        match self.found.get(name)? {
            Found::Usable(weight) => Some(weight.shape()),
            Found::OfType(_) => None,
        }
    }

    /// Where the weights come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Ties the weights to a graph: none may be missing, superfluous, of another shape or not
    /// finite. Torch's `num_batches_tracked` is passed over.
    ///
    /// # Errors
    /// [`Error::MissingWeight`], [`Error::SuperfluousWeight`], [`Error::WeightShape`],
    /// [`Error::WeightType`] or [`Error::WeightValue`], naming the first offender.
    pub fn bind(mut self, graph: Graph) -> Result<Network> {
        let mut weights = BTreeMap::new();
        for spec in graph.weight_specs() {
            let weight = match self.found.remove(&spec.name) {
                Some(Found::Usable(weight)) => weight,
                Some(Found::OfType(found)) => {
                    return Err(Error::WeightType { file: self.source, name: spec.name, found });
                }
                None => {
                    return Err(Error::MissingWeight {
                        file: self.source,
                        model: graph.name().to_owned(),
                        name: spec.name,
                        expected: spec.shape,
                    });
                }
            };
            if weight.shape() != spec.shape {
                return Err(Error::WeightShape {
                    file: self.source,
                    model: graph.name().to_owned(),
                    name: spec.name,
                    expected: spec.shape,
                    found: weight.shape().to_vec(),
                });
            }
            if let Some((index, found)) = weight.first_not_finite() {
                return Err(Error::WeightValue {
                    file: self.source,
                    name: spec.name,
                    index,
                    found,
                });
            }
            if spec.name.ends_with("running_var") {
                let negative = (0..weight.len()).find(|&i| weight.values().get::<f32>(i) < 0.0);
                if let Some(index) = negative {
                    let found = weight.values().get(index);
                    return Err(Error::NegativeVariance {
                        file: self.source,
                        name: spec.name,
                        index,
                        found,
                    });
                }
            }
            weights.insert(spec.name, weight);
        }
        let superfluous =
            self.found.into_keys().find(|name| !name.ends_with("num_batches_tracked"));
        if let Some(name) = superfluous {
            let model = graph.name().to_owned();
            return Err(Error::SuperfluousWeight { file: self.source, model, name });
        }
        Ok(Network { graph, weights })
    }
}

fn usable(view: &TensorView<'_>) -> Option<Dtype> {
    if view.dtype() == safetensors::Dtype::F32 {
        Some(Dtype::F32)
    } else if view.dtype() == safetensors::Dtype::F16 {
        Some(Dtype::F16)
    } else if view.dtype() == safetensors::Dtype::BF16 {
        Some(Dtype::BF16)
    } else if view.dtype() == safetensors::Dtype::F64 {
        Some(Dtype::F64)
    } else {
        None
    }
}

/// A graph with its weights. Cheap to clone: the numbers are shared.
#[derive(Clone, Debug)]
pub struct Network {
    graph: Graph,
    weights: BTreeMap<String, Weight>,
}

impl Network {
    /// The layers.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The weight `suffix` of the layer, as `weight`, `bias` or `running_mean`.
    pub fn weight(&self, layer: &str, suffix: &str) -> Option<&Weight> {
        self.weights.get(&format!("{layer}.{suffix}"))
    }

    /// All weights, in the order of their names.
    pub fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.weights.values()
    }

    /// Bytes of all weights as they are stored.
    pub fn weight_bytes(&self) -> usize {
        self.weights.values().map(|weight| weight.len() * weight.dtype().size()).sum()
    }

    /// The same weights on a graph that differs in its input's height and width only.
    ///
    /// # Errors
    /// [`Error::WeightShape`] or [`Error::MissingWeight`] if the graph needs other weights.
    pub fn with_graph(&self, graph: Graph) -> Result<Self> {
        let source = self.graph.name().to_owned();
        Weights::from_weights(&source, self.weights.values().cloned()).bind(graph)
    }
}
