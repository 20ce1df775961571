//! Each pass, and the whole pipeline, computes what the kernel computed before, to the bit.
//!
//! The interpreter runs random kernels as declared, roundings included. It also runs their programs
//! in another order, which checks what the kernels drawn promise: programs do not depend on each
//! other, and the error given for an output covers what order can change.

use tilec_interp::{Argument, Data, Limits, Mode, Order, Outcome, TensorData, run, run_in_order};
use tilec_ir::random::{Case, case};
use tilec_ir::{Imm, Kernel, ParamType, print_kernel};
use tilec_passes::{Options, PASSES, optimise, pipeline};

const KERNELS: u64 = 1000;

fn arguments(case: &Case, seed: u64) -> Vec<Argument> {
    let params = case.kernel.params.iter();
    params
        .map(|(id, param)| match &param.ty {
            ParamType::Scalar(_) => {
                match case.scalars.iter().find(|(of, _)| *of == id).map(|(_, imm)| *imm) {
                    Some(Imm::Bool(x)) => Argument::Bool(x),
                    Some(Imm::Int(x)) => Argument::Int(x),
                    Some(Imm::Float(x)) => Argument::Float(x),
                    None => panic!("no value for {}", param.name),
                }
            }
            ParamType::Tensor { elem, .. } => {
                let (shape, x) = (case.shape(id), case.elements(id, seed));
                Argument::Tensor(if elem.is_float() {
                    TensorData::floats(shape, x)
                } else if elem.is_bool() {
                    TensorData::bools(shape, x.into_iter().map(|x| x != 0.0).collect::<Vec<_>>())
                } else {
                    TensorData::ints(shape, x.into_iter().map(|x| x as i64).collect::<Vec<_>>())
                })
            }
        })
        .collect()
}

fn outcome(kernel: &Kernel, args: &[Argument]) -> Outcome {
    run(kernel, args.to_vec(), Mode::Declared, Limits::default())
        .unwrap_or_else(|error| panic!("{error}\n{}", print_kernel(kernel)))
}

/// The first place where two runs differ by more than allowed. Zeros of either sign differ, NaNs
/// do not.
fn difference(a: &Outcome, b: &Outcome, tolerance: impl Fn(usize) -> f64) -> Option<String> {
    for (n, (a, b)) in a.outputs.iter().zip(&b.outputs).enumerate() {
        if a.written != b.written {
            return Some(format!("{}: written elsewhere", a.name));
        }
        let near = |a: &f64, b: &f64| {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (tolerance(n) > 0.0 && (a - b).abs() <= tolerance(n))
        };
        let place = match (&a.tensor.data, &b.tensor.data) {
            (Data::Float(a), Data::Float(b)) => a.iter().zip(b).position(|(a, b)| !near(a, b)),
            (a, b) => (a != b).then_some(0),
        };
        if let Some(place) = place {
            return Some(format!(
                "{} at {place}: {:?}\n{:?}",
                a.name, a.tensor.data, b.tensor.data
            ));
        }
    }
    None
}

fn check(seed: u64, what: &str, before: &Kernel, after: &Kernel, args: &[Argument], was: &Outcome) {
    if let Some(difference) = difference(was, &outcome(after, args), |_| 0.0) {
        let (before, after) = (print_kernel(before), print_kernel(after));
        panic!("{what}, seed {seed}: {difference}\n--- before ---\n{before}--- after ---\n{after}");
    }
}

#[test]
fn passes_change_nothing_that_can_be_seen() {
    let mut writes = 0;
    for seed in 0..KERNELS {
        let case = case(seed);
        let args = arguments(&case, seed);
        let was = outcome(&case.kernel, &args);
        writes += was.outputs.iter().flat_map(|output| &output.written).filter(|&&w| w).count();
        for pass in PASSES {
            let after = pipeline::run(pass, &case.kernel).unwrap();
            check(seed, pass.name, &case.kernel, &after, &args, &was);
        }
        let after = optimise(&case.kernel, &Options::default()).unwrap();
        check(seed, "all passes", &case.kernel, &after, &args, &was);
    }
    println!("{writes} elements written");
    assert!(writes > 10_000, "{writes} elements written: too few to mean much");
}

#[test]
fn programs_do_not_depend_on_their_order() {
    for seed in 0..KERNELS {
        let case = case(seed);
        let args = arguments(&case, seed);
        let was = outcome(&case.kernel, &args);
        let limits = Limits::default();
        let kernel = &case.kernel;
        let now = run_in_order(kernel, args, Mode::Declared, limits, Order::Reverse).unwrap();
        if let Some(difference) = difference(&was, &now, |n| case.outputs[n].tolerance) {
            panic!("seed {seed}: {difference}\n{}", print_kernel(kernel));
        }
    }
}
