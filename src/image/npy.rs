//! Arrays of numbers in numpy's `.npy` format, versions 1 and 2, little endian,
//! C order: a magic string, a header written as a Python dictionary, the values.

use std::path::Path;

use super::npy_header::HeaderReader;
use crate::file::{read_file, write_file_atomically};
use crate::{Error, Result, Shape, Tensor};

const MAGIC: &[u8] = b"\x93NUMPY";
const MAX_FILE: u64 = 4 << 30;
/// As many as numpy allows.
pub(super) const MAX_DIMENSIONS: usize = 64;

/// An array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Npy {
    shape: Vec<usize>,
    values: NpyValues,
}

/// The values of an array, the last index running fastest.
#[derive(Clone, Debug, PartialEq)]
pub enum NpyValues {
    /// `<f4`
    F32(Vec<f32>),
    /// `<f8`
    F64(Vec<f64>),
    /// `|u1`
    U8(Vec<u8>),
}

impl NpyValues {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    fn descr(&self) -> &'static str {
        match self {
            Self::F32(_) => "<f4",
            Self::F64(_) => "<f8",
            Self::U8(_) => "|u1",
        }
    }
}

impl Npy {
    /// An array of `shape`; its product is the number of values.
    ///
    /// # Errors
    /// [`Error::InputShape`] if it is not, or there are more than 64 dimensions.
    pub fn new(shape: Vec<usize>, values: NpyValues) -> Result<Self> {
        if shape.len() > MAX_DIMENSIONS || count(&shape) != Some(values.len()) {
            let (expected, found) = (shape, vec![values.len()]);
            return Err(Error::InputShape { name: "array".to_owned(), expected, found });
        }
        Ok(Self { shape, values })
    }

    /// The length along each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, the last index running fastest.
    pub fn values(&self) -> &NpyValues {
        &self.values
    }

    /// The values as `f32`, rounded where the file holds `f64`.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            NpyValues::F32(values) => values.clone(),
            NpyValues::F64(values) => values.iter().map(|&value| value as f32).collect(),
            NpyValues::U8(values) => values.iter().copied().map(f32::from).collect(),
        }
    }

    /// The array as a network's input of shape `expected`; `name` is for errors.
    ///
    /// Leading dimensions of 1, as the batch, are ignored.
    ///
    /// # Errors
    /// [`Error::InputShape`] if it has another shape, [`Error::InputValue`] if a
    /// value is not finite.
    pub fn to_tensor(&self, name: &str, expected: Shape) -> Result<Tensor> {
        let wanted = [expected.channels, expected.height, expected.width];
        let strip = |shape: &[usize]| {
            let ones = shape.iter().take_while(|&&length| length == 1).count();
            shape[ones..].to_vec()
        };
        if strip(&self.shape) != strip(&wanted) {
            return Err(Error::InputShape {
                name: name.to_owned(),
                expected: wanted.to_vec(),
                found: self.shape.clone(),
            });
        }
        let values = self.to_f32();
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => {
                Err(Error::InputValue { name: name.to_owned(), index, found: values[index] })
            }
            None => Tensor::new(expected, values),
        }
    }

    /// Reads a file, see [`Npy::decode`].
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, else as [`Npy::decode`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let bytes = read_file(path.as_ref(), MAX_FILE, ".npy array")?;
        Self::decode(path, &bytes)
    }

    /// Decodes the content of a file; `name` is for errors.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is no array of `<f4`, `<f8` or `|u1` in C order,
    /// or its length does not fit its shape exactly.
    pub fn decode(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        parse(bytes).map_err(|found| Error::Malformed {
            path: name.as_ref().to_owned(),
            expected: ".npy array",
            found,
        })
    }

    /// The array as the content of a file.
    pub fn encode(&self) -> Vec<u8> {
        let lengths: String = self.shape.iter().map(|length| format!("{length}, ")).collect();
        // Python's tuples: (), (3,), (3, 4).
        let tuple = match self.shape.len() {
            0 | 1 => lengths.trim_end(),
            _ => lengths.trim_end_matches(", "),
        };
        let descr = self.values.descr();
        let dictionary =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({tuple}), }}");
        // The values start at a multiple of 64 bytes, after a line break. 64 lengths
        // of 20 digits fit the 16 bits of version 1.
        let start = (MAGIC.len() + 4 + dictionary.len() + 1).next_multiple_of(64);
        let header_length = start - MAGIC.len() - 4;
        let mut bytes = [MAGIC, &[1, 0], &(header_length as u16).to_le_bytes()].concat();
        bytes.extend(format!("{dictionary:<width$}\n", width = header_length - 1).bytes());
        match &self.values {
            NpyValues::F32(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            NpyValues::F64(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            NpyValues::U8(values) => bytes.extend(values),
        }
        bytes
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_file_atomically(path, &self.encode())
    }
}

impl From<&Tensor> for Npy {
    /// An array of channels, height and width.
    fn from(tensor: &Tensor) -> Self {
        let Shape { channels, height, width } = tensor.shape();
        let values = NpyValues::F32(tensor.values().to_vec());
        Self { shape: vec![channels, height, width], values }
    }
}

fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1, |product: usize, &length| product.checked_mul(length))
}

fn parse(bytes: &[u8]) -> Result<Npy, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not start with numpy's magic string")?;
    let cut = "the file is truncated";
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(cut)?;
    let (length, rest) = match version {
        [1, 0] => {
            let (length, rest) = rest.split_first_chunk().ok_or(cut)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        [2, 0] => {
            let (length, rest) = rest.split_first_chunk().ok_or(cut)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        [major, minor] => return Err(format!("version is {major}.{minor}, expected 1.0 or 2.0")),
    };
    let (header, data) = rest.split_at_checked(length).ok_or(cut)?;
    let header = str::from_utf8(header).map_err(|_| "the header is not text")?;
    let (descr, shape) = HeaderReader::new(header).dictionary()?;
    let size = match descr {
        "<f4" => 4,
        "<f8" => 8,
        "|u1" => 1,
        _ => return Err(format!("type is `{descr}`, expected `<f4`, `<f8` or `|u1`")),
    };
    if count(&shape).and_then(|count| count.checked_mul(size)) != Some(data.len()) {
        let found = data.len();
        return Err(format!(
            "it has {found} bytes of values, shape {shape:?} needs another number"
        ));
    }
    let values = match size {
        4 => NpyValues::F32(data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        8 => NpyValues::F64(data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
        _ => NpyValues::U8(data.to_vec()),
    };
    Ok(Npy { shape, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn an_array_is_written_as_numpy_writes_it() {
        let array = Npy::new(vec![2], NpyValues::F32(vec![1.0, -2.0])).expect("it fits");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        // 10 + 57 + 60 blanks + 1 = 128; the header takes 118 = 0x76 of it.
        let expected = format!("\u{1}\0v\0{header}{:60}\n", "");
        let bytes = array.encode();
        assert_eq!(bytes[6..128], *expected.as_bytes());
        assert_eq!(bytes[128..], [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]);
    }

    #[test]
    fn every_type_and_shape_survives_writing_and_reading() {
        let arrays = [
            (vec![], NpyValues::F32(vec![0.1])),
            (vec![3], NpyValues::U8(vec![0, 7, 255])),
            (vec![2, 0, 5], NpyValues::F64(vec![])),
            (vec![1, 2, 2], NpyValues::F64(vec![1e300, -0.1, f64::INFINITY, 0.0])),
            (vec![1; 64], NpyValues::F32(vec![4.0])),
        ];
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (shape, values) in arrays {
            let array = Npy::new(shape, values).expect("it fits");
            let path = folder.path().join("array.npy");
            array.write(&path).expect("it can be written");
            assert_eq!(Npy::read(&path).expect("it can be read"), array);
        }
    }

    #[test]
    fn another_spelling_of_the_header_is_read() {
        let header = "{\"shape\":(1,2),\"fortran_order\":False,\"descr\":\"|u1\"}";
        let array = Npy::decode("a.npy", &npy(header, &[5, 6])).expect("it is an array");
        assert_eq!((array.shape(), array.values()), (&[1, 2][..], &NpyValues::U8(vec![5, 6])));
        let mut second = [MAGIC, &[2, 0], &(header.len() as u32).to_le_bytes()].concat();
        second.extend(header.bytes().chain([5, 6]));
        assert_eq!(Npy::decode("a.npy", &second).expect("it is an array"), array);
    }

    #[test]
    fn malformed_files_are_errors() {
        let rest = "'fortran_order': False, 'shape': (2,)";
        let shaped =
            |shape: &str| format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}");
        let huge = format!("({}, 2)", usize::MAX);
        let cases = [
            (Vec::new(), "magic"),
            (b"\x89PNG\r\n\x1a\n".to_vec(), "magic"),
            (MAGIC.to_vec(), "truncated"),
            (b"\x93NUMPY\x01".to_vec(), "truncated"),
            (b"\x93NUMPY\x01\0\xFF".to_vec(), "truncated"),
            (b"\x93NUMPY\x01\0\xFF\xFF{".to_vec(), "truncated"),
            (b"\x93NUMPY\x02\0\xFF\xFF\xFF\xFF{".to_vec(), "truncated"),
            (b"\x93NUMPY\x03\0\x02\0{}".to_vec(), "version is 3.0"),
            (b"\x93NUMPY\x01\0\x02\0\xFF\xFE".to_vec(), "not text"),
            (npy("", &[]), "expected `{`"),
            (npy("{}", &[]), "lacks"),
            (npy("{'descr", &[]), "open string"),
            (npy("{'descr' '<f4'}", &[]), "expected `:`"),
            (npy("{'descr': [('x', '<f4')]}", &[]), "expected `'`"),
            (npy("{'size': 4}", &[]), "unknown key `size`"),
            (npy("{'shape': (1,), 'shape': (1,)}", &[]), "twice"),
            (npy(&format!("{{'descr': '<f4', {rest}}} x"), &[]), "after its end"),
            (npy(&format!("{{'descr': '>f4', {rest}}}"), &[0; 8]), "type is `>f4`"),
            (npy(&format!("{{'descr': '|O', {rest}}}"), &[0; 8]), "type is `|O`"),
            (npy(&format!("{{'descr': '\u{7}', {rest}}}"), &[0; 8]), "odd string"),
            (npy("{'fortran_order': True}", &[]), "Fortran"),
            (npy("{'fortran_order': 0}", &[]), "expected `False`"),
            (npy(&shaped("(2)"), &[0; 2]), "expected `,`"),
            (npy(&shaped("(2 3)"), &[0; 6]), "expected `,`"),
            (npy(&shaped("(2, 3"), &[0; 6]), "expected `,`"),
            (npy(&shaped("(-1,)"), &[]), "numbers"),
            (npy(&shaped("(99999999999999999999999,)"), &[]), "numbers"),
            (npy(&shaped("(4294967296, 4294967296, 4294967296)"), &[]), "needs another number"),
            (npy(&shaped(&huge), &[0; 2]), "needs another number"),
            (npy(&shaped("(3,)"), &[0; 2]), "has 2 bytes"),
            (npy(&shaped("(3,)"), &[0; 4]), "has 4 bytes"),
            (npy(&shaped(&format!("({})", "1,".repeat(65))), &[0]), "more than 64 dimensions"),
        ];
        for (bytes, expected) in cases {
            let error = Npy::decode("some.npy", &bytes).expect_err(expected).to_string();
            assert!(error.starts_with("`some.npy` is not a usable .npy array: "), "{error}");
            assert!(error.contains(expected) && !error.contains('\n'), "{expected}: {error}");
        }
    }

    #[test]
    fn an_input_must_have_the_shape_and_finite_values() {
        let array = |shape: &[usize], values: &[f64]| {
            Npy::new(shape.to_vec(), NpyValues::F64(values.to_vec())).expect("it fits")
        };
        let shape = Shape::new(1, 2, 1);
        for found in [&[1, 2, 1][..], &[1, 1, 2, 1], &[2, 1]] {
            let tensor = array(found, &[0.5, 1.5]).to_tensor("in.npy", shape).expect("it fits");
            assert_eq!((tensor.shape(), tensor.values()), (shape, &[0.5, 1.5][..]));
        }
        let message = |array: Npy| array.to_tensor("in.npy", shape).expect_err("no").to_string();
        let expected = "`in.npy` has shape [1, 2], the network takes [1, 2, 1]";
        assert_eq!(message(array(&[1, 2], &[0.0, 0.0])), expected);
        let expected = "`in.npy` holds inf at element 1, expected finite numbers";
        assert_eq!(message(array(&[2, 1], &[0.0, 1e39])), expected);
    }
}
