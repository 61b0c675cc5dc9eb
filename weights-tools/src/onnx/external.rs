//! Data files beside a model.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use clrp::file::MappedFile;
use rten_onnx::onnx::StringStringEntryProto;

use crate::foreign::{Misfit, shown};

/// The model's folder, and the data files in it that were opened.
#[derive(Debug)]
pub(super) struct DataFiles {
    folder: Option<PathBuf>,
    open: BTreeMap<String, MappedFile>,
    /// Bytes of those opened since they were last asked for.
    newly_opened: usize,
}

/// The most data files of one model.
const MOST: usize = 4096;

impl DataFiles {
    /// None are open; without a folder there are none.
    pub(super) fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_path_buf), open: BTreeMap::new(), newly_opened: 0 }
    }

    /// Bytes of the data files opened since the last call.
    pub(super) fn newly_opened(&mut self) -> usize {
        std::mem::take(&mut self.newly_opened)
    }

    /// Where those that were opened lie.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let folder = self.folder.iter();
        folder.flat_map(|folder| self.open.keys().map(|name| folder.join(name))).collect()
    }

    /// The bytes that a tensor's entries `location`, `offset` and `length` speak of.
    pub(super) fn find(
        &mut self,
        entries: &[StringStringEntryProto],
    ) -> Result<(MappedFile, Range<usize>), Misfit> {
        let entry = |key: &str| {
            let entry = entries.iter().find(|entry| entry.key.as_deref() == Some(key));
            entry.and_then(|entry| entry.value.as_deref())
        };
        let location =
            entry("location").ok_or_else(|| Misfit::new("the `location` of its data", "none"))?;
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text
                .trim()
                .parse::<usize>()
                .map(Some)
                .map_err(|_| Misfit::new(format!("`{key}` as a number"), shown(text))),
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let map = self.map(location)?;
        let end = length.map_or(Some(map.len()), |length| offset.checked_add(length));
        match end.filter(|end| *end <= map.len() && offset <= *end) {
            Some(end) => Ok((map, offset..end)),
            None => {
                let length = length.map_or("the rest".to_owned(), |length| length.to_string());
                let expected = format!("data within the {} bytes of its file", map.len());
                Err(Misfit::new(expected, format!("offset {offset}, length {length}")))
            }
        }
    }

    fn map(&mut self, location: &str) -> Result<MappedFile, Misfit> {
        if let Some(map) = self.open.get(location) {
            return Ok(map.clone());
        }
        // A model from a stranger must not make clrp look anywhere else.
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let plain = Path::new(location).components().all(inside) && !location.contains('\\');
        if !plain || location.is_empty() {
            let expected = "data in the model's own folder";
            return Err(Misfit::new(expected, format!("`{}`", shown(location))));
        }
        let Some(folder) = &self.folder else {
            let expected = "numbers in the model itself, which has no folder";
            return Err(Misfit::new(expected, format!("`{}`", shown(location))));
        };
        if self.open.len() >= MOST {
            return Err(Misfit::new(format!("at most {MOST} data files"), "more"));
        }
        let unreadable = |error: std::io::Error| {
            Misfit::new(format!("its data in `{}`", shown(location)), error.to_string())
        };
        // Links may lead out of the folder, too.
        let folder = folder.canonicalize().map_err(unreadable)?;
        let path = folder.join(location).canonicalize().map_err(unreadable)?;
        if !path.starts_with(&folder) || !path.is_file() {
            let expected = "a regular file in the model's own folder";
            return Err(Misfit::new(expected, format!("`{}`", shown(location))));
        }
        let map = MappedFile::open(&path).map_err(unreadable)?;
        self.newly_opened += map.len();
        self.open.insert(location.to_owned(), map.clone());
        Ok(map)
    }
}
