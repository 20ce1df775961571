//! PTX text to a syntax tree: tokens, then directives and statements. Nothing here knows what an opcode means.

pub mod ast;
mod lex;
mod parse;

pub use parse::{parse, type_bytes as parse_type_bytes};

use std::fmt;

/// Text that is not PTX, or not PTX this simulator knows. Never a skip: what is not understood is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PtxError {
    /// One-based line in the PTX text.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

impl PtxError {
    pub(crate) fn new(line: u32, message: impl Into<String>) -> Self {
        PtxError { line, message: message.into() }
    }
}

impl fmt::Display for PtxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ptx line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for PtxError {}
