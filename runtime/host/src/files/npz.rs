//! NumPy's `.npz`: a zip archive of `.npy` files, one for each name.

use std::fs::File;
use std::io::{BufReader, Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{Problem, choose, npy, whole};
use crate::Tensor;

pub(super) fn read_file(path: &Path, entry: Option<&str>) -> Result<Tensor, Problem> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(malformed)?;
    let present: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned()))
        .collect();
    let name = choose(entry, &present)?;
    let mut member = archive.by_name(&format!("{name}.npy")).map_err(malformed)?;
    let size = member.size();
    npy::read(&mut member, size)
}

pub(super) fn write_file(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<(), Problem> {
    whole::write(path, |file| {
        let mut archive = ZipWriter::new(file);
        // Stored, as `numpy.savez` does: the bits of floats hardly compress.
        let options = SimpleFileOptions::DEFAULT
            .compression_method(CompressionMethod::Stored)
            .large_file(true);
        for (name, tensor) in tensors {
            archive.start_file(format!("{name}.npy"), options).map_err(malformed)?;
            npy::write(&mut archive, tensor)?;
        }
        finish(archive)
    })
}

fn finish(archive: ZipWriter<impl Write + Seek>) -> Result<(), Problem> {
    archive.finish().map_err(malformed)?;
    Ok(())
}

fn malformed(error: zip::result::ZipError) -> Problem {
    match error {
        zip::result::ZipError::Io(error) => Problem::Io(error),
        other => Problem::Malformed { format: ".npz", what: other.to_string() },
    }
}
