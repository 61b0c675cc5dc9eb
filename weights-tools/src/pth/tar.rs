//! The container that torch wrote before 0.1.10: a TAR archive with the members `storages`,
//! `tensors` and `pickle`, in which numbers stand for the storages and tensors.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use ::tar::{Archive, EntryType};

use super::allowance::Allowance;
use super::checkpoint::Checkpoint;
use super::cursor::Cursor;
use super::element::Element;
use super::error::{Error, Result};
use super::machine::{self, Persistent};
use super::tensor::View;
use super::value::{Global, Pickle, Value};
use crate::foreign::shown;

/// Where the archive has its magic word.
const MAGIC_AT: usize = 257;
/// What the list of storages takes for one.
const STORAGE: usize = 96;

/// Whether an archive starts so.
pub(super) fn is_tar(start: &[u8]) -> bool {
    start.get(MAGIC_AT..).is_some_and(|rest| rest.starts_with(b"ustar"))
}

/// A stretch of the file with numbers of one type.
type Storage = (Element, Range<usize>);

/// Reads the archive; storages stay where they are.
pub(super) fn load<'a>(
    file: &str,
    bytes: &'a [u8],
    allowance: &mut Allowance,
) -> Result<Checkpoint<'a>> {
    let members = members(file, bytes)?;
    let member = |name: &str| {
        let found = members.get(name).cloned();
        found.ok_or_else(|| Error::Container {
            file: file.to_owned(),
            what: "the archive".to_owned(),
            expected: format!("a member `{name}`"),
            found: format!("{} others", members.len()),
        })
    };
    let range = member("storages")?;
    let mut cursor = Cursor::new(file, "storages", &bytes[range.clone()]);
    let storages = storages(&mut cursor, range.start, allowance)?;
    let mut cursor = Cursor::new(file, "tensors", &bytes[member("tensors")?]);
    let listed = tensors(&mut cursor, &storages, allowance)?;
    let mut cursor = Cursor::new(file, "pickle", &bytes[member("pickle")?]);
    let pickle = machine::load(&mut cursor, Persistent::Listed(&listed), allowance)?;
    Ok(Checkpoint { pickle, storages: BTreeMap::new(), listed })
}

/// Where the content of each member lies.
fn members(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, Range<usize>>> {
    let broken = |found: String| Error::Container {
        file: file.to_owned(),
        what: "the archive".to_owned(),
        expected: "a sound TAR archive".to_owned(),
        found,
    };
    let failed = |source: io::Error| broken(shown(&source.to_string()));
    let mut archive = Archive::new(io::Cursor::new(bytes));
    let mut members = BTreeMap::new();
    for member in archive.entries_with_seek().map_err(failed)? {
        let member = member.map_err(failed)?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        if member.header().entry_type() == EntryType::Directory {
            continue;
        }
        if member.header().entry_type() != EntryType::Regular {
            return Err(broken(format!("`{}`, which is no regular member", shown(&name))));
        }
        let range = usize::try_from(member.raw_file_position()).ok().and_then(|start| {
            let end = start.checked_add(usize::try_from(member.size()).ok()?)?;
            bytes.get(start..end).map(|_| start..end)
        });
        let Some(range) = range else {
            let found = format!("`{}` of {} bytes, which ends early", shown(&name), member.size());
            return Err(broken(found));
        };
        members.insert(name, range);
    }
    Ok(members)
}

fn charge(cursor: &Cursor<'_>, allowance: &mut Allowance, bytes: usize) -> Result<()> {
    allowance.take(bytes).map_err(|misfit| cursor.error(misfit.expected, misfit.found))
}

/// A pickle of a number, of how many things follow.
fn count(cursor: &mut Cursor<'_>, allowance: &Allowance) -> Result<u64> {
    let count = machine::load(cursor, Persistent::Refused, &mut allowance.clone())?;
    count
        .root()
        .index()
        .ok_or_else(|| cursor.error("a number of 0 or more", count.root().described()))
}

/// The storages by number. `base` is where the member starts in the file.
fn storages(
    cursor: &mut Cursor<'_>,
    base: usize,
    allowance: &mut Allowance,
) -> Result<BTreeMap<i64, Storage>> {
    let mut storages = BTreeMap::new();
    for _ in 0..count(cursor, allowance)? {
        let head = machine::load(cursor, Persistent::Refused, &mut allowance.clone())?;
        let Some([&Value::Int(key), _, &Value::Global(Global::Storage(element))]) =
            head.root_members()
        else {
            return Err(cursor.error("(key, location, storage class)", head.root().kind()));
        };
        cursor.begin("a storage");
        let count = u64::from_le_bytes(cursor.array()?);
        let length = count.checked_mul(element.size() as u64);
        let length = length.ok_or_else(|| cursor.error("a size", count.to_string()))?;
        let start = base + cursor.position();
        cursor.take(length)?;
        charge(cursor, allowance, STORAGE)?;
        storages.insert(key, (element, start..base + cursor.position()));
    }
    let views = machine::load(cursor, Persistent::Refused, &mut allowance.clone())?;
    let Value::List(ids) = views.root() else {
        return Err(cursor.error("a list of stretches of storages", views.root().kind()));
    };
    for &id in ids {
        let stretch = views.members(id).and_then(|members| stretch(members, &storages));
        let (key, storage) = stretch.ok_or_else(|| {
            cursor.error("(key, storage, offset, size) within the storage", "another stretch")
        })?;
        charge(cursor, allowance, STORAGE)?;
        storages.insert(key, storage);
    }
    Ok(storages)
}

/// A key, and the part of another key's storage that it stands for.
fn stretch(members: [&Value<'_>; 4], storages: &BTreeMap<i64, Storage>) -> Option<(i64, Storage)> {
    let [&Value::Int(key), &Value::Int(root), offset, count] = members else { return None };
    let (element, bytes) = storages.get(&root)?;
    let in_bytes =
        |value: &Value<'_>| usize::try_from(value.index()?).ok()?.checked_mul(element.size());
    let start = bytes.start.checked_add(in_bytes(offset)?)?;
    let end = start.checked_add(in_bytes(count)?).filter(|end| *end <= bytes.end)?;
    Some((key, (*element, start..end)))
}

/// The tensors by number.
fn tensors(
    cursor: &mut Cursor<'_>,
    storages: &BTreeMap<i64, Storage>,
    allowance: &mut Allowance,
) -> Result<BTreeMap<i64, View>> {
    let mut tensors = BTreeMap::new();
    for _ in 0..count(cursor, allowance)? {
        let head = machine::load(cursor, Persistent::Refused, &mut allowance.clone())?;
        let (key, storage) = tensor_head(&head, storages)
            .ok_or_else(|| cursor.error("(key, storage, tensor class)", head.root().kind()))?;
        cursor.begin("a tensor's sizes");
        let rank = i32::from_le_bytes(cursor.array()?);
        // Torch counted dimensions in 8 bytes once, and keeps the other 4.
        cursor.take(4)?;
        let rank = usize::try_from(rank).ok().filter(|rank| *rank <= View::RANK);
        let rank = rank
            .ok_or_else(|| cursor.error(format!("at most {} dimensions", View::RANK), "others"))?;
        let shape = sizes(cursor, rank)?;
        let strides = sizes(cursor, rank)?;
        let offset = u64::from_le_bytes(cursor.array()?);
        let (element, bytes) = storage.clone();
        let view = View::new(element, bytes, offset, shape, strides);
        let view = view.map_err(|misfit| cursor.error(misfit.expected, misfit.found))?;
        charge(cursor, allowance, view.memory())?;
        tensors.insert(key, view);
    }
    Ok(tensors)
}

fn tensor_head<'s>(
    head: &Pickle<'_>,
    storages: &'s BTreeMap<i64, Storage>,
) -> Option<(i64, &'s Storage)> {
    let [&Value::Int(key), Value::Int(storage), Value::Global(_)] = head.root_members()? else {
        return None;
    };
    Some((key, storages.get(storage)?))
}

fn sizes(cursor: &mut Cursor<'_>, rank: usize) -> Result<Vec<usize>> {
    let size = |_| {
        let size = i64::from_le_bytes(cursor.array()?);
        usize::try_from(size).map_err(|_| cursor.error("sizes of 0 or more", size.to_string()))
    };
    (0..rank).map(size).collect()
}
