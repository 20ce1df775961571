//! Counters: what was executed, how often memory needed more transactions than its bytes demand.

use std::collections::BTreeMap;
use std::fmt;

use crate::launch::Counters;
use crate::program::{Kernel, Pc};

/// Counts of one worker, indexed by instruction.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub steps: u64,
    pub executed: Vec<u64>,
    pub lanes: Vec<u64>,
    pub diverged: Vec<u64>,
    /// Shared wavefronts or global sectors: (actual, ideal, requests).
    pub traffic: Vec<(u64, u64, u64)>,
    /// Executions that changed something, and a hash of all changes.
    pub changed: Vec<u64>,
    pub digest: u64,
}

impl Tally {
    pub fn new(code: usize, counters: Counters) -> Tally {
        let (n, counted, traced) = match counters {
            Counters::Steps => (0, 0, 0),
            Counters::Full => (code, code, 0),
            Counters::Changes { .. } => (0, code, code),
        };
        Tally {
            steps: 0,
            executed: vec![0; counted],
            lanes: vec![0; n],
            diverged: vec![0; n],
            traffic: vec![(0, 0, 0); n],
            changed: vec![0; traced],
            digest: 0,
        }
    }

    pub fn merge(&mut self, other: &Tally) {
        self.steps += other.steps;
        let add = |a: &mut Vec<u64>, b: &Vec<u64>| a.iter_mut().zip(b).for_each(|(x, y)| *x += y);
        add(&mut self.executed, &other.executed);
        add(&mut self.lanes, &other.lanes);
        add(&mut self.diverged, &other.diverged);
        add(&mut self.changed, &other.changed);
        self.digest = self.digest.wrapping_add(other.digest);
        for (a, b) in self.traffic.iter_mut().zip(&other.traffic) {
            *a = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
        }
    }

    pub fn request(&mut self, pc: Pc, actual: u64, ideal: u64) {
        let slot = &mut self.traffic[pc as usize];
        *slot = (slot.0 + actual, slot.1 + ideal, slot.2 + 1);
    }
}

/// Traffic of one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteTraffic {
    /// PTX line.
    pub ptx_line: u32,
    /// PTX statement.
    pub ptx: String,
    /// `shared` (wavefronts) or `global` (32-byte sectors).
    pub space: &'static str,
    /// Warp-wide requests.
    pub requests: u64,
    /// Transactions needed.
    pub actual: u64,
    /// Transactions the requested bytes would need at best.
    pub ideal: u64,
}

/// Instructions of one innermost loop, or outside all loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopMix {
    /// PTX line of the loop header; 0 outside all loops.
    pub ptx_line: u32,
    /// Nesting depth; 0 outside all loops.
    pub depth: u32,
    /// Warp instructions executed.
    pub executed: u64,
    /// The same by opcode, most frequent first.
    pub opcodes: Vec<(String, u64)>,
}

/// Counters of a launch. Everything but `warp_instructions` needs [`crate::Counters::Full`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Warp instructions executed.
    pub warp_instructions: u64,
    /// Lanes that took part, summed over warp instructions.
    pub lane_instructions: u64,
    /// Instruction mix by loop.
    pub loops: Vec<LoopMix>,
    /// Memory instructions with their traffic.
    pub traffic: Vec<SiteTraffic>,
    /// Branches at which a warp split: PTX line and count.
    pub divergence: Vec<(u32, u64)>,
}

impl Stats {
    pub(crate) fn new(
        kernel: &Kernel,
        tally: &Tally,
        space_of: impl Fn(Pc) -> &'static str,
    ) -> Stats {
        let mut stats = Stats { warp_instructions: tally.steps, ..Stats::default() };
        let mut loops: BTreeMap<Option<u32>, BTreeMap<&str, u64>> = BTreeMap::new();
        let counted = tally.executed.iter().enumerate().take(tally.lanes.len());
        for (pc, count) in counted.filter(|(_, n)| **n > 0) {
            let site = &kernel.sites[pc];
            let words = site.text.split_whitespace();
            let opcode = words.into_iter().find(|w| !w.starts_with('@')).unwrap_or("");
            *loops.entry(kernel.loop_of[pc]).or_default().entry(opcode).or_default() += count;
            stats.lane_instructions += tally.lanes[pc];
            if tally.diverged[pc] > 0 {
                stats.divergence.push((site.line, tally.diverged[pc]));
            }
            let (actual, ideal, requests) = tally.traffic[pc];
            if requests > 0 {
                stats.traffic.push(SiteTraffic {
                    ptx_line: site.line,
                    ptx: site.text.clone(),
                    space: space_of(pc as Pc),
                    requests,
                    actual,
                    ideal,
                });
            }
        }
        for (index, mix) in loops {
            let info = index.map(|i| kernel.loops[i as usize]);
            let mut opcodes: Vec<_> = mix.into_iter().map(|(o, n)| (o.to_string(), n)).collect();
            opcodes.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            stats.loops.push(LoopMix {
                ptx_line: info.map_or(0, |i| kernel.sites[i.header as usize].line),
                depth: info.map_or(0, |i| i.depth),
                executed: opcodes.iter().map(|(_, n)| n).sum(),
                opcodes,
            });
        }
        stats
    }

    /// Actual and ideal transactions of all instructions in `space`.
    pub fn total(&self, space: &str) -> (u64, u64) {
        let sites = self.traffic.iter().filter(|t| t.space == space);
        sites.fold((0, 0), |(a, i), t| (a + t.actual, i + t.ideal))
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "warp instructions: {}", self.warp_instructions)?;
        for (space, unit) in [("shared", "wavefronts"), ("global", "sectors")] {
            let (actual, ideal) = self.total(space);
            if actual > 0 {
                writeln!(f, "{space} {unit}: {actual} (ideal {ideal})")?;
            }
        }
        for t in self.traffic.iter().filter(|t| t.actual > t.ideal) {
            writeln!(
                f,
                "  ptx:{}: {} {} for {} ideal  `{}`",
                t.ptx_line, t.actual, t.space, t.ideal, t.ptx
            )?;
        }
        for (line, count) in &self.divergence {
            writeln!(f, "divergence: ptx:{line} split a warp {count} times")?;
        }
        for mix in &self.loops {
            if mix.depth == 0 {
                writeln!(f, "outside loops: {}", mix.executed)?;
            } else {
                writeln!(f, "loop at ptx:{}, depth {}: {}", mix.ptx_line, mix.depth, mix.executed)?;
            }
            for (opcode, count) in mix.opcodes.iter().take(12) {
                writeln!(f, "  {count:>12}  {opcode}")?;
            }
        }
        Ok(())
    }
}
