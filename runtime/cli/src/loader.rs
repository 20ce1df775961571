//! Source files: the one named on the command line, the library's, and those beside the one named.
//!
//! An import can never reach outside the folder of the file named, links followed, nor read more
//! than [`MAX_FILE_BYTES`] a file and [`MAX_TOTAL_BYTES`] a compilation.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use tilec_sema::Loader;
use tilec_vocab::SourceFile;

/// The most bytes one source file may have.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// The most bytes all files of a compilation may have.
pub const MAX_TOTAL_BYTES: u64 = 16 << 20;

/// Answers imports: the library first, then the folder.
pub struct FolderLoader {
    /// Where siblings stand, as the user would write it, and without links.
    folder: Option<(PathBuf, PathBuf)>,
    left: Cell<u64>,
}

impl FolderLoader {
    /// For the imports of the file at `root`; a file without a folder, such as the standard input,
    /// has the library only.
    pub fn beside(root: &Path) -> FolderLoader {
        let shown = match root.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let real = if is_stdin(root) { None } else { fs::canonicalize(&shown).ok() };
        FolderLoader { folder: real.map(|real| (shown, real)), left: Cell::new(MAX_TOTAL_BYTES) }
    }

    /// For files of the library, which import only each other.
    pub fn library() -> FolderLoader {
        FolderLoader { folder: None, left: Cell::new(MAX_TOTAL_BYTES) }
    }

    /// Reads the root itself; `-` is the standard input.
    pub fn root(&self, path: &Path) -> Result<SourceFile, String> {
        if is_stdin(path) {
            let text = self.read(&mut std::io::stdin().lock())?;
            return Ok(SourceFile { name: "<stdin>".to_owned(), text });
        }
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        if file.metadata().is_ok_and(|found| found.is_dir()) {
            return Err("it is a folder".to_owned());
        }
        Ok(SourceFile { name: path.display().to_string(), text: self.read(&mut file)? })
    }

    fn sibling(&self, name: &str) -> Result<Option<SourceFile>, String> {
        let Some((shown, real)) = &self.folder else { return Ok(None) };
        let file_name = format!("{name}.tile");
        let path = match fs::canonicalize(real.join(&file_name)) {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if !path.starts_with(real) {
            return Err("it is a link that leaves the folder".to_owned());
        }
        // Before it is opened: opening a pipe would wait for its other end.
        if !fs::metadata(&path).is_ok_and(|found| found.is_file()) {
            return Err("it is not a regular file".to_owned());
        }
        let mut file = File::open(&path).map_err(|error| error.to_string())?;
        let text = self.read(&mut file)?;
        let shown = if shown == Path::new(".") { file_name.into() } else { shown.join(file_name) };
        Ok(Some(SourceFile { name: shown.display().to_string(), text }))
    }

    fn read(&self, from: &mut impl Read) -> Result<String, String> {
        let limit = MAX_FILE_BYTES.min(self.left.get());
        let mut bytes = Vec::new();
        from.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > limit {
            return Err(if limit == MAX_FILE_BYTES {
                format!("it has more than {MAX_FILE_BYTES} bytes")
            } else {
                format!("with it the sources have more than {MAX_TOTAL_BYTES} bytes")
            });
        }
        self.left.set(self.left.get() - bytes.len() as u64);
        String::from_utf8(bytes).map_err(|error| not_utf8(&error))
    }
}

impl Loader for FolderLoader {
    fn load(&self, name: &str) -> Result<Option<SourceFile>, String> {
        // The parser lets only names through; this keeps the folder safe without that promise.
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err("the name of a file is letters, digits and _".to_owned());
        }
        if let Some(file) = tilec_kernels::find(name) {
            let text = file.text.to_owned();
            return Ok(Some(SourceFile { name: format!("library {}", file.name), text }));
        }
        self.sibling(name)
    }

    fn known(&self) -> Vec<String> {
        tilec_kernels::FILES.iter().map(|file| file.name.to_owned()).collect()
    }
}

/// Whether a path stands for the standard input.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// `line 3, column 7: byte 0xff is not UTF-8`.
fn not_utf8(error: &std::string::FromUtf8Error) -> String {
    let at = error.utf8_error().valid_up_to();
    let (before, rest) = error.as_bytes().split_at(at);
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    let byte = rest.first().copied().unwrap_or(0);
    format!("line {line}, column {column}: byte {byte:#04x} is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn folder() -> (TempDir, FolderLoader) {
        let folder = TempDir::new().unwrap();
        let loader = FolderLoader::beside(&folder.path().join("root.tile"));
        (folder, loader)
    }

    #[test]
    fn library_first_then_the_folder() {
        let (folder, loader) = folder();
        fs::write(folder.path().join("mine.tile"), "fn f() = 1;").unwrap();
        fs::write(folder.path().join("flash.tile"), "not the library's").unwrap();
        assert_eq!(loader.load("mine").unwrap().unwrap().text, "fn f() = 1;");
        assert_eq!(loader.load("flash").unwrap().unwrap().name, "library flash");
        assert!(loader.load("nothing").unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_outside_the_folder() {
        let (folder, loader) = folder();
        let outside = TempDir::new().unwrap();
        let secret = outside.path().join("secret.tile");
        fs::write(&secret, "secret").unwrap();
        std::os::unix::fs::symlink(&secret, folder.path().join("link.tile")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("sub")).unwrap();
        std::os::unix::fs::symlink(
            folder.path().join("inside.tile"),
            folder.path().join("ok.tile"),
        )
        .unwrap();
        fs::write(folder.path().join("inside.tile"), "inside").unwrap();
        assert_eq!(loader.load("link").unwrap_err(), "it is a link that leaves the folder");
        assert!(loader.load("../secret").is_err());
        assert!(loader.load("sub/secret").is_err());
        assert!(loader.load("").is_err());
        assert_eq!(loader.load("ok").unwrap().unwrap().text, "inside");
    }

    #[test]
    fn only_files_of_text_and_only_so_much() {
        let (folder, loader) = folder();
        fs::create_dir(folder.path().join("dir.tile")).unwrap();
        assert_eq!(loader.load("dir").unwrap_err(), "it is not a regular file");
        fs::write(folder.path().join("bytes.tile"), b"fn f()\n = \xff;").unwrap();
        assert_eq!(loader.load("bytes").unwrap_err(), "line 2, column 4: byte 0xff is not UTF-8");
        fs::write(folder.path().join("big.tile"), vec![b' '; 1 << 20]).unwrap();
        fs::write(folder.path().join("bigger.tile"), vec![b' '; (1 << 20) + 1]).unwrap();
        assert_eq!(loader.load("bigger").unwrap_err(), "it has more than 1048576 bytes");
        let times = (0..20).take_while(|_| loader.load("big").is_ok()).count();
        assert_eq!(times, 15, "what was read of other files counts too");
    }
}
