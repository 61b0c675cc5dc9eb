//! Where fetched files lie.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::error::{Error, Result};
use super::published::Published;

/// A folder of fetched files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The user's: what `CLRP_CACHE` names, else `clrp` in the system's folder for such files
    /// (`$XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`, on Windows the local
    /// application data).
    ///
    /// # Errors
    /// [`Error::NoCacheFolder`] if neither is known.
    pub fn user() -> Result<Self> {
        let system = || Some(etcetera::base_strategy::choose_native_strategy().ok()?.cache_dir());
        choose(env::var_os("CLRP_CACHE"), system)
    }

    /// That folder, which need not exist yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the file of those weights lies, once it is fetched.
    pub fn path(&self, model: &Published) -> PathBuf {
        self.folder.join(model.file)
    }

    /// The file of those weights, if it is there.
    ///
    /// It may have been put there by hand, or be damaged: [`fetch`](super::fetch) checks it before
    /// it asks the network for anything.
    pub fn cached(&self, model: &Published) -> Option<PathBuf> {
        Some(self.path(model)).filter(|path| path.is_file())
    }
}

fn choose(named: Option<OsString>, system: impl FnOnce() -> Option<PathBuf>) -> Result<Cache> {
    match named.filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(Cache::at(folder)),
        None => system().map(|folder| Cache::at(folder.join("clrp"))).ok_or(Error::NoCacheFolder),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_variable_goes_before_the_system() {
        let system = || Some(PathBuf::from("system"));
        let folder = |named: Option<&str>| choose(named.map(OsString::from), system);
        assert_eq!(folder(Some("mine")).expect("it is named"), Cache::at("mine"));
        assert_eq!(folder(Some("")).expect("it is known"), Cache::at("system/clrp"));
        assert_eq!(folder(None).expect("it is known"), Cache::at("system/clrp"));
        assert!(matches!(choose(None, || None), Err(Error::NoCacheFolder)));
    }

    #[test]
    fn only_a_file_is_cached() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (cache, model) = (Cache::at(folder.path()), &super::super::PUBLISHED[0]);
        assert_eq!(cache.cached(model), None);
        fs::create_dir(cache.path(model)).expect("it can be created");
        assert_eq!(cache.cached(model), None);
        fs::remove_dir(cache.path(model)).expect("it can be removed");
        fs::write(cache.path(model), b"x").expect("it can be written");
        assert_eq!(cache.cached(model), Some(cache.path(model)));
    }
}
