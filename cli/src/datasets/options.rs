//! The arguments that name a data set.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use clrp::Error;

use super::digits::{Digits, Scenes, SplitName};
use super::files::Files;
use super::format::Format;
use super::{Dataset, Source, boxes, class_folders, coco, ilsvrc, list, voc};
use crate::failure::{Failure, Result};
use crate::options::positive;

/// Which pictures, with what they show.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct DatasetOptions {
    /// Pictures and what they show: a folder, or the built-in scenes of `digits`, without any file
    #[arg(long, value_name = "digits|DIR")]
    dataset: PathBuf,

    /// How the folder is laid out; guessed from what lies in it unless given
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// What the pictures show, where it is not found: boxes.csv, Kaggle's
    /// solution for ILSVRC, COCO's instances_*.json, or a folder of XML files
    #[arg(long, value_name = "PATH")]
    annotations: Option<PathBuf>,

    /// Take the pictures that this file names, a line each (the first column, if there are
    /// several), in its order; voc knows its own by name, as test
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,

    /// Take so many pictures, the first; all unless given, 2000 scenes of digits
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    count: Option<usize>,

    /// digits: how many in a scene, 1 to 3: N, or A-B; 2 unless given
    #[arg(long, value_name = "A-B")]
    digits: Option<Digits>,

    /// digits: which handwritten digits, test unless given
    #[arg(long, value_name = "SPLIT")]
    split: Option<SplitName>,

    /// digits: another seed, other scenes; 0 unless given
    #[arg(long, value_name = "N")]
    dataset_seed: Option<u64>,
}

/// Scenes, unless another number is asked for.
const SCENES: usize = 2000;

impl DatasetOptions {
    /// Whether it is that of the built-in scenes.
    pub(crate) fn is_digits(&self) -> bool {
        self.dataset.as_os_str() == "digits"
    }

    /// Opens the data set.
    pub(crate) fn open(&self) -> Result<Dataset> {
        if self.is_digits() { self.open_digits() } else { self.open_folder() }
    }

    fn open_digits(&self) -> Result<Dataset> {
        let given = [
            ("--format", self.format.is_some()),
            ("--annotations", self.annotations.is_some()),
            ("--list", self.list.is_some()),
        ];
        refuse(&given, "is for folders, not for the built-in `digits`")?;
        let scenes = Scenes {
            split: self.split.unwrap_or(SplitName::Test),
            digits: self.digits.unwrap_or(Digits::PAIR),
            seed: self.dataset_seed.unwrap_or(0),
            count: self.count.unwrap_or(SCENES),
        };
        Ok(Dataset { description: scenes.describe(), source: Source::Scenes(scenes) })
    }

    fn open_folder(&self) -> Result<Dataset> {
        let given = [
            ("--digits", self.digits.is_some()),
            ("--split", self.split.is_some()),
            ("--dataset-seed", self.dataset_seed.is_some()),
        ];
        refuse(&given, "is for `--dataset digits`, not for folders")?;
        let folder = &self.dataset;
        let failed = |source| Error::File { action: "read", path: folder.clone(), source };
        fs::read_dir(folder).map_err(failed)?;

        let annotations = self.annotations.as_deref();
        let format = match self.format {
            Some(format) => format,
            None => Format::guess(folder, annotations)?,
        };
        let mut files = open_as(format, folder, annotations)?;
        let mut notes = Vec::new();
        if let Some(list) = &self.list {
            let lists = match format {
                Format::Voc => vec![folder.join(voc::LISTS)],
                Format::Boxes | Format::Ilsvrc | Format::Coco | Format::Folder => Vec::new(),
            };
            let list = list::locate(list, &lists);
            files.keep_listed(&list)?;
            notes.push(last_part(&list));
        }
        if let Some(count) = self.count.filter(|count| *count < files.len()) {
            notes.push(format!("the first {count} of {}", files.len()));
            files.keep_first(count);
        }
        let mut description = format!("{format} `{}`", last_part(folder));
        if !notes.is_empty() {
            description += &format!(" ({})", notes.join(", "));
        }
        Ok(Dataset { description, source: Source::Files(files) })
    }
}

fn open_as(format: Format, folder: &Path, annotations: Option<&Path>) -> Result<Files> {
    match format {
        Format::Boxes => {
            let index = annotations.map_or_else(|| folder.join(boxes::INDEX), Path::to_owned);
            boxes::open(folder, &index)
        }
        Format::Ilsvrc => ilsvrc::open(folder, annotations),
        Format::Voc => voc::open(folder, annotations),
        Format::Coco => coco::open(folder, annotations),
        Format::Folder => {
            let given = [("--annotations", annotations.is_some())];
            refuse(&given, "is for formats with boxes, not for `folder`")?;
            class_folders::open(folder)
        }
    }
}

/// Refuses the first of the options that is given.
fn refuse(options: &[(&str, bool)], why: &str) -> Result<()> {
    match options.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => Err(Failure::Said(format!("`{name}` {why}"))),
        None => Ok(()),
    }
}

/// The last part of a path, also of `.`.
fn last_part(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().or(whole.file_name()).unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
