//! Properties of every pass over kernels drawn at random.

use std::collections::BTreeSet;

use tilec_ir::random::case;
use tilec_ir::{Kernel, Op, print_kernel, verify};
use tilec_passes::{GPU_PASSES, Options, PASSES, optimise, pipeline};

const KERNELS: u64 = 400;

fn run(pass: &pipeline::Pass, kernel: &Kernel) -> Kernel {
    pipeline::run(pass, kernel).unwrap_or_else(|bug| panic!("{bug}\n{}", bug.ir))
}

#[test]
fn each_pass_rests_after_one_run() {
    // `masks` would split again what it left mixed, and find nothing.
    for pass in PASSES.iter().filter(|pass| pass.name != "masks") {
        let mut changed = 0;
        for seed in 0..KERNELS {
            let kernel = case(seed).kernel;
            let once = run(pass, &kernel);
            let (first, second) = (print_kernel(&once), print_kernel(&run(pass, &once)));
            assert_eq!(first, second, "{} is not idempotent on seed {seed}", pass.name);
            changed += u64::from(first != print_kernel(&kernel));
        }
        assert!(changed > KERNELS / 10, "{} changed {changed} kernels only", pass.name);
    }
}

#[test]
fn writes_stay() {
    // `masks` may copy a loop, with its writes.
    let writes = |kernel: &Kernel, copies: bool| {
        let ops = kernel.walk().into_iter().map(|inst| kernel.insts[inst].op.clone());
        let mut ops: Vec<_> = ops.filter(Op::writes).map(|op| format!("{op:?}")).collect();
        if copies {
            ops.sort();
            ops.dedup();
        }
        ops
    };
    // `fold` may drop a branch that is never taken or a loop without iterations, nothing else.
    for pass in PASSES.iter().filter(|pass| !["fold", "refold"].contains(&pass.name)) {
        for seed in 0..KERNELS {
            let kernel = case(seed).kernel;
            let copies = pass.name == "masks";
            let after = writes(&run(pass, &kernel), copies);
            assert_eq!(after, writes(&kernel, copies), "{} on {seed}", pass.name);
        }
    }
}

#[test]
fn the_whole_pipeline_makes_kernels_smaller() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..KERNELS {
        let kernel = case(seed).kernel;
        let small = optimise(&kernel, &Options::default()).unwrap();
        verify(&small).unwrap();
        before += kernel.walk().len();
        after += small.walk().len();
        let untouched = optimise(&kernel, &Options::none()).unwrap();
        assert_eq!(print_kernel(&untouched), print_kernel(&kernel));
    }
    println!("{before} instructions, {after} after the pipeline");
    assert!(after < before);
}

#[test]
fn the_table_keeps_its_order() {
    let mut seen = BTreeSet::new();
    for pass in PASSES.iter().chain(GPU_PASSES) {
        for name in pass.after {
            assert!(seen.contains(name), "{} must come after {name}", pass.name);
        }
        assert!(seen.insert(pass.name), "{} stands twice", pass.name);
        assert!(Options::default().without(pass.name).is_some());
    }
    assert!(Options::default().without("no such pass").is_none());
}
