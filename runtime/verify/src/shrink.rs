//! From a case that fails to the smallest that still does.
//!
//! One extent at a time is replaced by a smaller one, as long as the case goes on failing in any way. Constants
//! and knobs stay: they are the program under test.

use tilec_host::Device;
use tilec_ir::Kernel;

use crate::case::{Case, Oracle};
use crate::extents::satisfies;
use crate::{Failure, Plan, What, problem};

/// Cases that are tried at most.
const BUDGET: usize = 150;

/// The smallest failing case found from `first`.
pub fn shrink(
    kernel: &Kernel,
    spec: &Kernel,
    device: &dyn Device,
    plan: &Plan,
    first: Failure,
) -> Failure {
    let mut best = first;
    let mut tried = 0;
    let mut smaller = true;
    while smaller && tried < BUDGET {
        smaller = false;
        let names: Vec<String> = best.case.extents.dims.keys().cloned().collect();
        for name in names {
            for extent in candidates(best.case.extents.dims[&name]) {
                let mut case = best.case.clone();
                case.extents.dims.insert(name.clone(), extent);
                if plan.fixed.contains_key(&name) || !satisfies(kernel, &case.extents) {
                    continue;
                }
                tried += 1;
                if let Some(what) = fails(kernel, spec, device, plan, &case) {
                    best = Failure { case, what };
                    smaller = true;
                    break;
                }
                if tried >= BUDGET {
                    return best;
                }
            }
        }
    }
    best
}

/// Smaller extents to try, boldest first.
fn candidates(extent: i64) -> Vec<i64> {
    let mut list = vec![1, extent / 2, extent - extent / 4, extent - 1];
    list.retain(|&candidate| 0 < candidate && candidate < extent);
    list.dedup();
    list
}

fn fails(
    kernel: &Kernel,
    spec: &Kernel,
    device: &dyn Device,
    plan: &Plan,
    case: &Case,
) -> Option<What> {
    match Oracle::new(kernel, spec, case) {
        Ok(Some(oracle)) => problem(oracle.judge(kernel, case, device, &plan.options), |_| {}),
        // The oracle is not what is being shrunk.
        Ok(None) | Err(_) => None,
    }
}
