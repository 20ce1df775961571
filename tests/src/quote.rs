//! Excerpts of what the compiler prints for one kernel: `quote ptx | after $L__BB0_3 | ldmatrix + 1 | mma.sync`.
//!
//! Parts are looked for in turn, each from where the one before ended: `after TEXT` goes to the line behind the next that holds
//! it, `TEXT + 3` takes the next line that holds it and three more. What is left out between two excerpts is shown as `...`.

use std::sync::OnceLock;

use tilec_codegen::nvptx::{self, LineColumn};
use tilec_driver::Options;
use tilec_vocab::{DType, Sources, Span};

use crate::Library;
use crate::gpu::binding;

/// What is quoted: causal attention, head size 64, f16, for sm_80, as `tilec emit` prints it.
struct Printed {
    gir: String,
    ptx: String,
}

fn printed() -> &'static Result<Printed, String> {
    static PRINTED: OnceLock<Result<Printed, String>> = OnceLock::new();
    PRINTED.get_or_init(print)
}

fn print() -> Result<Printed, String> {
    let file = tilec_kernels::find("causal").ok_or("no kernel `causal`")?;
    let mut sources = Sources::default();
    let root = sources.add(file.path, file.text);
    let (module, _) = tilec_driver::front(root, &mut sources, &Library);
    let kernel = module.and_then(|module| module.kernel("causal").cloned());
    let kernel = kernel.ok_or("no kernel `causal`")?;
    let binding = binding(&kernel, DType::F16, 64);
    let best = tilec_driver::optimise(&kernel, &binding, &Options::default());
    let best = best.map_err(|error| error.to_string())?;
    let options = tilec_ptx::Options::default();
    let knobs = options.knobs.chosen(&binding);
    let facts = tilec_ptx::usual_facts(&best);
    let program = tilec_ptx::program(&best, &facts, knobs, &options).map_err(|e| e.to_string())?;
    let target = tilec_ptx::target(tilec_ptx::DEFAULT_TARGET).map_err(|e| e.to_string())?;
    let locate = |span: Span| {
        let (line, column) = sources.line_column(span);
        let file = sources.file(span.file).name.clone();
        Some(LineColumn { file, line: line as u32, column: column as u32 })
    };
    let compiled = nvptx::compile_with_lines(&program, target, &locate);
    let ptx = compiled.map_err(|error| error.to_string())?.code.text;
    Ok(Printed { gir: program.to_string(), ptx })
}

/// A fenced block with the excerpts.
///
/// # Errors
///
/// A part that is not there: then what the page says of it is no longer so.
pub fn quote(what: &str) -> Result<String, String> {
    let mut parts = what.split(" | ");
    let printed = printed().as_ref().map_err(String::clone)?;
    let text = match parts.next() {
        Some("gir") => &printed.gir,
        Some("ptx") => &printed.ptx,
        _ => return Err("what is quoted is `gir` or `ptx`".to_owned()),
    };
    let all: Vec<&str> = text.lines().collect();
    let (mut at, mut taken): (usize, Vec<&str>) = (0, Vec::new());
    for part in parts {
        let (skip, part) = match part.strip_prefix("after ") {
            Some(part) => (true, part),
            None => (false, part),
        };
        let (part, more) = match part.rsplit_once(" + ").map(|(part, n)| (part, n.parse())) {
            Some((part, Ok(more))) => (part, more),
            _ => (part, 0usize),
        };
        let found = all[at..].iter().position(|line| line.contains(part));
        let found = at + found.ok_or_else(|| format!("no `{part}` from line {}", at + 1))?;
        if skip {
            at = found + 1;
            continue;
        }
        // Lines of the source are shown only where they are asked for.
        let shown = |n: usize| !all[n].trim_start().starts_with(".loc");
        if !taken.is_empty() && (at..found).any(shown) {
            taken.push("...");
        }
        let line = |n: &usize| *n == found || shown(*n);
        let lines = (found..all.len()).filter(line).take(more + 1).collect::<Vec<_>>();
        taken.extend(lines.iter().map(|&n| all[n]));
        at = lines.last().map_or(at, |&n| n + 1);
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    let shown = taken.iter().filter(|line| **line != "...");
    let least = shown.map(|line| indent(line)).min().unwrap_or(0);
    let cut =
        |line: &&str| if *line == "..." { "...".to_owned() } else { line[least..].to_owned() };
    let lines: Vec<String> = taken.iter().map(cut).collect();
    Ok(format!("```\n{}\n```\n", lines.join("\n")))
}
