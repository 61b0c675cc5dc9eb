//! The container that torch writes since 1.6: a ZIP archive with `<prefix>/data.pkl` and a stored
//! entry `<prefix>/data/<key>` for each storage.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use ::zip::{CompressionMethod, ZipArchive};

use super::allowance::Allowance;
use super::checkpoint::Checkpoint;
use super::cursor::Cursor;
use super::error::{Error, Result};
use super::machine::{self, Persistent};
use crate::foreign::shown;

/// What the file starts with.
pub(super) const START: &[u8] = b"PK\x03\x04";

/// What the record behind the list of entries starts with.
const END: &[u8] = b"PK\x05\x06";
/// The most bytes from there to the end of the file: the record and a comment.
const TAIL: usize = 22 + 0xffff;

/// Reads the archive; storages stay where they are.
pub(super) fn load<'a>(
    file: &str,
    bytes: &'a [u8],
    allowance: &mut Allowance,
) -> Result<Checkpoint<'a>> {
    let entries = entries(file, bytes)?;
    let fault = |what: &str, expected: &str, found: String| Error::Container {
        file: file.to_owned(),
        what: what.to_owned(),
        expected: expected.to_owned(),
        found,
    };
    let mut pickles = entries.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
    let (Some(prefix), None) = (pickles.next(), pickles.next()) else {
        let count = entries.keys().filter(|name| name.ends_with("/data.pkl")).count();
        let found = format!("{count} among {} entries", entries.len());
        return Err(fault("the archive", "one entry `<name>/data.pkl`", found));
    };
    let order = format!("{prefix}/byteorder");
    if let Some(range) = entries.get(&order) {
        let found = &bytes[range.clone()];
        if found != b"little" {
            let found = format!("`{}`", shown(&String::from_utf8_lossy(found)));
            return Err(fault(&format!("`{}`", shown(&order)), "`little`", found));
        }
    }
    let name = format!("{prefix}/data.pkl");
    let mut cursor = Cursor::new(file, &shown(&name), &bytes[entries[&name].clone()]);
    let pickle = machine::load(&mut cursor, Persistent::Storages, allowance)?;
    let data = format!("{prefix}/data/");
    let storages = entries.into_iter().filter_map(|(name, range)| {
        let key = name.strip_prefix(&data)?.to_owned();
        Some((key, range))
    });
    Ok(Checkpoint { pickle, storages: storages.collect(), listed: BTreeMap::new() })
}

/// Whether only `TorchScript` has an entry of that name: its code and constants.
fn is_of_torch_script(name: &str) -> bool {
    let within = name.split_once('/').map_or("", |(_, within)| within);
    within == "constants.pkl" || within.starts_with("code/")
}

/// Where the content of each entry lies.
fn entries(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Range<usize>>> {
    let fault = |what: String, expected: &str, found: String| Error::Container {
        file: file.to_owned(),
        what,
        expected: expected.to_owned(),
        found,
    };
    let broken = |what: &str, source: ::zip::result::ZipError| {
        fault(what.to_owned(), "a sound ZIP archive", shown(&source.to_string()))
    };
    let mut archive = ZipArchive::new(io::Cursor::new(bytes)).map_err(|source| {
        let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
        if tail.windows(END.len()).any(|found| found == END) {
            return broken("the archive", source);
        }
        let found = "none, as if the file was cut short".to_owned();
        fault("the archive".to_owned(), "the list of its entries at its end", found)
    })?;
    if archive.file_names().any(|name| name.is_ok_and(|name| is_of_torch_script(&name))) {
        let (file, found) = (file.to_owned(), "a TorchScript model".to_owned());
        return Err(Error::WholeModel { file, found });
    }
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive
            .by_index_raw(index)
            .map_err(|source| broken(&format!("entry {index}"), source))?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let what = format!("entry `{}`", shown(&name));
        if entry.encrypted() || entry.compression() != CompressionMethod::Stored {
            let found = if entry.encrypted() { "encrypted" } else { "compressed" };
            return Err(fault(what, "a stored entry, as torch writes", found.to_owned()));
        }
        let range = entry.data_start().and_then(|start| {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(entry.size()).ok()?)?;
            bytes.get(start..end).map(|_| start..end)
        });
        let Some(range) = range else {
            let found = format!("{} bytes for it", entry.size());
            return Err(fault(what, "content within the archive", found));
        };
        entries.insert(name, range);
    }
    Ok(entries)
}
