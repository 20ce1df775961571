//! From text to a function that can be called.

use std::fmt;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use inkwell::OptimizationLevel;
use inkwell::context::Context;
use inkwell::execution_engine::ExecutionEngine;
use inkwell::memory_buffer::MemoryBuffer;
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::{CodeModel, InitializationConfig, RelocMode, Target, TargetMachine};

use super::emit::HostCode;
use super::host::Host;

/// Passes for code whose vectors are already chosen.
const PASSES: &str = "default<O2>";

type Entry = unsafe extern "C" fn(*const i64, *const i64, *mut u8);

/// LLVM would not take the code: a bug of this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JitError(pub String);

impl fmt::Display for JitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JitError {}

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

/// A compiled kernel.
pub struct JitKernel {
    entry: Entry,
    engine: Option<ExecutionEngine<'static>>,
    context: NonNull<Context>,
    scratch_bytes: usize,
    times: JitTimes,
}

// SAFETY: after `new`, only `entry` is used, which is code without state of its own; the engine and
// its context are touched once more, by `drop`, which has the only reference.
unsafe impl Send for JitKernel {}
// SAFETY: as above.
unsafe impl Sync for JitKernel {}

impl Drop for JitKernel {
    fn drop(&mut self) {
        self.engine.take();
        // SAFETY: from `Box::into_raw` in `new`; the engine, its only borrower, is gone.
        drop(unsafe { Box::from_raw(self.context.as_ptr()) });
    }
}

impl JitKernel {
    /// Compiles the function called `name`.
    ///
    /// # Errors
    ///
    /// [`JitError`] with LLVM's words.
    pub fn new(code: &HostCode, name: &str, host: &Host) -> Result<JitKernel, JitError> {
        let context = NonNull::from(Box::leak(Box::new(Context::create())));
        // SAFETY: freed by `drop` of the kernel, or below, after all that borrows it.
        let borrowed: &'static Context = unsafe { &*context.as_ptr() };
        match Self::compile(borrowed, code, name, host) {
            Ok((engine, entry, times)) => Ok(JitKernel {
                entry,
                engine: Some(engine),
                context,
                scratch_bytes: code.scratch_bytes,
                times,
            }),
            Err(error) => {
                // SAFETY: nothing that `compile` made is left.
                drop(unsafe { Box::from_raw(context.as_ptr()) });
                Err(error)
            }
        }
    }

    fn compile(
        context: &'static Context,
        code: &HostCode,
        name: &str,
        host: &Host,
    ) -> Result<(ExecutionEngine<'static>, Entry, JitTimes), JitError> {
        let mut times = JitTimes::default();
        let start = Instant::now();
        let machine = target_machine(host)?;
        let buffer = MemoryBuffer::create_from_memory_range_copy(code.text.as_bytes(), name);
        let module = context.create_module_from_ir(buffer).map_err(words)?;
        module.set_triple(&machine.get_triple());
        module.set_data_layout(&machine.get_target_data().get_data_layout());
        module.verify().map_err(words)?;
        times.read = start.elapsed();

        let start = Instant::now();
        let options = PassBuilderOptions::create();
        // The vectors are chosen already.
        options.set_loop_vectorization(false);
        options.set_loop_slp_vectorization(false);
        module.run_passes(PASSES, &machine, options).map_err(words)?;
        times.optimise = start.elapsed();

        let start = Instant::now();
        let engine =
            module.create_jit_execution_engine(OptimizationLevel::Default).map_err(words)?;
        let address =
            engine.get_function_address(name).map_err(|error| JitError(error.to_string()))?;
        times.generate = start.elapsed();
        // SAFETY: the address of a function that was written with this signature.
        let entry = unsafe { std::mem::transmute::<usize, Entry>(address) };
        Ok((engine, entry, times))
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

    /// Where the time of the compilation went.
    pub fn times(&self) -> JitTimes {
        self.times
    }
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
            RelocMode::Default,
            CodeModel::JITDefault,
        )
        .ok_or_else(|| JitError(format!("LLVM has no target machine for {triple}")))
}
