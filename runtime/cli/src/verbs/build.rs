//! `tilec build`: PTX for several bindings, knobs and targets in one file, for machines without a compiler.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;
use tilec_driver::Options;
use tilec_host::RuntimeError;
use tilec_host::gpu::PtxCompiler;
use tilec_ir::{GenericData, GenericKind, Kernel};
use tilec_ptx::tools::{self, ToolError};
use tilec_runtime::Bundle;
use tilec_vocab::{
    Artifact, Cubin, ParamKind, ParamSpec, Payload, PtxCode, Record, Specialisation, TensorFacts,
};

use crate::failure::{Failure, Outcome};
use crate::generics;
use crate::output::{self, Talk};
use crate::records;
use crate::settings::Settings;
use crate::source::{front, kernel};

/// Pack PTX for several element types, constants, knobs and targets into one file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every combination of the values is built, for every target; the first of them that suits a launch is
taken. Where NVIDIA's ptxas is found (`make tools` installs it), machine code goes in beside the PTX and is
preferred by GPUs of the target's generation; --cubin always insists on it. Where no knob is given, knobs of
tuning records for GPUs are built too, and launches at the records' shapes take them. What a target has no room for is left out and told. `tilec-run`, which needs no compiler and no
LLVM, runs the file on a machine with a GPU; the crate `tilec-runtime` loads it into a program.

Examples:
  tilec build causal.tile T=f16,bf16 D=64,128 -o causal.tilepack
  tilec build flash.tile -k flash_forward T=f16 D=128 BM=128,64 --target sm_80,sm_90 -o flash.tilepack
  tilec-run causal.tilepack q=randn(1,8,1024,64):f16 k=randn(1,8,1024,64):f16 \\
      v=randn(1,8,1024,64):f16 scale=0.125")]
pub struct Args {
    /// The file; - is the standard input
    file: PathBuf,

    /// Generic parameters and knobs, each with one value or several
    #[arg(value_name = "NAME=VALUE,…")]
    generics: Vec<String>,

    /// What to generate code for: sm_80, sm_86, sm_89, sm_90
    #[arg(long, value_name = "TARGET,…", value_delimiter = ',', default_value = tilec_ptx::DEFAULT_TARGET)]
    target: Vec<String>,

    /// One kernel of several; without, all are packed, and each takes of the names what it declares
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,

    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Machine code beside the PTX, by NVIDIA's ptxas: launches need no translation then
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Cubins::Auto)]
    cubin: Cubins,

    #[command(flatten)]
    settings: Settings,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// When to make machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Cubins {
    /// Where ptxas is found
    Auto,
    /// Always: without ptxas nothing is built
    Always,
    /// Never
    Never,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    file: String,
    bytes: usize,
    rows: Vec<Row>,
    /// Why no cubins were made, where some were to be.
    no_cubins: Option<String>,
}

/// One combination for one target.
#[derive(Serialize)]
struct Row {
    kernel: String,
    specialisation: String,
    target: String,
    /// Threads of a CTA; 0 if it was left out.
    threads: u32,
    shared_bytes: u32,
    /// The shapes and GPUs whose tuning records have these knobs.
    tuned_for: Vec<String>,
    /// Of all variants; 0 if there is none.
    cubin_bytes: usize,
    /// Why it was left out.
    left_out: Option<String>,
}

impl Args {
    /// Builds and writes.
    pub fn run(self, talk: Talk) -> Outcome {
        for name in &self.target {
            tilec_ptx::target(name).map_err(|error| Failure::Usage(error.to_string()))?;
        }
        let no_cubins = self.no_cubins()?;
        let mut file = self.new_file()?;
        let front = front(&self.file, talk)?;
        let module = front.module(&self.file)?;
        let kernels = match (&self.kernel, module.kernels.as_slice()) {
            (None, several @ [_, _, ..]) => several.iter().collect(),
            (name, _) => vec![kernel(module, name.as_deref())?],
        };
        let Packed { artifacts, mut records, rows, no_cubins } =
            self.pack(&kernels, no_cubins, talk)?;
        // What no code was made for is of no use.
        records.retain(|record| {
            let is_of = |a: &Artifact| record.is_of(&a.contract.kernel, &a.specialisation);
            artifacts.iter().any(is_of)
        });
        if artifacts.is_empty() {
            let reason = rows.into_iter().find_map(|row| row.left_out).unwrap_or_default();
            return Err(Failure::Target(format!("nothing could be built: {reason}")));
        }
        let bundle = Bundle { tilec: env!("CARGO_PKG_VERSION").to_owned(), artifacts, records };
        let bytes = bundle.encode().map_err(|fault| Failure::Bug(fault.to_string()))?;
        file.write_all(&bytes).map_err(|error| self.unwritable(&error))?;
        file.persist(&self.output).map_err(|error| self.unwritable(&error.error))?;
        let file = self.output.display().to_string();
        let report = Report { schema: "tilec.build/1", file, bytes: bytes.len(), rows, no_cubins };
        if self.json { output::print_json(&report) } else { print(&report) }
    }

    /// Every combination for every kernel.
    fn pack(
        &self,
        kernels: &[&Kernel],
        no_cubins: Option<String>,
        talk: Talk,
    ) -> Result<Packed, Failure> {
        let options = self.settings.options()?;
        let compiler = tilec_ptx::Compiler(self.settings.gpu()?);
        let mut packed = Packed { no_cubins, ..Packed::default() };
        for Bound { kernel, binding, is_free } in self.bindings(kernels)? {
            let found = match is_free {
                true => records::of_gpus(kernel, &binding, talk),
                false => Vec::new(),
            };
            let tuned: Vec<(&str, Record)> = found
                .into_iter()
                .filter_map(|record| Some((self.target_for(&record)?, record)))
                .collect();
            for wanted in self.wanted(kernel, &binding, &tuned) {
                let mut built = build(kernel, &wanted, &options, &compiler)?;
                if let Ok(artifact) = &mut built {
                    self.add_cubins(artifact, &mut packed.no_cubins)?;
                }
                packed.rows.push(row(kernel, wanted, &built));
                packed.artifacts.extend(built.ok());
            }
            packed.records.extend(tuned.into_iter().map(|(_, record)| record));
        }
        Ok(packed)
    }

    /// What to bind of each kernel. Of several kernels each takes what it declares.
    fn bindings<'k>(&self, kernels: &[&'k Kernel]) -> Result<Vec<Bound<'k>>, Failure> {
        let mut all: Vec<Bound<'k>> = Vec::new();
        for kernel in kernels {
            for mut given in self.combinations()? {
                // A name that none has is an error of whoever is first.
                given.retain(|name, _| {
                    kernel.declares(name) || !kernels.iter().any(|other| other.declares(name))
                });
                let is_free = self.leaves_knobs(kernel, &given);
                let binding = generics::binding(kernel, given)?;
                let is_same =
                    |bound: &Bound<'_>| bound.kernel == *kernel && bound.binding == binding;
                if !all.iter().any(is_same) {
                    all.push(Bound { kernel, binding, is_free });
                }
            }
        }
        Ok(all)
    }

    /// Machine code beside the PTX, where that is wanted; where it cannot be, why not.
    fn add_cubins(&self, artifact: &mut Artifact, none: &mut Option<String>) -> Outcome {
        if self.cubin == Cubins::Never || none.is_some() {
            return Ok(());
        }
        match translate(artifact) {
            Ok(()) => Ok(()),
            // Older than the PTX, above all.
            Err(error) if self.cubin == Cubins::Auto => {
                *none = Some(error.to_string());
                Ok(())
            }
            Err(error) => Err(Failure::Target(error.to_string())),
        }
    }

    /// Whether no knob is given, so that tuning decides.
    fn leaves_knobs(&self, kernel: &Kernel, given: &BTreeMap<String, String>) -> bool {
        let is_given = |generic: &GenericData| {
            matches!(generic.kind, GenericKind::Knob(_)) && given.contains_key(&generic.name)
        };
        !self.settings.sets_gpu_knobs()
            && !self.settings.leaves_out_passes()
            && !kernel.generics.values().any(is_given)
    }

    /// Of the targets the one whose code the GPU of a record takes.
    fn target_for(&self, record: &Record) -> Option<&str> {
        let number = |word: &str| word.strip_prefix("sm_")?.parse::<u32>().ok();
        let gpu = record.device.split_whitespace().find_map(number)?;
        let runs = self.target.iter().filter(|target| number(target).is_some_and(|n| n <= gpu));
        runs.max_by_key(|target| number(target)).map(String::as_str)
    }

    /// What to build of a combination: for each target its own knobs, then those that tuning found.
    fn wanted<'a>(
        &'a self,
        kernel: &Kernel,
        binding: &Specialisation,
        tuned: &[(&str, Record)],
    ) -> Vec<Wanted<'a>> {
        let mut all = Vec::new();
        for target in &self.target {
            let (gpu, tuned_for) = (BTreeMap::new(), Vec::new());
            all.push(Wanted { binding: binding.clone(), gpu, target, tuned_for });
            let mut by_knobs: BTreeMap<_, Vec<String>> = BTreeMap::new();
            for (_, record) in tuned.iter().filter(|(of, _)| of == target) {
                let text = format!("{} on {}", record.bucket, record.device);
                by_knobs.entry(&record.knobs).or_default().push(text);
            }
            for (knobs, tuned_for) in by_knobs {
                let (own, gpu): (BTreeMap<_, _>, _) =
                    knobs.clone().into_iter().partition(|(name, _)| kernel.declares(name));
                let mut binding = binding.clone();
                binding.ints.extend(own);
                all.push(Wanted { binding, gpu, target, tuned_for });
            }
        }
        all
    }

    /// Why there can be no machine code, unless it has to be.
    fn no_cubins(&self) -> Result<Option<String>, Failure> {
        match (self.cubin, tools::find("ptxas")) {
            (Cubins::Never, _) | (_, Ok(_)) => Ok(None),
            (Cubins::Auto, Err(error)) => Ok(Some(error.to_string())),
            (Cubins::Always, Err(error)) => Err(Failure::Usage(error.to_string())),
        }
    }

    /// A file beside the one to write: either all of it comes to be there, or nothing.
    fn new_file(&self) -> Result<NamedTempFile, Failure> {
        let folder = match self.output.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        // What the user's mask leaves of it, as for any file, and not for the owner alone.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(folder).map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &std::io::Error) -> Failure {
        Failure::Usage(format!("{}: {error}", self.output.display()))
    }

    /// Every choice of one value for each name.
    fn combinations(&self) -> Result<Vec<BTreeMap<String, String>>, Failure> {
        let mut all =
            vec![self.settings.knobs()?.into_iter().map(|(n, v)| (n, v.to_string())).collect()];
        for text in &self.generics {
            let Some((name, values)) = text.split_once('=') else {
                return Err(Failure::Usage(format!("`{text}` lacks `=`; write NAME=VALUE")));
            };
            let mut next = Vec::new();
            for given in all {
                let given: BTreeMap<String, String> = given;
                if given.contains_key(name) {
                    return Err(Failure::Usage(format!("`{name}` is given twice")));
                }
                for value in values.split(',') {
                    let mut given = given.clone();
                    given.insert(name.to_owned(), value.trim().to_owned());
                    next.push(given);
                }
            }
            all = next;
        }
        Ok(all)
    }
}

/// What was built.
#[derive(Default)]
struct Packed {
    artifacts: Vec<Artifact>,
    records: Vec<Record>,
    rows: Vec<Row>,
    /// Why there are no cubins, where there were to be some.
    no_cubins: Option<String>,
}

/// A kernel and what its generic parameters are.
struct Bound<'k> {
    kernel: &'k Kernel,
    binding: Specialisation,
    /// Whether no knob is given, so that tuning decides.
    is_free: bool,
}

/// Code to be made.
struct Wanted<'a> {
    /// Types, constants, and the kernel's own knobs.
    binding: Specialisation,
    /// Knobs that every GPU kernel has.
    gpu: BTreeMap<String, i64>,
    target: &'a str,
    /// What tuning found these knobs for.
    tuned_for: Vec<String>,
}

/// What code may take for granted of tensors, from most to nothing.
const ASSUMED: [TensorFacts; 3] = [
    TensorFacts::ALL,
    TensorFacts { packed_rows: false, ..TensorFacts::ALL },
    TensorFacts { rows_of_16_bytes: false, packed_rows: false },
];

/// PTX for tensors of which more and more is known; inside, why the target has no room.
fn build(
    kernel: &Kernel,
    wanted: &Wanted<'_>,
    options: &Options,
    compiler: &tilec_ptx::Compiler,
) -> Result<Result<Artifact, String>, Failure> {
    let mut tiles = tilec_driver::compile(kernel, &wanted.binding, options)?;
    // The compiler to PTX reads them there; the kernel does not.
    tiles.specialisation.ints.extend(wanted.gpu.clone());
    let mut variants: Vec<PtxCode> = Vec::new();
    for assumed in ASSUMED {
        let of = |param: &ParamSpec| match param.kind {
            ParamKind::Tensor { .. } => assumed,
            ParamKind::Scalar(_) => TensorFacts::default(),
        };
        let facts: Vec<TensorFacts> = tiles.contract.params.iter().map(of).collect();
        match compiler.compile(&tiles, &facts, wanted.target) {
            Ok(code) => {
                // Where nothing is gained by taking more for granted, this one will do for both.
                variants.retain(|other| other.text != code.text);
                variants.push(code);
            }
            Err(RuntimeError::Device { message, .. } | RuntimeError::NoRoom { message, .. }) => {
                return Ok(Err(message));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Ok(Artifact { payload: Payload::Ptx(variants), ..tiles }))
}

/// Adds machine code to each variant, or to none.
fn translate(artifact: &mut Artifact) -> Result<(), ToolError> {
    let Payload::Ptx(variants) = &mut artifact.payload else { return Ok(()) };
    let cubin = |code: &PtxCode| Ok(Cubin(tools::assemble(&code.text, &code.target)?.cubin));
    let cubins: Vec<Cubin> = variants.iter().map(cubin).collect::<Result<_, _>>()?;
    for (code, cubin) in variants.iter_mut().zip(cubins) {
        code.cubin = Some(cubin);
    }
    Ok(())
}

fn row(kernel: &Kernel, wanted: Wanted<'_>, built: &Result<Artifact, String>) -> Row {
    let Wanted { mut binding, gpu, target, tuned_for } = wanted;
    binding.ints.extend(gpu);
    let variants = match built.as_ref().map(|artifact| &artifact.payload) {
        Ok(Payload::Ptx(variants)) => &variants[..],
        _ => &[],
    };
    let first = variants.first();
    Row {
        kernel: kernel.name.clone(),
        specialisation: binding.to_string(),
        target: target.to_owned(),
        threads: first.map_or(0, |code| code.threads),
        shared_bytes: first.map_or(0, |code| code.shared_bytes),
        tuned_for,
        cubin_bytes: variants.iter().flat_map(|code| &code.cubin).map(|cubin| cubin.0.len()).sum(),
        left_out: built.as_ref().err().cloned(),
    }
}

fn print(report: &Report) -> Outcome {
    let cells = |row: &Row| {
        let number = |n: u32| if row.left_out.is_some() { "-".to_owned() } else { n.to_string() };
        vec![
            row.kernel.clone(),
            row.specialisation.clone(),
            row.target.clone(),
            number(row.threads),
            number(row.shared_bytes),
            number(u32::try_from(row.cubin_bytes).unwrap_or(u32::MAX)),
            match &row.left_out {
                Some(why) => format!("left out: {why}"),
                None if row.tuned_for.is_empty() => String::new(),
                None => format!("tuned for {}", row.tuned_for.join("; ")),
            },
        ]
    };
    let head = ["kernel", "for", "target", "threads", "shared bytes", "cubin bytes", ""];
    let table = output::table(&head, &[3, 4, 5], report.rows.iter().map(cells).collect());
    let note = report.no_cubins.as_ref().map_or(String::new(), |why| {
        format!("no cubins: {why}; a GPU's driver translates the PTX at the first launch\n")
    });
    output::print(&format!("{table}\n{}: {} bytes\n{note}", report.file, report.bytes))
}
