//! Pictures in a folder, and where it is said what they show.

use std::path::{Path, PathBuf};

use clrp::Error;
use clrp::image::Picture;
use clrp::labels::Labels;

use super::class_folders::ClassFolders;
use super::index::Index;
use super::xml_folder::XmlFolder;
use super::{Sample, list};
use crate::failure::{Failure, Result};

/// Pictures in a folder, and where it is said what they show.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// Paths below the folder, with `/` between.
    names: Vec<String>,
    annotated: Annotated,
}

/// Where it is said what pictures show.
#[derive(Debug)]
pub(super) enum Annotated {
    Index(Index),
    XmlFolder(XmlFolder),
    ClassFolders(ClassFolders),
}

impl Files {
    /// Pictures of these names, which get sorted by bytes.
    pub(super) fn new(folder: &Path, mut names: Vec<String>, annotated: Annotated) -> Self {
        names.sort_unstable();
        Self { folder: folder.to_owned(), names, annotated }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn name(&self, i: usize) -> &str {
        &self.names[i]
    }

    /// Keeps the pictures that a list names, in its order.
    pub(super) fn keep_listed(&mut self, list: &Path) -> Result<()> {
        self.names = list::select(&self.names, list)?;
        Ok(())
    }

    /// Keeps so many.
    pub(super) fn keep_first(&mut self, count: usize) {
        self.names.truncate(count);
    }

    pub(super) fn load(&self, i: usize) -> Result<Sample> {
        let name = &self.names[i];
        let path = self.folder.join(name);
        // Boxes are of the pixels as they are stored.
        let picture = Picture::open_as_stored(&path);
        let picture = picture.map_err(|error| Failure::about(&path, error))?;
        let size = (picture.width(), picture.height());
        let objects = match &self.annotated {
            Annotated::Index(index) => index.objects(name, size)?,
            Annotated::XmlFolder(folder) => folder.objects(name, size)?,
            Annotated::ClassFolders(folders) => vec![folders.object(name)?],
        };
        Ok(Sample { picture, objects })
    }

    /// What tells one annotation of a picture from another.
    pub(super) fn annotation(&self, i: usize) -> String {
        match &self.annotated {
            Annotated::Index(index) => index.annotation(&self.names[i]),
            Annotated::XmlFolder(folder) => folder.annotation(&self.names[i]),
            // The name says it.
            Annotated::ClassFolders(_) => String::new(),
        }
    }

    pub(super) fn has_boxes(&self) -> bool {
        match self.annotated {
            Annotated::Index(_) | Annotated::XmlFolder(_) => true,
            Annotated::ClassFolders(_) => false,
        }
    }

    pub(super) fn class_of(&self, name: &str, labels: &Labels, model: &str) -> clrp::Result<usize> {
        match &self.annotated {
            Annotated::Index(Index { is_numbered: true, .. }) => numbered(name, labels, model),
            Annotated::Index(_) | Annotated::XmlFolder(_) => labels.find(name, model),
            Annotated::ClassFolders(folders) => folders.class_of(name, labels, model),
        }
    }
}

/// The output that a text is the number of, even if another output has it for a name.
fn numbered(text: &str, labels: &Labels, model: &str) -> clrp::Result<usize> {
    match text.parse() {
        Ok(target) if target < labels.len() => Ok(target),
        Ok(target) => {
            let (model, classes) = (model.to_owned(), labels.len());
            Err(Error::TargetOutOfRange { target, model, classes })
        }
        // Some put names under that header.
        Err(_) => labels.find(text, model),
    }
}
