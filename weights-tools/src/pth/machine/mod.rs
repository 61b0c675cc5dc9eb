//! The pickle machine: runs the opcodes of protocols 0 to 5 and fills an arena of plain values.
//!
//! No class is made and no function is called: the few that a state dict needs are known by name
//! (`Global`), and what they would return is written down. Every other name is an error. Each
//! opcode adds at most one value, so that memory and time grow with the bytes of the pickle.

mod collect;
mod construct;
mod scalar;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::error::Result;
use super::opcode;
use super::tensor::View;
use super::value::{Id, Pickle, Value};

/// The most values of a pickle: those of some 100,000 tensors, ten times over.
const VALUES: usize = 1 << 22;
/// The most values that wait to be collected; Python's own writer collects every 1000.
const STACK: usize = 1 << 20;
/// The most collections begun inside each other; Python's own writer stops at some 1000.
const MARKS: usize = 1 << 12;

const NONE: Id = Id(0);
const TRUE: Id = Id(1);
const FALSE: Id = Id(2);

const PROTO: u8 = 0x80;
const FRAME: u8 = 0x95;
const STOP: u8 = b'.';

/// What a pickle may refer to outside of itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Persistent<'t> {
    /// Nothing.
    Refused,
    /// Storages, by a tuple that describes them.
    Storages,
    /// The tensors of this table, by number.
    Listed(&'t BTreeMap<i64, View>),
}

/// Reads one pickle; the cursor then stands behind it.
pub(super) fn load<'a>(cursor: &mut Cursor<'a>, persistent: Persistent<'_>) -> Result<Pickle<'a>> {
    let mut machine = Machine {
        cursor,
        persistent,
        values: vec![Value::None, Value::Bool(true), Value::Bool(false)],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        copied: 0,
    };
    loop {
        machine.cursor.begin("an opcode");
        let [code] = machine.cursor.array()?;
        machine.cursor.name(opcode::name(code));
        match code {
            PROTO => machine.protocol()?,
            FRAME => machine.frame()?,
            STOP => {
                let root = machine.pop()?;
                return Ok(Pickle { values: machine.values, root });
            }
            _ => machine.step(code)?,
        }
    }
}

struct Machine<'a, 'c> {
    cursor: &'c mut Cursor<'a>,
    persistent: Persistent<'c>,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Where in the stack the open collections begin.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    /// Elements that were copied from one container to another.
    copied: usize,
}

impl<'a> Machine<'a, '_> {
    fn step(&mut self, code: u8) -> Result<()> {
        let known = self.scalar(code)?
            || self.collect(code)?
            || self.remember(code)?
            || self.construct(code)?;
        if known {
            return Ok(());
        }
        let found = format!("{code:#04x} ({})", opcode::name(code));
        Err(self.cursor.error("an opcode that checkpoints have", found))
    }

    fn protocol(&mut self) -> Result<()> {
        let [version] = self.cursor.array()?;
        if version > 5 {
            return Err(self.cursor.error("protocol 0 to 5", version.to_string()));
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<()> {
        let length = u64::from_le_bytes(self.cursor.array()?);
        let rest = self.cursor.len() - self.cursor.position();
        if length > rest as u64 {
            return Err(self.cursor.error(format!("{length} more bytes"), rest.to_string()));
        }
        Ok(())
    }

    fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id.0 as usize]
    }

    fn push(&mut self, id: Id) -> Result<()> {
        if self.stack.len() >= STACK {
            return Err(self.cursor.error(format!("at most {STACK} values in wait"), "one more"));
        }
        self.stack.push(id);
        Ok(())
    }

    fn add(&mut self, value: Value<'a>) -> Result<Id> {
        if self.values.len() >= VALUES {
            return Err(self.cursor.error(format!("at most {VALUES} values"), "one more"));
        }
        let id = u32::try_from(self.values.len()).expect("there are at most 2^22");
        self.values.push(value);
        Ok(Id(id))
    }

    fn push_value(&mut self, value: Value<'a>) -> Result<()> {
        let id = self.add(value)?;
        self.push(id)
    }

    /// Where the innermost open collection begins.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        let above = &self.stack[self.floor()..];
        above.last().copied().ok_or_else(|| self.cursor.error("a value before it", "none"))
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The values since the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| self.cursor.error("a MARK before it", "none"))?;
        // Not `split_off`, which would leave each list as much room as the stack has.
        let above = self.stack[mark..].to_vec();
        self.stack.truncate(mark);
        Ok(above)
    }

    /// The error that the value is of another kind.
    fn unlike(&self, expected: &str, found: Id) -> super::error::Error {
        self.cursor.error(expected, self.get(found).kind())
    }
}
