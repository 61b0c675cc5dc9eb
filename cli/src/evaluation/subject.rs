//! What is evaluated: networks with their explainers, and the ways to explain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clrp::explainer::{ToInput, probabilities};
use clrp::image::Plane;
use clrp::labels::Labels;
use clrp::{
    Cancel, Error, Explained, Explainer, Explanation, Goal, Method, Request, Target, Tensor,
};

use super::part::Unit;
use super::record::{MethodRecord, ObjectRecord};
use super::turns::Turns;
use crate::failure::Result;
use crate::known::Known;
use crate::report::label;

/// A way to say where in a picture something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A method's map.
    Method(Method),
    /// The baseline that knows nothing of the picture: the nearer to the middle, the better.
    Centre,
}

impl Way {
    /// The name of the baseline.
    pub(crate) const CENTRE: &str = "centre";

    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Method(method) => method.name(),
            Way::Centre => Self::CENTRE,
        }
    }

    /// The name in captions.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Way::Method(method) => method.title(),
            Way::Centre => "Centre",
        }
    }

    /// The ways of these names, each once.
    pub(crate) fn unique(names: &[String]) -> Result<Vec<Self>> {
        let mut ways = Vec::new();
        for name in names {
            let way = match name.trim() {
                Self::CENTRE => Way::Centre,
                name => Way::Method(name.parse().map_err(|_| {
                    Error::unknown("method", name, (Known::WAYS.0)().iter().copied())
                })?),
            };
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        Ok(ways)
    }
}

/// The map of the baseline [`Way::Centre`]: how much nearer to the middle a pixel is than the
/// corners are.
fn centre(height: usize, width: usize) -> clrp::Result<Plane> {
    let along = |at: usize, length: usize| at as f64 - (length as f64 - 1.0) / 2.0;
    let distance = |y, x| f64::hypot(along(y, height), along(x, width));
    let value = |at: usize| (distance(0, 0) - distance(at / width, at % width)) as f32;
    Plane::new(height, width, (0..height * width).map(value).collect())
}

/// A network that is evaluated.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) explainer: Explainer,
    pub(crate) labels: Labels,
    /// Whose turn it is on the device, which all networks of a run share: several parts of a data
    /// set are worked on at once, and one runs there while others are judged.
    pub(crate) turns: Arc<Turns>,
    /// For a second run at once, where the device is a GPU.
    pub(crate) second: Mutex<Option<Arc<Explainer>>>,
}

/// A name without what files must not have in theirs.
pub(crate) fn plain(name: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    name.chars().map(|c| if is_plain(&c) { c } else { '-' }).collect()
}

/// What a network says of a unit.
pub(crate) struct Answer {
    pub(crate) unit: Unit,
    /// Of all classes.
    pub(crate) scores: Vec<f32>,
    /// One for each way; none where a map is not finite.
    pub(crate) planes: Vec<Option<Plane>>,
    /// For each way, whether it is a contrast of which nothing was subtracted.
    pub(crate) without_contrast: Vec<bool>,
}

impl Answer {
    pub(crate) fn score(&self) -> f64 {
        f64::from(self.scores[self.unit.class])
    }

    pub(crate) fn probability(&self) -> f64 {
        probabilities(&self.scores)[self.unit.class]
    }

    /// Whether no class has a higher score.
    pub(crate) fn is_top(&self) -> bool {
        let own = self.scores[self.unit.class];
        self.scores.iter().all(|score| *score <= own)
    }
}

impl ObjectRecord {
    /// What a network says of an object, of whose boxes nothing is known.
    pub(crate) fn of(
        network: usize,
        subject: &Subject,
        answer: &Answer,
        methods: Vec<MethodRecord>,
    ) -> Self {
        Self {
            network,
            class: answer.unit.class,
            label: subject.label(answer.unit.class),
            score: answer.score(),
            probability: answer.probability(),
            is_top: answer.is_top(),
            difficult: false,
            cut_away: 0,
            area: None,
            methods,
        }
    }
}

impl Subject {
    pub(crate) fn label(&self, class: usize) -> String {
        label(&self.labels, class)
    }

    /// The name as a part of file names.
    pub(crate) fn file_name(&self) -> String {
        plain(&self.name)
    }

    /// Explains all units, those of one picture together where all pictures have as many.
    pub(crate) fn answers(
        &self,
        inputs: &[&Tensor],
        units: &[Unit],
        ways: &[Way],
        stop: &Cancel,
    ) -> Result<Vec<Answer>> {
        let of_picture: Vec<&[Unit]> = units.chunk_by(|a, b| a.picture == b.picture).collect();
        let Some(first) = of_picture.first() else { return Ok(Vec::new()) };
        let is_even = of_picture.iter().all(|units| units.len() == first.len());
        let together = if is_even { of_picture } else { units.chunks(1).collect() };
        let methods: Vec<Method> = ways.iter().filter_map(|way| way.method()).collect();
        let goals =
            together.iter().map(|units| units.iter().map(|u| Goal::Class(u.class)).collect());
        let request = Request::new(methods.clone(), Target::each(goals)).cancel(stop);
        let inputs: Vec<&Tensor> = together.iter().map(|units| inputs[units[0].picture]).collect();
        let explained = self.explained(&inputs, &request)?;
        let mut answers = Vec::new();
        for (units, explained) in together.iter().zip(explained) {
            for (j, unit) in units.iter().enumerate() {
                let own = &explained.explanations[j * methods.len()..][..methods.len()];
                answers.push(Answer {
                    unit: *unit,
                    scores: explained.scores.clone(),
                    planes: planes(ways, own, inputs[0])?,
                    without_contrast: ways.iter().map(|way| way.is_without_contrast(own)).collect(),
                });
            }
        }
        Ok(answers)
    }

    /// Explains inputs when it is their turn.
    pub(crate) fn explained(
        &self,
        inputs: &[impl ToInput],
        request: &Request<'_>,
    ) -> Result<Vec<Explained>> {
        let second = self.second().clone();
        let turn = self.turns.take(1 + usize::from(second.is_some()));
        // An explainer runs one program of a kind at a time.
        let explainer = second.as_deref().filter(|_| turn.number == 1).unwrap_or(&self.explainer);
        match explainer.explain_all(inputs, request) {
            // Without the second one there may be room.
            Err(Error::DeviceMemory { .. }) if second.is_some() => {
                *self.second() = None;
                drop((turn, second));
                // Once nobody runs there any more.
                let _turns = [self.turns.take(1), self.turns.take(2)];
                Ok(self.explainer.explain_all(inputs, request)?)
            }
            explained => Ok(explained?),
        }
    }

    fn second(&self) -> MutexGuard<'_, Option<Arc<Explainer>>> {
        self.second.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scores of each input.
    pub(crate) fn scores(&self, inputs: &[Tensor], stop: &Cancel) -> Result<Vec<Vec<f32>>> {
        let request = Request::new([], Target::top(1)).cancel(stop);
        let explained = self.explained(inputs, &request)?;
        Ok(explained.into_iter().map(|explained| explained.scores).collect())
    }
}

impl Way {
    pub(crate) fn method(self) -> Option<Method> {
        match self {
            Way::Method(method) => Some(method),
            Way::Centre => None,
        }
    }

    /// Whether it knows nothing of the network.
    pub(crate) fn is_baseline(self) -> bool {
        matches!(self, Way::Centre | Way::Method(Method::Random))
    }

    /// Whether the way's explanation is one of which nothing was subtracted.
    fn is_without_contrast(self, explanations: &[Explanation]) -> bool {
        let own = explanations.iter().find(|one| Some(one.method) == self.method());
        own.is_some_and(Explanation::is_without_contrast)
    }
}

/// A plane for each way; the explanations are those of the ways that are methods, in order.
fn planes(
    ways: &[Way],
    explanations: &[Explanation],
    input: &Tensor,
) -> Result<Vec<Option<Plane>>> {
    let mut explanations = explanations.iter();
    let shape = input.shape();
    let plane = |way: &Way| {
        let explanation = way.method().and_then(|_| explanations.next());
        let plane = match explanation {
            Some(explanation) => explanation.plane()?,
            None => centre(shape.height, shape.width)?,
        };
        Ok(plane.values().iter().all(|value| value.is_finite()).then_some(plane))
    };
    ways.iter().map(plane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_in_the_middle() {
        let plane = centre(5, 7).expect("it has pixels");
        let most = plane.values().iter().copied().fold(0.0, f32::max);
        // The corners are 2 and 3 away.
        assert_eq!((plane.values()[2 * 7 + 3], most), (13_f32.sqrt(), 13_f32.sqrt()));
        assert_eq!((plane.values()[0], plane.values()[34]), (0.0, 0.0));
    }

    #[test]
    fn ways_are_methods_and_the_centre() {
        let names = |names: &[&str]| {
            Way::unique(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        let found = names(&["centre", " lrp", "centre", "lrp"]).expect("known");
        assert_eq!(found, [Way::Centre, Way::Method(Method::Lrp)]);
        assert!(names(&["middle"]).expect_err("unknown").to_string().starts_with("unknown method"));
    }
}
