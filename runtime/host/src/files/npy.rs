//! NumPy's `.npy`: a magic string, a Python literal that says type, order and shape, the elements.
//!
//! Source: numpy.lib.format. The header is read by hand because it comes from anyone: it is
//! bounded, and no product of extents is taken unchecked.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use tilec_vocab::DType;

use super::{Problem, whole};
use crate::Tensor;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy's own limit for headers it does not trust is 10,000 bytes.
const MAX_HEADER_BYTES: usize = 64 << 10;
const MAX_RANK: usize = 64;

/// What a header says.
struct Header {
    dtype: DType,
    fortran_order: bool,
    shape: Vec<i64>,
}

pub(super) fn read_file(path: &Path, entry: Option<&str>) -> Result<Tensor, Problem> {
    if let Some(entry) = entry {
        return Err(Problem::EntryOfNpy { entry: entry.to_owned() });
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    read(&mut BufReader::new(file), size)
}

pub(super) fn write_file(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<(), Problem> {
    let [(_, tensor)] = tensors else {
        return Err(Problem::ManyInNpy { count: tensors.len() });
    };
    whole::write(path, |file| write(file, tensor))
}

/// Reads from a stream that is said to have `size` bytes.
pub(super) fn read(from: &mut impl Read, size: u64) -> Result<Tensor, Problem> {
    let header = read_header(from)?;
    // A column-major array is a row-major one of the reversed shape, seen backwards.
    let mut stored = header.shape.clone();
    if header.fortran_order {
        stored.reverse();
    }
    let bytes = stored
        .iter()
        .try_fold(header.dtype.size_bytes() as u64, |n, &extent| n.checked_mul(extent as u64));
    if bytes.is_none_or(|bytes| bytes > size) {
        let what = format!("shape {:?} of {} needs more bytes", header.shape, header.dtype);
        return Err(malformed(what));
    }
    let tensor = Tensor::from_bytes(header.dtype, &stored, |bytes| {
        from.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => malformed("it ends before its last element"),
            _ => Problem::Io(error),
        })
    })??;
    if !header.fortran_order {
        return Ok(tensor);
    }
    let order: Vec<usize> = (0..stored.len()).rev().collect();
    Ok(tensor.permute(&order)?)
}

/// Writes a tensor, row-major.
pub(super) fn write(to: &mut impl Write, tensor: &Tensor) -> Result<(), Problem> {
    let extents: Vec<String> = tensor.shape().iter().map(|extent| format!("{extent}, ")).collect();
    let descr = type_string(tensor.dtype()).ok_or(Problem::BrainInNumpy)?;
    let shape = extents.concat();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Elements start at a multiple of 64 bytes.
    let prefix = MAGIC.len() + 2 + 2;
    let padding = (prefix + text.len() + 1).next_multiple_of(64) - (prefix + text.len() + 1);
    text.push_str(&" ".repeat(padding));
    text.push('\n');
    let length = u16::try_from(text.len()).map_err(|_| malformed("too many dimensions"))?;
    to.write_all(MAGIC)?;
    to.write_all(&[1, 0])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(text.as_bytes())?;
    tensor.with_bytes(|bytes| to.write_all(bytes))??;
    Ok(())
}

fn read_header(from: &mut impl Read) -> Result<Header, Problem> {
    let mut start = [0u8; 8];
    from.read_exact(&mut start).map_err(|_| malformed("it is too short"))?;
    if &start[..6] != MAGIC {
        return Err(malformed("it does not start with \\x93NUMPY"));
    }
    let length = match start[6] {
        1 => usize::from(u16::from_le_bytes(read_array(from)?)),
        2 | 3 => u32::from_le_bytes(read_array(from)?) as usize,
        major => return Err(malformed(format!("version {major} of the format is unknown"))),
    };
    if length > MAX_HEADER_BYTES {
        return Err(malformed(format!("its header of {length} bytes is over {MAX_HEADER_BYTES}")));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).map_err(|_| malformed("it ends inside its header"))?;
    let text = String::from_utf8(text).map_err(|_| malformed("its header is not text"))?;
    parse_header(&text)
}

fn read_array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|_| malformed("it ends inside its header"))?;
    Ok(bytes)
}

/// `{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }`
fn parse_header(text: &str) -> Result<Header, Problem> {
    let inside = text
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or_else(|| malformed("its header is not a dictionary"))?;
    let (mut descr, mut order, mut shape) = (None, None, None);
    let mut rest = inside.trim_start();
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or_else(|| malformed("a key is not quoted"))?;
        let after =
            after.trim_start().strip_prefix(':').ok_or_else(|| malformed("a key has no value"))?;
        let after = after.trim_start();
        rest = match key {
            "descr" if after.starts_with('[') => {
                return Err(unsupported("a record".to_owned()));
            }
            "descr" => {
                let (value, after) = quoted(after).ok_or_else(|| malformed("bad 'descr'"))?;
                descr = Some(value);
                after
            }
            "fortran_order" => {
                let (value, after) = ["True", "False"]
                    .into_iter()
                    .find_map(|word| Some((word == "True", after.strip_prefix(word)?)))
                    .ok_or_else(|| malformed("bad 'fortran_order'"))?;
                order = Some(value);
                after
            }
            "shape" => {
                let (value, after) = after
                    .strip_prefix('(')
                    .and_then(|after| after.split_once(')'))
                    .ok_or_else(|| malformed("bad 'shape'"))?;
                shape = Some(extents(value)?);
                after
            }
            other => return Err(malformed(format!("unknown key '{}'", other.escape_debug()))),
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    match (descr, order, shape) {
        (Some(descr), Some(fortran_order), Some(shape)) => {
            Ok(Header { dtype: element_type(descr)?, fortran_order, shape })
        }
        _ => Err(malformed("its header lacks 'descr', 'fortran_order' or 'shape'")),
    }
}

/// A Python string without escapes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn extents(text: &str) -> Result<Vec<i64>, Problem> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let shape: Vec<i64> = parts
        .map(|part| part.trim_end_matches('L').parse().ok().filter(|&extent: &i64| extent >= 0))
        .collect::<Option<_>>()
        .ok_or_else(|| malformed("a dimension of 'shape' is not a number"))?;
    if shape.len() > MAX_RANK {
        return Err(malformed(format!("{} dimensions", shape.len())));
    }
    Ok(shape)
}

fn element_type(descr: &str) -> Result<DType, Problem> {
    let found = DType::ALL.into_iter().find(|&dtype| type_string(dtype) == Some(descr));
    match (found, descr) {
        (Some(dtype), _) => Ok(dtype),
        (None, "|V2" | "<V2") => Err(Problem::BrainInNumpy),
        (None, _) => Err(unsupported(format!("'{}'", descr.escape_debug()))),
    }
}

const fn type_string(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::Bool => Some("|b1"),
        DType::I32 => Some("<i4"),
        DType::I64 => Some("<i8"),
        DType::F16 => Some("<f2"),
        DType::F32 => Some("<f4"),
        DType::BF16 => None,
    }
}

fn unsupported(found: String) -> Problem {
    let help = "convert them to bool, int32, int64, float16 or float32 with astype";
    Problem::Elements { found, help }
}

fn malformed(what: impl Into<String>) -> Problem {
    Problem::Malformed { format: ".npy", what: what.into() }
}
