//! From a path to a module, with what is wrong shown on the way.

use std::path::Path;
use std::time::{Duration, Instant};

use tilec_codegen::nvptx::LineColumn;
use tilec_ir::{Kernel, Module, Tile};
use tilec_vocab::{Diagnostic, SourceFile, Sources, Span, render};

use crate::failure::{Failure, Outcome};
use crate::loader::{FolderLoader, is_stdin};
use crate::output::{ErrorFormat, Talk, count};

/// A file that went through the front end.
pub struct Front {
    /// Every file that took part.
    pub sources: Sources,
    /// What it means; none if there were errors.
    pub module: Option<Module<Tile>>,
    /// Errors shown.
    pub errors: usize,
    /// Warnings shown.
    pub warnings: usize,
    /// How long the front end took.
    pub time: Duration,
}

/// Reads the file at `path` and all it imports, and shows every diagnostic.
pub fn front(path: &Path, talk: Talk) -> Result<Front, Failure> {
    exists(path)?;
    let loader = FolderLoader::beside(path);
    let root =
        loader.root(path).map_err(|why| Failure::Source(format!("{}: {why}", path.display())))?;
    Ok(through(root, &loader, talk))
}

/// As [`front`], for a file of ours that has a text but no place.
pub fn front_of_library(name: &str, text: &str, talk: Talk) -> Front {
    let root = SourceFile { name: format!("library {name}"), text: text.to_owned() };
    through(root, &FolderLoader::library(), talk)
}

fn through(root: SourceFile, loader: &FolderLoader, talk: Talk) -> Front {
    let mut sources = Sources::default();
    let root = sources.add(root.name, root.text);
    let start = Instant::now();
    let (module, diagnostics) = tilec_driver::front(root, &mut sources, loader);
    let time = start.elapsed();
    show(&diagnostics, &sources, talk);
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let module = module.filter(|_| errors == 0);
    Front { sources, module, errors, warnings: diagnostics.len() - errors, time }
}

/// Shows diagnostics on stderr.
pub fn show(diagnostics: &[Diagnostic], sources: &Sources, talk: Talk) {
    let shown = |diagnostic: &&Diagnostic| !talk.quiet || diagnostic.is_error();
    for diagnostic in diagnostics.iter().filter(shown) {
        match talk.format {
            ErrorFormat::Human => {
                let one = std::slice::from_ref(diagnostic);
                // Without a terminal the stream takes the colours out again.
                anstream::eprint!("{}", render::render(one, sources, render::Style::Colour));
            }
            ErrorFormat::Json => anstream::eprintln!("{}", render::to_json(diagnostic, sources)),
        }
    }
}

impl Front {
    /// The module, or the failure that says how many errors there are.
    pub fn module(&self, path: &Path) -> Result<&Module<Tile>, Failure> {
        self.module.as_ref().ok_or_else(|| {
            Failure::Source(format!("{} in {}", count(self.errors, "error"), path.display()))
        })
    }

    /// Where spans begin, for debug lines.
    pub fn locate(&self) -> impl Fn(Span) -> Option<LineColumn> + '_ {
        |span| {
            let (line, column) = self.sources.line_column(span);
            let file = self.sources.file(span.file).name.clone();
            Some(LineColumn { file, line: line as u32, column: column as u32 })
        }
    }

    /// How long parsing alone takes, measured by doing it once more.
    pub fn parse_time(&self) -> Duration {
        let start = Instant::now();
        for (id, file) in self.sources.iter() {
            std::hint::black_box(tilec_syntax::parse(id, &file.text));
        }
        start.elapsed()
    }
}

/// The kernel meant: the one named, or the only one.
pub fn kernel<'m>(module: &'m Module<Tile>, name: Option<&str>) -> Result<&'m Kernel, Failure> {
    let known = || module.kernels.iter().map(|k| k.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, module.kernels.as_slice()) {
        (_, []) => Err(Failure::Usage("the file has no kernel".to_owned())),
        (Some(name), _) => module.kernel(name).ok_or_else(|| {
            Failure::Usage(format!("there is no kernel `{name}`; the file has {}", known()))
        }),
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::Usage(format!("which kernel? -k takes one of {}", known()))),
    }
}

/// The files meant by paths: themselves, and for folders every `.tile` file below, in order.
pub fn tile_files(paths: &[std::path::PathBuf]) -> Result<Vec<std::path::PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        exists(path)?;
        if path.is_dir() {
            let before = files.len();
            walk(path, &mut files, 0)?;
            if files.len() == before {
                let message = format!("{}: there is no .tile file in it", path.display());
                return Err(Failure::Usage(message));
            }
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// A file that is not there is a slip on the command line, no fault of a source.
fn exists(path: &Path) -> Outcome {
    match path.try_exists() {
        Ok(false) if !is_stdin(path) => {
            Err(Failure::Usage(format!("{}: there is no such file", path.display())))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>, depth: usize) -> Outcome {
    /// Deeper there are only circles of links.
    const MAX_DEPTH: usize = 32;
    let unreadable =
        |error: std::io::Error| Failure::Usage(format!("{}: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden && depth < MAX_DEPTH {
            walk(&path, files, depth + 1)?;
        } else if path.extension().is_some_and(|extension| extension == "tile") && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
