//! What only GPUs want: tile IR for them computes the same in fewer instructions of their kind.

use tilec_ir::{Kernel, Stage, Tile};
use tilec_vocab::Bug;

use crate::pipeline::{Options, Pass, run};
use crate::{cse, dce};

mod base2;
mod late;
mod masked;
mod maxima;
mod reciprocal;
mod running;
mod scale;

/// The pipeline of GPU targets, after that of all targets.
pub const GPU_PASSES: &[Pass] = &[
    Pass {
        name: "maxima",
        stage: Tile::NAME,
        after: &["masks"],
        why: "a scale that is the same for all elements leaves the loop over them",
        run: maxima::run,
    },
    Pass {
        name: "base2",
        stage: Tile::NAME,
        after: &["maxima"],
        why: "a scale that only exponentials still need is folded into their factor",
        run: base2::run,
    },
    Pass {
        name: "masked_exp",
        stage: Tile::NAME,
        after: &["base2"],
        why: "the exponential of a masked score is zero, so that its mask need not be tested twice",
        run: masked::run,
    },
    Pass {
        name: "reciprocal",
        stage: Tile::NAME,
        after: &[],
        why: "divisions are long on a GPU, and rounding to 16 bits hides the difference",
        run: reciprocal::run,
    },
    Pass {
        name: "gpu_cse",
        stage: Tile::NAME,
        after: &["masked_exp"],
        why: "a base times log2(e) is wanted by the weights and by the factor that rescales them",
        run: cse::run,
    },
    Pass {
        name: "gpu_dce",
        stage: Tile::NAME,
        after: &["gpu_cse"],
        why: "the others leave operands behind that nobody uses any more",
        run: dce::run,
    },
    Pass {
        name: "running_max",
        stage: Tile::NAME,
        after: &["gpu_dce"],
        why: "a running maximum in base 2 that starts above -inf needs neither a guard nor a choice",
        run: running::run,
    },
    Pass {
        name: "late_masks",
        stage: Tile::NAME,
        after: &["gpu_dce"],
        why: "a thread has seven predicates: masks that wait for a product must be kept elsewhere",
        run: late::run,
    },
];

/// Runs the passes for GPUs over an optimised kernel.
///
/// # Errors
///
/// A pass has broken the kernel.
pub fn for_gpu(kernel: &Kernel, options: &Options) -> Result<Kernel, Bug> {
    let mut kernel = kernel.clone();
    for pass in GPU_PASSES.iter().filter(|pass| !options.leaves_out(pass)) {
        kernel = run(pass, &kernel)?;
    }
    Ok(kernel)
}
