//! The PTX simulator as a device: it runs the very PTX that is shipped, on any machine, and refuses what a GPU would let pass.
//!
//! Each launch copies the arguments into the simulator's memory, with the gaps between their elements marked as nobody's, runs
//! every CTA, and copies what the kernel may write back. A finding (an access outside a tensor, a race, a copy nobody waited
//! for, …) is an error of the launch, and leaves the caller's tensors as they were. With several schedules the launch is
//! run once for each, asynchronous copies landing late and early in turn, and all must give the same bytes; but for
//! kernels that add floats atomically, whose rounding is open.
//!
//! A tensor that the kernel may write starts with the caller's bytes, since `+=` reads them; so an element that is never
//! written keeps its value here, as on a GPU, and is no finding: a kernel may mean it.

mod memory;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tilec_host::gpu::{PtxCompiler, PtxParam, Variants, facts, params, too_long};
use tilec_host::{Arg as HostArg, Device, DeviceInfo, Executable, LaunchArgs, RuntimeError, View};
use tilec_ptxsim::{
    Arg, Config, Delivery, Finding, Launch, Module, Outcome, Schedule, Stats, simulate,
};
use tilec_vocab::{Artifact, Contract, ParamKind, PtxCode};

use crate::memory::{DeviceTensor, copy_in, copy_out};

/// How to simulate.
#[derive(Clone)]
pub struct Options {
    /// What PTX is made for, from artifacts that hold tile IR.
    pub target: String,
    /// The simulator's settings.
    pub config: Config,
    /// Schedules under which a launch is run, instead of that of `config` if there are several; all must agree. What is
    /// counted and comes back is the first's.
    pub schedules: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { target: "sm_80".to_owned(), config: Config::default(), schedules: 1 }
    }
}

impl Options {
    /// The settings of each run of a launch.
    fn runs(&self) -> Vec<Config> {
        if self.schedules <= 1 {
            return vec![self.config];
        }
        let deliveries = [Delivery::Late, Delivery::Early].into_iter().cycle();
        let schedules = Schedule::variety(self.schedules).into_iter();
        let run = |(schedule, delivery)| Config { schedule, delivery, ..self.config };
        schedules.zip(deliveries).map(run).collect()
    }
}

/// The simulator.
pub struct SimDevice {
    options: Options,
    compiler: Option<Arc<dyn PtxCompiler>>,
    counted: Arc<Mutex<Option<Stats>>>,
}

impl SimDevice {
    /// A simulator that compiles artifacts of tile IR by `compiler`; without one it takes PTX only.
    pub fn new(options: Options, compiler: Option<Arc<dyn PtxCompiler>>) -> SimDevice {
        SimDevice { options, compiler, counted: Arc::default() }
    }

    /// What was counted in the last launch.
    pub fn stats(&self) -> Option<Stats> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Device for SimDevice {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            name: "sim".to_owned(),
            model: "PTX simulator, every access checked".to_owned(),
            units: self.options.config.threads,
            features: vec![self.options.target.clone()],
        }
    }

    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Executable>, RuntimeError> {
        let target = self.options.target.clone();
        Ok(Arc::new(Simulated {
            options: self.options.clone(),
            variants: Variants::new(artifact, target, self.compiler.clone()),
            counted: Arc::clone(&self.counted),
            times: Mutex::default(),
        }))
    }
}

/// PTX that was read.
struct Loaded {
    code: PtxCode,
    module: Module,
    /// Whether it adds floats atomically.
    adds_floats: bool,
}

struct Simulated {
    options: Options,
    variants: Variants<Loaded>,
    counted: Arc<Mutex<Option<Stats>>>,
    times: Mutex<Vec<(&'static str, Duration)>>,
}

impl Executable for Simulated {
    fn contract(&self) -> &Contract {
        &self.variants.artifact().contract
    }

    fn stages(&self) -> Vec<(&'static str, Duration)> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    unsafe fn execute(&self, args: &LaunchArgs) -> Result<(), RuntimeError> {
        let start = Instant::now();
        if let Some(message) = too_long(args) {
            return Err(self.error(message));
        }
        let loaded = self.variants.get(&facts(&args.args), |code| self.read(code))?;
        self.note("PTX", start.elapsed());
        let start = Instant::now();
        // SAFETY: the caller keeps the memory alive and its writers away.
        let (launch, tensors) = unsafe { self.launch(&loaded.code, args) };
        let mut first: Option<Outcome> = None;
        for config in self.options.runs() {
            let outcome = simulate(&loaded.module, &launch, &config)
                .map_err(|error| self.error(error.to_string()))?;
            if !outcome.is_clean() {
                return Err(self.error(report(&outcome.findings)));
            }
            match &first {
                None => first = Some(outcome),
                Some(_) if loaded.adds_floats => {}
                Some(first) => self.same(first, &outcome, &config)?,
            }
        }
        self.note("simulation", start.elapsed());
        let Some(outcome) = first else { return Ok(()) };
        for (tensor, buffer) in tensors.iter().zip(&outcome.buffers) {
            if tensor.written {
                // SAFETY: the caller keeps all others away from what the kernel writes.
                unsafe { copy_out(tensor, &buffer.bytes()) };
            }
        }
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome.stats);
        Ok(())
    }
}

impl Simulated {
    fn note(&self, stage: &'static str, time: Duration) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.retain(|(other, _)| *other != stage);
        times.push((stage, time));
    }

    fn error(&self, message: String) -> RuntimeError {
        let message = format!("kernel `{}`: {message}", self.contract().kernel);
        RuntimeError::Device { device: "sim".to_owned(), message }
    }

    fn read(&self, code: PtxCode) -> Result<Loaded, RuntimeError> {
        let module = Module::parse(&code.text)
            .map_err(|error| self.error(format!("its PTX cannot be simulated: {error}")))?;
        let adds_floats = code.text.lines().any(adds_a_float);
        Ok(Loaded { code, module, adds_floats })
    }

    /// # Safety
    ///
    /// The memory of the arguments can be read.
    unsafe fn launch(&self, code: &PtxCode, args: &LaunchArgs) -> (Launch, Vec<DeviceTensor>) {
        let (mut buffers, mut tensors) = (Vec::new(), Vec::new());
        let mut numbers = vec![None; args.args.len()];
        for (number, (param, arg)) in self.contract().params.iter().zip(&args.args).enumerate() {
            let (ParamKind::Tensor { mutable, .. }, HostArg::Tensor(view)) = (&param.kind, arg)
            else {
                continue;
            };
            let view: &View = view;
            // SAFETY: the caller's promise.
            let (buffer, tensor) = unsafe { copy_in(&param.name, view, *mutable) };
            numbers[number] = Some((buffers.len(), tensor.origin as i64));
            buffers.push(buffer);
            tensors.push(tensor);
        }
        let args_of = |param: PtxParam| match param {
            PtxParam::Bytes(bytes) => Arg::Value(bytes),
            PtxParam::Address(number) => {
                let (buffer, offset) = numbers[number].unwrap_or((0, 0));
                Arg::Pointer { buffer, offset }
            }
        };
        let programs: i64 = args.grid.iter().product();
        let launch = Launch {
            entry: code.entry.clone(),
            grid: [u32::try_from(programs).unwrap_or(u32::MAX), 1, 1],
            block: [code.threads, 1, 1],
            dynamic_shared_bytes: code.shared_bytes,
            args: params(args).into_iter().map(args_of).collect(),
            buffers,
            shared_regions: Vec::new(),
        };
        (launch, tensors)
    }

    fn same(&self, a: &Outcome, b: &Outcome, config: &Config) -> Result<(), RuntimeError> {
        for (one, other) in a.buffers.iter().zip(&b.buffers) {
            if one.bytes() != other.bytes() {
                let name = one.name();
                let Config { schedule, delivery, .. } = config;
                return Err(self.error(format!(
                    "`{name}` comes out differently when warps and copies come in another order ({schedule:?}, \
                     {delivery:?})"
                )));
            }
        }
        Ok(())
    }
}

/// Whether a line of PTX adds to a float in memory atomically: `red.global.add.noftz.f16x2`.
fn adds_a_float(line: &str) -> bool {
    let opcode = line.split_whitespace().find(|word| !word.starts_with('@')).unwrap_or_default();
    let mut parts = opcode.split('.');
    matches!(parts.next(), Some("red" | "atom"))
        && parts.clone().any(|part| part == "add")
        && parts.any(|part| matches!(part.get(..2), Some("f1" | "f3" | "f6" | "bf")))
}

/// All findings, one after the other.
fn report(findings: &[Finding]) -> String {
    let mut text = String::from("the simulator found faults\n");
    for finding in findings {
        text.push_str(&finding.to_string());
    }
    text.trim_end().to_owned()
}
