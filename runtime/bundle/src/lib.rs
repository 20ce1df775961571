//! Launching kernels that were compiled elsewhere: no compiler, no LLVM.
//!
//! A [`Bundle`] is one file with PTX for some kernels, each for some bindings of its generics, some knobs and some targets, and
//! with the contracts that launches are checked against. [`Bundle::choose`] takes the first that suits the arguments; a
//! device of `tilec-cuda` or `tilec-sim` loads it like any artifact. `tilec build` writes bundles, `tilec-run` runs them.
//!
//! ```no_run
//! use tilec_host::{Arguments, Device, launch};
//! use tilec_runtime::Bundle;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bundle = Bundle::read("flash.tilepack".as_ref())?;
//! let device = tilec_cuda::CudaDevice::open(0, &bundle.targets(), None)?;
//! let mut args = Arguments::new();
//! args.insert("scale", 0.125);
//! // q, k, v …
//! let chosen = bundle.choose(Some("flash_forward"), &args, device.target())?;
//! launch(device.load(chosen.artifact)?.as_ref(), &chosen.launch)?;
//! # Ok(()) }
//! ```
//!
//! A bundle is code: whoever made it decides what the GPU does. Its checksum finds damage, not malice.

pub mod args;
mod bundle;
mod choose;
mod outputs;

pub use bundle::{Bundle, Fault};
pub use choose::Chosen;
pub use outputs::make_outputs;
