//! Where results go, and where they must not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clrp::Error;

use crate::failure::{Failure, Result};

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

/// A folder that can be written. What was made of it and stayed empty is removed at the end.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    path: PathBuf,
    /// The folders that were not there before, the deepest first.
    made: Vec<PathBuf>,
}

impl OutputFolder {
    /// Makes the folder if it is not there, and tries to write to it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |action| {
            move |source| Failure::from(Error::File { action, path: path.to_owned(), source })
        };
        let missing = path.ancestors().take_while(|folder| {
            !folder.as_os_str().is_empty() && fs::symlink_metadata(folder).is_err()
        });
        // Kept first: what is made before a failure is removed, too.
        let folder = Self { path: path.to_owned(), made: missing.map(Path::to_owned).collect() };
        fs::create_dir_all(path).map_err(failed("create"))?;
        let probe = path.join(format!(".clrp.{}.tmp", std::process::id()));
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).map_err(failed("write to"))?;
        Ok(folder)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        for folder in &self.made {
            // A folder that holds something is not removed, and that is meant.
            let _ = fs::remove_dir(folder);
        }
    }
}
