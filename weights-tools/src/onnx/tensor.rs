//! A model's tensors as constants, checked against the bytes that they have.

use std::rc::Rc;

use clrp::weight::Dtype;
use rten_onnx::onnx::{DataLocation, DataType, TensorProto};

use super::constant::{Constant, Numbers, Place, Storage, float};
use super::error::listed;
use super::external::DataFiles;
use super::parse;
use crate::foreign::Misfit;

/// The most dimensions.
pub(super) const RANK: usize = 8;

/// Sizes of 0 or more whose product can be counted.
pub(super) fn sizes(dims: &[i64]) -> Result<Vec<usize>, Misfit> {
    if dims.len() > RANK {
        return Err(Misfit::new(format!("at most {RANK} dimensions"), dims.len().to_string()));
    }
    let sizes: Result<Vec<usize>, _> = dims.iter().map(|&size| usize::try_from(size)).collect();
    let counted = |sizes: &Vec<usize>| {
        sizes.iter().try_fold(8_usize, |count, &size| count.checked_mul(size.max(1))).is_some()
    };
    sizes
        .ok()
        .filter(counted)
        .ok_or_else(|| Misfit::new("a shape that can be counted", listed(dims)))
}

/// The constant that a tensor of the model is.
pub(super) fn constant(
    name: &str,
    tensor: &TensorProto,
    storage: &mut Storage<'_>,
    files: &mut DataFiles,
) -> Result<Constant, Misfit> {
    let dims = sizes(&tensor.dims)?;
    let data_type = tensor.data_type.unwrap_or(DataType(0));
    let count: usize = dims.iter().product();
    if let Some(dtype) = float(data_type) {
        let (place, bytes) = floats(tensor, dtype, storage, files)?;
        if bytes != count * dtype.size() {
            let expected = format!("{} bytes for shape {}", count * dtype.size(), listed(&dims));
            return Err(Misfit::new(expected, bytes.to_string()));
        }
        return Ok(Constant::new(name, dims, Numbers::Stored(dtype, place)));
    }
    let values = ints(tensor, data_type, storage, files)?;
    if values.len() != count {
        let expected = format!("{count} numbers for shape {}", listed(&dims));
        return Err(Misfit::new(expected, values.len().to_string()));
    }
    Ok(Constant::ints(name, dims, values))
}

/// Bytes that a tensor has in the model or in a data file.
fn stored(tensor: &TensorProto, files: &mut DataFiles) -> Result<Option<(Place, usize)>, Misfit> {
    if tensor.data_location == Some(DataLocation::EXTERNAL) {
        let (map, range) = files.find(&tensor.external_data)?;
        let length = range.len();
        return Ok(Some((Place::Mapped(map, range), length)));
    }
    Ok(parse::raw_bytes(tensor).map(|range| {
        let length = range.len();
        (Place::Model(range), length)
    }))
}

/// Where the floats lie, and how many bytes they have.
fn floats(
    tensor: &TensorProto,
    dtype: Dtype,
    storage: &mut Storage<'_>,
    files: &mut DataFiles,
) -> Result<(Place, usize), Misfit> {
    if let Some(stored) = stored(tensor, files)? {
        return Ok(stored);
    }
    let typed = [tensor.float_data.len(), tensor.double_data.len(), tensor.int32_data.len()];
    let length = typed.iter().sum::<usize>().saturating_mul(8);
    storage.charge(length).ok_or_else(too_large)?;
    let bytes: Vec<u8> = match dtype {
        Dtype::F32 => tensor.float_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Dtype::F64 => tensor.double_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        // ONNX keeps the bits of 16-bit floats in the lower half of an integer.
        Dtype::F16 | Dtype::BF16 => {
            tensor.int32_data.iter().flat_map(|x| (*x as u16).to_le_bytes()).collect()
        }
    };
    let length = bytes.len();
    Ok((Place::Owned(Rc::new(bytes)), length))
}

fn ints(
    tensor: &TensorProto,
    data_type: DataType,
    storage: &mut Storage<'_>,
    files: &mut DataFiles,
) -> Result<Vec<i64>, Misfit> {
    let size = match data_type {
        DataType::BOOL | DataType::INT8 | DataType::UINT8 => 1,
        DataType::INT16 | DataType::UINT16 => 2,
        DataType::INT32 | DataType::UINT32 => 4,
        DataType::INT64 => 8,
        other => {
            let expected = "floats of 16, 32 or 64 bits, or integers";
            return Err(Misfit::new(expected, format!("type {other}")));
        }
    };
    let (place, length) = match stored(tensor, files)? {
        Some(stored) => stored,
        None => {
            let count = tensor.int64_data.len().max(tensor.int32_data.len());
            storage.charge(count.saturating_mul(8)).ok_or_else(too_large)?;
            return Ok(match data_type {
                DataType::INT64 => tensor.int64_data.clone(),
                _ => tensor.int32_data.iter().map(|&x| x.into()).collect(),
            });
        }
    };
    storage.charge((length / size).saturating_mul(8)).ok_or_else(too_large)?;
    let bytes = match &place {
        Place::Model(range) => &storage.bytes[range.clone()],
        Place::Mapped(map, range) => &map[range.clone()],
        Place::Owned(bytes) => bytes,
    };
    Ok(match data_type {
        DataType::BOOL | DataType::UINT8 => bytes.iter().map(|&x| x.into()).collect(),
        DataType::INT8 => bytes.iter().map(|&x| i64::from(x as i8)).collect(),
        DataType::INT16 => each(bytes, |x| i16::from_le_bytes(x).into()),
        DataType::UINT16 => each(bytes, |x| u16::from_le_bytes(x).into()),
        DataType::INT32 => each(bytes, |x| i32::from_le_bytes(x).into()),
        DataType::UINT32 => each(bytes, |x| u32::from_le_bytes(x).into()),
        _ => each(bytes, i64::from_le_bytes),
    })
}

fn each<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> i64) -> Vec<i64> {
    bytes.as_chunks::<N>().0.iter().map(|number| convert(*number)).collect()
}

/// A file that makes more of its bytes than any honest one.
pub(super) fn too_large() -> Misfit {
    Misfit::new("copies and computed numbers in proportion to the file", "more")
}
