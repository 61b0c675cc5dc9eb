//! Opcodes that fill containers, and those that move values between the stack and the memo.

use super::{EMPTY_TUPLE, MEMO_ENTRY, Machine};
use crate::foreign::shown;
use crate::pth::error::Result;
use crate::pth::value::{Id, Value};

impl Machine<'_, '_> {
    /// Runs the opcode if it is one that marks, drops, collects or appends.
    pub(super) fn collect(&mut self, code: u8) -> Result<bool> {
        match code {
            b'(' => self.mark()?,
            // Python's writer drops a mark by POP, too.
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.pop_mark()?;
            }
            b'2' => self.push(self.top()?)?,
            b')' => self.push(EMPTY_TUPLE)?,
            0x85..=0x87 => self.short_tuple(usize::from(code - 0x84))?,
            b't' => {
                let members = self.pop_mark()?;
                self.push_value(Value::Tuple(members))?;
            }
            b']' => self.push_value(Value::List(Vec::new()))?,
            b'l' => {
                let members = self.pop_mark()?;
                self.push_value(Value::List(members))?;
            }
            b'a' => {
                let member = self.pop()?;
                self.append(vec![member])?;
            }
            b'e' => {
                let members = self.pop_mark()?;
                self.append(members)?;
            }
            b'}' => self.push_value(Value::Dict(Vec::new()))?,
            b'd' => {
                let flat = self.pop_mark()?;
                let pairs = self.pairs(&flat)?;
                self.push_value(Value::Dict(pairs))?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(&[key, value])?;
            }
            b'u' => {
                let flat = self.pop_mark()?;
                self.insert(&flat)?;
            }
            0x8f => self.push_value(Value::Set)?,
            0x90 => {
                self.pop_mark()?;
                let set = self.top()?;
                if !matches!(self.get(set), Value::Set) {
                    return Err(self.unlike("a set before it", set));
                }
            }
            0x91 => {
                self.pop_mark()?;
                self.push_value(Value::Set)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Runs the opcode if it is one of the memo's.
    pub(super) fn remember(&mut self, code: u8) -> Result<bool> {
        match code {
            b'p' => {
                let index = self.index_line()?;
                self.put(index)?;
            }
            b'q' => {
                let index = u8::from_le_bytes(self.cursor.array()?);
                self.put(u32::from(index))?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.cursor.array()?);
                self.put(index)?;
            }
            0x94 => {
                let index = u32::try_from(self.memo.len());
                let index = index.map_err(|_| self.cursor.error("a memo of 32 bits", "more"))?;
                self.put(index)?;
            }
            b'g' => {
                let index = self.index_line()?;
                self.recall(index)?;
            }
            b'h' => {
                let index = u8::from_le_bytes(self.cursor.array()?);
                self.recall(u32::from(index))?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.cursor.array()?);
                self.recall(index)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn mark(&mut self) -> Result<()> {
        if self.marks.len() >= super::MARKS {
            let most = format!("at most {} of them open", super::MARKS);
            return Err(self.cursor.error(most, "one more"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn short_tuple(&mut self, length: usize) -> Result<()> {
        let start = self.stack.len().checked_sub(length).filter(|start| *start >= self.floor());
        let start = start.ok_or_else(|| {
            let waiting = self.stack.len() - self.floor();
            self.cursor.error(format!("{length} values before it"), waiting.to_string())
        })?;
        let members = self.stack[start..].to_vec();
        self.stack.truncate(start);
        self.push_value(Value::Tuple(members))
    }

    fn append(&mut self, mut members: Vec<Id>) -> Result<()> {
        let list = self.top()?;
        self.charge(room_for(&members))?;
        if let Value::List(all) = self.values.get_mut(list) {
            all.append(&mut members);
            return Ok(());
        }
        Err(self.unlike("a list before it", list))
    }

    fn insert(&mut self, flat: &[Id]) -> Result<()> {
        let pairs = self.pairs(flat)?;
        let dict = self.top()?;
        self.charge(room_for(&pairs))?;
        if let Value::Dict(all) = self.values.get_mut(dict) {
            all.extend(pairs);
            return Ok(());
        }
        Err(self.unlike("a dict before it", dict))
    }

    fn pairs(&self, flat: &[Id]) -> Result<Vec<(Id, Id)>> {
        let (pairs, rest) = flat.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self
                .cursor
                .error("a value for each key", format!("{} of both", flat.len())));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn index_line(&mut self) -> Result<u32> {
        let line = self.cursor.text_line()?;
        let index = line.trim().parse();
        index.map_err(|_| self.cursor.error("a memo's index", format!("`{}`", shown(line))))
    }

    fn put(&mut self, index: u32) -> Result<()> {
        let value = self.top()?;
        self.charge_working(MEMO_ENTRY)?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<()> {
        let value = self.memo.get(&index).copied();
        let value =
            value.ok_or_else(|| self.cursor.error("a memo that was put", index.to_string()))?;
        self.push(value)
    }
}

/// What a container that grows by these takes for them: it keeps room for as many more, the old
/// room is there while the new one is made, and the first room is for four.
fn room_for<T>(members: &[T]) -> usize {
    (3 * members.len()).max(4) * size_of::<T>()
}
