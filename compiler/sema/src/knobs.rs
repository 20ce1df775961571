//! Which functions call which, and which knobs come with them.
//!
//! A kernel has the knobs of every function it mentions, and of those that they mention. Its own
//! clause wins; two functions that disagree are an error until it has one.

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::limits;
use tilec_syntax::ast;
use tilec_vocab::{Diagnostic, Span, codes};

use crate::constant;
use crate::graph;
use crate::import::{Item, Program};
use crate::kernel::{Knob, kernel_of};
use crate::names::{self, FunctionId, Mentions};
use crate::report::Sink;
use crate::scope::FileIndex;

/// What is known of the whole program before lowering.
#[derive(Default)]
pub(crate) struct Facts {
    /// Knobs in the scope of each function, by file and name.
    function_knobs: BTreeMap<FunctionId, Vec<Knob>>,
    /// Functions on a cycle of calls, which has been reported.
    recursive: BTreeSet<FunctionId>,
    /// Knobs of each kernel of the root file, by position among its items.
    kernel_knobs: BTreeMap<usize, Vec<Knob>>,
}

impl Facts {
    /// The knobs of a kernel of the root file.
    pub fn kernel(&self, at: usize) -> &[Knob] {
        self.kernel_knobs.get(&at).map_or(&[], Vec::as_slice)
    }

    /// The knobs a function's body sees.
    pub fn function(&self, id: FunctionId) -> &[Knob] {
        self.function_knobs.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Whether a function calls itself, through others perhaps.
    pub fn is_recursive(&self, id: FunctionId) -> bool {
        self.recursive.contains(&id)
    }
}

/// Walks everything and reports what is wrong with names, calls and knobs.
pub(crate) fn check(program: &Program, sink: &mut Sink) -> Facts {
    let mut ids: Vec<FunctionId> = Vec::new();
    let mut mentions: Vec<Mentions<'_>> = Vec::new();
    for file in (0..program.files.len() as u32).map(FileIndex) {
        for (at, item) in program.file(file).ast.items.iter().enumerate() {
            if let ast::Item::Function(function) = item {
                ids.push((file, at));
                mentions.push(names::function(program, file, function));
            }
        }
    }
    let mut facts = Facts::default();
    recursion(program, &ids, &mentions, &mut facts, sink);
    inherit(program, &ids, &mentions, &mut facts, sink);
    let mut imports: BTreeSet<&str> = BTreeSet::new();
    for (id, found) in ids.iter().zip(mentions) {
        let knobs = facts.function(*id);
        if id.0 == ROOT {
            imports.extend(found.imports.iter().copied());
            found.warnings.iter().for_each(|warning| sink.add_if_sound(warning.clone()));
        }
        unknown(&found, knobs, sink);
    }
    for (at, item) in program.file(ROOT).ast.items.iter().enumerate() {
        match item {
            ast::Item::Kernel(kernel) => {
                let found = names::kernel(program, kernel);
                let knobs = kernel_knobs(program, kernel, &found, &facts, sink);
                unknown(&found, &knobs, sink);
                found.warnings.iter().for_each(|warning| sink.add_if_sound(warning.clone()));
                idle(&found, &facts, sink);
                imports.extend(found.imports.iter().copied());
                facts.kernel_knobs.insert(at, knobs);
            }
            ast::Item::Spec(spec) => {
                if let Ok((kernel_at, kernel)) = kernel_of(program, spec) {
                    let found = names::spec(program, spec, kernel);
                    spec_names(&found, kernel, facts.kernel(kernel_at), sink);
                    found.warnings.iter().for_each(|warning| sink.add_if_sound(warning.clone()));
                    imports.extend(found.imports.iter().copied());
                }
            }
            ast::Item::Use(_)
            | ast::Item::Const(_)
            | ast::Item::Function(_)
            | ast::Item::Error { .. } => {}
        }
    }
    unused_imports(program, &imports, sink);
    facts
}

const ROOT: FileIndex = FileIndex(0);

fn name_of(program: &Program, (file, at): FunctionId) -> &str {
    program.function(file, at).map_or("", |function| function.name.name.as_str())
}

fn recursion(
    program: &Program,
    ids: &[FunctionId],
    mentions: &[Mentions<'_>],
    facts: &mut Facts,
    sink: &mut Sink,
) {
    let place: BTreeMap<FunctionId, usize> =
        ids.iter().enumerate().map(|(n, &id)| (id, n)).collect();
    let edges: Vec<Vec<(usize, Span)>> = mentions
        .iter()
        .map(|found| {
            let edge = |(id, span): &(FunctionId, Span)| Some((*place.get(id)?, *span));
            found.functions.iter().filter_map(edge).collect()
        })
        .collect();
    for cycle in graph::cycles(&edges) {
        facts.recursive.extend(cycle.iter().map(|&(n, _)| ids[n]));
        let Some((&(first, at), rest)) = cycle.split_first() else { continue };
        let names: Vec<String> =
            cycle.iter().map(|&(n, _)| format!("`{}`", name_of(program, ids[n]))).collect();
        let first_name = name_of(program, ids[first]);
        let message =
            format!("`{first_name}` is recursive: {} calls `{first_name}`", names.join(" calls "));
        let mut report = Diagnostic::error(codes::E0214, at, message, "called here");
        for &(n, span) in rest.iter().take(8) {
            report = report.with(span, format!("called by `{}`", name_of(program, ids[n])));
        }
        sink.add(
            report.note("every call is inlined, so a function cannot call itself; use a loop"),
        );
    }
}

/// The knobs of each function with those of the functions it mentions; callees first.
fn inherit(
    program: &Program,
    ids: &[FunctionId],
    mentions: &[Mentions<'_>],
    facts: &mut Facts,
    sink: &mut Sink,
) {
    let place: BTreeMap<FunctionId, usize> =
        ids.iter().enumerate().map(|(n, &id)| (id, n)).collect();
    let mut begun = vec![false; ids.len()];
    for start in 0..ids.len() {
        // Depth first with a stack of its own; cycles have been reported and are cut anywhere.
        let mut stack = vec![(start, 0)];
        while let Some((n, at)) = stack.pop() {
            if at == 0 && std::mem::replace(&mut begun[n], true) {
                continue;
            }
            if let Some((callee, _)) = mentions[n].functions.get(at) {
                stack.push((n, at + 1));
                if let Some(&callee) = place.get(callee)
                    && !begun[callee]
                {
                    stack.push((callee, 0));
                }
                continue;
            }
            let (file, item) = ids[n];
            let mut knobs = match program.function(file, item) {
                Some(function) => own(program, file, &function.knobs, sink),
                None => Vec::new(),
            };
            for (callee, _) in &mentions[n].functions {
                for knob in facts.function(*callee) {
                    let known = knobs
                        .iter()
                        .any(|other| other.name == knob.name && other.choices == knob.choices);
                    if !known && knobs.len() < limits::SIGNATURE {
                        knobs.push(knob.clone());
                    }
                }
            }
            facts.function_knobs.insert(ids[n], knobs);
        }
    }
}

/// The knobs of one `tune` clause.
fn own(program: &Program, file: FileIndex, knobs: &[ast::Knob], sink: &mut Sink) -> Vec<Knob> {
    let mut found: Vec<Knob> = Vec::new();
    for knob in knobs {
        let name = &knob.name.name;
        if let Some(first) = found.iter().find(|other| other.name == *name) {
            sink.add(
                Diagnostic::error(
                    codes::E0205,
                    knob.name.span,
                    format!("knob `{name}` is declared twice"),
                    "again here",
                )
                .with(first.span, "first here"),
            );
            continue;
        }
        let (mut choices, mut places): (Vec<i64>, Vec<Span>) = (Vec::new(), Vec::new());
        for choice in &knob.choices {
            match constant::value(program, file, choice, &mut constant::Budget::new()) {
                Ok(value) => match choices.iter().position(|&other| other == value) {
                    Some(first) => sink.add(
                        Diagnostic::error(
                            codes::E0416,
                            choice.span,
                            format!("knob `{name}` lists {value} twice"),
                            "again here",
                        )
                        .with(places[first], "first here"),
                    ),
                    None => {
                        choices.push(value);
                        places.push(choice.span);
                    }
                },
                Err(Some(report)) => sink.add(*report),
                Err(None) => {}
            }
            if choices.len() > limits::SIGNATURE {
                sink.add(Diagnostic::error(
                    codes::E0608,
                    knob.span,
                    format!("knob `{name}` has more than {} choices", limits::SIGNATURE),
                    "too many",
                ));
                break;
            }
        }
        if knob.choices.is_empty() {
            sink.add(
                Diagnostic::error(
                    codes::E0403,
                    knob.span,
                    format!("knob `{name}` has no values to choose from"),
                    "an empty list",
                )
                .help(format!("list them, the default first: `tune {name} in [64, 128]`")),
            );
        }
        if choices.is_empty() {
            choices.push(1);
        }
        found.push(Knob { name: name.clone(), choices, span: knob.name.span });
    }
    found
}

fn kernel_knobs(
    program: &Program,
    kernel: &ast::Kernel,
    found: &Mentions<'_>,
    facts: &Facts,
    sink: &mut Sink,
) -> Vec<Knob> {
    let own = own(program, ROOT, &kernel.knobs, sink);
    let mut knobs = own.clone();
    for (callee, _) in &found.functions {
        for knob in facts.function(*callee) {
            if own.iter().any(|other| other.name == knob.name) {
                continue;
            }
            let Some(first) = knobs.iter().find(|other| other.name == knob.name) else {
                knobs.push(knob.clone());
                continue;
            };
            if first.choices != knob.choices {
                let name = &knob.name;
                let list = |knob: &Knob| {
                    knob.choices.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
                };
                let (a, b) = (list(first), list(knob));
                sink.add(
                    Diagnostic::error(
                        codes::E0404,
                        kernel.name.span,
                        format!("knob `{name}` comes with two lists of choices"),
                        "this kernel inherits both",
                    )
                    .with(first.span, format!("[{a}]"))
                    .with(knob.span, format!("[{b}]"))
                    .help(format!("let the kernel say which it means: `tune {name} in [{a}]`")),
                );
            }
        }
    }
    knobs
}

fn unknown(found: &Mentions<'_>, knobs: &[Knob], sink: &mut Sink) {
    for unknown in &found.unknown {
        if !knobs.iter().any(|knob| knob.name == unknown.name) {
            unknown.report(sink);
        }
    }
}

/// Own knobs of a kernel that neither it nor a function it calls uses.
fn idle(found: &Mentions<'_>, facts: &Facts, sink: &mut Sink) {
    for &(name, span) in &found.idle_knobs {
        let taken = found
            .functions
            .iter()
            .any(|(callee, _)| facts.function(*callee).iter().any(|knob| knob.name == name));
        // Every kernel on a GPU has these, whether its text mentions them or not.
        if !taken && !["warps", "stages"].contains(&name) {
            sink.add_if_sound(Diagnostic::warning(
                codes::W0907,
                span,
                format!("knob `{name}` is never used"),
                "declared here",
            ));
        }
    }
}

fn spec_names(found: &Mentions<'_>, kernel: &ast::Kernel, inherited: &[Knob], sink: &mut Sink) {
    for unknown in &found.unknown {
        let knob = kernel.knobs.iter().find(|knob| knob.name.name == unknown.name);
        let span = knob.map(|knob| knob.name.span).or_else(|| {
            inherited.iter().find(|knob| knob.name == unknown.name).map(|knob| knob.span)
        });
        match span {
            Some(span) => sink.add(
                Diagnostic::error(
                    codes::E0411,
                    unknown.span,
                    format!("a spec has no knobs, and `{}` is one", unknown.name),
                    "a knob of the kernel",
                )
                .with(span, "declared here")
                .help("write the spec with whole axes: `axis n in N;`"),
            ),
            None => unknown.report(sink),
        }
    }
}

fn unused_imports(program: &Program, used: &BTreeSet<&str>, sink: &mut Sink) {
    // A dimension may be named by an imported constant; a mention in a signature is one too.
    for (name, named) in &program.file(ROOT).names {
        let counts = named.imported && named.item != Item::Poison;
        if counts && !used.contains(name.as_str()) {
            sink.add_if_sound(Diagnostic::warning(
                codes::W0903,
                named.span,
                format!("`{name}` is imported and never used"),
                "not used in this file",
            ));
        }
    }
}
