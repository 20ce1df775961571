//! Verification: a kernel against its spec, over shapes at which tiled code goes wrong.
//!
//! The spec runs in f64, and once more rounded to the kernel's type after every operation. An output passes
//! if its greatest error is at most twice that of the second run, plus 1e-5 (FlashAttention's rule).
//! A case that fails is shrunk to the smallest shape that still does.

mod case;
mod extents;
mod inputs;
mod random;
mod shrink;

use std::collections::BTreeMap;

use tilec_driver::Options;
use tilec_host::Device;
use tilec_ir::{GenericKind, Kernel};
use tilec_vocab::{DType, DTypeClass};

pub use case::{Case, CaseError, Judged, Oracle};
pub use extents::Extents;
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
    /// The output that came closest to its bound: the case, the output, the comparison.
    pub closest: Option<(Case, Judged)>,
    /// The first failure, shrunk.
    pub failure: Option<Failure>,
}

/// A case that failed.
#[derive(Debug)]
pub struct Failure {
    /// The smallest found.
    pub case: Case,
    /// What is wrong there.
    pub what: What,
}

/// What is wrong with a case.
#[derive(Debug)]
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
}

/// Verifies one kernel on some devices; `progress` is told after each case.
pub fn verify(
    kernel: &Kernel,
    spec: &Kernel,
    devices: &[&dyn Device],
    plan: &Plan,
    progress: &mut dyn FnMut(),
) -> Result<Vec<Row>, Refusal> {
    let mut rows = Vec::new();
    let mut judged_any = false;
    for dtypes in assignments(kernel, &plan.dtypes) {
        let shown: Vec<String> = dtypes.iter().map(|(name, d)| format!("{name}={d}")).collect();
        let mut mine: Vec<Row> = devices
            .iter()
            .map(|device| Row {
                kernel: kernel.name.clone(),
                device: device.info().name,
                dtypes: shown.join(" "),
                cases: 0,
                closest: None,
                failure: None,
            })
            .collect();
        for n in 0..plan.cases {
            let mut random = Random::new(plan.seed.wrapping_add(n as u64 * 0x51_7c_c1));
            let Some(extents) = extents::draw(kernel, n, &plan.fixed, &mut random) else { continue };
            let case = Case { extents, dtypes: dtypes.clone(), seed: random.next() };
            judged_any |= one(kernel, spec, devices, plan, case, &mut mine);
            progress();
        }
        rows.extend(mine);
    }
    if judged_any { Ok(rows) } else { Err(Refusal::NoShape) }
}

/// Number of cases `verify` will report progress for.
pub fn count(kernel: &Kernel, plan: &Plan) -> usize {
    assignments(kernel, &plan.dtypes).len() * plan.cases
}

fn one(
    kernel: &Kernel,
    spec: &Kernel,
    devices: &[&dyn Device],
    plan: &Plan,
    case: Case,
    rows: &mut [Row],
) -> bool {
    let oracle = match Oracle::new(kernel, spec, &case) {
        Ok(Some(oracle)) => oracle,
        Ok(None) => return false,
        Err(error) => {
            if let Some(row) = rows.first_mut()
                && row.failure.is_none()
            {
                row.failure = Some(Failure { case, what: What::Error(error) });
            }
            return true;
        }
    };
    for (row, device) in rows.iter_mut().zip(devices) {
        row.cases += 1;
        let outcome = oracle.judge(kernel, &case, *device, &plan.options);
        match problem(outcome, |judged| row.closer(&case, judged)) {
            Some(_) if row.failure.is_some() => {}
            Some(what) => {
                let first = Failure { case: case.clone(), what };
                row.failure = Some(shrink::shrink(kernel, spec, *device, plan, first));
            }
            None => {}
        }
    }
    true
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

impl Row {
    fn closer(&mut self, case: &Case, judged: Judged) {
        let share = |j: &Judged| j.comparison.max_abs_error / j.comparison.bound.max(1e-300);
        if self.closest.as_ref().is_none_or(|(_, best)| share(best) < share(&judged)) {
            self.closest = Some((case.clone(), judged));
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
