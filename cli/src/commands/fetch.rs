//! `clrp fetch`: brings torchvision's weights into the cache folder.

use std::env;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use clrp_weights::fetch::{self, BASE, Cache, Fetched, PUBLISHED, Phase, Progress, Published};

use crate::console::{print, progress_of_bytes};
use crate::failure::{Failure, Result};
use crate::known::Known;
use crate::table::{Table, thousands};

const EXAMPLES: &str = "\
Examples:
  clrp fetch squeezenet1_1 vgg16
  clrp fetch --list

A line for each model: path, bytes and SHA-256, with tabs between. A download that was broken off
goes on where it stopped. Files whose SHA-256 does not start as their names say are not kept.

Environment:
  CLRP_CACHE   the cache folder, where --cache is not given
  CLRP_MIRROR  an address that has the files of https://download.pytorch.org/models/
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY";

/// Arguments of `clrp fetch`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Fetch {
    /// Networks by torchvision's names
    #[arg(value_name = "MODEL", required_unless_present = "list", value_parser = Known::PUBLISHED)]
    models: Vec<String>,

    /// The folder of fetched files [default: `clrp` in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// List the files, and which are there
    #[arg(long, conflicts_with = "models")]
    list: bool,
}

impl Fetch {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let cache = match &self.cache {
            Some(folder) => Cache::at(folder),
            None => Cache::user()?,
        };
        if self.list {
            return print(list(&cache));
        }
        // All names first, so that a wrong one does not cost a download.
        let found: Result<Vec<_>> =
            self.models.iter().map(|name| Ok(Published::find(name)?)).collect();
        for model in found? {
            let Fetched { path, bytes, sha256 } = fetch_shown(model, &cache, "")?;
            print(format!("{}\t{bytes}\t{sha256}\n", path.display()))?;
        }
        Ok(())
    }
}

/// Every published file; those that are cached are not checked here.
fn list(cache: &Cache) -> Table {
    let mut table = Table::new(["model", "file", ">MB", "cached"]);
    for model in PUBLISHED {
        let cached = if cache.cached(model).is_some() { "yes" } else { "no" };
        let megabytes = usize::try_from(model.megabytes()).unwrap_or(usize::MAX);
        let cells = [model.model, model.file, &thousands(megabytes), cached];
        table.row(cells.map(str::to_owned));
    }
    table
}

/// Fetches a file under a progress bar, unless it is there as it should be. `instead` is what else
/// can be done with a file that the user fetched, with a comma and "or" behind it.
pub(crate) fn fetch_shown(model: &Published, cache: &Cache, instead: &str) -> Result<Fetched> {
    let mirror = env::var("CLRP_MIRROR").ok().filter(|mirror| !mirror.is_empty());
    let base = mirror.as_deref().unwrap_or(BASE);
    let bar = progress_of_bytes(model.size, model.model);
    let mut resumed_from = 0;
    let show = |progress: Progress| {
        bar.set_length(progress.total.unwrap_or(model.size));
        bar.set_position(progress.done);
        if progress.resumed_from != resumed_from {
            // What was there already says nothing about the speed.
            bar.reset_eta();
            resumed_from = progress.resumed_from;
        }
        bar.set_message(match progress.phase {
            Phase::Waiting => format!("{}: waits for another download", model.model),
            Phase::Downloading => model.model.to_owned(),
            Phase::Checking => format!("{}: checks", model.model),
        });
        ControlFlow::Continue(())
    };
    let fetched = fetch::fetch(&model.source(base)?, cache.folder(), show);
    bar.finish_and_clear();
    fetched.map_err(|error| {
        if let fetch::Error::Unreachable { path, .. } = &error {
            let path = path.display();
            let advice = format!("fetch it yourself and {instead}put it to `{path}`");
            return Failure::Said(format!("{error}; {advice}"));
        }
        error.into()
    })
}
