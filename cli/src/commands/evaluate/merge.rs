//! `clrp evaluate merge`.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use crate::evaluation::log::{self, check_failed};
use crate::evaluation::record::Header;
use crate::evaluation::records::RecordFile;
use crate::evaluation::results::finish;
use crate::evaluation::setup::UnreadableOptions;
use crate::failure::{Failure, Result};
use crate::folder::OutputFolder;

const EXAMPLES: &str = "\
Examples:
  clrp evaluate pointing-game --dataset VOC2007 --shard 1/2 -o one
  clrp evaluate pointing-game --dataset VOC2007 --shard 2/2 -o two
  clrp evaluate merge one two -o both

The results are those of a run of all pictures, to the byte; only the report has no pictures.";

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
        let files = self.folders.iter().map(|folder| RecordFile::open(folder));
        let files: Vec<RecordFile> = files.collect::<Result<_>>()?;
        let Some(first) = files.first() else {
            return Err(Failure::Said("no folder was named".to_owned()));
        };
        let header = first.header();
        for (file, folder) in files.iter().zip(&self.folders) {
            file.header().check_same(header, &folder.join(log::FILE))?;
        }
        let places = self.places(header, &files)?;
        let missing = header.pictures - places.len();
        if missing > 0 {
            return Err(Failure::Said(format!(
                "{missing} of {} pictures have no record in the folders: go on with their runs \
                 by --resume, or name the folders of the other shards",
                header.pictures
            )));
        }
        self.write(header, &files, &places)?;
        finish(&self.output, |_| Ok(Vec::new()))
    }

    /// For each picture the folder that has its record; the first if several have the same.
    fn places(&self, header: &Header, files: &[RecordFile]) -> Result<BTreeMap<usize, usize>> {
        let mut readers = files.iter().map(RecordFile::reader).collect::<Result<Vec<_>>>()?;
        let mut places = BTreeMap::new();
        for (number, file) in files.iter().enumerate() {
            let path = || self.folders[number].join(log::FILE).display().to_string();
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
                if one != other {
                    return Err(Failure::Said(format!(
                        "`{}`: the record of `{}` differs from that in another folder",
                        path(),
                        one.map(|record| record.name).unwrap_or_default()
                    )));
                }
            }
        }
        Ok(places)
    }

    /// Writes all records, at once, so that what is broken off can be done again; refuses too many
    /// without results.
    fn write(
        &self,
        header: &Header,
        files: &[RecordFile],
        places: &BTreeMap<usize, usize>,
    ) -> Result<()> {
        if log::is_there(&self.output) {
            let there = RecordFile::open(&self.output)?;
            header.check_same(there.header(), &self.output.join(log::FILE))?;
        }
        let mut readers = files.iter().map(RecordFile::reader).collect::<Result<Vec<_>>>()?;
        let (mut failed, mut last) = (0, None);
        let mut folder = OutputFolder::open(&self.output)?;
        folder.write_by(log::FILE, |file| {
            let mut file = BufWriter::new(file);
            log::write_line(&mut file, header)?;
            for (index, number) in places {
                if let Some(record) = readers[*number].record(*index)? {
                    log::write_line(&mut file, &record)?;
                    failed += usize::from(record.error.is_some());
                    last = record.error.or(last.take());
                }
            }
            Ok(file.flush()?)
        })?;
        let most = self.unreadable.max_unreadable;
        check_failed(failed, last.as_deref(), most, header.pictures)?;
        // Open files cannot be replaced everywhere, and the folder may be one of those read.
        drop(readers);
        folder.commit()
    }
}
