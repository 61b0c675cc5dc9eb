//! A model's messages. The bytes of its weights stay in the file; the parser gets to see where
//! they lie.

use std::ops::Range;

use rten_onnx::onnx::{ModelProto, TensorProto};
use rten_onnx::protobuf::{DecodeMessage, ErrorKind, OwnedValues, ProtobufError, ReadValue};

use super::error::{Error, Result};
use super::wire;
use crate::foreign::Misfit;

/// Parses a file that is in memory or mapped.
pub(super) fn model(file: &str, bytes: &[u8]) -> Result<ModelProto> {
    let error = |what: String, misfit: Misfit| Error::Model {
        file: file.to_owned(),
        what,
        expected: misfit.expected,
        found: misfit.found,
    };
    wire::check(bytes).map_err(|(at, misfit)| error(format!("byte {at}"), misfit))?;
    let reader = Reader { bytes, at: 0 };
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
/// end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let taken = self.bytes[self.at..].get(..length);
        let taken = taken.ok_or_else(|| ProtobufError::new(ErrorKind::Eof))?;
        self.at += length;
        Ok(taken)
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
        let mut rest = &self.bytes[self.at..];
        let before = rest.len();
        let value = rten_onnx::protobuf::varint::read_varint(&mut rest)?;
        self.at += before - rest.len();
        Ok(value)
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
