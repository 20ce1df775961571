//! Devices by the names the command line has for them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tilec_codegen::nvptx::TARGETS;
use tilec_cpu::CpuDevice;
use tilec_cuda::CudaDevice;
use tilec_host::gpu::PtxCompiler;
use tilec_host::{CodeStore, Device, RuntimeError};
use tilec_ptxsim::{Config, Counters};
use tilec_sim::SimDevice;
use tilec_verify::InterpDevice;

use crate::failure::Failure;

/// A kind of device.
struct Kind {
    /// As `--device` takes it.
    name: &'static str,
    /// Whether `name:3` is the one of that number, and `name` the first.
    numbered: bool,
    /// Whether it is a processor rather than a model of one; `tilec verify` takes those unasked.
    processor: bool,
    /// Opens one.
    open: fn(&Opening) -> Attempt,
}

/// The kind that counts.
const SIM: &str = "sim";

/// How devices are to be opened.
struct Opening<'a> {
    ordinal: u32,
    /// How many threads may run at one time, where it is a matter of threads.
    threads: Option<usize>,
    /// How code is made, where it takes PTX.
    ptx: &'a tilec_ptx::Options,
    /// Where code is kept between runs, if it is.
    store: Option<Arc<dyn CodeStore>>,
}

/// A device, or what is missing for it.
type Attempt = Result<Box<dyn Device>, String>;

impl Opening<'_> {
    fn compiler(&self) -> Option<Arc<dyn PtxCompiler>> {
        let compiler = tilec_ptx::Compiler(self.ptx.clone());
        Some(match &self.store {
            Some(store) => Arc::new(tilec_ptx::Stored { compiler, store: Arc::clone(store) }),
            None => Arc::new(compiler),
        })
    }

    fn simulator(&self, counters: Counters) -> SimDevice {
        let threads = self.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let config = Config { threads, counters, ..Config::default() };
        let options = tilec_sim::Options { config, ..tilec_sim::Options::default() };
        SimDevice::new(options, self.compiler())
    }
}

/// One row each; the first is the default.
static KINDS: &[Kind] = &[
    Kind {
        name: "cpu",
        numbered: false,
        processor: true,
        open: |how| match CpuDevice::new(how.threads) {
            Ok(device) => Ok(Box::new(device.with_store(how.store.clone()))),
            Err(error) => Err(error.to_string()),
        },
    },
    Kind {
        name: "interp",
        numbered: false,
        processor: false,
        open: |_| Ok(Box::new(InterpDevice)),
    },
    Kind {
        name: "cuda",
        numbered: true,
        processor: true,
        open: |how| {
            let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            match CudaDevice::open(how.ordinal, &targets, how.compiler()) {
                Ok(device) => Ok(Box::new(device)),
                Err(RuntimeError::Device { message, .. }) => Err(message),
                Err(error) => Err(error.to_string()),
            }
        },
    },
    Kind {
        name: SIM,
        numbered: false,
        processor: false,
        open: |how| Ok(Box::new(how.simulator(Counters::Steps))),
    },
];

/// What `--device` can be given.
#[derive(Clone, Copy)]
pub struct Target {
    kind: &'static Kind,
    ordinal: u32,
}

/// The first of each kind.
pub fn all() -> impl Iterator<Item = Target> {
    KINDS.iter().map(|kind| Target { kind, ordinal: 0 })
}

/// Where kernels run unless told otherwise.
pub fn default() -> Target {
    Target { kind: &KINDS[0], ordinal: 0 }
}

/// The processors that kernels can run on here; where there is none, what else there is.
pub fn present() -> Vec<Target> {
    let there = |target: &Target| target.kind.processor && target.missing().is_none();
    let found: Vec<Target> = all().filter(there).collect();
    if found.is_empty() { vec![default()] } else { found }
}

impl Target {
    /// The device; `threads` limits how many run at one time, `ptx` says how code for it is made where it takes PTX.
    pub fn open(
        self,
        threads: Option<usize>,
        ptx: &tilec_ptx::Options,
    ) -> Result<Box<dyn Device>, Failure> {
        self.keeping(threads, ptx, None)
    }

    /// As [`Target::open`]; code is taken from a store where it has it.
    pub fn keeping(
        self,
        threads: Option<usize>,
        ptx: &tilec_ptx::Options,
        store: Option<Arc<dyn CodeStore>>,
    ) -> Result<Box<dyn Device>, Failure> {
        self.attempt(threads, ptx, store).map_err(|missing| {
            let text =
                format!("device {self} is not available: {missing}; use --device {}", default());
            Failure::Target(text)
        })
    }

    /// What is missing for it to run; none if nothing is.
    pub fn missing(self) -> Option<String> {
        self.attempt(None, &tilec_ptx::Options::default(), None).err()
    }

    /// Whether it counts, and has no time of its own.
    pub fn counts(self) -> bool {
        self.kind.name == SIM
    }

    /// The simulator with all its counters, if that is what it is.
    pub fn counting(
        self,
        threads: Option<usize>,
        ptx: &tilec_ptx::Options,
        store: Option<Arc<dyn CodeStore>>,
    ) -> Result<SimDevice, Failure> {
        if self.kind.name != SIM {
            let text = format!("--stats counts what the simulator does; use --device {SIM}");
            return Err(Failure::Usage(text));
        }
        let how = Opening { ordinal: self.ordinal, threads, ptx, store };
        Ok(how.simulator(Counters::Full))
    }

    fn attempt(
        self,
        threads: Option<usize>,
        ptx: &tilec_ptx::Options,
        store: Option<Arc<dyn CodeStore>>,
    ) -> Attempt {
        (self.kind.open)(&Opening { ordinal: self.ordinal, threads, ptx, store })
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (text, None),
        };
        let known = || {
            let names = KINDS.iter().map(|kind| match kind.numbered {
                true => format!("{0}, {0}:N", kind.name),
                false => kind.name.to_owned(),
            });
            format!("known are {}", names.collect::<Vec<_>>().join(", "))
        };
        let kind = KINDS.iter().find(|kind| kind.name == name).ok_or_else(known)?;
        let ordinal = match number {
            Some(number) if kind.numbered => number.parse().map_err(|_| known())?,
            Some(_) => return Err(known()),
            None => 0,
        };
        Ok(Target { kind, ordinal })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name)?;
        if self.kind.numbered { write!(f, ":{}", self.ordinal) } else { Ok(()) }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
