//! Where results go, and where they must not.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clrp::Error;
use tempfile::{Builder, TempDir};

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

/// Why a file is not whole.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// It could not be written.
    File(io::Error),
    /// What it was made of failed.
    Content(Failure),
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<Failure> for Unwritten {
    fn from(failure: Failure) -> Self {
        Self::Content(failure)
    }
}

/// A folder for the files of a run. They appear together when the run has come to its end: until
/// [`commit`](Self::commit) they lie in a hidden folder inside, and nothing is left of them, nor
/// of folders that were made, where the run fails.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    path: PathBuf,
    /// The paths that the files will have, in the order in which they were written.
    files: Vec<PathBuf>,
    /// Made with the first file.
    hidden: Option<TempDir>,
    /// What was not there before, the innermost first.
    made: Vec<PathBuf>,
}

impl OutputFolder {
    /// Checks that the folder can be made, if it is not there, and be written to.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut folder =
            Self { path: path.to_owned(), files: Vec::new(), hidden: None, made: Vec::new() };
        folder.start()?;
        // A run that is broken off before its first file leaves nothing.
        folder.clear();
        Ok(folder)
    }

    /// Makes the hidden folder, and those around it.
    fn start(&mut self) -> Result<&Path> {
        let failed = |action| {
            let path = self.path.clone();
            move |source| Failure::from(Error::File { action, path, source })
        };
        let hidden = match self.hidden.take() {
            Some(hidden) => hidden,
            None => {
                let missing = self.path.ancestors().take_while(|folder| {
                    !folder.as_os_str().is_empty() && fs::symlink_metadata(folder).is_err()
                });
                self.made = missing.map(Path::to_owned).collect();
                fs::create_dir_all(&self.path).map_err(failed("create"))?;
                let hidden = Builder::new().prefix(".clrp.").suffix(".tmp").tempdir_in(&self.path);
                hidden.map_err(failed("write to"))?
            }
        };
        Ok(self.hidden.insert(hidden).path())
    }

    /// Removes what was made.
    fn clear(&mut self) {
        self.hidden = None;
        for folder in self.made.drain(..) {
            // What was there meanwhile, or holds something, stays.
            let _ = fs::remove_dir(folder);
        }
    }

    /// Writes a file; returns the path that it will have.
    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        self.write_by(name, |file| Ok(file.write_all(bytes)?))
    }

    /// The same piece by piece.
    pub(crate) fn write_by(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut File) -> Result<(), Unwritten>,
    ) -> Result<PathBuf> {
        let path = self.path.join(name);
        let failed = |source| Error::File { action: "write", path: path.clone(), source };
        if fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
            return Err(failed(ErrorKind::IsADirectory.into()).into());
        }
        let hidden = self.start()?.join(name);
        match File::create(hidden).map_err(Unwritten::File).and_then(|mut file| write(&mut file)) {
            Ok(()) => {}
            Err(Unwritten::File(source)) => return Err(failed(source).into()),
            Err(Unwritten::Content(failure)) => return Err(failure),
        }
        if !self.files.contains(&path) {
            self.files.push(path.clone());
        }
        Ok(path)
    }

    /// Gives all files their names.
    pub(crate) fn commit(mut self) -> Result<()> {
        let Some(hidden) = &self.hidden else { return Ok(()) };
        for path in &self.files {
            // A link stays one.
            let target = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            let name = path.file_name().unwrap_or_default();
            fs::rename(hidden.path().join(name), target).map_err(|source| {
                let path = path.clone();
                Failure::from(Error::File { action: "write", path, source })
            })?;
        }
        self.made.clear();
        Ok(())
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        self.clear();
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
        Self::of_pages(folder, pictures, weights)
    }

    /// The same where pictures share files, or have none.
    pub(crate) fn of_pages(
        folder: &Path,
        pictures: &[PathBuf],
        weights: Option<&PathBuf>,
    ) -> Result<Self> {
        let folder = OutputFolder::open(folder)?;
        Ok(Self { folder, inputs: pictures.iter().chain(weights).cloned().collect() })
    }

    /// Writes a file; returns its path as reports show it.
    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<String> {
        spare(&self.folder.path.join(name), &self.inputs)?;
        Ok(shown(&self.folder.write(name, bytes)?))
    }

    /// Gives all files their names.
    pub(crate) fn commit(self) -> Result<()> {
        self.folder.commit()
    }
}

/// What the names of a picture's files start with.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
