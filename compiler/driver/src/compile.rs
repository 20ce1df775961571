//! The whole compiler, one way and no way back.
//!
//! ```text
//! text --parse, lower--> Module<Tile> --specialise, TILE rows--> Module<Tile> --> artifact
//! ```

use std::fmt;

use tilec_ir::{Kernel, Module, Tile};
use tilec_passes::pipeline;
use tilec_sema::Loader;
use tilec_vocab::{Artifact, Bug, Diagnostic, FileId, Payload, Sources, Specialisation};

use crate::contract;

/// What the caller may choose.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Passes of the table to leave out.
    pub pipeline: pipeline::Options,
}

/// Why a kernel could not be compiled under a specialisation.
#[derive(Clone, Debug)]
pub enum CompileError {
    /// The specialisation does not fit the kernel; the text says why.
    Specialise(String),
    /// Our fault.
    Bug(Bug),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::Specialise(text) => f.write_str(text),
            CompileError::Bug(bug) => bug.fmt(f),
        }
    }
}

impl std::error::Error for CompileError {}

impl From<Bug> for CompileError {
    fn from(bug: Bug) -> CompileError {
        CompileError::Bug(bug)
    }
}

/// The front end: the text of a file and of all it imports to a module, or what is wrong with it.
pub fn front(
    root: FileId,
    sources: &mut Sources,
    loader: &dyn Loader,
) -> (Option<Module<Tile>>, Vec<Diagnostic>) {
    tilec_sema::lower(root, sources, loader)
}

/// A kernel bound to one specialisation and optimised.
pub fn optimise(
    kernel: &Kernel,
    binding: &Specialisation,
    options: &Options,
) -> Result<Kernel, CompileError> {
    let bound = specialise(kernel, binding)?;
    Ok(pipeline::optimise(&bound, &options.pipeline)?)
}

/// A kernel or spec bound to one specialisation, otherwise as written.
pub fn specialise(kernel: &Kernel, binding: &Specialisation) -> Result<Kernel, CompileError> {
    tilec_passes::specialise(kernel, binding)
        .map_err(|error| CompileError::Specialise(error.to_string()))
}

/// A kernel under one specialisation as an artifact.
pub fn compile(
    kernel: &Kernel,
    binding: &Specialisation,
    options: &Options,
) -> Result<Artifact, CompileError> {
    let optimised = optimise(kernel, binding, options)?;
    Ok(Artifact {
        contract: contract(kernel, binding)?,
        specialisation: binding.clone(),
        payload: Payload::TileIr(tilec_ir::print(&Module::new(vec![optimised], Vec::new()))),
    })
}
