//! The CPU as a device: verified tile IR compiled for this machine when it is loaded, its grid run on all cores.
//!
//! Every program runs on one thread with scratch memory of that thread's own, so a result does not depend on how
//! many threads there are.

mod scratch;

use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tilec_codegen::cpu::{Host, JitKernel, emit};
use tilec_host::{Arg, Device, DeviceInfo, Executable, LaunchArgs, RuntimeError, Scalar};
use tilec_vocab::{Artifact, Bug, Contract};

use scratch::Scratch;

const NAME: &str = "cpu";

/// Pieces of a grid for each thread.
const PIECES: usize = 512;

/// This machine's processor.
pub struct CpuDevice {
    host: Host,
    pool: Arc<ThreadPool>,
}

impl CpuDevice {
    /// All cores, or so many threads.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Device`] if the threads cannot be started.
    pub fn new(threads: Option<usize>) -> Result<CpuDevice, RuntimeError> {
        let builder = ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .thread_name(|n| format!("tilec-cpu-{n}"));
        let pool = builder.build().map_err(|error| device_error(error.to_string()))?;
        Ok(CpuDevice { host: Host::this(), pool: Arc::new(pool) })
    }

    /// The processor code is made for.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// As [`Device::load`], with its own type.
    ///
    /// # Errors
    ///
    /// As [`Device::load`].
    pub fn compile(&self, artifact: &Artifact) -> Result<CpuKernel, RuntimeError> {
        let kernel = tilec_ir::loaded(artifact, NAME)?;
        let name = &kernel.name;
        let start = std::time::Instant::now();
        let code = emit(&kernel, &self.host).map_err(|error| device_error(error.to_string()))?;
        let emitting = start.elapsed();
        let compiled = JitKernel::new(&code, name, &self.host)
            .map_err(|error| Bug { ir: code.text.clone(), ..Bug::new(NAME, error.0) })?;
        let contract = artifact.contract.clone();
        Ok(CpuKernel { contract, compiled, emitting, pool: Arc::clone(&self.pool) })
    }
}

/// The processor as its maker calls it, where the system says so.
fn model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

fn device_error(message: String) -> RuntimeError {
    RuntimeError::Device { device: NAME.to_owned(), message }
}

impl Device for CpuDevice {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            name: NAME.to_owned(),
            model: model().unwrap_or_else(|| self.host.cpu.clone()),
            units: self.pool.current_num_threads(),
            features: [self.host.cpu.as_str(), self.host.vectors()]
                .into_iter()
                .chain(self.host.bf16_dots())
                .map(str::to_owned)
                .collect(),
        }
    }

    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Executable>, RuntimeError> {
        Ok(Arc::new(self.compile(artifact)?))
    }
}

/// A kernel compiled for this machine.
pub struct CpuKernel {
    contract: Contract,
    compiled: JitKernel,
    emitting: Duration,
    pool: Arc<ThreadPool>,
}

impl Executable for CpuKernel {
    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn stages(&self) -> Vec<(&'static str, Duration)> {
        let times = self.compiled.times();
        vec![
            ("write LLVM IR", self.emitting),
            ("read LLVM IR", times.read),
            ("LLVM passes", times.optimise),
            ("machine code", times.generate),
        ]
    }

    unsafe fn execute(&self, args: &LaunchArgs) -> Result<(), RuntimeError> {
        let params = words(args);
        let programs = args.grid.iter().product::<i64>();
        // Pieces small enough that no thread is left with more than a small part of the whole.
        let piece = programs as usize / (PIECES * self.pool.current_num_threads()) + 1;
        let bytes = self.compiled.scratch_bytes();
        let run = |scratch: &mut Scratch, number: usize| {
            let mut program = vec![0; args.grid.len()];
            let mut rest = number as i64;
            for (position, &count) in program.iter_mut().zip(&args.grid).rev() {
                *position = rest % count;
                rest /= count;
            }
            // SAFETY: `params` is laid out as `words` and the emitter agree; the caller vouches for the memory it
            // names, the scratch is this thread's.
            unsafe { self.compiled.run(&params, &program, scratch.pointer()) };
        };
        self.pool.install(|| {
            (0..programs as usize)
                .into_par_iter()
                .with_max_len(piece)
                .for_each_init(|| Scratch::new(bytes), |scratch, number| run(scratch, number));
        });
        Ok(())
    }
}

/// What compiled code reads: for each tensor its address and strides, for each number its bits, then the dimensions.
fn words(args: &LaunchArgs) -> Vec<i64> {
    let mut words = Vec::new();
    for arg in &args.args {
        match arg {
            Arg::Tensor(view) => {
                words.push(view.address.expose_provenance().cast_signed() as i64);
                words.extend(&view.strides);
            }
            Arg::Scalar(scalar) => words.push(match *scalar {
                Scalar::Bool(value) => i64::from(value),
                Scalar::I32(value) => i64::from(value),
                Scalar::I64(value) => value,
                Scalar::F16(_) | Scalar::BF16(_) | Scalar::F32(_) => {
                    i64::from((scalar.to_f64() as f32).to_bits())
                }
            }),
        }
    }
    words.extend(&args.dims);
    words
}
