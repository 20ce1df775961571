//! Kernels out of artifacts, whose text may come from anywhere.

use tilec_vocab::{Artifact, Bug, Payload};

use crate::kernel::Kernel;
use crate::{parse, verify};

/// The kernel an artifact holds, read and verified; `device` is who wants to run it.
///
/// # Errors
///
/// The payload is not what the compiler promised.
pub fn loaded(artifact: &Artifact, device: &'static str) -> Result<Kernel, Bug> {
    let Payload::TileIr(text) = &artifact.payload else {
        return Err(Bug::new(device, "the artifact holds PTX, not tile IR"));
    };
    let module = parse(text).map_err(|error| Bug::new(device, error.to_string()))?;
    let name = &artifact.contract.kernel;
    let kernel = module.kernel(name).ok_or_else(|| {
        Bug::new(device, format!("the artifact of `{name}` holds no such kernel"))
    })?;
    verify(kernel)?;
    Ok(kernel.clone())
}
