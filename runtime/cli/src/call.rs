//! A kernel and arguments for it, as `tune` and the processes it starts both take them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use tilec_host::{Arguments, Device};
use tilec_ir::Kernel;
use tilec_ptx::{KNOBS, SetKnobs};

use crate::args::{Assignment, Setting};
use crate::failure::Failure;
use crate::output::Talk;
use crate::prepare::read_arguments;
use crate::source::{Front, front, kernel};
use crate::target::{self, Target};

/// What to call, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct Call {
    /// The file
    pub file: PathBuf,

    /// Arguments of the kernel, as for `tilec run`
    #[arg(value_name = "NAME=VALUE")]
    pub arguments: Vec<Assignment>,

    /// The kernel, where the file has several
    #[arg(short, long, value_name = "NAME")]
    pub kernel: Option<String>,

    /// Where to run: cpu, interp, cuda, cuda:N, sim
    #[arg(long, value_name = "DEVICE", default_value_t = target::default(), env = "TILEC_DEVICE")]
    pub device: Target,

    /// Fix a knob, or a constant that no argument determines
    #[arg(long = "knob", value_name = "NAME=INT")]
    pub knobs: Vec<Setting>,

    /// How many threads to use
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl Call {
    /// The front end.
    pub fn front(&self, talk: Talk) -> Result<Front, Failure> {
        front(&self.file, talk)
    }

    /// The kernel meant, and its spec if it has one.
    pub fn kernel<'f>(
        &self,
        front: &'f Front,
    ) -> Result<(&'f Kernel, Option<&'f Kernel>), Failure> {
        let module = front.module(&self.file)?;
        let kernel = kernel(module, self.kernel.as_deref())?;
        Ok((kernel, module.spec(&kernel.name)))
    }

    /// The device.
    pub fn open(&self) -> Result<Box<dyn Device>, Failure> {
        let set = self.fixed_gpu()?;
        let set = |name: &str| set.get(name).and_then(|&value| u32::try_from(value).ok());
        let knobs = SetKnobs { warps: set("warps"), stages: set("stages") };
        let options = tilec_ptx::Options { knobs, ..tilec_ptx::Options::default() };
        self.device.open(self.threads.map(Into::into), &options)
    }

    /// The arguments.
    pub fn arguments(&self, kernel: &Kernel) -> Result<Arguments, Failure> {
        read_arguments(kernel, &self.arguments)
    }

    /// Knobs and constants that are fixed, but for those that every GPU kernel has.
    pub fn fixed(&self) -> Result<BTreeMap<String, i64>, Failure> {
        let mut fixed = self.given()?;
        fixed.retain(|name, _| !KNOBS.iter().any(|(knob, _)| knob == name));
        Ok(fixed)
    }

    /// Those that every GPU kernel has.
    pub fn fixed_gpu(&self) -> Result<BTreeMap<String, i64>, Failure> {
        let mut fixed = self.given()?;
        fixed.retain(|name, _| KNOBS.iter().any(|(knob, _)| knob == name));
        for (name, value) in &fixed {
            let allowed = KNOBS.iter().find(|(knob, _)| knob == name).map(|(_, values)| *values);
            if let Some(values) = allowed.filter(|values| !values.contains(value)) {
                let text = format!("knob `{name}` cannot be {value}; it is one of {values:?}");
                return Err(Failure::Usage(text));
            }
        }
        Ok(fixed)
    }

    fn given(&self) -> Result<BTreeMap<String, i64>, Failure> {
        let mut given = BTreeMap::new();
        for Setting { name, value } in &self.knobs {
            if given.insert(name.clone(), *value).is_some() {
                return Err(Failure::Usage(format!("--knob {name} is given twice")));
            }
        }
        Ok(given)
    }

    /// The same call as words of a command line, with these knobs in place of its own.
    pub fn words(&self, knobs: &BTreeMap<String, i64>) -> Vec<std::ffi::OsString> {
        let mut words = vec![self.file.clone().into_os_string()];
        words.extend(self.arguments.iter().map(|a| format!("{}={}", a.name, a.text).into()));
        let mut option = |name: &str, value: String| words.extend([name.into(), value.into()]);
        if let Some(kernel) = &self.kernel {
            option("--kernel", kernel.clone());
        }
        option("--device", self.device.to_string());
        if let Some(threads) = self.threads {
            option("--threads", threads.to_string());
        }
        for (name, value) in knobs {
            option("--knob", format!("{name}={value}"));
        }
        words
    }
}
