//! From syntax to tile IR: names, imports, types, inlining.
//!
//! ```text
//! load files -> names and knobs of every body -> each kernel and spec: signature, grid, body
//! ```
//!
//! There is no typed tree in between. A body is lowered as it is checked: what an expression stands
//! for is worked out once, in the one place where the instruction for it is made, and an error gives
//! *poison*, which silences all that follows from it. Functions and closures are inlined at each
//! call, so a function is checked with the arguments it gets; its names are checked once, called or
//! not. Generic parameters and knobs of a kernel stay symbolic.

mod access;
mod argument;
mod axes;
pub mod builtins;
mod call;
mod constant;
mod dot;
mod expr;
mod flow;
mod graph;
mod host;
mod import;
mod kernel;
mod knobs;
mod loops;
mod lower;
mod misfit;
mod names;
mod ops;
mod report;
mod scope;
mod stmt;
mod types;
mod vars;

use std::collections::BTreeMap;

use tilec_ir::{Module, Tile, limits};
use tilec_syntax::ast;
use tilec_vocab::{Diagnostic, FileId, Sources, Span, codes};

pub use import::Loader;

use crate::import::Program;
use crate::knobs::Facts;
use crate::lower::Lower;
use crate::report::Sink;
use crate::scope::FileIndex;

/// Lowers a file with all it imports. `None` if there was an error; warnings do not count.
///
/// Never panics, whatever the text, and needs little stack and time: nesting, inlining and sizes
/// are limited, and passing a limit is an error with a place.
pub fn lower(
    root: FileId,
    sources: &mut Sources,
    loader: &dyn Loader,
) -> (Option<Module<Tile>>, Vec<Diagnostic>) {
    let mut sink = Sink::default();
    let program = import::load(root, sources, loader, &mut sink);
    let facts = knobs::check(&program, &mut sink);
    let (module, sink) = lower_items(&program, &facts, sources, sink);
    let module = if sink.has_errors() { None } else { Some(module) };
    (module, sink.finish())
}

fn lower_items(
    program: &Program,
    facts: &Facts,
    sources: &Sources,
    mut sink: Sink,
) -> (Module<Tile>, Sink) {
    let mut module = Module::new(Vec::new(), Vec::new());
    let mut specs: BTreeMap<&str, Span> = BTreeMap::new();
    for (at, item) in program.file(FileIndex(0)).ast.items.iter().enumerate() {
        let name = match item {
            ast::Item::Kernel(kernel) => &kernel.name,
            ast::Item::Spec(spec) => &spec.name,
            ast::Item::Use(_)
            | ast::Item::Const(_)
            | ast::Item::Function(_)
            | ast::Item::Error { .. } => continue,
        };
        if module.kernels.len() + module.specs.len() >= limits::KERNELS {
            let message = format!("more than {} kernels and specs in one file", limits::KERNELS);
            sink.add(Diagnostic::error(codes::E0608, name.span, message, "one too many"));
            break;
        }
        let mut lower = Lower::new(program, facts, sources, sink, kernel::empty(name));
        match item {
            ast::Item::Kernel(kernel) => {
                lower.lower_kernel(kernel, facts.kernel(at));
                module.kernels.push(lower.kernel);
            }
            ast::Item::Spec(spec) => {
                if let Some(&first) = specs.get(name.name.as_str()) {
                    let message = format!("kernel `{}` has two specs", name.name);
                    let report = Diagnostic::error(codes::E0204, name.span, message, "again here");
                    lower.sink.add(report.with(first, "first here"));
                }
                specs.insert(&name.name, name.span);
                lower.spec = true;
                match kernel::kernel_of(program, spec) {
                    Ok((at, kernel)) => lower.lower_spec(spec, kernel, facts.kernel(at)),
                    Err(report) => lower.sink.add(report),
                }
                module.specs.push(lower.kernel);
            }
            ast::Item::Use(_)
            | ast::Item::Const(_)
            | ast::Item::Function(_)
            | ast::Item::Error { .. } => {}
        }
        sink = lower.sink;
    }
    (module, sink)
}

#[cfg(test)]
mod tests;
