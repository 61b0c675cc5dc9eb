//! How a data set's files are laid out, and guessing that.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::listing::pictures;
use super::sheet::Sheet;
use super::text::wrong;
use super::{boxes, coco, ilsvrc, voc};
use crate::failure::Result;

/// How a data set's files are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Pictures with a boxes.csv: a row for each box
    Boxes,
    /// ILSVRC's pictures with XML files, or with Kaggle's solution as CSV
    Ilsvrc,
    /// VOC2007, or another year
    Voc,
    /// Pictures with an instances_*.json
    Coco,
    /// A sub-folder for each class, without boxes
    Folder,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Boxes => "boxes",
            Format::Ilsvrc => "ilsvrc",
            Format::Voc => "voc",
            Format::Coco => "coco",
            Format::Folder => "folder",
        })
    }
}

impl Format {
    /// The format of a folder and of annotations, if those are given.
    pub(super) fn guess(folder: &Path, annotations: Option<&Path>) -> Result<Self> {
        if let Some(annotations) = annotations {
            return Self::of_annotations(folder, annotations);
        }
        let is_voc = folder.join(voc::PICTURES).is_dir();
        // The annotations beside VOC's pictures would be read otherwise.
        let is_ilsvrc =
            !is_voc && !folder.ends_with(voc::PICTURES) && ilsvrc::find(folder).is_some();
        let signs = [
            (Format::Boxes, folder.join(boxes::INDEX).is_file()),
            (Format::Ilsvrc, is_ilsvrc),
            (Format::Voc, is_voc),
            (Format::Coco, !coco::find(folder).is_empty()),
        ];
        let found: Vec<Format> =
            signs.into_iter().filter(|(_, is_there)| *is_there).map(|(format, _)| format).collect();
        match found[..] {
            [format] => Ok(format),
            // Other formats have sub-folders too.
            [] if pictures(folder, "")?.iter().any(|name| name.contains('/')) => Ok(Format::Folder),
            [] => Err(wrong(
                folder,
                format!(
                    "found no data set: no `{}`, no `{}` or folder `Annotations` of XML files, no \
                 folder `{}`, no `instances_*.json`, and no sub-folders with pictures; `--format` \
                 and `--annotations` tell what it is",
                    boxes::INDEX,
                    ilsvrc::SOLUTION,
                    voc::PICTURES
                ),
            )),
            _ => {
                let found: Vec<String> = found.iter().map(|format| format!("`{format}`")).collect();
                Err(wrong(
                    folder,
                    format!("it may be {}; `--format` tells which", found.join(" or ")),
                ))
            }
        }
    }

    fn of_annotations(folder: &Path, annotations: &Path) -> Result<Self> {
        let ending = annotations.extension().unwrap_or_default().to_ascii_lowercase();
        if annotations.is_dir() {
            let is_voc = folder.join(voc::PICTURES).is_dir();
            return Ok(if is_voc { Format::Voc } else { Format::Ilsvrc });
        }
        if ending == "json" {
            return Ok(Format::Coco);
        }
        if ending == "csv" {
            let is_solution = Sheet::open(annotations)?.column(&["predictionstring"]).is_some();
            return Ok(if is_solution { Format::Ilsvrc } else { Format::Boxes });
        }
        Err(wrong(annotations, "expected a folder of XML files, a .csv or a .json file"))
    }
}

/// A folder, and the one that it lies in.
pub(super) fn around(folder: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(folder).ok();
    let parent = absolute.as_deref().and_then(Path::parent).map(Path::to_owned);
    [Some(folder.to_owned()), parent].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::support::{Place, open};
    use super::*;

    fn guessed(texts: &[(&str, &str)], annotations: Option<&str>) -> Result<Format, String> {
        let place = Place::with(texts, &[]);
        let annotations = annotations.map(|name| place.path(name));
        let guess = Format::guess(&place.path("data"), annotations.as_deref());
        guess.map_err(|failure| place.abridged(&failure.to_string()))
    }

    #[test]
    fn formats_are_known_by_their_files() {
        let of = |names: &[&str]| {
            guessed(&names.iter().map(|name| (*name, "")).collect::<Vec<_>>(), None)
        };
        assert_eq!(of(&["data/boxes.csv", "data/images/a.png"]), Ok(Format::Boxes));
        assert_eq!(of(&["data/a.JPEG", "LOC_val_solution.csv"]), Ok(Format::Ilsvrc));
        assert_eq!(of(&["data/a.JPEG", "data/Annotations/a.xml"]), Ok(Format::Ilsvrc));
        assert_eq!(of(&["data/JPEGImages/a.jpg", "data/Annotations/a.xml"]), Ok(Format::Voc));
        assert_eq!(of(&["data/a.jpg", "annotations/instances_a.json"]), Ok(Format::Coco));
        assert_eq!(of(&["data/cat/a.jpg", "data/dog/b.jpg"]), Ok(Format::Folder));
        // A folder without XML files is no sign.
        assert_eq!(of(&["data/cat/a.jpg", "annotations/a.txt"]), Ok(Format::Folder));

        let expected = "`@/data`: it may be `boxes` or `voc`; `--format` tells which";
        assert_eq!(of(&["data/boxes.csv", "data/JPEGImages/a.jpg"]), Err(expected.to_owned()));
        let message = of(&["data/a.jpg"]).expect_err("it could be anything");
        assert!(
            message.starts_with("`@/data`: found no data set: no `boxes.csv`, no"),
            "{message}"
        );
    }

    #[test]
    fn given_annotations_tell_the_format() {
        let solution = ("a.csv", "ImageId,PredictionString\na,b\n");
        let of = |texts: &[(&str, &str)], name| guessed(texts, Some(name));
        assert_eq!(of(&[solution], "a.csv"), Ok(Format::Ilsvrc));
        assert_eq!(of(&[("a.csv", "file,class\na,b\n")], "a.csv"), Ok(Format::Boxes));
        assert_eq!(of(&[], "a.JSON"), Ok(Format::Coco));
        assert_eq!(of(&[("x/a.xml", "")], "x"), Ok(Format::Ilsvrc));
        assert_eq!(of(&[("data/JPEGImages/a.jpg", ""), ("x/a.xml", "")], "x"), Ok(Format::Voc));
        let message = of(&[], "a.txt").expect_err("it could be anything");
        assert_eq!(message, "`@/a.txt`: expected a folder of XML files, a .csv or a .json file");
    }

    #[test]
    fn folders_without_pictures_are_refused() {
        let place = Place::with(&[("empty/a/b.txt", ""), ("file", "")], &[]);
        assert!(place.refused("empty", &[]).starts_with("`@/empty`: found no data set"));
        assert!(place.refused("nothing", &[]).starts_with("cannot read `@/nothing`"));
        assert!(place.refused("file", &[]).starts_with("cannot read `@/file`"));
        let arguments = ["--format", "ilsvrc", "--annotations", "@/empty"];
        let expected = "no pictures (.jpg, .jpeg, .png, .webp) were found";
        assert!(place.refused("empty", &arguments).ends_with(expected));
        assert!(place.refused("empty", &["--format", "voc"]).starts_with("cannot read"));
        for option in ["--digits=2", "--split=test", "--dataset-seed=1"] {
            let name = option.split('=').next().expect("a name");
            let expected = format!("`{name}` is for `--dataset digits`, not for folders");
            assert_eq!(place.refused("empty", &[option]), expected);
        }
        assert!(open(&[]).expect_err("it is needed").contains("--dataset"));
    }
}
