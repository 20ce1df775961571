//! The NVIDIA target: PTX for one CTA from GPU IR.
//!
//! ```text
//! GPU IR -> emit: LLVM IR text, one instruction for each register -> llvm: passes and PTX text
//! ```
//!
//! Layouts, shared memory, waits and barriers are given; what is decided here is how each instruction is written, so
//! that nearly final code reaches LLVM. **Early**: whatever depends on thread and parameters only is computed once, in
//! the entry block, so that loops address memory by a base and an immediate. **Pairs**: two 16-bit floats of
//! neighbouring registers are one value, so that conversions, `mma` operands and vectors take them as they are.
//! **Guards**: an element outside its tensor is neither read nor written: instructions are predicated, one predicate
//! for each vector.
//!
//! An exchange through shared memory (a conversion, a reduction over warps) ends with a barrier of those who took part:
//! its buffer is free again when the statement is done.

mod access;
mod cast;
mod control;
mod convert;
mod copy;
mod dot;
mod elementwise;
mod emit;
mod entry;
mod fragment;
mod global;
mod interleave;
mod intrinsics;
mod lanes;
mod llvm;
mod math;
mod pointer;
mod product;
mod range;
mod reduce;
mod shared;
mod shuffle;
mod target;
mod text;
mod thread;
mod value;
mod words;

pub use emit::{LineColumn, Locate, Unsupported, llvm_ir, llvm_ir_with_lines};
pub use llvm::{Compiled, Error, Times, compile, compile_with_lines};
pub use target::{TARGETS, Target};
