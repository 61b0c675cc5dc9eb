//! Opcodes that name classes, and what the harmless ones among them would return.

use super::{Machine, Persistent};
use crate::foreign::shown;
use crate::pth::error::Result;
use crate::pth::value::{Global, Id, Rebuilt, StorageRef, TensorRef, Value};

/// The longest key of a storage: torch's are numbers, and they are looked up for every tensor.
const KEY: usize = 256;

const NUMPY_DTYPE: &str = "a NumPy dtype";

impl Machine<'_, '_> {
    /// Runs the opcode if it is one of these.
    pub(super) fn construct(&mut self, code: u8) -> Result<bool> {
        match code {
            b'c' => {
                let global = self.global_lines()?;
                self.push_value(Value::Global(global))?;
            }
            0x93 => self.stack_global()?,
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let callable = self.pop()?;
                self.call(callable, arguments)?;
            }
            0x92 => self.new_with_keywords()?,
            b'i' => {
                let global = self.global_lines()?;
                let callable = self.add(Value::Global(global))?;
                let arguments = self.pop_mark()?;
                let arguments = self.add(Value::Tuple(arguments))?;
                self.call(callable, arguments)?;
            }
            b'o' => {
                let mut arguments = self.pop_mark()?;
                if arguments.is_empty() {
                    return Err(self.cursor.error("a class after the MARK", "nothing"));
                }
                let callable = arguments.remove(0);
                let arguments = self.add(Value::Tuple(arguments))?;
                self.call(callable, arguments)?;
            }
            b'b' => self.build()?,
            b'P' => {
                let line = self.cursor.text_line()?;
                let id = self.add(Value::Text(line.into()))?;
                self.refer(id)?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.refer(id)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn global(&self, module: &str, name: &str) -> Result<Global> {
        Global::find(module, name).ok_or_else(|| self.cursor.refused(module, name))
    }

    fn global_lines(&mut self) -> Result<Global> {
        let module = self.cursor.text_line()?;
        let name = self.cursor.text_line()?;
        self.global(module, name)
    }

    fn stack_global(&mut self) -> Result<()> {
        let name = self.pop()?;
        let module = self.pop()?;
        let (Some(module), Some(name)) = (self.get(module).text(), self.get(name).text()) else {
            return Err(self.cursor.error("a module's and a class's name", "other values"));
        };
        let global = self.global(module, name)?;
        self.push_value(Value::Global(global))
    }

    fn new_with_keywords(&mut self) -> Result<()> {
        let keywords = self.pop()?;
        let arguments = self.pop()?;
        let callable = self.pop()?;
        if self.get(keywords).pairs().is_none_or(|pairs| !pairs.is_empty()) {
            return Err(self.unlike("no keywords", keywords));
        }
        self.call(callable, arguments)
    }

    /// Pushes what the callable would return.
    fn call(&mut self, callable: Id, arguments: Id) -> Result<()> {
        let &Value::Global(global) = self.get(callable) else {
            return Err(self.unlike("a class or function", callable));
        };
        let Value::Tuple(members) = self.get(arguments) else {
            return Err(self.unlike("a tuple of arguments", arguments));
        };
        let misfit = |expected: &str| {
            let kinds: Vec<&str> =
                members.iter().take(8).map(|&member| self.get(member).kind()).collect();
            let found = format!("{} ({})", members.len(), kinds.join(", "));
            self.cursor.error(format!("{global:?} with {expected}"), found)
        };
        let value = match (global, members.as_slice()) {
            (Global::OrderedDict, []) => Value::Dict(Vec::new()),
            (Global::OrderedDict, &[pairs]) => Value::Dict(self.listed_pairs(pairs)?),
            (Global::RebuildTensor, &[storage, offset, shape, strides])
            | (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _]) => {
                self.tensor([storage, offset, shape, strides])?
            }
            (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _, metadata]) => {
                // It says that the numbers are conjugated or negated when they are read.
                let lazy = match self.get(metadata).pairs() {
                    Some(pairs) => !pairs.is_empty(),
                    None => !matches!(self.get(metadata), Value::None),
                };
                if lazy {
                    return Err(misfit("no metadata"));
                }
                self.tensor([storage, offset, shape, strides])?
            }
            (Global::RebuildParameter | Global::Parameter, &[data, ..]) => {
                if !matches!(self.get(data), Value::Tensor(_)) {
                    return Err(misfit("a tensor"));
                }
                return self.push(data);
            }
            (Global::Size, &[shape]) => {
                if self.get(shape).members().is_none() {
                    return Err(misfit("a tuple"));
                }
                return self.push(shape);
            }
            (Global::Set, [] | [_]) => Value::Set,
            (Global::Device, _) => Value::Opaque("a device"),
            (Global::NumpyScalar, _) => Value::Opaque("a NumPy number"),
            (Global::NumpyDtype, _) => Value::Opaque(NUMPY_DTYPE),
            (Global::Encode, _) => Value::Opaque("bytes"),
            (Global::Storage(_) | Global::Type, _) => return Err(misfit("no call of it")),
            (
                Global::OrderedDict
                | Global::RebuildTensor
                | Global::RebuildTensorV2
                | Global::RebuildParameter
                | Global::Parameter
                | Global::Size
                | Global::Set,
                _,
            ) => return Err(misfit("the arguments that torch gives it")),
        };
        self.push_value(value)
    }

    /// Python 2 writes an `OrderedDict` as a list of lists.
    fn listed_pairs(&self, list: Id) -> Result<Vec<(Id, Id)>> {
        let Value::List(members) = self.get(list) else {
            return Err(self.unlike("a list of pairs", list));
        };
        let pair = |&member: &Id| match self.get(member).members() {
            Some(&[key, value]) => Ok((key, value)),
            Some(_) | None => Err(self.unlike("a pair", member)),
        };
        members.iter().map(pair).collect()
    }

    fn tensor<'v>(&self, [storage, offset, shape, strides]: [Id; 4]) -> Result<Value<'v>> {
        if !matches!(self.get(storage), Value::Storage(_)) {
            return Err(self.unlike("a storage", storage));
        }
        let first = self.get(offset).index();
        let first = first.ok_or_else(|| self.unlike("an offset of 0 or more", offset))?;
        for sizes in [shape, strides] {
            if self.get(sizes).members().is_none() {
                return Err(self.unlike("a tuple of sizes", sizes));
            }
        }
        Ok(Value::Tensor(TensorRef::Rebuilt(Box::new(Rebuilt {
            storage,
            offset: first,
            shape,
            strides,
        }))))
    }

    /// Attributes change neither a dict nor a tensor's numbers.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let target = self.top()?;
        let harmless = match self.get(target) {
            Value::Dict(_) => true,
            Value::Opaque(kind) => *kind == NUMPY_DTYPE,
            // A `Parameter` of old: whether it wants gradients, and hooks. Longer states hold
            // other numbers.
            Value::Tensor(_) => match self.get(state).members() {
                Some(&[wants, _, _]) => matches!(self.get(wants), Value::Bool(_)),
                Some(_) | None => false,
            },
            Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Long(_)
            | Value::Text(_)
            | Value::Tuple(_)
            | Value::List(_)
            | Value::Set
            | Value::Global(_)
            | Value::Storage(_) => false,
        };
        if harmless { Ok(()) } else { Err(self.unlike("a state for a dict", target)) }
    }

    /// Pushes the storage or tensor that lies outside of the pickle.
    fn refer(&mut self, id: Id) -> Result<()> {
        let value = match self.persistent {
            Persistent::Refused => {
                return Err(self.cursor.error("plain values", "a persistent id"));
            }
            Persistent::Storages => self.storage(id)?,
            Persistent::Listed(tensors) => {
                let key = if let Value::Int(key) = self.get(id) {
                    Some(*key)
                } else {
                    self.get(id).text().and_then(|text| text.parse().ok())
                };
                let key = key.filter(|key| tensors.contains_key(key));
                let key = key.ok_or_else(|| self.unlike("the number of a tensor", id))?;
                Value::Tensor(TensorRef::Listed(key))
            }
        };
        self.push_value(value)
    }

    /// `("storage", type, key, location, count)`, and in old files the stretch that is meant.
    fn storage<'v>(&self, id: Id) -> Result<Value<'v>> {
        let misfit = || self.cursor.error("a tuple that describes a storage", self.get(id).kind());
        let members = self.get(id).members().ok_or_else(misfit)?;
        let (&[tag, class, key, _, count], rest) =
            members.split_first_chunk().ok_or_else(misfit)?;
        if self.get(tag).text() != Some("storage") {
            let tag = self.get(tag).text().map_or("no text".to_owned(), shown);
            return Err(self.cursor.error("`storage`", format!("`{tag}`")));
        }
        let &Value::Global(Global::Storage(element)) = self.get(class) else {
            return Err(self.unlike("a storage's class", class));
        };
        let text = self.get(key).text();
        let text = text.ok_or_else(|| self.unlike("a storage's key as text", key))?;
        if text.len() > KEY {
            let expected = format!("a storage's key of at most {KEY} bytes");
            return Err(self.cursor.error(expected, text.len().to_string()));
        }
        let count =
            self.get(count).index().ok_or_else(|| self.unlike("a count of 0 or more", count))?;
        let part = match rest {
            [] => (0, count),
            &[view] if matches!(self.get(view), Value::None) => (0, count),
            &[view] => self.stretch(view).ok_or_else(|| self.unlike("a stretch", view))?,
            _ => return Err(misfit()),
        };
        Ok(Value::Storage(Box::new(StorageRef { key, element, count, part })))
    }

    fn stretch(&self, view: Id) -> Option<(u64, u64)> {
        let &[_, start, count] = self.get(view).members()? else { return None };
        Some((self.get(start).index()?, self.get(count).index()?))
    }
}
