//! The container that torch wrote before 1.6: a stream of pickles (a magic number, the protocol,
//! the machine's types, the object, the storages' keys), and behind them, for each key, the
//! number of its elements and the elements.

use std::collections::BTreeMap;

use super::allowance::Allowance;
use super::checkpoint::Checkpoint;
use super::cursor::Cursor;
use super::element::Element;
use super::error::Result;
use super::machine::{self, Persistent};
use super::value::{Pickle, Value};
use crate::foreign::shown;

/// The magic number as Python pickles it.
const MAGIC: &[u8] = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const PROTOCOL: i64 = 1001;
/// What the lists of storages take for one, besides its key.
const STORAGE: usize = 160;

/// Whether a stream starts with the magic number, in whatever protocol it is pickled.
pub(super) fn is_legacy(start: &[u8]) -> bool {
    let start = &start[..start.len().min(32)];
    start.first() == Some(&0x80) && start.windows(MAGIC.len()).any(|bytes| bytes == MAGIC)
}

/// Reads the stream; storages stay where they are.
pub(super) fn load<'a>(
    file: &str,
    bytes: &'a [u8],
    allowance: &mut Allowance,
) -> Result<Checkpoint<'a>> {
    let mut cursor = Cursor::new(file, "legacy stream", bytes);
    let magic = machine::load(&mut cursor, Persistent::Refused, allowance)?;
    if !matches!(magic.root(), Value::Long(found) if *found == MAGIC) {
        return Err(cursor.error("torch's magic number", magic.root().kind()));
    }
    let protocol = machine::load(&mut cursor, Persistent::Refused, allowance)?;
    if !matches!(protocol.root(), Value::Int(PROTOCOL)) {
        return Err(cursor.error(format!("protocol {PROTOCOL}"), protocol.root().described()));
    }
    let machine_types = machine::load(&mut cursor, Persistent::Refused, allowance)?;
    if !is_little_endian(&machine_types) {
        return Err(cursor.error("`little_endian` True", "another byte order or none"));
    }
    let pickle = machine::load(&mut cursor, Persistent::Storages, allowance)?;
    let elements = elements(&pickle);

    let keys = machine::load(&mut cursor, Persistent::Refused, allowance)?;
    let Value::List(ids) = keys.root() else {
        return Err(cursor.error("a list of storages", keys.root().kind()));
    };
    let mut storages = BTreeMap::new();
    for &id in ids {
        cursor.begin("the size of a storage");
        let key = keys.get(id).text();
        let named = key.and_then(|key| Some((key, *elements.get(key)?)));
        let Some((key, element)) = named else {
            let found = key.map_or(keys.get(id).kind().to_owned(), shown);
            return Err(cursor.error("the key of a storage that a tensor has", found));
        };
        let count = u64::from_le_bytes(cursor.array()?);
        cursor.name("a storage");
        let length = count.checked_mul(element.size() as u64);
        let length = length.ok_or_else(|| cursor.error("a size", count.to_string()))?;
        let start = cursor.position();
        cursor.take(length)?;
        let taken = allowance.take(STORAGE + key.len());
        taken.map_err(|misfit| cursor.error(misfit.expected, misfit.found))?;
        storages.insert(key.to_owned(), start..cursor.position());
    }
    Ok(Checkpoint { pickle, storages, listed: BTreeMap::new() })
}

fn is_little_endian(machine_types: &Pickle<'_>) -> bool {
    let pairs = machine_types.root().pairs().unwrap_or_default();
    let order =
        pairs.iter().rev().find(|(key, _)| machine_types.get(*key).text() == Some("little_endian"));
    order.is_some_and(|(_, value)| matches!(machine_types.get(*value), Value::Bool(true)))
}

/// The type of each storage, by its key; the first mention decides, as in torch.
fn elements<'p>(pickle: &'p Pickle<'_>) -> BTreeMap<&'p str, Element> {
    let mut elements = BTreeMap::new();
    for value in pickle.values.iter() {
        if let Value::Storage(storage) = value {
            let key = pickle.get(storage.key).text().unwrap_or_default();
            elements.entry(key).or_insert(storage.element);
        }
    }
    elements
}
