//! `docs/simulator.md` quotes what the simulator really prints. Each quotation stands under a marker that names its source:
//!
//! ```text
//! <!-- report: race_trips -->     the findings of tests/suite/checks/race_trips.ptx
//! <!-- json: race_trips -->       the same as JSON
//! <!-- stats: attention -->       the counters of the causal attention kernel
//! ```
//!
//! `BLESS=1 cargo test -p tilec-ptxsim --test page` writes the quotations anew; read the difference.

#[path = "support/attention.rs"]
#[allow(dead_code)]
mod attention;
#[path = "support/suite.rs"]
#[allow(dead_code)]
mod suite;

use std::path::{Path, PathBuf};

use suite::Suite;
use tilec_ptxsim::*;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/simulator.md")
}

fn check_file(name: &str) -> Suite {
    Suite::read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/suite/checks/{name}.ptx")),
    )
}

fn produce(kind: &str, name: &str) -> String {
    let config = Config { counters: Counters::Full, ..Config::default() };
    match kind {
        "report" => {
            let file = check_file(name);
            match file.run(&config) {
                Ok(outcome) => outcome.findings.iter().map(|f| f.to_string()).collect(),
                Err(refusal) => format!("error: {refusal}\n"),
            }
        }
        "json" => {
            let outcome = check_file(name).run(&config).unwrap();
            // One member a line, to be read.
            to_json(&outcome.findings).replace(",\"", ",\n \"") + "\n"
        }
        "stats" => {
            let problem = attention::Attention {
                brain: false,
                causal: true,
                heads: 2,
                seq: 155,
                d: 64,
                gap: 64,
                q_scale: 1.0,
            };
            let module = Module::parse(&problem.text()).unwrap();
            let outcome = simulate(&module, &problem.launch(), &config).unwrap();
            assert!(outcome.is_clean());
            outcome.stats.to_string()
        }
        _ => panic!("`{kind}` is not a kind of quotation"),
    }
}

/// The page with every quotation replaced by what is produced now, and the markers seen.
fn regenerate(text: &str) -> (String, Vec<(String, String)>) {
    let (mut out, mut rest, mut markers) = (String::new(), text, vec![]);
    while let Some(at) = rest.find("<!-- ") {
        let end = at + rest[at..].find("-->\n").expect("a marker ends its line") + 4;
        let inner = rest[at + 5..end - 4].trim();
        out += &rest[..end];
        rest = &rest[end..];
        let Some((kind, name)) = inner.split_once(": ") else {
            continue;
        };
        let open = rest.find('\n').expect("a block follows") + 1;
        assert!(rest.starts_with("```"), "a block follows the marker `{inner}`");
        let close = open + rest[open..].find("```\n").expect("the block is closed");
        out += &rest[..open];
        out += &produce(kind, name);
        rest = &rest[close..];
        markers.push((kind.to_string(), name.to_string()));
    }
    (out + rest, markers)
}

#[test]
fn every_quotation_is_what_the_simulator_prints() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (now, _) = regenerate(&text);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(page(), now).unwrap();
        return;
    }
    for (i, (old, new)) in text.lines().zip(now.lines()).enumerate() {
        assert_eq!(old, new, "docs/simulator.md line {}", i + 1);
    }
    assert_eq!(text, now);
}

#[test]
fn every_check_has_a_report_in_the_page() {
    let text = std::fs::read_to_string(page()).unwrap();
    let (now, markers) = regenerate(&text);
    for code in Code::ALL {
        let shown = format!("[{}]", code.name());
        assert!(now.contains(&shown), "no report for {}", code.name());
    }
    assert!(markers.iter().any(|m| m.1.starts_with("unknown")), "no refusal of an unknown opcode");
}

#[test]
fn the_page_names_every_opcode() {
    let text = std::fs::read_to_string(page()).unwrap();
    for opcode in opcodes() {
        assert!(
            text.contains(&format!("`{opcode}`")) || text.contains(&format!("`{opcode}.")),
            "{opcode} is not in the page"
        );
    }
}
