//! What the tests of the interpreter share: kernels from text, runs, and numbers to run on.
#![allow(dead_code, reason = "each test crate uses some of these")]

use tilec_interp::{Argument, Data, InterpError, Limits, Mode, Outcome, TensorData, run};
use tilec_ir::Kernel;

/// The only kernel or spec of a text.
pub fn kernel(text: &str) -> Kernel {
    let module = tilec_ir::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let kernel = module.kernels.into_iter().chain(module.specs).next().expect("a kernel");
    tilec_ir::verify(&kernel).unwrap_or_else(|bug| panic!("{bug}\n{}", bug.ir));
    kernel
}

/// A run that must succeed.
pub fn outcome(text: &str, args: Vec<Argument>, mode: Mode) -> Outcome {
    run(&kernel(text), args, mode, Limits::default()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// A run that must not.
pub fn failure(text: &str, args: Vec<Argument>, limits: Limits) -> InterpError {
    run(&kernel(text), args, Mode::Declared, limits).expect_err(text)
}

/// The first output of a run.
pub fn output(text: &str, args: Vec<Argument>, mode: Mode) -> TensorData {
    outcome(text, args, mode).outputs.into_iter().next().expect("an output").tensor
}

/// The first output of a run, of floats.
pub fn floats(text: &str, args: Vec<Argument>, mode: Mode) -> Vec<f64> {
    match output(text, args, mode).data {
        Data::Float(data) => data,
        other => panic!("{other:?}"),
    }
}

/// The first output of a run, of integers.
pub fn ints(text: &str, args: Vec<Argument>, mode: Mode) -> Vec<i64> {
    match output(text, args, mode).data {
        Data::Int(data) => data,
        other => panic!("{other:?}"),
    }
}

/// The first output of a run in declared mode, of truth values.
pub fn truths(text: &str, args: Vec<Argument>) -> Vec<bool> {
    match output(text, args, Mode::Declared).data {
        Data::Bool(data) => data,
        other => panic!("{other:?}"),
    }
}

/// A tensor argument of one dimension.
pub fn vector(data: &[f64]) -> Argument {
    Argument::Tensor(TensorData::floats([data.len() as i64], data))
}

/// A tensor argument of one dimension.
pub fn int_vector(data: &[i64]) -> Argument {
    Argument::Tensor(TensorData::ints([data.len() as i64], data))
}

/// A tensor argument of one dimension.
pub fn bool_vector(data: &[bool]) -> Argument {
    Argument::Tensor(TensorData::bools([data.len() as i64], data))
}

/// A tensor of floats.
pub fn tensor(shape: &[i64], data: impl Into<Vec<f64>>) -> Argument {
    Argument::Tensor(TensorData::floats(shape, data))
}

/// Whether two lists of floats are the same, NaN equal to NaN and -0 not to +0.
pub fn same(a: &[f64], b: &[f64]) -> bool {
    let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// Numbers in -1..1, the same for the same seed, each an exact f32.
pub fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f64::from(((state >> 40) as f32) / (1 << 23) as f32 - 1.0)
        })
        .collect()
}
