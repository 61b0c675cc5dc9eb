//! A folder with an XML file for each picture.

use std::path::PathBuf;

use super::Object;
use super::annotation::Refusal;
use super::listing::{printable, stem, without_ending};
use super::text::{read, wrong, wrong_at};
use super::xml::{PixelNumbers, parse};
use crate::failure::{Failure, Result};

/// Thousands of boxes fit.
const LIMIT: u64 = 1 << 20;

/// A folder with an XML file for each picture.
#[derive(Debug)]
pub(super) struct XmlFolder {
    pub(super) folder: PathBuf,
    pub(super) numbers: PixelNumbers,
}

impl XmlFolder {
    /// What the picture of that name and size shows.
    pub(super) fn objects(&self, name: &str, size: (u32, u32)) -> Result<Vec<Object>> {
        let path = self.path(name)?;
        let annotation =
            parse(&read(&path, LIMIT)?, self.numbers).map_err(|what| wrong(&path, what))?;
        if annotation.marks.is_empty() {
            let path = path.display();
            return Err(Failure::Said(format!("no boxes for `{}` in `{path}`", printable(name))));
        }
        annotation.objects(size).map_err(|Refusal { number, what }| match number {
            Some(number) => wrong_at(&path, "object", number, what),
            None => wrong(&path, what),
        })
    }

    /// The picture's file: in the same sub-folder as the picture, or in none.
    fn path(&self, name: &str) -> Result<PathBuf> {
        let places = [without_ending(name), stem(name)];
        let mut paths = places.map(|place| self.folder.join(format!("{place}.xml"))).into_iter();
        paths.find(|path| path.is_file()).ok_or_else(|| {
            let (folder, file) = (self.folder.display(), printable(stem(name)));
            let name = printable(name);
            Failure::Said(format!("no boxes for `{name}`: `{folder}` has no `{file}.xml`"))
        })
    }
}
