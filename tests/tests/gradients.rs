//! The backward kernels against finite differences of attention itself.
//!
//! Their specs start from the same formulas as they do, so a wrong derivation would stand in both. Here
//! the library's forward kernel makes o and lse, `delta` and the variant's two kernels make the
//! gradients of sum(o dout), and each is held against (L(x + h) - L(x - h)) / 2h, with L computed in f64
//! by the definition.

use tilec_cpu::CpuDevice;
use tilec_host::random::{Fill, filled};
use tilec_host::{Arguments, Device, Tensor};
use tilec_tests::{library, lowered, run};
use tilec_verify::InterpDevice;
use tilec_vocab::DType;

const B: usize = 2;
const H: usize = 4;
const G: usize = 2;
const D: usize = 16;
const SCALE: f64 = 0.25;
const WINDOW: i64 = 5;
const CAP: f64 = 1.5;
/// Half a step of the differences: their own error is about its square.
const STEP: f64 = 1e-4;
/// How far f32 may be off. The longest sums have 180 terms of up to 10, each rounded to 6e-8 of it.
const BOUND: f64 = 1e-4;

/// A variant of attention, as its definition says it.
struct Variant {
    name: &'static str,
    /// Queries and keys: more than one block of each, and no whole number of blocks.
    m: usize,
    n: usize,
    numbers: &'static [(&'static str, f64)],
    score: fn(f64) -> f64,
    mask: fn(i64, i64) -> bool,
}

const VARIANTS: &[Variant] = &[
    Variant { name: "full", m: 67, n: 70, numbers: &[], score: |s| s, mask: |_, _| true },
    Variant { name: "causal", m: 90, n: 70, numbers: &[], score: |s| s, mask: |m, n| n <= m },
    // Queries from 76 on see no key.
    Variant {
        name: "window_left",
        m: 90,
        n: 70,
        numbers: &[("window", WINDOW as f64)],
        score: |s| s,
        mask: |m, n| n <= m && m - n <= WINDOW,
    },
    Variant {
        name: "softcap",
        m: 67,
        n: 70,
        numbers: &[("cap", CAP)],
        score: |s| CAP * (s / CAP).tanh(),
        mask: |m, n| n <= m,
    },
];

/// Queries, keys and values.
type Inputs = [Vec<f64>; 3];

/// Normal numbers that f32 holds, and dout.
fn drawn(variant: &Variant) -> (Inputs, Vec<f64>) {
    let draw = |seed: u64, heads: usize, rows: usize| {
        let shape = [B, heads, rows, D].map(|n| n as i64);
        let tensor = filled(Fill::Normal { seed }, DType::F32, &shape).expect("memory");
        tensor.to_f64s().expect("elements")
    };
    let inputs = [draw(1, H, variant.m), draw(2, G, variant.n), draw(3, G, variant.n)];
    (inputs, draw(4, H, variant.m))
}

/// sum(o dout), by the definition of attention.
fn loss(variant: &Variant, [q, k, v]: &Inputs, dout: &[f64]) -> f64 {
    let row = |x: &'_ [f64], at: usize| -> [f64; D] { std::array::from_fn(|d| x[at * D + d]) };
    let dot = |x: [f64; D], y: [f64; D]| x.iter().zip(&y).map(|(x, y)| x * y).sum::<f64>();
    let mut total = 0.0;
    for bh in 0..B * H {
        let key_head = bh / H * G + bh % H / (H / G);
        for m in 0..variant.m {
            let query = row(q, bh * variant.m + m);
            let upstream = row(dout, bh * variant.m + m);
            let (mut weights, mut weighted) = (0.0, 0.0);
            for n in (0..variant.n).filter(|n| (variant.mask)(m as i64, *n as i64)) {
                let at = key_head * variant.n + n;
                let weight = (variant.score)(dot(query, row(k, at)) * SCALE).exp();
                weights += weight;
                weighted += weight * dot(upstream, row(v, at));
            }
            total += if weights > 0.0 { weighted / weights } else { 0.0 };
        }
    }
    total
}

/// The gradients of queries, keys and values by the library's kernels.
fn gradients(device: &dyn Device, variant: &Variant, inputs: &Inputs, dout: &[f64]) -> Inputs {
    let queries = [B, H, variant.m, D].map(|n| n as i64);
    let keys = [B, G, variant.n, D].map(|n| n as i64);
    let given = |shape: &[i64], values: &[f64]| Tensor::from_f64s(DType::F32, shape, values);
    let empty = |shape: &[i64]| Tensor::poisoned(DType::F32, shape).expect("memory");

    let mut args = Arguments::new();
    args.insert("q", given(&queries, &inputs[0]).expect("memory"));
    args.insert("k", given(&keys, &inputs[1]).expect("memory"));
    args.insert("v", given(&keys, &inputs[2]).expect("memory"));
    args.insert("dout", given(&queries, dout).expect("memory"));
    args.insert("o", empty(&queries));
    args.insert("lse", empty(&queries[..3]));
    args.insert("delta", empty(&queries[..3]));
    let outputs = [("dq", &queries), ("dk", &keys), ("dv", &keys)];
    let outputs = outputs.map(|(name, shape)| {
        let tensor = empty(shape);
        args.insert(name, tensor.clone());
        tensor
    });
    args.insert("scale", SCALE);
    for (name, number) in variant.numbers {
        match *name {
            "window" => args.insert(*name, *number as i64),
            _ => args.insert(*name, *number),
        };
    }

    for file in [variant.name, "delta", &format!("{}_backward", variant.name)] {
        for kernel in &lowered(library(file)).kernels {
            let mut own = Arguments::new();
            for param in kernel.params.values() {
                let argument = args.get(&param.name).expect("an argument").clone();
                own.insert(&param.name, argument);
            }
            run(kernel, device, &own, &[]);
        }
    }
    outputs.map(|tensor| tensor.to_f64s().expect("elements"))
}

#[test]
fn gradients_are_those_of_attention() {
    let cpu = CpuDevice::new(None).expect("threads");
    let devices: [&dyn Device; 2] = [&cpu, &InterpDevice];
    for variant in VARIANTS {
        let (inputs, dout) = drawn(variant);
        let found = devices.map(|device| gradients(device, variant, &inputs, &dout));

        for (which, name) in ["dq", "dk", "dv"].into_iter().enumerate() {
            let mut largest: f64 = 0.0;
            // A prime step: every row of blocks and every place in a row comes up.
            for at in (0..inputs[which].len()).step_by(331) {
                let shifted = |by: f64| {
                    let mut inputs = inputs.clone();
                    inputs[which][at] += by;
                    loss(variant, &inputs, &dout)
                };
                let expected = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
                largest = largest.max(expected.abs());
                for (device, found) in devices.iter().zip(&found) {
                    let actual = found[which][at];
                    assert!(
                        (actual - expected).abs() <= BOUND,
                        "{} on {}: {name} at {at} is {actual}, should be {expected}",
                        variant.name,
                        device.info().name,
                    );
                }
            }
            assert!(
                largest > 1000.0 * BOUND,
                "{}: {name} is nothing much: {largest}",
                variant.name
            );
        }
    }
}

#[test]
fn rows_without_keys_have_no_gradient() {
    let variant = VARIANTS.iter().find(|v| v.name == "window_left").expect("the variant");
    let cpu = CpuDevice::new(None).expect("threads");
    let (inputs, dout) = drawn(variant);
    let [dq, dk, dv] = gradients(&cpu, variant, &inputs, &dout);
    let blind = variant.n + WINDOW as usize + 1;
    assert!(blind < variant.m);
    for (at, x) in dq.iter().enumerate() {
        let sees = at / D % variant.m < blind;
        assert!(x.is_finite() && (sees || *x == 0.0), "dq at {at} is {x}");
    }
    assert!(dk.iter().chain(&dv).all(|x| x.is_finite()));
}
