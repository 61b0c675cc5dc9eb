//! `clrp evaluate merge`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use clrp::Error;

use crate::evaluation::log::{self, check_failed, sync_folder};
use crate::evaluation::mean;
use crate::evaluation::record::{Header, Record};
use crate::evaluation::records::RecordFile;
use crate::evaluation::results::finish;
use crate::evaluation::setup::{UnreadableOptions, sha256_of};
use crate::failure::{Failure, Result};
use crate::folder::OutputFolder;

const EXAMPLES: &str = "\
Examples:
  clrp evaluate pointing-game --dataset VOC2007 --shard 1/2 -o one
  clrp evaluate pointing-game --dataset VOC2007 --shard 2/2 -o two
  clrp evaluate merge one two -o both

The results are those of a run of all pictures, to the byte; only the report has no pictures. A
picture that one folder could not read is taken from another that could, also from what is there.
Records of CPUs with other vector units, or of other GPUs, are refused: their last bits differ.";

/// Arguments of `clrp evaluate merge`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Merge {
    /// The folders of the runs
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,

    /// The folder for all records and their results; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,

    #[command(flatten)]
    unreadable: UnreadableOptions,
}

impl Merge {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        // What an earlier merge put together may have been gone on with.
        let mut folders = self.folders.clone();
        if log::is_there(&self.output) {
            folders.push(self.output.clone());
        }
        let files = folders.iter().map(|folder| RecordFile::open(folder));
        let files: Vec<RecordFile> = files.collect::<Result<_>>()?;
        let Some(first) = files.first() else {
            return Err(Failure::Said("no folder was named".to_owned()));
        };
        let header = first.header();
        for (file, folder) in files.iter().zip(&folders) {
            file.header().check_same(header, &folder.join(log::FILE))?;
        }
        let places = places(header, &files, &folders)?;
        let missing = header.pictures - places.len();
        if missing > 0 {
            return Err(Failure::Said(format!(
                "{missing} of {} pictures have no record in the folders: go on with their runs \
                 by --resume, or name the folders of the other shards",
                header.pictures
            )));
        }
        let means = means(header, &folders)?;
        self.write(header, &files, &places, &means)?;
        finish(&self.output, |_| Ok(Vec::new()))
    }

    /// Writes all records, at once, so that what is broken off can be done again; refuses too many
    /// without results.
    fn write(
        &self,
        header: &Header,
        files: &[RecordFile],
        places: &BTreeMap<usize, usize>,
        means: &BTreeMap<String, Vec<u8>>,
    ) -> Result<()> {
        let mut readers = files.iter().map(RecordFile::reader).collect::<Result<Vec<_>>>()?;
        let (mut failed, mut last) = (0, None);
        let mut folder = OutputFolder::open(&self.output)?;
        folder.write_by(log::FILE, |file| {
            let mut lines = BufWriter::new(&*file);
            log::write_line(&mut lines, header)?;
            for (index, number) in places {
                if let Some(record) = readers[*number].record(*index)? {
                    log::write_line(&mut lines, &record)?;
                    failed += usize::from(record.error.is_some());
                    last = record.error.or(last.take());
                }
            }
            lines.flush()?;
            drop(lines);
            // It may take the place of the only other copy.
            Ok(file.sync_all()?)
        })?;
        for (name, bytes) in means {
            folder.write(name, bytes)?;
        }
        let most = self.unreadable.max_unreadable;
        check_failed(failed, last.as_deref(), most, header.pictures)?;
        // Open files cannot be replaced everywhere, and the folder may be one of those read.
        drop(readers);
        folder.commit()?;
        sync_folder(&self.output);
        Ok(())
    }
}

/// For each picture the folder that has its record; the first if several have the same. A picture
/// that has results in one needs none in another.
fn places(
    header: &Header,
    files: &[RecordFile],
    folders: &[PathBuf],
) -> Result<BTreeMap<usize, usize>> {
    let mut readers = files.iter().map(RecordFile::reader).collect::<Result<Vec<_>>>()?;
    let mut places = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        let path = || folders[number].join(log::FILE).display().to_string();
        for index in file.indices() {
            if index >= header.pictures {
                return Err(Failure::Said(format!(
                    "`{}`: a record is of picture {index}, of {} there are",
                    path(),
                    header.pictures
                )));
            }
            let Some(other) = places.get(&index).copied() else {
                places.insert(index, number);
                continue;
            };
            let (one, other) = (readers[number].record(index)?, readers[other].record(index)?);
            let is_failed = |record: &Option<Record>| {
                record.as_ref().is_none_or(|record| record.error.is_some())
            };
            match (is_failed(&one), is_failed(&other)) {
                (true, _) => {}
                (false, true) => drop(places.insert(index, number)),
                (false, false) if one == other => {}
                (false, false) => {
                    return Err(Failure::Said(format!(
                        "`{}`: the record of `{}` differs from that in another folder",
                        path(),
                        one.map(|record| record.name).unwrap_or_default()
                    )));
                }
            }
        }
    }
    Ok(places)
}

/// The mean pictures that the runs made, by the names of their files: those that are on record, so
/// that a run can go on where the records are put together.
fn means(header: &Header, folders: &[PathBuf]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut means = BTreeMap::new();
    for folder in folders {
        let failed = |source| Error::File { action: "list", path: folder.clone(), source };
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !mean::is_mean(&name) || means.contains_key(&name) {
                continue;
            }
            let sha256 = sha256_of(&path)?;
            if header.settings.iter().any(|(_, value)| value.ends_with(&sha256)) {
                let failed = |source| Error::File { action: "read", path: path.clone(), source };
                means.insert(name, fs::read(&path).map_err(failed)?);
            }
        }
    }
    Ok(means)
}
