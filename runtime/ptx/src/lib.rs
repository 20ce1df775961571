//! Tile IR to PTX, for devices that run it: the way of a kernel on a GPU after the passes that all targets share.
//!
//! ```text
//! Kernel --passes for GPUs--> Kernel --to_gpu--> Program --nvptx--> PTX
//! ```

pub mod resources;
mod stored;
pub mod tools;

pub use stored::Stored;

use std::collections::BTreeMap;
use std::fmt;

use crate::resources::{Choice, Needs};
use tilec_codegen::nvptx::{self, Target};
use tilec_gpu::{GpuError, Program};
use tilec_host::RuntimeError;
use tilec_host::gpu::PtxCompiler;
use tilec_ir::Kernel;
use tilec_passes::pipeline;
use tilec_vocab::{Artifact, Bug, PtxCode, Specialisation, TensorFacts};

/// The target unless told otherwise: every GPU since it runs its code.
pub const DEFAULT_TARGET: &str = "sm_80";

/// Names of the knobs that every GPU kernel has, whether its text declares them or not, and what they can be.
pub const KNOBS: [(&str, &[i64]); 2] =
    [("warps", &[1, 2, 4, 8, 16]), ("stages", &[1, 2, 3, 4, 5, 6, 7, 8])];

/// What those knobs are set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// Warps of a CTA, at most.
    pub warps: u32,
    /// Slots of each ring of a loop's operands.
    pub stages: u32,
    /// Whether somebody chose the warps. If nobody did, more of them are taken where so few want more registers than a
    /// thread has.
    pub warps_are_set: bool,
}

impl Default for Knobs {
    fn default() -> Knobs {
        Knobs { warps: 4, stages: 2, warps_are_set: false }
    }
}

/// Knobs that the user set; they win over what a kernel declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetKnobs {
    /// Warps of a CTA, at most.
    pub warps: Option<u32>,
    /// Slots of each ring.
    pub stages: Option<u32>,
}

impl SetKnobs {
    /// What was set, else what the kernel's specialisation says, else the usual.
    pub fn chosen(self, binding: &Specialisation) -> Knobs {
        let usual = Knobs::default();
        let choice = |set: Option<u32>, name: &str, usual: u32| {
            let declared = || binding.ints.get(name).and_then(|&value| u32::try_from(value).ok());
            set.or_else(declared).unwrap_or(usual)
        };
        Knobs {
            warps: choice(self.warps, KNOBS[0].0, usual.warps),
            stages: choice(self.stages, KNOBS[1].0, usual.stages),
            warps_are_set: self.warps.is_some() || binding.ints.contains_key(KNOBS[0].0),
        }
    }
}

/// Why there is no PTX for a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The target cannot do it; a sentence that says what, and the repair where there is one.
    Unsupported(String),
    /// A CTA of the target has no room for it; a sentence that says of what, and which knobs need less.
    NoRoom(String),
    /// Our fault.
    Bug(Bug),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsupported(what) | Error::NoRoom(what) => f.write_str(what),
            Error::Bug(bug) => bug.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<GpuError> for Error {
    fn from(error: GpuError) -> Error {
        match error {
            GpuError::Unsupported { what, .. } => Error::Unsupported(what),
            GpuError::Bug(bug) => Error::Bug(bug),
        }
    }
}

impl From<nvptx::Error> for Error {
    fn from(error: nvptx::Error) -> Error {
        match error {
            nvptx::Error::Unsupported(what) => Error::Unsupported(what.to_string()),
            nvptx::Error::Llvm(words) => Error::Bug(Bug::new("nvptx", words)),
        }
    }
}

impl From<Bug> for Error {
    fn from(bug: Bug) -> Error {
        Error::Bug(bug)
    }
}

/// How to make PTX.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Knobs that the user set.
    pub knobs: SetKnobs,
    /// Passes to leave out.
    pub pipeline: pipeline::Options,
    /// Choices of the lowering to leave out: names of [`SWITCHES`].
    pub off: Vec<&'static str>,
}

/// An optimisation of the lowering that can be left out.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    /// Its name, as of a pass.
    pub name: &'static str,
    turn_off: fn(&mut tilec_gpu::Options),
}

/// What the lowering may leave out.
pub const SWITCHES: &[Switch] = &[
    Switch { name: "late_sums", turn_off: |options| options.late_sums = false },
    Switch { name: "prefetch", turn_off: |options| options.prefetch = false },
    Switch { name: "held_operands", turn_off: |options| options.held_operands = false },
    Switch { name: "wide_stores", turn_off: |options| options.wide_stores = false },
];

impl Options {
    /// These without the pass or the choice of this name; `None` where there is neither.
    pub fn without(mut self, name: &str) -> Option<Options> {
        match SWITCHES.iter().find(|switch| switch.name == name) {
            Some(switch) => self.off.push(switch.name),
            None => self.pipeline = self.pipeline.without(name)?,
        }
        Some(self)
    }
}

/// What is taken for granted of arguments that nobody has seen yet: rows of whole, aligned
/// 16-byte pieces, one after the other.
pub fn usual_facts(kernel: &Kernel) -> Vec<TensorFacts> {
    vec![TensorFacts::ALL; kernel.params.len()]
}

/// The target of this name.
///
/// # Errors
///
/// There is none.
pub fn target(name: &str) -> Result<&'static Target, Error> {
    Target::named(name).ok_or_else(|| {
        let known: Vec<&str> = nvptx::TARGETS.iter().map(|target| target.name).collect();
        Error::Unsupported(format!("there is no target `{name}`; there are {}", known.join(", ")))
    })
}

/// A specialised, optimised kernel as a program for one CTA.
///
/// # Errors
///
/// What a GPU target does not do.
pub fn program(
    kernel: &Kernel,
    facts: &[TensorFacts],
    knobs: Knobs,
    options: &Options,
) -> Result<Program, Error> {
    let kernel = tilec_passes::for_gpu(kernel, &options.pipeline)?;
    let usual = tilec_gpu::Options::new(facts.to_vec());
    let mut chosen = tilec_gpu::Options { warps: knobs.warps, stages: knobs.stages, ..usual };
    for switch in SWITCHES.iter().filter(|switch| options.off.contains(&switch.name)) {
        (switch.turn_off)(&mut chosen);
    }
    let registers = |program: &Program| Needs::of(program).registers;
    let most = nvptx::TARGETS.iter().map(|target| target.max_thread_registers).min();
    let fits = |program: &Program| most.is_none_or(|most| registers(program) <= most);
    let mut best = tilec_gpu::to_gpu(&kernel, &chosen)?;
    for thriftier in thriftier(&chosen, knobs) {
        // Where rows take all warps, none are left to share columns.
        if fits(&best) || thriftier.column_warps && best.warps == thriftier.warps {
            break;
        }
        if let Ok(made) = tilec_gpu::to_gpu(&kernel, &thriftier)
            && registers(&made) < registers(&best)
        {
            best = made;
        }
    }
    Ok(best)
}

/// Choices under which threads want fewer registers, those that cost least first. Fragments that a loop need not read again
/// are worth registers that are there, not spills; then more warps share the rows; then all that there may be share the columns
/// too.
fn thriftier(chosen: &tilec_gpu::Options, knobs: Knobs) -> Vec<tilec_gpu::Options> {
    let most = if knobs.warps_are_set { knobs.warps } else { knobs.warps.max(MOST_WARPS) };
    let counts = std::iter::successors(Some(knobs.warps), |warps| Some(warps * 2));
    let with = |warps, held_operands, column_warps| tilec_gpu::Options {
        warps,
        held_operands,
        column_warps,
        ..chosen.clone()
    };
    let mut all = Vec::new();
    for warps in counts.take_while(|&warps| warps <= most) {
        all.extend([with(warps, chosen.held_operands, false), with(warps, false, false)]);
    }
    all.push(with(most, false, true));
    all.dedup();
    // The first is what was chosen.
    all.split_off(1)
}

/// Warps that are taken where nobody chose them, at most.
const MOST_WARPS: u32 = 8;

/// A program that a target has room for, else an error that says what to set instead: `remake` is tried with other
/// values of `knobs`.
///
/// # Errors
///
/// It does not fit.
pub fn fit(
    program: &Program,
    target: &'static Target,
    knobs: &[Choice],
    remake: impl Fn(&BTreeMap<&str, i64>) -> Option<Program>,
) -> Result<(), Error> {
    let Some(shortage) = Needs::of(program).shortage(target) else { return Ok(()) };
    let advice = resources::advice(knobs, |tried| {
        remake(tried).is_some_and(|program| Needs::of(&program).shortage(target).is_none())
    });
    Err(Error::NoRoom(format!("{shortage}: {advice}")))
}

/// A compiler for devices that run PTX.
#[derive(Clone, Debug, Default)]
pub struct Compiler(pub Options);

impl PtxCompiler for Compiler {
    fn compile(
        &self,
        artifact: &Artifact,
        facts: &[TensorFacts],
        target: &str,
    ) -> Result<PtxCode, RuntimeError> {
        let kernel = tilec_ir::loaded(artifact, "ptx")?;
        let knobs = self.0.knobs.chosen(&artifact.specialisation);
        let code = crate::target(target).and_then(|target| {
            let is_asked = self.0.knobs.stages.is_some()
                || artifact.specialisation.ints.contains_key(KNOBS[1].0);
            let program = match is_asked {
                true => program(&kernel, facts, knobs, &self.0)?,
                false => self.with_stages_that_fit(&kernel, facts, knobs, target)?,
            };
            self.fit(&program, &kernel, facts, knobs, target)?;
            Ok(nvptx::compile(&program, target)?.code)
        });
        code.map_err(|error| match error {
            Error::Bug(bug) => RuntimeError::Bug(bug),
            Error::Unsupported(what) => {
                let message = format!("kernel `{}`: {what}", kernel.name);
                RuntimeError::Device { device: target.to_owned(), message }
            }
            Error::NoRoom(what) => {
                let message = format!("kernel `{}`: {what}", kernel.name);
                RuntimeError::NoRoom { device: target.to_owned(), message }
            }
        })
    }
}

impl Compiler {
    /// The program under these knobs, or with the most stages that fit, if there are any.
    fn with_stages_that_fit(
        &self,
        kernel: &Kernel,
        facts: &[TensorFacts],
        knobs: Knobs,
        target: &'static Target,
    ) -> Result<Program, Error> {
        let usual = program(kernel, facts, knobs, &self.0)?;
        let fits = |program: &Program| Needs::of(program).shortage(target).is_none();
        if fits(&usual) {
            return Ok(usual);
        }
        let fewer = (1..knobs.stages).rev();
        let made = |stages| program(kernel, facts, Knobs { stages, ..knobs }, &self.0).ok();
        Ok(fewer.filter_map(made).find(fits).unwrap_or(usual))
    }

    /// As [`fit`]. An artifact holds one choice of each knob of the kernel's own: only the stages can be tried here.
    fn fit(
        &self,
        made: &Program,
        kernel: &Kernel,
        facts: &[TensorFacts],
        knobs: Knobs,
        target: &'static Target,
    ) -> Result<(), Error> {
        let [_, (name, choices)] = KNOBS;
        let set = i64::from(knobs.stages);
        let stages = Choice { name: name.to_owned(), set, choices: choices.to_vec() };
        fit(made, target, &[stages], |tried| {
            let stages = u32::try_from(tried[name]).ok()?;
            program(kernel, facts, Knobs { stages, ..knobs }, &self.0).ok()
        })
    }
}
