//! The vector functions against f64, over every exponent and at the values where they could go wrong.

use tilec_codegen::cpu::{Host, JitKernel, emit};
use tilec_ir::parse;
use tilec_ir::random::Rng;

/// Name, what it is, the most it may be off in units of the last place of f32.
type Function = (&'static str, fn(f64) -> f64, f64);

const FUNCTIONS: &[Function] = &[
    ("exp", f64::exp, 1.0),
    ("exp2", f64::exp2, 1.0),
    ("log", f64::ln, 1.0),
    ("log2", f64::log2, 1.0),
    ("tanh", f64::tanh, 1.5),
    ("sqrt", f64::sqrt, 0.5),
    ("rsqrt", |x| 1.0 / x.sqrt(), 1.5),
    ("abs", f64::abs, 0.0),
    ("neg", |x| -x, 0.0),
];

fn apply(name: &str, xs: &[f32]) -> Vec<f32> {
    let text = format!(
        "kernel @f(x: &f32[N], y: &mut f32[N])
  grid p in cdiv(N, 4096)
{{
  %p: i64 = program p
  %N: i64 = dim N
  %b: i64 = const 4096
  %start: i64 = mul %p, %b
  axis n: 4096 = %start .. %N
  %n: i64[n] = index n
  %x: f32[n] = load x[%n]
  %y: f32[n] = {name} %x
  store y[%n] = %y
  yield
}}
"
    );
    let mut ys = vec![0.0_f32; xs.len()];
    let n = xs.len() as i64;
    launch(&text, &[xs.as_ptr() as i64, 1, ys.as_mut_ptr() as i64, 1, n], n);
    ys
}

/// What is summed of a function whose values are rounded to bf16 besides: sums of one.
fn apply_rounded(name: &str, xs: &[f32]) -> (Vec<f32>, Vec<u16>) {
    let text = format!(
        "kernel @f(x: &f32[J, N], y: &mut f32[N], z: &mut bf16[J, N])
  grid p in cdiv(N, 4096)
{{
  %p: i64 = program p
  %N: i64 = dim N
  %J: i64 = dim J
  %b: i64 = const 4096
  %zero: i64 = const 0
  %start: i64 = mul %p, %b
  axis j: 1 = %zero .. %J
  axis n: 4096 = %start .. %N
  %n: i64[n] = index n
  %j: i64[j] = index j
  %x: f32[j, n] = load x[%j, %n]
  %e: f32[j, n] = {name} %x
  %y: f32[n] = sum %e over j
  store y[%n] = %y
  %z: bf16[j, n] = cast %e
  store z[%j, %n] = %z
  yield
}}
"
    );
    let (mut ys, mut zs) = (vec![0.0_f32; xs.len()], vec![0_u16; xs.len()]);
    let n = xs.len() as i64;
    let [x, y, z] = [xs.as_ptr() as i64, ys.as_mut_ptr() as i64, zs.as_mut_ptr() as i64];
    launch(&text, &[x, n, 1, y, 1, z, n, 1, 1, n], n);
    (ys, zs)
}

/// Runs a kernel of programs of 4096 elements each.
fn launch(text: &str, params: &[i64], n: i64) {
    let module = parse(text).unwrap_or_else(|error| panic!("{error}"));
    let host = Host::this();
    let code = emit(&module.kernels[0], &host).unwrap_or_else(|error| panic!("{error}"));
    let compiled = JitKernel::new(&code, "f", &host).unwrap_or_else(|error| panic!("{error}"));
    let mut scratch = vec![0_u8; compiled.scratch_bytes() + 64];
    let offset = scratch.as_ptr().align_offset(64);
    for p in 0..n.div_euclid(4096) + 1 {
        // SAFETY: the arrays that `params` names have `n` elements; the scratch is aligned and large enough.
        unsafe { compiled.run(params, &[p], scratch[offset..].as_mut_ptr()) };
    }
}

/// Numbers of every size and sign, and those at which a function overflows, underflows or bends.
fn arguments() -> Vec<f32> {
    let mut rng = Rng::new(7);
    let mut xs = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
        f32::from_bits(1),
        88.722_83,
        88.722_84,
        -87.336_55,
        -103.278_93,
        -103.972_08,
        128.0,
        127.999_99,
        -126.0,
        -149.0,
        -150.0,
        0.625,
        0.624_999_94,
    ];
    // Every bit pattern class: random bits.
    xs.extend((0..200_000).map(|_| f32::from_bits(rng.next() as u32)));
    // Where the interesting part of exp and tanh is.
    xs.extend((0..200_000).map(|_| (rng.next() as u32 as f32 / u32::MAX as f32 - 0.5) * 220.0));
    xs.extend((0..100_000).map(|_| (rng.next() as u32 as f32 / u32::MAX as f32 - 0.5) * 2.0));
    xs
}

#[test]
fn functions_are_as_exact_as_stated() {
    let xs = arguments();
    let mut complaints = Vec::new();
    for &(name, exact, most) in FUNCTIONS {
        let mut worst = (0.0, 0.0);
        for (&x, &got) in xs.iter().zip(&apply(name, &xs)) {
            let wanted = exact(f64::from(x));
            let nearest = wanted as f32;
            if nearest.is_nan() || !nearest.is_finite() || nearest == 0.0 {
                let same = (got.is_nan() && nearest.is_nan()) || got == nearest;
                // At the very edge either neighbour will do.
                let edge = f64::from(got.abs()) >= f64::from(f32::MAX) && wanted.abs() < 3.5e38
                    || got.abs() <= f32::from_bits(1) && wanted.abs() < 1e-44;
                if !same && !edge {
                    complaints.push(format!("{name}({x:e}) is {got:e}, wanted {nearest:e}"));
                }
                continue;
            }
            // The distance between floats of that size; below the smallest normal one it stays the same.
            let exponent = nearest.abs().max(f32::MIN_POSITIVE).to_bits() >> 23;
            let ulp = 2_f64.powi(exponent as i32 - 150);
            let off = (f64::from(got) - wanted).abs() / ulp;
            if off > worst.0 || off.is_nan() {
                worst = (off, x);
            }
        }
        println!("{name:<6} {:.3} units of the last place, at {:e}", worst.0, worst.1);
        if worst.0 > most || worst.0.is_nan() {
            complaints.push(format!("{name}({:e}) is {:.3} units off", worst.1, worst.0));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints[..complaints.len().min(20)].join("\n"));
}

#[test]
fn exponentials_that_are_rounded_to_bf16_are_within_a_small_part_of_that() {
    let xs = arguments();
    for (name, exact) in [("exp", f64::exp as fn(f64) -> f64), ("exp2", f64::exp2)] {
        let (sums, rounded) = apply_rounded(name, &xs);
        let mut worst = (0.0, 0.0);
        for ((&x, &sum), &rounded) in xs.iter().zip(&sums).zip(&rounded) {
            let wanted = exact(f64::from(x));
            let narrow = f32::from_bits(u32::from(rounded) << 16);
            if wanted.is_nan() {
                assert!(sum.is_nan() && narrow.is_nan(), "{name}({x:e}) is {sum:e}, {narrow:e}");
                continue;
            }
            if wanted > f64::from(f32::MAX) * 0.9999 {
                assert!(sum > f32::MAX * 0.999, "{name}({x:e}) is {sum:e}");
                continue;
            }
            // Relative to itself; of numbers below the smallest normal one, to that one.
            let off = (f64::from(sum) - wanted).abs() / wanted.max(f64::from(f32::MIN_POSITIVE));
            if off > worst.0 || off.is_nan() {
                worst = (off, x);
            }
            let half = f64::from(narrow) - f64::from(sum);
            let most = f64::from(sum) / 256.0 + 1e-40;
            assert!(half.abs() <= most, "{name}({x:e}) is {sum:e} in f32, {narrow:e} in bf16");
        }
        println!("{name:<6} 2^{:.2} of itself, at {:e}", worst.0.log2(), worst.1);
        assert!(worst.0 < 2_f64.powi(-17), "{name}({:e}) is {:e} of itself off", worst.1, worst.0);
    }
    let (sums, _) = apply_rounded("exp", &[0.0, -0.0, f32::NEG_INFINITY, f32::INFINITY]);
    assert_eq!(sums, [1.0, 1.0, 0.0, f32::INFINITY]);
}
