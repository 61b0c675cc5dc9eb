//! The file of a run's records: a line of settings, then a line for each picture. Lines are only
//! ever appended, so that whatever ends the run, all but a torn last line is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use clrp::Error;
use serde::Serialize;

use super::record::{Header, Record};
use super::records::Lines;
use crate::failure::{Failure, Result};

/// The name of the file in a run's folder.
pub(crate) const FILE: &str = "records.jsonl";

/// A file of records that grows.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// The numbers of the pictures that need not run again.
    done: BTreeSet<usize>,
    /// Those of them that have no results, and why.
    failed: BTreeMap<usize, String>,
    /// Those that had no results in an earlier run, and are tried again.
    retried: BTreeSet<usize>,
}

/// A file of records that nobody else writes, before it is known whether the run goes on with it.
#[derive(Debug)]
pub(crate) struct Locked {
    path: PathBuf,
    file: File,
    found: Lines,
}

impl Locked {
    /// The file in the folder; one that has records only if `resume`. `name` is what the data set
    /// calls a picture.
    pub(crate) fn open(
        folder: &Path,
        resume: bool,
        name: Option<&dyn Fn(usize) -> String>,
    ) -> Result<Self> {
        let path = folder.join(FILE);
        let about = |action, source| Error::File { action, path: path.clone(), source };
        if is_there(folder) && !resume {
            return Err(Failure::Said(format!(
                "`{}` holds the records of a run: --resume goes on with it, -o takes another folder",
                path.display()
            )));
        }
        let failed = |source| Error::File { action: "create", path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let options = OpenOptions::new().read(true).append(true).create(true).clone();
        let file = options.open(&path).map_err(|source| about("open", source))?;
        // Let go of when the file is closed, whatever ends the run. Some file systems have none.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Failure::Said(format!(
                "`{}` is written by another run: -o takes another folder",
                path.display()
            )));
        }
        let found = Lines::read(&path, &file, name)?;
        Ok(Self { path, file, found })
    }

    /// The settings of the run that is there.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.found.header.as_ref()
    }

    /// Refuses to mix records that were made otherwise.
    pub(crate) fn check(&self, header: &Header) -> Result<()> {
        match self.header() {
            Some(there) => there.check_same(header, &self.path),
            None => check_torn_header(&self.path, &self.file, header),
        }
    }

    /// Starts the run, or goes on with it.
    pub(crate) fn begin(mut self, header: &Header) -> Result<Log> {
        // Before anything is cut off: another run's file stays as it is.
        self.check(header)?;
        let about = |source| Error::File { action: "write", path: self.path.clone(), source };
        // What a torn line leaves is no record; nor is a torn header a header.
        self.file.set_len(self.found.whole).map_err(about)?;
        self.file.seek(SeekFrom::End(0)).map_err(about)?;
        sync_folder(self.path.parent().unwrap_or(Path::new("")));
        let found = self.found;
        let done = found.indices().filter(|index| !found.failed.contains_key(index)).collect();
        let retried = found.failed.into_keys().collect();
        let (path, file) = (self.path, self.file);
        let mut log = Log { path, file, done, failed: BTreeMap::new(), retried };
        if found.header.is_none() {
            log.write(std::slice::from_ref(header))?;
        }
        Ok(log)
    }
}

impl Log {
    /// The pictures that are done; those without results are tried again once.
    pub(crate) fn done(&self) -> &BTreeSet<usize> {
        &self.done
    }

    /// Appends records and waits until they are on the disk. One that could not be read again is
    /// written as that of a picture without results.
    pub(crate) fn append(&mut self, records: Vec<Record>) -> Result<()> {
        let records: Vec<Record> = records.into_iter().map(readable).collect();
        // What still has no results is there already.
        let is_there =
            |record: &Record| record.error.is_some() && self.retried.contains(&record.index);
        let new: Vec<&Record> = records.iter().filter(|record| !is_there(record)).collect();
        self.write(&new)?;
        self.count(&records);
        Ok(())
    }

    /// Refuses that more pictures than the share `most` of `all` are without results.
    pub(crate) fn check_failed(&self, most: f64, all: usize) -> Result<()> {
        let last = self.failed.values().next_back();
        check_failed(self.failed.len(), last.map(String::as_str), most, all)
    }

    /// Lets others write the file.
    pub(crate) fn unlock(&self) {
        // Where there are no locks there is nothing to let go of.
        let _ = self.file.unlock();
    }

    fn count(&mut self, records: &[Record]) {
        for record in records {
            self.done.insert(record.index);
            self.retried.remove(&record.index);
            if let Some(error) = &record.error {
                self.failed.insert(record.index, error.clone());
            }
        }
    }

    fn write<T: Serialize>(&mut self, values: &[T]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        let made = values.iter().try_for_each(|value| write_line(&mut lines, value));
        let write = |()| self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        made.and_then(write).map_err(|source| {
            let error = Error::File { action: "write", path: self.path.clone(), source };
            Failure::Said(format!("{error}; what was done is kept, --resume goes on with it"))
        })
    }
}

/// Refuses a file without a line of settings that is no torn one of these.
fn check_torn_header(path: &Path, mut file: &File, header: &Header) -> Result<()> {
    let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
    let mut wanted = Vec::new();
    write_line(&mut wanted, header).map_err(failed)?;
    let mut there = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.take(wanted.len() as u64 + 1).read_to_end(&mut there).map_err(failed)?;
    if wanted.starts_with(&there) {
        return Ok(());
    }
    let found = "its first line is no whole line of settings, nor the start of this run's";
    Err(Error::Malformed {
        path: path.to_owned(),
        expected: "file of records",
        found: found.to_owned(),
    }
    .into())
}

/// Refuses that more pictures than the share `most` of `all` are without results; `last` is why
/// the last of them is.
pub(crate) fn check_failed(failed: usize, last: Option<&str>, most: f64, all: usize) -> Result<()> {
    if failed as f64 <= most * all as f64 {
        return Ok(());
    }
    Err(Failure::Said(format!(
        "{failed} of {all} pictures are unreadable, more than --max-unreadable {most}; the last: {}",
        last.unwrap_or_default()
    )))
}

/// Waits until the names in a folder last as what is behind them; where folders cannot be opened,
/// they do.
pub(crate) fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Writes the settings, or a record.
pub(crate) fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Whether the folder has records.
pub(crate) fn is_there(folder: &Path) -> bool {
    fs::metadata(folder.join(FILE)).is_ok_and(|found| found.len() > 0)
}

/// The record, if it is the same when it is read again: JSON has no numbers that are not finite.
fn readable(record: Record) -> Record {
    let again = serde_json::to_vec(&record).and_then(|text| serde_json::from_slice(&text));
    if again.is_ok_and(|again: Record| again == record) {
        return record;
    }
    let error = "a result is no finite number".to_owned();
    Record::failed(record.index, record.name, error)
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
    use super::super::records::{RecordFile, first_of};
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
            rules: "conv=z-plus".to_owned(),
            methods: Vec::new(),
            settings: Vec::new(),
            seed,
            batch: 2,
        }
    }

    fn record(index: usize) -> Record {
        Record::new(index, format!("{index}.png"))
    }

    fn open(folder: &Path, header: &Header, resume: bool) -> Result<Log> {
        Locked::open(folder, resume, None)?.begin(header)
    }

    fn read(folder: &Path) -> Result<(Header, Vec<Record>)> {
        let file = RecordFile::open(folder)?;
        Ok((file.header().clone(), first_of(&file, usize::MAX, |_| true)?))
    }

    #[test]
    fn a_torn_last_line_is_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, header) = (folder.path(), header(0));
        let mut log = open(folder, &header, false).expect("a new file");
        log.append(vec![record(0), record(1)]).expect("it can be written");
        let other = open(folder, &header, true).expect_err("it is open").to_string();
        assert!(other.contains("is written by another run"), "{other}");
        drop(log);
        let path = folder.join(FILE);
        let whole = fs::read(&path).expect("it is there");
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).expect("it can be written");
            let mut log = open(folder, &header, true).expect("it goes on");
            let missing: Vec<Record> =
                [0, 1].into_iter().filter(|i| !log.done().contains(i)).map(record).collect();
            log.append(missing).expect("it can be written");
            assert_eq!(fs::read(&path).expect("it is there"), whole, "torn at {end}");
        }
        assert_eq!(read(folder).expect("whole"), (header.clone(), vec![record(0), record(1)]));

        // A last line whose middle is lost is torn; one before it is no file of records.
        let lost = |line: usize| {
            let text = String::from_utf8(whole.clone()).expect("it is UTF-8");
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let mark = |(i, text): (usize, &String)| match i == line {
                true => format!("{}\0\0\n", &text[..text.len() - 2]),
                false => format!("{text}\n"),
            };
            fs::write(&path, lines.iter().enumerate().map(mark).collect::<String>())
                .expect("it can be written");
        };
        lost(2);
        let log = open(folder, &header, true).expect("it goes on");
        assert_eq!(log.done().len(), 1);
        drop(log);
        lost(1);
        let error = open(folder, &header, true).expect_err("refused").to_string();
        assert!(error.contains("line 2: "), "{error}");
    }

    #[test]
    fn a_picture_has_one_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, header) = (folder.path(), header(0));
        let mut log = open(folder, &header, false).expect("a new file");
        log.append(vec![record(0), record(0)]).expect("it can be written");
        drop(log);
        assert_eq!(read(folder).expect("one twice").1, [record(0)]);
        let mut log = open(folder, &header, true).expect("it goes on");
        log.append(vec![Record::failed(0, "0.png".to_owned(), "torn".to_owned())])
            .expect("it can be written");
        log.check_failed(0.5, 2).expect("half of them");
        let many = log.check_failed(0.4, 2).expect_err("too many").to_string();
        assert!(many.contains("1 of 2 pictures are unreadable") && many.ends_with("torn"));
        drop(log);
        let error = read(folder).expect_err("they differ").to_string();
        assert!(error.ends_with("two records of picture 0 differ"), "{error}");
    }

    #[test]
    fn a_picture_without_results_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, header) = (folder.path(), header(0));
        let torn = || Record::failed(1, "1.png".to_owned(), "torn".to_owned());
        let mut log = open(folder, &header, false).expect("a new file");
        log.append(vec![record(0), torn()]).expect("it can be written");
        drop(log);
        let before = fs::read(folder.join(FILE)).expect("it is there");

        // Still torn: nothing is written, and it counts as before.
        let mut log = open(folder, &header, true).expect("it goes on");
        assert!(log.done().iter().eq([&0]) && log.check_failed(0.0, 2).is_ok());
        log.append(vec![torn()]).expect("it can be written");
        assert!(log.done().len() == 2 && log.check_failed(0.4, 2).is_err());
        drop(log);
        assert_eq!(fs::read(folder.join(FILE)).expect("it is there"), before);

        // Mended.
        let mut log = open(folder, &header, true).expect("it goes on");
        log.append(vec![record(1)]).expect("it can be written");
        log.check_failed(0.0, 2).expect("all are there");
        drop(log);
        assert_eq!(read(folder).expect("one each").1, [record(0), record(1)]);
        assert_eq!(open(folder, &header, true).expect("it goes on").done().len(), 2);
    }

    #[test]
    fn what_cannot_be_read_again_is_a_picture_without_results() {
        let odd = |score| {
            let object = super::super::testing::object(0, Vec::new());
            let object = super::super::record::ObjectRecord { score, ..object };
            Record { objects: vec![object], ..record(0) }
        };
        assert_eq!(readable(odd(1.0)), odd(1.0));
        let failed = readable(odd(f64::NAN));
        assert_eq!(failed.error.as_deref(), Some("a result is no finite number"));
        assert!(failed.objects.is_empty());
    }

    #[test]
    fn other_settings_and_what_is_there_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path(), &header(0), false).expect("a new file");
        let message = |seed, resume| {
            open(folder.path(), &header(seed), resume).expect_err("refused").to_string()
        };
        assert!(message(0, false).contains("--resume goes on with it"));
        assert!(message(1, true).ends_with("other settings: seed is 0, expected 1"));
        fs::write(folder.path().join(FILE), "no JSON\n").expect("it can be written");
        assert!(message(0, true).contains("line 1: "));
    }
}
