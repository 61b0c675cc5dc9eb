//! `ilsvrc`: pictures of ILSVRC's localization task, at any depth of a folder.
//!
//! Their annotations are XML files, a folder of them in or beside the pictures' one, or Kaggle's
//! `LOC_val_solution.csv`, whose `PredictionString` repeats `wnid x0 y0 x1 y1`. Classes are
//! `WordNet` ids. Pixel numbers are taken for edges as they are, as `wsolevaluation` does: the files
//! name the first and the last pixel, some counting from 0 and some from 1, so that an edge may be
//! a pixel off.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::annotation::{Annotation, Mark};
use super::files::{Annotated, Files};
use super::format::around;
use super::index::{Index, Key};
use super::listing::{entries, printable, some_pictures};
use super::sheet::{Row, Sheet};
use super::text::wrong;
use super::xml::PixelNumbers;
use super::xml_folder::XmlFolder;
use crate::failure::{Failure, Result};

/// Kaggle's index.
pub(super) const SOLUTION: &str = "LOC_val_solution.csv";

/// The pictures of the validation set in the folder that ILSVRC's archive makes.
const PICTURES: &str = "Data/CLS-LOC/val";

/// What stands in the paths of pictures there, and in those of their annotations.
const MIRRORED: [&str; 2] = ["Data", "Annotations"];

/// Names of folders of annotations.
const FOLDERS: [&str; 2] = ["Annotations", "annotations"];

/// Opens a folder with such annotations.
pub(super) fn open(folder: &Path, annotations: Option<&Path>) -> Result<Files> {
    let inner = of_archive(folder);
    let folder = inner.as_deref().unwrap_or(folder);
    let annotations = match annotations {
        Some(path) => path.to_owned(),
        None => find(folder).ok_or_else(|| {
            let places = format!("`{SOLUTION}` and no `{}` with XML files", FOLDERS[0]);
            wrong(folder, format!("no {places} in or beside it; `--annotations` tells where"))
        })?,
    };
    let names = some_pictures(folder, "")?;
    let annotated = if annotations.is_dir() {
        Annotated::XmlFolder(XmlFolder { folder: annotations, numbers: PixelNumbers::AsEdges })
    } else {
        Annotated::Index(solution(&annotations)?)
    };
    Ok(Files::new(folder, names, annotated))
}

/// Annotations in or beside a folder, or where ILSVRC's archive has those of `Data/CLS-LOC/val`.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    if let Some(inner) = of_archive(folder) {
        return find(&inner);
    }
    if let Some(mirrored) = mirrored(folder).filter(|folder| has_xml(folder, 1)) {
        return Some(mirrored);
    }
    around(folder).into_iter().find_map(|place| {
        let solution = Some(place.join(SOLUTION)).filter(|path| path.is_file());
        let mut folders = FOLDERS.iter().map(|name| place.join(name));
        solution.or_else(|| folders.find(|folder| has_xml(folder, 1)))
    })
}

/// The pictures in the folder that ILSVRC's archive makes.
fn of_archive(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(PICTURES)).filter(|inner| inner.is_dir())
}

/// `Annotations/CLS-LOC/val` of `Data/CLS-LOC/val`.
fn mirrored(folder: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(folder).ok()?;
    let [data, annotations] = MIRRORED;
    let root = absolute.ancestors().find(|folder| folder.ends_with(data))?;
    let rest = absolute.strip_prefix(root).ok()?;
    Some(root.with_file_name(annotations).join(rest))
}

/// Whether an XML file lies in a folder, or so many folders deeper.
fn has_xml(folder: &Path, depth: usize) -> bool {
    entries(folder).unwrap_or_default().iter().any(|entry| {
        let deeper = || depth > 0 && has_xml(&folder.join(&entry.name), depth - 1);
        if entry.is_folder { deeper() } else { entry.name.ends_with(".xml") }
    })
}

fn solution(path: &Path) -> Result<Index> {
    let sheet = Sheet::open(path)?;
    let picture = sheet.needed("the picture", &["imageid"])?;
    let boxes = sheet.needed("the boxes", &["predictionstring"])?;
    let mut annotations = HashMap::new();
    for row in sheet.rows() {
        let marks = marks(row, row.field(boxes))?;
        match annotations.entry(row.text(picture)?.to_owned()) {
            Entry::Vacant(place) => place.insert(Annotation { size: None, marks }),
            Entry::Occupied(place) => {
                let name = printable(place.key());
                return Err(row.wrong(format!("`{name}` has a second row")));
            }
        };
    }
    let path = path.to_owned();
    Ok(Index { path, part: "line", key: Key::Stem, annotations, is_numbered: false })
}

/// The boxes of `wnid x0 y0 x1 y1`, repeated.
fn marks(row: Row<'_>, text: &str) -> Result<Vec<Mark>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (boxes, rest) = words.as_chunks::<5>();
    if !rest.is_empty() {
        let found = words.len();
        return Err(
            row.wrong(format!("found {found} words, expected `wnid x0 y0 x1 y1`, repeated"))
        );
    }
    let mark = |[class, edges @ ..]: &[&str; 5]| {
        let mut found = [0.0; 4];
        for (edge, text) in found.iter_mut().zip(edges) {
            let wrong = |_| row.wrong(format!("found `{}`, expected a number", printable(text)));
            *edge = text.parse().map_err(wrong)?;
        }
        Ok::<_, Failure>(Mark { class: printable(class), edges: found, number: row.line })
    };
    boxes.iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use clrp::labels::Labels;

    use super::super::support::{Place, names};

    const PICTURES: [&str; 3] = [
        "val/ILSVRC2012_val_00000002.JPEG",
        "val/n02391049/ILSVRC2012_val_00000001.JPEG",
        "val/n02391049/ILSVRC2012_val_00000003.JPEG",
    ];

    #[test]
    fn kaggles_solution_has_several_boxes_in_a_row() {
        let solution = "ImageId,PredictionString\n\
                        ILSVRC2012_val_00000001,n02391049 1 2 3 4 n02504458 5 6 7 8 n02391049 0 0 1 1 \n\
                        ILSVRC2012_val_00000002,n02391049 1 2 3 4\n\
                        ILSVRC2012_val_00000003,\n\
                        ILSVRC2012_val_00000009,n02391049 1 2 3 4\n";
        let place = Place::with(&[("LOC_val_solution.csv", solution)], &PICTURES);
        let data = place.open("val", &[]).expect("the index lies beside the folder");
        let expected = PICTURES.map(|name| name.replace("val/", ""));
        assert_eq!((names(&data), data.describe()), (expected.to_vec(), "ilsvrc `val`".into()));
        let expected = ["n02391049 1 2 3 4", "n02391049 0 0 1 1", "n02504458 5 6 7 8"];
        assert_eq!(place.shown(&data, 1).expect("it is there"), expected);
        let class = data.class_of("n02391049", &Labels::imagenet(), "net").expect("a zebra");
        assert_eq!(class, 340);
        assert!(place.shown(&data, 2).expect("it can be read").is_empty());
        let arguments = ["--annotations", "@/LOC_val_solution.csv"];
        let data = place.open("val/n02391049", &arguments).expect("the index is given");
        assert_eq!(data.len(), 2);
    }

    #[test]
    fn a_bad_solution_is_refused_with_the_line() {
        let refused = |rows: &str| {
            let text = format!("ImageId,PredictionString\na,n02391049 1 2 3 4\n{rows}");
            Place::with(&[("LOC_val_solution.csv", &text)], &["a.jpg"]).refused("", &[])
        };
        let expected = "`@/LOC_val_solution.csv`, line 3: found 4 words, expected \
                        `wnid x0 y0 x1 y1`, repeated";
        assert_eq!(refused("b,n02391049 1 2 3"), expected);
        assert!(refused("b,n02391049 1 2 3 x").ends_with("line 3: found `x`, expected a number"));
        assert!(refused("a,n02391049 1 2 3 4").ends_with("line 3: `a` has a second row"));
        assert!(refused("b").ends_with("line 3: found 1 fields, expected 2 as in the header"));
        let odd = Place::with(&[("a.csv", "ImageId,Boxes\na,b\n")], &["a.jpg"]);
        let message = odd.refused("", &["--format", "ilsvrc", "--annotations", "@/a.csv"]);
        assert!(
            message.contains("no column for the boxes, expected predictionstring"),
            "{message}"
        );
    }

    #[test]
    fn the_folder_of_the_archive_is_known() {
        let xml = "<annotation><size><width>40</width><height>20</height></size><object>\
                   <name>n02391049</name><bndbox><xmin>2</xmin><ymin>4</ymin><xmax>40</xmax>\
                   <ymax>6</ymax></bndbox></object></annotation>";
        let place = Place::with(
            &[("ILSVRC/Annotations/CLS-LOC/val/a.xml", xml)],
            &["ILSVRC/Data/CLS-LOC/val/a.JPEG"],
        );
        for folder in ["ILSVRC", "ILSVRC/Data/CLS-LOC/val"] {
            let data = place.open(folder, &[]).expect("it is recognised");
            assert_eq!(names(&data), ["a.JPEG"], "{folder}");
            assert_eq!(place.shown(&data, 0).expect("it is there"), ["n02391049 1 2 20 3"]);
        }
    }

    #[test]
    fn numbers_in_xml_are_edges() {
        let xml = "<annotation><size><width>40</width><height>20</height></size><object>\
                   <name>n02391049</name><bndbox><xmin>2</xmin><ymin>4</ymin><xmax>40</xmax>\
                   <ymax>6</ymax></bndbox></object></annotation>";
        // One beside its picture's sub-folder, one in a sub-folder of that name.
        let texts = [
            ("Annotations/ILSVRC2012_val_00000002.xml", xml),
            ("Annotations/n02391049/ILSVRC2012_val_00000001.xml", xml),
            ("other/ILSVRC2012_val_00000003.xml", xml),
        ];
        let place = Place::with(&texts, &PICTURES);
        let data = place.open("val", &[]).expect("the folder lies beside the other");
        for i in [0, 1] {
            assert_eq!(place.shown(&data, i).expect("it is there"), ["n02391049 1 2 20 3"]);
        }
        assert!(place.shown(&data, 2).expect("it can be read").is_empty());
        let data = place.open("val", &["--annotations", "@/other"]).expect("it is given");
        let shown = |i| place.shown(&data, i).expect("it can be read").len();
        assert_eq!([shown(1), shown(2)], [0, 1]);
        let bare = Place::with(&[], &PICTURES);
        let message = bare.refused("val", &["--format", "ilsvrc"]);
        assert!(message.contains("no `LOC_val_solution.csv` and no `Annotations`"), "{message}");
    }
}
