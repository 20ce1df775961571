//! What the simulator counted in a launch, for machines; for people its own text will do.

use serde::Serialize;
use tilec_ptxsim::Stats;

/// The counters of one launch.
#[derive(Serialize)]
pub struct Counts {
    warp_instructions: u64,
    lane_instructions: u64,
    /// Wavefronts of 32 banks.
    shared: Traffic,
    /// Sectors of 32 bytes.
    global: Traffic,
    /// How often a branch split a warp.
    divergence: u64,
    /// By innermost loop.
    loops: Vec<Loop>,
}

/// What was needed, and what the same bytes would need at best.
#[derive(Serialize)]
struct Traffic {
    actual: u64,
    ideal: u64,
}

#[derive(Serialize)]
struct Loop {
    /// The line of its head in the PTX; 0 for what is in no loop.
    ptx_line: u32,
    depth: u32,
    warp_instructions: u64,
    opcodes: Vec<Opcode>,
}

#[derive(Serialize)]
struct Opcode {
    opcode: String,
    count: u64,
}

impl Counts {
    /// Of these counters.
    pub fn of(stats: &Stats) -> Counts {
        let traffic = |space| {
            let (actual, ideal) = stats.total(space);
            Traffic { actual, ideal }
        };
        let loops = stats.loops.iter().map(|mix| Loop {
            ptx_line: mix.ptx_line,
            depth: mix.depth,
            warp_instructions: mix.executed,
            opcodes: mix
                .opcodes
                .iter()
                .map(|(opcode, count)| Opcode { opcode: opcode.clone(), count: *count })
                .collect(),
        });
        Counts {
            warp_instructions: stats.warp_instructions,
            lane_instructions: stats.lane_instructions,
            shared: traffic("shared"),
            global: traffic("global"),
            divergence: stats.divergence.iter().map(|(_, count)| count).sum(),
            loops: loops.collect(),
        }
    }
}
