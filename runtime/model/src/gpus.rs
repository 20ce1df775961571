//! GPUs by name, and what the model takes for granted of each.
//!
//! | column | source |
//! | --- | --- |
//! | `sms`, `clock_mhz`, `dram_gb_s`, `l2_bytes` | NVIDIA's data sheets: A100 (PB-10577), A30 (PB-10418), H100 and H200 (data sheets, SXM), white papers "NVIDIA Ampere GA102" (RTX 3090) and "NVIDIA Ada" (RTX 4090) |
//! | `half_flops`, `tf32_flops` | the same sheets' dense peaks, divided by SMs and clock |
//! | `mma_share` | what `mma.sync` reaches of them: all, on `sm_90` 0.63 (arXiv 2501.12084: 62.9 % on average over shapes; `wgmma` 96 %) |
//! | `fp32_lanes`, `alu_lanes`, `sfu_lanes` | CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions", by compute capability |
//! | `SHARED_BYTES_PER_CLOCK` | the same guide: 32 banks of 4 bytes |
//! | `L2_BYTES_PER_CLOCK` | A100 white paper: 5120 bytes a clock for 108 SMs, taken for all |
//! | latencies | arXiv 2208.11174 (A100): global memory 290 cycles, L2 200, shared memory 23; taken for all |
//!
//! Registers, shared memory and threads of an SM are those of the compute capability:
//! [`Target`].

use tilec_codegen::nvptx::Target;

/// Bytes that an SM's shared memory moves in a clock.
pub const SHARED_BYTES_PER_CLOCK: f64 = 128.0;
/// Bytes that an SM gets from L2 in a clock.
pub const L2_BYTES_PER_CLOCK: f64 = 5120.0 / 108.0;
/// Of the memory's nominal rate, what a stream reaches: 4.3 of 4.8 TB/s on an H200.
pub const DRAM_SHARE: f64 = 0.9;
/// Clocks from a load to its value, out of memory.
pub const GLOBAL_CLOCKS: f64 = 290.0;
/// The same out of L2.
pub const L2_CLOCKS: f64 = 200.0;
/// The same out of shared memory; also of a shuffle and of a barrier.
pub const SHARED_CLOCKS: f64 = 23.0;
/// From the launch to the first instruction and from the last to the end, in nanoseconds: an empty kernel's time between
/// two events.
pub const START_NS: f64 = 2200.0;

/// A GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gpu {
    /// As `--gpu` takes it.
    pub name: &'static str,
    /// As its maker calls it.
    pub product: &'static str,
    /// What code is made for.
    pub target: &'static str,
    /// Multiprocessors.
    pub sms: u32,
    /// The clock of the data sheet's peaks.
    pub clock_mhz: u32,
    /// Floating-point operations of an SM's tensor cores in a clock, with operands of 16 bits.
    pub half_flops: f64,
    /// The same with tf32 operands.
    pub tf32_flops: f64,
    /// Of these the share that `mma` reaches.
    pub mma_share: f64,
    /// Lanes of an SM for f32 arithmetic.
    pub fp32_lanes: f64,
    /// Lanes for comparisons, minima, integers.
    pub alu_lanes: f64,
    /// Lanes for exponentials, logarithms, reciprocals.
    pub sfu_lanes: f64,
    /// Bytes of L2.
    pub l2_bytes: u64,
    /// Nominal rate of the memory, in 10^9 bytes a second.
    pub dram_gb_s: f64,
}

const A100: Gpu = Gpu {
    name: "a100",
    product: "NVIDIA A100 SXM 80 GB",
    target: "sm_80",
    sms: 108,
    clock_mhz: 1410,
    half_flops: 2048.0,
    tf32_flops: 1024.0,
    mma_share: 1.0,
    fp32_lanes: 64.0,
    alu_lanes: 64.0,
    sfu_lanes: 16.0,
    l2_bytes: 40 << 20,
    dram_gb_s: 2039.0,
};

const H100: Gpu = Gpu {
    name: "h100",
    product: "NVIDIA H100 SXM",
    target: "sm_90",
    sms: 132,
    clock_mhz: 1830,
    half_flops: 4096.0,
    tf32_flops: 2048.0,
    mma_share: 0.63,
    fp32_lanes: 128.0,
    l2_bytes: 50 << 20,
    dram_gb_s: 3350.0,
    ..A100
};

/// All that are known.
pub const GPUS: &[Gpu] = &[
    Gpu {
        name: "a30",
        product: "NVIDIA A30",
        sms: 56,
        clock_mhz: 1440,
        l2_bytes: 24 << 20,
        dram_gb_s: 933.0,
        ..A100
    },
    A100,
    H100,
    Gpu { name: "h200", product: "NVIDIA H200 SXM", dram_gb_s: 4800.0, ..H100 },
    Gpu {
        name: "rtx3090",
        product: "NVIDIA GeForce RTX 3090",
        target: "sm_86",
        sms: 82,
        clock_mhz: 1695,
        half_flops: 512.0,
        tf32_flops: 256.0,
        fp32_lanes: 128.0,
        l2_bytes: 6 << 20,
        dram_gb_s: 936.0,
        ..A100
    },
    Gpu {
        name: "rtx4090",
        product: "NVIDIA GeForce RTX 4090",
        target: "sm_89",
        sms: 128,
        clock_mhz: 2520,
        half_flops: 512.0,
        tf32_flops: 256.0,
        fp32_lanes: 128.0,
        l2_bytes: 72 << 20,
        dram_gb_s: 1008.0,
        ..A100
    },
];

impl Gpu {
    /// The GPU of this name.
    pub fn named(name: &str) -> Option<&'static Gpu> {
        GPUS.iter().find(|gpu| gpu.name == name)
    }

    /// The GPU that a device's model (`NVIDIA H100 80GB HBM3`) speaks of, else the first with that target.
    pub fn like(model: &str, target: &str) -> Option<&'static Gpu> {
        let model = model.to_lowercase().replace(' ', "");
        let named = GPUS.iter().find(|gpu| model.contains(gpu.name) && gpu.target == target);
        // The simulator has no model: what was tuned for the largest of its kind.
        named.or_else(|| GPUS.iter().rev().find(|gpu| gpu.target == target))
    }

    /// The GPU that a device is, and no other: by name, target and multiprocessors.
    pub fn exactly(model: &str, target: &str, sms: usize) -> Option<&'static Gpu> {
        let model = model.to_lowercase().replace(' ', "");
        let is = |gpu: &&Gpu| {
            model.contains(gpu.name) && gpu.target == target && gpu.sms as usize == sms
        };
        GPUS.iter().find(is)
    }

    /// What an SM has room for.
    ///
    /// # Panics
    ///
    /// Never: a test looks every target up.
    pub fn limits(&self) -> &'static Target {
        Target::named(self.target).unwrap_or(&tilec_codegen::nvptx::TARGETS[0])
    }

    /// Floating-point operations a second by `mma` with operands of 16 bits.
    pub fn peak_flops(&self) -> f64 {
        self.mma_share * self.half_flops * f64::from(self.sms) * self.hertz()
    }

    /// Clocks a second.
    pub fn hertz(&self) -> f64 {
        f64::from(self.clock_mhz) * 1e6
    }

    /// Bytes a second that a stream from memory reaches.
    pub fn dram_bytes_per_s(&self) -> f64 {
        self.dram_gb_s * 1e9 * DRAM_SHARE
    }

    /// Bytes a second out of L2.
    pub fn l2_bytes_per_s(&self) -> f64 {
        L2_BYTES_PER_CLOCK * f64::from(self.sms) * self.hertz()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gpu_has_a_target_and_its_sheet_peak() {
        // Dense peaks of the data sheets, in 10^12 operations a second; of sm_90 the share that `mma.sync` reaches.
        let peaks = [165.0, 312.0, 989.0 * 0.63, 989.0 * 0.63, 71.0, 165.2];
        for (gpu, peak) in GPUS.iter().zip(peaks) {
            assert_eq!(gpu.limits().name, gpu.target);
            let got = gpu.peak_flops() / 1e12;
            assert!((got / peak - 1.0).abs() < 0.01, "{}: {got}, the sheet has {peak}", gpu.name);
        }
    }

    #[test]
    fn a_device_is_taken_for_the_gpu_it_names() {
        let like = |model, target| Gpu::like(model, target).map(|gpu| gpu.name);
        assert_eq!(like("NVIDIA H200", "sm_90"), Some("h200"));
        assert_eq!(like("NVIDIA H100 80GB HBM3", "sm_90"), Some("h100"));
        assert_eq!(like("NVIDIA GeForce RTX 4090", "sm_89"), Some("rtx4090"));
        assert_eq!(like("PTX simulator", "sm_80"), Some("a100"));
        assert_eq!(like("PTX simulator", "sm_20"), None);
        let exactly = |model, target, sms| Gpu::exactly(model, target, sms).map(|gpu| gpu.name);
        assert_eq!(exactly("NVIDIA H100 80GB HBM3", "sm_90", 132), Some("h100"));
        // With a PCIe plug it has fewer.
        assert_eq!(exactly("NVIDIA H100 PCIe", "sm_90", 114), None);
        assert_eq!(exactly("NVIDIA A40", "sm_86", 84), None);
    }
}
