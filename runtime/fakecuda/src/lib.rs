//! A CUDA driver without a GPU, for tests: `libcuda.so` to whoever loads it, with the PTX simulator underneath. It executes
//! the PTX it is given, checks handles, limits and contexts as the driver does, and fails where it is told to.
//!
//! A test calls [`install`] on a folder, and starts a process with that folder in `LD_LIBRARY_PATH`. Two variables of the environment:
//!
//! | variable | holds |
//! | --- | --- |
//! | `TILEC_FAKECUDA` | the machine and what goes wrong on it, statements between semicolons |
//! | `TILEC_FAKECUDA_LOG` | a file to which the name of every call is appended, and what was left when the context went |
//!
//! | statement | effect |
//! | --- | --- |
//! | `fail CALL N CODE` | the N-th call of a function does nothing and answers CODE; `*` is every call |
//! | `hang CALL N` | it never returns |
//! | `wrong CALL N` | it does its work, then a bit of every byte it changed is broken |
//! | `devices N`, `memory BYTES`, `shared BYTES`, `capability 75` | the machine |
//! | `clock zero`, `clock nan` | what events measure; else a nanosecond for each warp instruction |
//!
//! A kernel's fault is printed and answered by the next call that waits, and by every call after it, as a GPU does.
//! Machine code of a GPU is refused, as by a GPU of another generation; what [`cubin`] makes is run.
//! Deliberately absent: everything that `runtime/cuda` does not call.

mod code;
mod cubin;
mod exports;
mod install;
mod launch;
mod plan;
mod state;

pub use cubin::cubin;
pub use install::install;
pub use plan::{LOG, PLAN};
