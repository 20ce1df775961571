//! Decoding over a page table, put together from its parts, against attention by its definition.

use std::sync::Arc;

use tilec_cpu::CpuDevice;
use tilec_host::random::{Fill, filled};
use tilec_host::{Arguments, Device, Elements, Tensor};
use tilec_sim::SimDevice;
use tilec_tests::{library, lowered, run};
use tilec_verify::InterpDevice;
use tilec_vocab::DType;

const B: usize = 4;
const H: usize = 6;
const G: usize = 2;
const D: usize = 16;
/// Keys of a page: no power of two, and no divisor of a block of keys.
const PAGE: usize = 24;
/// Pages of a sequence at most; all sequences together have twice as many as they need.
const L: usize = 20;
const PAGES: usize = 2 * B * L;
/// Parts of several blocks of keys, and several blocks of parts.
const PARTS: [usize; 2] = [3, 19];
const SCALE: f64 = 0.25;
/// Nothing; one key; fewer keys than parts have blocks; every page full.
const LENGTHS: [usize; B] = [0, 1, 333, PAGE * L];
/// f32 sums of up to 480 terms whose weights add to one, each rounded to 6e-8 of at most 5.
const BOUND: f64 = 2e-5;

/// The page of each place in the table: scattered, none used twice.
fn page(b: usize, t: usize) -> usize {
    (b * L + t) * 37 % PAGES
}

/// o and lse of one head, by the definition over the keys from `first`.
fn attention(
    query: &[f64],
    keys: &[f64],
    values: &[f64],
    b: usize,
    g: usize,
    first: usize,
) -> (Vec<f64>, f64) {
    let row = |x: &'_ [f64], n: usize| {
        let at = ((page(b, n / PAGE) * PAGE + n % PAGE) * G + g) * D;
        x[at..at + D].to_vec()
    };
    let (mut total, mut o) = (0.0, vec![0.0; D]);
    for n in first..LENGTHS[b] {
        let s: f64 = query.iter().zip(row(keys, n)).map(|(q, k)| q * k).sum();
        let weight = (s * SCALE).exp();
        total += weight;
        for (o, v) in o.iter_mut().zip(row(values, n)) {
            *o += weight * v;
        }
    }
    let divisor = if total > 0.0 { total } else { 1.0 };
    (o.iter().map(|o| o / divisor).collect(), total.ln())
}

/// Runs one kernel of the decoding file and then `combine`, and compares with the definition over the
/// keys from `first(length)`.
fn check(kernel: &str, parts: usize, window: Option<i64>, first: fn(usize) -> usize) {
    let float = |shape: &[usize], seed: u64| {
        let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
        filled(Fill::Normal { seed }, DType::F32, &shape).expect("memory")
    };
    let ints = |shape: &[i64], values: Vec<i64>| {
        Tensor::new(DType::I32, shape, &Elements::Ints(values)).expect("memory")
    };
    let empty = |shape: &[usize]| {
        let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
        Tensor::poisoned(DType::F32, &shape).expect("memory")
    };
    let q = float(&[B, H, D], 1);
    let (keys, values) = (float(&[PAGES, PAGE, G, D], 2), float(&[PAGES, PAGE, G, D], 3));
    let table = (0..B * L).map(|at| page(at / L, at % L) as i64).collect();
    let (partial, lses) = (empty(&[B, H, parts, D]), empty(&[B, H, parts]));
    let (o, lse) = (empty(&[B, H, D]), empty(&[B, H]));

    let mut split = Arguments::new();
    split.insert("q", q.clone());
    split.insert("kpages", keys.clone());
    split.insert("vpages", values.clone());
    split.insert("table", ints(&[B as i64, L as i64], table));
    split.insert("lengths", ints(&[B as i64], LENGTHS.map(|n| n as i64).to_vec()));
    split.insert("o", partial.clone());
    split.insert("lse", lses.clone());
    split.insert("scale", SCALE);
    if let Some(window) = window {
        split.insert("window", window);
    }
    let mut merge = Arguments::new();
    merge.insert("parts", partial);
    merge.insert("lses", lses);
    merge.insert("o", o.clone());
    merge.insert("lse", lse.clone());

    let (decode, combine) = (lowered(library("paged_decode")), lowered(library("combine")));
    let decode = decode.kernels.iter().find(|k| k.name == kernel).expect("the kernel");
    let numbers = |tensor: &Tensor| tensor.to_f64s().expect("elements");
    let (q, keys, values) = (numbers(&q), numbers(&keys), numbers(&values));
    let cpu = CpuDevice::new(None).expect("threads");
    let compiler = Arc::new(tilec_ptx::Compiler::default());
    let sim = SimDevice::new(tilec_sim::Options::default(), Some(compiler));
    for device in [&cpu as &dyn Device, &InterpDevice, &sim] {
        run(decode, device, &split, &[("R", (H / G) as i64)]);
        run(&combine.kernels[0], device, &merge, &[]);
        let (o, lse) = (numbers(&o), numbers(&lse));
        for (bh, &found) in lse.iter().enumerate() {
            let (b, g) = (bh / H, bh % H / (H / G));
            let row = bh * D..(bh + 1) * D;
            let (expected, sum) =
                attention(&q[row.clone()], &keys, &values, b, g, first(LENGTHS[b]));
            let near = |x: f64, y: f64| x == y || (x - y).abs() <= BOUND;
            let what = format!("{kernel} on {}: sequence {b}, head {}", device.info().name, bh % H);
            assert!(near(found, sum), "{what}: lse is {found}, should be {sum}");
            for (x, y) in o[row].iter().zip(expected) {
                assert!(near(*x, y), "{what}: {x}, should be {y}");
            }
        }
    }
}

#[test]
fn the_parts_of_a_paged_sequence_make_its_attention() {
    for parts in PARTS {
        check("paged_decode", parts, None, |_| 0);
    }
}

#[test]
fn a_window_sees_the_last_key_and_those_before_it() {
    for parts in PARTS {
        check("paged_decode_window", parts, Some(100), |length| length.saturating_sub(101));
    }
}
