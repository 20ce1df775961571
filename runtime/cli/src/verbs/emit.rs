//! `tilec emit`: what the compiler makes of a file, at a stage.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use tilec_codegen::nvptx;
use tilec_driver::Options;
use tilec_ir::{GenericKind, Kernel, Module};
use tilec_passes::PASSES;
use tilec_ptx::KNOBS;
use tilec_ptx::resources::{Choice, Needs};
use tilec_ptx::tools::{self, ToolError};
use tilec_vocab::{PtxCode, Specialisation, TensorFacts};

use crate::failure::{Failure, Outcome};
use crate::generics;
use crate::output::{self, Talk};
use crate::settings::{Settings, no_such_pass};
use crate::source::{front, kernel};

/// Print what the compiler makes of a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without settings the IR is printed as the front end leaves it, generic. With a value for each
generic parameter the kernel is specialised and optimised; knobs take their first choice.

Examples:
  tilec emit causal.tile --to tir
  tilec emit causal.tile --to tir T=f16 D=64
  tilec emit causal.tile --to tir T=f16 D=64 --knob BM=128 --without hoist
  tilec emit causal.tile --to tir T=f16 D=64 --after fold
  tilec emit causal.tile --to ll T=f32 D=64
  tilec emit causal.tile --to ptx T=f16 D=128 --knob stages=3 -v
  tilec emit causal.tile --to sass T=f16 D=128 --target sm_90")]
pub struct Args {
    /// The file; - is the standard input
    file: PathBuf,

    /// Generic parameters of the kernel: element types and constants
    #[arg(value_name = "NAME=VALUE")]
    generics: Vec<String>,

    /// The stage to leave at
    #[arg(long, value_name = "STAGE", default_value = "tir")]
    to: Stage,

    /// What to generate code for: cpu, sm_80, sm_86, sm_89, sm_90
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,

    /// Take nothing for granted of the tensors: neither contiguous rows nor alignment
    #[arg(long)]
    strided: bool,

    /// The kernel, where the file has several
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,

    /// Stop after this pass of the pipeline; it needs a value for each generic parameter
    #[arg(long, value_name = "PASS")]
    after: Option<String>,

    #[command(flatten)]
    settings: Settings,
}

/// Stages by their file extensions.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Stage {
    /// Tile IR.
    Tir,
    /// LLVM IR of the CPU target, for this machine, before LLVM's own passes.
    Ll,
    /// GPU IR: layouts, shared memory, copies, barriers.
    Gir,
    /// PTX, as a GPU's driver takes it.
    Ptx,
    /// A GPU's machine code as text, by NVIDIA's ptxas and nvdisasm; `make tools` installs them.
    Sass,
}

/// Machine code for the target that PTX was written for.
fn machine_code(code: &PtxCode) -> Result<tools::Assembled, ToolError> {
    tools::assemble(&code.text, &code.target)
}

impl Args {
    /// Prints the stage.
    pub fn run(self, talk: Talk) -> Outcome {
        let front = front(&self.file, talk)?;
        let module = front.module(&self.file)?;
        let options = self.settings.options()?;
        let knobs = self.settings.knobs()?;
        let text = match self.to {
            Stage::Tir if self.is_generic(&knobs) => match &self.kernel {
                None => tilec_ir::print(module),
                Some(name) => tilec_ir::print_kernel(kernel(module, Some(name))?),
            },
            Stage::Tir => {
                let kernel = kernel(module, self.kernel.as_deref())?;
                let binding = self.binding(kernel, knobs)?;
                let kernel = self.optimise(kernel, &binding, &options)?;
                tilec_ir::print(&Module::new(vec![kernel], Vec::new()))
            }
            Stage::Ll if self.target.as_deref().is_none_or(|target| target == "cpu") => {
                let kernel = kernel(module, self.kernel.as_deref())?;
                let binding = self.binding(kernel, knobs)?;
                let kernel = self.optimise(kernel, &binding, &options)?;
                let code = tilec_codegen::cpu::emit(&kernel, &tilec_codegen::cpu::Host::this());
                code.map_err(|error| Failure::Target(error.to_string()))?.text
            }
            Stage::Gir => self.gpu(module, &options, knobs)?.to_string(),
            Stage::Ll => {
                let program = self.gpu(module, &options, knobs)?;
                let text = nvptx::llvm_ir_with_lines(&program, self.gpu_target()?, &front.locate());
                text.map_err(|error| Failure::Target(error.to_string()))?
            }
            Stage::Ptx => {
                let compiled = self.ptx(module, &options, knobs, &front.locate(), talk)?;
                if talk.verbose {
                    talk.detail(machine_code(&compiled.code).map_or_else(
                        |error| error.to_string(),
                        |made| format!("{}: {}", compiled.code.target, made.usage),
                    ));
                }
                compiled.code.text
            }
            Stage::Sass => {
                let compiled = self.ptx(module, &options, knobs, &front.locate(), talk)?;
                let missing = |error: ToolError| Failure::Target(error.to_string());
                let made = machine_code(&compiled.code).map_err(missing)?;
                talk.detail(format!("{}: {}", compiled.code.target, made.usage));
                tools::disassemble(&made.cubin).map_err(missing)?
            }
        };
        output::print(&text)
    }

    fn gpu_target(&self) -> Result<&'static nvptx::Target, Failure> {
        let name = self.target.as_deref().unwrap_or(tilec_ptx::DEFAULT_TARGET);
        tilec_ptx::target(name).map_err(|error| Failure::Usage(error.to_string()))
    }

    /// The kernel as PTX.
    fn ptx(
        &self,
        module: &Module<tilec_ir::Tile>,
        options: &Options,
        knobs: BTreeMap<String, i64>,
        locate: nvptx::Locate<'_>,
        talk: Talk,
    ) -> Result<nvptx::Compiled, Failure> {
        let target = self.gpu_target()?;
        let program = self.gpu(module, options, knobs.clone())?;
        self.fit(&program, module, options, &knobs)?;
        if let Some(words) = Needs::of(&program).spills(target) {
            talk.say(format!("warning: {words}"));
        }
        let start = Instant::now();
        let compiled = nvptx::compile_with_lines(&program, target, locate);
        let compiled = compiled.map_err(|error| Failure::from(tilec_ptx::Error::from(error)))?;
        let nvptx::Times { write, read, optimise, generate } = compiled.times;
        talk.detail(format!(
            "PTX in {:.1?}: LLVM IR written {write:.1?}, read {read:.1?}, passes {optimise:.1?}, PTX {generate:.1?}",
            start.elapsed()
        ));
        Ok(compiled)
    }

    /// Refuses a program that the target has no room for, and says which knobs to set instead.
    fn fit(
        &self,
        program: &tilec_gpu::Program,
        module: &Module<tilec_ir::Tile>,
        options: &Options,
        knobs: &BTreeMap<String, i64>,
    ) -> Result<(), Failure> {
        let kernel = kernel(module, self.kernel.as_deref())?;
        let binding = self.binding(kernel, knobs.clone())?;
        let set = self.settings.gpu()?.knobs.chosen(&binding);
        let own = kernel.generics.values().filter_map(|generic| match &generic.kind {
            GenericKind::Knob(choices) => {
                let set = *binding.ints.get(&generic.name)?;
                Some(Choice { name: generic.name.clone(), set, choices: choices.clone() })
            }
            GenericKind::DType(_) | GenericKind::Const => None,
        });
        let of_all =
            KNOBS.into_iter().zip([set.warps, set.stages]).map(|((name, choices), set)| Choice {
                name: name.to_owned(),
                set: set.into(),
                choices: choices.to_vec(),
            });
        let mut choices: Vec<Choice> = own.collect();
        choices.extend(of_all.filter(|knob| !kernel.declares(&knob.name)));
        let remake = |tried: &BTreeMap<&str, i64>| {
            let mut gpu = self.settings.gpu().ok()?;
            let mut own = BTreeMap::new();
            for (&name, &value) in tried {
                match (name, u32::try_from(value)) {
                    ("warps", Ok(warps)) => gpu.knobs.warps = Some(warps),
                    ("stages", Ok(stages)) => gpu.knobs.stages = Some(stages),
                    _ => drop(own.insert(name.to_owned(), value)),
                }
            }
            let binding = self.binding(kernel, own).ok()?;
            self.program(kernel, &binding, options, &gpu).ok()
        };
        Ok(tilec_ptx::fit(program, self.gpu_target()?, &choices, remake)?)
    }

    /// The kernel as a program for one CTA.
    fn gpu(
        &self,
        module: &Module<tilec_ir::Tile>,
        options: &Options,
        knobs: BTreeMap<String, i64>,
    ) -> Result<tilec_gpu::Program, Failure> {
        let kernel = kernel(module, self.kernel.as_deref())?;
        let binding = self.binding(kernel, knobs)?;
        self.program(kernel, &binding, options, &self.settings.gpu()?)
    }

    fn program(
        &self,
        kernel: &Kernel,
        binding: &Specialisation,
        options: &Options,
        gpu: &tilec_ptx::Options,
    ) -> Result<tilec_gpu::Program, Failure> {
        let kernel = self.optimise(kernel, binding, options)?;
        let mut facts = tilec_ptx::usual_facts(&kernel);
        if self.strided {
            facts.fill(TensorFacts::default());
        }
        Ok(tilec_ptx::program(&kernel, &facts, gpu.knobs.chosen(binding), gpu)?)
    }

    /// Whether the IR is wanted as the front end leaves it.
    fn is_generic(&self, knobs: &BTreeMap<String, i64>) -> bool {
        self.generics.is_empty() && knobs.is_empty() && self.after.is_none()
    }

    /// The kernel after the last pass, or after the one asked for.
    fn optimise(
        &self,
        kernel: &Kernel,
        binding: &Specialisation,
        options: &Options,
    ) -> Result<Kernel, Failure> {
        let Some(name) = &self.after else {
            return Ok(tilec_driver::optimise(kernel, binding, options)?);
        };
        let last = PASSES.iter().position(|pass| pass.name == *name);
        let last = last.ok_or_else(|| no_such_pass(name))?;
        let mut options = options.pipeline.clone();
        for pass in &PASSES[last + 1..] {
            options = options.without(pass.name).ok_or_else(|| no_such_pass(pass.name))?;
        }
        Ok(tilec_driver::optimise(kernel, binding, &Options { pipeline: options })?)
    }

    /// What the command line says of each generic parameter; knobs may be left out.
    fn binding(
        &self,
        kernel: &Kernel,
        knobs: BTreeMap<String, i64>,
    ) -> Result<Specialisation, Failure> {
        let mut given: BTreeMap<String, String> =
            knobs.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        for text in &self.generics {
            let Some((name, value)) = text.split_once('=') else {
                return Err(Failure::Usage(format!("`{text}` lacks `=`; write NAME=VALUE")));
            };
            if given.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(Failure::Usage(format!("`{name}` is given twice")));
            }
        }
        generics::binding(kernel, given)
    }
}
