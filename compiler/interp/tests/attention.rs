//! Attention, as a spec and as a flash kernel, against plain loops in `f64`.

mod support;

use support::{kernel, noise, tensor};
use tilec_interp::compare::{Rule, compare};
use tilec_interp::{Argument, Data, Limits, Mode, Order, TensorData, run, run_in_order};
use tilec_vocab::DType;

/// Causal attention with the keys at the end of the queries' past, whole axes.
const SPEC: &str = include_str!("texts/attention.tir");

/// The same by blocks, with a running maximum, in `T`.
const FLASH: &str = include_str!("texts/flash.tir");

#[derive(Clone, Copy)]
struct Shape {
    b: usize,
    h: usize,
    m: usize,
    n: usize,
    d: usize,
}

const SCALE: f64 = 0.25;

impl Shape {
    fn extents(self, rows: usize) -> [i64; 4] {
        [self.b as i64, self.h as i64, rows as i64, self.d as i64]
    }

    fn inputs(self) -> [Vec<f64>; 3] {
        let count = |rows| self.b * self.h * rows * self.d;
        [noise(1, count(self.m)), noise(2, count(self.n)), noise(3, count(self.n))]
    }

    fn arguments(self) -> Vec<Argument> {
        let [q, k, v] = self.inputs();
        let (queries, keys) = (self.extents(self.m), self.extents(self.n));
        // Outputs start as NaN, so that what is not written shows.
        let o = vec![f64::NAN; q.len()];
        let lse = vec![f64::NAN; self.b * self.h * self.m];
        vec![
            tensor(&queries, q),
            tensor(&keys, k),
            tensor(&keys, v),
            tensor(&queries, o),
            tensor(&queries[..3], lse),
            Argument::Float(SCALE),
        ]
    }

    /// Output and log-sum-exp by loops over rows.
    fn direct(self) -> (Vec<f64>, Vec<f64>) {
        let [q, k, v] = self.inputs();
        let (mut o, mut lse) = (Vec::new(), Vec::new());
        for head in 0..self.b * self.h {
            for m in 0..self.m {
                let row = &q[(head * self.m + m) * self.d..][..self.d];
                let live = (m + 1 + self.n).saturating_sub(self.m).min(self.n);
                let key = |x: &'_ [f64], n: usize, d: usize| x[(head * self.n + n) * self.d + d];
                let scores: Vec<f64> = (0..live)
                    .map(|n| (0..self.d).map(|d| row[d] * key(&k, n, d)).sum::<f64>() * SCALE)
                    .collect();
                let total: f64 = scores.iter().map(|s| s.exp()).sum();
                for d in 0..self.d {
                    let sum: f64 = (0..live).map(|n| scores[n].exp() * key(&v, n, d)).sum();
                    o.push(if live == 0 { 0.0 } else { sum / total });
                }
                lse.push(total.ln());
            }
        }
        (o, lse)
    }
}

fn data(tensor: &TensorData) -> &[f64] {
    match &tensor.data {
        Data::Float(data) => data,
        other => panic!("{other:?}"),
    }
}

fn assert_close(actual: &[f64], wanted: &[f64], bound: f64) {
    assert_eq!(actual.len(), wanted.len());
    for (at, (&a, &w)) in actual.iter().zip(wanted).enumerate() {
        assert!(a == w || (a - w).abs() <= bound, "element {at}: got {a}, wanted {w}");
    }
}

/// Odd extents, more and fewer keys than queries (rows that see no key), no rows, no keys.
fn shapes() -> Vec<Shape> {
    let sizes = [(1, 1), (16, 8), (15, 9), (17, 7), (5, 40), (40, 5), (33, 33), (0, 3), (3, 0)];
    sizes.into_iter().map(|(m, n)| Shape { b: 2, h: 3, m, n, d: 24 }).collect()
}

#[test]
fn the_spec_in_exact_mode_is_the_direct_loops() {
    let spec = kernel(SPEC);
    for shape in shapes() {
        let found = run(&spec, shape.arguments(), Mode::Exact, Limits::default()).unwrap();
        let (o, lse) = shape.direct();
        // Both are f64: 24 products of numbers below 1, then sums of at most 40 weights.
        assert_close(data(&found.outputs[0].tensor), &o, 1e-14);
        assert_close(data(&found.outputs[1].tensor), &lse, 1e-14);
        assert!(found.outputs.iter().all(|output| output.written.iter().all(|&w| w)));
    }
}

#[test]
fn flash_is_the_spec_in_every_precision() {
    let spec = kernel(SPEC);
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let name = dtype.name();
        let text =
            FLASH.replace("&T", &format!("&{name}")).replace("&mut T", &format!("&mut {name}"));
        let flash = kernel(&text.replace(": T[", &format!(": {name}[")));
        for shape in shapes() {
            // Inputs as the low type holds them, for all three.
            let mut args = shape.arguments();
            for arg in &mut args[..3] {
                let Argument::Tensor(TensorData { data: Data::Float(data), .. }) = arg else {
                    panic!()
                };
                data.iter_mut().for_each(|x| *x = dtype.round(*x));
            }
            let limits = Limits::default();
            let actual = run(&flash, args.clone(), Mode::Declared, limits).unwrap();
            let exact = run(&spec, args.clone(), Mode::Exact, limits).unwrap();
            let naive = run(&spec, args, Mode::Low(dtype), limits).unwrap();
            for ((actual, exact), naive) in
                actual.outputs.iter().zip(&exact.outputs).zip(&naive.outputs)
            {
                let found =
                    compare(&actual.tensor, &exact.tensor, &naive.tensor, Rule::default()).unwrap();
                assert!(found.pass, "{name} {} x {}: {found:?}", shape.m, shape.n);
            }
        }
    }
}

#[test]
fn programs_may_run_in_any_order() {
    let flash = kernel(&FLASH.replace("T[", "f32["));
    let args = Shape { b: 2, h: 2, m: 50, n: 30, d: 24 }.arguments();
    let run = |order| {
        run_in_order(&flash, args.clone(), Mode::Declared, Limits::default(), order).unwrap()
    };
    let forward = run(Order::Forward);
    for order in [Order::Reverse, Order::Shuffled(7), Order::Shuffled(8)] {
        assert_eq!(run(order), forward, "{order:?}");
    }
}

/// A kernel that is wrong must not pass: the window one key too wide, the rescaling forgotten.
#[test]
fn planted_faults_are_found() {
    let spec = kernel(SPEC);
    let shape = Shape { b: 1, h: 1, m: 33, n: 33, d: 24 };
    let exact = run(&spec, shape.arguments(), Mode::Exact, Limits::default()).unwrap();
    let naive = run(&spec, shape.arguments(), Mode::Low(DType::F32), Limits::default()).unwrap();
    let right = FLASH.replace("T[", "f32[");
    let faults = [
        (
            "%limit: i64[m] = add %m, %shift",
            "%one: i64 = const 1\n %mm: i64[m] = add %m, %one\n %limit: i64[m] = add %mm, %shift",
        ),
        ("%a1: f32[m, d] = mul %a, %c", "%a1: f32[m, d] = splat %a"),
        ("%y: f32[m] = sub %t, %by", "%y: f32[m] = sub %by, %t"),
    ];
    for (from, to) in faults {
        let wrong = right.replace(from, to);
        assert_ne!(wrong, right);
        let actual = run(&kernel(&wrong), shape.arguments(), Mode::Declared, Limits::default());
        let (actual, exact) = (&actual.unwrap().outputs[0].tensor, &exact.outputs[0].tensor);
        let found = compare(actual, exact, &naive.outputs[0].tensor, Rule::default()).unwrap();
        assert!(!found.pass, "{to}: {found:?}");
    }
}
