//! The passes for GPUs compute what the kernel computed, but for rounding: softmax weights of masked, scaled scores.

use tilec_interp::{Argument, Data, Limits, Mode, TensorData, run};
use tilec_ir::{Kernel, parse};
use tilec_passes::pipeline::Options;
use tilec_passes::{GPU_PASSES, for_gpu};

const SCORES: &str = include_str!("maxima/scores.tir");

/// Rows of queries and of keys: the first key's row is the last query sees, and the last query sees them all.
const SIZES: [(usize, usize); 4] = [(7, 11), (5, 0), (9, 8), (1, 1)];

fn kernel() -> Kernel {
    let text = SCORES.split("// ---- after").next().unwrap();
    parse(text).unwrap().kernels.remove(0)
}

fn tensor(shape: [i64; 2], seed: u64, size: f64) -> Argument {
    let count = (shape[0] * shape[1]) as u64;
    let at = |i: u64| ((i * 2_654_435_761 + seed * 40_503) % 1009) as f64 / 504.5 - 1.0;
    Argument::Tensor(TensorData::floats(
        shape.to_vec(),
        (0..count).map(|i| at(i) * size).collect::<Vec<_>>(),
    ))
}

/// The outputs, one after the other.
fn outputs(kernel: &Kernel, (rows, keys): (usize, usize), scale: f64, size: f64) -> Vec<f64> {
    let (rows, keys) = (rows as i64, keys as i64);
    let vector = || Argument::Tensor(TensorData::floats(vec![rows], vec![0.0; rows as usize]));
    let args = vec![
        tensor([rows, 4], 1, size),
        tensor([keys, 4], 2, size),
        vector(),
        vector(),
        Argument::Float(scale),
    ];
    let outcome = run(kernel, args, Mode::Declared, Limits::default()).unwrap();
    let floats = |data: &Data| match data {
        Data::Float(x) => x.clone(),
        _ => panic!("a float"),
    };
    outcome.outputs.iter().flat_map(|output| floats(&output.tensor.data)).collect()
}

/// Equal but for a few roundings of scores, of which the greatest has this magnitude.
fn same(a: f64, b: f64, scores: f64) -> bool {
    let allowed = 1e-7 * (4.0 + scores) * a.abs().max(1.0);
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= allowed
}

#[test]
fn weights_are_the_same_for_every_sign_of_the_scale() {
    let before = kernel();
    let after = for_gpu(&before, &Options::default()).unwrap();
    assert_ne!(tilec_ir::print_kernel(&before), tilec_ir::print_kernel(&after));
    for sizes in SIZES {
        for scale in [0.7, -0.7, 0.0, -0.0, 1e-30, f64::NAN] {
            for size in [1.0, 30.0] {
                let was = outputs(&before, sizes, scale, size);
                let now = outputs(&after, sizes, scale, size);
                for (at, (a, b)) in was.iter().zip(&now).enumerate() {
                    let scores = 4.0 * size * size * scale.abs().max(0.0);
                    assert!(
                        same(*a, *b, scores),
                        "{sizes:?} scale {scale} size {size}: {at}: {a} and {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_pass_can_be_left_out() {
    let before = kernel();
    let was = outputs(&before, SIZES[0], -0.3, 3.0);
    for pass in GPU_PASSES {
        let options = Options::default().without(pass.name).unwrap();
        let now = outputs(&for_gpu(&before, &options).unwrap(), SIZES[0], -0.3, 3.0);
        for (a, b) in was.iter().zip(&now) {
            assert!(same(*a, *b, 4.0 * 9.0 * 0.3), "without {}: {a} and {b}", pass.name);
        }
    }
}
