//! Launches: limits checked before the driver is asked, tensors of the host copied there and back, tensors of the device
//! taken where they are.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tilec_host::gpu::{
    PtxCompiler, PtxParam, Variants, facts, gather, params, scatter, span, start, too_long,
};
use tilec_host::{Arg, Executable, LaunchArgs, Place, RuntimeError, View};
use tilec_vocab::{Artifact, Contract, ParamKind, PtxCode};

use crate::context::Context;
use crate::fault::{Fault, code};
use crate::function::{Built, Function, Shape, Source};
use crate::memory::Buffer;
use crate::stream::{Event, Stream};

/// Addresses on the device keep what they are modulo this many bytes: the code may have been chosen for it.
const ALIGNMENT: usize = 16;

/// A variant on the device.
pub(crate) struct Loaded {
    code: PtxCode,
    function: Function,
}

/// A kernel of a CUDA device.
pub struct CudaKernel {
    context: Arc<Context>,
    stream: Arc<Stream>,
    variants: Variants<Loaded>,
    place: Place,
    times: Mutex<Vec<(&'static str, Duration)>>,
}

/// One launch made ready: nothing is looked up, checked or packed any more.
pub struct Prepared<'a> {
    kernel: &'a CudaKernel,
    loaded: Arc<Loaded>,
    shape: Shape,
    values: Vec<[u8; 8]>,
}

/// A launch whose tensors were copied from the host.
pub struct Resident<'a> {
    launch: Prepared<'a>,
    /// Each with its name, and whether it is written.
    copies: Vec<(&'a str, bool, Copied<'a>)>,
}

/// A tensor of the host, on the device.
struct Copied<'a> {
    view: &'a View,
    buffer: Buffer,
    /// Bytes before the lowest element.
    pad: usize,
    /// What went there, with room for what comes back.
    staging: Vec<u8>,
}

impl CudaKernel {
    /// Of tensors at `place`: the host, or this device.
    pub(crate) fn new(
        context: &Arc<Context>,
        stream: &Arc<Stream>,
        (artifact, target): (&Artifact, &str),
        compiler: Option<Arc<dyn PtxCompiler>>,
        place: Place,
    ) -> CudaKernel {
        let (context, stream) = (Arc::clone(context), Arc::clone(stream));
        let variants = Variants::new(artifact, target, compiler);
        CudaKernel { context, stream, variants, place, times: Mutex::default() }
    }

    /// Makes a launch ready whose tensors lie on this device.
    ///
    /// # Errors
    ///
    /// Those of making its code, and limits of the device.
    ///
    /// # Safety
    ///
    /// As [`Executable::execute`], for as long as the launch is used; the addresses are the device's.
    pub unsafe fn prepare(&self, args: &LaunchArgs) -> Result<Prepared<'_>, RuntimeError> {
        let addresses = args.args.iter().map(|arg| match arg {
            Arg::Tensor(view) => view.address.addr() as u64,
            Arg::Scalar(_) => 0,
        });
        self.ready(args, &addresses.collect::<Vec<_>>())
    }

    fn ready(&self, args: &LaunchArgs, addresses: &[u64]) -> Result<Prepared<'_>, RuntimeError> {
        let start = Instant::now();
        if let Some(message) = too_long(args) {
            return Err(self.error(message));
        }
        let loaded = self.variants.get(&facts(&args.args), |code| self.load(code))?;
        self.note("PTX and its translation", start.elapsed());
        let programs: i64 = args.grid.iter().product();
        let code = &loaded.code;
        let shape = Shape {
            ctas: u32::try_from(programs).unwrap_or(u32::MAX),
            threads: code.threads,
            shared_bytes: code.shared_bytes,
        };
        let limit = self.context.facts().max_ctas;
        if shape.ctas > limit {
            let message = format!("a grid of {programs} programs; the device allows {limit}");
            return Err(self.error(message));
        }
        let bytes_of = |param: PtxParam| {
            let mut value = [0; 8];
            match param {
                PtxParam::Address(number) => value = addresses[number].to_le_bytes(),
                PtxParam::Bytes(bytes) => value[..bytes.len()].copy_from_slice(&bytes),
            }
            value
        };
        let values = params(args).into_iter().map(bytes_of).collect();
        Ok(Prepared { kernel: self, loaded, shape, values })
    }

    /// Puts a variant on the device, if its limits allow.
    fn load(&self, code: PtxCode) -> Result<Loaded, RuntimeError> {
        let facts = self.context.facts();
        if let Some(needed) = capability(&code.target)
            && needed > facts.capability
        {
            let message = format!(
                "its code is for {}, and the device is an {} ({})",
                code.target,
                facts.architecture(),
                facts.name
            );
            return Err(self.error(message));
        }
        let function = self.function(&code)?;
        let built = &function.built;
        let shared = code.shared_bytes.saturating_add(built.static_shared_bytes);
        let (needed, limit, of) = if code.threads > built.max_threads {
            let with = format!("threads of a CTA with {} registers each", built.registers);
            (code.threads, built.max_threads, with)
        } else if shared > facts.shared_bytes_optin {
            let of = "bytes of shared memory of a CTA".to_owned();
            (shared, facts.shared_bytes_optin, of)
        } else {
            if shared > facts.shared_bytes {
                let allowed = function.allow_shared(code.shared_bytes);
                allowed.map_err(|fault| self.fault("", &fault))?;
            }
            return Ok(Loaded { code, function });
        };
        Err(self.error(format!("it needs {needed} {of}; the device has {limit}")))
    }

    /// The entry on the device: of the cubin, where there is one that the device runs, else of the PTX.
    fn function(&self, code: &PtxCode) -> Result<Function, RuntimeError> {
        let facts = self.context.facts();
        let source = match &code.cubin {
            None => Source::Ptx,
            Some(_) if !runs(&code.target, facts.capability) => Source::PtxInstead(format!(
                "the cubin is for {}, and the device is an {}",
                code.target,
                facts.architecture()
            )),
            Some(cubin) => match Function::named(&self.context, &cubin.0, &code.entry) {
                Ok(mut function) => {
                    function.built.source = Source::Cubin;
                    return Ok(function);
                }
                // Of a newer toolkit than the driver, above all. PTX can still do.
                Err(message) => Source::PtxInstead(format!("the cubin was refused: {message}")),
            },
        };
        let refused = |message: &str| self.error(format!("its PTX was refused: {message}"));
        if code.text.contains('\0') {
            return Err(refused("it has a zero byte in it"));
        }
        let mut function = Function::named(&self.context, code.text.as_bytes(), &code.entry)
            .map_err(|message| refused(&message))?;
        function.built.source = source;
        Ok(function)
    }

    /// What came of each variant that was loaded so far.
    pub fn built(&self) -> Vec<Built> {
        self.variants.made().iter().map(|loaded| loaded.function.built.clone()).collect()
    }

    /// Copies a tensor of the host to the device.
    ///
    /// # Safety
    ///
    /// Its elements can be read.
    unsafe fn send<'a>(&self, name: &str, view: &'a View) -> Result<Copied<'a>, RuntimeError> {
        let span = span(view);
        let pad = if span.bytes == 0 { 0 } else { start(view).addr() % ALIGNMENT };
        let Some(bytes) = usize::try_from(span.bytes).ok().and_then(|n| n.checked_add(pad)) else {
            return Err(RuntimeError::Memory { bytes: span.bytes.into() });
        };
        let fault = |fault: Fault| self.fault(&format!("argument `{name}`: "), &fault);
        let buffer = Buffer::new(&self.context, bytes).map_err(|error| {
            let free = self.context.memory();
            match (error.code, free) {
                (code::OUT_OF_MEMORY, Ok((free, total))) => self.error(format!(
                    "argument `{name}` needs {bytes} bytes of device memory; {free} of {total} are free"
                )),
                _ => fault(error),
            }
        })?;
        let mut staging = Vec::new();
        staging
            .try_reserve_exact(bytes)
            .map_err(|_| RuntimeError::Memory { bytes: bytes as u128 })?;
        staging.resize(bytes, 0);
        // SAFETY: the caller's promise.
        unsafe { gather(view, &mut staging[pad..]) };
        buffer.upload(&self.stream, &staging).map_err(fault)?;
        Ok(Copied { view, buffer, pad, staging })
    }

    /// Copies the tensors of the host to the device, where they stay: one launch, to be run many times.
    ///
    /// # Errors
    ///
    /// Those of making its code, and limits of the device.
    ///
    /// # Safety
    ///
    /// As [`Executable::execute`].
    pub unsafe fn stay<'a>(&'a self, args: &'a LaunchArgs) -> Result<Resident<'a>, RuntimeError> {
        let mut copies = Vec::new();
        let mut addresses = vec![0; args.args.len()];
        for (number, (param, arg)) in self.contract().params.iter().zip(&args.args).enumerate() {
            let (ParamKind::Tensor { mutable, .. }, Arg::Tensor(view)) = (&param.kind, arg) else {
                continue;
            };
            // SAFETY: the caller's promise.
            let copied = unsafe { self.send(&param.name, view) }?;
            let origin = copied.pad as u64 + span(view).origin;
            addresses[number] = copied.buffer.device_address() + origin;
            copies.push((param.name.as_str(), *mutable, copied));
        }
        Ok(Resident { launch: self.ready(args, &addresses)?, copies })
    }

    fn wait(&self) -> Result<(), RuntimeError> {
        self.stream.wait().map_err(|fault| self.fault("", &fault))
    }

    fn note(&self, stage: &'static str, time: Duration) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the first time is that of making it; later ones find it made.
        if times.iter().all(|(other, _)| *other != stage) {
            times.push((stage, time));
        }
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    fn error(&self, message: String) -> RuntimeError {
        let message = format!("kernel `{}`: {message}", self.contract().kernel);
        let device = Place::Cuda(self.context.ordinal()).to_string();
        RuntimeError::Device { device, message }
    }

    pub(crate) fn fault(&self, what: &str, fault: &Fault) -> RuntimeError {
        self.error(format!("{what}{fault}"))
    }
}

impl Executable for CudaKernel {
    fn contract(&self) -> &Contract {
        &self.variants.artifact().contract
    }

    fn place(&self) -> Place {
        self.place
    }

    fn stages(&self) -> Vec<(&'static str, Duration)> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    unsafe fn times(
        &self,
        args: &LaunchArgs,
        warmup: usize,
        repeats: usize,
    ) -> Result<Vec<Duration>, RuntimeError> {
        match self.place {
            // SAFETY: the caller's promise.
            Place::Host => unsafe { self.stay(args) }?.times(warmup, repeats),
            // SAFETY: the caller's promise; `times` waits.
            Place::Cuda(_) => unsafe { self.prepare(args)?.times(warmup, repeats) },
        }
    }

    unsafe fn execute(&self, args: &LaunchArgs) -> Result<(), RuntimeError> {
        match self.place {
            Place::Host => {
                // SAFETY: the caller's promise.
                let mut resident = unsafe { self.stay(args) }?;
                // SAFETY: the copies are ours alone, and live until the wait is over.
                unsafe { resident.launch.launch() }?;
                self.wait()?;
                // SAFETY: the caller's promise.
                unsafe { resident.bring_back() }
            }
            Place::Cuda(_) => {
                // SAFETY: the caller's promise, until the wait is over.
                unsafe { self.prepare(args)?.launch() }?;
                self.wait()
            }
        }
    }
}

impl<'a> Resident<'a> {
    /// The launch, on the copies.
    pub fn launch(&self) -> &Prepared<'a> {
        &self.launch
    }

    /// The device's time for each of `repeats` launches, after `warmup` that are not timed.
    ///
    /// # Errors
    ///
    /// As [`Prepared::times`].
    pub fn times(&self, warmup: usize, repeats: usize) -> Result<Vec<Duration>, RuntimeError> {
        // SAFETY: the copies are ours alone, and `times` waits.
        unsafe { self.launch.times(warmup, repeats) }
    }

    /// Copies what was written back to the host.
    ///
    /// # Errors
    ///
    /// Those of the driver; the host's tensors are then as they were.
    ///
    /// # Safety
    ///
    /// The launch's tensors are alive, and nobody else touches those it writes.
    pub unsafe fn bring_back(&mut self) -> Result<(), RuntimeError> {
        let kernel = self.launch.kernel;
        // All come back before any is written.
        for (name, mutable, copied) in &mut self.copies {
            if *mutable {
                let done = copied.buffer.download(&kernel.stream, &mut copied.staging);
                done.map_err(|fault| kernel.fault(&format!("argument `{name}`: "), &fault))?;
            }
        }
        for (_, mutable, copied) in &self.copies {
            if *mutable {
                // SAFETY: the caller's promise.
                unsafe { scatter(copied.view, &copied.staging[copied.pad..]) };
            }
        }
        Ok(())
    }
}

impl Prepared<'_> {
    /// Queues the launch; [`Prepared::wait`] tells how it went.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Safety
    ///
    /// As [`Executable::execute`], until the wait is over.
    pub unsafe fn launch(&self) -> Result<(), RuntimeError> {
        // SAFETY: the caller's promise.
        unsafe { self.launch_on(&self.kernel.stream) }
    }

    /// As [`Prepared::launch`], on another stream.
    ///
    /// # Safety
    ///
    /// As [`Prepared::launch`].
    pub(crate) unsafe fn launch_on(&self, stream: &Stream) -> Result<(), RuntimeError> {
        // The driver reads the values before it returns.
        let pointer = |value: &[u8; 8]| value.as_ptr().cast_mut().cast::<c_void>();
        let mut pointers: Vec<*mut c_void> = self.values.iter().map(pointer).collect();
        // SAFETY: the values are laid out as `params` and the code agree; the rest is the caller's promise.
        let launched = unsafe { self.loaded.function.launch(stream, self.shape, &mut pointers) };
        launched.map_err(|fault| {
            let Shape { ctas, threads, shared_bytes } = self.shape;
            let what = format!(
                "{ctas} CTAs of {threads} threads with {shared_bytes} bytes of shared memory: "
            );
            self.kernel.fault(&what, &fault)
        })
    }

    /// Waits for all launches.
    ///
    /// # Errors
    ///
    /// Those of the driver, and faults of the kernel.
    pub fn wait(&self) -> Result<(), RuntimeError> {
        self.kernel.wait()
    }

    /// The device's time for each of `repeats` launches, after `warmup` that are not timed.
    ///
    /// # Errors
    ///
    /// As [`Prepared::launch`]; a time that is none.
    ///
    /// # Safety
    ///
    /// As [`Prepared::launch`].
    pub unsafe fn times(
        &self,
        warmup: usize,
        repeats: usize,
    ) -> Result<Vec<Duration>, RuntimeError> {
        let kernel = self.kernel;
        let fault = |fault: Fault| kernel.fault("", &fault);
        for _ in 0..warmup {
            // SAFETY: the caller's promise.
            unsafe { self.launch() }?;
        }
        let mut marks = Vec::with_capacity(repeats);
        for _ in 0..repeats {
            let before = Event::record(&kernel.stream).map_err(fault)?;
            // SAFETY: the caller's promise.
            unsafe { self.launch() }?;
            marks.push((before, Event::record(&kernel.stream).map_err(fault)?));
        }
        kernel.wait()?;
        let time = |(before, after): &(Event, Event)| {
            after.since(before).map_err(fault)?.ok_or_else(|| {
                kernel.error("the driver measured a time that is not a number".to_owned())
            })
        };
        marks.iter().map(time).collect()
    }

    pub(crate) fn kernel(&self) -> &CudaKernel {
        self.kernel
    }

    pub(crate) fn code(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded)
    }

    /// What the driver's compiler made of the code.
    pub fn built(&self) -> &Built {
        &self.loaded.function.built
    }

    /// CTAs of this launch that one multiprocessor holds at a time.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub fn ctas_per_multiprocessor(&self) -> Result<u32, RuntimeError> {
        let Shape { threads, shared_bytes, .. } = self.shape;
        let ctas = self.loaded.function.ctas_per_multiprocessor(threads, shared_bytes);
        ctas.map_err(|fault| self.kernel.fault("", &fault))
    }
}

/// The compute capability that a target asks for: of `sm_90a`, 9 and 0.
pub(crate) fn capability(target: &str) -> Option<(u32, u32)> {
    let digits = target.strip_prefix("sm_")?.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let number: u32 = digits.parse().ok()?;
    Some((number / 10, number % 10))
}

/// Whether a device runs machine code for a target: that of its own generation and not newer; code with an `a` on its very
/// own alone. Source: CUDA C++ Programming Guide, "Binary Compatibility".
fn runs(target: &str, device: (u32, u32)) -> bool {
    capability(target).is_some_and(|code| match target.ends_with('a') {
        true => code == device,
        false => code.0 == device.0 && code.1 <= device.1,
    })
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn machine_code_runs_on_its_own_generation() {
        for (target, device, wanted) in [
            ("sm_80", (8, 0), true),
            ("sm_80", (8, 9), true),
            ("sm_86", (8, 0), false),
            ("sm_80", (9, 0), false),
            ("sm_90", (9, 0), true),
            ("sm_90a", (9, 0), true),
            ("sm_90", (10, 0), false),
            ("sm_100a", (10, 3), false),
            ("compute_80", (8, 0), false),
        ] {
            assert_eq!(runs(target, device), wanted, "{target} on {device:?}");
        }
    }
}
