//! From text to machine code: an object file, which [`load`](super::load) makes callable and a cache can keep.

use std::fmt;
use std::time::{Duration, Instant};

use inkwell::OptimizationLevel;
use inkwell::context::Context;
use inkwell::memory_buffer::MemoryBuffer;
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::{
    CodeModel, FileType, InitializationConfig, RelocMode, Target, TargetMachine,
};

use super::emit::HostCode;
use super::host::Host;
use super::load::{LoadError, Mapped};

/// LLVM's passes for our code: one function, vectors chosen, loops unrolled, nothing to inline. `default<O2>` takes six times
/// as long for code that runs no faster.
const PASSES: &[&str] = &[
    // Slots become registers; what was written twice is computed once.
    "sroa",
    "early-cse<memssa>",
    "simplifycfg",
    // One order for the operands of sums: which product meets which sum in an `fma` depends on it.
    "reassociate",
    // What a loop does not change leaves it.
    "loop-simplify",
    "lcssa",
    "loop-mssa(loop-rotate,licm)",
    "early-cse<memssa>",
    // Once, for it costs as much as all others together. Ours need not be its fixpoint.
    "instcombine<no-verify-fixpoint>",
    "simplifycfg",
];

type Entry = unsafe extern "C" fn(*const i64, *const i64, *mut u8);

/// LLVM would not take the code, or its code could not be loaded: a bug of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JitError(pub String);

impl fmt::Display for JitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JitError {}

impl From<LoadError> for JitError {
    fn from(error: LoadError) -> JitError {
        JitError(error.to_string())
    }
}

/// Where the time of a compilation went.
#[derive(Clone, Copy, Debug, Default)]
pub struct JitTimes {
    /// Reading and checking the text.
    pub read: Duration,
    /// LLVM's passes.
    pub optimise: Duration,
    /// Machine code.
    pub generate: Duration,
}

/// Machine code of one kernel, not yet in a place where it can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// An object file of this platform.
    file: Vec<u8>,
    scratch_bytes: usize,
}

impl Object {
    /// Compiles text.
    ///
    /// # Errors
    ///
    /// [`JitError`] with LLVM's words.
    pub fn compile(code: &HostCode, host: &Host) -> Result<(Object, JitTimes), JitError> {
        let context = Context::create();
        let mut times = JitTimes::default();
        let start = Instant::now();
        let machine = target_machine(host)?;
        let buffer = MemoryBuffer::create_from_memory_range_copy(code.text.as_bytes(), "kernel");
        let module = context.create_module_from_ir(buffer).map_err(words)?;
        module.set_triple(&machine.get_triple());
        module.set_data_layout(&machine.get_target_data().get_data_layout());
        module.verify().map_err(words)?;
        times.read = start.elapsed();

        let start = Instant::now();
        let passes = format!("function({})", PASSES.join(","));
        module.run_passes(&passes, &machine, PassBuilderOptions::create()).map_err(words)?;
        times.optimise = start.elapsed();

        let start = Instant::now();
        let file = machine.write_to_memory_buffer(&module, FileType::Object).map_err(words)?;
        let file = file.as_slice().to_vec();
        times.generate = start.elapsed();
        Ok((Object { file, scratch_bytes: code.scratch_bytes }, times))
    }

    /// As bytes, for a cache.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.file.clone();
        bytes.extend((self.scratch_bytes as u64).to_le_bytes());
        bytes
    }

    /// What [`Object::to_bytes`] gave; nothing if it is too short to be that.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Option<Object> {
        let scratch = bytes.split_off(bytes.len().checked_sub(8)?);
        let scratch_bytes = u64::from_le_bytes(scratch.try_into().ok()?) as usize;
        Some(Object { file: bytes, scratch_bytes })
    }
}

/// A kernel that can be called.
pub struct JitKernel {
    entry: Entry,
    scratch_bytes: usize,
    /// Where the code lies, for as long as it may be called.
    _code: Mapped,
}

impl JitKernel {
    /// Compiles the function called `name`.
    ///
    /// # Errors
    ///
    /// [`JitError`] with LLVM's words.
    pub fn new(code: &HostCode, name: &str, host: &Host) -> Result<JitKernel, JitError> {
        // SAFETY: the emitter's own code, made just now.
        unsafe { JitKernel::load(&Object::compile(code, host)?.0, name) }
    }

    /// Makes the function called `name` of an object callable.
    ///
    /// # Safety
    ///
    /// The object is what [`Object::compile`] made of that function for this machine, byte for byte.
    ///
    /// # Errors
    ///
    /// [`JitError`] where the platform's objects cannot be loaded, or the function is not in it.
    pub unsafe fn load(object: &Object, name: &str) -> Result<JitKernel, JitError> {
        let code = Mapped::new(&object.file)?;
        let address = code.function(name)?;
        // SAFETY: the address of a function that was written with this signature, by the caller's promise.
        let entry = unsafe { std::mem::transmute::<*const u8, Entry>(address) };
        Ok(JitKernel { entry, scratch_bytes: object.scratch_bytes, _code: code })
    }

    /// Runs one program.
    ///
    /// # Safety
    ///
    /// `params` and `program` are laid out as the kernel's emitter says and name live memory that nobody else
    /// writes or, where the kernel writes, reads; `scratch` is aligned to 64 bytes, this call's alone, and
    /// has [`JitKernel::scratch_bytes`] bytes.
    pub unsafe fn run(&self, params: &[i64], program: &[i64], scratch: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { (self.entry)(params.as_ptr(), program.as_ptr(), scratch) }
    }

    /// Memory each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
    }
}

/// LLVM's version, which decides the machine code together with ours.
pub fn llvm_version() -> String {
    let (major, minor, patch) = inkwell::support::get_llvm_version();
    format!("{major}.{minor}.{patch}")
}

fn words(error: impl fmt::Display) -> JitError {
    JitError(error.to_string())
}

fn target_machine(host: &Host) -> Result<TargetMachine, JitError> {
    Target::initialize_native(&InitializationConfig::default()).map_err(JitError)?;
    let triple = TargetMachine::get_default_triple();
    let target = Target::from_triple(&triple).map_err(words)?;
    target
        .create_target_machine(
            &triple,
            &host.cpu,
            &host.features,
            OptimizationLevel::Default,
            // It may lie anywhere, and what it calls may lie far from it.
            RelocMode::PIC,
            CodeModel::Small,
        )
        .ok_or_else(|| JitError(format!("LLVM has no target machine for {triple}")))
}
