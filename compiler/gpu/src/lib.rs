//! From tile IR to what one CTA of a GPU does: layouts, shared memory, asynchronous copies, barriers.
//!
//! ```text
//! Kernel --study, roles, fragments, classes--> choices --lower--> Program --shared, barriers--> Program
//! ```

mod barriers;
mod classes;
mod error;
mod fragments;
pub mod gir;
mod lower;
mod options;
mod prove;
mod roles;
mod shared;
mod study;
mod to_gpu;
mod touch;

pub use error::GpuError;
pub use gir::Program;
pub use options::Options;
pub use to_gpu::to_gpu;
