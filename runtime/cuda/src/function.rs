//! Kernels on the device: PTX through the driver's compiler, and what came of it.

use std::ffi::{CStr, CString, c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use cudarc::driver::sys::{
    CUfunction, CUfunction_attribute as Attribute, CUjit_option as Jit, CUmodule,
};

use crate::api::call;
use crate::context::Context;
use crate::fault::Fault;
use crate::stream::Stream;

/// Bytes of each of the compiler's logs.
const LOG_BYTES: usize = 16 * 1024;

/// An entry of a module, ready to launch.
pub struct Function {
    context: Arc<Context>,
    module: CUmodule,
    function: CUfunction,
    /// What the driver's compiler made of it.
    pub built: Built,
}

// SAFETY: the driver's modules may be used from any thread.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// What the driver's compiler made of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of local memory of a thread: spills, above all.
    pub local_bytes: u32,
    /// Shared memory that the text itself declares.
    pub static_shared_bytes: u32,
    /// Threads of a CTA, at most, with so many registers.
    pub max_threads: u32,
    /// What the compiler had to say.
    pub log: String,
    /// What it was made of.
    pub source: Source,
}

/// What a function was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// PTX: there was nothing else.
    #[default]
    Ptx,
    /// A cubin, as it was.
    Cubin,
    /// PTX, though there was a cubin: why it was not taken.
    PtxInstead(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Ptx => f.write_str("PTX"),
            Source::Cubin => f.write_str("cubin"),
            Source::PtxInstead(why) => write!(f, "PTX: {why}"),
        }
    }
}

/// Why PTX did not become a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFault {
    /// The call that failed.
    pub fault: Fault,
    /// What the driver's compiler wrote.
    pub log: String,
}

impl fmt::Display for BuildFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        if self.log.is_empty() { Ok(()) } else { write!(f, "\n{}", self.log) }
    }
}

impl From<Fault> for BuildFault {
    fn from(fault: Fault) -> BuildFault {
        BuildFault { fault, log: String::new() }
    }
}

/// The shape of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// CTAs, along x.
    pub ctas: u32,
    /// Threads of each, along x.
    pub threads: u32,
    /// Dynamic shared memory of each.
    pub shared_bytes: u32,
}

impl Function {
    /// Compiles PTX, or takes a cubin, and looks up an entry.
    ///
    /// # Errors
    ///
    /// With the log of the driver's compiler.
    pub fn load(context: &Arc<Context>, code: &[u8], entry: &CStr) -> Result<Function, BuildFault> {
        let api = context.enter()?;
        // PTX has to end in a zero byte; a cubin does not mind one.
        let image = [code, &[0]].concat();
        let (mut errors, mut notes) = (vec![0u8; LOG_BYTES], vec![0u8; LOG_BYTES]);
        let size = ptr::without_provenance_mut::<c_void>(LOG_BYTES);
        let options = [
            (Jit::CU_JIT_ERROR_LOG_BUFFER, errors.as_mut_ptr().cast::<c_void>()),
            (Jit::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, size),
            (Jit::CU_JIT_INFO_LOG_BUFFER, notes.as_mut_ptr().cast()),
            (Jit::CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, size),
            (Jit::CU_JIT_LOG_VERBOSE, ptr::without_provenance_mut(1)),
        ];
        let mut names = options.map(|(option, _)| option as c_int);
        let mut values = options.map(|(_, value)| value);
        let mut module = ptr::null_mut();
        let (names, values) = (names.as_mut_ptr(), values.as_mut_ptr());
        let count = options.len() as u32;
        // SAFETY: the image ends in a zero byte; the logs have the sizes they are given with.
        let loaded = context.noted(unsafe {
            let image = image.as_ptr().cast();
            call!(api, cuModuleLoadDataEx(&raw mut module, image, count, names, values))
        });
        loaded.map_err(|fault| BuildFault { fault, log: text(&errors) })?;
        let built = Built { log: text(&notes), ..Built::default() };
        let function = ptr::null_mut();
        let mut this = Function { context: Arc::clone(context), module, function, built };
        let found = &raw mut this.function;
        // SAFETY: the function is written on success; the module lives as long as `this`.
        context.noted(unsafe { call!(api, cuModuleGetFunction(found, module, entry.as_ptr())) })?;
        this.built.registers = this.number(Attribute::CU_FUNC_ATTRIBUTE_NUM_REGS)?;
        this.built.local_bytes = this.number(Attribute::CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES)?;
        this.built.static_shared_bytes =
            this.number(Attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)?;
        this.built.max_threads = this.number(Attribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?;
        Ok(this)
    }

    /// As [`Function::load`], of a name that is yet to be checked.
    ///
    /// # Errors
    ///
    /// As [`Function::load`]; in words.
    pub(crate) fn named(
        context: &Arc<Context>,
        code: &[u8],
        entry: &str,
    ) -> Result<Function, String> {
        let entry = CString::new(entry).map_err(|_| format!("{entry:?} is no name of an entry"))?;
        Function::load(context, code, &entry).map_err(|fault| fault.to_string())
    }

    fn number(&self, attribute: Attribute) -> Result<u32, Fault> {
        let api = self.context.enter()?;
        let mut value = 0;
        let get = || {
            let number = attribute as c_int;
            // SAFETY: the value is written on success; the function lives.
            unsafe { call!(api, cuFuncGetAttribute(&raw mut value, number, self.function)) }
        };
        self.context.noted({ get }())?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    /// Opts in to dynamic shared memory of so many bytes, more than every CTA has by itself.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub fn allow_shared(&self, bytes: u32) -> Result<(), Fault> {
        let api = self.context.enter()?;
        let number = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as c_int;
        let value = c_int::try_from(bytes).unwrap_or(c_int::MAX);
        // SAFETY: the function lives.
        self.context.noted(unsafe { call!(api, cuFuncSetAttribute(self.function, number, value)) })
    }

    /// CTAs of this shape that one multiprocessor holds at a time.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub fn ctas_per_multiprocessor(&self, threads: u32, shared: u32) -> Result<u32, Fault> {
        let api = self.context.enter()?;
        let mut ctas = 0;
        let (threads, shared) = (threads.cast_signed(), shared as usize);
        let count = &raw mut ctas;
        let function = self.function;
        // SAFETY: the count is written on success; the function lives.
        self.context.noted(unsafe {
            call!(
                api,
                cuOccupancyMaxActiveBlocksPerMultiprocessor(count, function, threads, shared)
            )
        })?;
        Ok(u32::try_from(ctas).unwrap_or(0))
    }

    /// Queues a launch.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Safety
    ///
    /// `values` point to the parameters of the entry, in its order and sizes. The device memory they name lives until the
    /// stream is done, and nobody else touches what the kernel writes nor writes what it reads.
    pub unsafe fn launch(
        &self,
        stream: &Stream,
        shape: Shape,
        values: &mut [*mut c_void],
    ) -> Result<(), Fault> {
        let api = self.context.enter()?;
        let (function, stream, extra) = (self.function, stream.raw(), ptr::null_mut());
        let Shape { ctas, threads, shared_bytes } = shape;
        let values = values.as_mut_ptr();
        // SAFETY: the caller's promise.
        self.context.noted(unsafe {
            call!(
                api,
                cuLaunchKernel(
                    function,
                    ctas,
                    1,
                    1,
                    threads,
                    1,
                    1,
                    shared_bytes,
                    stream,
                    values,
                    extra
                )
            )
        })
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        if let Ok(api) = self.context.enter() {
            // SAFETY: loaded once, unloaded once. Nothing could be done about a failure.
            let _ = unsafe { (api.cuModuleUnload)(self.module) };
        }
    }
}

/// What the driver wrote into a log.
fn text(log: &[u8]) -> String {
    let length = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..length]).trim().to_owned()
}
