//! Why something could not be loaded, planned or computed.

use std::path::PathBuf;

/// A result with the library's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be loaded, planned or computed.
///
/// Every message is one line and names the thing, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is not in a list of known names.
    #[error("unknown {kind} `{name}`{}{}", named("nearest:", .suggestions), named("expected", .expected))]
    UnknownName {
        /// What the name should have been, as `model` or `method`.
        kind: &'static str,
        /// The name as given.
        name: String,
        /// The nearest known names, best first.
        suggestions: Vec<String>,
        /// All known names, where none is near and they are few.
        expected: Vec<String>,
    },

    /// A layer's input does not suit the layer.
    #[error("layer `{layer}`: {op} cannot take {found}, it needs {expected}")]
    LayerInput {
        /// The layer's name.
        layer: String,
        /// The layer's kind, in torch's words.
        op: &'static str,
        /// What the layer needs.
        expected: String,
        /// What it got.
        found: String,
    },

    /// A weight that the network needs is not in the file.
    #[error("`{file}`: weight `{name}` is missing, `{model}` needs it with shape {expected:?}")]
    MissingWeight {
        /// Where the weights come from.
        file: String,
        /// The network.
        model: String,
        /// The weight's state-dict key.
        name: String,
        /// The shape the network needs.
        expected: Vec<usize>,
    },

    /// A weight in the file that the network does not have.
    #[error("`{file}`: weight `{name}` is superfluous, `{model}` has no such weight")]
    SuperfluousWeight {
        /// Where the weights come from.
        file: String,
        /// The network.
        model: String,
        /// The weight's state-dict key.
        name: String,
    },

    /// A weight of the wrong shape.
    #[error("`{file}`: weight `{name}` has shape {found:?}, `{model}` needs {expected:?}")]
    WeightShape {
        /// Where the weights come from.
        file: String,
        /// The network.
        model: String,
        /// The weight's state-dict key.
        name: String,
        /// The shape the network needs.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },

    /// A weight of a number type that is not supported.
    #[error("`{file}`: weight `{name}` has type {found}, expected F32, F16, BF16 or F64")]
    WeightType {
        /// Where the weights come from.
        file: String,
        /// The weight's state-dict key.
        name: String,
        /// The type in the file.
        found: String,
    },

    /// A weight that is not a number or infinite.
    #[error("`{file}`: weight `{name}` holds {found} at element {index}, expected finite numbers")]
    WeightValue {
        /// Where the weights come from.
        file: String,
        /// The weight's state-dict key.
        name: String,
        /// The flat index of the first such element.
        index: usize,
        /// The value.
        found: f32,
    },

    /// A variance of a batch normalisation below 0.
    #[error("`{file}`: weight `{name}` holds {found} at element {index}, expected 0 or more")]
    NegativeVariance {
        /// Where the weights come from.
        file: String,
        /// The weight's state-dict key.
        name: String,
        /// The flat index of the first such element.
        index: usize,
        /// The value.
        found: f32,
    },

    /// A file that could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    File {
        /// `read`, `write`, `create`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file whose content is not what it should be.
    #[error("`{}` is not a usable {expected}: {found}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should have been.
        expected: &'static str,
        /// What is wrong.
        found: String,
    },

    /// A picture with too few or too many pixels.
    #[error("`{name}` has {width}x{height} pixels, expected {expected}")]
    PictureSize {
        /// The picture.
        name: String,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// What is accepted.
        expected: String,
    },

    /// An input that does not suit the network.
    #[error("`{name}` has shape {found:?}, the network takes {expected:?}")]
    InputShape {
        /// The input.
        name: String,
        /// The shape the network takes.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },

    /// A value whose shape differs from that of another that it goes with.
    #[error("{name} has shape {found:?}, expected {expected:?} as {of}")]
    ShapeMismatch {
        /// The value.
        name: &'static str,
        /// The other.
        of: &'static str,
        /// The shape of the other.
        expected: Vec<usize>,
        /// The shape of the value.
        found: Vec<usize>,
    },

    /// An input or a map that holds a value that is not finite.
    #[error("`{name}` holds {found} at element {index}, expected finite numbers")]
    InputValue {
        /// The input or the map.
        name: String,
        /// The flat index of the first such element.
        index: usize,
        /// The value.
        found: f32,
    },

    /// What is wrong with one of several pictures, or with what is asked of it.
    #[error("picture {picture}: {source}")]
    OfPicture {
        /// Its number, from 0.
        picture: usize,
        /// What is wrong.
        source: Box<Error>,
    },

    /// A target that the network does not have.
    #[error("target {target} is out of range, `{model}` has {classes} classes")]
    TargetOutOfRange {
        /// The target as given.
        target: usize,
        /// The network.
        model: String,
        /// How many classes the network has.
        classes: usize,
    },

    /// A rule that does not apply to a layer.
    #[error("rule `{rule}` does not apply to layer `{layer}` ({op})")]
    RuleMismatch {
        /// The rule.
        rule: String,
        /// The layer's name.
        layer: String,
        /// The layer's kind, or what keeps the rule from it.
        op: &'static str,
    },

    /// Something that exists in the field but not (yet) here, or not for this network.
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// The thing.
        what: String,
        /// What stands in the way.
        why: String,
    },

    /// A run that needs more numbers in one place than kernels can count.
    #[error("{what} has {found} numbers, expected at most {most}")]
    TooLarge {
        /// The value, as `layer `features.0` for 8 pictures`.
        what: String,
        /// How many numbers it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },

    /// A setting outside its range.
    #[error("{what} is {found}, expected {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What was given.
        found: String,
        /// What is accepted.
        expected: String,
    },

    /// No GPU that fits the request.
    #[error("no {wanted} was found; available: {available}")]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// The adapters there are.
        available: String,
    },

    /// The GPU cannot hold or run the work.
    #[error("`{adapter}` cannot {action}: needs {needed} bytes for {what}, {limit}")]
    DeviceMemory {
        /// The adapter's name.
        adapter: String,
        /// What was tried.
        action: &'static str,
        /// What the memory is for.
        what: String,
        /// How many bytes it takes.
        needed: u64,
        /// What the device offers.
        limit: String,
    },

    /// The caller ended the work.
    #[error("cancelled")]
    Cancelled,

    /// The GPU failed while working.
    #[error("`{adapter}` failed: {message}")]
    Device {
        /// The adapter's name.
        adapter: String,
        /// What the driver said.
        message: String,
    },
}

fn named(kind: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("; {kind} {}", names.join(", "))
}

/// That `name` has the shape of the other value, `of`; else an [`Error::ShapeMismatch`].
pub(crate) fn check_shape(
    (name, found): (&'static str, &[usize]),
    (of, expected): (&'static str, &[usize]),
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let (expected, found) = (expected.to_vec(), found.to_vec());
    Err(Error::ShapeMismatch { name, of, expected, found })
}

/// Up to so many known names fit a message.
const MOST_NAMES: usize = 24;

impl Error {
    /// An [`Error::UnknownName`] with the known names that look most like `name`.
    pub fn unknown<'a>(
        kind: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let wanted = name.trim().to_lowercase();
        let known: Vec<&str> = known.into_iter().collect();
        // Nothing is near, or in, every name.
        let candidates = if wanted.is_empty() { &[] } else { &known[..] };
        let mut scored: Vec<(f64, &str)> = candidates
            .iter()
            .map(|&candidate| {
                let lower = candidate.to_lowercase();
                let contains = f64::from(u8::from(lower.contains(&wanted)));
                (strsim::jaro_winkler(&lower, &wanted) + contains, candidate)
            })
            .filter(|(score, _)| *score > 0.7)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let best = scored.first().map_or(0.0, |(score, _)| *score);
        let near = scored.iter().take_while(|(score, _)| best - score < 0.15).take(3);
        let suggestions: Vec<String> = near.map(|(_, name)| (*name).to_owned()).collect();
        let mut expected = Vec::new();
        if suggestions.is_empty() && known.len() <= MOST_NAMES {
            expected = known.into_iter().map(str::to_owned).collect();
        }
        Error::UnknownName { kind, name: name.to_owned(), suggestions, expected }
    }
}
