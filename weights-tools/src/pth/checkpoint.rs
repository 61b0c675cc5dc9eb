//! A checkpoint of any container: the pickled object, and where its storages lie in the file.

use std::collections::BTreeMap;
use std::ops::Range;

use super::allowance::Allowance;
use super::error::{Error, Result};
use super::tensor::View;
use super::value::{Id, Pickle, Rebuilt, TensorRef, Value};
use crate::foreign::Misfit;
use crate::foreign::shown;

/// What a container holds.
#[derive(Debug)]
pub(super) struct Checkpoint<'a> {
    pub(super) pickle: Pickle<'a>,
    /// The bytes of each storage, by its key.
    pub(super) storages: BTreeMap<String, Range<usize>>,
    /// The tensors of the TAR container's table, by number.
    pub(super) listed: BTreeMap<i64, View>,
}

/// A wrapper around a state dict has it under one of these.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];
/// The most wrappers around each other.
const LEVELS: usize = 2;
/// What `DataParallel` puts before all names.
const PARALLEL: &str = "module.";

impl Checkpoint<'_> {
    /// The tensors of the state dict, by their names in the network.
    pub(super) fn tensors(
        &self,
        file: &str,
        allowance: &mut Allowance,
    ) -> Result<BTreeMap<String, View>> {
        let (state, _) = self.unwrapped();
        let Some(pairs) = self.pickle.get(state).pairs() else {
            return Err(Error::NoTensors { file: file.to_owned(), found: self.summary() });
        };
        let start = if self.is_parallel(pairs) { PARALLEL.len() } else { 0 };
        let mut tensors = BTreeMap::new();
        for &(key, value) in pairs {
            let name = self.pickle.get(key).text();
            let fault = |misfit: Misfit| Error::Tensor {
                file: file.to_owned(),
                name: shown(name.unwrap_or("?")),
                expected: misfit.expected,
                found: misfit.found,
            };
            match (self.pickle.get(value), name) {
                (Value::Tensor(tensor), Some(name)) => {
                    let view = self.view(tensor).map_err(fault)?;
                    allowance.take(name.len() + view.memory()).map_err(fault)?;
                    tensors.insert(name[start..].to_owned(), view);
                }
                (Value::Tensor(_), None) => {
                    let found = self.pickle.get(key).kind();
                    return Err(fault(Misfit::new("a text as its name", found)));
                }
                (plain, _) if is_plain(plain) => {}
                (other, _) => return Err(fault(Misfit::new("a tensor", other.kind()))),
            }
        }
        if tensors.is_empty() {
            return Err(Error::NoTensors { file: file.to_owned(), found: self.summary() });
        }
        Ok(tensors)
    }

    /// Whether all tensors have names as `DataParallel` gives them.
    fn is_parallel(&self, pairs: &[(Id, Id)]) -> bool {
        pairs.iter().all(|&(key, value)| {
            let name = self.pickle.get(key).text();
            !matches!(self.pickle.get(value), Value::Tensor(_))
                || name.is_none_or(|name| name.starts_with(PARALLEL))
        })
    }

    /// The state dict within its wrappers, and how many they are.
    fn unwrapped(&self) -> (Id, usize) {
        let mut state = self.pickle.root;
        for level in 0..LEVELS {
            let pairs = self.pickle.get(state).pairs().unwrap_or_default();
            let wrapped = WRAPPERS.iter().find_map(|wrapper| {
                let of_name = |(key, _): &&(Id, Id)| self.pickle.get(*key).text() == Some(*wrapper);
                let &(_, value) = pairs.iter().rev().find(of_name)?;
                self.pickle.get(value).pairs().map(|_| value)
            });
            match wrapped {
                Some(inner) => state = inner,
                None => return (state, level),
            }
        }
        (state, LEVELS)
    }

    /// What there is instead of tensors.
    fn summary(&self) -> String {
        let (state, level) = self.unwrapped();
        let value = self.pickle.get(state);
        let inside = if level == 0 { "" } else { " in a wrapper" };
        let Some(pairs) = value.pairs() else { return format!("{}{inside}", value.kind()) };
        let entry = |&(key, value): &(Id, Id)| {
            let key = self.pickle.get(key).text().map_or("?".to_owned(), shown);
            format!("`{key}` ({})", self.pickle.get(value).kind())
        };
        match pairs {
            [] => format!("an empty dict{inside}"),
            pairs => {
                let shown: Vec<String> = pairs.iter().take(8).map(entry).collect();
                format!("a dict{inside} of {} entries: {}", pairs.len(), shown.join(", "))
            }
        }
    }

    fn view(&self, tensor: &TensorRef) -> Result<View, Misfit> {
        match tensor {
            TensorRef::Listed(key) => self
                .listed
                .get(key)
                .cloned()
                .ok_or_else(|| Misfit::new("a tensor of the table", key.to_string())),
            TensorRef::Rebuilt(rebuilt) => self.rebuilt(rebuilt),
        }
    }

    fn rebuilt(&self, tensor: &Rebuilt) -> Result<View, Misfit> {
        let Value::Storage(storage) = self.pickle.get(tensor.storage) else {
            let found = self.pickle.get(tensor.storage).kind();
            return Err(Misfit::new("a storage", found));
        };
        let key = self.pickle.get(storage.key).text().unwrap_or_default();
        let bytes = self.storages.get(key).cloned();
        let bytes = bytes.ok_or_else(|| {
            Misfit::new("its storage in the file", format!("no `{}`", shown(key)))
        })?;
        let size = storage.element.size() as u64;
        if storage.count.checked_mul(size) != Some(bytes.len() as u64) {
            let expected = format!("a storage of {} {} numbers", storage.count, storage.element);
            return Err(Misfit::new(expected, format!("{} bytes", bytes.len())));
        }
        let (start, count) = storage.part;
        let end = start.checked_add(count).filter(|end| *end <= storage.count);
        let end = end.ok_or_else(|| {
            let found = format!("{count} from {start} on");
            Misfit::new(format!("a stretch of {} numbers", storage.count), found)
        })?;
        // They are no more than the storage's bytes, which were counted in `usize`.
        let part = bytes.start + (start * size) as usize..bytes.start + (end * size) as usize;
        let shape = self.sizes(tensor.shape, "sizes of 0 or more")?;
        let strides = self.sizes(tensor.strides, "strides of 0 or more")?;
        View::new(storage.element, part, tensor.offset, shape, strides)
    }

    fn sizes(&self, id: Id, expected: &str) -> Result<Vec<usize>, Misfit> {
        let members = self.pickle.get(id).members().unwrap_or_default();
        let size = |&id: &Id| {
            let value = self.pickle.get(id);
            let size = value.index().and_then(|size| usize::try_from(size).ok());
            size.ok_or_else(|| Misfit::new(expected, value.described()))
        };
        // One more than a view takes is enough for it to say so.
        members.iter().take(View::RANK + 1).map(size).collect()
    }
}

/// Whether a state dict may have the value beside its tensors.
fn is_plain(value: &Value<'_>) -> bool {
    match value {
        Value::None
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Long(_)
        | Value::Text(_)
        | Value::Opaque(_) => true,
        Value::Tuple(_)
        | Value::List(_)
        | Value::Set
        | Value::Dict(_)
        | Value::Global(_)
        | Value::Storage(_)
        | Value::Tensor(_) => false,
    }
}
