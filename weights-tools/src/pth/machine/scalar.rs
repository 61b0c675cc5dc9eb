//! Opcodes that push a number or a text.

use std::borrow::Cow;

use super::{FALSE, Machine, NONE, TRUE};
use crate::foreign::shown;
use crate::pth::error::Result;
use crate::pth::text;
use crate::pth::value::Value;

const FLOAT: Value<'static> = Value::Opaque("a float");

impl<'a> Machine<'a, '_> {
    /// Runs the opcode if it is one of these.
    pub(super) fn scalar(&mut self, code: u8) -> Result<bool> {
        let value = match code {
            b'N' => return self.push(NONE).map(|()| true),
            0x88 => return self.push(TRUE).map(|()| true),
            0x89 => return self.push(FALSE).map(|()| true),
            b'I' => self.integer_line()?,
            b'L' => self.long_line()?,
            b'K' => {
                let [value] = self.cursor.array()?;
                return self.small(value).map(|()| true);
            }
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.cursor.array()?))),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.cursor.array()?))),
            0x8a => {
                let [length] = self.cursor.array()?;
                self.long(u64::from(length))?
            }
            0x8b => {
                let length = self.length_i32()?;
                self.long(length)?
            }
            b'F' => self.float_line()?,
            b'G' => {
                self.cursor.take(8)?;
                FLOAT
            }
            _ => match self.text(code)? {
                Some(value) => value,
                None => return Ok(false),
            },
        };
        self.push_value(value)?;
        Ok(true)
    }

    fn small(&mut self, value: u8) -> Result<()> {
        let id = match self.small[usize::from(value)] {
            Some(id) => id,
            None => self.add(Value::Int(i64::from(value)))?,
        };
        self.small[usize::from(value)] = Some(id);
        self.push(id)
    }

    fn text(&mut self, code: u8) -> Result<Option<Value<'a>>> {
        let value = match code {
            b'X' => {
                let length = u32::from_le_bytes(self.cursor.array()?);
                self.utf8(u64::from(length))?
            }
            0x8c => {
                let [length] = self.cursor.array()?;
                self.utf8(u64::from(length))?
            }
            0x8d => {
                let length = u64::from_le_bytes(self.cursor.array()?);
                self.utf8(length)?
            }
            b'V' => {
                let line = self.cursor.line()?;
                let text = text::unescaped(line);
                Value::Text(text.ok_or_else(|| self.cursor.error("escaped text", "a bad escape"))?)
            }
            b'S' => {
                let line = self.cursor.line()?;
                let bytes = text::unquoted(line);
                byte_text(bytes.ok_or_else(|| self.cursor.error("quoted text", "another line"))?)
            }
            b'T' => {
                let length = self.length_i32()?;
                byte_text(Cow::Borrowed(self.cursor.take(length)?))
            }
            b'U' => {
                let [length] = self.cursor.array()?;
                byte_text(Cow::Borrowed(self.cursor.take(u64::from(length))?))
            }
            b'B' => {
                let length = u32::from_le_bytes(self.cursor.array()?);
                self.bytes(u64::from(length))?
            }
            b'C' => {
                let [length] = self.cursor.array()?;
                self.bytes(u64::from(length))?
            }
            0x8e | 0x96 => {
                let length = u64::from_le_bytes(self.cursor.array()?);
                self.bytes(length)?
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// A length that Python writes with a sign.
    fn length_i32(&mut self) -> Result<u64> {
        let length = i32::from_le_bytes(self.cursor.array()?);
        let unsigned = u64::try_from(length);
        unsigned.map_err(|_| self.cursor.error("a length of 0 or more", length.to_string()))
    }

    /// Protocol 0 writes bools as the integers `00` and `01`.
    fn integer_line(&mut self) -> Result<Value<'a>> {
        let line = self.cursor.text_line()?;
        match line {
            "00" => return Ok(Value::Bool(false)),
            "01" => return Ok(Value::Bool(true)),
            _ => {}
        }
        self.decimal(line)
    }

    fn long_line(&mut self) -> Result<Value<'a>> {
        let line = self.cursor.text_line()?;
        self.decimal(line.strip_suffix('L').unwrap_or(line))
    }

    fn decimal(&self, line: &'a str) -> Result<Value<'a>> {
        let digits = line.trim();
        let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        if let Ok(value) = line.trim().parse() {
            Ok(Value::Int(value))
        } else if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Value::Long(line.as_bytes()))
        } else {
            Err(self.cursor.error("an integer", format!("`{}`", shown(line))))
        }
    }

    fn float_line(&mut self) -> Result<Value<'a>> {
        let line = self.cursor.text_line()?;
        let value = line.trim().parse::<f64>().map(|_| FLOAT);
        value.map_err(|_| self.cursor.error("a number", format!("`{}`", shown(line))))
    }

    fn long(&mut self, length: u64) -> Result<Value<'a>> {
        let bytes = self.cursor.take(length)?;
        Ok(text::signed(bytes).map_or(Value::Long(bytes), Value::Int))
    }

    fn utf8(&mut self, length: u64) -> Result<Value<'a>> {
        let bytes = self.cursor.take(length)?;
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| self.cursor.error("UTF-8", "other bytes"))?;
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn bytes(&mut self, length: u64) -> Result<Value<'a>> {
        self.cursor.take(length)?;
        Ok(Value::Opaque("bytes"))
    }
}

/// Python 2's `str`, which names things as well as it holds bytes.
fn byte_text(bytes: Cow<'_, [u8]>) -> Value<'_> {
    let text = match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    text.map_or(Value::Opaque("bytes"), Value::Text)
}
