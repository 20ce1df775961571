//! `tilec doctor`: whether everything is in order here, and what is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tilec_driver::Options;
use tilec_host::random::{Fill, filled};
use tilec_host::{Arguments, Device, Elements, launch};
use tilec_kernels::{FILES, LibraryFile};
use tilec_vocab::{DType, Sources};

use crate::failure::{Failure, Outcome};
use crate::loader::FolderLoader;
use crate::output;
use crate::prepare::prepare;
use crate::target::{self, Target};

/// Look whether everything is in order, and say what is not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Fails with exit code 5 if tilec itself does not work here; devices that are not there are only told of.

Examples:
  tilec doctor
  tilec doctor --json")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    name: String,
    status: Status,
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// In order.
    Ok,
    /// Not there.
    Missing,
    /// Does not work.
    Failed,
}

impl Check {
    fn new(name: impl Into<String>, status: Status, detail: impl Into<String>) -> Check {
        Check { name: name.into(), status, detail: detail.into() }
    }
}

impl Args {
    /// Looks and reports.
    pub fn run(self) -> Outcome {
        let tilec = format!("version {}", env!("CARGO_PKG_VERSION"));
        let mut checks = vec![Check::new("tilec", Status::Ok, tilec), library()];
        checks.extend(target::all().map(device));
        checks.push(found(
            "gpu driver",
            first_existing(&["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"]),
            "no NVIDIA driver is loaded",
        ));
        checks.push(found(
            "ptxas",
            on_path("ptxas"),
            "not in PATH; it comes with the CUDA toolkit",
        ));
        let failed = checks.iter().filter(|check| check.status == Status::Failed).count();
        if self.json {
            output::print_json(&Report { schema: "tilec.doctor/1", checks })?;
        } else {
            let row = |check: &Check| {
                let status = match check.status {
                    Status::Ok => "ok",
                    Status::Missing => "--",
                    Status::Failed => "FAILED",
                };
                vec![check.name.clone(), status.to_owned(), check.detail.clone()]
            };
            output::print_table(
                &["what", "state", "detail"],
                &[],
                checks.iter().map(row).collect(),
            )?;
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::Bug(format!("{} failed", output::count(failed, "check")))),
        }
    }
}

/// Every file of the library goes through the front end.
fn library() -> Check {
    let broken: Vec<&str> =
        FILES.iter().filter(|file| module(file).is_err()).map(|file| file.name).collect();
    let (status, detail) = match broken.as_slice() {
        [] => (Status::Ok, format!("{} files", FILES.len())),
        _ => (Status::Failed, format!("errors in {}", broken.join(", "))),
    };
    Check::new("library", status, detail)
}

/// A device is there and adds two vectors right.
fn device(target: Target) -> Check {
    let name = target.to_string();
    if let Some(missing) = target.missing() {
        return Check::new(name, Status::Missing, missing);
    }
    let result = target.open(None, &tilec_ptx::Options::default()).and_then(|device| {
        self_test(device.as_ref())?;
        Ok(device.info())
    });
    match result {
        Ok(info) => {
            let units = output::count(info.units, "unit");
            let detail = [info.model, units, info.features.join(" ")];
            let detail = detail.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>();
            Check::new(name, Status::Ok, detail.join(", "))
        }
        Err(failure) => Check::new(name, Status::Failed, failure.to_string()),
    }
}

fn found(name: &str, place: Option<PathBuf>, missing: &str) -> Check {
    match place {
        Some(place) => Check::new(name, Status::Ok, place.display().to_string()),
        None => Check::new(name, Status::Missing, missing),
    }
}

/// The library's vector addition on a device, against plain Rust.
fn self_test(device: &dyn Device) -> Outcome {
    let wrong = |what: &str| Failure::Bug(what.to_owned());
    let file = tilec_kernels::find("vector_add").ok_or_else(|| wrong("no kernel to test with"))?;
    let module = module(file)?;
    let kernel = module.kernels.first().ok_or_else(|| wrong("no kernel to test with"))?;
    // One element more than any block holds a multiple of.
    const LEN: i64 = 4097;
    let x = filled(Fill::Normal { seed: 1 }, DType::F32, &[LEN])?;
    let y = filled(Fill::Normal { seed: 2 }, DType::F32, &[LEN])?;
    let mut args = Arguments::new();
    args.insert("x", &x);
    args.insert("y", &y);
    let prepared = prepare(kernel, &mut args, &BTreeMap::new())?;
    let artifact = tilec_driver::compile(kernel, &prepared.binding, &Options::default())?;
    let executable = device.load(&artifact)?;
    launch(executable.as_ref(), &prepared.launch)?;
    let sum = x.to_f64s()?.into_iter().zip(y.to_f64s()?).map(|(x, y)| DType::F32.round(x + y));
    let expected = Elements::Floats(sum.collect());
    let outputs = prepared.launch.tensors().filter(|&(_, _, written)| written);
    for (name, tensor, _) in outputs {
        if tensor.read()? != expected {
            return Err(wrong(&format!("`{name}` of vector_add is wrong")));
        }
    }
    Ok(())
}

fn module(file: &LibraryFile) -> Result<tilec_ir::Module<tilec_ir::Tile>, Failure> {
    let mut sources = Sources::default();
    let root = sources.add(file.name, file.text);
    let loader = FolderLoader::library();
    let (module, diagnostics) = tilec_driver::front(root, &mut sources, &loader);
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    module.filter(|_| errors == 0).ok_or_else(|| {
        Failure::Bug(format!("{} in library {}", output::count(errors, "error"), file.name))
    })
}

fn first_existing(paths: &[&str]) -> Option<PathBuf> {
    paths.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
