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
    /// What the picture of that name and size shows; nothing where it has no boxes.
    pub(super) fn objects(&self, name: &str, size: (u32, u32)) -> Result<Vec<Object>> {
        let Some(annotation) = self.find(name) else { return Ok(Vec::new()) };
        annotation.objects(size).map_err(|refusal| self.refused(name, &refusal))
    }

    /// What tells one annotation of the picture from another.
    pub(super) fn annotation(&self, name: &str) -> String {
        let told = |annotation: &Annotation| {
            let mut text = format!("{:?}", annotation.size);
            for mark in &annotation.marks {
                text += &format!(" {} {:?}", mark.class, mark.edges);
            }
            text
        };
        self.find(name).map(told).unwrap_or_default()
    }

    fn find(&self, name: &str) -> Option<&Annotation> {
        let key = match self.key {
            Key::Name => name,
            Key::Stem => stem(name),
        };
        self.annotations.get(key)
    }

    fn refused(&self, name: &str, Refusal { number, what }: &Refusal) -> Failure {
        let what = format!("`{}`: {what}", printable(name));
        match number {
            Some(number) => wrong_at(&self.path, self.part, number, what),
            None => wrong(&self.path, what),
        }
    }
}
