//! Kernels drawn at random: what must leave a result as it is, bit for bit.
//!
//! `TILEC_INTERP_KERNELS` sets how many are drawn; 500 unless said. A failure names the seed, and
//! the kernel can be seen with `tilec_ir::random::case(seed)`.

mod support;

use std::env;

use support::same;
use tilec_interp::{Argument, Data, Limits, Mode, Order, Outcome, TensorData, run_in_order};
use tilec_ir::random::{Case, Rng, case, element};
use tilec_ir::{
    BinaryOp, Extent, Imm, Kernel, Op, ParamType, ReduceOp, UnaryOp, parse, print_kernel,
};
use tilec_passes::{Options, PASSES, optimise, pipeline};
use tilec_vocab::DType;

/// The cases, each with its seed.
fn cases() -> impl Iterator<Item = (u64, Case)> {
    let count = env::var("TILEC_INTERP_KERNELS").ok().and_then(|text| text.parse().ok());
    (0..count.unwrap_or(500)).map(|seed| (seed, case(seed)))
}

fn arguments(seed: u64, case: &Case) -> Vec<Argument> {
    let mut rng = Rng::new(seed);
    let params = case.kernel.params.iter().map(|(param, data)| match &data.ty {
        ParamType::Tensor { elem, dims, .. } => {
            let dtype = elem.known().expect("specialised");
            let shape: Vec<i64> = dims.iter().map(|&dim| extent(case, dim)).collect();
            let count = shape.iter().product::<i64>();
            let data: Vec<f64> = (0..count).map(|_| element(dtype, &mut rng)).collect();
            let data = match dtype {
                DType::Bool => Data::Bool(data.into_iter().map(|x| x != 0.0).collect()),
                DType::I32 | DType::I64 => Data::Int(data.into_iter().map(|x| x as i64).collect()),
                DType::F16 | DType::BF16 | DType::F32 => Data::Float(data),
            };
            Argument::Tensor(TensorData { shape, data })
        }
        ParamType::Scalar(_) => {
            let value = case.scalars.iter().find(|(scalar, _)| *scalar == param);
            match value.expect("a value for each number").1 {
                Imm::Bool(value) => Argument::Bool(value),
                Imm::Int(value) => Argument::Int(value),
                Imm::Float(value) => Argument::Float(value),
            }
        }
    });
    params.collect()
}

fn extent(case: &Case, extent: Extent) -> i64 {
    match extent {
        Extent::Const(lanes) => lanes,
        Extent::Dim(dim) => {
            case.dims.iter().find(|(other, _)| *other == dim).expect("an extent for each").1
        }
        Extent::Generic(generic) => panic!("{generic} in a specialised kernel"),
    }
}

fn run(seed: u64, kernel: &Kernel, case: &Case, order: Order) -> Outcome {
    let args = arguments(seed, case);
    run_in_order(kernel, args, Mode::Declared, Limits::default(), order)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", print_kernel(kernel)))
}

fn equal(a: &Data, b: &Data) -> bool {
    match (a, b) {
        (Data::Float(a), Data::Float(b)) => same(a, b),
        _ => a == b,
    }
}

/// Outputs are bitwise equal, NaN to NaN, and the same elements were written.
fn assert_same(seed: u64, what: &str, kernels: [&Kernel; 2], outcomes: [&Outcome; 2]) {
    let [before, after] = outcomes;
    for (before, after) in before.outputs.iter().zip(&after.outputs) {
        let data = equal(&before.tensor.data, &after.tensor.data);
        assert!(
            data && before.written == after.written,
            "seed {seed}, {what}: `{}` differs\n{:?}\n{:?}\n{}\n{}",
            before.name,
            before.tensor,
            after.tensor,
            print_kernel(kernels[0]),
            print_kernel(kernels[1]),
        );
    }
    assert_eq!(before.outputs.len(), after.outputs.len());
}

/// The drawn kernels do something. Those that write nothing (no program, no iteration, no lane, no
/// index in range) are wanted too, but not alone.
#[test]
fn the_kernels_are_worth_running() {
    let (mut outputs, mut written, mut varied) = (0, 0, 0);
    for (seed, case) in cases() {
        for output in run(seed, &case.kernel, &case, Order::Forward).outputs {
            outputs += 1;
            written += usize::from(output.written.contains(&true));
            varied += usize::from(match &output.tensor.data {
                Data::Float(x) => x.windows(2).any(|pair| pair[0] != pair[1]),
                Data::Int(x) => x.windows(2).any(|pair| pair[0] != pair[1]),
                Data::Bool(x) => x.windows(2).any(|pair| pair[0] != pair[1]),
            });
        }
    }
    println!("{outputs} outputs, {written} written, {varied} not all one number");
    assert!(written * 2 > outputs && varied * 2 > outputs);
}

#[test]
fn programs_may_run_in_any_order() {
    for (seed, case) in cases() {
        let forward = run(seed, &case.kernel, &case, Order::Forward);
        for order in [Order::Reverse, Order::Shuffled(seed)] {
            let other = run(seed, &case.kernel, &case, order);
            let what = format!("{order:?}");
            assert_same(seed, &what, [&case.kernel; 2], [&forward, &other]);
        }
    }
}

#[test]
fn each_pass_alone_and_all_together_change_nothing() {
    for (seed, case) in cases() {
        let before = run(seed, &case.kernel, &case, Order::Forward);
        let check = |what: &str, kernel: &Kernel| {
            let after = run(seed, kernel, &case, Order::Forward);
            assert_same(seed, what, [&case.kernel, kernel], [&before, &after]);
        };
        let bug = |bug| -> Kernel { panic!("seed {seed}: {bug}") };
        for pass in PASSES {
            check(pass.name, &pipeline::run(pass, &case.kernel).unwrap_or_else(bug));
        }
        check("all", &optimise(&case.kernel, &Options::default()).unwrap_or_else(bug));
    }
}

/// Reading renumbers values and axes; no result may depend on the numbers.
#[test]
fn text_means_the_same() {
    for (seed, case) in cases() {
        let before = run(seed, &case.kernel, &case, Order::Forward);
        let module = parse(&print_kernel(&case.kernel)).expect("printed text");
        let read = module.kernels.into_iter().chain(module.specs).next().expect("a kernel");
        let after = run(seed, &read, &case, Order::Forward);
        assert_same(seed, "text", [&case.kernel, &read], [&before, &after]);
    }
}

/// Another op of the same type.
fn mutated(op: &Op) -> Option<Op> {
    let binary = |op| Some(Op::Binary(op));
    match op {
        Op::Binary(BinaryOp::Add) => binary(BinaryOp::Sub),
        Op::Binary(BinaryOp::Sub) => binary(BinaryOp::Add),
        Op::Binary(BinaryOp::Mul) => binary(BinaryOp::Max),
        Op::Binary(BinaryOp::Min) => binary(BinaryOp::Max),
        Op::Binary(BinaryOp::Max) => binary(BinaryOp::Min),
        Op::Binary(BinaryOp::And) => binary(BinaryOp::Or),
        Op::Binary(BinaryOp::Or) => binary(BinaryOp::And),
        Op::Binary(BinaryOp::Div) => binary(BinaryOp::Mul),
        Op::Binary(BinaryOp::Rem) => binary(BinaryOp::Div),
        Op::Unary(UnaryOp::Exp) => Some(Op::Unary(UnaryOp::Exp2)),
        Op::Compare(op) => Some(Op::Compare(op.negate())),
        Op::Reduce(ReduceOp::Max, over) => Some(Op::Reduce(ReduceOp::Min, over.clone())),
        Op::Reduce(ReduceOp::Min, over) => Some(Op::Reduce(ReduceOp::Max, over.clone())),
        Op::Reduce(ReduceOp::Sum, over) => Some(Op::Reduce(ReduceOp::Max, over.clone())),
        _ => None,
    }
}

/// How well these kernels see a fault: one op in place of another, if the op is not dead.
#[test]
fn wrong_ops_are_seen() {
    let (mut planted, mut seen) = (0, 0);
    for (seed, case) in cases() {
        // Of what dead code elimination leaves, something reaches an output. No other pass runs: it may have
        // proven what a fault then makes untrue.
        let pass = PASSES.iter().find(|pass| pass.name == "dce").expect("a row");
        let kernel = pipeline::run(pass, &case.kernel).unwrap_or_else(|bug| panic!("{bug}"));
        let before = run(seed, &kernel, &case, Order::Forward);
        let places = kernel.walk().into_iter();
        let mutants: Vec<_> =
            places.filter_map(|inst| Some((inst, mutated(&kernel.insts[inst].op)?))).collect();
        if mutants.is_empty() {
            continue;
        }
        let (inst, op) = mutants[Rng::new(seed).below(mutants.len())].clone();
        let mut wrong = kernel.clone();
        wrong.insts[inst].op = op;
        let after = run(seed, &wrong, &case, Order::Forward);
        let same = |(a, b): (&tilec_interp::Output, &tilec_interp::Output)| {
            a.written == b.written && equal(&a.tensor.data, &b.tensor.data)
        };
        planted += 1;
        seen += u64::from(!before.outputs.iter().zip(&after.outputs).all(same));
    }
    println!("{seen} of {planted} faults seen");
    assert!(seen * 3 > planted);
}
