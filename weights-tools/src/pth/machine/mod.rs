//! The pickle machine: runs the opcodes of protocols 0 to 5 and fills an arena of plain values.
//!
//! No class is made and no function is called: the few that a state dict needs are known by name
//! (`Global`), and what they would return is written down. Every other name is an error. Each
//! opcode adds at most two values, and all memory is taken from the file's allowance.

mod collect;
mod construct;
mod scalar;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::allowance::Allowance;
use super::cursor::Cursor;
use super::error::Result;
use super::opcode;
use super::tensor::View;
use super::value::{Id, Pickle, Value, Values};

/// The most collections begun inside each other; Python's own writer stops at some 1000.
const MARKS: usize = 1 << 12;

const NONE: Id = Id(0);
const TRUE: Id = Id(1);
const FALSE: Id = Id(2);
const EMPTY_TUPLE: Id = Id(3);

/// What the memo takes for an entry: it keeps room for more.
const MEMO_ENTRY: usize = 20;

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

/// Reads one pickle; the cursor then stands behind it. What the values take is taken from the
/// allowance.
pub(super) fn load<'a>(
    cursor: &mut Cursor<'a>,
    persistent: Persistent<'_>,
    allowance: &mut Allowance,
) -> Result<Pickle<'a>> {
    let mut machine = Machine {
        cursor,
        persistent,
        allowance,
        values: Values::default(),
        small: [None; 256],
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        working: 0,
    };
    // In the order of their numbers.
    for constant in [Value::None, Value::Bool(true), Value::Bool(false), Value::Tuple(Vec::new())] {
        machine.add(constant)?;
    }
    loop {
        machine.cursor.begin("an opcode");
        let [code] = machine.cursor.array()?;
        machine.cursor.name(opcode::name(code));
        match code {
            PROTO => machine.protocol()?,
            FRAME => machine.frame()?,
            STOP => {
                let root = machine.pop()?;
                machine.allowance.give_back(machine.working);
                return Ok(Pickle { values: machine.values, root });
            }
            _ => machine.step(code)?,
        }
    }
}

struct Machine<'a, 'c> {
    cursor: &'c mut Cursor<'a>,
    persistent: Persistent<'c>,
    allowance: &'c mut Allowance,
    values: Values<'a>,
    /// Integers of one byte, which are there once.
    small: [Option<Id>; 256],
    stack: Vec<Id>,
    /// Where in the stack the open collections begin.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    /// What the stack and the memo took of the allowance.
    working: usize,
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
        self.values.get(id)
    }

    /// Takes memory for values, which stay.
    fn charge(&mut self, bytes: usize) -> Result<()> {
        let taken = self.allowance.take(bytes);
        taken.map_err(|misfit| self.cursor.error(misfit.expected, misfit.found))
    }

    /// Takes memory that is free again when the pickle has been read.
    fn charge_working(&mut self, bytes: usize) -> Result<()> {
        self.charge(bytes)?;
        self.working += bytes;
        Ok(())
    }

    fn push(&mut self, id: Id) -> Result<()> {
        if self.stack.len() == self.stack.capacity() {
            let more = self.stack.len().max(64);
            // The old room and the new one are there at once.
            self.charge_working(2 * more * size_of::<Id>())?;
            self.stack.reserve_exact(more);
        }
        self.stack.push(id);
        Ok(())
    }

    fn add(&mut self, value: Value<'a>) -> Result<Id> {
        self.charge(self.values.growth() + value.heap())?;
        let added = self.values.push(value);
        added.ok_or_else(|| self.cursor.error("values that 32 bits can number", "more"))
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
        self.cursor.error(expected, self.get(found).described())
    }
}
