//! `folder`: a folder with a sub-folder for each class, as torchvision's `ImageFolder` reads it.
//!
//! Pictures may lie deeper, in folders of a class's folder. There are no boxes. What lies in no
//! sub-folder is left out, as are names that start with a dot.

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use clrp::labels::Labels;

use super::Object;
use super::files::{Annotated, Files};
use super::listing::{entries, pictures, printable};
use super::text::wrong;
use crate::failure::{Failure, Result};

/// The classes of such a folder.
#[derive(Debug)]
pub(super) struct ClassFolders {
    /// Sorted by bytes, as Python sorts.
    classes: Vec<String>,
    /// Whether networks with these labels have the classes in that order: asking labels for all
    /// names takes long.
    ordered: RwLock<Vec<(Labels, bool)>>,
}

/// Opens such a folder.
pub(super) fn open(folder: &Path) -> Result<Files> {
    let found = entries(folder)?.into_iter().filter(|entry| entry.is_folder);
    let mut classes: Vec<String> = found.map(|entry| entry.name).collect();
    classes.sort_unstable();
    let mut names = Vec::new();
    for class in &classes {
        names.extend(pictures(folder, class)?);
    }
    if names.is_empty() {
        return Err(wrong(
            folder,
            "no pictures were found in sub-folders, of which each is a class",
        ));
    }
    let folders = ClassFolders { classes, ordered: RwLock::default() };
    Ok(Files::new(folder, names, Annotated::ClassFolders(folders)))
}

impl ClassFolders {
    /// What the picture of that name shows.
    pub(super) fn object(&self, name: &str) -> Result<Object> {
        match name.split_once('/') {
            Some((class, _)) => Ok(Object { class: class.to_owned(), boxes: Vec::new() }),
            None => {
                let name = printable(name);
                Err(Failure::Said(format!(
                    "`{name}` lies in no sub-folder, expected that of a class"
                )))
            }
        }
    }

    /// The class that the labels call so or, if they know none of the folders and there are as
    /// many, the one of the same place.
    pub(super) fn class_of(&self, name: &str, labels: &Labels, model: &str) -> clrp::Result<usize> {
        let found = labels.find(name, model);
        match self.classes.iter().position(|class| class == name) {
            Some(place) if found.is_err() && self.are_in_order_of(labels) => Ok(place),
            Some(_) | None => found,
        }
    }

    fn are_in_order_of(&self, labels: &Labels) -> bool {
        // What is in it is whole whoever panicked.
        let known = self.ordered.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, ordered)) = known.iter().find(|(of, _)| of == labels) {
            return *ordered;
        }
        drop(known);
        let is_known = |class: &String| labels.find(class, "").is_ok();
        let ordered = self.classes.len() == labels.len() && !self.classes.iter().any(is_known);
        let mut known = self.ordered.write().unwrap_or_else(PoisonError::into_inner);
        known.push((labels.clone(), ordered));
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::super::support::{Place, names};
    use super::*;

    #[test]
    fn each_sub_folder_is_a_class() {
        let pictures = ["cat/b.png", "cat/deep/a.png", "Zebra/\u{e9} 1.png", "loose.png"];
        let place = Place::with(&[("cat/note.txt", "")], &pictures);
        let data = place.open("", &[]).expect("it is recognised");
        assert_eq!(names(&data), ["Zebra/\u{e9} 1.png", "cat/b.png", "cat/deep/a.png"]);
        assert!(!data.has_boxes());
        assert_eq!(place.shown(&data, 0).expect("it is there"), ["Zebra"]);
        assert_eq!(place.shown(&data, 2).expect("it is there"), ["cat"]);
        assert!(data.describe().starts_with("folder `"));

        place.write("list", "loose.png\ncat/b.png");
        let data = place.open("", &["--list", "@/list"]).expect("it is recognised");
        let expected = "`loose.png` lies in no sub-folder, expected that of a class";
        assert_eq!(place.shown(&data, 0).expect_err("no class"), expected);
    }

    #[test]
    fn classes_are_found_by_name_else_by_order() {
        let place = Place::with(&[], &["b/1.png", "a/1.png", "7/1.png"]);
        let data = place.open("", &[]).expect("it is recognised");
        let named = |names: &[&str]| Labels::named(names.iter().map(|name| (*name).to_owned()));
        let class = |name, labels: &Labels| data.class_of(name, labels, "net").ok();
        let find = |labels: &Labels| ["7", "a", "b"].map(|name| class(name, labels));
        // The labels know them.
        assert_eq!(find(&named(&["b", "a", "7"])), [Some(2), Some(1), Some(0)]);
        // They know none.
        assert_eq!(find(&named(&["x", "y", "z"])), [Some(0), Some(1), Some(2)]);
        assert_eq!(class("c", &named(&["x", "y", "z"])), None);
        // They know some, so order would be a guess.
        assert_eq!(find(&named(&["b", "y", "z"])), [None, None, Some(0)]);
        // There are more.
        assert_eq!(find(&named(&["x", "y", "z", "w"])), [None; 3]);
    }

    #[test]
    fn a_folder_without_pictures_in_folders_is_refused() {
        let place = Place::with(&[("a/b.txt", "")], &["c.png"]);
        let message = place.refused("", &["--format", "folder"]);
        assert!(
            message.ends_with("no pictures were found in sub-folders, of which each is a class")
        );
        let message = place.refused("a", &["--format", "folder", "--annotations", "@/x"]);
        assert!(message.contains("`--annotations`"), "{message}");
    }
}
