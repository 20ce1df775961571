//! One row: is it possible, is it right, how long does it take.
//!
//! The steps of a row are timed one after another, each by itself. The row's time number i is the sum of its steps' times
//! number i, each as often as the row has the step: so a step that the row has ninety times is launched as often as one
//! that it has once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tilec_driver::{Flops, Options, compile};
use tilec_host::{Device, Executable, times};
use tilec_ir::Kernel;
use tilec_model::{Gpu, Pipe};
use tilec_sim::SimDevice;
use tilec_verify::Plan as Verification;
use tilec_vocab::Specialisation;

use super::inputs::arguments;
use super::memory::does_not_fit;
use super::plan::{Call, Expected, Operations, Plan, Work, plan, smaller};
use super::sim::{Simulated, simulate};
use super::{Case, Row, Stats, Status, StepRow};
use crate::failure::Failure;
use crate::output::{self, Talk};
use crate::prepare::{Prepared, prepare};

/// Cases a kernel must agree with its spec in before it is timed.
const SPEC_CASES: usize = 6;

/// Work of a launch that is small enough to tell the speed by.
const SMALL_WORK: f64 = 2e8;

/// How much faster another specialisation may turn out than the fastest so far.
const FASTER: f64 = 10.0;

/// Launches at most, and at least.
const MAX_LAUNCHES: usize = 100;
const MIN_LAUNCHES: usize = 3;

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

/// Where rows are measured.
pub enum Place {
    /// On a device, by time.
    Timed(Box<dyn Device>),
    /// In the simulator, by count, with the time that the model of a GPU expects.
    Counted(Box<SimDevice>, &'static Gpu),
}

impl Place {
    /// The device.
    pub fn device(&self) -> &dyn Device {
        match self {
            Place::Timed(device) => device.as_ref(),
            Place::Counted(simulator, _) => simulator.as_ref(),
        }
    }
}

/// A kernel's name and its specialisation.
type Key = (String, Specialisation);

/// A kernel's name, the element type with floats and data, what is given of its operations, its numbers.
type CallKey = (String, String, u64, BTreeMap<String, i64>);

/// Measures rows in one place, and remembers between them what is right and how fast.
pub struct Bench<'a> {
    place: &'a Place,
    limits: Limits,
    talk: Talk,
    plans: BTreeMap<CallKey, Arc<Plan>>,
    /// Times of calls; rows have many in common.
    timed: BTreeMap<CallKey, Vec<Duration>>,
    loaded: BTreeMap<Key, Arc<dyn Executable>>,
    /// Specialisations that agreed with their spec, and in how many cases.
    right: BTreeMap<Key, usize>,
    /// Work a second of a specialisation.
    speed: BTreeMap<Key, f64>,
    /// Operations of dots a second of the fastest specialisation.
    best_flops: Option<f64>,
    /// What the model expects of calls.
    expected: BTreeMap<CallKey, Option<Expected>>,
    /// What the simulator counted.
    simulated: BTreeMap<Key, Option<Simulated>>,
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
    pub fn new(place: &'a Place, limits: Limits, talk: Talk) -> Bench<'a> {
        Bench {
            place,
            limits,
            talk,
            plans: BTreeMap::new(),
            timed: BTreeMap::new(),
            loaded: BTreeMap::new(),
            right: BTreeMap::new(),
            speed: BTreeMap::new(),
            best_flops: None,
            expected: BTreeMap::new(),
            simulated: BTreeMap::new(),
        }
    }

    /// Measures one row; whatever is in the way of it is its status.
    pub fn row(&mut self, name: &str, calls: &[Call<'_>]) -> Row {
        let mut row = Row::new(name, Status::Ok, "");
        match self.measure(&mut row, calls) {
            Ok(stats) => row.stats = Some(stats),
            Err(Stop(status, reason)) => {
                row.status = status;
                row.reason = Some(reason).filter(|reason| !reason.is_empty());
            }
        }
        row
    }

    fn measure(&mut self, row: &mut Row, calls: &[Call<'_>]) -> Result<Stats, Stop> {
        let mut plans = Vec::new();
        for call in calls {
            plans.push(self.plan(call)?);
        }
        describe(row, calls, &plans);
        if let Place::Counted(simulator, gpu) = self.place {
            self.expect(row, calls, &plans, gpu);
            if !self.limits.count_only {
                self.simulate(row, calls, &plans, simulator)?;
            }
            return Err(Stop(Status::Counted, String::new()));
        }
        if self.limits.count_only {
            return Err(Stop(Status::Counted, String::new()));
        }
        if let Some(why) = row.memory_bytes.and_then(does_not_fit) {
            return Err(Stop(Status::OutOfMemory, why));
        }
        // By the best speed anybody has: no need to compile what is hopeless.
        if let Some(best) = self.best_flops {
            let flops = plans.iter().map(|plan| match plan.work {
                Work::Flops(flops) => flops,
                Work::Bytes(_) | Work::Lanes(_) => 0.0,
            });
            self.is_too_long("at least", flops.sum::<f64>() / (FASTER * best))?;
        }

        let mut seconds = 0.0;
        let mut ready = Vec::new();
        for (call, plan) in calls.iter().zip(&plans) {
            let key = (call.kernel.name.clone(), plan.binding.clone());
            let executable = self.load(call.kernel, &key)?;
            self.check(call, &key, &executable)?;
            seconds += self.estimate(call, &key, plan, executable.as_ref())?;
            ready.push((call, plan, executable));
        }
        row.spec_cases = plans
            .iter()
            .zip(calls)
            .map(|(plan, call)| (call.kernel.name.clone(), plan.binding.clone()))
            .map(|key| self.right.get(&key).copied().unwrap_or(0))
            .min()
            .unwrap_or(0);
        self.is_too_long("about", seconds)?;

        let share = self.limits.time / u32::try_from(calls.len()).unwrap_or(u32::MAX).max(1);
        let mut sums: Option<Vec<Duration>> = None;
        for ((call, plan, executable), step) in ready.into_iter().zip(&mut row.steps) {
            let key = call_key(call);
            let times = match self.timed.get(&key) {
                Some(times) => times.clone(),
                None => time(call.kernel, call.case, executable.as_ref(), &plan.binding, share)?,
            };
            self.timed.insert(key, times.clone());
            step.mean_ns = Stats::of(&times).map(|stats| stats.mean_ns);
            let repeat = u32::try_from(call.repeat).unwrap_or(u32::MAX);
            let times = times.into_iter().map(|time| time.saturating_mul(repeat));
            sums = Some(match sums {
                None => times.collect(),
                Some(sums) => sums.into_iter().zip(times).map(|(a, b)| a + b).collect(),
            });
        }
        let stats = sums.and_then(|times| Stats::of(&times));
        stats.ok_or_else(|| Stop(Status::Failed, "it was not launched".to_owned()))
    }

    /// What is known of a call; rows have many in common.
    fn plan(&mut self, call: &Call<'_>) -> Result<Arc<Plan>, Stop> {
        let key = call_key(call);
        if let Some(plan) = self.plans.get(&key) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(plan(call, self.place.device(), self.talk)?);
        self.plans.insert(key, Arc::clone(&plan));
        Ok(plan)
    }

    fn expect(
        &mut self,
        row: &mut Row,
        calls: &[Call<'_>],
        plans: &[Arc<Plan>],
        gpu: &'static Gpu,
    ) {
        for ((call, plan), step) in calls.iter().zip(plans).zip(&mut row.steps) {
            let expected = self.expected.entry(call_key(call));
            step.expected =
                *expected.or_insert_with(|| super::plan::expected(call.kernel, plan, gpu));
        }
    }

    fn simulate(
        &mut self,
        row: &mut Row,
        calls: &[Call<'_>],
        plans: &[Arc<Plan>],
        simulator: &SimDevice,
    ) -> Result<(), Stop> {
        for ((call, plan), step) in calls.iter().zip(plans).zip(&mut row.steps) {
            let key = (call.kernel.name.clone(), plan.binding.clone());
            let counted = match self.simulated.get(&key) {
                Some(counted) => counted.clone(),
                None => simulate(call, simulator, self.talk)?,
            };
            self.simulated.insert(key, counted.clone());
            step.simulated = counted;
        }
        Ok(())
    }

    fn load(&mut self, kernel: &Kernel, key: &Key) -> Result<Arc<dyn Executable>, Stop> {
        if let Some(executable) = self.loaded.get(key) {
            return Ok(Arc::clone(executable));
        }
        let artifact = compile(kernel, &key.1, &Options::default()).map_err(Failure::from)?;
        let executable = self.place.device().load(&artifact).map_err(Failure::from)?;
        self.loaded.insert(key.clone(), Arc::clone(&executable));
        Ok(executable)
    }

    /// Whether the kernel agrees with its spec, if it was not asked before.
    fn check(
        &mut self,
        call: &Call<'_>,
        key: &Key,
        executable: &Arc<dyn Executable>,
    ) -> Result<(), Stop> {
        let (Some(spec), None) = (call.spec, self.right.get(key)) else { return Ok(()) };
        let verification = Verification {
            cases: SPEC_CASES,
            seed: 1,
            dtypes: Vec::new(),
            fixed: key.1.ints.clone(),
            options: Options::default(),
            threads: Some(1),
        };
        let compiled = (key.1.clone(), Arc::clone(executable));
        let device = self.place.device();
        let cases = tilec_verify::check(call.kernel, spec, device, compiled, &verification)
            .map_err(|failure| {
                let (kernel, case) = (&key.0, failure.case);
                let why = format!("kernel `{kernel}` disagrees with its spec; case {case}");
                Stop(Status::Wrong, why)
            })?;
        self.right.insert(key.clone(), cases);
        Ok(())
    }

    /// Seconds of one launch, by the speed at a smaller shape; 0 where it is small.
    fn estimate(
        &mut self,
        call: &Call<'_>,
        key: &Key,
        plan: &Plan,
        executable: &dyn Executable,
    ) -> Result<f64, Stop> {
        let amount = plan.work.amount();
        if amount > SMALL_WORK && !self.speed.contains_key(key) {
            let device = self.place.device();
            if let Some((small, small_plan)) = smaller(call, SMALL_WORK, device, self.talk) {
                let times = time(call.kernel, &small, executable, &key.1, self.limits.time)?;
                let best = times.into_iter().min().unwrap_or_default().as_secs_f64().max(1e-9);
                let speed = small_plan.work.amount() / best;
                self.speed.insert(key.clone(), speed);
                if matches!(small_plan.work, Work::Flops(_)) {
                    self.best_flops = Some(self.best_flops.map_or(speed, |best| best.max(speed)));
                }
            }
        }
        Ok(self.speed.get(key).map_or(0.0, |speed| amount / speed))
    }

    /// `seconds` are those of launching each step once.
    fn is_too_long(&self, about: &str, seconds: f64) -> Result<(), Stop> {
        let seconds = seconds * (MIN_LAUNCHES + 1) as f64;
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
}

/// What is known of a row without running it.
fn describe(row: &mut Row, calls: &[Call<'_>], plans: &[Arc<Plan>]) {
    for (call, plan) in calls.iter().zip(plans) {
        row.steps.push(StepRow {
            kernel: call.kernel.name.clone(),
            specialisation: plan.binding.to_string(),
            repeat: call.repeat,
            dtype: call.case.dtype.to_string(),
            numbers: plan.numbers.clone(),
            pipe: Pipe::of(call.kernel, &plan.binding),
            mean_ns: None,
            expected: None,
            flops_exact: plan.flops.map(|flops| flops.exact),
            bytes: plan.inspection.tensor_bytes,
            simulated: None,
        });
    }
    let all = || calls.iter().zip(plans).map(|(call, plan)| (call.repeat, plan));
    let flops = |pick: fn(Flops) -> u64| {
        all().map(|(repeat, plan)| Some(repeat * pick(plan.flops?))).sum::<Option<u64>>()
    };
    row.flops_exact = flops(|flops| flops.exact);
    row.flops_executed = flops(|flops| flops.executed);
    row.bytes = Some(all().map(|(repeat, plan)| repeat * plan.inspection.tensor_bytes).sum());
    row.memory_bytes = all().map(|(_, plan)| plan.inspection.tensor_bytes).max();
}

fn call_key(call: &Call<'_>) -> CallKey {
    let (kernel, case) = (call.kernel, call.case);
    let generics = kernel.generics.values().map(|generic| &generic.name);
    let dims = kernel.dims.values().map(|dim| &dim.name);
    let params = kernel.params.values().map(|param| &param.name);
    let names = generics.chain(dims).chain(params);
    let numbers = names.filter_map(|name| Some((name.clone(), *case.shape.get(name)?)));
    let operations = match call.operations {
        Operations::Counted => 0,
        // What the suite gives, it gives for this call alone.
        Operations::Given(n) => n,
        Operations::Like(..) => 1,
    };
    let numbers = numbers.collect::<BTreeMap<_, _>>();
    let given = format!("{} {:?} {:?}", case.dtype, case.floats, case.data);
    (kernel.name.clone(), given, operations, numbers)
}

/// Launches until the time is used up; the first, which warms up, does not count.
fn time(
    kernel: &Kernel,
    case: &Case,
    executable: &dyn Executable,
    binding: &Specialisation,
    budget: Duration,
) -> Result<Vec<Duration>, Stop> {
    let mut args = arguments(kernel, case, true)?;
    let Prepared { launch: bound, .. } = prepare(kernel, &mut args, &binding.ints)?;
    let measured =
        |warmup, repeats| times(executable, &bound, warmup, repeats).map_err(Failure::from);
    let mut all = measured(1, MIN_LAUNCHES)?;
    let spent: Duration = all.iter().sum();
    let mean = spent.as_secs_f64() / MIN_LAUNCHES as f64;
    let more = budget.saturating_sub(spent).as_secs_f64() / mean.max(1e-9);
    all.extend(measured(0, (more as usize).min(MAX_LAUNCHES - MIN_LAUNCHES))?);
    Ok(all)
}
