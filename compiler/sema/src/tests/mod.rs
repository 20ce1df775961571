//! Programs in, IR or messages out.

mod flow;
mod inherit;
mod library;
mod pages;

use std::collections::BTreeMap;

use tilec_ir::{Module, Tile};
use tilec_vocab::{Diagnostic, SourceFile, Sources};

use crate::{Loader, lower};

/// Files by name.
#[derive(Default)]
struct Files(BTreeMap<String, String>);

impl Loader for Files {
    fn load(&self, name: &str) -> Result<Option<SourceFile>, String> {
        let text = self.0.get(name).cloned();
        Ok(text.map(|text| SourceFile { name: format!("{name}.tile"), text }))
    }
}

/// Everything one run gives.
struct Run {
    module: Option<Module<Tile>>,
    diagnostics: Vec<Diagnostic>,
    sources: Sources,
}

fn run_with(text: &str, files: &Files) -> Run {
    let mut sources = Sources::default();
    let root = sources.add("test.tile", text);
    let (module, diagnostics) = lower(root, &mut sources, files);
    Run { module, diagnostics, sources }
}

fn run(text: &str) -> Run {
    run_with(text, &Files::default())
}

impl Run {
    /// Messages as text: code, place, message, labels, notes, help.
    fn messages(&self) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            text += &format!("{}: {}\n", diagnostic.code.name(), diagnostic.message);
            for label in &diagnostic.labels {
                let (line, column) = self.sources.line_column(label.span);
                let name = &self.sources.file(label.span.file).name;
                let mark = if label.primary { "-->" } else { "   " };
                text += &format!(
                    "  {mark} {name}:{line}:{column} `{}`: {}\n",
                    self.sources.text(label.span),
                    label.text
                );
            }
            for note in &diagnostic.notes {
                text += &format!("  note: {note}\n");
            }
            for help in &diagnostic.suggestions {
                let edits: Vec<String> = help
                    .edits
                    .iter()
                    .map(|edit| {
                        format!("{}..{} -> {:?}", edit.span.start, edit.span.end, edit.text)
                    })
                    .collect();
                text += &format!("  help: {} {}\n", help.message, edits.join(" "));
            }
        }
        text
    }

    /// The IR of a program that must be right.
    fn ir(&self) -> String {
        match &self.module {
            Some(module) => tilec_ir::print(module),
            None => self.messages(),
        }
    }
}
