//! Options that several verbs share: knobs and constants, passes to leave out.

use std::collections::BTreeMap;

use tilec_driver::Options;
use tilec_passes::pipeline::{self, Pass};
use tilec_passes::{GPU_PASSES, PASSES};
use tilec_ptx::{KNOBS, SWITCHES, SetKnobs};

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
    /// Knobs and constants by name, but for those that every GPU kernel has.
    pub fn knobs(&self) -> Result<BTreeMap<String, i64>, Failure> {
        let mut knobs = BTreeMap::new();
        let own = |setting: &&Setting| !KNOBS.iter().any(|(name, _)| *name == setting.name);
        for Setting { name, value } in self.knobs.iter().filter(own) {
            if knobs.insert(name.clone(), *value).is_some() {
                return Err(Failure::Usage(format!("--knob {name} is given twice")));
            }
        }
        Ok(knobs)
    }

    /// How PTX is made, where it is.
    pub fn gpu(&self) -> Result<tilec_ptx::Options, Failure> {
        let set = |name: &str, allowed: &[i64]| {
            let mut given = self.knobs.iter().filter(|setting| setting.name == name);
            match (given.next(), given.next()) {
                (None, _) => Ok(None),
                (Some(_), Some(_)) => Err(Failure::Usage(format!("--knob {name} is given twice"))),
                (Some(setting), None) if allowed.contains(&setting.value) => {
                    Ok(u32::try_from(setting.value).ok())
                }
                (Some(setting), None) => Err(Failure::Usage(format!(
                    "knob `{name}` cannot be {}; it is one of {allowed:?}",
                    setting.value
                ))),
            }
        };
        let [(warps, some_warps), (stages, some_stages)] = KNOBS;
        let knobs = SetKnobs { warps: set(warps, some_warps)?, stages: set(stages, some_stages)? };
        self.without.iter().try_fold(
            tilec_ptx::Options { knobs, ..tilec_ptx::Options::default() },
            |options, name| options.without(name).ok_or_else(|| no_such_pass(name)),
        )
    }

    /// Whether a knob that every GPU kernel has is set.
    pub fn sets_gpu_knobs(&self) -> bool {
        self.knobs.iter().any(|setting| KNOBS.iter().any(|(name, _)| *name == setting.name))
    }

    /// Whether the pipeline is not the usual one.
    pub fn leaves_out_passes(&self) -> bool {
        !self.without.is_empty()
    }

    /// The pipeline without what is left out.
    pub fn options(&self) -> Result<Options, Failure> {
        let mut options = pipeline::Options::default();
        // What only the lowering to GPU IR knows is no pass.
        let is_pass = |name: &&String| !SWITCHES.iter().any(|switch| switch.name == **name);
        for pass in self.without.iter().filter(is_pass) {
            options = options.without(pass).ok_or_else(|| no_such_pass(pass))?;
        }
        Ok(Options { pipeline: options })
    }
}

/// The failure of naming a pass that the table does not have.
pub fn no_such_pass(name: &str) -> Failure {
    let names =
        |passes: &[Pass]| passes.iter().map(|pass| pass.name).collect::<Vec<_>>().join(", ");
    let switches = SWITCHES.iter().map(|switch| switch.name).collect::<Vec<_>>().join(", ");
    let (all, gpu) = (names(PASSES), names(GPU_PASSES));
    Failure::Usage(format!(
        "there is no pass `{name}`; there are {all}; for GPUs also {gpu}, {switches}"
    ))
}
