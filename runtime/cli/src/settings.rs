//! Options that several verbs share: knobs and constants, passes to leave out.

use std::collections::BTreeMap;

use tilec_driver::Options;
use tilec_ir::Kernel;
use tilec_passes::{PASSES, pipeline};
use tilec_ptx::Knobs;

use crate::args::Setting;
use crate::failure::Failure;

/// How to compile.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Set a knob, or a constant that no argument determines; for verify, also a dimension
    #[arg(long = "knob", value_name = "NAME=INT")]
    knobs: Vec<Setting>,

    /// Leave out a pass of the pipeline
    #[arg(long, value_name = "PASS")]
    without: Vec<String>,
}

impl Settings {
    /// Knobs and constants by name.
    pub fn knobs(&self) -> Result<BTreeMap<String, i64>, Failure> {
        let mut knobs = BTreeMap::new();
        for Setting { name, value } in &self.knobs {
            if knobs.insert(name.clone(), *value).is_some() {
                return Err(Failure::Usage(format!("--knob {name} is given twice")));
            }
        }
        Ok(knobs)
    }

    /// Whether the pipeline is not the usual one.
    pub fn leaves_out_passes(&self) -> bool {
        !self.without.is_empty()
    }

    /// The pipeline without what is left out.
    pub fn options(&self) -> Result<Options, Failure> {
        let mut options = pipeline::Options::default();
        for pass in &self.without {
            options = options.without(pass).ok_or_else(|| no_such_pass(pass))?;
        }
        Ok(Options { pipeline: options })
    }
}

/// The failure of naming a pass that the table does not have.
pub fn no_such_pass(name: &str) -> Failure {
    let known = PASSES.iter().map(|pass| pass.name).collect::<Vec<_>>().join(", ");
    Failure::Usage(format!("there is no pass `{name}`; there are {known}"))
}

/// Takes the knobs that every GPU kernel has out of those given, unless the kernel declares them itself.
pub fn gpu_knobs(kernel: &Kernel, knobs: &mut BTreeMap<String, i64>) -> Result<Knobs, Failure> {
    let usual = Knobs::default();
    let mut take = |name: &str, usual: u32, allowed: &[i64]| {
        let declared = kernel.generics.values().any(|generic| generic.name == name);
        let value = if declared { knobs.get(name).copied() } else { knobs.remove(name) };
        match value {
            None => Ok(usual),
            Some(value) if allowed.contains(&value) => Ok(u32::try_from(value).unwrap_or(usual)),
            Some(value) => Err(Failure::Usage(format!(
                "knob `{name}` cannot be {value}; it is one of {allowed:?}"
            ))),
        }
    };
    Ok(Knobs {
        warps: take("warps", usual.warps, &[1, 2, 4, 8, 16])?,
        stages: take("stages", usual.stages, &[1, 2, 3, 4, 5, 6, 7, 8])?,
    })
}
