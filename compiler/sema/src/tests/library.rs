//! Every kernel of the library lowers, without a word, to IR that verifies.

use std::fs;
use std::path::{Path, PathBuf};

use tilec_ir::{parse, print, verify_module};

use super::{Files, run_with};

fn kernels() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels")
}

fn tile_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(kernels()).into_iter().flatten().flatten() {
        for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|extension| extension == "tile") {
                found.push(file.path());
            }
        }
    }
    found.sort();
    found
}

pub(super) fn library() -> Files {
    let mut files = Files::default();
    for path in tile_files() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = if stem == "forward" { "flash".into() } else { stem };
        files.0.insert(name.into_owned(), fs::read_to_string(&path).unwrap_or_default());
    }
    files
}

#[test]
fn every_kernel_of_the_library_lowers_and_verifies() {
    let library = library();
    let mut kernels = 0;
    for path in tile_files() {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let run = run_with(&text, &library);
        assert_eq!(run.messages(), "", "{}", path.display());
        let module = run.module.as_ref().expect("no errors, so a module");
        kernels += module.kernels.len();
        if let Err(bug) = verify_module(module) {
            panic!("{}: {bug}\n{}", path.display(), bug.ir);
        }
        let text = print(module);
        let read = parse(&text).map(|module| print(&module));
        assert_eq!(read.as_deref().ok(), Some(text.as_str()), "{}", path.display());
    }
    assert!(kernels >= 15, "{kernels} kernels found");
}
