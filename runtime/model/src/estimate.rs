//! From work to time.
//!
//! Each CTA keeps every pipe of its SM busy for so many clocks. With `w` warps on each of the four schedulers, one warp waits
//! for its own results while the others run: what does not overlap is the rest of the chain, shared by `w`.
//!
//! ```text
//! busy(cta)  = the fullest pipe + (tensor + fp32 + alu + sfu - the fullest of them) / w + waits / CTAs at a time
//! compute    = CTAs started in order on the first free place of SMs x CTAs at a time, each for CTAs at a time x busy
//! time       = START_NS + max(compute, bytes asked / L2, bytes of tensors / memory)
//! ```
//!
//! It grows with every count and shrinks with every rate, and has no constant that was fitted. Held against FlashAttention-2's
//! loop on an A100 (head 128, 128x64: 2048 clocks of tensor cores, 544 of exponentials, 528 of f32, 270 of the rest, two
//! CTAs at a time, two waits of 200) it says 2919 clocks, where 2926 were measured.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use tilec_codegen::nvptx::Target;
use tilec_gpu::Program;
use tilec_ptx::resources::{Needs, Shortage};

use crate::gpus::{Gpu, SHARED_BYTES_PER_CLOCK, START_NS};
use crate::walk::{Launch, Walked, walk};
use crate::work::Work;

/// Schedulers of an SM, each of which issues an instruction in a clock.
const SCHEDULERS: f64 = 4.0;
/// Registers are given out to warps in units of so many.
const REGISTER_UNIT: u32 = 256;

/// What limits how many CTAs an SM runs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Registers.
    Registers,
    /// Shared memory.
    Shared,
    /// Threads.
    Threads,
    /// The number of CTAs.
    Ctas,
}

impl Limit {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Registers => "registers",
            Limit::Shared => "shared memory",
            Limit::Threads => "threads",
            Limit::Ctas => "the number of CTAs",
        }
    }
}

/// How many CTAs of a program an SM runs at a time, and why not more.
pub fn occupancy(needs: &Needs, target: &Target) -> (u32, Limit) {
    let warps = needs.threads.div_ceil(32).max(1);
    let registers = needs.registers.min(target.max_thread_registers).next_multiple_of(8) * 32;
    let registers = registers.next_multiple_of(REGISTER_UNIT) * warps;
    let shared = needs.shared_bytes + Target::RESERVED_SHARED_BYTES;
    let rows = [
        (target.sm_registers / registers.max(1), Limit::Registers),
        (target.sm_shared_bytes / shared, Limit::Shared),
        (target.sm_threads / needs.threads.max(1), Limit::Threads),
        (target.sm_ctas, Limit::Ctas),
    ];
    // Of equal limits the first.
    rows.into_iter().min_by_key(|(ctas, _)| *ctas).unwrap_or((1, Limit::Ctas))
}

/// What a launch uses up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// `mma`.
    Tensor,
    /// Exponentials and the like.
    Sfu,
    /// f32 arithmetic.
    Fp32,
    /// Comparisons, minima, integers, conversions.
    Alu,
    /// Instructions of any kind.
    Issue,
    /// Shared memory.
    Shared,
    /// L2.
    L2,
    /// Memory.
    Memory,
    /// Nothing: each warp waits for its own results.
    Latency,
    /// The launch itself.
    Start,
}

impl Bound {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Bound::Tensor => "tensor cores",
            Bound::Sfu => "exponentials",
            Bound::Fp32 => "f32 arithmetic",
            Bound::Alu => "comparisons and integers",
            Bound::Issue => "issue of instructions",
            Bound::Shared => "shared memory",
            Bound::L2 => "L2",
            Bound::Memory => "memory",
            Bound::Latency => "latency",
            Bound::Start => "the launch itself",
        }
    }
}

/// What is expected of a launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The GPU's name.
    pub gpu: &'static str,
    /// What a CTA needs.
    pub needs: Needs,
    /// CTAs that an SM runs at a time.
    pub ctas_per_sm: u32,
    /// Why not more.
    pub limit: Limit,
    /// Share of an SM's threads that are there.
    pub occupancy: f64,
    /// CTAs of the launch.
    pub ctas: i64,
    /// Rounds in which they run.
    pub waves: f64,
    /// All that is done.
    pub work: Work,
    /// Clocks that each pipe of an SM is busy, were the work spread evenly.
    pub pipes: Vec<(Bound, f64)>,
    /// What is used up first.
    pub bound: Bound,
    /// Time of the pipes and waits, of L2, of memory, in nanoseconds.
    pub parts_ns: [f64; 3],
    /// The whole.
    pub time_ns: f64,
    /// Whether a thread wants more registers than there are.
    pub spills: bool,
    /// Whether a loop's length or a branch depends on data and was guessed.
    pub guessed: bool,
}

/// Estimates a launch of a program: `names` are its dimensions and integer arguments, `grid` the programs along each axis,
/// `tensor_bytes` what must move at least.
///
/// # Errors
///
/// It does not fit.
pub fn estimate(
    program: &Program,
    gpu: &'static Gpu,
    names: &BTreeMap<String, i64>,
    grid: &[i64],
    tensor_bytes: u64,
) -> Result<Estimate, Shortage> {
    let target = gpu.limits();
    let needs = Needs::of(program);
    if let Some(shortage) = needs.shortage(target) {
        return Err(shortage);
    }
    let (most, limit) = occupancy(&needs, target);
    let most = most.max(1);
    let walked = walk(program, &Launch { names, grid: grid.to_vec() });
    let ctas: i64 = grid.iter().product();
    let sms = i64::from(gpu.sms);
    // Fewer CTAs than places: they spread.
    let at_a_time = i64::from(most).min((ctas + sms - 1) / sms).max(1) as f64;
    let spilled = f64::from(needs.registers.saturating_sub(target.max_thread_registers));
    let sm = Sm { gpu, warps: f64::from(program.warps), at_a_time, spilled };

    let hertz = gpu.hertz();
    let whole = walked.ctas.iter().fold(Work::default(), |sum, &work| sum + work) * walked.each;
    let compute = makespan(&walked, &sm, sms) / hertz * 1e9;
    let l2 = whole.global_bytes / gpu.l2_bytes_per_s() * 1e9;
    // A mask can leave out what a tensor has; nothing moves that nobody asks for.
    let moved = (tensor_bytes as f64).min(whole.global_bytes);
    let memory = moved / gpu.dram_bytes_per_s() * 1e9;
    let parts_ns = [compute, l2, memory];
    let longest = parts_ns.iter().copied().fold(0.0, f64::max);
    let pipes: Vec<(Bound, f64)> = sm.pipes(&whole).map(|(b, c)| (b, c / sms as f64)).to_vec();
    let bound = match parts_ns {
        _ if longest < START_NS => Bound::Start,
        [compute, ..] if compute >= longest => {
            let (pipe, busy) = fullest(&pipes);
            // A pipe that is busy less than half of the time is not what it waits for.
            if busy / hertz * 1e9 < compute / 2.0 { Bound::Latency } else { pipe }
        }
        [_, l2, _] if l2 >= longest => Bound::L2,
        _ => Bound::Memory,
    };
    Ok(Estimate {
        gpu: gpu.name,
        needs,
        ctas_per_sm: most,
        limit,
        occupancy: f64::from(most * needs.threads) / f64::from(target.sm_threads),
        ctas,
        waves: ctas as f64 / (f64::from(most) * sms as f64),
        work: whole,
        pipes,
        bound,
        parts_ns,
        time_ns: START_NS + longest,
        spills: needs.registers > target.max_thread_registers,
        guessed: walked.guessed,
    })
}

/// One SM with so many CTAs on it.
struct Sm {
    gpu: &'static Gpu,
    warps: f64,
    at_a_time: f64,
    /// Registers of a thread that are not there.
    spilled: f64,
}

impl Sm {
    /// Clocks that some work keeps each pipe busy.
    fn pipes(&self, work: &Work) -> [(Bound, f64); 6] {
        let gpu = self.gpu;
        let lanes = |instructions: f64, lanes: f64| instructions * 32.0 / lanes;
        // What is spilled is written and read in each iteration, 4 bytes for each thread, past the same ports.
        let spills = 2.0 * self.spilled * work.iterations * self.warps;
        let shared = work.shared_bytes + spills * 128.0;
        let tensor = work.half_flops / gpu.half_flops + work.tf32_flops / gpu.tf32_flops;
        [
            (Bound::Tensor, tensor / gpu.mma_share),
            (Bound::Sfu, lanes(work.sfu, gpu.sfu_lanes)),
            (Bound::Fp32, lanes(work.fp32, gpu.fp32_lanes)),
            (Bound::Alu, lanes(work.alu, gpu.alu_lanes)),
            (Bound::Issue, (work.issued + spills) / SCHEDULERS),
            (Bound::Shared, shared / SHARED_BYTES_PER_CLOCK),
        ]
    }

    /// Clocks that a CTA takes of its SM.
    fn busy(&self, work: &Work) -> f64 {
        let pipes = self.pipes(work);
        let most = fullest(&pipes).1;
        let chain: f64 = pipes[..4].iter().map(|(_, clocks)| clocks).sum();
        let longest = pipes[..4].iter().map(|(_, clocks)| *clocks).fold(0.0, f64::max);
        let per_scheduler = self.at_a_time * self.warps / SCHEDULERS;
        let overlapped = match per_scheduler >= 1.0 {
            true => most + (chain - longest) / per_scheduler,
            // Schedulers without a warp do nothing.
            false => most.max(chain / per_scheduler),
        };
        overlapped + work.waits / self.at_a_time
    }
}

fn fullest(pipes: &[(Bound, f64)]) -> (Bound, f64) {
    let none = (Bound::Latency, 0.0);
    pipes.iter().copied().fold(none, |most, pipe| if pipe.1 > most.1 { pipe } else { most })
}

/// Clocks until the last CTA ends, each started on the first place that is free.
fn makespan(walked: &Walked, sm: &Sm, sms: i64) -> f64 {
    let places = (sms as f64 * sm.at_a_time) as usize;
    let clocks = |work: &Work| (sm.busy(work) * sm.at_a_time).ceil() as u64;
    if walked.each > 1.0 {
        // A grid of so many CTAs has no end worth speaking of.
        let sum: f64 = walked.ctas.iter().map(|work| clocks(work) as f64).sum();
        return sum * walked.each / places as f64;
    }
    let mut free: BinaryHeap<Reverse<u64>> = (0..places).map(|_| Reverse(0)).collect();
    let mut last = 0;
    for work in &walked.ctas {
        let Some(Reverse(start)) = free.pop() else { break };
        let end = start.saturating_add(clocks(work));
        last = last.max(end);
        free.push(Reverse(end));
    }
    last as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(threads: u32, shared_bytes: u32, registers: u32) -> Needs {
        Needs { threads, shared_bytes, registers }
    }

    #[test]
    fn occupancy_is_the_least_of_four_limits() {
        let a100 = Gpu::named("a100").map(Gpu::limits).expect("it is known");
        assert_eq!(occupancy(&needs(128, 64 << 10, 255), a100), (2, Limit::Registers));
        assert_eq!(occupancy(&needs(128, 96 << 10, 128), a100), (1, Limit::Shared));
        assert_eq!(occupancy(&needs(1024, 0, 32), a100), (2, Limit::Registers));
        assert_eq!(occupancy(&needs(1024, 0, 16), a100), (2, Limit::Threads));
        assert_eq!(occupancy(&needs(32, 0, 16), a100), (32, Limit::Ctas));
    }

    /// The figures of the file's head.
    #[test]
    fn the_loop_of_flash_attention_2_takes_the_time_that_was_measured() {
        let gpu = Gpu::named("a100").expect("it is known");
        let sm = Sm { gpu, warps: 4.0, at_a_time: 2.0, spilled: 0.0 };
        let instructions = |clocks: f64, lanes: f64| clocks * lanes / 32.0;
        let work = Work {
            half_flops: 2048.0 * gpu.half_flops,
            sfu: instructions(544.0, gpu.sfu_lanes),
            fp32: instructions(528.0, gpu.fp32_lanes),
            alu: instructions(270.0, gpu.alu_lanes),
            waits: 400.0,
            ..Work::default()
        };
        assert_eq!(sm.busy(&work).round(), 2919.0);
    }

    #[test]
    fn more_work_is_never_faster_and_more_warps_never_slower() {
        let gpu = Gpu::named("h100").expect("it is known");
        let work =
            Work { half_flops: 1e6, sfu: 500.0, fp32: 900.0, waits: 90.0, ..Work::default() };
        let busy =
            |warps, at_a_time, work: &Work| Sm { gpu, warps, at_a_time, spilled: 0.0 }.busy(work);
        let mut before = f64::INFINITY;
        for at_a_time in 1..9 {
            let now = busy(2.0, f64::from(at_a_time), &work);
            assert!(now <= before, "{at_a_time}: {now} after {before}");
            before = now;
        }
        for more in [
            Work { sfu: 900.0, ..work },
            Work { fp32: 2000.0, ..work },
            Work { half_flops: 2e6, ..work },
            Work { waits: 200.0, ..work },
        ] {
            assert!(busy(4.0, 2.0, &more) > busy(4.0, 2.0, &work));
        }
    }
}
