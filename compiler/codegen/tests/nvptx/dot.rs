//! Matrix products with operands in shared memory and registers.

use tilec_gpu::gir::Op;
use tilec_gpu::gir::*;
use tilec_ir::*;
use tilec_layout::{Buffer, Dot as Role, Layout, Ldmatrix, Mma, chunked};
use tilec_vocab::DType;

use crate::build::*;

/// A buffer without conflicts for the fragments.
fn staged(axes: &[(Axis, u32)], elem_bytes: u32, fragment: &Layout<Axis>) -> Buffer<Axis> {
    use tilec_layout::{Access, Lanes};
    let buffer = Buffer::new(axes, elem_bytes).expect("a buffer");
    let contiguous = axes[axes.len() - 1].0;
    match Ldmatrix::of(fragment, contiguous, elem_bytes) {
        Some(load) => {
            let access = Access { layout: &load.addresses, lanes: Lanes::FirstCopies };
            buffer.best_swizzle(&[access]).0
        }
        None => buffer.best_swizzle(&[Access { layout: fragment, lanes: Lanes::All }]).0,
    }
}

struct Problem {
    dtype: DType,
    kind: DotKind,
    m: u32,
    n: u32,
    k: u32,
    /// B is stored `[n, k]`, as keys are, else `[k, n]`, as values are.
    b_rows_are_n: bool,
    is_async: bool,
}

/// `c[m, n] = a[m, k] * b`, 4 warps along m, everything through shared memory.
fn product(problem: &Problem) {
    let Problem { dtype, kind, m, n, k, b_rows_are_n, is_async } = *problem;
    let bytes = dtype.size_bytes() as u32;
    let mut b = Build::new(4);
    let (i, j, l) = (b.axis("i", m), b.axis("j", n), b.axis("l", k));
    let name = |role| match role {
        Role::M => i,
        Role::N => j,
        Role::K => l,
    };
    let mma = match kind {
        DotKind::Mma(mma, _) => mma,
        DotKind::Fma => Mma::M16N8K8Tf32,
    };
    let warps = 4.min(m / 16);
    let rows = m / warps;
    let spread = |layout: Layout<Axis>, along_m: bool| {
        if along_m {
            layout.covering(i, rows).over_warps(i, warps).copied_over_warps(4 / warps)
        } else {
            layout.copied_over_warps(4)
        }
    };
    let a_layout = spread(mma.a().rename(name).expect("names").covering(l, k), true);
    let b_layout =
        spread(mma.b().rename(name).expect("names").covering(l, k).covering(j, n), false);
    let c_layout = spread(mma.c().rename(name).expect("names").covering(j, n), true);
    let b_axes = if b_rows_are_n { [(j, n), (l, k)] } else { [(l, k), (j, n)] };
    let a_buffer = b.buffer("a", staged(&[(i, m), (l, k)], bytes, &a_layout), 1);
    let b_buffer = b.buffer("b", staged(&b_axes, bytes, &b_layout), 1);
    let a = b.tensor("a", dtype, &[fixed(m), fixed(k)], false, true);
    let dims = b_axes.map(|(_, extent)| fixed(extent));
    let bt = b.tensor("b", dtype, &dims, false, true);
    let c = b.tensor("c", DType::F32, &[fixed(m), fixed(n)], true, true);
    let vector = 16 / bytes;
    for (param, buf, axes) in [(a, a_buffer, [(i, m), (l, k)]), (bt, b_buffer, b_axes)] {
        let names = axes.map(|(axis, _)| Some(axis));
        b.run(Op::Copy {
            access: access(param, &names, vector),
            to: Slot { buf, slot: None },
            layout: chunked(&axes, bytes, 4),
            is_async,
            when: None,
        });
    }
    b.run(Op::Commit);
    b.run(Op::Wait(0));
    b.run(Op::Barrier);
    let sum = b.tile(
        DType::F32,
        &c_layout,
        Op::Dot(Box::new(Dot {
            kind,
            a: Operand::Shared(Slot { buf: a_buffer, slot: None }),
            a_layout,
            b: Operand::Shared(Slot { buf: b_buffer, slot: None }),
            b_layout,
            elem: dtype,
            over: vec![l],
            acc: None,
        })),
    );
    b.run(Op::Store(access(c, &[Some(i), Some(j)], 2), sum));
    let (m, n, k) = (m as usize, n as usize, k as usize);
    let (x, y) = (small_numbers(m * k, 1), small_numbers(n * k, 2));
    let y_row = if b_rows_are_n { k } else { n };
    let given = vec![
        input("a", dtype, &x, &[k as u64, 1]),
        input("b", dtype, &y, &[y_row as u64, 1]),
        output("c", DType::F32, (m * n) as u64, &[n as u64, 1]),
    ];
    let found = run(&b.finish(), given, &[], "c", DType::F32);
    for row in 0..m {
        for column in 0..n {
            let wanted: f64 = (0..k)
                .map(|l| {
                    let at = if b_rows_are_n { column * k + l } else { l * n + column };
                    x[row * k + l] * y[at]
                })
                .sum();
            assert_eq!(found[row * n + column], wanted, "row {row} column {column}");
        }
    }
}

#[test]
fn halves_from_shared_memory() {
    for dtype in [DType::F16, DType::BF16] {
        for b_rows_are_n in [true, false] {
            for (m, n, k) in [(64, 64, 32), (128, 32, 80), (16, 8, 16), (32, 24, 48)] {
                let kind = DotKind::Mma(Mma::M16N8K16Half, Precision::Ieee);
                product(&Problem { dtype, kind, m, n, k, b_rows_are_n, is_async: true });
            }
        }
    }
    let kind = DotKind::Mma(Mma::M16N8K8Half, Precision::Ieee);
    for b_rows_are_n in [true, false] {
        let (m, n, k) = (64, 16, 24);
        product(&Problem { dtype: DType::F16, kind, m, n, k, b_rows_are_n, is_async: false });
    }
}

#[test]
fn floats_on_tensor_cores() {
    for precision in [Precision::Tf32, Precision::Tf32x3] {
        for b_rows_are_n in [true, false] {
            let kind = DotKind::Mma(Mma::M16N8K8Tf32, precision);
            let (m, n, k) = (64, 32, 40);
            let dtype = DType::F32;
            product(&Problem { dtype, kind, m, n, k, b_rows_are_n, is_async: true });
        }
    }
}

#[test]
fn products_one_by_one() {
    for dtype in [DType::F32, DType::F16] {
        for b_rows_are_n in [true, false] {
            let (m, n, k) = (64, 16, 24);
            let kind = DotKind::Fma;
            product(&Problem { dtype, kind, m, n, k, b_rows_are_n, is_async: true });
        }
    }
}
