//! The CPU as a device: verified tile IR compiled for this machine when it is loaded, or its machine code taken from a
//! store, and its grid run on all cores.
//!
//! Every program runs on one thread with scratch memory of that thread's own, so a result does not depend on how
//! many threads there are.

mod scratch;
mod team;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tilec_codegen::cpu::{Host, JitKernel, Object, emit, llvm_version};
use tilec_host::{
    Arg, CodeKey, CodeStore, Device, DeviceInfo, Executable, LaunchArgs, RuntimeError, Scalar,
};
use tilec_vocab::{Artifact, Bug, Contract, Payload};

use scratch::Scratch;
use team::Team;

const NAME: &str = "cpu";

/// Pieces of a grid for each thread.
const PIECES: usize = 512;

/// This machine's processor.
pub struct CpuDevice {
    host: Host,
    team: Arc<Team>,
    store: Option<Arc<dyn CodeStore>>,
}

/// Names and times of the stages in which code was made.
type Stages = Vec<(&'static str, Duration)>;

impl CpuDevice {
    /// All cores, or so many threads.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Device`] if the threads cannot be started.
    pub fn new(threads: Option<usize>) -> Result<CpuDevice, RuntimeError> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let team = Team::new(threads.filter(|&threads| threads > 0).unwrap_or_else(cores))
            .map_err(|error| device_error(error.to_string()))?;
        Ok(CpuDevice { host: Host::this(), team: Arc::new(team), store: None })
    }

    /// The device with code from a store, where that has it. Code from there runs as it is.
    #[must_use]
    pub fn with_store(self, store: Option<Arc<dyn CodeStore>>) -> CpuDevice {
        CpuDevice { store, ..self }
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
        let (object, stages) = match (&self.store, &artifact.payload) {
            (Some(store), Payload::TileIr(ir)) => self.kept(store.as_ref(), artifact, ir)?,
            _ => self.make(artifact)?,
        };
        // SAFETY: made by `Object::compile` for this machine: now, or before, and the store vouches for its bytes.
        let compiled = unsafe { JitKernel::load(&object, &artifact.contract.kernel) }
            .map_err(|error| Bug::new(NAME, error.0))?;
        let contract = artifact.contract.clone();
        Ok(CpuKernel { contract, compiled, stages, team: Arc::clone(&self.team) })
    }

    /// The machine code of an artifact, from the store if it is there.
    fn kept(
        &self,
        store: &dyn CodeStore,
        artifact: &Artifact,
        ir: &str,
    ) -> Result<(Object, Stages), RuntimeError> {
        let start = Instant::now();
        let Host { cpu, features, lanes, bf16 } = &self.host;
        let fields = vec![
            ("code", "machine code".to_owned()),
            ("cpu", cpu.clone()),
            ("features", features.clone()),
            ("vectors", format!("{lanes} {bf16:?}")),
            ("llvm", llvm_version()),
        ];
        let key = CodeKey { kernel: &artifact.contract.kernel, ir, fields };
        let mut made = None;
        let code = store.get_or_make(&key, &mut || {
            let (object, stages) = self.make(artifact)?;
            let bytes = object.to_bytes();
            made = Some((object, stages));
            Ok(bytes)
        })?;
        match made {
            Some(made) => Ok(made),
            // Another thread of this process, or an earlier one, made it.
            None => match Object::from_bytes(code.bytes) {
                Some(object) => Ok((object, vec![("from the cache", start.elapsed())])),
                None => self.make(artifact),
            },
        }
    }

    fn make(&self, artifact: &Artifact) -> Result<(Object, Stages), RuntimeError> {
        let kernel = tilec_ir::loaded(artifact, NAME)?;
        let start = Instant::now();
        let code = emit(&kernel, &self.host).map_err(|error| device_error(error.to_string()))?;
        let emitting = start.elapsed();
        let (object, times) = Object::compile(&code, &self.host)
            .map_err(|error| Bug { ir: code.text.clone(), ..Bug::new(NAME, error.0) })?;
        let stages = vec![
            ("write LLVM IR", emitting),
            ("read LLVM IR", times.read),
            ("LLVM passes", times.optimise),
            ("machine code", times.generate),
        ];
        Ok((object, stages))
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
            units: self.team.size(),
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
    stages: Stages,
    team: Arc<Team>,
}

impl Executable for CpuKernel {
    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn stages(&self) -> Stages {
        self.stages.clone()
    }

    unsafe fn execute(&self, args: &LaunchArgs) -> Result<(), RuntimeError> {
        let params = words(args);
        let programs = args.grid.iter().product::<i64>() as usize;
        // Pieces small enough that no thread is left with more than a small part of the whole.
        let piece = programs / (PIECES * self.team.size()) + 1;
        let bytes = self.compiled.scratch_bytes();
        let started = AtomicUsize::new(0);
        self.team.run(&|| {
            let mut scratch = Scratch::new(bytes);
            let mut program = vec![0; args.grid.len()];
            loop {
                let first = started.fetch_add(piece, Ordering::Relaxed);
                if first >= programs {
                    break;
                }
                for number in first..programs.min(first + piece) {
                    // The last first: under a causal mask they have the most to do.
                    let mut rest = (programs - 1 - number) as i64;
                    for (position, &count) in program.iter_mut().zip(&args.grid).rev() {
                        *position = rest % count;
                        rest /= count;
                    }
                    // SAFETY: `params` is laid out as `words` and the emitter agree; the caller vouches for the memory
                    // it names, the scratch is this thread's.
                    unsafe { self.compiled.run(&params, &program, scratch.pointer()) };
                }
            }
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
