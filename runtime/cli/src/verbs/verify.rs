//! `tilec verify`: kernels against their specs, over the shapes at which tiled code goes wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde::Serialize;
use tilec_driver::CompileError;
use tilec_host::{Device, RuntimeError};
use tilec_ir::{GenericKind, Kernel, Module, Precision, Tile};
use tilec_verify::{CaseError, Judged, Plan, Row, What};
use tilec_vocab::{Bug, DType};

use crate::args::parse_dtype;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Talk, count};
use crate::settings::Settings;
use crate::source::{front, tile_files};
use crate::summary::{precise, short};
use crate::target::{self, Target};
use crate::watchdog;

/// Run kernels against their specs over many shapes, and report the largest error of each
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each kernel runs on random arguments in f32, f16 and bf16: extents of 1, a tile less one, a tile,
a tile and one, primes and nothing at all; unequal lengths, grouped heads, strided views. Its spec
runs in f64, and once more rounded after every operation. An output passes if its largest error is
at most twice that of the second, plus 1e-5. A case that fails is shrunk. Where a device has no room for
the knobs of a case, it runs with smaller ones, unless they are given.

Examples:
  tilec verify my_attention.tile
  tilec verify kernels/ --quick
  tilec verify kernels/ --device sim --dtype f32 --precision tf32 --knob stages=3
  tilec verify my_attention.tile -k forward --dtype f16 --knob BM=128 --cases 100 --seed 7
  tilec verify kernels/attention/causal.tile --device interp --without hoist --json")]
pub struct Args {
    /// Files and folders; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Only this kernel
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,

    /// Where to run: cpu, interp, cuda, cuda:N, sim; may be given several times. Without it, on every
    /// processor that is there
    #[arg(long = "device", value_name = "DEVICE", env = "TILEC_DEVICE")]
    devices: Vec<Target>,

    /// Only this element type, of the generic ones; may be given several times
    #[arg(long = "dtype", value_name = "DTYPE", value_parser = parse_dtype)]
    dtypes: Vec<DType>,

    /// Cases for each kernel and element type
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,

    /// An eighth of the cases: one specialisation of each kernel
    #[arg(long)]
    quick: bool,

    /// Draw other cases
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Products of f32 in this precision, whatever the kernel asks for: ieee, tf32, tf32x3
    #[arg(long, value_name = "PRECISION", value_parser = parse_precision)]
    precision: Option<Precision>,

    #[command(flatten)]
    settings: Settings,

    /// How many threads to use
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,

    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = watchdog::parse_seconds)]
    timeout: Option<Duration>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    passed: bool,
    rows: Vec<RowReport>,
}

/// One kernel in one choice of element types on one device.
#[derive(Serialize)]
struct RowReport {
    file: String,
    kernel: String,
    dtypes: String,
    device: String,
    cases: usize,
    /// Further cases for which the device has no room, whatever the knobs.
    unfit: usize,
    passed: bool,
    /// For each output the error that came closest to its bound; the one that is wrong, where one is.
    outputs: Vec<Worst>,
    /// Why a case could not be run.
    error: Option<String>,
    /// Of all rows of this kernel together.
    time_ns: u64,
}

#[derive(Serialize)]
struct Worst {
    output: String,
    /// Largest error; `null` where NaN or an infinity is out of place.
    error_max: Option<f64>,
    allowed: f64,
    position: Vec<i64>,
    got: String,
    expected: String,
    beyond: usize,
    case: String,
}

impl Args {
    /// Verifies each kernel of each file that has a spec.
    pub fn run(self, talk: Talk) -> Outcome {
        watchdog::start(self.timeout, talk);
        let threads = self.threads.map(Into::into);
        let targets =
            if self.devices.is_empty() { target::present() } else { self.devices.clone() };
        let gpu = self.settings.gpu()?;
        let devices = targets
            .iter()
            .map(|target| target.open(threads, &gpu))
            .collect::<Result<Vec<_>, _>>()?;
        let devices: Vec<&dyn Device> = devices.iter().map(AsRef::as_ref).collect();
        let plan = Plan {
            cases: if self.quick { self.cases.div_ceil(8) } else { self.cases } as usize,
            seed: self.seed,
            dtypes: self.dtypes.clone(),
            fixed: self.settings.knobs()?,
            options: self.settings.options()?,
            threads,
        };
        let paths = tile_files(&self.files)?;
        watchdog::stage("front end");
        let modules = paths
            .iter()
            .map(|path| {
                let mut module = front(path, talk)?.module(path)?.clone();
                if let Some(precision) = self.precision {
                    let kernels = std::mem::take(&mut module.kernels).into_iter();
                    module.kernels = kernels.map(|k| k.with_precision(precision)).collect();
                }
                Ok((path, module))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let kernels = modules.iter().flat_map(|(_, module)| &module.kernels);
        let kernels: Vec<&Kernel> = kernels.filter(|kernel| self.wants(kernel)).collect();
        check_settings(&plan.fixed, &kernels)?;

        watchdog::stage("verification");
        let mut rows = Vec::new();
        let mut found = false;
        for (path, module) in &modules {
            found |= self.file(path, module, &devices, &plan, talk, &mut rows)?;
        }
        if let (Some(name), false) = (&self.kernel, found) {
            return Err(Failure::Usage(format!("there is no kernel `{name}`")));
        }
        if rows.is_empty() {
            return Err(Failure::Usage("nothing to verify: no kernel has a spec".to_owned()));
        }
        let wrong = rows.iter().filter(|row| !row.passed).count();
        let text = format!("{wrong} of {} failed", count(rows.len(), "row"));
        let report = Report { schema: "tilec.verify/1", passed: wrong == 0, rows };
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(&human(&report.rows))?;
        }
        if wrong > 0 { Err(Failure::Verification(text)) } else { Ok(()) }
    }

    fn wants(&self, kernel: &Kernel) -> bool {
        self.kernel.as_ref().is_none_or(|name| *name == kernel.name)
    }

    /// Whether the kernel asked for is in this file; kernels without a spec are only told of.
    fn file(
        &self,
        path: &Path,
        module: &Module<Tile>,
        devices: &[&dyn Device],
        plan: &Plan,
        talk: Talk,
        rows: &mut Vec<RowReport>,
    ) -> Result<bool, Failure> {
        let mut found = false;
        for kernel in &module.kernels {
            if !self.wants(kernel) {
                continue;
            }
            found = true;
            let Some(spec) = module.spec(&kernel.name) else {
                talk.say(format!("{}: kernel `{}` has no spec", path.display(), kernel.name));
                continue;
            };
            let bar = progress(tilec_verify::count(kernel, plan), &kernel.name, talk);
            let start = Instant::now();
            let result = tilec_verify::verify(kernel, spec, devices, plan, &|| bar.inc(1));
            bar.finish_and_clear();
            let kernel_rows = result.map_err(|refusal| {
                Failure::Usage(format!("{}: kernel `{}`: {refusal}", path.display(), kernel.name))
            })?;
            let time = start.elapsed();
            talk.detail(format!("{} {}", kernel.name, output::time(time)));
            for row in kernel_rows {
                rows.push(RowReport::new(path, row, time)?);
            }
        }
        Ok(found)
    }
}

fn parse_precision(name: &str) -> Result<Precision, String> {
    Precision::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Precision::ALL.iter().map(|precision| precision.name()).collect();
        format!("there is no precision `{name}`; there are {}", known.join(", "))
    })
}

/// Each setting must mean something to one of the kernels, and be a choice of its knob.
fn check_settings(settings: &BTreeMap<String, i64>, kernels: &[&Kernel]) -> Outcome {
    for (name, value) in settings {
        let mut known = false;
        for kernel in kernels {
            known |= kernel.dims.values().any(|dim| dim.name == *name);
            for generic in kernel.generics.values().filter(|generic| generic.name == *name) {
                known |= !matches!(generic.kind, GenericKind::DType(_));
                if let GenericKind::Knob(choices) = &generic.kind
                    && !choices.contains(value)
                {
                    let message = format!(
                        "--knob {name}={value}: the choices of kernel `{}` are {choices:?}",
                        kernel.name
                    );
                    return Err(Failure::Usage(message));
                }
            }
        }
        if !known {
            let message = format!(
                "--knob {name}={value}: no kernel has a knob, constant or dimension `{name}`"
            );
            return Err(Failure::Usage(message));
        }
    }
    Ok(())
}

impl RowReport {
    /// A bug of the compiler is no result of a verification, but a failure of its own.
    fn new(path: &Path, row: Row, time: Duration) -> Result<RowReport, Failure> {
        let passed = row.passed();
        let (outputs, error) = match row.failure {
            Some(failure) => {
                let numbers =
                    failure.numbers.iter().map(|(name, value)| format!("{name}={value} "));
                let case = numbers.collect::<String>() + &failure.case.to_string();
                match failure.what {
                    What::Wrong(judged) => (vec![Worst::new(&judged, case)], None),
                    What::Error(error) => {
                        let text = format!("{error}\n  case: {case}");
                        match bug(error) {
                            Some(bug) => return Err(bug.into()),
                            None => (Vec::new(), Some(text)),
                        }
                    }
                }
            }
            None => {
                let worst = |(case, judged): &(_, _)| Worst::new(judged, ToString::to_string(case));
                (row.closest.iter().map(worst).collect(), None)
            }
        };
        Ok(RowReport {
            file: path.display().to_string(),
            kernel: row.kernel,
            dtypes: row.dtypes,
            device: row.device,
            cases: row.cases,
            unfit: row.unfit,
            passed,
            outputs,
            error,
            time_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        })
    }

    /// Kernel, types and device.
    fn name(&self) -> String {
        let name = [self.kernel.as_str(), &self.dtypes, &self.device];
        name.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// A line for each output; what they share stands on the first.
    fn lines(&self) -> Vec<Vec<String>> {
        let result = if self.passed { "ok" } else { "FAILED" };
        let cases = self.cases.to_string();
        let shared = [&self.kernel, &self.dtypes, &self.device, &cases, result].map(str::to_owned);
        if self.outputs.is_empty() {
            let error = if self.error.is_some() { "error" } else { "-" };
            let rest = [error, "-", "-"].map(str::to_owned);
            return vec![shared.into_iter().chain(rest).collect()];
        }
        let line = |(n, worst): (usize, &Worst)| {
            let error = worst.error_max.map_or_else(|| "inf".to_owned(), short);
            let rest = [error, short(worst.allowed), worst.place()];
            let first = if n == 0 { shared.clone() } else { Default::default() };
            first.into_iter().chain(rest).collect()
        };
        self.outputs.iter().enumerate().map(line).collect()
    }
}

impl Worst {
    fn new(judged: &Judged, case: String) -> Worst {
        let Judged { output, comparison } = judged;
        Worst {
            output: output.clone(),
            error_max: Some(comparison.max_abs_error).filter(|error| error.is_finite()),
            allowed: comparison.bound,
            position: comparison.position.clone().unwrap_or_default(),
            got: precise(comparison.actual),
            expected: precise(comparison.expected),
            beyond: comparison.failures,
            case,
        }
    }

    /// `o[0, 1, 17]`
    fn place(&self) -> String {
        format!("{}{:?}", self.output, self.position)
    }
}

/// The table, and below it what is wrong with each row that failed.
fn human(rows: &[RowReport]) -> String {
    let head = ["kernel", "types", "device", "cases", "result", "error", "allowed", "position"];
    let mut text =
        output::table(&head, &[3, 5, 6], rows.iter().flat_map(RowReport::lines).collect());
    for row in rows.iter().filter(|row| row.passed && row.unfit > 0) {
        let cases = count(row.unfit, "case");
        text += &format!("\n{}: {}: no room for {cases} more\n", row.file, row.name());
    }
    for row in rows.iter().filter(|row| !row.passed) {
        text += &format!("\n{}: {}: ", row.file, row.name());
        if let Some(worst) = row.outputs.first() {
            let Worst { got, expected, beyond, case, .. } = worst;
            let beyond = count(*beyond, "element");
            let place = worst.place();
            text += &format!(
                "{place} is {got}, should be {expected}; {beyond} out of bounds\n  smallest case: {case}\n"
            );
        }
        if let Some(error) = &row.error {
            text += &format!("{error}\n");
        }
    }
    text
}

/// The bug behind an error, if it is one.
fn bug(error: CaseError) -> Option<Bug> {
    match error {
        CaseError::Compile(CompileError::Bug(bug)) | CaseError::Runtime(RuntimeError::Bug(bug)) => {
            Some(bug)
        }
        CaseError::Compile(_) | CaseError::Runtime(_) | CaseError::Oracle(_) => None,
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(cases: usize, kernel: &str, talk: Talk) -> ProgressBar {
    output::bar(cases, "{msg:24} {wide_bar} {pos}/{len}", talk).with_message(kernel.to_owned())
}
