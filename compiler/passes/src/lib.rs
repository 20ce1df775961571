//! Passes over tile IR: each a function from a verified kernel to a verified kernel that computes
//! the same, in a file of its own, with its row in [`pipeline`] and its folder under `tests/`.
//!
//! [`specialise()`] stands outside the table: it needs a binding, and it can fail for reasons that
//! are the caller's.
//!
//! A pass computes nothing that depends on the order of a hash map, the time or the environment.

pub mod cse;
pub mod dce;
mod effects;
pub mod fold;
pub mod gpu;
pub mod hoist;
pub mod mask;
pub mod pipeline;
mod rewrite;
pub mod specialise;

pub use gpu::{GPU_PASSES, for_gpu};
pub use pipeline::{Options, PASSES, Pass, optimise};
pub use specialise::{SpecialiseError, specialise, with_default_knobs};
