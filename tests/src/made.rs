//! Parts of pages that are made from the code: tables of ops and passes, excerpts of what the compiler prints.
//!
//! ```text
//! <!-- made: gpu ops -->                      what is to stand here
//! …                                           and does
//! <!-- end -->
//! ```

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tilec_passes::pipeline::Pass;
use tilec_passes::{GPU_PASSES, PASSES};
use tilec_ptx::SWITCHES;

use crate::{files, root, short};

const MARK: &str = "<!-- made: ";
const END: &str = "<!-- end -->";

/// A page with each marked part made anew.
///
/// # Errors
///
/// A part that has no end or cannot be made.
pub fn remade(page: &str) -> Result<String, String> {
    let (mut out, mut lines) = (String::new(), page.lines());
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(what) = line.strip_prefix(MARK) else { continue };
        let what = what.strip_suffix(" -->").ok_or_else(|| format!("`{line}` has no `-->`"))?;
        if !lines.any(|line| line == END) {
            return Err(format!("`{line}` without `{END}`"));
        }
        let _ = writeln!(out, "{}{END}", make(what).map_err(|why| format!("`{what}`: {why}"))?);
    }
    Ok(out)
}

/// What a marker asks for.
fn make(what: &str) -> Result<String, String> {
    let ops = |path: &str, name: &str| table(["op", "what it does"], &variants(path, name)?);
    let family = |name: &str| {
        table(["name", "what it computes"], &variants("compiler/ir/src/ops.rs", name)?)
    };
    match what.split_once(' ') {
        Some(("quote", rest)) => crate::quote::quote(rest),
        Some(("family", name)) => family(name),
        _ => match what {
            "tile ops" => ops("compiler/ir/src/ops.rs", "Op"),
            "gpu ops" => ops("compiler/gpu/src/gir.rs", "Op"),
            "passes" => Ok(passes(PASSES)),
            "gpu passes" => Ok(passes(GPU_PASSES)),
            "switches" => switches(),
            "gpu stages" => stages(),
            _ => Err("nobody makes that".to_owned()),
        },
    }
}

fn passes(passes: &[Pass]) -> String {
    let mut text = "| pass | comes after | stands here because |\n| --- | --- | --- |\n".to_owned();
    for Pass { name, after, why, .. } in passes {
        let after: Vec<String> = after.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(text, "| `{name}` | {} | {why} |", after.join(", "));
    }
    text
}

/// What the lowering can leave out, in the words of its options.
fn switches() -> Result<String, String> {
    let fields = variants("compiler/gpu/src/options.rs", "Options")?;
    let row = |switch: &tilec_ptx::Switch| {
        let field = fields.iter().find(|(name, _)| name == switch.name);
        field.cloned().ok_or_else(|| format!("no field `{}`", switch.name))
    };
    let rows = SWITCHES.iter().map(row).collect::<Result<Vec<_>, String>>()?;
    table(["`--without`", "what is left out"], &rows)
}

/// The files of the stage, what each says it is for, and the choices it looks at.
fn stages() -> Result<String, String> {
    let mut text = "| file | is for | looks at |\n| --- | --- | --- |\n".to_owned();
    let fields = variants("compiler/gpu/src/options.rs", "Options")?;
    for path in files(&root().join("compiler/gpu/src"), "rs") {
        let code = read(&path)?;
        let doc: Vec<&str> = code
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        let looks = |name: &&String| code.contains(&format!("options.{name}"));
        let looks = fields.iter().map(|(name, _)| name).filter(looks);
        let looks: Vec<String> = looks.map(|name| format!("`{name}`")).collect();
        let name = short(&path).replace("compiler/gpu/src/", "");
        let _ = writeln!(text, "| `{name}` | {} | {} |", plain(&doc.join(" ")), looks.join(", "));
    }
    Ok(text)
}

fn table(head: [&str; 2], rows: &[(String, String)]) -> Result<String, String> {
    if rows.is_empty() {
        return Err("no rows".to_owned());
    }
    let mut text = format!("| {} | {} |\n| --- | --- |\n", head[0], head[1]);
    for (name, doc) in rows {
        let _ = writeln!(text, "| `{name}` | {} |", plain(doc));
    }
    Ok(text)
}

/// The variants of an enum, or the fields of a struct, and what their documentation says first. Rows of a table that a
/// macro makes an enum of have the name that stands behind them.
fn variants(path: &str, name: &str) -> Result<Vec<(String, String)>, String> {
    let code = read(&root().join(path))?;
    let begins = |line: &str| {
        let line = line.trim().trim_start_matches("pub ");
        let line = line.trim_start_matches("enum ").trim_start_matches("struct ");
        line == format!("{name} {{")
    };
    let mut lines = code.lines().skip_while(|line| !begins(line));
    let open = lines.next().ok_or_else(|| format!("no `{name}` in {path}"))?;
    let indent = open.len() - open.trim_start().len() + 4;
    let (mut rows, mut doc) = (Vec::new(), Vec::new());
    for line in lines {
        let depth = line.len() - line.trim_start().len();
        if depth < indent && !line.trim().is_empty() {
            break;
        }
        if depth != indent {
            continue;
        }
        let line = line.trim();
        match line.strip_prefix("///") {
            Some(words) => doc.push(words.trim().to_owned()),
            None if line.starts_with(|c: char| c.is_alphabetic()) => {
                let quoted = line.split('"').nth(1);
                let line = line.trim_start_matches("pub ");
                let own: String =
                    line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let first: Vec<String> =
                    doc.drain(..).take_while(|words| !words.is_empty()).collect();
                rows.push((quoted.map_or(own, str::to_owned), first.join(" ")));
            }
            None => {}
        }
    }
    Ok(rows)
}

/// Documentation as a cell of a table: no links within the code, no bars.
fn plain(doc: &str) -> String {
    let mut out = String::new();
    let mut rest = doc;
    while let Some(at) = rest.find("[`") {
        let Some(length) = rest[at..].find("`]") else { break };
        out += &rest[..at];
        out += &rest[at + 1..at + length + 1];
        rest = &rest[at + length + 2..];
        if rest.starts_with('(') {
            rest = rest.split_once(')').map_or(rest, |(_, rest)| rest);
        }
    }
    (out + rest).replace('|', "\\|")
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", short(path)))
}
