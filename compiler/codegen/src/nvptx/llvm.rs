//! From LLVM IR to PTX.

use std::ffi::c_char;
use std::fmt;
use std::sync::Once;
use std::time::{Duration, Instant};

use inkwell::OptimizationLevel;
use inkwell::context::Context;
use inkwell::llvm_sys::support::LLVMParseCommandLineOptions;
use inkwell::memory_buffer::MemoryBuffer;
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::{
    CodeModel, FileType, InitializationConfig, RelocMode, Target as LlvmTarget, TargetMachine,
    TargetTriple,
};
use tilec_gpu::Program;
use tilec_vocab::PtxCode;

use super::emit::{Locate, Unsupported, llvm_ir_with_lines};
use super::entry::parameters;
use super::target::Target;

/// What is left to do to code that is nearly final: common subexpressions, folding, dead code.
const PASSES: &str =
    "function(early-cse,instcombine<no-verify-fixpoint>,loop-mssa(licm),early-cse,adce)";

const TRIPLE: &str = "nvptx64-nvidia-cuda";

/// PTX for a program, and where the time went.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The code.
    pub code: PtxCode,
    /// Where the time went.
    pub times: Times,
}

/// Where the time of a compilation went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Writing LLVM IR.
    pub write: Duration,
    /// Reading and checking it.
    pub read: Duration,
    /// LLVM's passes.
    pub optimise: Duration,
    /// Instruction selection and PTX text.
    pub generate: Duration,
}

/// Why there is no PTX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The target cannot do it.
    Unsupported(Unsupported),
    /// LLVM would not take the code: a bug of this crate.
    Llvm(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsupported(error) => error.fmt(f),
            Error::Llvm(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Error {}

impl From<Unsupported> for Error {
    fn from(error: Unsupported) -> Error {
        Error::Unsupported(error)
    }
}

/// Compiles a program.
///
/// # Errors
///
/// [`Error::Unsupported`] for what the target lacks.
pub fn compile(program: &Program, target: &Target) -> Result<Compiled, Error> {
    compile_with_lines(program, target, &|_| None)
}

/// As [`compile`], with `.loc` lines.
///
/// # Errors
///
/// As [`compile`].
pub fn compile_with_lines(
    program: &Program,
    target: &Target,
    locate: Locate<'_>,
) -> Result<Compiled, Error> {
    let mut times = Times::default();
    let start = Instant::now();
    let text = llvm_ir_with_lines(program, target, locate)?;
    times.write = start.elapsed();
    let ptx = assemble(&text, target, &mut times)?;
    let text = with_parameter_names(&without_marks(&ptx), program);
    let code = PtxCode {
        text,
        entry: program.signature.name.clone(),
        target: target.name.to_string(),
        threads: program.warps * 32,
        shared_bytes: program.shared_bytes,
        assumes: program.facts.clone(),
        cubin: None,
    };
    Ok(Compiled { code, times })
}

fn assemble(text: &str, target: &Target, times: &mut Times) -> Result<String, Error> {
    let start = Instant::now();
    initialise();
    let triple = TargetTriple::create(TRIPLE);
    let machine = LlvmTarget::from_triple(&triple).map_err(words)?;
    let machine: TargetMachine = machine
        .create_target_machine(
            &triple,
            target.name,
            target.ptx,
            OptimizationLevel::Default,
            RelocMode::Default,
            CodeModel::Default,
        )
        .ok_or_else(|| words(format!("LLVM has no target machine for {}", target.name)))?;
    let context = Context::create();
    let buffer = MemoryBuffer::create_from_memory_range_copy(text.as_bytes(), "kernel");
    let module = context.create_module_from_ir(buffer).map_err(words)?;
    module.set_triple(&triple);
    module.set_data_layout(&machine.get_target_data().get_data_layout());
    module.verify().map_err(words)?;
    times.read = start.elapsed();

    let start = Instant::now();
    module.run_passes(PASSES, &machine, PassBuilderOptions::create()).map_err(words)?;
    times.optimise = start.elapsed();

    let start = Instant::now();
    let out = machine.write_to_memory_buffer(&module, FileType::Assembly).map_err(words)?;
    times.generate = start.elapsed();
    let bytes = out.as_slice();
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    String::from_utf8(bytes.to_vec()).map_err(words)
}

fn words(error: impl fmt::Display) -> Error {
    Error::Llvm(error.to_string())
}

/// Once for the process: LLVM's target, pointers of 32 bits to shared memory, and no search for poison behind each address
/// that is made of another: our text has no flags that make poison, and for `f32` kernels the search took five times as long as all else.
fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        LlvmTarget::initialize_nvptx(&InitializationConfig::default());
        let arguments = [c"tilec", c"-nvptx-short-ptr", c"-enable-poison-reuse-guard=0"];
        let pointers: Vec<*const c_char> = arguments.iter().map(|text| text.as_ptr()).collect();
        // SAFETY: as many pointers to strings that end in zero as the count says, alive during the call, which
        // `Once` keeps from running twice; no overview.
        unsafe {
            LLVMParseCommandLineOptions(pointers.len() as i32, pointers.as_ptr(), std::ptr::null());
        }
    });
}

/// LLVM marks inline assembly by comments, which say nothing here.
fn without_marks(ptx: &str) -> String {
    ptx.lines().filter(|line| !line.ends_with(" inline asm")).fold(
        String::with_capacity(ptx.len()),
        |mut out, line| {
            out.push_str(line);
            out.push('\n');
            out
        },
    )
}

/// LLVM numbers the parameters of an entry; here they get the names of the source.
fn with_parameter_names(ptx: &str, program: &Program) -> String {
    let prefix = format!("{}_param_", program.signature.name);
    let parameters = parameters(&program.signature);
    let mut out = String::with_capacity(ptx.len());
    let mut rest = ptx;
    while let Some(at) = rest.find(&prefix) {
        out.push_str(&rest[..at]);
        rest = &rest[at + prefix.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..digits].parse::<usize>().ok();
        match number.and_then(|number| parameters.get(number)) {
            Some(parameter) => out.push_str(&parameter.shown),
            None => {
                out.push_str(&prefix);
                out.push_str(&rest[..digits]);
            }
        }
        rest = &rest[digits..];
    }
    out.push_str(rest);
    out
}
