//! The static sheet of a kernel for a GPU by name: `tilec inspect --gpu`.

use std::time::Duration;

use serde_json::{Value, json};
use tilec_driver::Inspection;
use tilec_ir::Kernel;
use tilec_model::gpus::{
    DRAM_SHARE, GLOBAL_CLOCKS, L2_BYTES_PER_CLOCK, L2_CLOCKS, SHARED_BYTES_PER_CLOCK,
    SHARED_CLOCKS, START_NS,
};
use tilec_model::{Estimate, Gpu};
use tilec_passes::mask::count::Shape;
use tilec_tune::{GpuLaunch, Knobs, candidates, gpu_candidates, rank, show};
use tilec_vocab::Specialisation;

use crate::failure::Failure;
use crate::modelled::estimate_json;
use crate::output;

/// A sheet.
pub struct Sheet {
    gpu: &'static Gpu,
    /// The knobs, `warps` and `stages` too.
    pub knobs: Knobs,
    /// Of how many settings the model chose; one if all were given.
    choices: usize,
    estimate: Estimate,
}

/// The sheet of a kernel: with the knobs in `fixed`, and of the others those that the model expects to be fastest.
pub fn sheet(
    kernel: &Kernel,
    binding: &Specialisation,
    shape: &Shape,
    tensor_bytes: u64,
    gpu: &'static Gpu,
    fixed: &Knobs,
) -> Result<Sheet, Failure> {
    let launch = GpuLaunch::without_arguments(kernel, binding, &shape.names, tensor_bytes, gpu);
    let declared = candidates(kernel, fixed).unwrap_or_default();
    let all = gpu_candidates(&declared, fixed);
    let best = rank(&launch, &all).into_iter().next();
    let best = best.ok_or_else(|| Failure::Bug("no setting of the knobs was ranked".to_owned()))?;
    match best.outcome {
        Ok(estimate) => Ok(Sheet { gpu, knobs: best.knobs, choices: all.len(), estimate }),
        Err(why) => {
            let text = format!("kernel `{}` does not fit {}: {why}", kernel.name, gpu.product);
            Err(Failure::Target(text))
        }
    }
}

impl Sheet {
    /// For people.
    pub fn text(&self, inspection: &Inspection) -> String {
        let (gpu, estimate) = (self.gpu, &self.estimate);
        let needs = estimate.needs;
        let mut text = format!(
            "\non {}, {}: {} SMs at {} MHz\n",
            gpu.product, gpu.target, gpu.sms, gpu.clock_mhz
        );
        let chosen = match self.choices {
            1 => String::new(),
            n => format!(", by the model the fastest of {n}"),
        };
        text += &format!("  knobs      {}{chosen}\n", show(&self.knobs));
        text += &format!(
            "  CTA        {} threads, about {} registers each, {} bytes of shared memory\n",
            needs.threads, needs.registers, needs.shared_bytes
        );
        text += &format!(
            "  SM         {} CTAs at a time, limited by {}: occupancy {:.0} %\n",
            estimate.ctas_per_sm,
            estimate.limit.name(),
            100.0 * estimate.occupancy
        );
        text += &format!("  grid       {} CTAs, {:.2} waves\n", estimate.ctas, estimate.waves);
        let time = |ns: f64| output::time(Duration::from_nanos(ns as u64));
        let [compute, l2, memory] = estimate.parts_ns;
        text += &format!(
            "  time       {} modelled, bound by {}: SMs {}, L2 {}, memory {}\n",
            time(estimate.time_ns),
            estimate.bound.name(),
            time(compute),
            time(l2),
            time(memory)
        );
        let moved = inspection.tensor_bytes as f64 / estimate.time_ns;
        let share = 100.0 * moved / gpu.dram_gb_s;
        text += &format!(
            "  bandwidth  {moved:.0} GB/s of all tensors once, {share:.0} % of {:.0}\n",
            gpu.dram_gb_s
        );
        if let Some(flops) = inspection.flops.filter(|flops| flops.exact > 0) {
            let rate = flops.exact as f64 / estimate.time_ns * 1e9;
            text += &format!(
                "  rate       {:.1} TFLOP/s of exact work, {:.0} % of mma's peak of {:.0}\n",
                rate / 1e12,
                100.0 * rate / gpu.peak_flops(),
                gpu.peak_flops() / 1e12
            );
        }
        if estimate.guessed {
            text += "  guessed    the length of a loop or a branch depends on data or on a number that --shape lacks\n";
        }
        let total = compute / 1e9 * gpu.hertz();
        let rows = estimate.pipes.iter().map(|(pipe, clocks)| {
            let share = if total > 0.0 { 100.0 * clocks / total } else { 0.0 };
            vec![pipe.name().to_owned(), format!("{clocks:.0}"), format!("{share:.0} %")]
        });
        let table = output::table(&["pipe", "clocks of an SM", "busy"], &[1, 2], rows.collect());
        text += &table.lines().map(|line| format!("  {line}\n")).collect::<String>();
        text += "  constants of the model\n";
        for (what, value, source) in self.constants() {
            text += &format!("    {what:<34} {value:>9.1}  {source}\n");
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let mut value = estimate_json(&self.estimate);
        value["knobs"] = json!(self.knobs);
        value["product"] = json!(self.gpu.product);
        value["target"] = json!(self.gpu.target);
        value["constants"] = self
            .constants()
            .map(|(what, value, source)| json!({ "what": what, "value": value, "source": source }))
            .into();
        value
    }

    /// What the model takes for granted: name, value, source.
    fn constants(&self) -> [(&'static str, f64, &'static str); 14] {
        const SHEET: &str = "NVIDIA's data sheet or white paper";
        const GUIDE: &str = "CUDA C++ Programming Guide, throughput of arithmetic instructions";
        const AMPERE: &str = "arXiv 2208.11174, of an A100";
        let gpu = self.gpu;
        const PEAK: &str = "the sheet's dense peak";
        [
            ("tensor FLOP/clock/SM, 16 bits", gpu.half_flops, PEAK),
            ("tensor FLOP/clock/SM, tf32", gpu.tf32_flops, PEAK),
            ("share of it that mma reaches", gpu.mma_share, "arXiv 2501.12084, of an H100"),
            ("f32 lanes", gpu.fp32_lanes, GUIDE),
            ("lanes for integers, comparisons", gpu.alu_lanes, GUIDE),
            ("lanes for exponentials", gpu.sfu_lanes, GUIDE),
            ("shared memory, bytes/clock/SM", SHARED_BYTES_PER_CLOCK, "32 banks of 4 bytes"),
            ("L2, bytes/clock/SM", L2_BYTES_PER_CLOCK, "A100 white paper: 5120 for 108 SMs"),
            ("memory, GB/s", gpu.dram_gb_s, SHEET),
            ("share of it that a stream reaches", DRAM_SHARE, "4.3 of 4.8 TB/s on an H200"),
            ("memory, clocks to a value", GLOBAL_CLOCKS, AMPERE),
            ("L2, clocks to a value", L2_CLOCKS, AMPERE),
            ("shared memory, clocks to a value", SHARED_CLOCKS, AMPERE),
            ("launch, ns", START_NS, "an empty kernel between two events"),
        ]
    }
}
