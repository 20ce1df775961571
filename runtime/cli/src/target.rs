//! Devices by the names the command line has for them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tilec_cpu::CpuDevice;
use tilec_host::Device;
use tilec_host::gpu::PtxCompiler;
use tilec_ptxsim::Config;
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
    /// How to open one.
    way: Way,
}

/// A device, or what is missing for it.
type Attempt = Result<Box<dyn Device>, String>;

/// How to get at a device.
enum Way {
    /// The device of this number, on so many threads, with PTX made so.
    Open(fn(u32, Option<usize>, &tilec_ptx::Options) -> Attempt),
    /// Not in this version, and why.
    No(&'static str),
}

/// One row each; the first that this version can open is the default.
static KINDS: &[Kind] = &[
    Kind {
        name: "cpu",
        numbered: false,
        processor: true,
        way: Way::Open(|_, threads, _| match CpuDevice::new(threads) {
            Ok(device) => Ok(Box::new(device)),
            Err(error) => Err(error.to_string()),
        }),
    },
    Kind {
        name: "interp",
        numbered: false,
        processor: false,
        way: Way::Open(|_, _, _| Ok(Box::new(InterpDevice))),
    },
    Kind {
        name: "cuda",
        numbered: true,
        processor: true,
        way: Way::No("this version of the compiler does not write GPU code yet"),
    },
    Kind {
        name: "sim",
        numbered: false,
        processor: false,
        way: Way::Open(|_, threads, ptx| {
            let threads = threads.unwrap_or_else(|| {
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
            });
            let config = Config { threads, ..Config::default() };
            let options = tilec_sim::Options { config, ..tilec_sim::Options::default() };
            let compiler: Arc<dyn PtxCompiler> = Arc::new(tilec_ptx::Compiler(ptx.clone()));
            Ok(Box::new(SimDevice::new(options, Some(compiler))))
        }),
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
    all()
        .find(|target| matches!(target.kind.way, Way::Open(_)))
        .unwrap_or(Target { kind: &KINDS[0], ordinal: 0 })
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
        self.attempt(threads, ptx).map_err(|missing| {
            let text =
                format!("device {self} is not available: {missing}; use --device {}", default());
            Failure::Target(text)
        })
    }

    /// What is missing for it to run; none if nothing is.
    pub fn missing(self) -> Option<String> {
        self.attempt(None, &tilec_ptx::Options::default()).err()
    }

    fn attempt(self, threads: Option<usize>, ptx: &tilec_ptx::Options) -> Attempt {
        match self.kind.way {
            Way::Open(open) => open(self.ordinal, threads, ptx),
            Way::No(why) => Err(why.to_owned()),
        }
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
