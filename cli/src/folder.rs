//! Where results go, and where they must not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clrp::Error;
use clrp::image::Picture;

use crate::failure::{Failure, Result};
use crate::report::shown;

/// Refuses to write over a file that is read.
pub(crate) fn spare<'a>(path: &Path, inputs: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    let Ok(real) = fs::canonicalize(path) else { return Ok(()) };
    let is_input = |input: &PathBuf| fs::canonicalize(input).is_ok_and(|input| input == real);
    if inputs.into_iter().any(is_input) {
        let path = path.display();
        return Err(Failure::Said(format!("`{path}` is an input and would be written over")));
    }
    Ok(())
}

/// A folder that could be written when the work began. It is there from the first result on, so
/// that nothing stays behind where there is none.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    path: PathBuf,
}

impl OutputFolder {
    /// Checks that the folder can be made, if it is not there, and be written to.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |action| {
            move |source| Failure::from(Error::File { action, path: path.to_owned(), source })
        };
        let missing = path.ancestors().take_while(|folder| {
            !folder.as_os_str().is_empty() && fs::symlink_metadata(folder).is_err()
        });
        let missing: Vec<&Path> = missing.collect();
        let probe = path.join(format!(".clrp.{}.tmp", std::process::id()));
        let made = fs::create_dir_all(path).map_err(failed("create"));
        let written = made.and_then(|()| {
            let written = File::create(&probe).and_then(|_| fs::remove_file(&probe));
            written.map_err(failed("write to"))
        });
        for folder in missing {
            // What was there meanwhile, or holds something, stays.
            let _ = fs::remove_dir(folder);
        }
        written.map(|()| Self { path: path.to_owned() })
    }

    /// The path of a file in the folder, which is made if it is not there.
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(&self.path).map_err(|source| {
            let path = self.path.clone();
            Failure::from(Error::File { action: "create", path, source })
        })?;
        Ok(self.path.join(name))
    }
}

/// The folder for the files of pictures: none is written over an input, nor over another's.
#[derive(Debug)]
pub(crate) struct Results {
    folder: OutputFolder,
    /// Never to be written over.
    inputs: Vec<PathBuf>,
}

impl Results {
    /// Checks that pictures of one name do not share files, and that the folder can be written.
    pub(crate) fn open(
        folder: &Path,
        pictures: &[PathBuf],
        weights: Option<&PathBuf>,
    ) -> Result<Self> {
        for (i, one) in pictures.iter().enumerate() {
            if let Some(other) = pictures[..i].iter().find(|other| stem(other) == stem(one)) {
                return Err(Failure::Said(format!(
                    "`{}` and `{}` would be written to the same files: take them one by one, with \
                     different folders (-o)",
                    other.display(),
                    one.display()
                )));
            }
        }
        let folder = OutputFolder::open(folder)?;
        Ok(Self { folder, inputs: pictures.iter().chain(weights).cloned().collect() })
    }

    /// The path of a file that may be written.
    pub(crate) fn path(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.file(name)?;
        spare(&path, &self.inputs)?;
        Ok(path)
    }

    /// Saves a picture; returns its path as reports show it.
    pub(crate) fn save(&self, name: &str, picture: &Picture) -> Result<String> {
        let path = self.path(name)?;
        picture.save_png(&path)?;
        Ok(shown(&path))
    }
}

/// What the names of a picture's files start with.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
