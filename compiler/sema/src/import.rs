//! Reading every file that takes part, and what each top-level name stands for.
//!
//! The root comes first, then imports in the order they are met. A file is read once however often
//! it is imported. A name is a plain identifier, so no import can name a path.

use std::collections::BTreeMap;

use tilec_syntax::ast;
use tilec_vocab::{Diagnostic, FileId, SourceFile, Sources, Span, codes};

use crate::builtins;
use crate::constant::{self, ConstId};
use crate::report::{Sink, closest, listed};
use crate::scope::FileIndex;

/// Files behind one another in a chain of imports.
const MAX_DEPTH: usize = 16;
/// Files of one compilation.
const MAX_FILES: usize = 256;

/// Where imported files come from.
pub trait Loader {
    /// The file that `use name::…` means.
    ///
    /// # Errors
    ///
    /// Why the file may not be read. `Ok(None)` says that there is none.
    fn load(&self, name: &str) -> Result<Option<SourceFile>, String>;

    /// Names that could be meant by one that is not found, for advice.
    fn known(&self) -> Vec<String> {
        Vec::new()
    }
}

/// All files.
#[derive(Default)]
pub(crate) struct Program {
    /// The root first.
    pub files: Vec<File>,
    /// The value of each `const` item that has one.
    pub constants: BTreeMap<ConstId, Option<i64>>,
}

/// A file and its top-level names.
pub(crate) struct File {
    /// What `use` calls it; empty for the root.
    pub name: String,
    /// The syntax tree.
    pub ast: ast::File,
    /// Functions, constants and kernels, its own and imported.
    pub names: BTreeMap<String, Named>,
}

/// A top-level name.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    /// What it stands for.
    pub item: Item,
    /// The file it is declared in.
    pub file: FileIndex,
    /// Where it is declared; for an import, where it is imported.
    pub span: Span,
    /// Whether it came by `use`.
    pub imported: bool,
}

/// What a top-level name stands for; numbers are positions among the file's items.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// A function.
    Function(usize),
    /// A constant.
    Const(usize),
    /// A kernel.
    Kernel(usize),
    /// Something reported already.
    Poison,
}

impl Program {
    /// The file at an index.
    pub fn file(&self, index: FileIndex) -> &File {
        &self.files[index.0 as usize]
    }

    /// What a name stands for at the top level of a file.
    pub fn find(&self, file: FileIndex, name: &str) -> Option<&Named> {
        self.file(file).names.get(name)
    }

    /// A function of a file.
    pub fn function(&self, file: FileIndex, at: usize) -> Option<&ast::Function> {
        match self.file(file).ast.items.get(at) {
            Some(ast::Item::Function(function)) => Some(function),
            _ => None,
        }
    }

    /// The value of a constant; `None` where it has none, which has been reported.
    pub fn constant(&self, file: FileIndex, at: usize) -> Option<i64> {
        self.constants.get(&(file, at)).copied().flatten()
    }
}

/// Reads the root and all it imports.
pub(crate) fn load(
    root: FileId,
    sources: &mut Sources,
    loader: &dyn Loader,
    sink: &mut Sink,
) -> Program {
    let mut importer =
        Importer { sources, loader, sink, program: Program::default(), by_name: BTreeMap::new() };
    importer.read(String::new(), root);
    // Breadth first with a queue of the files not looked at yet, and how deep each stands.
    let mut depths = vec![0];
    let mut at = 0;
    while at < importer.program.files.len() {
        importer.imports(FileIndex(at as u32), &mut depths);
        at += 1;
    }
    importer.cycles();
    for index in 0..importer.program.files.len() {
        importer.declare(FileIndex(index as u32));
    }
    for index in 0..importer.program.files.len() {
        importer.bring_in(FileIndex(index as u32));
    }
    let mut program = importer.program;
    program.constants = constant::all(&program, sink);
    program
}

struct Importer<'s> {
    sources: &'s mut Sources,
    loader: &'s dyn Loader,
    sink: &'s mut Sink,
    program: Program,
    /// Files by name; `None` where there is none to be had.
    by_name: BTreeMap<String, Option<FileIndex>>,
}

impl Importer<'_> {
    fn read(&mut self, name: String, id: FileId) -> FileIndex {
        let (ast, diagnostics) = tilec_syntax::parse(id, &self.sources.file(id).text);
        diagnostics.into_iter().for_each(|diagnostic| self.sink.add(diagnostic));
        self.program.files.push(File { name, ast, names: BTreeMap::new() });
        FileIndex(self.program.files.len() as u32 - 1)
    }

    fn uses(&self, file: FileIndex) -> Vec<ast::Use> {
        let items = &self.program.file(file).ast.items;
        let uses = items.iter().filter_map(|item| match item {
            ast::Item::Use(import) => Some(import.clone()),
            _ => None,
        });
        uses.collect()
    }

    /// Reads the files that one file imports, unless they have been read.
    fn imports(&mut self, file: FileIndex, depths: &mut Vec<usize>) {
        for import in self.uses(file) {
            let name = &import.file.name;
            if self.by_name.contains_key(name) {
                continue;
            }
            let span = import.file.span;
            let depth = depths[file.0 as usize] + 1;
            let limit = if depth > MAX_DEPTH {
                Some(format!("imports stand more than {MAX_DEPTH} files behind one another"))
            } else if self.program.files.len() >= MAX_FILES {
                Some(format!("more than {MAX_FILES} files are imported"))
            } else {
                None
            };
            let found = match limit {
                Some(message) => {
                    self.sink.add(Diagnostic::error(codes::E0208, span, message, "one too many"));
                    None
                }
                None => self.ask(name, span),
            };
            let index = found.map(|source| {
                let id = self.sources.add(source.name, source.text);
                depths.push(depth);
                self.read(name.clone(), id)
            });
            self.by_name.insert(name.clone(), index);
        }
    }

    fn ask(&mut self, name: &str, span: Span) -> Option<SourceFile> {
        match self.loader.load(name) {
            Ok(Some(source)) => Some(source),
            Ok(None) => {
                let message = format!("there is no file `{name}` to import from");
                let report = Diagnostic::error(codes::E0202, span, message, "not found");
                let known = self.loader.known();
                self.sink.add(match closest(name, known.iter().map(String::as_str)) {
                    Some(near) => report.replace("a similar file exists", span, near),
                    None => report.note(format!(
                        "a name means a file of the kernel library, or else `{name}.tile` beside this file"
                    )),
                });
                None
            }
            Err(why) => {
                self.sink.add(Diagnostic::error(
                    codes::E0207,
                    span,
                    format!("`{name}` may not be imported: {why}"),
                    "refused",
                ));
                None
            }
        }
    }

    /// Reports each import that leads back to its own file, once for each cycle.
    fn cycles(&mut self) {
        let count = self.program.files.len();
        let edges: Vec<Vec<(usize, Span)>> = (0..count)
            .map(|file| {
                let uses = self.uses(FileIndex(file as u32));
                let edge = |import: &ast::Use| {
                    let to = self.by_name.get(&import.file.name).copied().flatten()?;
                    Some((to.0 as usize, import.file.span))
                };
                uses.iter().filter_map(edge).collect()
            })
            .collect();
        for cycle in crate::graph::cycles(&edges) {
            let names: Vec<&str> =
                cycle.iter().map(|&(file, _)| self.program.files[file].name.as_str()).collect();
            let Some((first, rest)) = cycle.split_first() else { continue };
            let chain = match names.as_slice() {
                [one] => format!("`{one}` imports itself"),
                _ => format!("{} import one another", listed(names.iter().copied())),
            };
            let mut report = Diagnostic::error(
                codes::E0206,
                first.1,
                format!("imports form a cycle: {chain}"),
                "imported here",
            );
            for &(_, span) in rest {
                report = report.with(span, "and here");
            }
            self.sink.add(report.help("move what both need into a third file"));
        }
    }

    /// The names a file declares itself.
    fn declare(&mut self, index: FileIndex) {
        let mut names: BTreeMap<String, Named> = BTreeMap::new();
        let file = &self.program.files[index.0 as usize];
        for (at, item) in file.ast.items.iter().enumerate() {
            let (name, item) = match item {
                ast::Item::Const(constant) => (&constant.name, Item::Const(at)),
                ast::Item::Function(function) => (&function.name, Item::Function(at)),
                ast::Item::Kernel(kernel) => (&kernel.name, Item::Kernel(at)),
                ast::Item::Use(_) | ast::Item::Spec(_) | ast::Item::Error { .. } => continue,
            };
            if let (Some(_), false) = (builtins::find(&name.name), matches!(item, Item::Kernel(_)))
            {
                self.sink.add(
                    Diagnostic::error(
                        codes::E0212,
                        name.span,
                        format!("`{}` is a builtin of the language", name.name),
                        "cannot be declared anew",
                    )
                    .help("choose another name"),
                );
                continue;
            }
            if let Some(first) = names.get(&name.name) {
                self.sink.add(declared_twice(&name.name, name.span, first.span));
                continue;
            }
            let named = Named { item, file: index, span: name.span, imported: false };
            names.insert(name.name.clone(), named);
        }
        for item in &file.ast.items {
            let ast::Item::Error { names: skipped, .. } = item else { continue };
            for name in skipped {
                let named =
                    Named { item: Item::Poison, file: index, span: name.span, imported: false };
                names.entry(name.name.clone()).or_insert(named);
            }
        }
        self.program.files[index.0 as usize].names = names;
    }

    /// The names a file imports.
    fn bring_in(&mut self, index: FileIndex) {
        for import in self.uses(index) {
            let from = self.by_name.get(&import.file.name).copied().flatten();
            for name in &import.names {
                let item = from.and_then(|from| self.imported(from, &import.file.name, name));
                let named = match item {
                    Some((item, file)) => Named { item, file, span: name.span, imported: true },
                    None => {
                        Named { item: Item::Poison, file: index, span: name.span, imported: true }
                    }
                };
                let names = &mut self.program.files[index.0 as usize].names;
                if let Some(first) = names.get(&name.name) {
                    self.sink.add(declared_twice(&name.name, name.span, first.span));
                    continue;
                }
                names.insert(name.name.clone(), named);
            }
        }
    }

    /// An item of another file, declared there and not itself imported.
    fn imported(
        &mut self,
        from: FileIndex,
        file: &str,
        name: &ast::Ident,
    ) -> Option<(Item, FileIndex)> {
        let names = &self.program.file(from).names;
        match names.get(&name.name) {
            Some(named) if !named.imported => match named.item {
                Item::Function(_) | Item::Const(_) | Item::Poison => Some((named.item, from)),
                Item::Kernel(_) => {
                    self.sink.add(
                        Diagnostic::error(
                            codes::E0209,
                            name.span,
                            format!("`{}` is a kernel; functions and constants can be imported", name.name),
                            "cannot be imported",
                        )
                        .with(named.span, "declared here")
                        .help("import the function the kernel calls, and call it from a kernel of your own"),
                    );
                    None
                }
            },
            _ => {
                let known: Vec<&str> = names
                    .iter()
                    .filter(|(_, named)| {
                        !named.imported && matches!(named.item, Item::Function(_) | Item::Const(_))
                    })
                    .map(|(name, _)| name.as_str())
                    .collect();
                let mut report = Diagnostic::error(
                    codes::E0203,
                    name.span,
                    format!("there is no `{}` in `{file}`", name.name),
                    "not found there",
                );
                let reimported = self
                    .uses(from)
                    .iter()
                    .any(|import| import.names.iter().any(|other| other.name == name.name));
                if reimported {
                    report = report.note(format!(
                        "`{file}` imports it itself; import it from the file that declares it"
                    ));
                } else if let Some(near) = closest(&name.name, known.iter().copied()) {
                    report = report.replace("a similar name exists", name.span, near);
                } else if known.is_empty() {
                    report = report.note(format!("`{file}` declares no function and no constant"));
                } else {
                    report = report.note(format!("it has {}", listed(known.into_iter().take(20))));
                }
                self.sink.add(report);
                None
            }
        }
    }
}

fn declared_twice(name: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::error(codes::E0204, span, format!("`{name}` is declared twice"), "again here")
        .with(first, "first here")
}
