//! Kernels of the library with and without the mask pass: the same numbers, bit for bit.
//!
//! Leaving a block out and running it under a mask that excludes all of it must not differ, and the order of the
//! others is kept, so on the interpreter nothing may change.

use std::collections::BTreeMap;

use tilec_driver::{Options, optimise};
use tilec_interp::{Argument, Data, Limits, Mode, Outcome, TensorData, run};
use tilec_ir::random::Rng;
use tilec_ir::{Elem, Extent, GenericKind, Kernel, Op, ParamType};
use tilec_passes::pipeline;
use tilec_tests::{lowered, no_complaints};
use tilec_vocab::{DType, Specialisation};

/// Queries, keys and a number for windows and prefixes: whole and ragged blocks, more keys than queries and
/// fewer, windows of nothing, of less than a block and of more than everything.
const SHAPES: &[(i64, i64, i64)] = &[
    (64, 64, 5),
    (1, 1, 0),
    (33, 65, 7),
    (96, 40, 31),
    (20, 130, 200),
    (130, 129, 64),
    (7, 97, 1),
];

/// Kernels that the library has no like of: loops inside one another, a mask on each, one that weighs its lanes.
const OTHERS: &[&str] = &[
    "kernel nested(x: &f32[M, N], y: &mut f32[B])
tune BM in [16] tune BN in [8]
grid b in B {
    var total = 0.0;
    for m in M by BM {
        for n in N by BN { total = total + sum(select(n <= m, x[m, n], 0.0) over m, n); }
    }
    y[b] = total;
}
",
    "kernel nested_twice(x: &f32[M, N], y: &mut f32[B], w: i32)
tune BM in [16] tune BN in [8]
grid b in B {
    var total = 0.0;
    for m in M by BM {
        if w > 3 {
            for n in m_first(w)..N by BN {
                total = total + sum(select(n <= m and m < w, x[m, n], 0.0) over m, n);
            }
        }
        total = total + sum(select(m % 3 == 1, x[m, 0], 0.0) over m);
    }
    y[b] = total;
}
fn m_first(w) = w - 4;
",
    "kernel weighed(x: &f32[M, N], y: &mut f32[M], w: i32)
tune BM in [16] tune BN in [8]
grid m in M by BM {
    var total = fill(0.0, f32[m]);
    for n in N by BN {
        let live = 3 * n <= 2 * m + w and 5 * n > m - w;
        total = total + sum(select(live, x[m, n], 0.0) over n);
    }
    y[m] = total;
}
",
];

fn bound(kernel: &Kernel) -> Specialisation {
    let mut binding = Specialisation::default();
    for generic in kernel.generics.values() {
        let name = generic.name.clone();
        match &generic.kind {
            GenericKind::DType(_) => {
                binding.dtypes.insert(name, DType::F32);
            }
            GenericKind::Const => {
                let value = if name == "D" { 16 } else { 2 };
                binding.ints.insert(name, value);
            }
            // Small blocks, so that small shapes have many.
            GenericKind::Knob(choices) => {
                binding.ints.insert(name, choices.iter().copied().min().unwrap_or(1));
            }
        }
    }
    binding
}

fn arguments(
    kernel: &Kernel,
    (rows, columns, window): (i64, i64, i64),
    seed: u64,
) -> Vec<Argument> {
    let extents = BTreeMap::from([("M", rows), ("N", columns), ("B", 2), ("H", 2), ("G", 1)]);
    let mut rng = Rng::new(seed);
    let argument = |ty: &ParamType, rng: &mut Rng| match ty {
        ParamType::Tensor { elem, dims, .. } => {
            let extent = |dim: &Extent| match dim {
                Extent::Const(n) => *n,
                Extent::Dim(dim) => {
                    let name = kernel.dims[*dim].name.as_str();
                    *extents.get(name).unwrap_or_else(|| panic!("{}: what is {name}?", kernel.name))
                }
                Extent::Generic(_) => 1,
            };
            let shape: Vec<i64> = dims.iter().map(extent).collect();
            let count = shape.iter().product::<i64>();
            let data = match elem.known() {
                Some(DType::F32 | DType::F16 | DType::BF16) => Data::Float(
                    (0..count).map(|_| rng.between(-1000, 1000) as f64 / 512.0).collect(),
                ),
                // Document ids, prefix lengths.
                _ => {
                    Data::Int((0..count).map(|n| if window > 8 { n / 9 } else { window }).collect())
                }
            };
            Argument::Tensor(TensorData { shape, data })
        }
        ParamType::Scalar(Elem::Known(DType::F32)) => Argument::Float(0.25),
        ParamType::Scalar(_) => Argument::Int(window),
    };
    kernel.params.values().map(|param| argument(&param.ty, &mut rng)).collect()
}

fn outcome(kernel: &Kernel, args: &[Argument]) -> Outcome {
    run(kernel, args.to_vec(), Mode::Declared, Limits::default())
        .unwrap_or_else(|error| panic!("{}: {error}", kernel.name))
}

#[test]
fn the_mask_pass_changes_no_result() {
    let without = pipeline::Options::default().without("masks").expect("a row of the table");
    let without = Options { pipeline: without };
    let mut complaints = Vec::new();
    let mut split = 0;
    let masked = |path: &str| path.contains("attention/") || path.contains("backward/");
    let library = tilec_kernels::FILES.iter().filter(|file| masked(file.path));
    for text in library.map(|file| file.text).chain(OTHERS.iter().copied()) {
        for kernel in &lowered(text).kernels {
            let binding = bound(kernel);
            let compiled = |options: &Options| {
                optimise(kernel, &binding, options)
                    .unwrap_or_else(|e| panic!("{}: {e}", kernel.name))
            };
            let (with, plain) = (compiled(&Options::default()), compiled(&without));
            let loops = |kernel: &Kernel| {
                let insts = kernel.walk().into_iter();
                insts.filter(|&i| matches!(kernel.insts[i].op, Op::For(_))).count()
            };
            split += usize::from(loops(&with) > loops(&plain));
            for (seed, &shape) in SHAPES.iter().enumerate() {
                if kernel.name == "gqa" && shape.0 % 2 == 1 {
                    continue;
                }
                let args = arguments(&with, shape, seed as u64);
                let (a, b) = (outcome(&with, &args), outcome(&plain, &args));
                for (a, b) in a.outputs.iter().zip(&b.outputs) {
                    let same = match (&a.tensor.data, &b.tensor.data) {
                        (Data::Float(x), Data::Float(y)) => {
                            x.iter().zip(y).all(|(x, y)| x.to_bits() == y.to_bits())
                        }
                        (x, y) => x == y,
                    };
                    if !same || a.written != b.written {
                        complaints.push(format!("{} {shape:?}: `{}` differs", kernel.name, a.name));
                    }
                }
            }
        }
    }
    no_complaints(complaints);
    assert!(split >= 10, "only {split} kernels were split");
}
