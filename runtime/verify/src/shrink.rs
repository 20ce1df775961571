//! From a case that fails to the smallest that still does.
//!
//! One extent at a time is replaced by a smaller one, as long as the case goes on failing in any way. Constants
//! and knobs stay: they are the program under test.

use tilec_host::Device;
use tilec_ir::Kernel;

use crate::case::{Case, Loaded, Oracle};
use crate::extents::satisfies;
use crate::{Failure, Plan, What, problem};

/// Cases that are tried at most.
const BUDGET: usize = 500;
/// Draws of the arguments for each shape: at a small one few of them may show the fault.
const SEEDS: u64 = 12;

/// The smallest failing case found from `first`.
pub fn shrink(
    kernel: &Kernel,
    spec: &Kernel,
    device: &dyn Device,
    plan: &Plan,
    first: Failure,
) -> Failure {
    let mut loaded = Loaded::new(kernel, device, plan);
    let mut best = first;
    let mut tried = 0;
    while let Some(found) = smaller(kernel, spec, &mut loaded, plan, &best, &mut tried) {
        best = found;
    }
    best
}

/// A failure with one extent smaller than in `best`.
fn smaller(
    kernel: &Kernel,
    spec: &Kernel,
    loaded: &mut Loaded<'_>,
    plan: &Plan,
    best: &Failure,
    tried: &mut usize,
) -> Option<Failure> {
    let dims = best.case.extents.dims.iter().filter(|(name, _)| !plan.fixed.contains_key(*name));
    for (name, &extent) in dims {
        for extent in candidates(extent) {
            let mut case = best.case.clone();
            case.extents.dims.insert(name.clone(), extent);
            if !satisfies(kernel, &case.extents) {
                continue;
            }
            for seed in 0..SEEDS {
                if *tried == BUDGET {
                    return None;
                }
                *tried += 1;
                case.seed = best.case.seed.wrapping_add(seed);
                if let Some(what) = fails(kernel, spec, loaded, &case) {
                    return Some(Failure::new(kernel, case, what));
                }
            }
        }
    }
    None
}

/// Smaller extents to try, boldest first.
fn candidates(extent: i64) -> Vec<i64> {
    let mut list = vec![1, extent / 2, extent - extent / 4, extent - 1];
    list.retain(|&candidate| 0 < candidate && candidate < extent);
    list.dedup();
    list
}

fn fails(kernel: &Kernel, spec: &Kernel, loaded: &mut Loaded<'_>, case: &Case) -> Option<What> {
    match Oracle::new(kernel, spec, case) {
        Ok(Some(oracle)) => problem(oracle.judge(loaded, &mut case.clone()), |_| {}),
        // The oracle is not what is being shrunk.
        Ok(None) | Err(_) => None,
    }
}
