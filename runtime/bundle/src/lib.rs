//! Launching kernels that were compiled elsewhere: no compiler, no LLVM.
//!
//! A [`Bundle`] is one file with PTX for some kernels, each for some bindings of its generics, some knobs and some targets, and
//! with the contracts that launches are checked against. [`Bundle::choose`] takes the one that a tuning record in it
//! names for the arguments' shapes and the GPU, else the first that suits; a device of `tilec-cuda` or `tilec-sim` loads it like any artifact. `tilec build` writes bundles, `tilec-run` runs them.
//!
//! A [`Session`] is a bundle on a device, for programs that launch its kernels again and again; [`embed`] puts a bundle into a
//! program at its build, with a type for the arguments of each kernel.
//!
//! ```no_run
//! use tilec_runtime::{Arguments, Session};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::open(&std::fs::read("flash.tilepack")?, "cuda")?;
//! let mut args = Arguments::new();
//! args.insert("scale", 0.125);
//! // q, k, v, o …
//! session.ready("flash_forward", &args)?.run()?;
//! # Ok(()) }
//! ```
//!
//! A bundle is code: whoever made it decides what the GPU does. Its checksum finds damage, not malice.

#[cfg(feature = "launch")]
pub mod args;
mod bundle;
#[cfg(feature = "launch")]
mod choose;
pub mod embed;
#[cfg(feature = "launch")]
mod outputs;
#[cfg(feature = "launch")]
mod place;
#[cfg(feature = "launch")]
mod session;

pub use bundle::{Bundle, Fault};
pub use tilec_vocab::DType;
#[cfg(feature = "launch")]
pub use {
    choose::{Choice, Chosen},
    outputs::make_outputs,
    place::{AnyDevice, AnyKernel},
    session::{OpenError, Ready, Session},
    tilec_host::{Arguments, Elements, Number, RuntimeError, Tensor},
};
