//! The CPU target: one function that runs one program of the grid.
//!
//! ```text
//! void kernel(i64* params, i64* program, i8* scratch)
//! ```
//!
//! `params` holds for each tensor its address and strides (in elements), for each number its bits, then every
//! dimension; `program` the position along each grid axis; `scratch` is [`HostCode::scratch_bytes`] of memory
//! of the thread's own, aligned to 64 bytes.
//!
//! **Tiles** live in scratch buffers with one axis innermost, padded to whole vectors. Which axis, `layout`
//! decides, anchored at dots. Element-wise ops have no buffer unless it pays: they are computed, vector by vector,
//! where they are used. **Absent lanes** cost nothing: loops run to the number of present lanes, the
//! padding of the innermost axis holds values that no reduction, dot or store looks at.
//! **Bounds**: an access computes its index per lane and does not happen outside; whole vectors inside take
//! the straight path.
//!
//! 16-bit floats are held as f32 and rounded after each operation.

mod access;
mod cast;
mod coarse;
mod control;
mod direct;
mod dot;
mod emit;
mod eval;
mod host;
mod jit;
mod layout;
mod load;
mod math;
mod pack;
mod pairs;
mod reduce;
mod strip;
mod sweep;
mod text;
mod transpose;

pub use emit::{HostCode, Unsupported, emit};
pub use host::{Bf16Dots, Host};
pub use jit::{JitError, JitKernel, JitTimes, Object, llvm_version};
