//! The loop that everything is for: flash attention forward, as the lowering writes it.

use tilec_gpu::gir::Op;
use tilec_gpu::gir::*;
use tilec_ir::*;
use tilec_layout::Dot as Role;
use tilec_layout::{
    Access as Visit, Buffer, Lanes as Who, Layout, Ldmatrix, Mma, chunked, convert,
};
use tilec_vocab::DType;

use crate::build::*;

fn swizzled(axes: &[(Axis, u32)], fragment: &Layout<Axis>) -> Buffer<Axis> {
    let buffer = Buffer::new(axes, 2).expect("a buffer");
    let load = Ldmatrix::of(fragment, axes[axes.len() - 1].0, 2).expect("a fragment");
    buffer.best_swizzle(&[Visit { layout: &load.addresses, lanes: Who::FirstCopies }]).0
}

/// One head: `rows` queries of a CTA of 4 warps, blocks of `block` keys; the number of keys is a multiple of it.
pub fn attention(dtype: DType, rows: u32, block: u32, head: u32) -> Program {
    let mut b = Build::new(4);
    let (m, n, d) = (b.axis("m", rows), b.axis("n", block), b.axis("d", head));
    let keys = b.dim("N");
    let tensor = |b: &mut Build, name, extent, mutable| {
        b.tensor(name, dtype, &[extent, fixed(head)], mutable, true)
    };
    let q = tensor(&mut b, "q", fixed(rows), false);
    let k = tensor(&mut b, "k", Extent::Dim(keys), false);
    let v = tensor(&mut b, "v", Extent::Dim(keys), false);
    let o = tensor(&mut b, "o", fixed(rows), true);
    let scale = b.number("scale", DType::F32);

    let mma = Mma::M16N8K16Half;
    let first = |role| match role {
        Role::M => m,
        Role::N => n,
        Role::K => d,
    };
    let second = |role| match role {
        Role::M => m,
        Role::N => d,
        Role::K => n,
    };
    let over_m = |layout: Layout<Axis>| layout.covering(m, rows / 4).over_warps(m, 4);
    let q_layout = over_m(mma.a().rename(first).expect("names").covering(d, head));
    let k_layout = mma
        .b()
        .rename(first)
        .expect("names")
        .covering(n, 16)
        .covering(d, head)
        .covering(n, block)
        .copied_over_warps(4);
    let s_layout = mma
        .c()
        .rename(first)
        .expect("names")
        .covering(m, rows / 4)
        .covering(n, block)
        .over_warps(m, 4);
    let p_layout = mma
        .a()
        .rename(second)
        .expect("names")
        .covering(m, rows / 4)
        .covering(n, block)
        .over_warps(m, 4);
    let v_layout = mma
        .b()
        .rename(second)
        .expect("names")
        .covering(d, 16)
        .covering(n, block)
        .covering(d, head)
        .copied_over_warps(4);
    let o_layout = over_m(mma.c().rename(second).expect("names").covering(d, head));
    let row = s_layout.without(n);

    let q_buf = b.buffer("q", swizzled(&[(m, rows), (d, head)], &q_layout), 1);
    let k_buf = b.buffer("k", swizzled(&[(n, block), (d, head)], &k_layout), 2);
    let v_buf = b.buffer("v", swizzled(&[(n, block), (d, head)], &v_layout), 1);

    let copy = |b: &mut Build, param, uniform, (axis, extent): (Axis, u32), to| {
        let mut from = access(param, &[Some(axis), Some(d)], 8);
        from.dims[0].uniform = uniform;
        let layout = chunked(&[(axis, extent), (d, head)], 2, 4);
        b.run(Op::Copy { access: from, to, layout, is_async: true, when: None });
        b.run(Op::Commit);
    };
    let slot = |buf, slot| Slot { buf, slot };

    let scale = b.uniform(DType::F32, Op::Scalar(scale));
    let total = b.uniform(DType::I64, Op::Dim(keys));
    let zero = b.int(0);
    let (step, two) = (b.int(i64::from(block)), b.int(2));
    copy(&mut b, q, None, (m, rows), slot(q_buf, None));
    copy(&mut b, k, Some(zero), (n, block), slot(k_buf, None));
    let start = |b: &mut Build, value: f64, layout: &Layout<Axis>| {
        let value = b.float(value);
        b.tile(DType::F32, layout, Op::Convert(value, Conversion::Free))
    };
    let first_max = start(&mut b, f64::NEG_INFINITY, &row);
    let first_sum = start(&mut b, 0.0, &row);
    let first_acc = start(&mut b, 0.0, &o_layout);

    let ends = b.looped(
        (zero, total, i64::from(block)),
        &[first_max, first_sum, first_acc],
        |b, at, carried| {
            let (old_max, old_sum, acc) = (carried[0], carried[1], carried[2]);
            b.run(Op::Wait(0));
            b.run(Op::Barrier);
            copy(b, v, Some(at), (n, block), slot(v_buf, None));
            let number = b.uniform(DType::I64, Op::Binary(BinaryOp::Div, at, step));
            let even = b.uniform(DType::I64, Op::Binary(BinaryOp::Rem, number, two));
            let s = b.tile(
                DType::F32,
                &s_layout,
                Op::Dot(Box::new(Dot {
                    kind: DotKind::Mma(mma, Precision::Ieee),
                    a: Operand::Shared(slot(q_buf, None)),
                    a_layout: q_layout.clone(),
                    b: Operand::Shared(slot(k_buf, Some(even))),
                    b_layout: k_layout.clone(),
                    elem: dtype,
                    over: vec![d],
                    acc: None,
                })),
            );
            let reduction = s_layout.reduce(n);
            let f32 = DType::F32;
            let block_max = b.tile(
                f32,
                &row,
                Op::Reduce {
                    op: ReduceOp::Max,
                    value: s,
                    steps: vec![reduction.clone()],
                    partial: false,
                    through: None,
                },
            );
            let max = b.tile(f32, &row, Op::Binary(BinaryOp::Max, old_max, block_max));
            let scaled = b.tile(f32, &row, Op::Binary(BinaryOp::Mul, max, scale));
            let minus = b.tile(f32, &row, Op::Unary(UnaryOp::Neg, scaled));
            let x = b.tile(f32, &s_layout, Op::Fma(s, scale, minus));
            let p = b.tile(f32, &s_layout, Op::Unary(UnaryOp::Exp2, x));
            let y = b.tile(f32, &row, Op::Fma(old_max, scale, minus));
            let alpha = b.tile(f32, &row, Op::Unary(UnaryOp::Exp2, y));
            let part = b.tile(
                f32,
                &row,
                Op::Reduce {
                    op: ReduceOp::Sum,
                    value: p,
                    steps: vec![reduction],
                    partial: true,
                    through: None,
                },
            );
            let sum = b.tile(f32, &row, Op::Fma(old_sum, alpha, part));
            let half = b.tile(dtype, &s_layout, Op::Cast(p));
            let plan = convert(&s_layout, &p_layout, 2).expect("a plan");
            let half = b.tile(dtype, &p_layout, Op::Convert(half, Conversion::Plan(plan, None)));
            let next = b.uniform(DType::I64, Op::Binary(BinaryOp::Add, at, step));
            let more = b.uniform(DType::Bool, Op::Compare(CompareOp::Lt, next, total));
            b.begin();
            let one = b.int(1);
            let odd = b.uniform(DType::I64, Op::Binary(BinaryOp::Sub, one, even));
            copy(b, k, Some(next), (n, block), slot(k_buf, Some(odd)));
            let then = b.end(Vec::new());
            b.begin();
            b.run(Op::Commit);
            let otherwise = b.end(Vec::new());
            b.push(Vec::new(), Op::If { condition: more, then, otherwise });

            let moved = b.tile(f32, &o_layout, Op::Binary(BinaryOp::Mul, acc, alpha));
            b.run(Op::Wait(1));
            b.run(Op::Barrier);
            let acc = b.tile(
                f32,
                &o_layout,
                Op::Dot(Box::new(Dot {
                    kind: DotKind::Mma(mma, Precision::Ieee),
                    a: Operand::Registers(half),
                    a_layout: p_layout.clone(),
                    b: Operand::Shared(slot(v_buf, None)),
                    b_layout: v_layout.clone(),
                    elem: dtype,
                    over: vec![n],
                    acc: Some(moved),
                })),
            );
            vec![max, sum, acc]
        },
    );
    b.run(Op::Wait(0));
    let shares = s_layout.reduce(n).shares;
    let combine = Op::Combine { op: ReduceOp::Sum, value: ends[1], shares, through: None };
    let sum = b.tile(DType::F32, &row, combine);
    let out = b.tile(DType::F32, &o_layout, Op::Binary(BinaryOp::Div, ends[2], sum));
    let out = b.tile(dtype, &o_layout, Op::Cast(out));
    b.run(Op::Store(access(o, &[Some(m), Some(d)], 2), out));
    b.finish()
}

#[test]
fn attention_is_right() {
    for dtype in [DType::F16, DType::BF16] {
        let (rows, block, head, keys) = (64u32, 32u32, 64u32, 96usize);
        let program = attention(dtype, rows, block, head);
        let (r, h) = (rows as usize, head as usize);
        let round = |xs: Vec<f64>| -> Vec<f64> { xs.into_iter().map(|x| dtype.round(x)).collect() };
        let q = round(small_numbers(r * h, 1));
        let k = round(small_numbers(keys * h, 2));
        let v = round(small_numbers(keys * h, 3));
        let scale = 0.125 * std::f32::consts::LOG2_E;
        let strides = [u64::from(head), 1];
        let given = vec![
            input("q", dtype, &q, &strides),
            input("k", dtype, &k, &strides),
            input("v", dtype, &v, &strides),
            output("o", dtype, (r * h) as u64, &strides),
            Given::F32(scale),
        ];
        let found = run(&program, given, &[keys as u64], "o", dtype);
        for row in 0..r {
            let score = |key: usize| -> f64 {
                (0..h).map(|d| q[row * h + d] * k[key * h + d]).sum::<f64>() * f64::from(scale)
            };
            let scores: Vec<f64> = (0..keys).map(score).collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let ps: Vec<f64> = scores.iter().map(|s| (s - max).exp2()).collect();
            let sum: f64 = ps.iter().sum();
            for d in 0..h {
                let wanted: f64 =
                    ps.iter().enumerate().map(|(key, p)| p * v[key * h + d]).sum::<f64>() / sum;
                // A rounding of p and one of the result, each half a unit of numbers below 1.
                let bound = if dtype == DType::F16 { 1e-3 } else { 8e-3 };
                let got = found[row * h + d];
                assert!((got - wanted).abs() < bound, "row {row} d {d}: {got}, not {wanted}");
            }
        }
    }
}

/// What the loop is made of; the instructions that `ptxas` makes of it are counted where there is one.
#[test]
fn attention_has_nothing_to_spare() {
    let text = ptx(&attention(DType::F16, 128, 64, 128));
    let count = |what: &str| text.matches(what).count();
    assert_eq!(count("mma.sync"), 256);
    // K and V: 32 each; Q: 16.
    assert_eq!(count("ldmatrix.sync"), 80);
    assert_eq!(count("ex2.approx.ftz"), 2 * 32 + 4);
    assert_eq!(count("cvt.rn.f16x2.f32"), 32 + 64);
    assert_eq!(count(".local"), 0);
    // Copies: 16 of Q, 8 of K before the loop, 8 of K and V in it.
    assert_eq!(count("cp.async.cg"), 16 + 8 + 16);
}
