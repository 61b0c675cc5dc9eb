//! Walks the bytes of a model before they are parsed.
//!
//! The parser trusts lengths: a message that reaches past the one around it, a huge text or deep
//! nesting would make it read elsewhere, take memory without end or overflow its stack. Here every
//! field that it will read is found to lie within its message, and what it will allocate is added
//! up.

use std::mem::size_of;
use std::ops::Range;

use rten_onnx::onnx::{
    AttributeProto, Dimension, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    ValueInfoProto,
};

use crate::foreign::Misfit;

/// Bytes that the parser may allocate for each of the file. A node of 30 bytes with a single
/// attribute takes some 3000, as lists start with room for four.
const EXPANSION: usize = 96;
/// Bytes that it may allocate for any file.
const BASE: usize = 1 << 16;
/// The deepest nesting of messages: a tensor's entry in an attribute of a node is the fifth.
const DEPTH: usize = 12;
/// Wire types.
const VARINT: u64 = 0;
const FIXED_4: u64 = 5;
/// Lists start with room for so many.
const ROOM: usize = 4;

/// What stands in a field, as far as the parser looks.
#[derive(Clone, Copy)]
enum Field {
    /// A message in a list, and the size of its value in memory.
    Message(Message, usize),
    /// Text or bytes, which lie in memory as they are in the file; `usize` is for the list's entry.
    Bytes(usize),
    /// Numbers in a row; each takes at most 8 bytes.
    Varints,
    Fixed(usize),
    /// Numbers of that wire type, of which the parser takes one a field.
    Single(u64),
    /// Not a message's field, or one that the parser passes over.
    Other,
}

/// The messages of a model that the parser reads.
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    OperatorSet,
    Entry,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Sequence,
    Shape,
    Dimension,
}

impl Message {
    /// What the field of that number holds: the table of `onnx.proto`, as far as it is read.
    fn field(self, number: u64) -> Field {
        use Message as M;
        let list = |message, size: usize| Field::Message(message, size * ROOM);
        let text = Field::Bytes(0);
        match (self, number) {
            (M::Model, 2 | 3) => text,
            (M::Model, 7) => Field::Message(M::Graph, 0),
            (M::Model, 8) => list(M::OperatorSet, size_of::<OperatorSetIdProto>()),
            (M::Model, 14) => list(M::Entry, size_of::<StringStringEntryProto>()),
            (M::OperatorSet, 1) | (M::Entry, 1 | 2) => text,
            (M::Graph, 1) => list(M::Node, size_of::<NodeProto>()),
            (M::Graph, 5) => list(M::Tensor, size_of::<TensorProto>()),
            (M::Graph, 11..=13) => list(M::ValueInfo, size_of::<ValueInfoProto>()),
            (M::Node, 1 | 2) => Field::Bytes(size_of::<String>() * ROOM),
            (M::Node, 3 | 4 | 7) => text,
            (M::Node, 5) => list(M::Attribute, size_of::<AttributeProto>()),
            (M::Attribute, 1 | 4) => text,
            (M::Attribute, 7) => Field::Single(FIXED_4),
            (M::Tensor, 1) | (M::Attribute, 8) => Field::Single(VARINT),
            (M::Attribute, 5) => Field::Message(M::Tensor, 0),
            (M::Attribute, 6) => Field::Message(M::Graph, 0),
            (M::Attribute, 9) => Field::Bytes(size_of::<String>() * ROOM),
            (M::Tensor, 4) => Field::Fixed(4),
            (M::Tensor, 10) => Field::Fixed(8),
            (M::Tensor, 5 | 7) => Field::Varints,
            (M::Tensor, 8 | 9) => text,
            (M::Tensor, 13) => list(M::Entry, size_of::<StringStringEntryProto>()),
            (M::ValueInfo, 1) | (M::Dimension, 2) => text,
            (M::ValueInfo, 2) => Field::Message(M::Type, 0),
            (M::Type, 1) => Field::Message(M::TensorType, 0),
            (M::Type, 4) => Field::Message(M::Sequence, size_of::<ValueInfoProto>()),
            (M::Sequence, 1) => Field::Message(M::Type, 0),
            (M::TensorType, 2) => Field::Message(M::Shape, 0),
            (M::Shape, 1) => list(M::Dimension, size_of::<Dimension>()),
            _ => Field::Other,
        }
    }
}

/// What is wrong, and at which byte.
pub(super) type Wrong = (usize, Misfit);

/// Numbers in one field where the parser takes a field for each; protobuf allows either.
#[derive(Debug, PartialEq)]
pub(super) struct Packed {
    /// Where the field starts.
    pub(super) start: usize,
    /// Where its numbers lie.
    pub(super) numbers: Range<usize>,
    /// What a field of one of them starts with.
    pub(super) tag: u64,
}

/// Asserts that the bytes are messages within messages, as a model has them; gives what is packed
/// unlike the parser takes it, in order.
pub(super) fn check(bytes: &[u8]) -> Result<Vec<Packed>, Wrong> {
    let room = bytes.len().saturating_mul(EXPANSION).saturating_add(BASE);
    let mut walk = Walk { bytes, room, packed: Vec::new() };
    walk.message(Message::Model, 0, bytes.len(), 0)?;
    Ok(walk.packed)
}

struct Walk<'a> {
    bytes: &'a [u8],
    /// How much the parser may still allocate.
    room: usize,
    packed: Vec<Packed>,
}

impl Walk<'_> {
    fn message(
        &mut self,
        message: Message,
        mut at: usize,
        end: usize,
        depth: usize,
    ) -> Result<(), Wrong> {
        if depth > DEPTH {
            return Err((at, Misfit::new(format!("at most {DEPTH} nested messages"), "more")));
        }
        while at < end {
            let start = at;
            let tag = self.varint(&mut at, end)?;
            let field = message.field(tag >> 3);
            match tag & 7 {
                // A number in a list takes memory too.
                0 => {
                    self.varint(&mut at, end)?;
                    self.charge(start, 8 * ROOM)?;
                }
                1 => at = self.skip(at, end, 8)?,
                5 => {
                    at = self.skip(at, end, 4)?;
                    self.charge(start, 4 * ROOM)?;
                }
                2 => {
                    let length = self.varint(&mut at, end)?;
                    let from = at;
                    at = self.skip(from, end, length)?;
                    if let Field::Single(wire_type) = field {
                        self.charge(start, ROOM * size_of::<Packed>())?;
                        let tag = tag & !7 | wire_type;
                        self.packed.push(Packed { start, numbers: from..at, tag });
                    }
                    self.content(field, start, from..at, depth)?;
                }
                other => {
                    let found = format!("wire type {other}");
                    return Err((start, Misfit::new("a field of protobuf", found)));
                }
            }
        }
        Ok(())
    }

    /// A field with a length.
    fn content(
        &mut self,
        field: Field,
        start: usize,
        at: Range<usize>,
        depth: usize,
    ) -> Result<(), Wrong> {
        match field {
            Field::Message(message, size) => {
                self.charge(start, size)?;
                self.message(message, at.start, at.end, depth + 1)
            }
            Field::Bytes(size) => self.charge(start, size),
            Field::Single(FIXED_4) => self.content(Field::Fixed(4), start, at, depth),
            Field::Varints | Field::Single(_) => {
                self.charge(start, at.len().saturating_mul(8))?;
                let mut from = at.start;
                while from < at.end {
                    self.varint(&mut from, at.end)?;
                }
                Ok(())
            }
            Field::Fixed(size) if !at.len().is_multiple_of(size) => {
                let expected = format!("numbers of {size} bytes");
                Err((start, Misfit::new(expected, format!("{} bytes", at.len()))))
            }
            Field::Fixed(_) | Field::Other => Ok(()),
        }
    }

    fn charge(&mut self, at: usize, size: usize) -> Result<(), Wrong> {
        self.room = self.room.checked_sub(size).ok_or_else(|| {
            let expected = format!("at most {EXPANSION} bytes of values for each of the file");
            (at, Misfit::new(expected, "more"))
        })?;
        Ok(())
    }

    fn skip(&self, at: usize, end: usize, length: u64) -> Result<usize, Wrong> {
        let to = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
        to.filter(|to| *to <= end).ok_or_else(|| {
            (at, Misfit::new(format!("{length} more bytes"), (end - at).to_string()))
        })
    }

    fn varint(&self, at: &mut usize, end: usize) -> Result<u64, Wrong> {
        let start = *at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes[..end].get(*at) else {
                return Err((start, Misfit::new("a number", "the end")));
            };
            *at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err((start, Misfit::new("a number of 64 bits", "a longer one")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(bytes: &[u8]) -> (usize, String) {
        let (at, misfit) = check(bytes).expect_err("it is malformed");
        (at, format!("{} / {}", misfit.expected, misfit.found))
    }

    #[test]
    fn fields_lie_within_their_messages() {
        assert!(check(&[]).is_ok());
        // The graph (7) holds a node (1) with an output (2) of two letters.
        let model = [0x3a, 6, 0x0a, 4, 0x12, 2, b'a', b'b'];
        assert!(check(&model).is_ok());
        for end in [1, 3, 5, 6, 7] {
            assert!(check(&model[..end]).is_err(), "{end} bytes");
        }
        // A node that reaches past its graph.
        let found = wrong(&[0x3a, 2, 0x0a, 4, 0x12, 2, b'a', b'b']);
        assert_eq!(found, (4, "4 more bytes / 0".to_owned()));
        let huge = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(wrong(&huge), (11, format!("{} more bytes / 0", u64::MAX)));
        assert_eq!(wrong(&[0x08, 0xff]).1, "a number / the end");
        assert_eq!(wrong(&[0x0b]).1, "a field of protobuf / wire type 3");
    }

    #[test]
    fn nesting_has_an_end() {
        // Graphs in attributes (6) of nodes (1) of graphs, from the inside.
        let mut bytes = Vec::new();
        for _ in 0..20 {
            for tag in [0x32, 0x2a, 0x0a] {
                bytes.insert(0, u8::try_from(bytes.len()).expect("it is short"));
                bytes.insert(0, tag);
            }
            if bytes.len() > 100 {
                break;
            }
        }
        bytes.insert(0, u8::try_from(bytes.len()).expect("it is short"));
        bytes.insert(0, 0x3a);
        assert!(check(&bytes).is_err());
    }

    #[test]
    fn packed_numbers_end_with_their_field() {
        // int64_data (7) of an initializer (5) ends within a number.
        assert!(check(&[0x3a, 5, 0x2a, 3, 0x3a, 1, 0x05]).is_ok());
        assert_eq!(wrong(&[0x3a, 5, 0x2a, 3, 0x3a, 1, 0x85]).1, "a number / the end");
        // float_data (4) of 3 bytes.
        assert_eq!(wrong(&[0x3a, 7, 0x2a, 5, 0x22, 3, 0, 0, 0]).1, "numbers of 4 bytes / 3 bytes");
    }

    #[test]
    fn empty_messages_do_not_add_up() {
        let attributes = [0x2a, 0].repeat(50_000);
        assert!(check_of_node(&attributes).contains("bytes of values for each of the file"));
    }

    #[test]
    fn numbers_that_are_packed_are_found() {
        // dims (1) of an initializer (5): one and one, then both in a field, then none.
        let model = [0x3a, 12, 0x2a, 10, 0x08, 3, 0x08, 4, 0x0a, 2, 5, 6, 0x0a, 0];
        let packed = |start, numbers| Packed { start, numbers, tag: 0x08 };
        assert_eq!(check(&model).expect("it is sound"), [packed(8, 10..12), packed(12, 14..14)]);
        assert_eq!(wrong(&[0x3a, 5, 0x2a, 3, 0x0a, 1, 0x85]).1, "a number / the end");
    }

    fn check_of_node(node: &[u8]) -> String {
        let mut bytes = node.to_vec();
        for tag in [0x0a, 0x3a] {
            let mut length = bytes.len();
            let mut start = vec![tag];
            while length >= 0x80 {
                start.push((length & 0x7f | 0x80) as u8);
                length >>= 7;
            }
            start.push(length as u8);
            bytes = [start, bytes].concat();
        }
        wrong(&bytes).1
    }
}
