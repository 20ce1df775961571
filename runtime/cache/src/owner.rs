//! Who may have written what is read. A cache that others can write is a way to run code as its reader.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// This user's number; 0 where the system has none.
pub fn this_user() -> u32 {
    #[cfg(unix)]
    // SAFETY: it only reads a number of the process.
    return unsafe { libc::geteuid() };
    #[cfg(not(unix))]
    0
}

/// Opens a file to read; a link is not followed.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A named pipe would wait for a writer for ever.
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    options.open(path)
}

/// Makes a folder that only this user can enter, and those above it.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Why a file or folder with these facts is not to be trusted by `user`; none if it is.
pub fn distrust(facts: &Metadata, user: u32) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if facts.uid() != user {
            return Some(format!("it belongs to user {}, not to user {user}", facts.uid()));
        }
        if facts.mode() & 0o022 != 0 {
            return Some(format!("others can write it (mode {:o})", facts.mode() & 0o7777));
        }
    }
    #[cfg(not(unix))]
    let _ = (facts, user);
    None
}
