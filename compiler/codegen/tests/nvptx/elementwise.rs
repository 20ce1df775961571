//! Element-wise instructions, loads and stores, guards.

use tilec_gpu::gir::Op;
use tilec_gpu::gir::*;
use tilec_ir::*;
use tilec_layout::blocked;
use tilec_vocab::DType;

use crate::build::*;

/// `y = op(x)` over so many elements of 2 warps.
fn unary(op: UnaryOp, dtype: DType, xs: &[f64]) -> Vec<Vec<f64>> {
    let mut b = Build::new(2);
    let n = xs.len() as u32;
    let axis = b.axis("i", n);
    let x = b.tensor("x", dtype, &[fixed(n)], false, true);
    let y = b.tensor("y", dtype, &[fixed(n)], true, true);
    let layout = blocked(&[(axis, n)], dtype.size_bytes() as u32, 2);
    let vector = 16 / dtype.size_bytes() as u32;
    let loaded = b.tile(dtype, &layout, Op::Load(access(x, &[Some(axis)], vector)));
    let made = b.tile(dtype, &layout, Op::Unary(op, loaded));
    b.run(Op::Store(access(y, &[Some(axis)], vector), made));
    let count = xs.len() as u64;
    let given = vec![input("x", dtype, xs, &[1]), output("y", dtype, count, &[1])];
    run_all(&b.finish(), given, &[], "y", dtype)
}

/// Distance in units in the last place of f32.
fn ulps(found: f64, exact: f64) -> f64 {
    if found == exact || (found.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    let size = (exact as f32).abs().max(f32::MIN_POSITIVE);
    let ulp = f64::from(f32::from_bits(size.to_bits() + 1)) - f64::from(size);
    (found - exact).abs() / ulp
}

fn samples() -> Vec<f64> {
    let mut xs = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e-40,
        -1e-40,
        3e38,
        -3e38,
        88.0,
        -87.0,
        0.5,
        1e-6,
        -1e-6,
    ];
    let mut x = 1e-7;
    while xs.len() < 256 {
        x *= 1.19;
        xs.push(f64::from(x as f32));
        xs.push(f64::from(-x as f32));
    }
    xs.truncate(256);
    xs.iter().map(|x| f64::from(*x as f32)).collect()
}

#[test]
fn functions_keep_their_bounds() {
    let xs = samples();
    // Bound in units in the last place: of the table in `math`, and one for the range in which a subnormal is flushed.
    type Case = (UnaryOp, fn(f64) -> f64, f64);
    let cases: [Case; 9] = [
        (UnaryOp::Neg, |x| -x, 0.0),
        (UnaryOp::Abs, f64::abs, 0.0),
        (UnaryOp::Exp, f64::exp, 5.0),
        (UnaryOp::Exp2, f64::exp2, 4.0),
        (UnaryOp::Log, f64::ln, 2.0),
        (UnaryOp::Log2, f64::log2, 2.0),
        (UnaryOp::Tanh, f64::tanh, 4.0),
        (UnaryOp::Sqrt, f64::sqrt, 0.5),
        (UnaryOp::Rsqrt, |x| 1.0 / x.sqrt(), 3.0),
    ];
    for (op, exact, bound) in cases {
        let found = unary(op, DType::F32, &xs);
        for (x, y) in found.iter().flat_map(|ys| xs.iter().zip(ys.iter().copied())) {
            let mut wanted = exact(*x);
            if wanted.is_finite() && (wanted as f32).is_infinite() {
                wanted = f64::from(wanted as f32);
            }
            if op == UnaryOp::Rsqrt && *x == 0.0 {
                wanted = f64::INFINITY.copysign(*x);
            }
            // Flushed to zero.
            let flushed = matches!(op, UnaryOp::Exp | UnaryOp::Exp2)
                && wanted.abs() < f64::from(f32::MIN_POSITIVE) * 1.001
                && y == 0.0;
            let off = ulps(y, wanted);
            assert!(flushed || off <= bound, "{}({x}) = {y}, not {wanted}: {off}", op.name());
        }
    }
}

#[test]
fn halves_are_rounded_after_each_operation() {
    let xs: Vec<f64> = (0..256).map(|i| f64::from(i) / 16.0 - 8.0).collect();
    for dtype in [DType::F16, DType::BF16] {
        let found = unary(UnaryOp::Exp, dtype, &xs);
        for (x, y) in found.iter().flat_map(|ys| xs.iter().zip(ys)) {
            let wanted = dtype.round(dtype.round(*x).exp());
            let next = wanted * if dtype == DType::F16 { 1.0 / 1024.0 } else { 1.0 / 128.0 };
            assert!((y - wanted).abs() <= next, "exp({x}) = {y}, not {wanted}");
        }
    }
}

/// `y = op(a, b)`.
fn binary(op: BinaryOp, dtype: DType, a: &[f64], b: &[f64]) -> Vec<f64> {
    binary_all(op, dtype, a, b).swap_remove(0)
}

/// As [`binary`], on every machine.
fn binary_all(op: BinaryOp, dtype: DType, a: &[f64], b: &[f64]) -> Vec<Vec<f64>> {
    let mut build = Build::new(1);
    let n = a.len() as u32;
    let axis = build.axis("i", n);
    let x = build.tensor("a", dtype, &[fixed(n)], false, false);
    let y = build.tensor("b", dtype, &[fixed(n)], false, false);
    let z = build.tensor("y", dtype, &[fixed(n)], true, false);
    let layout = blocked(&[(axis, n)], dtype.size_bytes() as u32, 1);
    let left = build.tile(dtype, &layout, Op::Load(access(x, &[Some(axis)], 1)));
    let right = build.tile(dtype, &layout, Op::Load(access(y, &[Some(axis)], 1)));
    let made = build.tile(dtype, &layout, Op::Binary(op, left, right));
    build.run(Op::Store(access(z, &[Some(axis)], 1), made));
    let given = vec![
        input("a", dtype, a, &[1]),
        input("b", dtype, b, &[1]),
        output("y", dtype, a.len() as u64, &[1]),
    ];
    run_all(&build.finish(), given, &[], "y", dtype)
}

#[test]
fn division_is_within_one_unit() {
    let xs = samples();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (i, x) in xs.iter().enumerate() {
        a.push(*x);
        b.push(xs[(i * 37 + 11) % xs.len()]);
        a.push(*x);
        b.push(xs[i % 16]);
    }
    a.truncate(512);
    b.truncate(512);
    let machines = binary_all(BinaryOp::Div, DType::F32, &a, &b);
    for ((x, y), found) in machines.iter().flat_map(|found| a.iter().zip(&b).zip(found)) {
        let wanted = x / y;
        let wanted = if (wanted as f32).is_infinite() { f64::from(wanted as f32) } else { wanted };
        // The correction of a tiny dividend is too small for f32.
        let bound = if x.abs() < 2f64.powi(-102) { 2.0 } else { 1.0 };
        assert!(ulps(*found, wanted) <= bound, "{x} / {y} = {found}, not {wanted}");
    }
    let exact: Vec<f64> = (1..=32).map(f64::from).collect();
    let quotients = binary_all(BinaryOp::Div, DType::F32, &exact, &exact);
    assert!(quotients.iter().flatten().all(|q| *q == 1.0));
}

#[test]
fn integers_divide_down_and_by_zero() {
    let a = [7.0, -7.0, 7.0, -7.0, 5.0, -5.0, 0.0, 8.0].repeat(4);
    let b = [2.0, 2.0, -2.0, -2.0, 0.0, 0.0, 3.0, -1.0].repeat(4);
    let quotients = binary(BinaryOp::Div, DType::I64, &a, &b);
    assert_eq!(quotients[..8], [3.0, -4.0, -4.0, 3.0, 0.0, 0.0, 0.0, -8.0]);
    let rests = binary(BinaryOp::Rem, DType::I64, &a, &b);
    assert_eq!(rests[..8], [1.0, 1.0, -1.0, -1.0, 5.0, -5.0, 0.0, 0.0]);
}

#[test]
fn max_and_min_keep_nan() {
    let a = [1.0, f64::NAN, 2.0, f64::NEG_INFINITY].repeat(8);
    let b = [f64::NAN, 1.0, 3.0, f64::NEG_INFINITY].repeat(8);
    for op in [BinaryOp::Max, BinaryOp::Min] {
        let found = binary(op, DType::F32, &a, &b);
        assert!(found[0].is_nan() && found[1].is_nan());
        assert_eq!(found[3], f64::NEG_INFINITY);
    }
}

/// `y[m, n] = x[m, n]`, where `M` and `N` are smaller than the tile, with vectors or without.
fn copy_with_guards(dtype: DType, m: u32, n: u32, present: (u32, u32), vector: u32) {
    let mut b = Build::new(4);
    let (i, j) = (b.axis("i", m), b.axis("j", n));
    let rows = vector > 1;
    let (md, nd) = (b.dim("M"), b.dim("N"));
    let dims = [Extent::Dim(md), Extent::Dim(nd)];
    let x = b.tensor("x", dtype, &dims, false, rows);
    let y = b.tensor("y", dtype, &dims, true, rows);
    let layout = blocked(&[(i, m), (j, n)], dtype.size_bytes() as u32, 4);
    let whole = [(md, m), (nd, n)].map(|(dim, extent)| {
        let dim = b.uniform(DType::I64, Op::Dim(dim));
        let extent = b.int(i64::from(extent));
        b.uniform(DType::Bool, Op::Compare(CompareOp::Ge, dim, extent))
    });
    let inside = b.uniform(DType::Bool, Op::Binary(BinaryOp::And, whole[0], whole[1]));
    let mut from = access(x, &[Some(i), Some(j)], vector);
    from.dims.iter_mut().for_each(|dim| dim.check = true);
    from.all_inside = Some(inside);
    let to = Access { param: y, ..from.clone() };
    let loaded = b.tile(dtype, &layout, Op::Load(from));
    b.run(Op::Store(to, loaded));
    let (rows, columns) = (u64::from(present.0), u64::from(present.1));
    let stride = columns.next_multiple_of(16);
    let count = (rows * stride) as usize;
    let xs = small_numbers(count, 3);
    // The gaps between rows are neither read nor written: `y` keeps what it had there.
    let before: Vec<f64> = vec![9.0; count];
    let given = vec![input("x", dtype, &xs, &[stride, 1]), both("y", dtype, &before, &[stride, 1])];
    let found = run(&b.finish(), given, &[rows, columns], "y", dtype);
    for row in 0..rows {
        for column in 0..stride {
            let at = (row * stride + column) as usize;
            let wanted = if column < columns { xs[at] } else { 9.0 };
            assert_eq!(found[at], wanted, "row {row} column {column}");
        }
    }
}

#[test]
fn elements_outside_are_left_alone() {
    for dtype in [DType::F16, DType::F32] {
        for present in [(32, 64), (13, 64), (32, 51), (7, 3)] {
            copy_with_guards(dtype, 32, 64, present, 16 / dtype.size_bytes() as u32);
            copy_with_guards(dtype, 32, 64, present, 1);
        }
    }
    // A tile that its layout covers more than.
    copy_with_guards(DType::F32, 24, 80, (24, 80), 4);
    copy_with_guards(DType::BF16, 24, 80, (23, 77), 8);
}
