//! `tilec tune`: finds the fastest knobs for a kernel and a shape, and remembers them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;
use tilec_cache::{Cache, default_root};
use tilec_host::{Device, Launch, bucket};
use tilec_ir::Kernel;
use tilec_tune::{
    GpuLaunch, Kind, Knobs, Limits, Outcome as Tried, Ranked, Reason, Row, Setup, Site, Step,
    Timing, Tuned, find, gpu_candidates, rank, shipped, show, store, tune,
};
use tilec_vocab::Record;

use crate::bench::free_bytes;
use crate::call::Call;
use crate::failure::{Failure, Outcome};
use crate::hints::gpu_of;
use crate::loader::is_stdin;
use crate::modelled;
use crate::output::{self, Talk};
use crate::prepare::prepare;
use crate::records;
use crate::watchdog;

/// Find the fastest knobs for a kernel and a shape, and remember them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every combination of the choices of the kernel's `tune` clauses is compiled, held against the spec on
small shapes and against the default on these arguments, and timed, each in a process of its own. What is
found holds for all shapes that round up to the same powers of two; `tilec run` takes it from there.
On a GPU a static model leaves out what does not fit and all but the most promising before anything is
compiled. On sim, which has no time of its own, the model's ranking is all there is.

Examples:
  tilec tune causal.tile q=randn(1,8,1024,64):f16 k=randn(1,8,1024,64):f16 \\
      v=randn(1,8,1024,64):f16 scale=0.125
  tilec tune causal.tile … --budget 2s --json
  tilec tune causal.tile … --knob BM=64 --again
  tilec tune causal.tile … --pinned
  tilec tune causal.tile … --device sim")]
pub struct Args {
    #[command(flatten)]
    call: Call,

    /// How long to take, as in 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    budget: Duration,

    /// How long a candidate may take for one answer before it counts as hung
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_time)]
    limit: Duration,

    /// Tune even if there is a record
    #[arg(long, conflicts_with = "pinned")]
    again: bool,

    /// Time nothing: say which knobs a run takes
    #[arg(long)]
    pinned: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    kernel: &'a str,
    device: String,
    bucket: &'a str,
    shape: &'a BTreeMap<String, i64>,
    /// `tuned`, `record` or `default`.
    from: &'static str,
    knobs: &'a Knobs,
    record: Option<&'a Record>,
    /// Knobs of the record that this one replaces, if they were others.
    replaced: Option<&'a Knobs>,
    candidates: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    knobs: Knobs,
    /// `ok`, or the kind of the reason.
    status: &'static str,
    /// What counts: the first quartile of the samples.
    time_ns: Option<u64>,
    median_ns: Option<u64>,
    least_ns: Option<u64>,
    samples: usize,
    spec_cases: usize,
    reason: Option<String>,
}

/// Candidates of a GPU that are compiled and timed: the best of the model's ranking.
const COMPILED: usize = 12;

/// Everything that is known before a candidate is tried.
struct Subject<'a> {
    kernel: &'a Kernel,
    site: Site,
    bucket: String,
    shape: BTreeMap<String, i64>,
    device: &'a dyn Device,
    candidates: Vec<Knobs>,
    fixed: Knobs,
    has_spec: bool,
    alive: usize,
    /// On a GPU, what the model says of every candidate.
    ranked: Vec<Ranked>,
}

impl Args {
    /// Tunes, or says what a run would take.
    pub fn run(self, talk: Talk) -> Outcome {
        if is_stdin(&self.call.file) {
            let text =
                "tuning reads the file once for each candidate; the standard input is no file";
            return Err(Failure::Usage(text.to_owned()));
        }
        let device = self.call.open()?;
        let front = self.call.front(talk)?;
        let (kernel, spec) = self.call.kernel(&front)?;
        let mut arguments = self.call.arguments(kernel)?;
        let fixed = self.call.fixed()?;
        let info = device.info();
        let declared = match tilec_tune::candidates(kernel, &fixed) {
            // Every GPU kernel has two knobs.
            Err(tilec_tune::SpaceError::NoKnobs) if gpu_of(&info).is_some() => Vec::new(),
            other => other
                .map_err(|error| Failure::Usage(format!("kernel `{}`: {error}", kernel.name)))?,
        };
        let prepared = prepare(kernel, &mut arguments, &fixed)?;
        let shape = bucket::numbers(&prepared.launch);
        let bucket = bucket::of(&shape);
        let (candidates, ranked) = match gpu_of(&info) {
            None => (declared, Vec::new()),
            Some(gpu) => {
                let all = gpu_candidates(&declared, &self.call.fixed_gpu()?);
                let launch = GpuLaunch::new(kernel, &prepared.binding, &prepared.launch, gpu);
                let ranked = rank(&launch, &all);
                (promising(&ranked, &all[0]), ranked)
            }
        };
        let subject = Subject {
            kernel,
            site: Site::new(kernel, &prepared.binding, &bucket, &info),
            bucket,
            shape,
            device: device.as_ref(),
            candidates,
            fixed,
            has_spec: spec.is_some(),
            alive: alive(&prepared.launch),
            ranked,
        };
        drop((prepared, arguments));
        if self.call.device.counts() {
            return modelled::report(&subject.title(), &subject.bucket, &subject.ranked, self.json);
        }
        if subject.candidates.is_empty() {
            modelled::report(&subject.title(), &subject.bucket, &subject.ranked, self.json)?;
            return Err(Failure::Verification("no candidate fits; see the reasons above".into()));
        }

        let cache = default_root().and_then(Cache::open);
        let cache = cache.map_err(|error| talk.say(format!("warning: {error}"))).ok();
        let mut warn = |text: String| talk.say(format!("warning: {text}"));
        let old = cache.as_ref().and_then(|cache| find(cache, &subject.site, &mut warn));
        if self.pinned {
            let came_with_us = records::came_with_us();
            return match old.as_ref().or(shipped(&came_with_us, &subject.site)) {
                Some(record) => self.known(&subject, record),
                None => self.unknown(&subject),
            };
        }
        match old {
            Some(record) if !self.again => self.known(&subject, &record),
            old => self.tune(&subject, cache.as_ref(), old, talk),
        }
    }

    fn known(&self, subject: &Subject<'_>, record: &Record) -> Outcome {
        if self.json {
            let report = subject.report("record", &record.knobs);
            return output::print_json(&Report { record: Some(record), ..report });
        }
        output::print(&format!(
            "{}\nbest {}, {}, tuned on {}; --again tunes anew\n",
            subject.title(),
            show(&record.knobs),
            output::time(Duration::from_nanos(record.time_ns)),
            record.date
        ))
    }

    /// What a run takes where nobody tuned.
    fn unknown(&self, subject: &Subject<'_>) -> Outcome {
        let has_choice = tilec_tune::candidates(subject.kernel, &Knobs::new()).is_ok();
        let (from, knobs) = match subject.ranked.first() {
            Some(best) if has_choice => ("model", &best.knobs),
            Some(_) | None => ("default", &subject.candidates[0]),
        };
        if self.json {
            return output::print_json(&subject.report(from, knobs));
        }
        let of = match from {
            "model" => "the model's choice",
            _ => "the default",
        };
        let (title, knobs) = (subject.title(), show(knobs));
        output::print(&format!("{title}\nno record; a run takes {of}, {knobs}\n"))
    }

    fn tune(
        &self,
        subject: &Subject<'_>,
        cache: Option<&Cache>,
        old: Option<Record>,
        talk: Talk,
    ) -> Outcome {
        if !subject.has_spec {
            talk.say(format!(
                "warning: kernel `{}` has no spec, so candidates are held against the default alone",
                subject.kernel.name
            ));
        }
        watchdog::stage("tuning");
        let mut tuned = self.try_all(subject, old.as_ref().map(|old| &old.knobs), talk)?;
        tuned.rows.extend(left_out(&subject.ranked, &subject.candidates));
        let Some((winner, timing)) = winner(&tuned) else {
            output::print(&table(subject, &tuned))?;
            return Err(Failure::Verification(
                "no candidate is right; see the reasons above".into(),
            ));
        };
        let default_ns = tuned.rows.first().and_then(time_of);
        let tried = tuned.rows.iter().filter(|row| was_tried(row)).count();
        let record = subject.site.record(
            subject.shape.clone(),
            winner.knobs.clone(),
            (timing.time_ns, default_ns),
            tried,
            timing.code.clone(),
        );
        // Of a part of the candidates nothing can be said for all.
        let fixed = self.call.fixed_gpu()?.into_keys().chain(subject.fixed.keys().cloned());
        let is_whole = fixed.into_iter().all(|name| !winner.knobs.contains_key(&name));
        let mut stored = false;
        if let Some(cache) = cache.filter(|_| is_whole) {
            match store(cache, &subject.site, &record) {
                Ok(()) => stored = true,
                Err(error) => talk.say(format!("warning: the record is not stored: {error}")),
            }
        }
        let old = old.filter(|old| old.knobs != record.knobs);
        if self.json {
            return output::print_json(&Report {
                record: Some(&record),
                replaced: old.as_ref().map(|old| &old.knobs),
                candidates: tuned.rows.iter().map(line).collect(),
                ..subject.report("tuned", &record.knobs)
            });
        }
        let mut text = table(subject, &tuned);
        text += &format!("\nbest {}", show(&record.knobs));
        if record.knobs == subject.candidates[0] {
            text += ", the default";
        } else if let Some(default_ns) = default_ns {
            let gain = default_ns as f64 / record.time_ns as f64;
            text += &format!(", {gain:.2} times as fast as the default");
        }
        text += match (stored, is_whole) {
            (true, _) => "; stored\n",
            (false, true) => "; not stored\n",
            (false, false) => "; not stored, since not all knobs were free\n",
        };
        if let Some(old) = old {
            let (knobs, date) = (show(&old.knobs), &old.date);
            text += &format!("the optimum changed: it was {knobs} on {date}\n");
        }
        output::print(&text)
    }

    fn try_all(
        &self,
        subject: &Subject<'_>,
        preferred: Option<&Knobs>,
        talk: Talk,
    ) -> Result<Tuned, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::Usage(format!("tilec cannot start itself: {error}")))?;
        let folder = tempfile::TempDir::new()
            .map_err(|error| Failure::Usage(format!("no temporary folder: {error}")))?;
        let reference = folder.path().join("reference.safetensors");
        let command = |knobs: &Knobs| {
            let is_default = *knobs == subject.candidates[0];
            self.command(&program, subject, knobs, &reference, is_default)
        };
        let bar = progress(subject, talk);
        let setup = Setup {
            candidates: &subject.candidates,
            preferred,
            command: &command,
            limits: Limits {
                budget: self.budget,
                answer: self.limit,
                jobs: std::thread::available_parallelism().map_or(1, Into::into),
                alive: subject.alive,
            },
        };
        let checks = subject.candidates.len() as f64;
        let tuned = tune(&setup, &|step| match step {
            Step::Checked => bar.inc(100),
            Step::Timing(share) => bar.set_position((100.0 * checks * (1.0 + share)) as u64),
        });
        bar.finish_and_clear();
        Ok(tuned)
    }

    fn command(
        &self,
        program: &Path,
        subject: &Subject<'_>,
        knobs: &Knobs,
        reference: &Path,
        is_default: bool,
    ) -> Command {
        // On a GPU a candidate has `warps` and `stages` too.
        let all = subject.fixed.iter().chain(knobs).map(|(name, n)| (name.clone(), *n)).collect();
        let mut command = Command::new(program);
        command.arg("candidate").args(self.call.words(&all)).arg("--reference").arg(reference);
        if is_default {
            command.arg("--is-default");
        }
        // Should the tuner be killed, a candidate that hangs ends by itself.
        let seconds = (self.budget + self.limit * 2).as_secs_f64() + 60.0;
        command.args(["--timeout", &seconds.to_string()]);
        command
    }
}

impl Subject<'_> {
    fn title(&self) -> String {
        let device = self.device.info();
        format!("{}  for {}  on {} ({})", self.kernel.name, self.bucket, device.name, device.model)
    }

    fn report<'s>(&'s self, from: &'static str, knobs: &'s Knobs) -> Report<'s> {
        Report {
            schema: "tilec.tune/1",
            kernel: &self.kernel.name,
            device: self.device.info().name,
            bucket: &self.bucket,
            shape: &self.shape,
            from,
            knobs,
            record: None,
            replaced: None,
            candidates: Vec::new(),
        }
    }
}

fn winner(tuned: &Tuned) -> Option<(&Row, &Timing)> {
    let row = tuned.rows.get(tuned.winner?)?;
    match &row.outcome {
        Tried::Timed(timing) => Some((row, timing)),
        Tried::Out(_) => None,
    }
}

fn time_of(row: &Row) -> Option<u64> {
    match &row.outcome {
        Tried::Timed(timing) => Some(timing.time_ns),
        Tried::Out(_) => None,
    }
}

fn was_tried(row: &Row) -> bool {
    match &row.outcome {
        Tried::Timed(_) => true,
        Tried::Out(reason) => !matches!(reason.kind, Kind::Skipped | Kind::Unfit | Kind::Pruned),
    }
}

fn status(row: &Row) -> &'static str {
    match &row.outcome {
        Tried::Timed(_) => "ok",
        Tried::Out(reason) => reason.kind.name(),
    }
}

fn line(row: &Row) -> Line {
    let (timing, reason) = match &row.outcome {
        Tried::Timed(timing) => (Some(timing), None),
        Tried::Out(reason) => (None, Some(reason.text.clone())),
    };
    Line {
        knobs: row.knobs.clone(),
        status: status(row),
        time_ns: timing.map(|timing| timing.time_ns),
        median_ns: timing.map(|timing| timing.median_ns),
        least_ns: timing.map(|timing| timing.least_ns),
        samples: timing.map_or(0, |timing| timing.samples),
        spec_cases: timing.map_or(0, |timing| timing.cases),
        reason,
    }
}

/// The candidates, fastest first, those that are out last.
fn table(subject: &Subject<'_>, tuned: &Tuned) -> String {
    let mut rows: Vec<&Row> = tuned.rows.iter().collect();
    rows.sort_by_key(|row| time_of(row).unwrap_or(u64::MAX));
    let best = rows.first().and_then(|row| time_of(row));
    let cells = rows.iter().map(|row| {
        let line = line(row);
        let time = |ns: Option<u64>| {
            ns.map_or("-".to_owned(), |ns| output::time(Duration::from_nanos(ns)))
        };
        let ratio = line.time_ns.zip(best).map(|(ns, best)| ns as f64 / best as f64);
        vec![
            show(&line.knobs),
            time(line.time_ns),
            time(line.median_ns),
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            line.samples.to_string(),
            line.status.to_owned(),
            line.reason.unwrap_or_default(),
        ]
    });
    let head = ["knobs", "time", "median", "ratio", "samples", "status", "why"];
    format!("{}\n\n{}", subject.title(), output::table(&head, &[1, 2, 3, 4], cells.collect()))
}

/// The candidates of a GPU that are worth compiling, the default first if it fits: the others are held against it.
fn promising(ranked: &[Ranked], default: &Knobs) -> Vec<Knobs> {
    let fits = ranked.iter().filter(|ranked| ranked.outcome.is_ok());
    let best = fits.clone().take(COMPILED).map(|ranked| ranked.knobs.clone());
    let default = fits.filter(|ranked| ranked.knobs == *default).map(|ranked| ranked.knobs.clone());
    let mut found: Vec<Knobs> = default.collect();
    for knobs in best {
        if !found.contains(&knobs) {
            found.push(knobs);
        }
    }
    found
}

/// Rows of the candidates that were not compiled.
fn left_out(ranked: &[Ranked], compiled: &[Knobs]) -> Vec<Row> {
    let best = ranked.first().and_then(Ranked::time_ns).unwrap_or(1.0);
    let out = ranked.iter().filter(|ranked| !compiled.contains(&ranked.knobs));
    out.map(|ranked| {
        let reason = match &ranked.outcome {
            Err(why) => Reason::new(Kind::Unfit, why),
            Ok(estimate) => Reason::new(
                Kind::Pruned,
                format!("the model expects {:.2} times the best's time", estimate.time_ns / best),
            ),
        };
        Row { knobs: ranked.knobs.clone(), outcome: Tried::Out(reason) }
    })
    .collect()
}

/// How many candidates fit into memory at one time, each with the arguments, guarded outputs and what they are
/// compared with, and LLVM.
fn alive(launch: &Launch) -> usize {
    const PROCESS_BYTES: u64 = 200 << 20;
    let bytes: u64 = launch
        .tensors()
        .map(|(_, tensor, _)| (tensor.capacity() * tensor.dtype().size_bytes()) as u64)
        .sum();
    let available = free_bytes().unwrap_or(4 << 30);
    usize::try_from(available / 2 / (PROCESS_BYTES + 4 * bytes)).unwrap_or(1).max(1)
}

fn progress(subject: &Subject<'_>, talk: Talk) -> ProgressBar {
    // Half for checking, half for timing.
    let length = 200 * subject.candidates.len();
    let bar = output::bar(length, "{msg:24} {wide_bar} {percent:>3} %", talk);
    bar.with_message(subject.kernel.name.clone())
}

/// Reads a time for `--budget` and `--limit`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("no time at all".to_owned()) } else { Ok(time) }
}
