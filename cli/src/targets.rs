//! From `--target` and `--against` to what is explained.

use clrp::graph::Graph;
use clrp::labels::Labels;
use clrp::{Error, Goal, Target};

use crate::failure::{Failure, Result};

/// Names that are given with commas between: none may be missing.
pub(crate) fn none_is_empty(option: &str, names: &[String]) -> Result<()> {
    if !names.iter().any(|name| name.trim().is_empty()) {
        return Ok(());
    }
    Err(Failure::Said(match names {
        [_] => format!("{option} is empty"),
        _ => format!("{option} {}: a name is missing beside a comma", names.join(",")),
    }))
}

/// The parts between commas; those of a neuron's place stay together.
fn parts(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(',') {
        match parts.last_mut() {
            Some(last) if is_half_a_place(last) && !part.contains(':') => {
                last.push(',');
                last.push_str(part);
            }
            _ => parts.push(part.trim().to_owned()),
        }
    }
    parts
}

/// Whether a part ends like `:17@3`: a column must follow, whatever the row is.
fn is_half_a_place(part: &str) -> bool {
    let place = part.rsplit_once(':').and_then(|(_, unit)| unit.split_once('@'));
    place.is_some_and(|(_, row)| !row.contains(','))
}

/// The best, or some of them at random.
fn choice(part: &str, classes: usize, seed: u64) -> Result<Option<Target>> {
    let setting = |expected: String| {
        let found = part.to_owned();
        Err(Error::Setting { what: "target", found, expected }.into())
    };
    if let Some((layer, count)) = part.rsplit_once(':').and_then(|(l, unit)| Some((l, top(unit)?)))
    {
        return match count.parse() {
            Ok(count) if count > 0 => Ok(Some(Target::top(count).at(layer))),
            Ok(_) | Err(_) => setting("top1 to as many as the layer has outputs".to_owned()),
        };
    }
    if let Some((count, of)) = part.split_once("-of-").and_then(|(n, of)| Some((n, top(of)?))) {
        return match (count.parse::<usize>(), of.parse::<usize>()) {
            (Ok(count), Ok(of)) if (1..=of).contains(&count) && of <= classes => {
                Ok(Some(Target::random_of_top(count, of, seed)))
            }
            _ => setting(format!(
                "as `10-of-top100`: at least 1, of no fewer, which are at most {classes}"
            )),
        };
    }
    let Some(count) = top(part) else { return Ok(None) };
    match count.parse() {
        Ok(count) if (1..=classes).contains(&count) => Ok(Some(Target::top(count))),
        Ok(_) | Err(_) => setting(format!("top1 to top{classes}")),
    }
}

/// What follows `top`, if only digits do.
fn top(text: &str) -> Option<&str> {
    let count = text.trim().strip_prefix("top")?;
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(count)
}

/// What the names of targets can be of.
pub(crate) struct Named<'a> {
    pub(crate) labels: &'a Labels,
    /// The network's name.
    pub(crate) model: &'a str,
    pub(crate) graph: &'a Graph,
}

impl Named<'_> {
    /// Reads targets with commas between: `top3`; `10-of-top100`; numbers, names and `WordNet` ids
    /// of classes; mixtures of them as `340*0.7+386*0.3` or `340+386`; and of a layer
    /// `features.28:17@3,5` (channel, row, column), `features.28:17` (a channel) and
    /// `features.28:top8`.
    pub(crate) fn target(&self, text: &str, against: Option<&str>, seed: u64) -> Result<Target> {
        let against = against.map(|text| self.list("--against", text)).transpose()?;
        let parts = parts(text);
        none_is_empty("--target", &parts)?;
        if let [part] = &parts[..] {
            // A class may have any name, that of a choice too.
            if self.labels.find(part, self.model).is_err()
                && let Some(target) = choice(part, self.labels.len(), seed)?
            {
                return match against {
                    Some(_) => Err(no_class(part)),
                    // The best of the scores, named by their layer.
                    None if target.layer() == Some(self.scores()) => {
                        Ok(Target::top(target.count()))
                    }
                    None => Ok(target),
                };
            }
        }
        let mut layer: Option<String> = None;
        let mut goals: Vec<Goal> = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let (of, goal) = match self.goal(part)? {
                Some(goal) => (None, goal),
                None => self.class_of_scores(neuron(part)?),
            };
            if i > 0 && of != layer {
                return Err(Failure::Said(format!(
                    "targets `{text}` are of several layers, expected one: explain them in turn"
                )));
            }
            layer = of;
            let goal = match (&against, goal) {
                (None, goal) => goal,
                (Some(against), Goal::Class(class)) => {
                    Goal::Against { class, against: against.clone() }
                }
                (Some(_), _) => return Err(no_class(part)),
            };
            if !goals.contains(&goal) {
                goals.push(goal);
            }
        }
        let target = Target::goals(goals);
        Ok(match layer {
            Some(layer) => target.at(layer),
            None => target,
        })
    }

    /// The layer that gives the scores.
    fn scores(&self) -> &str {
        &self.graph.node(self.graph.output()).name
    }

    /// A neuron as it is, or the class that it is.
    fn class_of_scores(&self, (layer, goal): (String, Goal)) -> (Option<String>, Goal) {
        let class = match goal {
            Goal::Channel(class) | Goal::Neuron { channel: class, row: 0, column: 0 } => {
                Some(class)
            }
            Goal::Class(_) | Goal::Neuron { .. } | Goal::Mixture(_) | Goal::Against { .. } => None,
        };
        match class.filter(|_| layer == self.scores()) {
            Some(class) => (None, Goal::Class(class)),
            None => (Some(layer), goal),
        }
    }

    fn list(&self, option: &str, text: &str) -> Result<Vec<usize>> {
        let names: Vec<String> = text.split(',').map(str::to_owned).collect();
        none_is_empty(option, &names)?;
        let mut classes = Vec::new();
        for name in &names {
            let class = self.class(name)?;
            if !classes.contains(&class) {
                classes.push(class);
            }
        }
        Ok(classes)
    }

    fn class(&self, name: &str) -> Result<usize> {
        if name.trim().parse::<i64>().is_ok_and(|number| number < 0) {
            let expected = format!("a class from 0 to {}", self.labels.len().saturating_sub(1));
            return Err(Error::Setting { what: "target", found: name.to_owned(), expected }.into());
        }
        Ok(self.labels.find(name, self.model)?)
    }

    /// A class or a mixture of classes; none for what can only be of a layer.
    fn goal(&self, part: &str) -> Result<Option<Goal>> {
        match self.class(part) {
            Ok(class) => Ok(Some(Goal::Class(class))),
            Err(_) if part.contains('*') => self.mixture(part).map(Some),
            Err(_) if part.contains(':') => Ok(None),
            Err(_) if top(part).is_some() || part.contains("-of-top") => Err(not_alone(part)),
            Err(_) if part.contains('+') => self.mixture(part).map(Some),
            Err(_) if self.graph.nodes().iter().skip(1).any(|node| node.name == *part) => {
                Err(Failure::Said(format!(
                    "target `{part}` is a whole layer, expected one of its channels or its best, as \
                     `{part}:0` or `{part}:top3`"
                )))
            }
            Err(error) => Err(error),
        }
    }

    fn mixture(&self, part: &str) -> Result<Goal> {
        let share = |share: &str| {
            let (class, weight) = share.rsplit_once('*').unwrap_or((share, "1"));
            let class = self.class(class)?;
            match weight.trim().parse::<f32>() {
                Ok(weight) => Ok((class, weight)),
                Err(_) => {
                    let expected = "a class, `*` and a number, as `340*0.7`".to_owned();
                    let found = format!("`{share}`");
                    Err(Error::Setting { what: "part of a mixture", found, expected }.into())
                }
            }
        };
        Ok(Goal::Mixture(part.split('+').map(share).collect::<Result<_>>()?))
    }
}

/// What is set against other classes is none itself.
fn no_class(part: &str) -> Failure {
    Failure::Said(format!("--against needs a class as --target, found `{part}`"))
}

/// A choice of the best among other targets.
fn not_alone(part: &str) -> Failure {
    Failure::Said(format!("target `{part}` is a choice of its own and cannot stand among others"))
}

/// A channel or a neuron of a layer.
fn neuron(part: &str) -> Result<(String, Goal)> {
    let wrong = || {
        let expected = "a layer, a channel and perhaps a row and a column, as `features.28:17@3,5`";
        let (found, expected) = (format!("`{part}`"), expected.to_owned());
        Err(Error::Setting { what: "target", found, expected }.into())
    };
    let (layer, unit) = part.rsplit_once(':').expect("what has no `:` is of classes");
    if top(unit).is_some() {
        return Err(not_alone(part));
    }
    let (channel, place) = match unit.split_once('@') {
        Some((channel, place)) => (channel, Some(place)),
        None => (unit, None),
    };
    let Ok(channel) = channel.trim().parse::<usize>() else { return wrong() };
    let goal = match place.map(|place| place.split_once(',')) {
        None => Goal::Channel(channel),
        Some(None) => return wrong(),
        Some(Some((row, column))) => {
            let (Ok(row), Ok(column)) = (row.trim().parse(), column.trim().parse()) else {
                return wrong();
            };
            Goal::Neuron { channel, row, column }
        }
    };
    Ok((layer.to_owned(), goal))
}

#[cfg(test)]
mod tests {
    use clrp::Shape;

    use super::*;

    fn named(labels: &Labels, text: &str, against: Option<&str>) -> Result<Target> {
        let mut graph = Graph::new("alexnet", Shape::new(3, 8, 8));
        let x = graph.relu("features.1", graph.input()).expect("it fits");
        let x = graph.flatten("flatten", x).expect("it fits");
        graph.linear("fc8", x, 1000).expect("it fits");
        Named { labels, model: "alexnet", graph: &graph }.target(text, against, 7)
    }

    fn read(text: &str, against: Option<&str>) -> Result<Target> {
        named(&Labels::imagenet(), text, against)
    }

    #[test]
    fn targets_are_the_best_or_given_classes() {
        let target = |text| read(text, None).expect(text);
        assert_eq!(target("top3"), Target::top(3));
        assert_eq!(target("340"), Target::class(340));
        assert_eq!(target("zebra,243, tabby,340"), Target::classes([340, 243, 281]));
        assert_eq!(target("10-of-top100"), Target::random_of_top(10, 100, 7));
        assert_eq!(
            target("zebra*0.75+386*0.25,7"),
            Target::goals([Goal::Mixture(vec![(340, 0.75), (386, 0.25)]), Goal::Class(7)])
        );
        let mean = Goal::Mixture(vec![(340, 1.0), (386, 1.0)]);
        assert_eq!(target("zebra+386"), Target::goals([mean]));
        assert_eq!(
            read("zebra", Some("386,281")).expect("two classes"),
            Target::goals([Goal::Against { class: 340, against: vec![386, 281] }])
        );
    }

    #[test]
    fn a_name_with_a_plus_is_one_class() {
        let labels = Labels::named(["C", "C++"].map(str::to_owned));
        let target = named(&labels, "C++", None).expect("a class");
        assert_eq!(target, Target::class(1));
    }

    #[test]
    fn targets_may_be_neurons_of_a_layer() {
        let target = |text| read(text, None).expect(text);
        let neuron = |channel, row, column| Goal::Neuron { channel, row, column };
        assert_eq!(
            target("features.28:17@3,5,features.28:2@0,0,features.28:9"),
            Target::goals([neuron(17, 3, 5), neuron(2, 0, 0), Goal::Channel(9)]).at("features.28")
        );
        assert_eq!(target("classifier.0:top8"), Target::top(8).at("classifier.0"));
    }

    #[test]
    fn scores_named_by_their_layer_are_classes() {
        let target = |text| read(text, None).expect(text);
        assert_eq!(target("fc8:3,3,fc8:3@0,0,zebra"), Target::classes([3, 340]));
        assert_eq!(target("fc8:top2"), Target::top(2));
        assert_eq!(
            read("fc8:340", Some("386")).expect("two classes"),
            Target::goals([Goal::Against { class: 340, against: vec![386] }])
        );
    }

    #[test]
    fn a_wrong_target_is_named() {
        let message = |text| read(text, None).expect_err(text).to_string();
        assert_eq!(message("top0"), "target is top0, expected top1 to top1000");
        assert_eq!(message("top1001"), "target is top1001, expected top1 to top1000");
        assert_eq!(
            message("top3,5"),
            "target `top3` is a choice of its own and cannot stand among others"
        );
        assert!(message("zebr,5").starts_with("unknown class `zebr`; nearest: `zebra`"));
        assert_eq!(message("5,1000"), "target 1000 is out of range, `alexnet` has 1000 classes");
        assert_eq!(message("5,,6"), "--target 5,,6: a name is missing beside a comma");
        assert_eq!(message("340,"), "--target 340,: a name is missing beside a comma");
        assert_eq!(message(" "), "--target is empty");
        assert!(message("fc:top3,fc:2").starts_with("target `fc:top3` is a choice"));
        assert!(message("features.28:1@-2,5").contains("`features.28:1@-2,5`"));
        assert!(message("features.28:1@2,features.28:3").contains("`features.28:1@2`"));
        assert!(message("11-of-top10").contains("expected as `10-of-top100`"));
        assert_eq!(
            message("features.1"),
            "target `features.1` is a whole layer, expected one of its channels or its best, as \
             `features.1:0` or `features.1:top3`"
        );
        assert!(message("features.28:x").contains("a layer, a channel and perhaps"));
        assert!(message("features.28:1@2").contains("a layer, a channel and perhaps"));
        assert!(message("a:1,b:2").contains("are of several layers"));
        assert!(message("340+zebr").starts_with("unknown class `zebr`"));
        assert!(message("fc:top99999999999999999999").contains("to as many as the layer has"));
        assert!(message("340*x").contains("part of a mixture is `340*x`"));
        let against = read("top3", Some("386")).expect_err("no class").to_string();
        assert_eq!(against, "--against needs a class as --target, found `top3`");
    }
}
