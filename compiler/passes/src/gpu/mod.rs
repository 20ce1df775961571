//! What only GPUs want: tile IR for them computes the same in fewer instructions of their kind.

use tilec_ir::{Elem, Imm, Kernel, Op, Stage, Tile, Value};
use tilec_vocab::{Bug, DType};

use crate::pipeline::{Options, Pass, run};
use crate::{cse, dce};

mod base2;
mod maxima;
mod reciprocal;

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
        name: "reciprocal",
        stage: Tile::NAME,
        after: &[],
        why: "divisions are long on a GPU, and rounding to 16 bits hides the difference",
        run: reciprocal::run,
    },
    Pass {
        name: "gpu_cse",
        stage: Tile::NAME,
        after: &["base2"],
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

/// Whether a value is over `f32`.
fn is_f32(kernel: &Kernel, value: Value) -> bool {
    kernel.ty(value).elem == Elem::Known(DType::F32)
}

/// The float that a value, or each of its elements, is known to be.
fn float(kernel: &Kernel, value: Value) -> Option<f64> {
    let data = kernel.def(value)?;
    match data.op {
        Op::Const(Imm::Float(x)) => Some(x),
        Op::Splat => float(kernel, *data.args.first()?),
        _ => None,
    }
}
