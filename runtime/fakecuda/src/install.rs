//! Where cargo put this library, and how it comes to stand in for the driver.

use std::io;
use std::path::{Path, PathBuf};

/// Puts this library into a folder, under the driver's name.
///
/// # Errors
///
/// It is not beside the running program, where cargo puts it for tests; or it cannot be copied.
pub fn install(folder: &Path) -> io::Result<()> {
    let library = library()?;
    std::fs::copy(library, folder.join("libcuda.so")).map(drop)
}

fn library() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folders = program.ancestors().skip(1).take(2);
    let files = folders.flat_map(|folder| [folder.to_owned(), folder.join("deps")]);
    let found = files
        .map(|folder| folder.join("libtilec_fakecuda.so"))
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)));
    // Cargo may leave an older one in the folder above.
    found.max().map(|(_, file)| file).ok_or_else(|| {
        let message = format!("libtilec_fakecuda.so is not beside {}", program.display());
        io::Error::new(io::ErrorKind::NotFound, message)
    })
}
