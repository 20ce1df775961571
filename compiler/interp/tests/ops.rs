//! Each element-wise op in each mode, on numbers worked out elsewhere.
//!
//! The float tables were made in Python: results in 60 decimal digits, rounded once to each type.

mod support;

use support::{bool_vector, floats, int_vector, ints, same, truths, vector};
use tilec_interp::{Argument, Mode};
use tilec_vocab::DType;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;
const FLOATS: [&str; 3] = ["f32", "f16", "bf16"];

/// `o[n] = op(args[n])` with operands of type `from` and a result of type `to`.
fn elementwise(op: &str, from: &[&str], to: &str) -> String {
    let params: String =
        from.iter().enumerate().map(|(i, ty)| format!("a{i}: &{ty}[N], ")).collect();
    let loads: String = (from.iter().enumerate())
        .map(|(i, ty)| format!("%x{i}: {ty}[n] = load a{i}[%n]\n"))
        .collect();
    let args: Vec<String> = (0..from.len()).map(|i| format!("%x{i}")).collect();
    let args = args.join(", ");
    format!(
        "spec @t({params}o: &mut {to}[N]) {{
            %zero: i64 = const 0
            %N: i64 = dim N
            axis n: N = %zero .. %N
            %n: i64[n] = index n
            {loads}
            %y: {to}[n] = {op} {args}
            store o[%n] = %y
            yield
        }}"
    )
}

fn float_op(op: &str, ty: &str, args: &[&[f64]], mode: Mode) -> Vec<f64> {
    let text = elementwise(op, &vec![ty; args.len()], ty);
    let mut args: Vec<Argument> = args.iter().map(|x| vector(x)).collect();
    args.push(args[0].clone());
    floats(&text, args, mode)
}

/// One op on one lane, in every mode: exact, and as `f32`, `f16`, `bf16`, declared and low.
fn check_float(op: &str, args: &[f64], wanted: [f64; 4]) {
    let args: Vec<&[f64]> = args.iter().map(std::slice::from_ref).collect();
    let context = format!("{op} of {args:?}");
    // The host's `exp` and the like may be off by the last bit of an f64.
    let exact = float_op(op, "f16", &args, Mode::Exact)[0];
    assert!((exact - wanted[0]).abs() <= f64::EPSILON * wanted[0].abs(), "{context}: {exact}");
    for (ty, &wanted) in FLOATS.into_iter().zip(&wanted[1..]) {
        let dtype = DType::from_name(ty).unwrap();
        let declared = float_op(op, ty, &args, Mode::Declared);
        assert_eq!(declared, [wanted], "{context} in {ty}");
        // The type of the kernel is f32 here, so that only the mode can have rounded.
        let low = float_op(op, "f32", &args, Mode::Low(dtype));
        assert_eq!(low, [wanted], "{context} in low {ty}");
    }
}

#[test]
fn unary_floats() {
    let table = [
        ("exp", 1.0, [std::f64::consts::E, 2.7182817459106445, 2.71875, 2.71875]),
        ("exp", -2.5, [0.0820849986238988, 0.08208499848842621, 0.08209228515625, 0.08203125]),
        ("exp", 10.0, [22026.465794806718, 22026.46484375, 22032.0, 22016.0]),
        (
            "exp",
            -8.0,
            [
                0.00033546262790251185,
                0.000335462624207139,
                0.00033545494079589844,
                0.000335693359375,
            ],
        ),
        ("exp2", 0.5, [std::f64::consts::SQRT_2, 1.4142135381698608, 1.4140625, 1.4140625]),
        ("exp2", -3.25, [0.10511205190671431, 0.10511205345392227, 0.1051025390625, 0.10498046875]),
        ("exp2", 7.0, [128.0, 128.0, 128.0, 128.0]),
        ("log", 2.0, [std::f64::consts::LN_2, 0.6931471824645996, 0.693359375, 0.69140625]),
        ("log", 10.0, [std::f64::consts::LN_10, 2.3025851249694824, 2.302734375, 2.296875]),
        ("log", 0.75, [-0.2876820724517809, -0.28768208622932434, -0.28759765625, -0.287109375]),
        ("log2", 8.0, [3.0, 3.0, 3.0, 3.0]),
        ("log2", 10.0, [std::f64::consts::LOG2_10, 3.321928024291992, 3.322265625, 3.328125]),
        ("log2", 0.375, [-1.415037499278844, -1.4150375127792358, -1.4150390625, -1.4140625]),
        ("tanh", 0.5, [0.46211715726000974, 0.46211716532707214, 0.462158203125, 0.462890625]),
        ("tanh", -2.0, [-0.9640275800758169, -0.9640275835990906, -0.9638671875, -0.96484375]),
        ("tanh", 6.0, [0.9999877116507956, 0.9999877214431763, 1.0, 1.0]),
        ("sqrt", 2.0, [std::f64::consts::SQRT_2, 1.4142135381698608, 1.4140625, 1.4140625]),
        ("sqrt", 9.0, [3.0, 3.0, 3.0, 3.0]),
        ("sqrt", 0.375, [0.6123724356957945, 0.6123724579811096, 0.6123046875, 0.61328125]),
        (
            "rsqrt",
            2.0,
            [std::f64::consts::FRAC_1_SQRT_2, 0.7071067690849304, 0.70703125, 0.70703125],
        ),
        ("rsqrt", 16.0, [0.25, 0.25, 0.25, 0.25]),
        ("rsqrt", 0.375, [1.632993161855452, 1.632993221282959, 1.6328125, 1.6328125]),
        ("neg", 1.5, [-1.5, -1.5, -1.5, -1.5]),
        ("abs", -1.5, [1.5, 1.5, 1.5, 1.5]),
    ];
    for (op, x, wanted) in table {
        check_float(op, &[x], wanted);
    }
}

#[test]
fn unary_floats_at_the_ends() {
    let table = [
        ("neg", [0.0, -0.0, INF, NAN], [-0.0, 0.0, -INF, NAN]),
        ("abs", [-0.0, -INF, NAN, -3.0], [0.0, INF, NAN, 3.0]),
        ("exp", [-INF, INF, NAN, 0.0], [0.0, INF, NAN, 1.0]),
        ("exp2", [-INF, INF, NAN, -0.0], [0.0, INF, NAN, 1.0]),
        ("log", [0.0, -1.0, INF, 1.0], [-INF, NAN, INF, 0.0]),
        ("log2", [-0.0, -1.0, NAN, 1.0], [-INF, NAN, NAN, 0.0]),
        ("tanh", [-INF, INF, NAN, -0.0], [-1.0, 1.0, NAN, -0.0]),
        ("sqrt", [0.0, -1.0, INF, -0.0], [0.0, NAN, INF, -0.0]),
        ("rsqrt", [0.0, -1.0, INF, NAN], [INF, NAN, 0.0, NAN]),
    ];
    for (op, x, wanted) in table {
        for mode in [Mode::Exact, Mode::Declared, Mode::Low(DType::BF16)] {
            let found = float_op(op, "f32", &[&x], mode);
            assert!(same(&found, &wanted), "{op} of {x:?}: {found:?}");
        }
    }
}

#[test]
fn binary_floats() {
    let table = [
        (
            "add",
            1.5703125,
            0.000732421875,
            [1.571044921875, 1.571044921875, 1.5712890625, 1.5703125],
        ),
        ("add", 252.0, 1.0078125, [253.0078125, 253.0078125, 253.0, 253.0]),
        ("add", 192.0, -0.625, [191.375, 191.375, 191.375, 191.0]),
        (
            "sub",
            1.5703125,
            0.000732421875,
            [1.569580078125, 1.569580078125, 1.5693359375, 1.5703125],
        ),
        ("sub", 192.0, -0.625, [192.625, 192.625, 192.625, 193.0]),
        (
            "mul",
            1.5703125,
            0.000732421875,
            [
                0.0011501312255859375,
                0.0011501312255859375,
                0.0011501312255859375,
                0.00115203857421875,
            ],
        ),
        ("mul", 252.0, 1.0078125, [253.96875, 253.96875, 254.0, 254.0]),
        ("div", 1.0, 3.0, [1.0 / 3.0, 0.3333333432674408, 0.333251953125, 0.333984375]),
        ("div", 252.0, 1.0078125, [250.04651162790697, 250.0465087890625, 250.0, 250.0]),
        ("div", 192.0, -0.625, [-307.2, -307.20001220703125, -307.25, -308.0]),
    ];
    for (op, a, b, wanted) in table {
        check_float(op, &[a, b], wanted);
    }
}

#[test]
fn binary_floats_at_the_ends() {
    let a = [1.0, -1.0, 0.0, INF, INF, NAN, 1.0, -0.0, 0.0];
    let b = [0.0, 0.0, 0.0, INF, -INF, 1.0, NAN, 0.0, -0.0];
    let table = [
        ("add", [1.0, -1.0, 0.0, INF, NAN, NAN, NAN, 0.0, 0.0]),
        ("sub", [1.0, -1.0, 0.0, NAN, INF, NAN, NAN, -0.0, 0.0]),
        ("mul", [0.0, -0.0, 0.0, INF, -INF, NAN, NAN, -0.0, -0.0]),
        ("div", [INF, -INF, NAN, NAN, NAN, NAN, NAN, NAN, NAN]),
        ("min", [0.0, -1.0, 0.0, INF, -INF, NAN, NAN, -0.0, -0.0]),
        ("max", [1.0, 0.0, 0.0, INF, INF, NAN, NAN, 0.0, 0.0]),
    ];
    for (op, wanted) in table {
        for mode in [Mode::Exact, Mode::Declared, Mode::Low(DType::F16)] {
            let found = float_op(op, "f32", &[&a, &b], mode);
            assert!(same(&found, &wanted), "{op}: {found:?}");
        }
    }
}

#[test]
fn results_overflow_and_underflow_in_their_type() {
    let text = elementwise("mul", &["f16", "f16"], "f16");
    let (a, b) = ([60000.0, -60000.0, 2f64.powi(-14)], [2.0, 2.0, 2f64.powi(-12)]);
    let args = vec![vector(&a), vector(&b), vector(&[0.0; 3])];
    assert_eq!(floats(&text, args.clone(), Mode::Declared), [INF, -INF, 0.0]);
    // 60000 is not an f16: exact mode does not round arguments either.
    assert_eq!(floats(&text, args, Mode::Exact), [120000.0, -120000.0, 2f64.powi(-26)]);
}

#[test]
fn integers_wrap_and_round_down() {
    let (min, max) = (i64::MIN, i64::MAX);
    let a = [7, -7, 7, -7, 5, 0, min, max, min];
    let b = [2, 2, -2, -2, 0, 0, -1, 2, max];
    let table = [
        ("add", [9, -5, 5, -9, 5, 0, max, min + 1, -1]),
        ("sub", [5, -9, 9, -5, 5, 0, min + 1, max - 2, 1]),
        ("mul", [14, -14, -14, 14, 0, 0, min, -2, min]),
        ("div", [3, -4, -4, 3, 0, 0, min, max / 2, -2]),
        ("rem", [1, 1, -1, -1, 5, 0, 0, 1, max - 1]),
        ("min", [2, -7, -2, -7, 0, 0, min, 2, min]),
        ("max", [7, 2, 7, -2, 5, 0, -1, max, max]),
    ];
    let args = vec![int_vector(&a), int_vector(&b), int_vector(&[0; 9])];
    for (op, wanted) in table {
        let text = elementwise(op, &["i64", "i64"], "i64");
        for mode in [Mode::Exact, Mode::Declared, Mode::Low(DType::F16)] {
            assert_eq!(ints(&text, args.clone(), mode), wanted, "{op}");
        }
    }
    let args = vec![int_vector(&[5, -5, min]), int_vector(&[0; 3])];
    for (op, wanted) in [("neg", [-5, 5, min]), ("abs", [5, 5, min])] {
        let text = elementwise(op, &["i64"], "i64");
        assert_eq!(ints(&text, args.clone(), Mode::Declared), wanted, "{op}");
    }
}

#[test]
fn logic() {
    let (a, b) =
        (bool_vector(&[true, true, false, false]), bool_vector(&[true, false, true, false]));
    for (op, wanted) in [
        ("and", [true, false, false, false]),
        ("or", [true, true, true, false]),
        ("eq", [true, false, false, true]),
        ("ne", [false, true, true, false]),
    ] {
        let text = elementwise(op, &["bool", "bool"], "bool");
        assert_eq!(truths(&text, vec![a.clone(), b.clone(), a.clone()]), wanted, "{op}");
    }
    let text = elementwise("not", &["bool"], "bool");
    assert_eq!(truths(&text, vec![a.clone(), a]), [false, false, true, true]);
}

#[test]
fn comparisons() {
    let table = [
        // less, equal, greater, NaN left, NaN right, zeros
        ("eq", [false, true, false, false, false, true]),
        ("ne", [true, false, true, true, true, false]),
        ("lt", [true, false, false, false, false, false]),
        ("le", [true, true, false, false, false, true]),
        ("gt", [false, false, true, false, false, false]),
        ("ge", [false, true, true, false, false, true]),
    ];
    let a = vector(&[-INF, 2.0, 3.0, NAN, 1.0, -0.0]);
    let b = vector(&[1.0, 2.0, 2.0, NAN, NAN, 0.0]);
    let out = bool_vector(&[false; 6]);
    let (x, y) = (int_vector(&[i64::MIN, 2, i64::MAX]), int_vector(&[i64::MAX, 2, i64::MIN]));
    for (op, wanted) in table {
        let text = elementwise(op, &["f16", "f16"], "bool");
        assert_eq!(truths(&text, vec![a.clone(), b.clone(), out.clone()]), wanted, "{op}");
        let text = elementwise(op, &["i64", "i64"], "bool");
        let args = vec![x.clone(), y.clone(), bool_vector(&[false; 3])];
        assert_eq!(truths(&text, args), wanted[..3], "{op}");
    }
}

#[test]
fn select_takes_one_lane_only() {
    let c = bool_vector(&[true, false, true]);
    let text = elementwise("select", &["bool", "f32", "f32"], "f32");
    let args =
        vec![c.clone(), vector(&[1.0, NAN, 3.0]), vector(&[INF, 5.0, NAN]), vector(&[0.0; 3])];
    assert_eq!(floats(&text, args, Mode::Declared), [1.0, 5.0, 3.0]);
    let text = elementwise("select", &["bool", "i32", "i32"], "i32");
    let args = vec![c, int_vector(&[1, 2, 3]), int_vector(&[4, 5, 6]), int_vector(&[0; 3])];
    assert_eq!(ints(&text, args, Mode::Declared), [1, 5, 3]);
}

#[test]
fn casts_to_integers_truncate_and_saturate() {
    let x = [2.9, -2.9, 1e30, -1e30, INF, -INF, NAN, -0.5];
    let (low, high) = (i64::from(i32::MIN), i64::from(i32::MAX));
    for mode in [Mode::Exact, Mode::Declared] {
        let args = || vec![vector(&x), int_vector(&[0; 8])];
        let wide = [2, -2, i64::MAX, i64::MIN, i64::MAX, i64::MIN, 0, 0];
        assert_eq!(ints(&elementwise("cast", &["f32"], "i64"), args(), mode), wide);
        let narrow = [2, -2, high, low, high, low, 0, 0];
        assert_eq!(ints(&elementwise("cast", &["f32"], "i32"), args(), mode), narrow);
    }
    let args = vec![int_vector(&[high + 1, low - 1, -7, i64::MAX]), int_vector(&[0; 4])];
    let text = elementwise("cast", &["i64"], "i32");
    assert_eq!(ints(&text, args, Mode::Declared), [high, low, -7, high]);
    let args = vec![int_vector(&[low, high]), int_vector(&[0; 2])];
    assert_eq!(ints(&elementwise("cast", &["i32"], "i64"), args, Mode::Declared), [low, high]);
    for to in ["i32", "i64"] {
        let args = vec![bool_vector(&[true, false]), int_vector(&[5; 2])];
        assert_eq!(ints(&elementwise("cast", &["bool"], to), args, Mode::Declared), [1, 0]);
    }
}

#[test]
fn casts_to_floats_round_once() {
    let x = [(1 << 24) + 1, (1 << 24) + 3, 2049, 65520, -257, (1 << 62) + (1 << 54) + 1];
    let table = [
        ("f32", [16777216.0, 16777220.0, 2049.0, 65520.0, -257.0, 2f64.powi(62) + 2f64.powi(54)]),
        ("f16", [INF, INF, 2048.0, INF, -257.0, INF]),
        ("bf16", [16777216.0, 16777216.0, 2048.0, 65536.0, -256.0, 2f64.powi(62) + 2f64.powi(55)]),
    ];
    for (to, wanted) in table {
        let args = || vec![int_vector(&x), vector(&[0.0; 6])];
        let text = elementwise("cast", &["i64"], to);
        assert_eq!(floats(&text, args(), Mode::Declared), wanted, "{to}");
        let exact: Vec<f64> = x.iter().map(|&x| x as f64).collect();
        assert_eq!(floats(&text, args(), Mode::Exact), exact);
        let low = Mode::Low(DType::from_name(to).unwrap());
        assert_eq!(floats(&elementwise("cast", &["i64"], "f32"), args(), low), wanted, "low {to}");
    }
    // 1 + 2^-11 + 2^-23 is above the tie between two f16s; bf16 drops all of it.
    let x = 1.0 + 2f64.powi(-11) + 2f64.powi(-23);
    let cast = |to, mode| {
        floats(&elementwise("cast", &["f32"], to), vec![vector(&[x]), vector(&[0.0])], mode)[0]
    };
    assert_eq!(cast("f16", Mode::Declared), 1.0 + 2f64.powi(-10));
    assert_eq!(cast("bf16", Mode::Declared), 1.0);
    assert_eq!((cast("f16", Mode::Exact), cast("bf16", Mode::Exact)), (x, x));
    let text = elementwise("cast", &["bool"], "f16");
    let args = vec![bool_vector(&[true, false]), vector(&[5.0; 2])];
    assert_eq!(floats(&text, args, Mode::Declared), [1.0, 0.0]);
}

/// An `f16` tensor in low `f32`: results are f32, what memory holds is f16.
#[test]
fn low_mode_keeps_tensors_in_their_type() {
    let text = elementwise("div", &["f16", "f16"], "f16");
    let args = vec![vector(&[1.0, 0.1]), vector(&[3.0, 1.0]), vector(&[0.0; 2])];
    let (third, tenth) = (DType::F16.round(1.0 / 3.0), DType::F16.round(0.1));
    assert_eq!(floats(&text, args.clone(), Mode::Low(DType::F32)), [third, tenth]);
    // In low bf16 both roundings are made.
    let both = |x| DType::F16.round(DType::BF16.round(x));
    assert_eq!(floats(&text, args, Mode::Low(DType::BF16)), [both(1.0 / 3.0), both(tenth)]);
    // Numbers and literals are rounded as well.
    let text = "
    spec @t(x: f32, o: &mut f32[2]) {
      %zero: i64 = const 0
      %one: i64 = const 1
      %x: f32 = scalar x
      %c: f32 = const 0.1
      store o[%zero] = %x
      store o[%one] = %c
      yield
    }";
    let run = |mode| floats(text, vec![Argument::Float(0.1), vector(&[0.0; 2])], mode);
    assert_eq!(run(Mode::Low(DType::BF16)), [DType::BF16.round(0.1); 2]);
    assert_eq!(run(Mode::Declared), [DType::F32.round(0.1); 2]);
    assert_eq!(run(Mode::Exact)[0], 0.1);
}
