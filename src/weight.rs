//! A named weight: its shape and its numbers, in memory or in a mapped file.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};
use rayon::prelude::*;

use crate::file::MappedFile;
use crate::kernels::linear::Rows;
use crate::num::Float;

/// The type of a stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 32 bit.
    F32,
    /// 16 bit, IEEE.
    F16,
    /// 16 bit, the upper half of 32.
    BF16,
    /// 64 bit: weights that were folded, and files that hold such.
    F64,
}

impl Dtype {
    /// Bytes of a number.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::F64 => 8,
        }
    }
}

/// Where a weight's numbers lie and how they are read; several weights may start at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    address: usize,
    bytes: usize,
    dtype: Dtype,
}

/// A weight under its state-dict key. Cheap to clone: the numbers are shared.
#[derive(Clone, Debug)]
pub struct Weight {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    storage: Storage,
}

#[derive(Clone)]
enum Storage {
    F32(Arc<Vec<f32>>),
    Bits16(Arc<Vec<u16>>),
    F64(Arc<Vec<f64>>),
    /// Aligned for the type; checked when made.
    Mapped(MappedFile, Range<usize>),
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Storage::F32(values) => write!(f, "{} f32", values.len()),
            Storage::Bits16(values) => write!(f, "{} 16-bit numbers", values.len()),
            Storage::F64(values) => write!(f, "{} f64", values.len()),
            Storage::Mapped(_, range) => write!(f, "mapped bytes {range:?}"),
        }
    }
}

impl Weight {
    /// A weight made in memory.
    ///
    /// # Panics
    /// If the number of values is not what the shape says.
    pub fn from_f32(name: impl Into<String>, shape: &[usize], values: Vec<f32>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "values of a weight");
        let storage = Storage::F32(Arc::new(values));
        Self { name: name.into(), shape: shape.to_vec(), dtype: Dtype::F32, storage }
    }

    /// A weight of 64-bit numbers made in memory.
    ///
    /// # Panics
    /// If the number of values is not what the shape says.
    pub fn from_f64(name: impl Into<String>, shape: &[usize], values: Vec<f64>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "values of a weight");
        let storage = Storage::F64(Arc::new(values));
        Self { name: name.into(), shape: shape.to_vec(), dtype: Dtype::F64, storage }
    }

    /// A weight of 16-bit numbers made in memory from their bits.
    ///
    /// # Panics
    /// If the type has other than 16 bits, or the number of values is not what the shape says.
    pub fn from_bits16(
        name: impl Into<String>,
        shape: &[usize],
        dtype: Dtype,
        bits: Vec<u16>,
    ) -> Self {
        assert_eq!(dtype.size(), 2, "bytes of a number");
        assert_eq!(bits.len(), shape.iter().product::<usize>(), "values of a weight");
        let storage = Storage::Bits16(Arc::new(bits));
        Self { name: name.into(), shape: shape.to_vec(), dtype, storage }
    }

    /// A weight made in memory from the bytes of its numbers in the little-endian order.
    ///
    /// # Panics
    /// If the bytes are not as many as the shape says.
    pub fn from_le_bytes(
        name: impl Into<String>,
        shape: &[usize],
        dtype: Dtype,
        bytes: &[u8],
    ) -> Self {
        match dtype {
            Dtype::F32 => Self::from_f32(name, shape, numbers(bytes, f32::from_le_bytes)),
            Dtype::F16 | Dtype::BF16 => {
                Self::from_bits16(name, shape, dtype, numbers(bytes, u16::from_le_bytes))
            }
            Dtype::F64 => Self::from_f64(name, shape, numbers(bytes, f64::from_le_bytes)),
        }
    }

    /// A weight in the given bytes of a mapped file, if they are as many as the shape says.
    /// Bytes that are not aligned for their type are copied.
    pub fn mapped(
        name: impl Into<String>,
        shape: &[usize],
        dtype: Dtype,
        map: &MappedFile,
        range: Range<usize>,
    ) -> Option<Self> {
        let count = shape.iter().try_fold(1_usize, |a, &b| a.checked_mul(b))?;
        let bytes = map.get(range.clone())?;
        if count.checked_mul(dtype.size())? != bytes.len() {
            return None;
        }
        if !(bytes.as_ptr() as usize).is_multiple_of(dtype.size()) {
            return Some(Self::from_le_bytes(name, shape, dtype, bytes));
        }
        let storage = Storage::Mapped(map.clone(), range);
        Some(Self { name: name.into(), shape: shape.to_vec(), dtype, storage })
    }

    /// The same weight under another key; the numbers are shared.
    #[must_use]
    pub fn renamed(&self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// The state-dict key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Torch's shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the numbers.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flat index and the value of the first number that is not finite in 32 bits, if there is
    /// one. Memory that holds a copy of a mapped file is let go of on the way.
    pub fn first_not_finite(&self) -> Option<(usize, f32)> {
        let mut parts = (0..self.len())
            .step_by(NUMBERS_AT_ONCE)
            .map(|i| i..self.len().min(i + NUMBERS_AT_ONCE));
        let at = parts.find_map(|part| {
            let at = match self.values().slice(part.clone()) {
                Rows::F32(w) => position(w, |w| !w.is_finite()),
                Rows::F16(w) => position(w, |w| !w.is_finite()),
                Rows::BF16(w) => position(w, |w| !w.is_finite()),
                Rows::F64(w) => position(w, |w| !(*w as f32).is_finite()),
            };
            self.release_part(part.clone());
            at.map(|i| part.start + i)
        });
        at.map(|i| (i, self.values().get::<f32>(i)))
    }

    /// All numbers, as they are stored.
    pub fn values(&self) -> Rows<'_> {
        let bytes = self.bytes();
        match self.dtype {
            Dtype::F32 => Rows::F32(bytemuck::cast_slice(bytes)),
            Dtype::F16 => Rows::F16(bytemuck::cast_slice::<u8, f16>(bytes)),
            Dtype::BF16 => Rows::BF16(bytemuck::cast_slice::<u8, bf16>(bytes)),
            Dtype::F64 => Rows::F64(bytemuck::cast_slice(bytes)),
        }
    }

    /// Lets go of memory that holds nothing but a copy of a mapped file; it comes back when the
    /// numbers are read again. For weights that were copied into another order, or are not read for
    /// a while.
    pub fn release(&self) {
        self.release_part(0..self.len());
    }

    /// The same of some of the numbers.
    pub(crate) fn release_part(&self, numbers: Range<usize>) {
        if let Storage::Mapped(map, range) = &self.storage {
            let size = range.len() / self.len().max(1);
            map.release(&(range.start + numbers.start * size..range.start + numbers.end * size));
        }
    }

    /// What tells this weight's numbers from all others that live at the same time.
    pub fn identity(&self) -> Identity {
        let bytes = self.bytes();
        Identity { address: bytes.as_ptr() as usize, bytes: bytes.len(), dtype: self.dtype }
    }

    fn bytes(&self) -> &[u8] {
        match &self.storage {
            Storage::F32(values) => bytemuck::cast_slice(values),
            Storage::Bits16(values) => bytemuck::cast_slice(values),
            Storage::F64(values) => bytemuck::cast_slice(values),
            Storage::Mapped(map, range) => &map[range.clone()],
        }
    }
}

impl<'a> Rows<'a> {
    /// How many numbers there are.
    pub fn len(self) -> usize {
        match self {
            Rows::F32(w) => w.len(),
            Rows::F16(w) => w.len(),
            Rows::BF16(w) => w.len(),
            Rows::F64(w) => w.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The numbers of that range.
    ///
    /// # Panics
    /// If the range does not lie inside.
    pub fn slice(self, range: Range<usize>) -> Rows<'a> {
        match self {
            Rows::F32(w) => Rows::F32(&w[range]),
            Rows::F16(w) => Rows::F16(&w[range]),
            Rows::BF16(w) => Rows::BF16(&w[range]),
            Rows::F64(w) => Rows::F64(&w[range]),
        }
    }

    /// The bits of the numbers, if they have 16.
    pub fn bits16(self) -> Option<&'a [u16]> {
        match self {
            Rows::F16(w) => Some(bytemuck::cast_slice(w)),
            Rows::BF16(w) => Some(bytemuck::cast_slice(w)),
            Rows::F32(_) | Rows::F64(_) => None,
        }
    }

    /// Writes the numbers to as many places.
    ///
    /// # Panics
    /// If there are more or fewer places than numbers.
    pub fn widen<F: Float>(self, to: &mut [F]) {
        assert_eq!(self.len(), to.len(), "places for numbers");
        match self {
            Rows::F32(w) => to.iter_mut().zip(w).for_each(|(to, &w)| *to = F::from_f32(w)),
            Rows::F16(w) => F::widen_f16(w, to),
            Rows::BF16(w) => F::widen_bf16(w, to),
            Rows::F64(w) => to.iter_mut().zip(w).for_each(|(to, &w)| *to = F::from_f64(w)),
        }
    }

    /// Number `i`.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    pub fn get<F: Float>(self, i: usize) -> F {
        match self {
            Rows::F32(w) => F::from_f32(w[i]),
            Rows::F16(w) => F::from_f32(w[i].to_f32()),
            Rows::BF16(w) => F::from_f32(w[i].to_f32()),
            Rows::F64(w) => F::from_f64(w[i]),
        }
    }
}

/// The numbers that bytes stand for, all of them.
fn numbers<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (numbers, rest) = bytes.as_chunks();
    assert!(rest.is_empty(), "bytes of a weight");
    numbers.iter().map(|bytes| number(*bytes)).collect()
}

/// Numbers of a mapped file that are looked through at once.
const NUMBERS_AT_ONCE: usize = 8 << 20;

/// Where the first value lies that `sought` holds of. Whole chunks are tested without a branch, at
/// the speed of memory: weights are many and nearly always fine.
fn position<T: Sync>(values: &[T], sought: impl Fn(&T) -> bool + Sync) -> Option<usize> {
    const CHUNK: usize = 1 << 14;
    let holds_one = |chunk: &[T]| chunk.iter().fold(false, |found, value| found | sought(value));
    let first = values.par_chunks(CHUNK).position_first(holds_one)? * CHUNK;
    values[first..].iter().position(sought).map(|i| first + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_start_at_one_place_are_told_apart() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        file.as_file().set_len(64).expect("there is room");
        let map = MappedFile::open(file.path()).expect("it is a file");
        let at_start = |shape: &[usize], dtype: Dtype| {
            let bytes = shape.iter().product::<usize>() * dtype.size();
            let weight = Weight::mapped("w", shape, dtype, &map, 0..bytes).expect("it fits");
            weight.identity()
        };
        let whole = at_start(&[16], Dtype::F32);
        assert_eq!(whole, at_start(&[4, 4], Dtype::F32));
        assert_ne!(whole, at_start(&[8], Dtype::F32));
        assert_ne!(at_start(&[8], Dtype::F16), at_start(&[8], Dtype::BF16));
    }
}
