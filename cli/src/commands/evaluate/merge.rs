//! `clrp evaluate merge`.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use crate::evaluation::log::{self, check_failed};
use crate::evaluation::record::{Header, Record};
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
        let (header, records) = self.read()?;
        let missing = header.pictures - records.len();
        if missing > 0 {
            return Err(Failure::Said(format!(
                "{missing} of {} pictures have no record in the folders: go on with their runs \
                 by --resume, or name the folders of the other shards",
                header.pictures
            )));
        }
        let mut failed = records.values().filter_map(|record| record.error.as_deref());
        check_failed(
            failed.clone().count(),
            failed.next_back(),
            self.unreadable.max_unreadable,
            header.pictures,
        )?;
        self.write(&header, records.into_values())?;
        finish(&self.output, |_| Ok(Vec::new()))
    }

    /// Writes all records, at once, so that what is broken off can be done again.
    fn write(&self, header: &Header, records: impl Iterator<Item = Record>) -> Result<()> {
        if log::is_there(&self.output) {
            let (there, _) = log::read(&self.output)?;
            header.check_same(&there, &self.output.join(log::FILE))?;
        }
        let mut files = OutputFolder::open(&self.output)?;
        files.write_by(log::FILE, |file| {
            let mut file = BufWriter::new(file);
            log::write_line(&mut file, header)?;
            for record in records {
                log::write_line(&mut file, &record)?;
            }
            file.flush()
        })?;
        files.commit()
    }

    /// The records of all folders, whose settings are the same.
    fn read(&self) -> Result<(Header, BTreeMap<usize, Record>)> {
        let mut all: BTreeMap<usize, Record> = BTreeMap::new();
        let mut first: Option<Header> = None;
        for folder in &self.folders {
            let (header, records) = log::read(folder)?;
            if let Some(first) = &first {
                header.check_same(first, &folder.join(log::FILE))?;
            }
            for record in records {
                if record.index >= header.pictures {
                    return Err(Failure::Said(format!(
                        "`{}`: a record is of picture {}, of {} there are",
                        folder.join(log::FILE).display(),
                        record.index,
                        header.pictures
                    )));
                }
                match all.get(&record.index) {
                    Some(other) if *other != record => {
                        return Err(Failure::Said(format!(
                            "`{}`: the record of `{}` differs from that in another folder",
                            folder.join(log::FILE).display(),
                            record.name
                        )));
                    }
                    Some(_) => {}
                    None => drop(all.insert(record.index, record)),
                }
            }
            first = Some(header);
        }
        let Some(header) = first else {
            return Err(Failure::Said("no folder was named".to_owned()));
        };
        Ok((header, all))
    }
}
