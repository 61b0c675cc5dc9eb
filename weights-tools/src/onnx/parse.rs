//! A model's messages. The bytes of its weights stay in the file; the parser gets to see where
//! they lie.

use std::iter::Peekable;
use std::ops::Range;
use std::vec::IntoIter;

use rten_onnx::onnx::{ModelProto, TensorProto};
use rten_onnx::protobuf::{DecodeMessage, ErrorKind, OwnedValues, ProtobufError, ReadValue};

use super::error::{Error, Result};
use super::wire::{self, Packed};
use crate::foreign::Misfit;

/// Parses a file that is in memory or mapped.
pub(super) fn model(file: &str, bytes: &[u8]) -> Result<ModelProto> {
    let error = |what: String, misfit: Misfit| Error::Model {
        file: file.to_owned(),
        what,
        expected: misfit.expected,
        found: misfit.found,
    };
    let packed = wire::check(bytes);
    let packed = packed.map_err(|(at, misfit)| error(format!("byte {at}"), misfit))?;
    let reader = Reader { bytes, at: 0, packed: packed.into_iter().peekable(), open: None };
    ModelProto::decode(reader).map_err(|problem| {
        let message = problem.context().and_then(|name| name.rsplit("::").next());
        let what = message.unwrap_or("the model").trim_end_matches("Proto").to_owned();
        let found = match problem.field() {
            Some(field) => format!("field {field} with {}", problem.kind()),
            None => problem.kind().to_string(),
        };
        error(what, Misfit::new("an ONNX message", found))
    })
}

/// Where the raw bytes of a parsed tensor lie in the file.
pub(super) fn raw_bytes(tensor: &TensorProto) -> Option<Range<usize>> {
    let place = tensor.raw_data.as_ref()?.borrow();
    let (numbers, _) = place.as_chunks::<8>();
    let [start, end] = numbers else { return None };
    let number = |bytes: &[u8; 8]| usize::try_from(u64::from_le_bytes(*bytes)).ok();
    Some(number(start)?..number(end)?)
}

/// Reads values from memory. For raw bytes it gives two numbers of 64 bits: where they start and
/// end. Numbers that are packed unlike the parser takes them are given as a field each.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    packed: Peekable<IntoIter<Packed>>,
    /// The field whose numbers are given out, and where the one lies whose tag was given last.
    open: Option<(Packed, Option<usize>)>,
}

/// The number of a field that no message has.
const NO_FIELD: u64 = 1 << 20;

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let taken = self.bytes[self.at..].get(..length);
        let taken = taken.ok_or_else(|| ProtobufError::new(ErrorKind::Eof))?;
        self.at += length;
        Ok(taken)
    }

    /// What is to be read instead of the bytes here, if anything: the tag of a packed number.
    fn tag(&mut self) -> Option<u64> {
        if let Some(packed) = self.packed.next_if(|packed| packed.start == self.at) {
            self.at = packed.numbers.start;
            self.open = Some((packed, None));
        }
        let (packed, tagged) = self.open.as_mut()?;
        if self.at >= packed.numbers.end || *tagged == Some(self.at) {
            return None;
        }
        *tagged = Some(self.at);
        Some(packed.tag)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtobufError> {
        Ok(self.take(N)?.try_into().expect("`take` gives as many as were asked for"))
    }
}

impl ReadValue for Reader<'_> {
    type Types = OwnedValues;

    fn read_i32(&mut self) -> Result<i32, ProtobufError> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    fn read_i64(&mut self) -> Result<i64, ProtobufError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn read_varint(&mut self) -> Result<u64, ProtobufError> {
        while self.packed.next_if(|packed| packed.start < self.at).is_some() {}
        let none = |packed: &Packed| packed.start == self.at && packed.numbers.is_empty();
        let passed_over = self.packed.next_if(none).is_some();
        if let Some(tag) = self.tag() {
            return Ok(tag);
        }
        let mut rest = &self.bytes[self.at..];
        let before = rest.len();
        let value = rten_onnx::protobuf::varint::read_varint(&mut rest)?;
        self.at += before - rest.len();
        Ok(if passed_over { NO_FIELD << 3 | 2 } else { value })
    }

    fn read_bytes(&mut self, length: usize) -> Result<Vec<u8>, ProtobufError> {
        let start = self.at;
        self.take(length)?;
        let place = [start as u64, self.at as u64];
        Ok(place.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    fn read_string(&mut self, length: usize) -> Result<String, ProtobufError> {
        let text = std::str::from_utf8(self.take(length)?);
        let text = text.map_err(|_| ProtobufError::new(ErrorKind::InvalidUtf8))?;
        Ok(text.to_owned())
    }

    fn skip(&mut self, length: usize) -> Result<(), ProtobufError> {
        self.take(length).map(|_| ())
    }

    fn position(&self) -> u64 {
        self.at as u64
    }
}
