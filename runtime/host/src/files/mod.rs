//! Tensors in files: `.npy`, `.npz`, `.safetensors`.
//!
//! A file is data from anyone: sizes in it are checked against the file before memory is asked for,
//! and what is wrong is a [`FileError`]. A file written is written whole or not at all.

mod npy;
mod npz;
mod safetensors;
mod whole;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tilec_vocab::DType;

use crate::{RuntimeError, Tensor};

/// Why a file could not be read or written.
#[derive(Debug, Error)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Box<Problem>,
}

/// What can be wrong with a file.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum Problem {
    #[error("{0}")]
    Io(#[from] io::Error),

    #[error("the name must end in .npy, .npz or .safetensors")]
    UnknownFormat,

    #[error("not a sound {format} file: {what}")]
    Malformed { format: &'static str, what: String },

    #[error("elements of type {found} are not supported; {help}")]
    Elements { found: String, help: &'static str },

    #[error("holds no tensor `{entry}`; it holds {}", names(.present))]
    NoEntry { entry: String, present: Vec<String> },

    #[error("holds {} tensors; name one of them: {}", .present.len(), names(.present))]
    WhichEntry { present: Vec<String> },

    #[error("an .npy file holds one tensor without a name, so `:{entry}` names nothing")]
    EntryOfNpy { entry: String },

    #[error("an .npy file holds one tensor, not {count}; use .npz or .safetensors")]
    ManyInNpy { count: usize },

    #[error("NumPy's formats have no bf16; use .safetensors")]
    BrainInNumpy,

    #[error("not a regular file, so it cannot be replaced")]
    NotRegular,

    #[error(transparent)]
    Tensor(#[from] RuntimeError),
}

/// A file format, by the end of a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One NumPy array.
    Npy,
    /// NumPy arrays by name, in a zip archive.
    Npz,
    /// Tensors by name.
    Safetensors,
}

impl Format {
    /// The format a name stands for.
    pub fn of(path: &Path) -> Result<Format, FileError> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        match extension.to_ascii_lowercase().as_str() {
            "npy" => Ok(Format::Npy),
            "npz" => Ok(Format::Npz),
            "safetensors" => Ok(Format::Safetensors),
            _ => Err(Problem::UnknownFormat.at(path)),
        }
    }

    /// Whether files of the format can hold elements of this type.
    pub fn holds(self, dtype: DType) -> bool {
        match self {
            Format::Npy | Format::Npz => dtype != DType::BF16,
            Format::Safetensors => true,
        }
    }
}

/// Reads a tensor. `entry` names it in an archive, and may be left out where there is only one.
pub fn read(path: &Path, entry: Option<&str>) -> Result<Tensor, FileError> {
    let result = match Format::of(path)? {
        Format::Npy => npy::read_file(path, entry),
        Format::Npz => npz::read_file(path, entry),
        Format::Safetensors => safetensors::read_file(path, entry),
    };
    result.map_err(|problem| problem.at(path))
}

/// Writes tensors by name, whole or not at all: until the last byte is on its way to the disk, a
/// file that had the name before stays as it was.
pub fn write(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<(), FileError> {
    let format = Format::of(path)?;
    let result = match tensors.iter().find(|(_, tensor)| !format.holds(tensor.dtype())) {
        Some(_) => Err(Problem::BrainInNumpy),
        None => match format {
            Format::Npy => npy::write_file(path, tensors),
            Format::Npz => npz::write_file(path, tensors),
            Format::Safetensors => safetensors::write_file(path, tensors),
        },
    };
    result.map_err(|problem| problem.at(path))
}

/// Creates or replaces any file, whole or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    whole::write(path, |file| Ok(file.write_all(bytes)?)).map_err(|problem| problem.at(path))
}

/// Whether a file could be written here: the folder is there and can be written, and the name is
/// not taken by something else than a file. For asking before hours of work.
pub fn check_writable(path: &Path) -> Result<(), FileError> {
    Format::of(path)?;
    whole::check(path).map_err(|problem| problem.at(path))
}

impl Problem {
    fn at(self, path: &Path) -> FileError {
        FileError { path: path.to_owned(), problem: Box::new(self) }
    }
}

/// The entry meant among those present.
fn choose<'a>(entry: Option<&'a str>, present: &'a [String]) -> Result<&'a str, Problem> {
    match (entry, present) {
        (Some(entry), _) if present.iter().any(|name| name == entry) => Ok(entry),
        (Some(entry), _) => {
            Err(Problem::NoEntry { entry: entry.to_owned(), present: present.to_vec() })
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(Problem::WhichEntry { present: present.to_vec() }),
    }
}

fn names(present: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = present.iter().take(SHOWN).map(|name| name.escape_debug().to_string());
    let shown = text.by_ref().collect::<Vec<_>>().join(", ");
    match present.len() {
        0 => "none".to_owned(),
        len if len > SHOWN => format!("{shown} and {} more", len - SHOWN),
        _ => shown,
    }
}
