//! The front end over the library's files.

use tilec_ir::{Module, Tile};
use tilec_sema::Loader;
use tilec_vocab::render::{Style, render};
use tilec_vocab::{Diagnostic, SourceFile, Sources};

/// Finds the library's files and no others.
pub struct Library;

impl Loader for Library {
    fn load(&self, name: &str) -> Result<Option<SourceFile>, String> {
        let source = |file: &tilec_kernels::LibraryFile| SourceFile {
            name: file.path.to_string(),
            text: file.text.to_string(),
        };
        Ok(tilec_kernels::find(name).map(source))
    }
}

/// The text of a library file.
///
/// # Panics
///
/// If there is none of that name.
pub fn library(name: &str) -> &'static str {
    tilec_kernels::find(name).unwrap_or_else(|| panic!("no library file `{name}`")).text
}

/// What the front end makes of a text.
pub fn lower(text: &str) -> (Option<Module<Tile>>, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let id = sources.add("test.tile", text);
    let (module, diagnostics) = tilec_sema::lower(id, &mut sources, &Library);
    (module, diagnostics, sources)
}

/// What the front end makes of a text without errors.
///
/// # Panics
///
/// With the errors.
pub fn lowered(text: &str) -> Module<Tile> {
    let (module, diagnostics, sources) = lower(text);
    match module {
        Some(module) if !diagnostics.iter().any(Diagnostic::is_error) => module,
        _ => panic!("{}", render(&diagnostics, &sources, Style::Plain)),
    }
}
