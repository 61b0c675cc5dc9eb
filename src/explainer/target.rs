//! What is explained: scores, neurons, and weighted sums of them.

use std::fmt;

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::methods::RowSums;
use crate::program::Targets;
use crate::tensor::Shape;

/// What is explained of each picture: numbers of one layer, the scores unless another is named.
///
/// ```
/// use clrp::{Goal, Target};
///
/// let best = Target::top(3);
/// let two = Target::classes([340, 386]);
/// let against = Target::goals([Goal::Against { class: 340, against: vec![386] }]);
/// let neuron = Target::goals([Goal::Channel(2431)]).at("classifier.0");
/// assert_eq!(neuron.layer(), Some("classifier.0"));
/// # let _ = (best, two, against);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    layer: Option<String>,
    choice: Choice,
}

/// Which numbers of a layer are explained.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The highest of each picture, best first.
    Top(usize),
    /// The mean of some of the highest of each picture, drawn at random (Gu et al. 2018, figure 1):
    /// one map for all of them.
    RandomOfTop {
        /// How many are drawn.
        count: usize,
        /// Of how many.
        of: usize,
        /// Where the drawing starts.
        seed: u64,
    },
    /// These, for every picture.
    Goals(Vec<Goal>),
    /// Each picture its own, as many for each.
    Each(Vec<Vec<Goal>>),
}

/// One number that is explained.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// The score of a class.
    Class(usize),
    /// The sum of a channel of a layer; where the layer is a vector, a neuron.
    Channel(usize),
    /// One neuron of a layer.
    Neuron {
        /// Its channel.
        channel: usize,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// The weighted mean of scores (or of the channels of a vector); weights need not sum to 1.
    Mixture(Vec<(usize, f32)>),
    /// The score of a class, set against those of others instead of all: in CLRP1 the others get
    /// the whole of the dual, gradients are those of the difference.
    Against {
        /// The class.
        class: usize,
        /// What it is set against, evenly.
        against: Vec<usize>,
    },
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Class(unit) | Goal::Channel(unit) => write!(f, "{unit}"),
            Goal::Neuron { channel, row, column } => write!(f, "{channel}@{row},{column}"),
            Goal::Mixture(parts) => {
                for (i, (class, weight)) in parts.iter().enumerate() {
                    write!(f, "{}{class}*{weight}", if i == 0 { "" } else { "+" })?;
                }
                Ok(())
            }
            Goal::Against { class, against } => {
                write!(f, "{class}")?;
                against.iter().try_for_each(|other| write!(f, "-{other}"))
            }
        }
    }
}

impl From<Goal> for Target {
    fn from(goal: Goal) -> Self {
        Self::goals([goal])
    }
}

impl From<Vec<Goal>> for Target {
    fn from(goals: Vec<Goal>) -> Self {
        Self::goals(goals)
    }
}

impl Target {
    fn of(choice: Choice) -> Self {
        Self { layer: None, choice }
    }

    /// The highest scores of each picture, best first.
    pub fn top(count: usize) -> Self {
        Self::of(Choice::Top(count))
    }

    /// The score of one class.
    pub fn class(class: usize) -> Self {
        Self::classes([class])
    }

    /// The scores of these classes.
    pub fn classes(classes: impl IntoIterator<Item = usize>) -> Self {
        Self::goals(classes.into_iter().map(Goal::Class))
    }

    /// The mean of some of the highest scores of each picture, drawn at random.
    pub fn random_of_top(count: usize, of: usize, seed: u64) -> Self {
        Self::of(Choice::RandomOfTop { count, of, seed })
    }

    /// These numbers.
    pub fn goals(goals: impl IntoIterator<Item = Goal>) -> Self {
        Self::of(Choice::Goals(goals.into_iter().collect()))
    }

    /// Each picture of a request its own numbers, as many and of the same kinds for each: the
    /// classes that the pictures show. What is wrong with those of one picture is an
    /// [`Error::OfPicture`].
    pub fn each(goals: impl IntoIterator<Item = Vec<Goal>>) -> Self {
        Self::of(Choice::Each(goals.into_iter().collect()))
    }

    /// The same of another layer than the scores.
    #[must_use]
    pub fn at(self, layer: impl Into<String>) -> Self {
        Self { layer: Some(layer.into()), ..self }
    }

    /// The layer, if it is not the scores.
    pub fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    /// Which numbers.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// How many numbers of each picture.
    pub fn count(&self) -> usize {
        match &self.choice {
            Choice::Top(count) => *count,
            Choice::RandomOfTop { .. } => 1,
            Choice::Goals(goals) => goals.len(),
            Choice::Each(lists) => lists.first().map_or(0, Vec::len),
        }
    }

    /// The node of the layer.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the nearest names; [`Error::Setting`] for the picture.
    pub(super) fn node(&self, graph: &Graph) -> Result<NodeId> {
        match &self.layer {
            None => Ok(graph.output()),
            Some(name) => find_layer(graph, name),
        }
    }

    /// Whether the goals are ones that the layer has, and suit so many pictures.
    pub(super) fn check(&self, graph: &Graph, pictures: usize) -> Result<()> {
        let node = graph.node(self.node(graph)?);
        let units = node.shape.len();
        let number = |found: usize, most: usize| {
            let (found, expected) = (found.to_string(), format!("1 to {most}"));
            Error::Setting { what: "number of targets", found, expected }
        };
        match &self.choice {
            Choice::Top(count) if !(1..=units).contains(count) => Err(number(*count, units)),
            Choice::RandomOfTop { .. } if !node.shape.is_vector() => Err(Error::Setting {
                what: "target",
                found: "some of the best at random".to_owned(),
                expected: "a channel or a neuron where the layer has positions".to_owned(),
            }),
            Choice::RandomOfTop { of, .. } if !(1..=units).contains(of) => {
                let (found, expected) = (of.to_string(), format!("1 to {units}"));
                Err(Error::Setting { what: "number of top targets to draw from", found, expected })
            }
            Choice::RandomOfTop { count, of, .. } if !(1..=*of).contains(count) => {
                Err(number(*count, *of))
            }
            Choice::Each(lists) if lists.len() != pictures => {
                let (found, expected) = (lists.len().to_string(), pictures.to_string());
                let what = "number of pictures with targets of their own";
                Err(Error::Setting { what, found, expected })
            }
            Choice::Each(lists) if lists.is_empty() => Ok(()),
            Choice::Goals(_) | Choice::Each(_) if self.count() == 0 => Err(number(0, units)),
            Choice::Top(_) | Choice::RandomOfTop { .. } => Ok(()),
            Choice::Goals(goals) => {
                let place = Place { graph, layer: self.layer(), shape: node.shape };
                goals.iter().try_for_each(|goal| place.check(goal))
            }
            Choice::Each(lists) => {
                let place = Place { graph, layer: self.layer(), shape: node.shape };
                lists.iter().enumerate().try_for_each(|(picture, list)| {
                    let checked = list.iter().try_for_each(|goal| place.check(goal));
                    checked
                        .and_then(|()| check_alike(list, &lists[0], node.shape))
                        .map_err(|error| Error::OfPicture { picture, source: Box::new(error) })
                })
            }
        }
    }
}

/// Whether a picture's goals run together with the first one's: the same kinds, one by one.
fn check_alike(list: &[Goal], first: &[Goal], shape: Shape) -> Result<()> {
    let kinds = |list: &[Goal]| list.iter().map(|goal| Kind::of(goal, shape)).collect::<Vec<_>>();
    if kinds(list) == kinds(first) {
        return Ok(());
    }
    let expected = format!("as many and such as {}", listed(first));
    Err(Error::Setting { what: "list of targets", found: listed(list), expected })
}

fn listed(goals: &[Goal]) -> String {
    if goals.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<String> = goals.iter().map(|goal| format!("`{goal}`")).collect();
    texts.join(", ")
}

/// A layer by its name.
pub(super) fn find_layer(graph: &Graph, name: &str) -> Result<NodeId> {
    let found = graph.nodes().iter().position(|node| node.name == name);
    match found {
        Some(id) if NodeId(id) == graph.input() => Err(Error::Setting {
            what: "layer",
            found: format!("`{name}`, the picture itself"),
            expected: "a layer of the network".to_owned(),
        }),
        Some(id) => Ok(NodeId(id)),
        None => {
            let names = graph.nodes().iter().skip(1).map(|node| node.name.as_str());
            Err(Error::unknown("layer", name, names))
        }
    }
}

/// The layer that goals are looked for in.
struct Place<'a> {
    graph: &'a Graph,
    layer: Option<&'a str>,
    shape: Shape,
}

impl Place<'_> {
    fn check(&self, goal: &Goal) -> Result<()> {
        let out_of = |what: &'static str, found: usize, count: usize| match self.layer {
            None => {
                let model = self.graph.name().to_owned();
                Err(Error::TargetOutOfRange { target: found, model, classes: count })
            }
            Some(layer) => {
                let expected = format!("0 to {} in layer `{layer}`", count.saturating_sub(1));
                Err(Error::Setting { what, found: found.to_string(), expected })
            }
        };
        let channels = self.shape.channels;
        let unit = |unit: usize| match unit < channels {
            true => Ok(()),
            false => out_of("channel", unit, channels),
        };
        let setting = |what, found: String, expected: &str| {
            Err(Error::Setting { what, found, expected: expected.to_owned() })
        };
        match goal {
            Goal::Class(class) if self.layer.is_some() && !self.shape.is_vector() => {
                setting("target", format!("class {class}"), "a channel or a neuron of the layer")
            }
            Goal::Class(of) | Goal::Channel(of) => unit(*of),
            Goal::Neuron { channel, row, column } => {
                unit(*channel)?;
                if *row >= self.shape.height {
                    return out_of("row", *row, self.shape.height);
                }
                if *column >= self.shape.width {
                    return out_of("column", *column, self.shape.width);
                }
                Ok(())
            }
            Goal::Mixture(_) | Goal::Against { .. } if !self.shape.is_vector() => {
                let expected = "a channel or a neuron where the layer has positions";
                setting("target", format!("`{goal}`"), expected)
            }
            Goal::Mixture(parts) => {
                parts.iter().try_for_each(|(class, _)| unit(*class))?;
                let sum: f64 = parts.iter().map(|(_, weight)| f64::from(*weight)).sum();
                let is_fine = |weight: &f32| weight.is_finite() && *weight >= 0.0;
                if !parts.iter().all(|(_, weight)| is_fine(weight)) || sum <= 0.0 {
                    let expected = "finite weights of 0 or more that do not sum to 0";
                    return setting("mixture", format!("`{goal}`"), expected);
                }
                Ok(())
            }
            Goal::Against { class, against } => {
                unit(*class)?;
                against.iter().try_for_each(|class| unit(*class))?;
                if against.is_empty() || against.contains(class) {
                    let expected = "other classes than the target";
                    return setting(
                        "what the target is set against",
                        format!("{against:?}"),
                        expected,
                    );
                }
                Ok(())
            }
        }
    }
}

/// Goals in the form that a program takes them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    /// Numbers of outputs.
    Units(Vec<u32>),
    /// Weights and duals of all outputs, one row after the other.
    Weighted { weights: Vec<f64>, duals: Vec<f64> },
}

/// The rows that a goal takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The number of an output.
    Unit,
    /// Weights and duals.
    Weighted,
    /// The same, against chosen outputs.
    Against,
}

impl Kind {
    fn of(goal: &Goal, shape: Shape) -> Self {
        match goal {
            Goal::Against { .. } => Kind::Against,
            goal if unit_of(goal, shape).is_some() => Kind::Unit,
            Goal::Class(_) | Goal::Channel(_) | Goal::Neuron { .. } | Goal::Mixture(_) => {
                Kind::Weighted
            }
        }
    }
}

/// Goals that run together. Their rows, which may be large, are made for each run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) goals: Vec<Goal>,
    kind: Kind,
    shape: Shape,
}

impl Group {
    /// Some of the goals.
    pub(super) fn slice(&self, first: usize, most: usize) -> Self {
        let last = self.goals.len().min(first + most);
        Self { goals: self.goals[first..last].to_vec(), ..*self }
    }

    /// How a program takes as many of such goals for each picture.
    pub(super) fn targets(&self, count: usize) -> Targets {
        match self.kind {
            Kind::Unit => Targets::Given(count),
            Kind::Weighted => Targets::Weighted { count, against: false },
            Kind::Against => Targets::Weighted { count, against: true },
        }
    }

    /// The rows of several pictures, whose groups are alike, one after the other.
    pub(super) fn joined(groups: &[&Self]) -> (Targets, Rows) {
        let (first, goals) = (groups[0], groups.iter().flat_map(|group| &group.goals));
        let targets = first.targets(first.goals.len());
        if first.kind == Kind::Unit {
            let units = goals.filter_map(|goal| unit_of(goal, first.shape));
            return (targets, Rows::Units(units.collect()));
        }
        let (mut weights, mut duals) = (Vec::new(), Vec::new());
        goals.for_each(|goal| add_rows(goal, first.shape, &mut weights, &mut duals));
        (targets, Rows::Weighted { weights, duals })
    }

    /// What a goal's rows sum to, and whether it is set against anything.
    pub(super) fn sums(&self, j: usize) -> RowSums {
        let others = |with: usize| self.shape.len() > with;
        match &self.goals[j] {
            Goal::Channel(_) if self.kind == Kind::Weighted => RowSums {
                weights: (self.shape.height * self.shape.width) as f64,
                has_dual: self.shape.channels > 1,
            },
            Goal::Mixture(parts) => {
                let mut with: Vec<usize> =
                    parts.iter().filter(|(_, w)| *w > 0.0).map(|(class, _)| *class).collect();
                with.sort_unstable();
                with.dedup();
                RowSums { weights: 1.0, has_dual: others(with.len()) }
            }
            Goal::Class(_) | Goal::Channel(_) | Goal::Neuron { .. } | Goal::Against { .. } => {
                RowSums { weights: 1.0, has_dual: others(1) }
            }
        }
    }
}

/// The number of a single output of a layer: outputs lie NHWC.
fn unit_of(goal: &Goal, shape: Shape) -> Option<u32> {
    let unit = match *goal {
        Goal::Class(unit) => unit,
        Goal::Channel(unit) if shape.is_vector() => unit,
        Goal::Neuron { channel, row, column } => {
            (row * shape.width + column) * shape.channels + channel
        }
        Goal::Channel(_) | Goal::Mixture(_) | Goal::Against { .. } => return None,
    };
    Some(unit as u32)
}

/// The goal of an output of a layer, by its number.
pub(super) fn goal_of(unit: u32, shape: Shape, is_scores: bool) -> Goal {
    let unit = unit as usize;
    let (position, channel) = (unit / shape.channels, unit % shape.channels);
    match (is_scores, shape.is_vector()) {
        (true, _) => Goal::Class(unit),
        (false, true) => Goal::Channel(unit),
        (false, false) => {
            Goal::Neuron { channel, row: position / shape.width, column: position % shape.width }
        }
    }
}

/// The goal of scores, which may be named by their layer: `classifier.6:3` is class 3.
pub(super) fn of_scores(goal: &Goal, shape: Shape) -> Goal {
    unit_of(goal, shape).map_or_else(|| goal.clone(), |unit| Goal::Class(unit as usize))
}

/// Goals in runs that one program takes, in order.
pub(super) fn grouped(goals: &[Goal], shape: Shape) -> Vec<Group> {
    let alike = goals.chunk_by(|a, b| Kind::of(a, shape) == Kind::of(b, shape));
    let group =
        |goals: &[Goal]| Group { goals: goals.to_vec(), kind: Kind::of(&goals[0], shape), shape };
    alike.map(group).collect()
}

/// Appends the weights and the duals of a goal that is no single output, or is set against some.
fn add_rows(goal: &Goal, shape: Shape, weights: &mut Vec<f64>, duals: &mut Vec<f64>) {
    let first = weights.len();
    weights.resize(first + shape.len(), 0.0);
    duals.resize(first + shape.len(), 0.0);
    let (weights, duals) = (&mut weights[first..], &mut duals[first..]);
    match goal {
        Goal::Channel(channel) => {
            weights.iter_mut().skip(*channel).step_by(shape.channels).for_each(|w| *w = 1.0);
        }
        Goal::Mixture(parts) => {
            let sum: f64 = parts.iter().map(|(_, weight)| f64::from(*weight)).sum();
            for (class, weight) in parts {
                weights[*class] += f64::from(*weight) / sum;
            }
        }
        Goal::Against { class, against } => {
            weights[*class] = 1.0;
            against.iter().for_each(|other| duals[*other] = 1.0);
            return;
        }
        Goal::Class(_) | Goal::Neuron { .. } => unreachable!("single outputs have numbers"),
    }
    for (dual, weight) in duals.iter_mut().zip(weights) {
        *dual = if *weight == 0.0 { 1.0 } else { 0.0 };
    }
}
