//! What is known of a step before it is run: its knobs, what it counts, how its time grows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tilec_driver::{Flops, Inspection, inspect};
use tilec_host::{Device, bucket};
use tilec_ir::Kernel;
use tilec_model::Gpu;
use tilec_passes::mask::count::Shape;
use tilec_tune::{GpuLaunch, Knobs, model};
use tilec_vocab::Specialisation;

use super::Case;
use super::inputs::arguments;
use crate::failure::Failure;
use crate::output::Talk;
use crate::prepare::prepare;
use crate::{hints, records};

/// Dimensions up to this stay whole blocks when a launch is made smaller.
const SMALL_EXTENT: i64 = 256;

/// Halvings after which a launch will not become small any more.
const MAX_HALVINGS: usize = 200;

/// A kernel, its spec, what it is called with, and how often.
#[derive(Clone, Copy)]
pub struct Call<'k> {
    /// The kernel.
    pub kernel: &'k Kernel,
    /// What it must compute.
    pub spec: Option<&'k Kernel>,
    /// Dimensions and data.
    pub case: &'k Case,
    /// How often the row has it.
    pub repeat: u64,
    /// Where its operations are known from.
    pub operations: Operations<'k>,
}

/// Where the operations of a call are known from.
#[derive(Clone, Copy)]
pub enum Operations<'k> {
    /// The kernel's own dots.
    Counted,
    /// The suite.
    Given(u64),
    /// So many times those of another kernel on the same numbers.
    Like(&'k Kernel, f64),
}

/// A step that can be run.
pub struct Plan {
    /// With the knobs a run would take.
    pub binding: Specialisation,
    /// Its dimensions and integer arguments.
    pub numbers: BTreeMap<String, i64>,
    /// What is known of it without running it.
    pub inspection: Inspection,
    /// Operations that count, where they are known.
    pub flops: Option<Flops>,
    /// What its time grows with.
    pub work: Work,
}

/// A time that nobody measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Expected {
    /// In nanoseconds.
    pub time_ns: f64,
    /// Whether a loop's end is read from memory, and was taken to be as far as the shape allows.
    pub at_most: bool,
}

/// What the time of a launch grows with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Operations of dots.
    Flops(f64),
    /// Bytes of tensors, where there are no dots or the suite counts them.
    Bytes(f64),
    /// The product of all dimensions, where operations cannot be counted.
    Lanes(f64),
}

impl Work {
    /// How much, in units of its own.
    pub fn amount(self) -> f64 {
        match self {
            Work::Flops(n) | Work::Bytes(n) | Work::Lanes(n) => n.max(1.0),
        }
    }
}

/// What is known of a call.
pub fn plan(call: &Call<'_>, device: &dyn Device, talk: Talk) -> Result<Plan, Failure> {
    let (binding, inspection, numbers) = inspected(call.kernel, call.case, device, talk)?;
    let flops = match call.operations {
        Operations::Counted => inspection.flops,
        Operations::Given(exact) => Some(Flops { exact, executed: exact }),
        Operations::Like(kernel, times) => {
            let (_, like, _) = inspected(kernel, call.case, device, talk)?;
            let scaled = |n: u64| (n as f64 * times) as u64;
            like.flops.map(|f| Flops { exact: scaled(f.exact), executed: scaled(f.executed) })
        }
    };
    let bytes = Work::Bytes(inspection.tensor_bytes as f64);
    let work = match (call.operations, flops) {
        (Operations::Given(_), _) => bytes,
        (_, Some(flops)) if flops.exact > 0 => Work::Flops(flops.exact as f64),
        (_, Some(_)) => bytes,
        (_, None) => Work::Lanes(numbers.values().map(|&extent| extent.max(1) as f64).product()),
    };
    Ok(Plan { binding, numbers, inspection, flops, work })
}

/// A launch with the knobs a run would take, without data: its specialisation, what it counts, its numbers.
fn inspected(
    kernel: &Kernel,
    case: &Case,
    device: &dyn Device,
    talk: Talk,
) -> Result<(Specialisation, Inspection, BTreeMap<String, i64>), Failure> {
    let mut args = arguments(kernel, case, false)?;
    // Knobs and constants that the case sets; its other numbers are dimensions and arguments.
    let names: BTreeSet<&String> = kernel.generics.values().map(|g| &g.name).collect();
    let given = case.shape.iter().filter(|(name, _)| names.contains(name));
    let given: BTreeMap<String, i64> = given.map(|(name, n)| (name.clone(), *n)).collect();
    let mut prepared = prepare(kernel, &mut args, &given)?;
    let info = device.info();
    // The simulator has no times: there any knobs that fit will do.
    let is_timed = info.name != "sim";
    let hint = match records::sets_a_knob(kernel, &given) {
        true => None,
        false => hints::own_knobs(kernel, &prepared, &info, is_timed, talk),
    };
    if let Some(knobs) = hint {
        let knobs = given.into_iter().chain(knobs).collect();
        prepared = prepare(kernel, &mut args, &knobs)?;
    }
    let shape = Shape { names: bucket::numbers(&prepared.launch) };
    let inspection = inspect(kernel, &prepared.binding, &shape)?;
    Ok((prepared.binding, inspection, shape.names))
}

/// The same specialisation with dimensions halved until there is at most so much work; none where no such shape meets the
/// kernel's conditions.
pub fn smaller(
    call: &Call<'_>,
    most: f64,
    device: &dyn Device,
    talk: Talk,
) -> Option<(Case, Plan)> {
    let mut small = call.case.clone();
    let dims: BTreeSet<String> = call.kernel.dims.values().map(|dim| dim.name.clone()).collect();
    for _ in 0..MAX_HALVINGS {
        if let Ok(plan) = plan(&Call { case: &small, ..*call }, device, talk)
            && plan.work.amount() <= most
        {
            return Some((small, plan));
        }
        let numbers = || small.shape.iter().filter(|(name, n)| dims.contains(*name) && **n > 1);
        // First the lengths, down to whole blocks; then what counts batches and heads.
        let long = numbers().filter(|(_, n)| **n > SMALL_EXTENT).max_by_key(|(_, n)| **n);
        let next = long.or_else(|| numbers().min_by_key(|(_, n)| **n));
        let name = next.map(|(name, _)| name.clone())?;
        small.shape.entry(name).and_modify(|n| *n /= 2);
    }
    None
}

/// What the model of a GPU expects of one launch; none where the kernel does not fit it.
pub fn expected(kernel: &Kernel, plan: &Plan, gpu: &'static Gpu) -> Option<Expected> {
    let (binding, bytes) = (&plan.binding, plan.inspection.tensor_bytes);
    let launch = GpuLaunch::without_arguments(kernel, binding, &plan.numbers, bytes, gpu);
    let estimate = model(&launch, &Knobs::new()).ok()?;
    Some(Expected { time_ns: estimate.time_ns, at_most: estimate.guessed })
}
