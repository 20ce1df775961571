//! An inference engine in small: a program with a kernel inside, which takes the driver of a GPU and nothing else.
//! `docs/embedding.md` explains it.

use std::error::Error;

use tilec_runtime::{DType, Tensor};

mod rms_norm {
    tilec_runtime::embedded!("rms_norm");
}

use rms_norm::{Kernels, RmsNorm};

/// Normalises some rows on a device: `cuda`, `cuda:1`, `sim`.
fn normalise(device: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let kernels = Kernels::open(device)?;
    let values: Vec<f64> = (0..3 * 64).map(|i| f64::from(i % 7) - 3.0).collect();
    let x = Tensor::from_f64s(DType::F16, &[3, 64], &values)?;
    let gain = Tensor::from_f64s(DType::F16, &[64], &[2.0; 64])?;
    let y = Tensor::zeros(DType::F16, &[3, 64])?;
    let rstd = Tensor::zeros(DType::F32, &[3])?;
    RmsNorm { x: &x, gain: &gain, y: &y, rstd: &rstd, eps: 1e-5 }.launch(&kernels)?;
    Ok(y.to_f64s()?)
}

/// One launch made ready, run for each of several inputs in the same memory.
fn again_and_again(device: &str, inputs: &[f64]) -> Result<Vec<f64>, Box<dyn Error>> {
    let kernels = Kernels::open(device)?;
    let x = Tensor::zeros(DType::F32, &[1, 64])?;
    let gain = Tensor::from_f64s(DType::F32, &[64], &[1.0; 64])?;
    let y = Tensor::zeros(DType::F32, &[1, 64])?;
    let rstd = Tensor::zeros(DType::F32, &[1])?;
    let ready = RmsNorm { x: &x, gain: &gain, y: &y, rstd: &rstd, eps: 0.0 }.ready(&kernels)?;
    let mut seen = Vec::new();
    for input in inputs {
        x.write(&tilec_runtime::Elements::Floats(vec![*input; 64]))?;
        ready.run()?;
        seen.push(rstd.to_f64s()?[0]);
    }
    Ok(seen)
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = std::env::args().nth(1).unwrap_or_else(|| "cuda".to_owned());
    println!("y = {:.4?} …", &normalise(&device)?[..4]);
    println!("rstd = {:.4?}", again_and_again(&device, &[1.0, 2.0, 4.0])?);
    Ok(())
}
