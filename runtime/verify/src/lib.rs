//! Verification: a kernel against its spec, over shapes at which tiled code goes wrong.
//!
//! The spec runs in f64, and once more rounded to the kernel's type after every operation. An output passes
//! if its greatest error is at most twice that of the second run, plus 1e-5 (FlashAttention's rule).
//! A case that fails is shrunk to the smallest shape that still does.

mod case;
mod extents;
mod inputs;
mod interp_device;
mod random;
mod shrink;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use tilec_driver::Options;
use tilec_host::{Device, Executable, RuntimeError};
use tilec_ir::{GenericKind, Kernel};
use tilec_vocab::{DType, DTypeClass, Specialisation};

use case::Loaded;
pub use case::{Case, CaseError, Judged, Oracle};
pub use extents::Extents;
use extents::GROUP;
pub use interp_device::InterpDevice;
use random::Random;

/// What to verify, and how much of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Cases for each assignment of element types.
    pub cases: usize,
    /// Where the draws begin.
    pub seed: u64,
    /// Element types to try, of those the kernel takes; empty for all.
    pub dtypes: Vec<DType>,
    /// Extents, constants and knobs that are fixed.
    pub fixed: BTreeMap<String, i64>,
    /// How to compile.
    pub options: Options,
    /// Threads that judge cases; none for one on each core.
    pub threads: Option<usize>,
}

/// What came out for one assignment of element types on one device.
#[derive(Debug)]
pub struct Row {
    /// The kernel.
    pub kernel: String,
    /// The device.
    pub device: String,
    /// `T=f16`, or empty.
    pub dtypes: String,
    /// Cases that were judged.
    pub cases: usize,
    /// Cases for which the device has no room, whatever the knobs; a failure only if there is no other case.
    pub unfit: usize,
    /// For each output the case in which it came closest to its bound, and the comparison.
    pub closest: Vec<(Case, Judged)>,
    /// The first failure, shrunk.
    pub failure: Option<Failure>,
}

/// A case that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The smallest found.
    pub case: Case,
    /// The numbers it was called with, by parameter.
    pub numbers: Vec<(String, String)>,
    /// What is wrong there.
    pub what: What,
}

/// What is wrong with a case.
#[derive(Clone, Debug)]
pub enum What {
    /// An output is off.
    Wrong(Judged),
    /// It could not be run.
    Error(CaseError),
}

/// Why nothing could be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No drawn shape meets the kernel's `require` clauses.
    NoShape,
    /// None of the element types asked for is one the kernel takes.
    NoDType,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NoShape => {
                "no shape was found that its `require` clauses and the memory allow"
            }
            Refusal::NoDType => "it takes none of the element types asked for",
        })
    }
}

/// Verifies one kernel on some devices, on all cores; `progress` is told after each case.
///
/// # Errors
///
/// There is nothing to verify.
pub fn verify(
    kernel: &Kernel,
    spec: &Kernel,
    devices: &[&dyn Device],
    plan: &Plan,
    progress: &(dyn Fn() + Sync),
) -> Result<Vec<Row>, Refusal> {
    let assignments = assignments(kernel, &plan.dtypes);
    if assignments.is_empty() {
        return Err(Refusal::NoDType);
    }
    let groups: Vec<Range<usize>> =
        (0..plan.cases).step_by(GROUP).map(|first| first..plan.cases.min(first + GROUP)).collect();
    let tasks: Vec<(usize, Range<usize>)> = (0..assignments.len())
        .flat_map(|which| groups.iter().map(move |group| (which, group.clone())))
        .collect();
    let judge_one = |(which, group): (usize, Range<usize>)| {
        (which, judge(kernel, spec, devices, plan, &assignments[which], group, progress))
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads.unwrap_or(0)).build();
    let parts: Vec<(usize, Vec<Part>)> = match pool {
        Ok(pool) => pool.install(|| tasks.into_par_iter().map(judge_one).collect()),
        // Without threads it only takes longer.
        Err(_) => tasks.into_iter().map(judge_one).collect(),
    };

    let mut rows = Vec::new();
    for (which, dtypes) in assignments.iter().enumerate() {
        let shown: Vec<String> = dtypes.iter().map(|(name, d)| format!("{name}={d}")).collect();
        for (at, device) in devices.iter().enumerate() {
            let mut row = Row {
                kernel: kernel.name.clone(),
                device: device.info().name,
                dtypes: shown.join(" "),
                cases: 0,
                unfit: 0,
                closest: Vec::new(),
                failure: None,
            };
            let mine = || parts.iter().filter(|(of, _)| *of == which).map(|(_, parts)| &parts[at]);
            mine().for_each(|part| row.add(part));
            let first = match row.cases {
                0 => mine().find_map(|part| part.refused.clone()),
                _ => mine().find_map(|part| part.failure.clone()),
            };
            row.failure = first.map(|failure| shrink::shrink(kernel, spec, *device, plan, failure));
            rows.push(row);
        }
    }
    let is_empty = |row: &Row| row.cases + row.unfit == 0;
    if rows.iter().all(is_empty) { Err(Refusal::NoShape) } else { Ok(rows) }
}

/// Judges one specialisation that is compiled already; answers how many cases there were. For tools that want a
/// verdict soon: on one thread, and a failure is not shrunk. `plan.fixed` must hold all its constants and knobs.
///
/// # Errors
///
/// The first case that failed.
pub fn check(
    kernel: &Kernel,
    spec: &Kernel,
    device: &dyn Device,
    compiled: (Specialisation, Arc<dyn Executable>),
    plan: &Plan,
) -> Result<usize, Box<Failure>> {
    let dtypes = compiled.0.dtypes.clone();
    let mut loaded = Loaded::with(kernel, device, plan, compiled);
    let mut judged = 0;
    for n in 0..plan.cases {
        let Some(extents) = extents::draw(kernel, n, &plan.fixed, plan.seed) else { continue };
        let seed = Random::new(plan.seed.wrapping_add(n as u64)).next();
        let mut case = Case { extents, dtypes: dtypes.clone(), seed };
        let outcome = match Oracle::new(kernel, spec, &case) {
            Ok(None) => continue,
            Ok(Some(oracle)) => oracle.judge(&mut loaded, &mut case),
            Err(error) => Err(error),
        };
        judged += 1;
        if let Some(what) = problem(outcome, |_| ()) {
            return Err(Box::new(Failure::new(kernel, case, what)));
        }
    }
    Ok(judged)
}

/// Number of cases `verify` will report progress for.
pub fn count(kernel: &Kernel, plan: &Plan) -> usize {
    assignments(kernel, &plan.dtypes).len() * plan.cases
}

/// What came out for one group of cases on one device.
#[derive(Default)]
struct Part {
    cases: usize,
    closest: Vec<(Case, Judged)>,
    failure: Option<Failure>,
    /// Cases for which there was no room, and the first of them.
    unfit: usize,
    refused: Option<Failure>,
}

/// Runs cases of one specialisation on each device.
fn judge(
    kernel: &Kernel,
    spec: &Kernel,
    devices: &[&dyn Device],
    plan: &Plan,
    dtypes: &BTreeMap<String, DType>,
    group: Range<usize>,
    progress: &(dyn Fn() + Sync),
) -> Vec<Part> {
    let loaded = devices.iter().map(|device| Loaded::new(kernel, *device, plan));
    let mut loaded: Vec<Loaded<'_>> = loaded.collect();
    let mut parts: Vec<Part> = devices.iter().map(|_| Part::default()).collect();
    for n in group {
        progress();
        let Some(extents) = extents::draw(kernel, n, &plan.fixed, plan.seed) else { continue };
        let seed = Random::new(plan.seed.wrapping_add(n as u64)).next();
        let case = Case { extents, dtypes: dtypes.clone(), seed };
        let oracle = match Oracle::new(kernel, spec, &case) {
            Ok(Some(oracle)) => oracle,
            Ok(None) => continue,
            Err(error) => {
                parts.iter_mut().for_each(|part| part.cases += 1);
                // One device says it for all.
                if let Some(part) = parts.first_mut() {
                    let failure = Failure::new(kernel, case, What::Error(error));
                    part.failure.get_or_insert(failure);
                }
                continue;
            }
        };
        for (part, loaded) in parts.iter_mut().zip(&mut loaded) {
            // As it ran: a device may have wanted smaller knobs.
            let mut case = case.clone();
            let outcome = oracle.judge(loaded, &mut case);
            if let Err(error @ CaseError::Runtime(RuntimeError::NoRoom { .. })) = outcome {
                part.unfit += 1;
                let failure = || Failure::new(kernel, case, What::Error(error));
                part.refused.get_or_insert_with(failure);
                continue;
            }
            part.cases += 1;
            let what = problem(outcome, |judged| closer(&mut part.closest, &case, judged));
            if let (Some(what), None) = (what, &part.failure) {
                part.failure = Some(Failure::new(kernel, case.clone(), what));
            }
        }
    }
    parts
}

impl Failure {
    fn new(kernel: &Kernel, case: Case, what: What) -> Failure {
        let numbers = case.numbers(kernel);
        Failure { case, numbers, what }
    }
}

/// The worst output that does not pass, or the error.
fn problem(
    outcome: Result<Vec<Judged>, CaseError>,
    mut passed: impl FnMut(Judged),
) -> Option<What> {
    match outcome {
        Err(error) => Some(What::Error(error)),
        Ok(judged) => {
            let mut wrong = None;
            for output in judged {
                if output.comparison.pass {
                    passed(output);
                } else if wrong.is_none() {
                    wrong = Some(What::Wrong(output));
                }
            }
            wrong
        }
    }
}

/// Keeps of each output what came closer to its bound.
fn closer(closest: &mut Vec<(Case, Judged)>, case: &Case, judged: Judged) {
    let share = |j: &Judged| j.comparison.max_abs_error / j.comparison.bound.max(1e-300);
    match closest.iter_mut().find(|(_, best)| best.output == judged.output) {
        Some((_, best)) if share(best) >= share(&judged) => {}
        Some(place) => *place = (case.clone(), judged),
        None => closest.push((case.clone(), judged)),
    }
}

impl Row {
    fn add(&mut self, part: &Part) {
        self.cases += part.cases;
        self.unfit += part.unfit;
        for (case, judged) in &part.closest {
            closer(&mut self.closest, case, judged.clone());
        }
    }

    /// Whether every case passed.
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

/// Every choice of an element type for each generic one, all generics of a class alike.
fn assignments(kernel: &Kernel, wanted: &[DType]) -> Vec<BTreeMap<String, DType>> {
    let generics: Vec<(&String, DTypeClass)> = kernel
        .generics
        .values()
        .filter_map(|generic| match &generic.kind {
            GenericKind::DType(class) => Some((&generic.name, *class)),
            GenericKind::Const | GenericKind::Knob(_) => None,
        })
        .collect();
    if generics.is_empty() {
        return vec![BTreeMap::new()];
    }
    // Widest first: where f32 fails too, the fault is no rounding.
    let floats = [DType::F32, DType::F16, DType::BF16];
    let ints = [DType::I32, DType::I64];
    (0..floats.len())
        .map(|n| {
            let pick = |class: DTypeClass| match class {
                DTypeClass::Float => floats[n],
                DTypeClass::Int => ints[n % ints.len()],
            };
            generics.iter().map(|(name, class)| ((*name).clone(), pick(*class))).collect()
        })
        .filter(|chosen: &BTreeMap<String, DType>| {
            wanted.is_empty() || chosen.values().all(|dtype| wanted.contains(dtype))
        })
        .collect()
}
