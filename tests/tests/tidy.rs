//! Rules of the house that a machine can check.

use std::collections::BTreeMap;
use std::fs;

use tilec_tests::{files, no_complaints, root, short};

/// Who may see whom: each crate and all of ours it may name. Built crates only go up the list.
const MAY_SEE: &[(&str, &[&str])] = &[
    ("tilec-vocab", &[]),
    ("tilec-syntax", &["vocab"]),
    ("tilec-ir", &["vocab"]),
    ("tilec-sema", &["vocab", "syntax", "ir"]),
    ("tilec-interp", &["vocab", "ir"]),
    ("tilec-passes", &["vocab", "ir"]),
    ("tilec-layout", &["vocab", "ir"]),
    ("tilec-gpu", &["vocab", "ir", "layout"]),
    ("tilec-codegen", &["vocab", "ir", "layout", "gpu"]),
    ("tilec-driver", &["vocab", "ir", "sema", "passes"]),
    ("tilec-host", &["vocab"]),
    ("tilec-ptxsim", &[]),
    ("tilec-cpu", &["vocab", "ir", "host", "codegen"]),
    ("tilec-ptx", &["vocab", "ir", "passes", "layout", "gpu", "codegen", "host"]),
    ("tilec-model", &["vocab", "ir", "layout", "gpu", "codegen", "ptx"]),
    ("tilec-sim", &["vocab", "host", "ptxsim"]),
    ("tilec-cuda", &["vocab", "host"]),
    ("tilec-fakecuda", &["ptxsim"]),
    ("tilec-runtime", &["vocab", "host", "cuda", "sim"]),
    ("tilec-embedding", &["runtime"]),
    ("tilec-verify", &["vocab", "ir", "interp", "driver", "host"]),
    ("tilec-cache", &[]),
    ("tilec-tune", &["vocab", "ir", "interp", "driver", "host", "cache", "verify", "ptx", "model"]),
    ("tilec-kernels", &[]),
    (
        "tilec",
        &[
            "vocab", "syntax", "ir", "sema", "interp", "passes", "driver", "host", "codegen",
            "cpu", "verify", "kernels", "cache", "tune", "gpu", "ptx", "ptxsim", "sim", "cuda",
            "runtime", "model",
        ],
    ),
    (
        "tilec-tests",
        &[
            "vocab", "syntax", "ir", "sema", "interp", "passes", "driver", "host", "cpu", "verify",
            "kernels", "layout", "gpu", "codegen", "ptx", "ptxsim", "sim",
        ],
    ),
];

/// Files of the compiler that measure how long LLVM takes.
const ABOUT_THE_HOST: &[&str] =
    &["compiler/codegen/src/cpu/jit.rs", "compiler/codegen/src/nvptx/llvm.rs"];

/// The longest a source file may be.
const MAX_LINES: usize = 600;

fn manifests() -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    for path in files(&root(), "toml") {
        if !path.ends_with("Cargo.toml") || path == root().join("Cargo.toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let name = text.lines().find_map(|l| l.strip_prefix("name = ")).unwrap_or_default();
        found.insert(name.trim_matches('"').to_string(), (short(&path), text.clone()));
    }
    found
}

#[test]
fn crates_see_only_what_stands_above_them() {
    let manifests = manifests();
    let mut complaints = Vec::new();
    for (name, may_see) in MAY_SEE {
        let Some((path, text)) = manifests.get(*name) else {
            complaints.push(format!("{name}: no such crate"));
            continue;
        };
        let dependencies = text.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let word = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if let Some(other) = word.strip_prefix("tilec-")
                && !may_see.contains(&other)
            {
                complaints.push(format!("{path}: {name} may not see tilec-{other}"));
            }
        }
    }
    for name in manifests.keys() {
        if !MAY_SEE.iter().any(|(listed, _)| listed == name) {
            complaints.push(format!("{name}: not in the table of who may see whom"));
        }
    }
    no_complaints(complaints);
}

#[test]
fn inkwell_is_named_by_code_generation_alone() {
    let complaints = manifests()
        .into_iter()
        .filter(|(name, (_, text))| text.contains("inkwell") && name != "tilec-codegen")
        .map(|(name, (path, _))| format!("{path}: {name} names inkwell"))
        .collect();
    no_complaints(complaints);
}

#[test]
fn source_files_are_short_and_say_what_they_are_for() {
    let mut complaints = Vec::new();
    for path in files(&root(), "rs") {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().count();
        if lines > MAX_LINES {
            complaints.push(format!("{}: {lines} lines, at most {MAX_LINES}", short(&path)));
        }
        if !text.starts_with("//!") {
            complaints.push(format!("{}: does not start with `//!`", short(&path)));
        }
    }
    no_complaints(complaints);
}

#[test]
fn no_test_is_ignored_or_expects_a_panic() {
    let mut complaints = Vec::new();
    let banned = ["#[ignore", "#[should_panic", "todo!(", "unimplemented!("];
    for path in files(&root(), "rs") {
        if path.ends_with("tidy.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        for (n, line) in text.lines().enumerate() {
            for word in banned {
                if line.trim_start().starts_with(word) {
                    complaints.push(format!("{}:{}: {word}", short(&path), n + 1));
                }
            }
        }
    }
    no_complaints(complaints);
}

#[test]
fn the_compiler_is_pure() {
    let banned = ["std::fs", "std::env::var", "Instant::now", "SystemTime", "HashMap", "HashSet"];
    let mut complaints = Vec::new();
    for path in files(&root().join("compiler"), "rs") {
        let inside = short(&path);
        let is_host = ABOUT_THE_HOST.contains(&inside.as_str());
        if is_host
            || inside.contains("/tests/")
            || inside.contains("/examples/")
            || inside.ends_with("build.rs")
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (n, line) in code.lines().enumerate() {
            for word in banned {
                if line.contains(word) && !line.trim_start().starts_with("//") {
                    complaints.push(format!("{inside}:{}: {word}", n + 1));
                }
            }
        }
    }
    no_complaints(complaints);
}

#[test]
fn every_kernel_file_has_a_row_in_the_library() {
    let library = fs::read_to_string(root().join("kernels/src/lib.rs")).unwrap_or_default();
    let complaints = files(&root().join("kernels"), "tile")
        .into_iter()
        .map(|path| short(&path))
        .filter(|path| !library.contains(path.trim_start_matches("kernels/")))
        .map(|path| format!("{path}: no row in kernels/src/lib.rs"))
        .collect();
    no_complaints(complaints);
}

#[test]
fn variants_stay_as_short_as_promised() {
    let count = |name: &str| {
        let path = root().join("kernels").join(name);
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("//")).count()
    };
    let short = [
        ("attention/causal.tile", 12),
        ("attention/alibi_window.tile", 15),
        ("backward/causal.tile", 24),
        ("backward/window_left.tile", 28),
    ];
    for (name, most) in short {
        assert!((1..=most).contains(&count(name)), "{name}: {}", count(name));
    }
}

#[test]
fn tests_that_a_promise_names_are_there() {
    let sources: Vec<String> =
        files(&root(), "rs").iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let mut pages = files(&root().join("docs"), "md");
    pages.push(root().join("SECURITY.md"));
    let (mut named, mut complaints) = (0, Vec::new());
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_default();
        let mut promises = false;
        for (n, line) in text.lines().enumerate() {
            promises = line.starts_with('|') && (promises || line.contains("tested by"));
            // Every second part stands between backquotes.
            for name in line.split('`').skip(1).step_by(2).filter(|_| promises) {
                let is_name =
                    name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
                if !is_name || name.matches('_').count() < 2 {
                    continue;
                }
                named += 1;
                let function = format!("fn {name}()");
                if !sources.iter().any(|text| text.contains(&function)) {
                    complaints.push(format!("{}:{}: no test `{name}`", short(&page), n + 1));
                }
            }
        }
    }
    no_complaints(complaints);
    assert!(named >= 20, "{named} tests are named");
}

#[test]
fn folders_have_no_vague_names() {
    let vague = ["utils", "util", "common", "misc", "helpers", "base"];
    let complaints = files(&root(), "rs")
        .into_iter()
        .map(|path| short(&path))
        .filter(|path| path.split(['/', '.']).any(|part| vague.contains(&part)))
        .collect();
    no_complaints(complaints);
}

#[test]
fn no_file_names_a_place_outside_the_repository() {
    // Put together here, so that this file does not name them either.
    let outside = [["/wo", "rk/"].concat(), ["/home", "/"].concat(), ["../sha", "red"].concat()];
    let mut complaints = Vec::new();
    for extension in ["rs", "toml", "md", "tile", "py", "lalrpop", "stderr", "json", "yml"] {
        for path in files(&root(), extension) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            for (n, line) in text.lines().enumerate() {
                for place in outside.iter().filter(|place| line.contains(*place)) {
                    complaints.push(format!("{}:{}: {place}", short(&path), n + 1));
                }
            }
        }
    }
    for name in ["Makefile", ".ci/run"] {
        let text = fs::read_to_string(root().join(name)).unwrap_or_default();
        if outside.iter().any(|place| text.contains(place)) {
            complaints.push(format!("{name}: names a place outside"));
        }
    }
    no_complaints(complaints);
}

#[test]
fn every_code_has_a_page_with_its_title() {
    use tilec_vocab::codes;
    let mut complaints = Vec::new();
    for code in codes::ALL {
        let title = format!("# {}: {}\n", code.name(), code.title());
        if !code.page().starts_with(&title) {
            complaints.push(format!(
                "{}: its page does not start with `{}`",
                code.name(),
                title.trim()
            ));
        }
    }
    let pages = files(&root().join("compiler/vocab/codes"), "md");
    for page in pages {
        let name = page.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if codes::ALL.iter().all(|code| code.name() != name) {
            complaints.push(format!("{}: a page without a code", short(&page)));
        }
    }
    no_complaints(complaints);
}
