//! The records of a run's folder, read one by one: a data set may have more of them than memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use clrp::Error;

use super::log::FILE;
use super::record::{Header, Record};
use crate::failure::{Failure, Result};

/// Records that can be gone through again and again, in the order of their pictures.
pub(crate) trait Records {
    /// Shows every record to `visit`, until that fails.
    fn each<E: From<Failure>>(&self, visit: impl FnMut(&Record) -> Result<(), E>) -> Result<(), E>;

    /// Shows every record to `visit`, which cannot fail.
    fn all(&self, mut visit: impl FnMut(&Record)) -> Result<()> {
        self.each(|record| {
            visit(record);
            Ok(())
        })
    }
}

impl Records for [Record] {
    fn each<E: From<Failure>>(&self, visit: impl FnMut(&Record) -> Result<(), E>) -> Result<(), E> {
        let mut records: Vec<&Record> = self.iter().collect();
        records.sort_by_key(|record| record.index);
        records.into_iter().try_for_each(visit)
    }
}

/// The first records, at most so many, for which `is_wanted` holds.
pub(crate) fn first_of(
    records: &(impl Records + ?Sized),
    most: usize,
    is_wanted: impl Fn(&Record) -> bool,
) -> Result<Vec<Record>> {
    let mut found = Vec::new();
    let ended = records.each(|record| {
        if is_wanted(record) {
            found.push(record.clone());
        }
        if found.len() < most { Ok(()) } else { Err(Ended::Enough) }
    });
    match ended {
        Ok(()) | Err(Ended::Enough) => Ok(found),
        Err(Ended::Failed(failure)) => Err(failure),
    }
}

/// Why not all records were gone through.
enum Ended {
    Enough,
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The records of a file; only where they lie is held in memory.
#[derive(Debug)]
pub(crate) struct RecordFile {
    path: PathBuf,
    header: Header,
    /// By the numbers of the pictures.
    places: BTreeMap<usize, Place>,
}

/// A line of a file.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    /// Bytes with the line's end.
    len: usize,
}

impl RecordFile {
    /// Those of a run's folder. Each is read once, to see that it can be.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let file = opened(&path)?;
        let lines = Lines::read(&path, &file, None)?;
        let Some(header) = lines.header else {
            return Err(malformed(&path, "it has no line of settings".to_owned()));
        };
        Ok(Self { path, header, places: lines.places })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The numbers of the pictures that have records, in order.
    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.keys().copied()
    }

    /// What reads one record after the other.
    pub(crate) fn reader(&self) -> Result<RecordReader<'_>> {
        Ok(RecordReader { records: self, lines: BufReader::new(opened(&self.path)?), at: 0 })
    }
}

impl Records for RecordFile {
    fn each<E: From<Failure>>(
        &self,
        mut visit: impl FnMut(&Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = self.reader()?;
        for index in self.indices() {
            reader.record(index)?.iter().try_for_each(&mut visit)?;
        }
        Ok(())
    }
}

/// Reads single records of a file.
pub(crate) struct RecordReader<'a> {
    records: &'a RecordFile,
    lines: BufReader<File>,
    at: u64,
}

impl RecordReader<'_> {
    /// The record of a picture, if it has one.
    pub(crate) fn record(&mut self, index: usize) -> Result<Option<Record>> {
        let path = &self.records.path;
        let Some(place) = self.records.places.get(&index) else { return Ok(None) };
        let line = line_at(&mut self.lines, &mut self.at, *place);
        let line = line.map_err(|source| read_failed(path, source))?;
        let record = serde_json::from_slice(&line);
        record.map(Some).map_err(|error| malformed(path, format!("picture {index}: {error}")))
    }
}

/// Reads the line at a place, from where the reader is `at`: a short way needs no seek, which would
/// empty the buffer.
fn line_at<R: Read + Seek>(
    lines: &mut BufReader<R>,
    at: &mut u64,
    place: Place,
) -> io::Result<Vec<u8>> {
    lines.seek_relative(place.start as i64 - *at as i64)?;
    let mut line = vec![0; place.len];
    lines.read_exact(&mut line)?;
    *at = place.start + place.len as u64;
    Ok(line)
}

/// What a file of records holds.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) header: Option<Header>,
    places: BTreeMap<usize, Place>,
    /// The pictures without results, and why they have none.
    pub(super) failed: BTreeMap<usize, String>,
    /// Bytes of whole lines.
    pub(super) whole: u64,
}

impl Lines {
    /// Reads a file to its end. The last line may be torn: it is left out. `name` is what the data
    /// set calls a picture.
    ///
    /// # Errors
    /// If another line is no record of the run, or two records of one picture differ.
    pub(super) fn read(
        path: &Path,
        file: &File,
        name: Option<&dyn Fn(usize) -> String>,
    ) -> Result<Self> {
        let failed = |source| read_failed(path, source);
        let mut lines = BufReader::new(file);
        lines.seek(SeekFrom::Start(0)).map_err(failed)?;
        let (places, unread) = (BTreeMap::new(), BTreeMap::new());
        let mut found = Self { header: None, places, failed: unread, whole: 0 };
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line).map_err(failed)?;
            if !line.ends_with(b"\n") {
                break;
            }
            let is_no_line = |error: serde_json::Error| {
                // Without serde's own count of lines, of which each is read alone.
                let error = error.to_string();
                let what = error.split(" at line ").next().unwrap_or_default();
                malformed(path, format!("line {number}: {what}"))
            };
            match &found.header {
                None => found.header = Some(serde_json::from_slice(&line).map_err(is_no_line)?),
                Some(header) => match serde_json::from_slice::<Record>(&line) {
                    Ok(record) => {
                        let odd = record.oddity(header).or_else(|| {
                            let name = name?(record.index);
                            let found = &record.name;
                            (*found != name).then(|| format!("`{found}`, expected `{name}`"))
                        });
                        if let Some(odd) = odd {
                            return Err(malformed(path, format!("line {number}: {odd}")));
                        }
                        found.add(path, &mut lines, record, &line)?;
                    }
                    // A power cut may leave a last line whose end is there and whose middle is not.
                    Err(_) if lines.fill_buf().map_err(failed)?.is_empty() => break,
                    Err(error) => return Err(is_no_line(error)),
                },
            }
            found.whole += bytes as u64;
        }
        Ok(found)
    }

    /// The numbers of the pictures that have records.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.keys().copied()
    }

    /// Counts the line that was read last. A record may be there twice; that of a picture without
    /// results gives way to a later one.
    fn add(
        &mut self,
        path: &Path,
        lines: &mut BufReader<&File>,
        record: Record,
        line: &[u8],
    ) -> Result<()> {
        let place = Place { start: self.whole, len: line.len() };
        match self.places.entry(record.index) {
            Entry::Vacant(entry) => {
                entry.insert(place);
                if let Some(error) = record.error {
                    self.failed.insert(record.index, error);
                }
                Ok(())
            }
            // What could not be read once could be read later.
            Entry::Occupied(mut there) if self.failed.contains_key(&record.index) => {
                there.insert(place);
                match record.error {
                    Some(error) => self.failed.insert(record.index, error),
                    None => self.failed.remove(&record.index),
                };
                Ok(())
            }
            Entry::Occupied(there) => {
                let mut at = place.start + place.len as u64;
                let first = line_at(lines, &mut at, *there.get());
                let first = first.map_err(|source| read_failed(path, source))?;
                if first == line {
                    line_at(lines, &mut at, place).map_err(|source| read_failed(path, source))?;
                    return Ok(());
                }
                let found = format!("two records of picture {} differ", record.index);
                Err(malformed(path, found))
            }
        }
    }
}

fn opened(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| read_failed(path, source))
}

fn read_failed(path: &Path, source: io::Error) -> Failure {
    Error::File { action: "read", path: path.to_owned(), source }.into()
}

fn malformed(path: &Path, found: String) -> Failure {
    Error::Malformed { path: path.to_owned(), expected: "file of records", found }.into()
}
