//! A folder with an XML file for each picture.

use std::fs;
use std::path::PathBuf;

use super::Object;
use super::annotation::Refusal;
use super::listing::{stem, without_ending};
use super::text::{read, wrong, wrong_at};
use super::xml::{PixelNumbers, parse};
use crate::failure::Result;

/// Thousands of boxes fit.
const LIMIT: u64 = 1 << 20;

/// A folder with an XML file for each picture.
#[derive(Debug)]
pub(super) struct XmlFolder {
    pub(super) folder: PathBuf,
    pub(super) numbers: PixelNumbers,
}

impl XmlFolder {
    /// What the picture of that name and size shows; nothing where it has no boxes.
    pub(super) fn objects(&self, name: &str, size: (u32, u32)) -> Result<Vec<Object>> {
        let Some(path) = self.path(name) else { return Ok(Vec::new()) };
        let annotation =
            parse(&read(&path, LIMIT)?, self.numbers).map_err(|what| wrong(&path, what))?;
        annotation.objects(size).map_err(|Refusal { number, what }| match number {
            Some(number) => wrong_at(&path, "object", number, what),
            None => wrong(&path, what),
        })
    }

    /// What tells one annotation of the picture from another, as far as that costs no reading.
    pub(super) fn annotation(&self, name: &str) -> String {
        let length = self.path(name).and_then(|path| fs::metadata(path).ok());
        length.map_or_else(String::new, |found| found.len().to_string())
    }

    /// The picture's file: in the same sub-folder as the picture, or in none; none if there is no
    /// such file.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let places = [without_ending(name), stem(name)];
        let mut paths = places.map(|place| self.folder.join(format!("{place}.xml"))).into_iter();
        paths.find(|path| path.is_file())
    }
}
