//! The code blocks of `docs/` are programs: what is marked `tile` lowers without a word, what is
//! marked `tile E0301` gives that code, and what is marked `tile verify` does what its spec says.

use std::fs;
use std::path::PathBuf;

use tilec_driver::Options;
use tilec_ir::verify_module;
use tilec_tests::{Fence, fences, files, lower, no_complaints, root, short};
use tilec_verify::{InterpDevice, Plan, verify};
use tilec_vocab::render::{Style, render};

/// The programs of all pages: the page, the block, its mark.
fn programs() -> Vec<(PathBuf, Fence, String)> {
    let mut found = Vec::new();
    for path in files(&root().join("docs"), "md") {
        for fence in fences(&fs::read_to_string(&path).unwrap_or_default()) {
            let mut words = fence.info.split_whitespace();
            if words.next() == Some("tile") {
                let mark = words.collect::<Vec<_>>().join(" ");
                found.push((path.clone(), fence, mark));
            }
        }
    }
    found
}

#[test]
fn each_block_is_what_its_mark_says() {
    let mut complaints = Vec::new();
    let programs = programs();
    for (path, fence, mark) in &programs {
        let place = format!("{}:{}", short(path), fence.line);
        let (module, diagnostics, sources) = lower(&fence.code);
        let said = render(&diagnostics, &sources, Style::Plain);
        let codes: Vec<&str> =
            diagnostics.iter().map(|diagnostic| diagnostic.code.name()).collect();
        match mark.as_str() {
            "" | "verify" if !codes.is_empty() => complaints.push(format!("{place}:\n{said}")),
            "" | "verify" => {}
            code if codes.is_empty() || codes.iter().any(|given| *given != code) => {
                complaints.push(format!("{place}: {code} is promised, {codes:?} given\n{said}"));
            }
            _ => {}
        }
        if let Some(module) = module
            && let Err(bug) = verify_module(&module)
        {
            complaints.push(format!("{place}: {bug}\n{}", bug.ir));
        }
    }
    no_complaints(complaints);
    assert!(programs.len() >= 8, "{} blocks", programs.len());
}

#[test]
fn each_block_marked_so_does_what_its_spec_says() {
    let mut complaints = Vec::new();
    let mut rows = 0;
    for (path, fence, mark) in programs() {
        let (Some(module), "verify") = (lower(&fence.code).0, mark.as_str()) else { continue };
        let device = InterpDevice;
        for kernel in module.kernels.iter() {
            let place = format!("{}:{}: {}", short(&path), fence.line, kernel.name);
            let Some(spec) = module.specs.iter().find(|spec| spec.name == kernel.name) else {
                complaints.push(format!("{place}: has no spec"));
                continue;
            };
            let plan = Plan {
                cases: 3,
                seed: 1,
                dtypes: Vec::new(),
                fixed: Default::default(),
                options: Options::default(),
                threads: Some(2),
            };
            match verify(kernel, spec, &[&device], &plan, &|| ()) {
                Ok(found) => {
                    rows +=
                        found.iter().filter(|row| row.cases > 0 || row.failure.is_some()).count();
                    let failures = found.iter().filter_map(|row| row.failure.as_ref());
                    complaints.extend(failures.map(|failure| format!("{place}: {failure:?}")));
                }
                Err(refusal) => complaints.push(format!("{place}: {refusal}")),
            }
        }
    }
    no_complaints(complaints);
    assert!(rows >= 3, "{rows} verified");
}
