//! The stage as a whole, and the limits of what it makes.

use tilec_ir::Kernel;

use crate::error::Result;
use crate::gir::Program;
use crate::options::Options;
use crate::{barriers, lower, shared};

/// What one CTA does for a specialised, optimised kernel.
///
/// # Errors
///
/// [`GpuError`](crate::GpuError) for what this target does not do.
pub fn to_gpu(kernel: &Kernel, options: &Options) -> Result<Program> {
    let mut program = lower::lower(kernel, options)?;
    shared::allocate(&mut program);
    barriers::place(&mut program);
    Ok(program)
}
