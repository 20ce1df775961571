//! Reductions and dots: over every axis, of no lane, and where their sums are rounded.

mod support;

use support::{bool_vector, floats, int_vector, ints, same, truths, vector};
use tilec_interp::{Argument, Data, Mode, TensorData};
use tilec_vocab::DType;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
const FLOATS: [&str; 3] = ["f32", "f16", "bf16"];

/// A reduction of `x: ty[M, N]` over the axes named, to a tensor over the others.
fn reduction(op: &str, ty: &str, over: &str, kept: &str) -> String {
    let index = if kept.is_empty() { "" } else { &format!("%{kept}") };
    let (axes, dims) = match kept {
        "" => (String::new(), String::new()),
        _ => (format!("[{kept}]"), kept.to_uppercase()),
    };
    format!(
        "spec @t(x: &{ty}[M, N], o: &mut {ty}[{dims}]) {{
            %zero: i64 = const 0
            %M: i64 = dim M
            %N: i64 = dim N
            axis m: M = %zero .. %M
            axis n: N = %zero .. %N
            %m: i64[m] = index m
            %n: i64[n] = index n
            %x: {ty}[m, n] = load x[%m, %n]
            %y: {ty}{axes} = {op} %x over {over}
            store o[{index}] = %y
            yield
        }}"
    )
}

fn matrix(rows: usize, columns: usize, data: Data) -> Argument {
    Argument::Tensor(TensorData { shape: vec![rows as i64, columns as i64], data })
}

#[test]
fn reductions_of_floats() {
    let x = Data::Float(vec![1.0, -2.0, 4.0, 8.0, -16.0, 32.0]);
    let table = [
        ("sum", [3.0, 24.0].as_slice(), [9.0, -18.0, 36.0].as_slice(), 27.0),
        ("max", &[4.0, 32.0], &[8.0, -2.0, 32.0], 32.0),
        ("min", &[-2.0, -16.0], &[1.0, -16.0, 4.0], -16.0),
    ];
    for (op, over_n, over_m, over_both) in table {
        for ty in FLOATS {
            for mode in [Mode::Exact, Mode::Declared, Mode::Low(DType::F16)] {
                let run = |over, kept: &str, zeros: usize| {
                    let shape = if kept.is_empty() { vec![] } else { vec![zeros as i64] };
                    let out = Argument::Tensor(TensorData::floats(shape, vec![0.0; zeros]));
                    let args = vec![matrix(2, 3, x.clone()), out];
                    floats(&reduction(op, ty, over, kept), args, mode)
                };
                assert_eq!(run("n", "m", 2), over_n, "{op}");
                assert_eq!(run("m", "n", 3), over_m, "{op}");
                assert_eq!(run("m, n", "", 1), [over_both], "{op}");
                assert_eq!(run("n, m", "", 1), [over_both], "{op}");
            }
        }
    }
}

#[test]
fn reductions_of_integers_and_truth_values() {
    let x = Data::Int(vec![1, -2, 4, i64::MAX, 1, 0]);
    let table = [("sum", [3, i64::MIN]), ("max", [4, i64::MAX]), ("min", [-2, 0])];
    for (op, wanted) in table {
        let args = vec![matrix(2, 3, x.clone()), int_vector(&[0; 2])];
        assert_eq!(ints(&reduction(op, "i64", "n", "m"), args, Mode::Declared), wanted, "{op}");
    }
    let x = Data::Bool(vec![true, false, false, true, true, false]);
    for (op, wanted) in [("all", [true, false, false]), ("any", [true, true, false])] {
        let args = vec![matrix(2, 3, x.clone()), bool_vector(&[false; 3])];
        assert_eq!(truths(&reduction(op, "bool", "m", "n"), args), wanted, "{op}");
    }
}

#[test]
fn reductions_of_no_lane() {
    for (op, wanted) in [("sum", 0.0), ("max", -INF), ("min", INF)] {
        let args = vec![matrix(2, 0, Data::Float(vec![])), vector(&[NAN; 2])];
        for mode in [Mode::Exact, Mode::Declared, Mode::Low(DType::BF16)] {
            let found = floats(&reduction(op, "f16", "n", "m"), args.clone(), mode);
            assert_eq!(found, [wanted; 2], "{op}");
        }
    }
    for (op, wanted) in [("sum", 0), ("max", i64::MIN), ("min", i64::MAX)] {
        let args = vec![matrix(0, 2, Data::Int(vec![])), int_vector(&[5; 2])];
        assert_eq!(ints(&reduction(op, "i64", "m", "n"), args, Mode::Declared), [wanted; 2]);
    }
    for (op, wanted) in [("all", true), ("any", false)] {
        let args = vec![matrix(2, 0, Data::Bool(vec![])), bool_vector(&[!wanted; 2])];
        assert_eq!(truths(&reduction(op, "bool", "n", "m"), args), [wanted; 2], "{op}");
    }
}

#[test]
fn nan_and_infinity_in_reductions() {
    let x = Data::Float(vec![1.0, NAN, 2.0, INF, -INF, 0.0]);
    for (op, wanted) in [("sum", [NAN, NAN]), ("max", [NAN, INF]), ("min", [NAN, -INF])] {
        let args = vec![matrix(2, 3, x.clone()), vector(&[0.0; 2])];
        let found = floats(&reduction(op, "f32", "n", "m"), args, Mode::Declared);
        assert!(same(&found, &wanted), "{op}: {found:?}");
    }
}

/// Where sums are rounded, and in which order they are made.
#[test]
fn sums_accumulate_in_f32_in_order() {
    let sum = |ty, x: &[f64], mode| {
        let args = vec![matrix(1, x.len(), Data::Float(x.to_vec())), vector(&[0.0])];
        floats(&reduction("sum", ty, "n", "m"), args, mode)[0]
    };
    // 2048 + 1 is 2048 in f16: in f32 the four ones survive until the one rounding at the end.
    let x = [2048.0, 1.0, 1.0, 1.0, 1.0];
    assert_eq!(sum("f16", &x, Mode::Declared), 2052.0);
    assert_eq!(sum("f32", &x, Mode::Low(DType::F16)), 2052.0);
    assert_eq!(sum("bf16", &x, Mode::Declared), 2048.0);
    // 2^24 + 1 is 2^24 in f32, whichever way round but from small to large.
    let large = 2f64.powi(24);
    assert_eq!(sum("f32", &[large, 1.0, 1.0], Mode::Declared), large);
    assert_eq!(sum("f32", &[1.0, 1.0, large], Mode::Declared), large + 2.0);
    assert_eq!(sum("f32", &[large, 1.0, 1.0], Mode::Exact), large + 2.0);
    // Over two axes the first one listed is the slowest: by rows 1, 1, 2^24, 1.
    let args = || {
        let out = Argument::Tensor(TensorData::floats([], [0.0]));
        vec![matrix(2, 2, Data::Float(vec![1.0, 1.0, large, 1.0])), out]
    };
    let by_rows = floats(&reduction("sum", "f32", "m, n", ""), args(), Mode::Declared);
    let by_columns = floats(&reduction("sum", "f32", "n, m", ""), args(), Mode::Declared);
    // (1 + 1) + 2^24 = 2^24 + 2, and 1 more is a tie that goes up to even.
    assert_eq!(by_rows, [large + 4.0]);
    // 1 + 2^24 = 2^24, twice 1 more changes nothing.
    assert_eq!(by_columns, [large]);
}

/// `o[m, n] = dot(a[m, k], b[k, n] over k)` in `ty`, with the axes declared in the order given.
fn matmul(ty: &str, order: [&str; 3]) -> String {
    let axes: String = order
        .iter()
        .map(|axis| {
            let dim = axis.to_uppercase();
            format!(
                "%{dim}: i64 = dim {dim}
                 axis {axis}: {dim} = %zero .. %{dim}
                 %{axis}: i64[{axis}] = index {axis}
                "
            )
        })
        .collect();
    format!(
        "spec @t(a: &{ty}[M, K], b: &{ty}[K, N], o: &mut f32[M, N]) {{
            %zero: i64 = const 0
            {axes}
            %a: {ty}[m, k] = load a[%m, %k]
            %b: {ty}[k, n] = load b[%k, %n]
            %y: f32[m, n] = dot %a, %b over k
            store o[%m, %n] = %y
            yield
        }}"
    )
}

#[test]
fn dots_of_every_size_and_order() {
    let orders = [
        ["m", "n", "k"],
        ["m", "k", "n"],
        ["n", "m", "k"],
        ["n", "k", "m"],
        ["k", "m", "n"],
        ["k", "n", "m"],
    ];
    let sizes = [(1, 1, 1), (4, 8, 3), (5, 9, 2), (3, 17, 5), (9, 3, 4), (1, 20, 7), (20, 1, 7)];
    for (m, n, k) in sizes.into_iter().chain([(0, 3, 2), (3, 0, 2), (3, 2, 0)]) {
        // Small integers, so that every sum is exact in every mode.
        let number = |i: usize| (i * 7 % 11) as f64 - 5.0;
        let a: Vec<f64> = (0..m * k).map(number).collect();
        let b: Vec<f64> = (0..k * n).map(|i| number(i + 3)).collect();
        let wanted: Vec<f64> = (0..m * n)
            .map(|at| (0..k).map(|l| a[at / n * k + l] * b[l * n + at % n]).sum())
            .collect();
        for order in orders {
            for mode in [Mode::Exact, Mode::Declared, Mode::Low(DType::F16)] {
                let args = vec![
                    matrix(m, k, Data::Float(a.clone())),
                    matrix(k, n, Data::Float(b.clone())),
                    matrix(m, n, Data::Float(vec![NAN; m * n])),
                ];
                let found = floats(&matmul("f16", order), args, mode);
                assert_eq!(found, wanted, "{m} {n} {k} {order:?} {mode:?}");
            }
        }
    }
}

#[test]
fn dots_accumulate_in_f32_in_order() {
    let dot = |ty, a: &[f64], b: &[f64], mode| {
        let args = vec![
            matrix(1, a.len(), Data::Float(a.to_vec())),
            matrix(b.len(), 1, Data::Float(b.to_vec())),
            matrix(1, 1, Data::Float(vec![0.0])),
        ];
        floats(&matmul(ty, ["m", "n", "k"]), args, mode)[0]
    };
    let large = 2f64.powi(12);
    let (a, b) = ([large, 1.0, 1.0], [large, 1.0, 1.0]);
    assert_eq!(dot("f16", &a, &b, Mode::Declared), 2f64.powi(24));
    assert_eq!(dot("f16", &a, &b, Mode::Exact), 2f64.powi(24) + 2.0);
    let (a, b) = ([1.0, 1.0, large], [1.0, 1.0, large]);
    assert_eq!(dot("f16", &a, &b, Mode::Declared), 2f64.powi(24) + 2.0);
    // The result is f32 as declared, and rounded in low mode only.
    assert_eq!(dot("f16", &[2048.0, 1.0], &[1.0, 1.0], Mode::Declared), 2049.0);
    assert_eq!(dot("f16", &[2048.0, 1.0], &[1.0, 1.0], Mode::Low(DType::F16)), 2048.0);
    // A product of two f32s is rounded before it is added: (1 + 2^-12)^2 loses 2^-24.
    let x = 1.0 + 2f64.powi(-12);
    assert_eq!(dot("f32", &[x], &[x], Mode::Declared), 1.0 + 2f64.powi(-11));
    assert_eq!(dot("f32", &[x], &[x], Mode::Exact), x * x);
    assert!(dot("f32", &[INF, 0.0], &[0.0, 1.0], Mode::Declared).is_nan());
}
