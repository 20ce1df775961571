//! The harness of the text-driven suites: finding files, and comparing a text with the one that
//! stands beside it.

pub mod gpu;
mod launch;
mod library;
pub mod made;
pub mod matrix;
pub mod problem;
mod quote;

use std::fs;
use std::path::{Path, PathBuf};

pub use launch::run;
pub use library::{Library, library, lower, lowered};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Every file under `folder` with this extension, sorted, build outputs left out.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "target" && !name.to_string_lossy().starts_with('.') {
                    todo.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A path as seen from the root of the repository.
pub fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Compares `actual` with the text stored at `path`; with `TILEC_BLESS=1` stores it instead.
/// Gives a description of the first difference.
pub fn expect_file(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("TILEC_BLESS").is_some() {
        return fs::write(path, actual).map_err(|e| format!("{}: {e}", short(path)));
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    let line = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{}:{}: differs\n  stored: {}\n  now:    {}\n(read the change, then TILEC_BLESS=1 to accept)\n--- now ---\n{actual}",
        short(path),
        line + 1,
        expected.lines().nth(line).unwrap_or("<end>"),
        actual.lines().nth(line).unwrap_or("<end>"),
    ))
}

/// A fenced code block of a Markdown page.
#[derive(Clone, Debug)]
pub struct Fence {
    /// The words after the fence: `tile verify`.
    pub info: String,
    /// The code.
    pub code: String,
    /// Line of the opening fence.
    pub line: usize,
}

/// The fenced blocks of a page.
pub fn fences(page: &str) -> Vec<Fence> {
    let mut found: Vec<Fence> = Vec::new();
    let mut open = false;
    for (n, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                found.push(Fence {
                    info: info.trim().to_string(),
                    code: String::new(),
                    line: n + 1,
                });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                if let Some(fence) = found.last_mut() {
                    fence.code.push_str(line);
                    fence.code.push('\n');
                }
            }
            (None, false) => {}
        }
    }
    found
}

/// Panics with all complaints, one a line; a test's last statement.
pub fn no_complaints(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
}
