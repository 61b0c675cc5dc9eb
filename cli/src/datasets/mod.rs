//! Sets of pictures with boxes around what they show, for evaluations.
//!
//! A [`Dataset`] is opened by [`DatasetOptions`]. Opening reads names and, where there is one, the
//! index file; a picture, and its annotation if that is a file of its own, are read by
//! [`Dataset::load`]. So one bad picture is one error, and many can be read at once.
//!
//! | format | pictures | annotations |
//! |---|---|---|
//! | `boxes` | in the folder, or in `images/` in it | `boxes.csv`: a row for each box |
//! | `ilsvrc` | in the folder, at any depth | an XML file for each, or `LOC_val_solution.csv` |
//! | `voc` | `JPEGImages/` | `Annotations/*.xml` |
//! | `coco` | where the index says, below the folder | `instances_*.json` |
//! | `folder` | in a sub-folder for each class | none |
//! | `digits` | drawn, without any file | those of the scenes |
//!
//! Edges are what [`BoundingBox`] has: the first pixel reaches from 0 to 1. How each format counts
//! is said in its module. Where an annotation tells the size of its picture and the file has
//! another, as a shrunken copy has, the edges are scaled to the file's. A box that sticks out of
//! its picture is cut off at the border; one that is reversed, has no area or lies outside
//! altogether is an error.

mod annotation;
mod boxes;
mod class_folders;
mod coco;
mod digits;
mod files;
mod format;
mod ilsvrc;
mod index;
mod list;
mod listing;
mod options;
mod sheet;
#[cfg(test)]
mod support;
mod text;
mod voc;
mod xml;
mod xml_folder;

use clrp::evaluation::BoundingBox;
use clrp::image::Picture;
use clrp::labels::Labels;
use sha2::{Digest, Sha256};

pub(crate) use self::digits::{Digits, SplitName};
pub(crate) use self::options::DatasetOptions;

use self::digits::Scenes;
use self::files::Files;
use crate::failure::Result;

/// Pictures with what they show.
#[derive(Debug)]
pub(crate) struct Dataset {
    description: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Scenes(Scenes),
    Files(Files),
}

/// A picture and what it shows.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The picture in the size that its file has.
    pub(crate) picture: Picture,
    /// What it shows, in order of first appearance; each class once.
    pub(crate) objects: Vec<Object>,
}

/// All that a picture shows of one class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    /// The class as the data set calls it, see [`Dataset::class_of`].
    pub(crate) class: String,
    /// Boxes inside the picture, in its pixels; none if the data set has no boxes.
    pub(crate) boxes: Vec<BoundingBox>,
}

impl Dataset {
    /// How many pictures there are: at least one.
    pub(crate) fn len(&self) -> usize {
        match &self.source {
            Source::Scenes(scenes) => scenes.count,
            Source::Files(files) => files.len(),
        }
    }

    /// The name of picture `i`: its path below the folder, with `/` between, or `scene-00012`. No
    /// other picture has it.
    pub(crate) fn name(&self, i: usize) -> String {
        match &self.source {
            Source::Scenes(scenes) => scenes.name(i),
            Source::Files(files) => files.name(i).to_owned(),
        }
    }

    /// The data set in words.
    pub(crate) fn describe(&self) -> String {
        self.description.clone()
    }

    /// Reads picture `i` and what it shows.
    pub(crate) fn load(&self, i: usize) -> Result<Sample> {
        match &self.source {
            Source::Scenes(scenes) => scenes.load(i),
            Source::Files(files) => files.load(i),
        }
    }

    /// Whether objects have boxes.
    pub(crate) fn has_boxes(&self) -> bool {
        match &self.source {
            Source::Scenes(_) => true,
            Source::Files(files) => files.has_boxes(),
        }
    }

    /// The network's class that the data set calls `name`, as [`Labels::find`] finds it.
    ///
    /// A number under the header `class_index` counts outputs, whatever their names. The classes
    /// of a `folder` of which the network knows none are its outputs in order of name, if there
    /// are as many. `model` is for errors.
    pub(crate) fn class_of(&self, name: &str, labels: &Labels, model: &str) -> clrp::Result<usize> {
        match &self.source {
            Source::Scenes(_) => digits::class_of(name, labels, model),
            Source::Files(files) => files.class_of(name, labels, model),
        }
    }

    /// SHA-256 of the pictures' names, and of what is known of their annotations: all of an index,
    /// the lengths of XML files.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        let mut sha256 = Sha256::new();
        for i in 0..self.len() {
            sha256.update(self.name(i) + "\n");
            if let Source::Files(files) = &self.source {
                sha256.update(files.annotation(i) + "\n");
            }
        }
        sha256.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_may_load_at_once() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<Dataset>();
    }
}
