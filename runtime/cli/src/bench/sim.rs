//! What the simulator counts of a step: on the same specialisation, with dimensions halved until it is small.

use serde::Serialize;
use tilec_driver::{Options, compile};
use tilec_host::launch;
use tilec_sim::SimDevice;

use super::inputs::arguments;
use super::plan::{Call, Plan, smaller};
use crate::failure::Failure;
use crate::output::Talk;
use crate::prepare::prepare;

/// Work of a launch that the simulator does in about a second.
const SMALL_WORK: f64 = 2e7;

/// Counts of one launch.
#[derive(Clone, Debug, Serialize)]
pub struct Simulated {
    /// The dimensions of the launch that was counted.
    pub shape: String,
    /// Operations of its dots for lanes that count.
    pub flops_exact: Option<u64>,
    /// Instructions of warps.
    pub warp_instructions: u64,
    /// Of these, products of matrices on tensor cores.
    pub mma: u64,
    /// Sectors of 32 bytes that moved from and to global memory.
    pub global_sectors: u64,
    /// The fewest that the bytes asked for would need.
    pub global_ideal: u64,
    /// Wavefronts of shared memory.
    pub shared_wavefronts: u64,
    /// The fewest that the bytes asked for would need.
    pub shared_ideal: u64,
}

/// Runs a small launch and gives what was counted; none where no shape is small.
pub fn simulate(
    call: &Call<'_>,
    simulator: &SimDevice,
    talk: Talk,
) -> Result<Option<Simulated>, Failure> {
    let Some((small, plan)) = smaller(call, SMALL_WORK, simulator, talk) else {
        return Ok(None);
    };
    let kernel = call.kernel;
    let Plan { binding, flops, .. } = plan;
    let artifact = compile(kernel, &binding, &Options::default())?;
    let executable = tilec_host::Device::load(simulator, &artifact)?;
    let mut args = arguments(kernel, &small, true)?;
    let bound = prepare(kernel, &mut args, &binding.ints)?.launch;
    launch(executable.as_ref(), &bound)?;
    let dims = bound.contract().dims.iter().zip(&bound.args().dims);
    let shape = dims.map(|(name, extent)| format!("{name}={extent}")).collect::<Vec<_>>();
    let counted = simulator.stats().map(|stats| {
        let (global_sectors, global_ideal) = stats.total("global");
        let (shared_wavefronts, shared_ideal) = stats.total("shared");
        let opcodes = stats.loops.iter().flat_map(|mix| &mix.opcodes);
        let mma = opcodes.filter(|(opcode, _)| opcode.starts_with("mma.")).map(|(_, n)| n).sum();
        Simulated {
            shape: shape.join(" "),
            flops_exact: flops.map(|flops| flops.exact),
            warp_instructions: stats.warp_instructions,
            mma,
            global_sectors,
            global_ideal,
            shared_wavefronts,
            shared_ideal,
        }
    });
    Ok(counted)
}
