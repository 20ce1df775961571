//! What the author of a wrong program is told: each `ui/CODE_what.tile` beside the messages it
//! gives, in `ui/CODE_what.stderr`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tilec_sema::{Loader, lower};
use tilec_tests::{expect_file, files, no_complaints, root, short};
use tilec_vocab::render::{Style, render};
use tilec_vocab::{Diagnostic, FileId, SourceFile, Sources, Suggestion, codes};

/// Codes that no file of `ui/` gives, and why.
const ELSEWHERE: &[(&str, &str)] =
    &[("E0502", "takes a file of more than 1 MiB: `hostile.rs` makes one")];

fn folder() -> PathBuf {
    root().join("tests/ui")
}

/// The library, then the files of `ui/import/`. Some names stand for what no folder should hold.
struct UiFiles;

impl Loader for UiFiles {
    fn known(&self) -> Vec<String> {
        tilec_kernels::FILES.iter().map(|file| file.name.to_string()).collect()
    }

    fn load(&self, name: &str) -> Result<Option<SourceFile>, String> {
        if let Some(file) = tilec_kernels::find(name) {
            let text = file.text.to_string();
            return Ok(Some(SourceFile { name: format!("library {name}"), text }));
        }
        if name == "outside" {
            return Err("it is a link that leaves the folder".to_string());
        }
        if let Some(n) = name.strip_prefix("deep").and_then(|n| n.parse::<u32>().ok()) {
            let m = n + 1;
            let text = format!("use deep{m}::f{m};\nfn f{n}(x) = f{m}(x);\n");
            return Ok(Some(SourceFile { name: format!("{name}.tile"), text }));
        }
        let path = folder().join("import").join(format!("{name}.tile"));
        let text = fs::read_to_string(path).ok();
        Ok(text.map(|text| SourceFile { name: format!("import/{name}.tile"), text }))
    }
}

fn programs() -> Vec<PathBuf> {
    let imported = folder().join("import");
    files(&folder(), "tile").into_iter().filter(|path| !path.starts_with(&imported)).collect()
}

/// Whether a program lowers, and what is said about it.
fn told(path: &Path) -> (bool, Vec<Diagnostic>, Sources) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut sources = Sources::default();
    let id = sources.add(name, fs::read_to_string(path).unwrap_or_default());
    let (module, diagnostics) = lower(id, &mut sources, &UiFiles);
    (module.is_some(), diagnostics, sources)
}

#[test]
fn each_wrong_program_is_told_what_is_wrong() {
    let mut complaints = Vec::new();
    for path in programs() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (lowers, diagnostics, sources) = told(&path);
        let code = name.split('_').next().unwrap_or_default();
        if !diagnostics.iter().any(|diagnostic| diagnostic.code.name() == code) {
            complaints.push(format!("{name}: does not give {code}"));
        }
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        if lowers != (errors == 0) {
            complaints.push(format!("{name}: {errors} errors, a module: {lowers}"));
        }
        let picture = render(&diagnostics, &sources, Style::Plain);
        complaints.extend(expect_file(&path.with_extension("stderr"), &picture).err());
    }
    no_complaints(complaints);
}

/// A text with the edits of one suggestion made.
fn repaired(text: &str, suggestion: &Suggestion) -> String {
    let mut edits: Vec<_> = suggestion.edits.iter().collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.span));
    let mut text = text.to_string();
    for edit in edits {
        text.replace_range(edit.span.range(), &edit.text);
    }
    text
}

#[test]
fn each_repair_repairs() {
    let mut complaints = Vec::new();
    let mut tried = 0;
    for path in programs() {
        let (_, diagnostics, sources) = told(&path);
        for diagnostic in &diagnostics {
            for suggestion in diagnostic.suggestions.iter().filter(|s| !s.edits.is_empty()) {
                if suggestion.edits.iter().any(|edit| edit.span.file != FileId(0)) {
                    continue;
                }
                tried += 1;
                let text = repaired(&sources.file(FileId(0)).text, suggestion);
                let mut again = Sources::default();
                let id = again.add("repaired.tile", text.as_str());
                let count = |found: &[Diagnostic]| {
                    found.iter().filter(|d| d.code == diagnostic.code).count()
                };
                if count(&lower(id, &mut again, &UiFiles).1) >= count(&diagnostics) {
                    let (line, _) = sources.line_column(diagnostic.span());
                    complaints.push(format!(
                        "{}:{line}: {}\n{text}",
                        short(&path),
                        suggestion.message
                    ));
                }
            }
        }
    }
    no_complaints(complaints);
    assert!(tried >= 20, "{tried} repairs tried");
}

#[test]
fn every_code_is_given_by_some_program() {
    let given: BTreeSet<&str> = programs()
        .iter()
        .flat_map(|path| {
            told(path).1.iter().map(|diagnostic| diagnostic.code.name()).collect::<Vec<_>>()
        })
        .collect();
    let mut complaints = Vec::new();
    for code in codes::ALL {
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| *name == code.name());
        if given.contains(code.name()) == elsewhere {
            complaints.push(format!("{}: {}", code.name(), code.title()));
        }
    }
    no_complaints(complaints);
    assert!(programs().len() >= 60, "{} programs", programs().len());
}

#[test]
fn every_expectation_belongs_to_a_program() {
    let complaints = files(&folder(), "stderr")
        .iter()
        .filter(|path| !path.with_extension("tile").exists())
        .map(|path| format!("{}: its program is gone", short(path)))
        .collect();
    no_complaints(complaints);
}
