//! How long attention takes: `cargo run --release -p tilec-interp --example speed`.
//!
//! Causal, 1 x 2 heads x 256 queries x 256 keys x 64, as a spec (whole axes) and as a flash kernel
//! (tiles of 64 x 32, head dimension 64), in each mode.

use std::time::Instant;

use tilec_interp::{Argument, Limits, Mode, TensorData, run};
use tilec_vocab::DType;

const SPEC: &str = include_str!("../tests/texts/attention.tir");
const FLASH: &str = include_str!("../tests/texts/flash.tir");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flash = FLASH.replace("T[", "f32[").replace("24", "64").replace("16", "64");
    let flash = flash.replace("n: 8,", "n: 32,");
    for (name, text) in [("spec", SPEC), ("flash", &flash)] {
        let module = tilec_ir::parse(text)?;
        let kernels: Vec<_> = module.kernels.into_iter().chain(module.specs).collect();
        for mode in [Mode::Exact, Mode::Declared, Mode::Low(DType::F16), Mode::Low(DType::BF16)] {
            let args = arguments();
            let start = Instant::now();
            run(&kernels[0], args, mode, Limits::default())?;
            println!("{name:5} {mode:?}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(())
}

fn arguments() -> Vec<Argument> {
    let tensor = |shape: &[i64], seed: usize| {
        let count = shape.iter().product::<i64>() as usize;
        let number = |i: usize| ((i + seed) * 7919 % 2003) as f64 / 1001.0 - 1.0;
        Argument::Tensor(TensorData::floats(shape, (0..count).map(number).collect::<Vec<_>>()))
    };
    let shape = [1, 2, 256, 64];
    let [q, k, v, o] = [1, 2, 3, 4].map(|seed| tensor(&shape, seed));
    vec![q, k, v, o, tensor(&shape[..3], 5), Argument::Float(0.125)]
}
