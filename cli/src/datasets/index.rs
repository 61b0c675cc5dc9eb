//! Annotations of all pictures that one file has.

use std::collections::HashMap;
use std::path::PathBuf;

use super::Object;
use super::annotation::{Annotation, Refusal};
use super::listing::{printable, stem};
use super::text::{wrong, wrong_at};
use crate::failure::{Failure, Result};

/// Annotations of all pictures that one file has.
#[derive(Debug)]
pub(super) struct Index {
    /// The file.
    pub(super) path: PathBuf,
    /// What the marks' numbers count, as `line`.
    pub(super) part: &'static str,
    pub(super) key: Key,
    pub(super) annotations: HashMap<String, Annotation>,
    /// Whether classes are numbers of outputs.
    pub(super) is_numbered: bool,
}

/// What annotations are found by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// The picture's name.
    Name,
    /// Its last part without the ending.
    Stem,
}

impl Index {
    /// What the picture of that name and size shows.
    pub(super) fn objects(&self, name: &str, size: (u32, u32)) -> Result<Vec<Object>> {
        let key = match self.key {
            Key::Name => name,
            Key::Stem => stem(name),
        };
        match self.annotations.get(key) {
            Some(annotation) if !annotation.marks.is_empty() => {
                annotation.objects(size).map_err(|refusal| self.refused(name, &refusal))
            }
            Some(_) | None => {
                let path = self.path.display();
                Err(Failure::Said(format!("no boxes for `{}` in `{path}`", printable(name))))
            }
        }
    }

    fn refused(&self, name: &str, Refusal { number, what }: &Refusal) -> Failure {
        let what = format!("`{}`: {what}", printable(name));
        match number {
            Some(number) => wrong_at(&self.path, self.part, number, what),
            None => wrong(&self.path, what),
        }
    }
}
