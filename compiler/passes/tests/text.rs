//! Text in, text out: one folder for each pass, one file for each behaviour.
//!
//! A file holds a module, the line `// ---- after`, and what the pass makes of it. With
//! `TILEC_BLESS=1` the second half is written anew; read the change before keeping it. Files of
//! `specialise` begin with `// bind: T=f16 D=64` and may end in an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tilec_ir::{Kernel, Module, parse, print, verify_module};
use tilec_passes::{GPU_PASSES, PASSES, pipeline, specialise};
use tilec_vocab::{DType, Specialisation};

const AFTER: &str = "// ---- after\n";

/// `.tir` files of one folder, sorted.
fn files(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "tir")).collect();
    files.sort();
    files
}

/// Runs every file of a folder through `change` and compares; gives what went wrong.
fn check(name: &str, change: impl Fn(&str, &Module<tilec_ir::Tile>) -> String) -> Vec<String> {
    let bless = std::env::var_os("TILEC_BLESS").is_some();
    let mut wrong = Vec::new();
    let files = files(name);
    if files.is_empty() {
        wrong.push(format!("no test for {name}"));
    }
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once(AFTER).unwrap_or((&text, ""));
        let module = match parse(before) {
            Ok(module) => module,
            Err(error) => {
                wrong.push(format!("{}:{error}", path.display()));
                continue;
            }
        };
        if let Err(bug) = verify_module(&module) {
            wrong.push(format!("{}: {bug}\n{}", path.display(), bug.ir));
            continue;
        }
        let now = change(before, &module);
        if bless {
            fs::write(&path, format!("{before}{AFTER}{now}")).unwrap();
        } else if now != after {
            wrong.push(format!("{}\n--- stored ---\n{after}--- now ---\n{now}", path.display()));
        }
    }
    wrong
}

#[test]
fn passes_of_the_table() {
    let mut wrong = Vec::new();
    for pass in PASSES.iter().chain(GPU_PASSES) {
        let run = |kernel: &Kernel| {
            pipeline::run(pass, kernel).unwrap_or_else(|bug| panic!("{bug}\n{}", bug.ir))
        };
        wrong.extend(check(pass.name, |_, module| {
            let kernels = module.kernels.iter().map(run).collect();
            print(&Module::<tilec_ir::Tile>::new(kernels, Vec::new()))
        }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn specialisation() {
    let wrong = check("specialise", |text, module| {
        let binding = binding(text);
        let kernels: Result<Vec<Kernel>, _> =
            module.kernels.iter().map(|kernel| specialise(kernel, &binding)).collect();
        match kernels {
            Ok(kernels) => print(&Module::<tilec_ir::Tile>::new(kernels, Vec::new())),
            Err(error) => format!("// error: {error}\n"),
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// From `// bind: T=f16 D=64`.
fn binding(text: &str) -> Specialisation {
    let line = text.lines().find_map(|line| line.strip_prefix("// bind:")).unwrap_or_default();
    let mut binding = Specialisation { dtypes: BTreeMap::new(), ints: BTreeMap::new() };
    for (name, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
        match (DType::from_name(value), value.parse()) {
            (Some(dtype), _) => drop(binding.dtypes.insert(name.to_owned(), dtype)),
            (None, Ok(int)) => drop(binding.ints.insert(name.to_owned(), int)),
            (None, Err(_)) => panic!("{value} is no binding"),
        }
    }
    binding
}
