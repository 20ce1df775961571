//! The page of each code: its wrong program gives that code and no other, its right one nothing.

use tilec_vocab::codes;

use super::library::library;
use super::run_with;

/// Codes that take several files, or a name too long for a page; the ui tests give them.
const ELSEWHERE: [&str; 4] = ["E0104", "E0206", "E0207", "E0208"];

/// The fenced programs of a page, with what stands behind the fence.
fn programs(page: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(info) => {
                open = !open;
                if open {
                    found.push((info.trim().to_string(), String::new()));
                }
            }
            None if open => {
                if let Some((_, text)) = found.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            None => {}
        }
    }
    found.retain(|(info, _)| info.starts_with("tile"));
    found
}

#[test]
fn each_page_shows_its_code_and_how_to_do_without() {
    let library = library();
    let mut complaints = Vec::new();
    for code in codes::ALL {
        let name = code.name();
        if !["E01", "E02", "E03", "E04", "E06", "W09"].iter().any(|range| name.starts_with(range)) {
            continue;
        }
        let programs = programs(code.page());
        let (mut wrong, mut right) = (0, 0);
        for (info, text) in &programs {
            let run = run_with(text, &library);
            let given: Vec<&str> = run.diagnostics.iter().map(|d| d.code.name()).collect();
            if info == "tile" {
                right += 1;
                if !given.is_empty() || run.module.is_none() {
                    complaints.push(format!("{name}: the right program\n{}", run.messages()));
                }
            } else {
                wrong += 1;
                if info != &format!("tile {name}")
                    || given.is_empty()
                    || given.iter().any(|g| *g != name)
                {
                    complaints.push(format!("{name}: `{info}` gives\n{}", run.messages()));
                }
                if run.module.is_some() != name.starts_with('W') {
                    complaints.push(format!("{name}: a module, or none, against the code"));
                }
            }
        }
        if right == 0 || (wrong == 0) != ELSEWHERE.contains(&name) {
            complaints.push(format!("{name}: {wrong} wrong and {right} right programs"));
        }
    }
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
}
