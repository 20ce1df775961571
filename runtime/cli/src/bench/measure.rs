//! One row: is it possible, is it right, how long does it take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tilec_driver::{Inspection, Options, compile, inspect};
use tilec_host::{Device, launch};
use tilec_ir::Kernel;
use tilec_passes::mask::count::Shape;
use tilec_tune::bucket;
use tilec_verify::Plan;
use tilec_vocab::Specialisation;

use super::inputs::arguments;
use super::{Case, Row, Stats, Status};
use crate::failure::Failure;
use crate::output::{self, Talk};
use crate::prepare::{Prepared, prepare};
use crate::records;

/// Cases a kernel must agree with its spec in before it is timed.
const SPEC_CASES: usize = 6;

/// Work of a launch that is small enough to tell the speed by.
const SMALL_WORK: f64 = 2e8;

/// Dimensions up to this stay whole blocks when a launch is made smaller.
const SMALL_EXTENT: i64 = 256;

/// How much faster another specialisation may turn out than the fastest so far.
const FASTER: f64 = 10.0;

/// Launches at most, and at least.
const MAX_LAUNCHES: usize = 100;
const MIN_LAUNCHES: usize = 3;

/// The share of the free memory that one row may take.
const MEMORY_SHARE: f64 = 0.7;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long to launch one row.
    pub time: Duration,
    /// Rows whose launches would take longer are skipped.
    pub limit: Duration,
    /// Launch nothing: only what can be known without.
    pub count_only: bool,
}

/// Measures rows on one device, and remembers between them what is right and how fast.
pub struct Bench<'a> {
    device: &'a dyn Device,
    limits: Limits,
    talk: Talk,
    /// Specialisations that agreed with their spec, and in how many cases.
    right: BTreeMap<(String, Specialisation), usize>,
    /// Work a second of a specialisation.
    speed: BTreeMap<(String, Specialisation), f64>,
}

/// Why there is no time.
struct Stop(Status, String);

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        let text = failure.to_string();
        let first = text.lines().next().unwrap_or_default().to_owned();
        let status = match &failure {
            Failure::Usage(text) if text.starts_with("no memory for") => Status::OutOfMemory,
            _ => Status::Failed,
        };
        Stop(status, first)
    }
}

impl<'a> Bench<'a> {
    /// Nothing measured yet.
    pub fn new(device: &'a dyn Device, limits: Limits, talk: Talk) -> Bench<'a> {
        Bench { device, limits, talk, right: BTreeMap::new(), speed: BTreeMap::new() }
    }

    /// Measures one row; whatever is in the way of it is its status.
    pub fn row(&mut self, name: &str, kernel: &Kernel, spec: Option<&Kernel>, case: &Case) -> Row {
        let mut row = Row { reason: None, ..Row::new(name, Status::Ok, "") };
        row.kernel.clone_from(&kernel.name);
        match self.measure(&mut row, kernel, spec, case) {
            Ok(stats) => row.stats = Some(stats),
            Err(Stop(status, reason)) => {
                row.status = status;
                row.reason = Some(reason).filter(|reason| !reason.is_empty());
            }
        }
        row
    }

    fn measure(
        &mut self,
        row: &mut Row,
        kernel: &Kernel,
        spec: Option<&Kernel>,
        case: &Case,
    ) -> Result<Stats, Stop> {
        let (prepared, inspection) = self.plan(kernel, case)?;
        let binding = prepared.binding;
        drop(prepared.launch);
        row.specialisation = binding.to_string();
        row.flops_exact = inspection.flops.map(|flops| flops.exact);
        row.flops_executed = inspection.flops.map(|flops| flops.executed);
        row.tensor_bytes = Some(inspection.tensor_bytes);
        fits(inspection.tensor_bytes)?;

        let key = (kernel.name.clone(), binding.clone());
        let work = work(kernel, case, &inspection);
        // By the best speed anybody has: no need to compile what is hopeless.
        if let Some(best) = self.speed.values().copied().reduce(f64::max) {
            self.is_too_long("at least", work, FASTER * best)?;
        }
        if self.limits.count_only {
            return Err(Stop(Status::Counted, String::new()));
        }
        let artifact = compile(kernel, &binding, &Options::default()).map_err(Failure::from)?;
        let executable = self.device.load(&artifact).map_err(Failure::from)?;
        if let (Some(spec), None) = (spec, self.right.get(&key)) {
            let plan = Plan {
                cases: SPEC_CASES,
                seed: 1,
                dtypes: Vec::new(),
                fixed: binding.ints.clone(),
                options: Options::default(),
                threads: Some(1),
            };
            let compiled = (binding.clone(), executable.clone());
            let cases = tilec_verify::check(kernel, spec, self.device, compiled, &plan).map_err(
                |failure| {
                    let case = failure.case;
                    Stop(Status::Wrong, format!("it disagrees with its spec; case {case}"))
                },
            )?;
            self.right.insert(key.clone(), cases);
        }
        row.spec_cases = self.right.get(&key).copied().unwrap_or(0);

        if work > SMALL_WORK && !self.speed.contains_key(&key) {
            let speed = self.speed_when_small(kernel, case, executable.as_ref(), &binding)?;
            self.speed.extend(speed.map(|speed| (key.clone(), speed)));
        }
        if let Some(speed) = self.speed.get(&key) {
            self.is_too_long("about", work, *speed)?;
        }
        let times = self.time(kernel, case, executable.as_ref(), &binding)?;
        Stats::of(&times).ok_or_else(|| Stop(Status::Failed, "it was not launched".to_owned()))
    }

    /// The launch with the knobs a run would take, without data, and what is known of it without running it.
    fn plan(&self, kernel: &Kernel, case: &Case) -> Result<(Prepared, Inspection), Stop> {
        let mut args = arguments(kernel, case, false)?;
        // Knobs and constants that the case sets; its other numbers are dimensions and arguments.
        let names: BTreeSet<&String> = kernel.generics.values().map(|g| &g.name).collect();
        let given = case.shape.iter().filter(|(name, _)| names.contains(name));
        let given: BTreeMap<String, i64> = given.map(|(name, n)| (name.clone(), *n)).collect();
        let mut prepared = prepare(kernel, &mut args, &given)?;
        let record = match records::sets_a_knob(kernel, &given) {
            true => None,
            false => records::for_launch(kernel, &prepared, &self.device.info(), self.talk),
        };
        if let Some(record) = record {
            let knobs = given.into_iter().chain(record.knobs).collect();
            prepared = prepare(kernel, &mut args, &knobs)?;
        }
        let shape = Shape { names: bucket::numbers(&prepared.launch) };
        let inspection = inspect(kernel, &prepared.binding, &shape).map_err(Failure::from)?;
        Ok((prepared, inspection))
    }

    fn is_too_long(&self, about: &str, work: f64, speed: f64) -> Result<(), Stop> {
        let seconds = work / speed * (MIN_LAUNCHES + 1) as f64;
        if seconds <= self.limits.limit.as_secs_f64() {
            return Ok(());
        }
        let time = |seconds: f64| {
            output::time(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        };
        let (seconds, limit) = (time(seconds), time(self.limits.limit.as_secs_f64()));
        let text = format!("it would take {about} {seconds}, allowed are {limit}: --limit");
        Err(Stop(Status::Skipped, text))
    }

    /// Work a second at the same specialisation, with dimensions halved until the launch is small; none where no such
    /// shape meets the kernel's conditions.
    fn speed_when_small(
        &self,
        kernel: &Kernel,
        case: &Case,
        executable: &dyn tilec_host::Executable,
        binding: &Specialisation,
    ) -> Result<Option<f64>, Stop> {
        let mut small = case.clone();
        let dims: BTreeSet<String> = kernel.dims.values().map(|dim| dim.name.clone()).collect();
        for _ in 0..200 {
            let numbers = || small.shape.iter().filter(|(name, n)| dims.contains(*name) && **n > 1);
            // First the lengths, down to whole blocks; then what counts batches and heads.
            let long = numbers().filter(|(_, n)| **n > SMALL_EXTENT).max_by_key(|(_, n)| **n);
            let next = long.or_else(|| numbers().min_by_key(|(_, n)| **n));
            let Some(name) = next.map(|(name, _)| name.clone()) else { return Ok(None) };
            small.shape.entry(name).and_modify(|n| *n /= 2);
            let Ok((_, inspection)) = self.plan(kernel, &small) else { continue };
            let work = work(kernel, &small, &inspection);
            if work > SMALL_WORK {
                continue;
            }
            let best = self.time(kernel, &small, executable, binding)?.into_iter().min();
            return Ok(best.map(|time| work / time.as_secs_f64().max(1e-9)));
        }
        Ok(None)
    }

    /// Launches until the time is used up; the first, which warms up, does not count.
    fn time(
        &self,
        kernel: &Kernel,
        case: &Case,
        executable: &dyn tilec_host::Executable,
        binding: &Specialisation,
    ) -> Result<Vec<Duration>, Stop> {
        let mut args = arguments(kernel, case, true)?;
        let Prepared { launch: bound, .. } = prepare(kernel, &mut args, &binding.ints)?;
        launch(executable, &bound).map_err(Failure::from)?;
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < MIN_LAUNCHES
            || (times.len() < MAX_LAUNCHES && start.elapsed() < self.limits.time)
        {
            let start = Instant::now();
            launch(executable, &bound).map_err(Failure::from)?;
            times.push(start.elapsed());
        }
        Ok(times)
    }
}

/// What the time of a launch grows with: operations of dots, or, where these are none or cannot be counted, the product
/// of all dimensions.
fn work(kernel: &Kernel, case: &Case, inspection: &Inspection) -> f64 {
    match inspection.flops {
        Some(flops) if flops.exact > 0 => flops.exact as f64,
        _ => {
            let extent = |name: &String| case.shape.get(name).copied().unwrap_or(1) as f64;
            kernel.dims.values().map(|dim| extent(&dim.name)).product()
        }
    }
}

/// Whether there is memory for the tensors and what making them takes.
fn fits(bytes: u64) -> Result<(), Stop> {
    let Some(free) = free_bytes() else { return Ok(()) };
    // While a tensor is filled, its elements stand in memory a second time, as f64.
    let needed = bytes.saturating_mul(3);
    if needed as f64 <= free as f64 * MEMORY_SHARE {
        return Ok(());
    }
    let (needed, free) = (needed >> 20, free >> 20);
    Err(Stop(Status::OutOfMemory, format!("it takes {needed} MiB, {free} MiB are free")))
}

/// Memory that is free, where the system says.
pub fn free_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
}
