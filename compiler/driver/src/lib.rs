//! From source text to an artifact: the order of the stages, and nothing else.
//!
//! Start with `compile.rs`: the whole compiler is one function there. The driver is
//! pure; files come in through a [`Loader`](tilec_sema::Loader) that the caller gives.

mod compile;
mod contract;
mod infer;
mod inspect;

pub use compile::{CompileError, Options, compile, front, optimise, specialise};
pub use contract::contract;
pub use infer::{ArgumentFacts, InferError, infer};
pub use inspect::{Flops, Inspection, LoopReport, MaskReport, inspect};
