//! `.safetensors`: the length of a header, a JSON header, the elements.
//!
//! The header is checked by the format's own crate. Elements are read, not mapped: a mapping
//! would change under a running kernel when someone writes the file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, View};
use tilec_vocab::DType;

use super::{Problem, choose, whole};
use crate::Tensor;

/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

pub(super) fn read_file(path: &Path, entry: Option<&str>) -> Result<Tensor, Problem> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| malformed("it is too short"))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES || length > size.saturating_sub(8) {
        return Err(malformed(format!("its header of {length} bytes is longer than it may be")));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| malformed(error.to_string()))?;
    if metadata.data_len() as u64 != size - 8 - length {
        return Err(malformed("its size is not what its header says"));
    }

    let mut present = metadata.offset_keys();
    present.sort();
    let name = choose(entry, &present)?;
    let info = metadata.info(name).ok_or_else(|| malformed("no such tensor"))?;
    let dtype = element_type(info.dtype)?;
    let shape: Option<Vec<i64>> = info.shape.iter().map(|&e| i64::try_from(e).ok()).collect();
    let shape = shape.ok_or_else(|| malformed("an extent is too large"))?;
    file.seek(SeekFrom::Start(8 + length + info.data_offsets.0 as u64))?;
    Tensor::from_bytes(dtype, &shape, |bytes| file.read_exact(bytes).map_err(Problem::Io))?
}

pub(super) fn write_file(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<(), Problem> {
    let stored = tensors.iter().map(|(name, tensor)| Ok((*name, Stored::new(tensor)?)));
    let stored = stored.collect::<Result<Vec<_>, Problem>>()?;
    let bytes =
        safetensors::serialize(stored, None).map_err(|error| malformed(error.to_string()))?;
    whole::write(path, |file| Ok(file.write_all(&bytes)?))
}

/// A tensor as the format's crate wants it.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn new(tensor: &Tensor) -> Result<Stored, Problem> {
        let dtype = match tensor.dtype() {
            DType::Bool => Dtype::BOOL,
            DType::I32 => Dtype::I32,
            DType::I64 => Dtype::I64,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            DType::F32 => Dtype::F32,
        };
        let shape = tensor.shape().iter().map(|&extent| extent as usize).collect();
        Ok(Stored { dtype, shape, bytes: tensor.with_bytes(<[u8]>::to_vec)? })
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn element_type(dtype: Dtype) -> Result<DType, Problem> {
    match dtype {
        Dtype::BOOL => Ok(DType::Bool),
        Dtype::I32 => Ok(DType::I32),
        Dtype::I64 => Ok(DType::I64),
        Dtype::F16 => Ok(DType::F16),
        Dtype::BF16 => Ok(DType::BF16),
        Dtype::F32 => Ok(DType::F32),
        other => Err(Problem::Elements {
            found: other.to_string(),
            help: "convert them to BOOL, I32, I64, F16, BF16 or F32",
        }),
    }
}

fn malformed(what: impl Into<String>) -> Problem {
    Problem::Malformed { format: ".safetensors", what: what.into() }
}
