//! The hand-written PTX suite: every opcode against results worked out apart from the simulator, every check with a file
//! that trips it and one that just does not.

#[path = "support/suite.rs"]
mod suite;

use std::collections::BTreeSet;
use std::path::PathBuf;

use suite::Suite;
use tilec_ptxsim::*;

fn files(folder: &str) -> Vec<PathBuf> {
    let root = format!("{}/tests/suite/{folder}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(&root).unwrap_or_else(|e| panic!("{root}: {e}"));
    let mut out: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    out.retain(|p| p.extension().is_some_and(|e| e == "ptx"));
    out.sort();
    out
}

fn stem(path: &std::path::Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

fn reports(outcome: &Outcome) -> String {
    outcome.findings.iter().map(|f| f.to_string()).collect()
}

/// Schedules, deliveries and instruction sets under which a correct file gives the same bits.
fn variety() -> Vec<Config> {
    let base = Config { counters: Counters::Full, ..Config::default() };
    let mut out = vec![
        base,
        Config { lanes: Lanes::Portable, ..base },
        Config { delivery: Delivery::Early, ..base },
    ];
    out.extend(
        Schedule::variety(6).into_iter().skip(1).map(|schedule| Config { schedule, ..base }),
    );
    out
}

/// Runs a file that must be clean in every configuration, and exact or near under all models.
fn passes(file: &Suite) -> Result<(), String> {
    for config in variety() {
        let outcome = file.run(&config)?;
        if !outcome.is_clean() {
            return Err(format!("{config:?}\n{}", reports(&outcome)));
        }
        file.compare(|name| outcome.bytes_of(name)).map_err(|e| format!("{config:?}: {e}"))?;
    }
    for numerics in Numerics::all().into_iter().filter(|_| !file.near.is_empty()) {
        let outcome = file.run(&Config { numerics, ..Config::default() })?;
        file.compare_near(|name| outcome.bytes_of(name))
            .map_err(|e| format!("{numerics:?}: {e}"))?;
    }
    Ok(())
}

#[test]
fn every_opcode_computes_what_its_file_says() {
    let mut failures = vec![];
    for path in files("ops") {
        let file = Suite::read(&path);
        assert!(file.expected.len() + file.near.len() > 0, "{}: expects nothing", path.display());
        if let Err(e) = passes(&file) {
            failures.push(format!("{}: {e}", stem(&path)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The opcodes of a text, without their suffixes.
fn opcodes_in(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().map(|l| l.split("//").next().unwrap_or("").to_string() + "\n").collect();
    let statements = code.split([';', '{', '}', ':']);
    let first = |s: &str| {
        s.split_whitespace()
            .find(|w| !w.starts_with('@'))
            .map(|w| w.split('.').next().unwrap_or("").to_string())
    };
    statements.filter_map(first).filter(|w| !w.is_empty()).collect()
}

#[test]
fn every_opcode_of_the_table_has_a_file_that_runs_it() {
    for opcode in opcodes() {
        let path = format!("{}/tests/suite/ops/{opcode}.ptx", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(opcodes_in(&text).contains(opcode), "{path} does not use `{opcode}`");
    }
}

/// Findings of a file that trips a check, in the default configuration with all counters.
fn trip(file: &Suite) -> Vec<Finding> {
    file.run(&Config { counters: Counters::Full, ..Config::default() })
        .unwrap_or_else(|e| panic!("{e}"))
        .findings
}

/// Whether the findings are those the file's marks name, at the lines they name.
fn as_marked(file: &Suite, findings: &[Finding]) -> Result<(), String> {
    let place = |f: &Finding| (f.code.name().to_string(), f.sites.first().map(|s| s.ptx_line));
    let found: BTreeSet<_> = findings.iter().map(place).collect();
    let wanted: BTreeSet<_> = file.finds.iter().cloned().collect();
    if found != wanted {
        return Err(format!("found {found:?}, marked {wanted:?}"));
    }
    for f in findings {
        let Some(other) = f.sites.get(1) else {
            continue;
        };
        let name = f.code.name();
        let marked = file.also.iter().any(|(n, line)| n == name && *line == other.ptx_line)
            || file.finds.iter().any(|(n, line)| n == name && *line == Some(other.ptx_line));
        if !marked {
            return Err(format!("{name} names line {}, which has no mark", other.ptx_line));
        }
    }
    for (name, line) in &file.also {
        let named = |f: &Finding| {
            f.code.name() == name && f.sites.get(1).is_some_and(|s| s.ptx_line == *line)
        };
        if !findings.iter().any(named) {
            return Err(format!("line {line} is marked and no {name} names it"));
        }
    }
    Ok(())
}

#[test]
fn every_check_finds_its_fault_at_the_marked_lines() {
    let mut failures = vec![];
    for path in files("checks").into_iter().filter(|p| stem(p).ends_with("_trips")) {
        let file = Suite::read(&path);
        if let Some((line, message)) = &file.refuse {
            let refused = Module::parse(&file.text).err();
            if !refused.as_ref().is_some_and(|e| e.line == *line && e.message.contains(message)) {
                failures.push(format!("{}: {refused:?}", stem(&path)));
            }
            continue;
        }
        let findings = trip(&file);
        if let Err(e) = as_marked(&file, &findings) {
            let reports: String = findings.iter().map(|f| f.to_string()).collect();
            failures.push(format!("{}: {e}\n{reports}", stem(&path)));
        }
        for config in variety() {
            if file.in_order && matches!(config.schedule, Schedule::Reverse | Schedule::Random(_)) {
                continue;
            }
            let outcome = file.run(&config).unwrap_or_else(|e| panic!("{e}"));
            if !outcome
                .findings
                .iter()
                .any(|f| file.finds.iter().any(|(name, _)| name == f.code.name()))
            {
                failures.push(format!("{}: not found under {config:?}", stem(&path)));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_check_finds_anything_in_the_nearest_correct_program() {
    let mut failures = vec![];
    for path in files("checks").into_iter().filter(|p| stem(p).ends_with("_passes")) {
        let file = Suite::read(&path);
        if let Err(e) = passes(&file) {
            failures.push(format!("{}: {e}", stem(&path)));
        } else if !trip(&file).is_empty() {
            failures.push(format!("{}: a warning", stem(&path)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_check_has_a_file_that_trips_it_and_one_that_just_does_not() {
    let stems: BTreeSet<String> = files("checks").iter().map(|p| stem(p)).collect();
    for stem in &stems {
        let partner = match stem.strip_suffix("_trips") {
            Some(name) => format!("{name}_passes"),
            None => stem.replace("_passes", "_trips"),
        };
        assert!(stems.contains(&partner), "{stem} has no partner {partner}");
    }
    let mut tripped = BTreeSet::new();
    for path in files("checks") {
        tripped.extend(Suite::read(&path).finds.into_iter().map(|f| f.0));
    }
    for code in Code::ALL {
        assert!(tripped.contains(code.name()), "no file trips {}", code.name());
    }
}
