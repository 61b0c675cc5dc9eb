//! The file of a run's records: a line of settings, then a line for each picture. Lines are only
//! ever appended, so that whatever ends the run, all but a torn last line is there.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clrp::Error;
use serde::Serialize;

use super::record::{Header, Record};
use crate::failure::{Failure, Result};

/// The name of the file in a run's folder.
pub(crate) const FILE: &str = "records.jsonl";

/// A file of records that grows.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// The numbers of the pictures that are there.
    done: BTreeSet<usize>,
    /// How many of them have no results.
    failed: usize,
}

impl Log {
    /// Starts a new file in the folder, or goes on with the one that is there if `resume`.
    pub(crate) fn open(folder: &Path, header: &Header, resume: bool) -> Result<Self> {
        let path = folder.join(FILE);
        let failed = |action, source| Error::File { action, path: path.clone(), source };
        fs::create_dir_all(folder).map_err(|source| Error::File {
            action: "create",
            path: folder.to_owned(),
            source,
        })?;
        let is_there = fs::metadata(&path).is_ok_and(|found| found.len() > 0);
        if is_there && !resume {
            return Err(Failure::Said(format!(
                "`{}` holds the records of a run: --resume goes on with it, -o takes another folder",
                path.display()
            )));
        }
        let options = OpenOptions::new().read(true).append(true).create(true).clone();
        let mut file = options.open(&path).map_err(|source| failed("open", source))?;
        let mut found = read_lines(&path)?;
        // What a torn line leaves is no record; nor is a torn header a header.
        file.set_len(found.whole).map_err(|source| failed("write", source))?;
        file.seek(SeekFrom::End(0)).map_err(|source| failed("write", source))?;
        let mut log = Self { path, file, done: BTreeSet::new(), failed: 0 };
        match found.header.take() {
            Some(there) => {
                there.check_same(header, &log.path)?;
                log.count(&found.records);
            }
            None => log.write(std::slice::from_ref(header))?,
        }
        Ok(log)
    }

    /// The pictures that are done.
    pub(crate) fn done(&self) -> &BTreeSet<usize> {
        &self.done
    }

    /// Appends records and waits until they are on the disk.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<()> {
        self.write(records)?;
        self.count(records);
        Ok(())
    }

    /// How many pictures have no results.
    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    fn count(&mut self, records: &[Record]) {
        self.done.extend(records.iter().map(|record| record.index));
        self.failed += records.iter().filter(|record| record.error.is_some()).count();
    }

    fn write<T: Serialize>(&mut self, values: &[T]) -> Result<()> {
        let mut lines = Vec::new();
        for value in values {
            serde_json::to_writer(&mut lines, value)
                .map_err(|error| Failure::Said(format!("cannot write JSON: {error}")))?;
            lines.push(b'\n');
        }
        let done = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        done.map_err(|source| {
            let error = Error::File { action: "write", path: self.path.clone(), source };
            Failure::Said(format!("{error}; what was done is kept, --resume goes on with it"))
        })
    }
}

/// What a file of records holds.
struct Found {
    header: Option<Header>,
    records: Vec<Record>,
    /// Bytes of whole lines.
    whole: u64,
}

/// The header and the records of a run's folder, in the order of their pictures.
pub(crate) fn read(folder: &Path) -> Result<(Header, Vec<Record>)> {
    let path = folder.join(FILE);
    let found = read_lines(&path)?;
    let Some(header) = found.header else {
        return Err(Error::Malformed {
            path,
            expected: "file of records",
            found: "it has no line of settings".to_owned(),
        }
        .into());
    };
    let mut records = found.records;
    records.sort_by_key(|record| record.index);
    Ok((header, records))
}

fn read_lines(path: &Path) -> Result<Found> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let mut lines = BufReader::new(File::open(path).map_err(failed)?);
    let mut found = Found { header: None, records: Vec::new(), whole: 0 };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let bytes = lines.read_until(b'\n', &mut line).map_err(failed)?;
        // The last line may be torn.
        if !line.ends_with(b"\n") {
            break;
        }
        let malformed = |error: serde_json::Error| Error::Malformed {
            path: path.to_owned(),
            expected: "file of records",
            found: format!("line {number}: {error}"),
        };
        match found.header {
            None => found.header = Some(serde_json::from_slice(&line).map_err(malformed)?),
            Some(_) => found.records.push(serde_json::from_slice(&line).map_err(malformed)?),
        }
        found.whole += bytes as u64;
    }
    Ok(found)
}

impl Header {
    /// Refuses to mix records that were made otherwise; `path` is where this header is from.
    pub(crate) fn check_same(&self, other: &Self, path: &Path) -> Result<()> {
        if self == other {
            return Ok(());
        }
        let fields = |header: &Self| match serde_json::to_value(header) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (there, wanted) = (fields(self), fields(other));
        let differs = there.iter().find(|(name, value)| wanted.get(*name) != Some(value));
        let (name, value) = differs.map_or(("settings", "others".to_owned()), |(name, value)| {
            (name.as_str(), value.to_string())
        });
        let wanted = wanted.get(name).map(ToString::to_string).unwrap_or_default();
        Err(Failure::Said(format!(
            "`{}` was made with other settings: {name} is {value}, expected {wanted}",
            path.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(seed: u64) -> Header {
        Header {
            experiment: "pointing-game".to_owned(),
            version: "1".to_owned(),
            dataset: "digits".to_owned(),
            pictures: 3,
            dataset_sha256: String::new(),
            networks: Vec::new(),
            device: "cpu".to_owned(),
            precision: "f32".to_owned(),
            composite: "contrastive".to_owned(),
            methods: Vec::new(),
            settings: Vec::new(),
            seed,
            batch: 2,
        }
    }

    fn record(index: usize) -> Record {
        Record::new(index, format!("{index}.png"))
    }

    #[test]
    fn a_torn_last_line_is_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, header) = (folder.path(), header(0));
        let mut log = Log::open(folder, &header, false).expect("a new file");
        log.append(&[record(0), record(1)]).expect("it can be written");
        let path = folder.join(FILE);
        let whole = fs::read(&path).expect("it is there");
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).expect("it can be written");
            let mut log = Log::open(folder, &header, true).expect("it goes on");
            let missing: Vec<Record> =
                [0, 1].into_iter().filter(|i| !log.done().contains(i)).map(record).collect();
            log.append(&missing).expect("it can be written");
            assert_eq!(fs::read(&path).expect("it is there"), whole, "torn at {end}");
        }
        assert_eq!(read(folder).expect("whole"), (header, vec![record(0), record(1)]));
    }

    #[test]
    fn other_settings_and_what_is_there_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        Log::open(folder.path(), &header(0), false).expect("a new file");
        let message = |seed, resume| {
            Log::open(folder.path(), &header(seed), resume).expect_err("refused").to_string()
        };
        assert!(message(0, false).contains("--resume goes on with it"));
        assert!(message(1, true).ends_with("other settings: seed is 0, expected 1"));
        fs::write(folder.path().join(FILE), "no JSON\n").expect("it can be written");
        assert!(message(0, true).contains("line 1: "));
    }
}
