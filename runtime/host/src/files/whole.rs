//! Files that appear whole or not at all.
//!
//! Written beside the place under another name and then renamed over it, which the file system does
//! in one step. A symbolic link keeps pointing at what it points at; a file that is replaced keeps
//! its permissions.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::Problem;

/// Creates or replaces a file with what `fill` writes.
pub(super) fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let place = Place::find(path)?;
    let mut temporary = place.temporary()?;
    let mut writer = BufWriter::with_capacity(1 << 20, temporary.as_file_mut());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    // Without this a crash soon after the rename could leave an empty file under the name.
    temporary.as_file().sync_all()?;
    if let Some(permissions) = place.permissions {
        temporary.as_file().set_permissions(permissions)?;
    }
    temporary.persist(&place.path).map_err(|error| error.error)?;
    Ok(())
}

/// Whether [`write`] would find its place.
pub(super) fn check(path: &Path) -> Result<(), Problem> {
    Place::find(path)?.temporary()?;
    Ok(())
}

/// Where a file goes, links followed.
struct Place {
    path: PathBuf,
    permissions: Option<fs::Permissions>,
}

impl Place {
    fn find(path: &Path) -> Result<Place, Problem> {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => {
                Ok(Place { path: fs::canonicalize(path)?, permissions: Some(found.permissions()) })
            }
            Ok(_) => Err(Problem::NotRegular),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Place { path: path.to_owned(), permissions: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn temporary(&self) -> io::Result<NamedTempFile> {
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        let mut builder = Builder::new();
        builder.prefix(".tilec-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As for any new file; the process's mask takes away what it takes away.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        // The name of the temporary file, which its errors carry, would only puzzle.
        let missing = || io::Error::new(io::ErrorKind::NotFound, "its folder does not exist");
        builder.tempfile_in(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(),
            io::ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied.into(),
            _ => error,
        })
    }
}
