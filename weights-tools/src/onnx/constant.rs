//! Constants: the tensors of a model that are known before it runs.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use clrp::file::MappedFile;
use clrp::weight::{Dtype, Weight};
use half::{bf16, f16};
use rten_onnx::onnx::DataType;

/// The type that weights have for one of floating-point numbers.
pub(super) fn float(data_type: DataType) -> Option<Dtype> {
    match data_type {
        DataType::FLOAT16 => Some(Dtype::F16),
        DataType::BFLOAT16 => Some(Dtype::BF16),
        DataType::FLOAT => Some(Dtype::F32),
        DataType::DOUBLE => Some(Dtype::F64),
        _ => None,
    }
}

/// Where stored numbers lie.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In the model's file.
    Model(Range<usize>),
    /// In a data file.
    Mapped(MappedFile, Range<usize>),
    /// In memory.
    Owned(Rc<Vec<u8>>),
}

/// The numbers of a constant.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    /// Computed or read: shapes, axes and the like.
    Ints(Rc<Vec<i64>>),
    /// Computed.
    Floats(Rc<Vec<f64>>),
    /// As they are in the file, of little-endian order.
    Stored(Dtype, Place),
}

/// A tensor that is known before the model runs. The numbers are as many as the sizes say.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    pub(super) numbers: Numbers,
    /// The same as a weight, once one was asked for.
    weight: OnceCell<Weight>,
}

impl Constant {
    pub(super) fn new(name: &str, dims: Vec<usize>, numbers: Numbers) -> Self {
        Self { name: name.to_owned(), dims, numbers, weight: OnceCell::new() }
    }

    pub(super) fn ints(name: &str, dims: Vec<usize>, values: Vec<i64>) -> Self {
        Self::new(name, dims, Numbers::Ints(Rc::new(values)))
    }

    pub(super) fn floats(name: &str, dims: Vec<usize>, values: Vec<f64>) -> Self {
        Self::new(name, dims, Numbers::Floats(Rc::new(values)))
    }

    /// The same numbers under another name, or in another shape of the same length.
    pub(super) fn with(&self, name: &str, dims: Vec<usize>) -> Self {
        Self::new(name, dims, self.numbers.clone())
    }

    /// How many numbers there are.
    pub(super) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The integers, if it has integers.
    pub(super) fn as_ints(&self) -> Option<&[i64]> {
        match &self.numbers {
            Numbers::Ints(values) => Some(values),
            Numbers::Floats(_) | Numbers::Stored(..) => None,
        }
    }
}

/// The file of a model, from which numbers are taken, and how many more bytes may be computed or
/// copied.
#[derive(Debug)]
pub(super) struct Storage<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) map: Option<&'a MappedFile>,
    pub(super) room: usize,
}

impl Storage<'_> {
    /// Takes so many bytes from what may be computed or copied, if there are so many.
    pub(super) fn charge(&mut self, bytes: usize) -> Option<()> {
        self.room = self.room.checked_sub(bytes)?;
        Some(())
    }

    fn stored<'a>(&'a self, place: &'a Place) -> &'a [u8] {
        match place {
            Place::Model(range) => &self.bytes[range.clone()],
            Place::Mapped(map, range) => &map[range.clone()],
            Place::Owned(bytes) => bytes,
        }
    }

    /// The number at a place in the row of numbers.
    pub(super) fn number(&self, constant: &Constant, i: usize) -> f64 {
        match &constant.numbers {
            Numbers::Ints(values) => values[i] as f64,
            Numbers::Floats(values) => values[i],
            Numbers::Stored(dtype, place) => {
                let bytes = &self.stored(place)[i * dtype.size()..];
                match dtype {
                    Dtype::F16 => f16::from_le_bytes(start(bytes)).to_f64(),
                    Dtype::BF16 => bf16::from_le_bytes(start(bytes)).to_f64(),
                    Dtype::F32 => f32::from_le_bytes(start(bytes)).into(),
                    Dtype::F64 => f64::from_le_bytes(start(bytes)),
                }
            }
        }
    }

    /// The numbers at those places of the row, as they are stored.
    pub(super) fn picked(
        &self,
        constant: &Constant,
        places: impl Iterator<Item = usize>,
    ) -> Numbers {
        match &constant.numbers {
            Numbers::Ints(values) => {
                Numbers::Ints(Rc::new(places.map(|place| values[place]).collect()))
            }
            Numbers::Floats(values) => {
                Numbers::Floats(Rc::new(places.map(|place| values[place]).collect()))
            }
            Numbers::Stored(dtype, place) => {
                let (bytes, size) = (self.stored(place), dtype.size());
                let mut picked = Vec::with_capacity(places.size_hint().0.saturating_mul(size));
                for at in places {
                    picked.extend_from_slice(&bytes[at * size..(at + 1) * size]);
                }
                Numbers::Stored(*dtype, Place::Owned(Rc::new(picked)))
            }
        }
    }

    /// All numbers, if there is room for them.
    pub(super) fn numbers(&mut self, constant: &Constant) -> Option<Vec<f64>> {
        self.charge(constant.len().checked_mul(8)?)?;
        Some((0..constant.len()).map(|i| self.number(constant, i)).collect())
    }

    /// The constant as a weight of that name, as it is stored; none if there is no room for a
    /// copy. Layers that share a constant share its numbers.
    pub(super) fn weight(&mut self, constant: &Constant, name: &str) -> Option<Weight> {
        if let Some(weight) = constant.weight.get() {
            return Some(weight.clone().renamed(name));
        }
        let weight = self.make(constant, name)?;
        Some(constant.weight.get_or_init(|| weight).clone())
    }

    fn make(&mut self, constant: &Constant, name: &str) -> Option<Weight> {
        let (dims, count) = (&constant.dims, constant.len());
        let Numbers::Stored(dtype, place) = &constant.numbers else {
            self.charge(count.checked_mul(8)?)?;
            let values = (0..count).map(|i| self.number(constant, i)).collect();
            return Some(Weight::from_f64(name, dims, values));
        };
        let mapped = match place {
            Place::Model(range) => self.map.map(|map| (map, range)),
            Place::Mapped(map, range) => Some((map, range)),
            Place::Owned(_) => None,
        };
        // Bytes that are not aligned are copied, as are those that lie in no map.
        let aligned = |bytes: &[u8]| (bytes.as_ptr() as usize).is_multiple_of(dtype.size());
        if !mapped.is_some_and(|(map, range)| aligned(&map[range.clone()])) {
            self.charge(count.checked_mul(dtype.size())?)?;
        }
        if let Some((map, range)) = mapped {
            return Weight::mapped(name, dims, *dtype, map, range.clone());
        }
        Some(Weight::from_le_bytes(name, dims, *dtype, self.stored(place)))
    }
}

/// The first bytes.
fn start<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes[..N].try_into().expect("a slice of so many bytes")
}
