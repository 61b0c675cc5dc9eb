//! A tensor as a view of a storage, checked against it, and its numbers.

use std::borrow::Cow;
use std::ops::Range;

use clrp::file::MappedFile;
use clrp::weight::{Dtype, Weight};

use super::allowance::Allowance;
use super::element::Element;
use crate::foreign::Misfit;

/// A tensor that lies within its storage.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    strides: Vec<usize>,
    /// Bytes of the file from the first number to the end of the storage.
    bytes: Range<usize>,
    count: usize,
}

impl View {
    /// The most dimensions: a three-dimensional convolution has 5.
    pub(super) const RANK: usize = 8;

    /// The tensor with these sizes, if all its numbers lie in these bytes of the file.
    pub(super) fn new(
        element: Element,
        storage: Range<usize>,
        offset: u64,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<Self, Misfit> {
        if shape.len() > Self::RANK {
            let found = "more";
            return Err(Misfit::new(format!("at most {} dimensions", Self::RANK), found));
        }
        if strides.len() != shape.len() {
            let expected = format!("a stride for each size of {shape:?}");
            return Err(Misfit::new(expected, strides.len().to_string()));
        }
        let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        let Some(count) = count else {
            return Err(Misfit::new("a shape that can be counted", format!("{shape:?}")));
        };
        if count == 0 {
            let (bytes, strides) = (storage.start..storage.start, vec![0; shape.len()]);
            return Ok(Self { element, shape, strides, bytes, count });
        }
        // A single step is never taken, however long torch says it is.
        let taken = |(&size, stride)| if size == 1 { 0 } else { stride };
        let strides: Vec<usize> = shape.iter().zip(strides).map(taken).collect();
        let held = storage.len() / element.size();
        let last = last_number(offset, &shape, &strides).filter(|last| *last < held);
        let start = usize::try_from(offset).ok().filter(|_| last.is_some());
        let Some(start) = start else {
            let expected = format!("numbers within the {held} of its storage");
            let found = format!("shape {shape:?}, strides {strides:?}, offset {offset}");
            return Err(Misfit::new(expected, found));
        };
        let bytes = storage.start + start * element.size()..storage.end;
        Ok(Self { element, shape, strides, bytes, count })
    }

    /// Memory that its place in a list takes, where room is left for others.
    pub(super) fn memory(&self) -> usize {
        256 + 2 * self.shape.len() * size_of::<usize>()
    }

    /// Whether the numbers lie side by side in the shape's order.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.count == 0
            || self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected *= size;
                fits
            })
    }

    /// The bytes of its numbers, in the shape's order.
    fn gather<'f>(&self, file: &'f [u8]) -> Cow<'f, [u8]> {
        let (bytes, size) = (&file[self.bytes.clone()], self.element.size());
        if self.is_contiguous() {
            return Cow::Borrowed(&bytes[..self.count * size]);
        }
        let mut numbers = Vec::with_capacity(self.count * size);
        let mut place = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..self.count {
            numbers.extend_from_slice(&bytes[at * size..(at + 1) * size]);
            for axis in (0..place.len()).rev() {
                place[axis] += 1;
                at += self.strides[axis];
                if place[axis] < self.shape[axis] {
                    break;
                }
                at -= place[axis] * self.strides[axis];
                place[axis] = 0;
            }
        }
        Cow::Owned(numbers)
    }
}

fn last_number(offset: u64, shape: &[usize], strides: &[usize]) -> Option<usize> {
    let offset = usize::try_from(offset).ok()?;
    shape.iter().zip(strides).try_fold(offset, |last, (&size, &stride)| {
        last.checked_add((size - 1).checked_mul(stride)?)
    })
}

/// A file's bytes, and how much memory may be taken for what is copied out of them.
#[derive(Debug)]
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    map: Option<&'a MappedFile>,
    allowance: Allowance,
}

impl<'a> Source<'a> {
    /// The bytes of a file, and the map that they lie in, if any.
    pub(super) fn new(bytes: &'a [u8], map: Option<&'a MappedFile>, allowance: Allowance) -> Self {
        Self { bytes, map, allowance }
    }

    /// The tensor as a weight, or nothing if it has numbers of another type than weights have.
    pub(super) fn weight(&mut self, name: &str, view: &View) -> Result<Option<Weight>, Misfit> {
        // It is listed with its view, and twice on its way.
        self.allowance.take(2 * (name.len() + view.memory()))?;
        let dtype = match view.element {
            Element::F64 => Dtype::F64,
            Element::F32 => Dtype::F32,
            Element::F16 => Dtype::F16,
            Element::BF16 => Dtype::BF16,
            Element::I64
            | Element::I32
            | Element::I16
            | Element::I8
            | Element::U8
            | Element::Bool => return Ok(None),
        };
        if let Some(map) = self.map
            && view.count > 0
            && view.is_contiguous()
        {
            let end = view.bytes.start + view.count * dtype.size();
            let aligned = (map.as_ptr() as usize + view.bytes.start).is_multiple_of(dtype.size());
            if !aligned {
                self.charge(view, dtype.size())?;
            }
            return Ok(Weight::mapped(name, &view.shape, dtype, map, view.bytes.start..end));
        }
        self.charge(view, dtype.size())?;
        // Numbers that do not lie side by side are brought together first.
        let apart = !view.is_contiguous();
        if apart {
            self.charge(view, dtype.size())?;
        }
        let bytes = view.gather(self.bytes);
        let weight = Weight::from_le_bytes(name, &view.shape, dtype, &bytes);
        if apart {
            self.allowance.give_back(bytes.len());
        }
        Ok(Some(weight))
    }

    /// Takes a copy of the tensor, with numbers of that many bytes, from what may be copied.
    fn charge(&mut self, view: &View, size: usize) -> Result<(), Misfit> {
        let needed = view.count.checked_mul(size);
        self.allowance.take(needed.unwrap_or(usize::MAX)).map_err(|misfit| {
            let found = format!("shape {:?} with strides {:?}", view.shape, view.strides);
            Misfit::new(misfit.expected, found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: u64, shape: &[usize], strides: &[usize]) -> Result<View, Misfit> {
        // Six numbers of one byte each, behind two bytes of something else.
        View::new(Element::U8, 2..8, offset, shape.to_vec(), strides.to_vec())
    }

    fn numbers(offset: u64, shape: &[usize], strides: &[usize]) -> Vec<u8> {
        let file = [99, 99, 0, 1, 2, 3, 4, 5, 99];
        view(offset, shape, strides).expect("it fits").gather(&file).into_owned()
    }

    #[test]
    fn strides_are_followed() {
        assert_eq!(numbers(0, &[2, 3], &[3, 1]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(numbers(0, &[3, 2], &[1, 3]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(numbers(1, &[2, 2], &[3, 1]), [1, 2, 4, 5]);
        assert_eq!(numbers(5, &[2, 2], &[0, 0]), [5, 5, 5, 5]);
        assert_eq!(numbers(4, &[], &[]), [4]);
        assert!(numbers(9, &[0, 7], &[1, 1]).is_empty());
    }

    #[test]
    fn contiguous_is_what_lies_side_by_side() {
        let contiguous = |shape: &[usize], strides: &[usize]| {
            view(0, shape, strides).expect("fits").is_contiguous()
        };
        assert!(contiguous(&[2, 3], &[3, 1]));
        assert!(contiguous(&[1, 3, 1], &[77, 1, 55]));
        assert!(contiguous(&[], &[]));
        assert!(!contiguous(&[3, 2], &[1, 3]));
        assert!(!contiguous(&[2, 2], &[3, 1]));
        assert!(!contiguous(&[2], &[0]));
    }

    #[test]
    fn a_view_stays_in_its_storage() {
        const HUGE: usize = usize::MAX;
        for (offset, shape, strides) in [
            (0, &[7][..], &[1][..]),
            (6, &[], &[]),
            (u64::MAX, &[1], &[1]),
            (0, &[2, 3], &[4, 1]),
            (0, &[2], &[HUGE]),
            (1, &[2], &[HUGE]),
            (0, &[HUGE, HUGE], &[0, 0]),
            (0, &[HUGE, HUGE, 0], &[0, 0, 0]),
            (0, &[2, 2], &[1]),
            (0, &[1; 9], &[1; 9]),
        ] {
            assert!(view(offset, shape, strides).is_err(), "{offset} {shape:?} {strides:?}");
        }
    }

    #[test]
    fn copies_are_limited_by_the_file() {
        let file = [0; 64];
        let weight = |count: usize| {
            let view = View::new(Element::F32, 0..4, 0, vec![count], vec![0]).expect("it fits");
            let mut source = Source::new(&file, None, Allowance::of(file.len()));
            source.weight("w", &view).map(|weight| weight.expect("it is a float").len())
        };
        assert_eq!(
            weight(1 << 15).expect("with what it is gathered into, all that any file may take"),
            1 << 15
        );
        assert!(weight(1 << 17).is_err());
        assert!(weight(usize::MAX).is_err());
    }
}
