//! Code generation: the only crate that names LLVM.
//!
//! `cpu` makes host code from specialised tile IR, `nvptx` PTX from GPU IR. LLVM IR is written as text, which LLVM's
//! own reader checks before anything else sees it, and which `tilec emit --to ll` can show.

pub mod cpu;
pub mod nvptx;
mod polynomials;
