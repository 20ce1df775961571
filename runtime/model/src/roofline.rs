//! The roofline of a GPU: a time that no launch of so many operations and bytes is under.
//!
//! ```text
//! limit = max(operations / peak of their pipe, bytes / rate of the memory)
//! ```
//!
//! Peaks and rates are those of the data sheets, not what `mma` or a stream reaches of them, so a share of the limit compares
//! with other people's. Operations count on the pipe that their type is made for, whether the kernel uses it or not.
//! Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.

use tilec_ir::{Elem, Kernel, Op, Precision};
use tilec_vocab::{DType, Specialisation};

use crate::gpus::Gpu;

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pipe {
    /// f32 arithmetic.
    Fma,
    /// Tensor cores, three products with tf32 operands for one.
    Tf32x3,
    /// Tensor cores with tf32 operands.
    Tf32,
    /// Tensor cores with operands of 16 bits.
    Half,
}

impl Pipe {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Pipe::Fma => "f32 arithmetic",
            Pipe::Tf32x3 => "tensor cores, tf32x3",
            Pipe::Tf32 => "tensor cores, tf32",
            Pipe::Half => "tensor cores",
        }
    }

    /// The pipe that a kernel's dots are made for, of several the fastest; f32 arithmetic where there is none.
    pub fn of(kernel: &Kernel, binding: &Specialisation) -> Pipe {
        let pipes = kernel.walk().into_iter().filter_map(|inst| {
            let data = &kernel.insts[inst];
            let Op::Dot(_, precision) = data.op else { return None };
            let dtype = match kernel.ty(*data.args.first()?).elem {
                Elem::Known(dtype) => dtype,
                Elem::Generic(generic, _) => *binding.dtypes.get(&kernel.generics[generic].name)?,
            };
            Some(match (dtype, precision) {
                (DType::F16 | DType::BF16, _) => Pipe::Half,
                (_, Precision::Tf32) => Pipe::Tf32,
                (_, Precision::Tf32x3) => Pipe::Tf32x3,
                (_, Precision::Ieee) => Pipe::Fma,
            })
        });
        pipes.max().unwrap_or(Pipe::Fma)
    }
}

/// The least time, and what sets it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roof {
    /// In nanoseconds.
    pub time_ns: f64,
    /// The pipe, or `memory`.
    pub bound: &'static str,
}

impl Gpu {
    /// Floating-point operations a second of a pipe, a multiply-add being two.
    pub fn pipe_flops(&self, pipe: Pipe) -> f64 {
        let of_sm = match pipe {
            Pipe::Half => self.half_flops,
            Pipe::Tf32 => self.tf32_flops,
            Pipe::Tf32x3 => self.tf32_flops / 3.0,
            Pipe::Fma => 2.0 * self.fp32_lanes,
        };
        of_sm * f64::from(self.sms) * self.hertz()
    }

    /// The least time of launches one after another: their operations, each on its pipe, and the bytes of all.
    pub fn roof(&self, flops: &[(Pipe, f64)], bytes: f64) -> Roof {
        let time = |&(pipe, flops): &(Pipe, f64)| flops / self.pipe_flops(pipe) * 1e9;
        let longest = flops.iter().max_by(|a, b| time(a).total_cmp(&time(b)));
        let compute: f64 = flops.iter().map(time).sum();
        let memory = bytes / self.dram_gb_s;
        match longest {
            Some((pipe, _)) if compute >= memory => Roof { time_ns: compute, bound: pipe.name() },
            _ => Roof { time_ns: memory, bound: "memory" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpus::GPUS;

    /// Dense peaks of the data sheets in TFLOP/s. That of an H100's f32 is at 1980 MHz, its tensor cores' at 1830.
    #[test]
    fn peaks_are_those_of_the_data_sheets() {
        let sheets = [
            (Pipe::Half, [165.0, 312.0, 989.0, 989.0, 71.0, 165.2]),
            (Pipe::Tf32, [82.0, 156.0, 494.5, 494.5, 35.6, 82.6]),
            (Pipe::Fma, [10.3, 19.5, 67.0 * 1830.0 / 1980.0, 67.0 * 1830.0 / 1980.0, 35.6, 82.6]),
        ];
        for (pipe, peaks) in sheets {
            for (gpu, peak) in GPUS.iter().zip(peaks) {
                let got = gpu.pipe_flops(pipe) / 1e12;
                assert!((got / peak - 1.0).abs() < 0.01, "{} {pipe:?}: {got}", gpu.name);
            }
        }
    }

    #[test]
    fn the_longer_of_operations_and_bytes_is_the_limit() {
        let gpu = Gpu::named("a100").expect("it is known");
        // 312 TFLOP in a second; 2039 GB in a second.
        let roof = gpu.roof(&[(Pipe::Half, 312e9)], 1e9);
        assert_eq!((roof.bound, (roof.time_ns / 1e6 * 100.0).round()), ("tensor cores", 100.0));
        let roof = gpu.roof(&[(Pipe::Half, 312e9)], 2.039e10);
        assert_eq!((roof.bound, (roof.time_ns / 1e6).round()), ("memory", 10.0));
        // Of two launches the one that takes longer gives the name, both the time.
        let roof = gpu.roof(&[(Pipe::Half, 312e9), (Pipe::Fma, 195e9)], 0.0);
        assert_eq!((roof.bound, (roof.time_ns / 1e6).round()), ("f32 arithmetic", 11.0));
        assert_eq!(gpu.roof(&[], 0.0), Roof { time_ns: 0.0, bound: "memory" });
    }
}
