//! `tilec check`: whether files mean anything, without running them.

use std::path::PathBuf;

use serde::Serialize;
use tilec_ir::{GenericKind, Kernel, ParamType};

use crate::failure::{Failure, Outcome};
use crate::output::{self, Talk, count};
use crate::source::{front, tile_files};

/// Check .tile files and show what is wrong with them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tilec check my_attention.tile
  tilec check kernels/                        every .tile file below
  tilec check --error-format json a.tile      one JSON object a line, on stderr
  tilec check --json a.tile                   what the file holds, on stdout")]
pub struct Args {
    /// Files and folders; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Take warnings for errors
    #[arg(long)]
    deny_warnings: bool,

    /// Print what the files hold as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    file: String,
    errors: usize,
    warnings: usize,
    kernels: Vec<KernelReport>,
}

#[derive(Serialize)]
struct KernelReport {
    name: String,
    generics: Vec<GenericReport>,
    params: Vec<ParamReport>,
    spec: bool,
}

#[derive(Serialize)]
struct GenericReport {
    name: String,
    kind: String,
    choices: Vec<i64>,
}

#[derive(Serialize)]
struct ParamReport {
    name: String,
    written: bool,
    tensor: bool,
    rank: usize,
}

impl Args {
    /// Checks each file; fails after the last if any had errors.
    pub fn run(self, talk: Talk) -> Outcome {
        let paths = tile_files(&self.files)?;
        let mut files = Vec::new();
        for path in &paths {
            let result = front(path, talk);
            let name = path.display().to_string();
            let (errors, warnings, kernels) = match &result {
                Ok(front) => {
                    talk.detail(format!("{name}: front end {}", output::time(front.time)));
                    let module = front.module.as_ref();
                    let kernels = module.map_or(Vec::new(), |module| {
                        let has_spec = |kernel: &Kernel| module.spec(&kernel.name).is_some();
                        module.kernels.iter().map(|k| describe(k, has_spec(k))).collect()
                    });
                    (front.errors, front.warnings, kernels)
                }
                // One file that cannot be read does not keep the others from being looked at.
                Err(failure @ Failure::Source(_)) => {
                    talk.fail(failure);
                    (1, 0, Vec::new())
                }
                Err(failure) => return Err(failure.clone()),
            };
            files.push(FileReport { file: name, errors, warnings, kernels });
        }
        let errors: usize = files.iter().map(|file| file.errors).sum();
        let warnings: usize = files.iter().map(|file| file.warnings).sum();
        if self.json {
            output::print_json(&Report { schema: "tilec.check/1", files })?;
        }
        let text = format!(
            "{} in {}",
            [count(errors, "error"), count(warnings, "warning")].join(", "),
            count(paths.len(), "file")
        );
        if errors > 0 || (self.deny_warnings && warnings > 0) {
            return Err(Failure::Source(text));
        }
        talk.say(text);
        Ok(())
    }
}

fn describe(kernel: &Kernel, spec: bool) -> KernelReport {
    let generics = kernel.generics.values().map(|generic| {
        let (kind, choices) = match &generic.kind {
            GenericKind::DType(class) => (class.name().to_owned(), Vec::new()),
            GenericKind::Const => ("const".to_owned(), Vec::new()),
            GenericKind::Knob(choices) => ("knob".to_owned(), choices.clone()),
        };
        GenericReport { name: generic.name.clone(), kind, choices }
    });
    let params = kernel.params.values().map(|param| {
        let (tensor, written, rank) = match &param.ty {
            ParamType::Tensor { dims, mutable, .. } => (true, *mutable, dims.len()),
            ParamType::Scalar(_) => (false, false, 0),
        };
        ParamReport { name: param.name.clone(), written, tensor, rank }
    });
    let (generics, params) = (generics.collect(), params.collect());
    KernelReport { name: kernel.name.clone(), generics, params, spec }
}
