//! Text to syntax tree and back.
//!
//! [`parse`] never fails: it gives a tree and what is wrong. Whatever the text, it needs little stack and
//! time: size and nesting are limited first, on the text and on the tokens.

pub mod ast;
mod depth;
mod expect;
mod format;
mod lexer;
mod make;
mod slips;

#[allow(clippy::all, missing_docs, unused)]
mod grammar {
    lalrpop_util::lalrpop_mod!(inner, "/grammar.rs");
    pub use inner::*;
}

pub use format::format;
use tilec_vocab::{Diagnostic, FileId, Span, codes};

/// The largest source file, in bytes.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

/// Errors after which a file is read no further.
const MAX_ERRORS: usize = 64;

/// Parses a file. Never fails and never panics: what is wrong is in the diagnostics.
pub fn parse(file: FileId, text: &str) -> (ast::File, Vec<Diagnostic>) {
    if text.len() > MAX_SOURCE_BYTES {
        let message = format!("a source file of {} bytes", text.len());
        let label = format!("at most {MAX_SOURCE_BYTES}");
        let complaint = Diagnostic::error(codes::E0502, Span::new(file, 0, 0), message, label);
        return (ast::File::default(), vec![complaint]);
    }
    let lexed = lexer::lex(file, text);
    let mut diagnostics = lexed.diagnostics;
    let mut tree = ast::File { items: Vec::new(), comments: lexed.comments };
    if let Some(complaint) = depth::check(file, &lexed.tokens) {
        diagnostics.push(complaint);
        return (tree, diagnostics);
    }
    let make = make::Make::new(file, &lexed.tokens);
    // Where everything is wrong, reading on helps nobody and takes long.
    let tokens = lexed.tokens.iter().take_while(|_| !make.has_had_enough());
    let input = tokens.cloned().map(Ok::<_, ()>);
    match grammar::FileParser::new().parse(&make, input) {
        Ok(items) => tree.items = items,
        Err(error) => make.failed(error),
    }
    diagnostics.extend(make.finish());
    diagnostics.sort_by_key(|diagnostic| diagnostic.span());
    (tree, diagnostics)
}
