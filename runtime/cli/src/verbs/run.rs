//! `tilec run`: a kernel on arguments given by name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use tilec_host::{Argument, Arguments, Device, Elements, Launch, Tensor, files, launch};
use tilec_ir::Kernel;
use tilec_vocab::{Contract, ParamKind};

use crate::args::{Assignment, OutputFile};
use crate::counts::Counts;
use crate::expect::{self, Compared, Expect};
use crate::failure::{Failure, Outcome};
use crate::hints::{self, At, Hinted};
use crate::kept;
use crate::output::{self, Talk};
use crate::prepare::{Prepared, prepare, read_arguments};
use crate::records;
use crate::settings::Settings;
use crate::source::{front, kernel};
use crate::summary::Summary;
use crate::target::{self, Target};
use crate::watchdog;

/// Run a kernel on arguments given by name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Arguments:
  scale=0.125 causal=true window=128           numbers; inf and -inf too
  q=q.npy k=in.safetensors:k v=in.npz:v        tensors from files
  q=randn(1,8,1024,64):f16@7                   normal numbers, type f16, seed 7
  zeros(2,4) ones(2,4) arange(16)              further made-up tensors; without :type they take
  uniform(8,1..100):i32@3                      the parameter's, without @seed one from its name

A tensor the kernel writes may be left out: it is made, full of NaN, in the shape that the other
arguments give it.

Examples:
  tilec run causal.tile q=randn(1,8,1024,64):f16 k=randn(1,8,1024,64):f16 \\
      v=randn(1,8,1024,64):f16 scale=0.125
  tilec run flash.tile -k flash_forward q=q.npy k=kv.safetensors:k v=kv.safetensors:v \\
      scale=0.125 --knob BM=128 -o o=o.npy -o lse=out.npz:lse
  tilec run causal.tile q=in.npz:q k=in.npz:k v=in.npz:v scale=0.125 --expect o=out.npz:o \\
      --tolerance 1e-4
  tilec run causal.tile … --repeat 20 --warmup 3 --json
  tilec run causal.tile … --device sim --stats")]
pub struct Args {
    /// The file; - is the standard input
    file: PathBuf,

    /// Arguments of the kernel
    #[arg(value_name = "NAME=VALUE")]
    arguments: Vec<Assignment>,

    /// The kernel, where the file has several
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,

    /// Where to run: cpu, interp, cuda, cuda:N, sim
    #[arg(long, value_name = "DEVICE", default_value_t = target::default(), env = "TILEC_DEVICE")]
    device: Target,

    /// Write an output to a file: .npy, or .npz or .safetensors with or without :ENTRY
    #[arg(short, long = "output", value_name = "NAME=FILE")]
    outputs: Vec<OutputFile>,

    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    expect: Expect,

    /// Run so many times and report the median
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,

    /// Run so many times before
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup: u32,

    /// How many threads to use
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,

    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = watchdog::parse_seconds)]
    timeout: Option<Duration>,

    /// Count instructions and memory traffic, on the simulator
    #[arg(long)]
    stats: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    kernel: String,
    device: String,
    specialisation: BTreeMap<String, String>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    compared: Vec<Compared>,
    stages_ns: BTreeMap<&'static str, u64>,
    times_ns: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

#[derive(Serialize)]
struct Input {
    name: String,
    what: String,
    from: String,
}

#[derive(Serialize)]
struct Output {
    name: String,
    #[serde(flatten)]
    summary: Summary,
    file: Option<String>,
}

impl Args {
    /// Compiles, runs, reports.
    pub fn run(self, talk: Talk) -> Outcome {
        watchdog::start(self.timeout, talk);
        // What can be known to fail is found before the work, not after.
        let (threads, gpu) = (self.threads.map(Into::into), self.settings.gpu()?);
        let store = kept::store(talk);
        let counting = match self.stats {
            true => Some(self.device.counting(threads, &gpu, store.clone())?),
            false => None,
        };
        let opened;
        let device: &dyn Device = match &counting {
            Some(simulator) => simulator,
            None => {
                opened = self.device.keeping(threads, &gpu, store.clone())?;
                opened.as_ref()
            }
        };
        let options = self.settings.options()?;
        for output in &self.outputs {
            files::check_writable(&output.place.path)?;
        }

        watchdog::stage("front end");
        let front = front(&self.file, talk)?;
        let kernel = kernel(front.module(&self.file)?, self.kernel.as_deref())?;
        let parse = front.parse_time();

        watchdog::stage("arguments");
        let start = Instant::now();
        let mut args = read_arguments(kernel, &self.arguments)?;
        let reading = start.elapsed();

        watchdog::stage("passes");
        let start = Instant::now();
        let prepared = prepare(kernel, &mut args, &self.settings.knobs()?)?;
        let at = At { device: &device.info(), store: store.as_ref(), talk };
        let hinted = self.hinted(kernel, &mut args, prepared, &at)?;
        self.check_outputs(hinted.prepared.launch.contract())?;
        let stored = self.expect.read(&written(hinted.prepared.launch.contract()))?;
        let artifact = hinted.compile(kernel, &options)?;
        let Prepared { made, launch: bound, .. } = hinted.prepared;
        let binding = &artifact.specialisation;
        let passes = start.elapsed();

        watchdog::stage("code generation");
        let start = Instant::now();
        let executable = device.load(&artifact)?;
        let code = start.elapsed();
        let stages = executable.stages();
        if !stages.is_empty() {
            let each: Vec<String> = stages
                .iter()
                .map(|(name, time)| format!("{name} {}", output::time(*time)))
                .collect();
            talk.detail(format!("code: {}", each.join(", ")));
        }

        watchdog::stage("run");
        let kept = self.keep(&bound, &made)?;
        let mut times = Vec::new();
        for round in 0..u64::from(self.warmup) + u64::from(self.repeat) {
            for (tensor, values) in &kept {
                tensor.write(values)?;
            }
            let start = Instant::now();
            launch(executable.as_ref(), &bound)?;
            if round >= u64::from(self.warmup) {
                times.push(start.elapsed());
            }
        }

        watchdog::stage("outputs");
        let outputs = self.write_outputs(&bound)?;
        let compared = self.expect.compare(&stored, &bound)?;
        let stages = [
            ("arguments", reading),
            ("parse", parse),
            ("sema", front.time.saturating_sub(parse)),
            ("passes", passes),
            ("code", code),
            ("run", median(&times)),
        ];
        let counts = counting.as_ref().and_then(tilec_sim::SimDevice::stats);
        let report = Report {
            schema: "tilec.run/1",
            kernel: kernel.name.clone(),
            device: device.info().name,
            specialisation: binding
                .dtypes
                .iter()
                .map(|(name, dtype)| (name.clone(), dtype.to_string()))
                .chain(binding.ints.iter().map(|(name, value)| (name.clone(), value.to_string())))
                .collect(),
            inputs: self.inputs(&args),
            outputs,
            compared,
            stages_ns: stages.iter().map(|&(name, time)| (name, nanoseconds(time))).collect(),
            times_ns: times.iter().map(|&time| nanoseconds(time)).collect(),
            counts: counts.as_ref().map(Counts::of),
        };
        if self.json {
            output::print_json(&report)?;
        } else {
            let counts = counts.map(|stats| format!("\n{stats}")).unwrap_or_default();
            output::print(&(human(&report, &stages, &times) + &counts))?;
        }
        expect::verdict(&report.compared)
    }

    /// The launch with the knobs that it should take, unless some were given.
    fn hinted(
        &self,
        kernel: &Kernel,
        args: &mut Arguments,
        prepared: Prepared,
        at: &At<'_>,
    ) -> Result<Hinted, Failure> {
        let given = self.settings.knobs()?;
        let is_set = records::sets_a_knob(kernel, &given) || self.settings.sets_gpu_knobs();
        match is_set || self.settings.leaves_out_passes() {
            true => Ok(Hinted::none(prepared)),
            false => hints::choose(kernel, args, prepared, &given, at),
        }
    }

    /// `-o` names tensors the kernel writes, each file holds each name once, and can hold the type.
    fn check_outputs(&self, contract: &Contract) -> Outcome {
        let mut places: Vec<(&PathBuf, &str)> = Vec::new();
        for output in &self.outputs {
            let name = &output.name;
            let written = contract.params.iter().find_map(|param| match &param.kind {
                ParamKind::Tensor { dtype, mutable: true, .. } if param.name == *name => {
                    Some(*dtype)
                }
                _ => None,
            });
            let Some(dtype) = written else {
                let message = format!("kernel `{}` writes no tensor `{name}`", contract.kernel);
                return Err(Failure::Usage(message));
            };
            let path = &output.place.path;
            if !files::Format::of(path)?.holds(dtype) {
                let message = format!(
                    "{}: NumPy's formats have no {dtype}; use .safetensors",
                    path.display()
                );
                return Err(Failure::Usage(message));
            }
            let place = (path, output.place.entry.as_deref().unwrap_or(name));
            let is_npy = files::Format::of(path)? == files::Format::Npy;
            if places.iter().any(|&other| other == place || (is_npy && other.0 == path)) {
                let message = format!("{}: two outputs for one place", path.display());
                return Err(Failure::Usage(message));
            }
            places.push(place);
        }
        Ok(())
    }

    /// Contents to restore before each run: of outputs that came with some, if they run repeatedly.
    fn keep(&self, bound: &Launch, made: &[String]) -> Result<Vec<(Tensor, Elements)>, Failure> {
        if self.warmup == 0 && self.repeat == 1 {
            return Ok(Vec::new());
        }
        let given = bound
            .tensors()
            .filter(|(name, _, written)| *written && !made.iter().any(|made| made == name));
        given.map(|(_, tensor, _)| Ok((tensor.clone(), tensor.read()?))).collect()
    }

    fn write_outputs(&self, bound: &Launch) -> Result<Vec<Output>, Failure> {
        let mut by_file: BTreeMap<&PathBuf, Vec<(&str, &Tensor)>> = BTreeMap::new();
        let mut reports = Vec::new();
        for (name, tensor, written) in bound.tensors() {
            if !written {
                continue;
            }
            let output = self.outputs.iter().filter(|output| output.name == name);
            let mut file = None;
            for OutputFile { place, .. } in output {
                let entry = place.entry.as_deref().unwrap_or(name);
                by_file.entry(&place.path).or_default().push((entry, tensor));
                file = Some(place.path.display().to_string());
            }
            reports.push(Output { name: name.to_owned(), summary: Summary::of(tensor)?, file });
        }
        for (path, tensors) in by_file {
            files::write(path, &tensors)?;
        }
        Ok(reports)
    }

    fn inputs(&self, args: &Arguments) -> Vec<Input> {
        let describe = |argument: &Argument| match argument {
            Argument::Tensor(tensor) => format!("{}{:?}", tensor.dtype(), tensor.shape()),
            Argument::Number(number) => number.to_string(),
        };
        let input = |assignment: &Assignment| Input {
            name: assignment.name.clone(),
            what: args.get(&assignment.name).map(describe).unwrap_or_default(),
            from: assignment.text.clone(),
        };
        self.arguments.iter().map(input).collect()
    }
}

fn human(report: &Report, stages: &[(&'static str, Duration)], times: &[Duration]) -> String {
    let specialisation: Vec<String> =
        report.specialisation.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut text =
        format!("{}  {}  on {}\n\n", report.kernel, specialisation.join(" "), report.device);
    let inputs = report.inputs.iter();
    let rows = inputs.map(|input| vec![input.name.clone(), input.what.clone(), input.from.clone()]);
    text += &output::table(&["argument", "value", "from"], &[], rows.collect());
    let rows = report.outputs.iter().map(|output| {
        [vec![output.name.clone(), output.summary.ty()], output.summary.cells()].concat()
    });
    let head = ["output", "type", "min", "max", "mean", "NaN", "first values"];
    text += "\n";
    text += &output::table(&head, &[2, 3, 4, 5], rows.collect());
    if !report.compared.is_empty() {
        text += "\n";
        text += &expect::table(&report.compared);
    }
    let stages: Vec<String> =
        stages.iter().map(|&(name, time)| format!("{name} {}", output::time(time))).collect();
    text += &format!("\ntime  {}", stages.join("  "));
    if let (Some(least), Some(most)) = (times.iter().min(), times.iter().max())
        && times.len() > 1
    {
        let (least, most) = (output::time(*least), output::time(*most));
        text += &format!("  (median of {}, {least} to {most})", times.len());
    }
    text + "\n"
}

/// Tensors the kernel writes.
fn written(contract: &Contract) -> Vec<&str> {
    let params = contract.params.iter();
    params
        .filter(|param| matches!(param.kind, ParamKind::Tensor { mutable: true, .. }))
        .map(|param| param.name.as_str())
        .collect()
}

/// The middle one; of an even number the earlier of the two.
fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
