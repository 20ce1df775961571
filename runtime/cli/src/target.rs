//! Devices by the names the command line has for them.

use std::fmt;
use std::str::FromStr;

use tilec_host::Device;

use crate::failure::Failure;
use crate::interp_device::InterpDevice;

/// What `--device` can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Machine code for this processor.
    Cpu,
    /// The interpreter of tile IR.
    Interp,
    /// An NVIDIA GPU.
    Cuda(u32),
    /// The PTX simulator.
    Sim,
}

/// Those that can be named without a number.
pub const TARGETS: [Target; 4] = [Target::Cpu, Target::Interp, Target::Cuda(0), Target::Sim];

impl Target {
    /// The device; `threads` limits how many run at one time.
    pub fn open(self, _threads: Option<usize>) -> Result<Box<dyn Device>, Failure> {
        match self {
            Target::Interp => Ok(Box::new(InterpDevice)),
            Target::Cpu | Target::Cuda(_) | Target::Sim => Err(Failure::Target(format!(
                "device {self} is not available: {}",
                self.missing().unwrap_or("nothing is known of it")
            ))),
        }
    }

    /// What is missing for it to run; none if nothing is.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Target::Interp => None,
            Target::Cpu => Some("this build has no CPU code generator; use --device interp"),
            Target::Cuda(_) => {
                Some("this version of the compiler does not write GPU code yet; use --device cpu")
            }
            Target::Sim => Some(
                "the simulator runs PTX, which the compiler does not write yet; use --device cpu",
            ),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        match text {
            "cpu" => Ok(Target::Cpu),
            "interp" => Ok(Target::Interp),
            "cuda" => Ok(Target::Cuda(0)),
            "sim" => Ok(Target::Sim),
            _ => match text.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok()) {
                Some(ordinal) => Ok(Target::Cuda(ordinal)),
                None => Err("known are cpu, interp, cuda, cuda:N, sim".to_owned()),
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Cpu => f.write_str("cpu"),
            Target::Interp => f.write_str("interp"),
            Target::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Target::Sim => f.write_str("sim"),
        }
    }
}
