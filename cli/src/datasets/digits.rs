//! The built-in scenes of handwritten digits as a data set, and how they are asked for.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use clrp::Error;
use clrp::evaluation::BoundingBox;
use clrp::image::Picture;
use clrp::labels::Labels;
use clrp::scene::{Scene, Split};

use super::{Object, Sample};
use crate::failure::Result;

/// Which handwritten digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    Train,
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Train => Split::Train,
            SplitName::Test => Split::Test,
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SplitName::Train => "train",
            SplitName::Test => "test",
        })
    }
}

/// How many digits scenes have: these numbers in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    low: usize,
    high: usize,
}

impl FromStr for Digits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) if 1 <= low && low <= high && high <= Scene::MAX_DIGITS => {
                Ok(Self { low, high })
            }
            _ => Err(format!("expected 1 to {}, as 2 or 1-3", Scene::MAX_DIGITS)),
        }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low, self.high) {
            (1, 1) => f.write_str("1 digit"),
            (low, high) if low == high => write!(f, "{low} digits"),
            (low, high) => write!(f, "{low}-{high} digits"),
        }
    }
}

impl Digits {
    /// As many as contrast needs: one, and another.
    pub(super) const PAIR: Digits = Digits { low: 2, high: 2 };

    /// How many scene number `index` has.
    pub(crate) fn of(self, index: u64) -> usize {
        // It is less than 3.
        self.low + (index % (self.high - self.low + 1) as u64) as usize
    }
}

/// The first scenes of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenes {
    pub(super) split: SplitName,
    pub(super) digits: Digits,
    pub(super) seed: u64,
    pub(super) count: usize,
}

impl Scenes {
    pub(super) fn describe(&self) -> String {
        format!("digits ({}, {}, seed {})", self.split, self.digits, self.seed)
    }

    pub(super) fn name(&self, i: usize) -> String {
        format!("scene-{i:05}")
    }

    pub(super) fn load(&self, i: usize) -> Result<Sample> {
        let index = i as u64;
        let scene = Scene::render(self.split.into(), self.digits.of(index), self.seed, index);
        // Digits of one scene differ, so each is an object.
        let objects = scene.digits.iter().map(|digit| Object {
            class: digit.class.to_string(),
            boxes: vec![BoundingBox::from(digit.bounds)],
        });
        let objects = objects.collect();
        Ok(Sample { picture: Picture::new(scene.side, scene.side, scene.pixels)?, objects })
    }
}

/// The class of a digit: of that name, else the output of that number of a network with ten, which
/// other networks' classes of that number have nothing to do with.
pub(super) fn class_of(digit: &str, labels: &Labels, model: &str) -> clrp::Result<usize> {
    let class = labels.find(digit, model)?;
    if labels.len() == 10 || labels.label(class) == Some(digit) {
        return Ok(class);
    }
    let names = (0..labels.len()).filter_map(|class| labels.label(class));
    Err(Error::unknown("class", digit, names))
}

#[cfg(test)]
mod tests {

    use super::super::support::{names, open};
    use super::*;

    #[test]
    fn digits_go_round() {
        let digits: Digits = "1-3".parse().expect("a range");
        assert_eq!([0, 1, 2, 3].map(|index| digits.of(index)), [1, 2, 3, 1]);
        assert!(
            ["0", "4", "3-1", "1-", "", "a"].iter().all(|text| text.parse::<Digits>().is_err())
        );
    }

    #[test]
    fn scenes_are_a_data_set_without_files() {
        let arguments = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let data = open(&arguments("--dataset digits")).expect("it needs no file");
        assert_eq!((data.len(), data.has_boxes()), (2000, true));
        assert_eq!(data.describe(), "digits (test, 2 digits, seed 0)");
        assert_eq!(data.name(1999), "scene-01999");

        let line = "--dataset digits --digits 1-3 --split train --dataset-seed 7 --count 4";
        let data = open(&arguments(line)).expect("it needs no file");
        assert_eq!(data.describe(), "digits (train, 1-3 digits, seed 7)");
        assert_eq!(names(&data), ["scene-00000", "scene-00001", "scene-00002", "scene-00003"]);
        let scene = Scene::render(Split::Train, 3, 7, 2);
        let sample = data.load(2).expect("it is drawn");
        assert_eq!(sample.picture.pixels(), scene.pixels);
        assert_eq!(sample.objects.len(), 3);
        for (object, digit) in sample.objects.iter().zip(&scene.digits) {
            assert_eq!(object.boxes, [BoundingBox::from(digit.bounds)]);
            let class = data.class_of(&object.class, &Labels::digits(), "digits");
            assert_eq!(class.expect("it is a digit"), usize::from(digit.class));
            // Class 7 of ImageNet is a cock.
            assert!(data.class_of(&object.class, &Labels::imagenet(), "net").is_err());
        }
    }

    #[test]
    fn scenes_take_no_options_of_files() {
        for option in ["--format=boxes", "--annotations=a", "--list=a"] {
            let message = open(&["--dataset=digits".to_owned(), option.to_owned()]);
            let message = message.expect_err("it is refused");
            let name = option.split('=').next().expect("a name");
            assert_eq!(message, format!("`{name}` is for folders, not for the built-in `digits`"));
        }
    }
}
