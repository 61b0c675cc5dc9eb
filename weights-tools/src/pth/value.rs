//! What a pickle holds once it is read: plain values in an arena, which refer to each other by
//! number. A list may hold itself; nothing here follows such references on its own.

use std::borrow::Cow;

use super::element::Element;

/// The number of a value in its pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(pub(super) u32);

/// A value of a pickle, as far as a state dict can need it.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, as it is written.
    Long(&'a [u8]),
    Text(Cow<'a, str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Sets hold nothing that a state dict needs.
    Set,
    /// In the order of insertion; a later pair replaces an earlier one with the same key.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// Something whose content is never needed, as a float.
    Opaque(&'static str),
    Storage(Box<StorageRef>),
    Tensor(TensorRef),
}

/// A class or function that pickles of tensors may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Parameter,
    Size,
    Device,
    Set,
    NumpyScalar,
    NumpyDtype,
    Encode,
    Storage(Element),
    /// A type that is named but never called.
    Type,
}

/// A storage, or a stretch of one, in the words of a pickle.
#[derive(Debug)]
pub(super) struct StorageRef {
    /// The text that the container knows the storage by.
    pub(super) key: Id,
    pub(super) element: Element,
    /// Numbers of the whole storage.
    pub(super) count: u64,
    /// The first number of the stretch and how many there are.
    pub(super) part: (u64, u64),
}

/// A tensor in the words of a pickle.
#[derive(Debug)]
pub(super) enum TensorRef {
    /// The arguments of `_rebuild_tensor`: shape and strides are tuples.
    Rebuilt(Box<Rebuilt>),
    /// A key of the TAR container's table.
    Listed(i64),
}

/// The arguments of `_rebuild_tensor`.
#[derive(Debug)]
pub(super) struct Rebuilt {
    pub(super) storage: Id,
    pub(super) offset: u64,
    pub(super) shape: Id,
    pub(super) strides: Id,
}

impl Global {
    /// What a module's name stands for, if it is allowed.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch.nn.parameter", "Parameter") => Global::Parameter,
            ("torch", "Size") => Global::Size,
            ("torch", "device") => Global::Device,
            ("builtins" | "__builtin__", "set" | "frozenset") => Global::Set,
            ("builtins" | "__builtin__", "int" | "float" | "bool" | "str") => Global::Type,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Global::NumpyScalar,
            ("numpy", "dtype") => Global::NumpyDtype,
            ("_codecs", "encode") => Global::Encode,
            (
                "torch",
                "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32" | "int16"
                | "int8" | "uint8" | "bool",
            ) => Global::Type,
            ("torch" | "torch.cuda", class) => {
                let storage = class.strip_suffix("Storage").and_then(Element::of_class);
                let tensor = class.strip_suffix("Tensor").and_then(Element::of_class);
                return storage.map(Global::Storage).or(tensor.map(|_| Global::Type));
            }
            _ => return None,
        })
    }
}

impl Value<'_> {
    /// Memory that it takes beside its own place, with what an allocator takes for a block.
    pub(super) fn heap(&self) -> usize {
        const BLOCK: usize = 16;
        let bytes = match self {
            // Escapes are undone in room for the longest outcome.
            Value::Text(Cow::Owned(text)) => 3 * text.len(),
            Value::Tuple(members) | Value::List(members) => members.capacity() * size_of::<Id>(),
            Value::Dict(pairs) => pairs.capacity() * size_of::<(Id, Id)>(),
            Value::Storage(_) => size_of::<StorageRef>(),
            Value::Tensor(TensorRef::Rebuilt(_)) => size_of::<Rebuilt>(),
            Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Long(_)
            | Value::Text(Cow::Borrowed(_))
            | Value::Set
            | Value::Global(_)
            | Value::Opaque(_)
            | Value::Tensor(TensorRef::Listed(_)) => 0,
        };
        if bytes == 0 { 0 } else { bytes + BLOCK }
    }

    /// What it is, for errors.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) | Value::Long(_) => "an integer",
            Value::Text(_) => "a text",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Set => "a set",
            Value::Dict(_) => "a dict",
            Value::Global(_) => "a class or function",
            Value::Opaque(kind) => kind,
            Value::Storage(_) => "a storage",
            Value::Tensor(_) => "a tensor",
        }
    }

    /// The number of an integer, what it is of others, for errors.
    pub(super) fn described(&self) -> String {
        if let Value::Int(value) = self { value.to_string() } else { self.kind().to_owned() }
    }

    /// The number, if it is an integer of 0 or more.
    pub(super) fn index(&self) -> Option<u64> {
        if let Value::Int(value) = self { u64::try_from(*value).ok() } else { None }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The keys and values, if it is a dict.
    pub(super) fn pairs(&self) -> Option<&[(Id, Id)]> {
        if let Value::Dict(pairs) = self { Some(pairs) } else { None }
    }

    /// The members, if it is a tuple or a list.
    pub(super) fn members(&self) -> Option<&[Id]> {
        if let Value::Tuple(members) | Value::List(members) = self { Some(members) } else { None }
    }
}

/// The values of a pickle by number, in pieces, so that none are moved as they grow.
#[derive(Debug, Default)]
pub(super) struct Values<'a> {
    pieces: Vec<Vec<Value<'a>>>,
    count: usize,
}

impl<'a> Values<'a> {
    /// Values of a piece.
    const PIECE: usize = 64;

    /// Memory that one more value takes.
    pub(super) fn growth(&self) -> usize {
        let whole = Self::PIECE * size_of::<Value<'_>>() + 4 * size_of::<Vec<Value<'_>>>();
        if self.count.is_multiple_of(Self::PIECE) { whole } else { 0 }
    }

    /// Gives a value the next number, if there is one.
    pub(super) fn push(&mut self, value: Value<'a>) -> Option<Id> {
        let id = Id(u32::try_from(self.count).ok()?);
        if self.count.is_multiple_of(Self::PIECE) {
            self.pieces.push(Vec::with_capacity(Self::PIECE));
        }
        self.pieces.last_mut()?.push(value);
        self.count += 1;
        Some(id)
    }

    /// The value of that number, which is one that [`push`](Self::push) gave.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        let index = id.0 as usize;
        &self.pieces[index / Self::PIECE][index % Self::PIECE]
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, id: Id) -> &mut Value<'a> {
        let index = id.0 as usize;
        &mut self.pieces[index / Self::PIECE][index % Self::PIECE]
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Value<'a>> {
        self.pieces.iter().flatten()
    }
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) values: Values<'a>,
    pub(super) root: Id,
}

impl<'a> Pickle<'a> {
    /// The value of that number.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id)
    }

    /// What the pickle was made of.
    pub(super) fn root(&self) -> &Value<'a> {
        self.get(self.root)
    }

    /// The root's members, if they are `N`.
    pub(super) fn root_members<const N: usize>(&self) -> Option<[&Value<'a>; N]> {
        self.members(self.root)
    }

    /// A tuple's or list's members, if they are `N`.
    pub(super) fn members<const N: usize>(&self, id: Id) -> Option<[&Value<'a>; N]> {
        let members: [Id; N] = self.get(id).members()?.try_into().ok()?;
        Some(members.map(|id| self.get(id)))
    }
}
