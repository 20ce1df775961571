//! The order of the passes, and why it is that.
//!
//! The table is the truth: `optimise` runs its rows in order and verifies after each, every row
//! can be switched off by its name, and with all off the kernel computes the same.

use std::collections::BTreeSet;

use tilec_ir::{Kernel, Stage, Tile, verify};
use tilec_vocab::Bug;

use crate::gpu::GPU_PASSES;
use crate::{cse, dce, fold, hoist, mask};

/// One row: a pass and its place.
pub struct Pass {
    /// Its file, its off switch, and its folder of tests.
    pub name: &'static str,
    /// The stage it works on.
    pub stage: &'static str,
    /// The passes it must come after, where they are there at all.
    pub after: &'static [&'static str],
    /// Why it stands where it stands.
    pub why: &'static str,
    /// The pass.
    pub run: fn(&Kernel) -> Result<Kernel, Bug>,
}

/// The pipeline of the tile stage, in order.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "fold",
        stage: Tile::NAME,
        after: &[],
        why: "knobs have just become literals, and whole branches may fall with them",
        run: fold::run,
    },
    Pass {
        name: "hoist",
        stage: Tile::NAME,
        after: &["fold"],
        why: "less is in the way once constants are folded",
        run: hoist::run,
    },
    Pass {
        name: "masks",
        stage: Tile::NAME,
        after: &["hoist"],
        why: "what bounds a mask must be known before the loop it splits",
        run: mask::split::run,
    },
    Pass {
        name: "refold",
        stage: Tile::NAME,
        after: &["masks"],
        why: "in the loops over full blocks every mask is a constant now",
        run: fold::run,
    },
    Pass {
        name: "cse",
        stage: Tile::NAME,
        after: &["hoist", "masks"],
        why: "hoisting brings the same computation of two loops into one block, and so do split loops",
        run: cse::run,
    },
    Pass {
        name: "dce",
        stage: Tile::NAME,
        after: &["refold", "hoist", "cse"],
        why: "the others leave operands behind that nobody uses any more",
        run: dce::run,
    },
];

/// Choices about the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    off: BTreeSet<&'static str>,
}

impl Options {
    /// Every pass that there is, off.
    pub fn none() -> Options {
        Options { off: PASSES.iter().chain(GPU_PASSES).map(|pass| pass.name).collect() }
    }

    /// Every pass but those that split loops by masks: loops are as the source has them.
    pub fn loops_whole() -> Options {
        Options { off: BTreeSet::from(["masks", "refold"]) }
    }

    /// These with the pass of this name off as well; `None` where there is no such pass.
    pub fn without(mut self, name: &str) -> Option<Options> {
        let pass = PASSES.iter().chain(GPU_PASSES).find(|pass| pass.name == name)?;
        self.off.insert(pass.name);
        Some(self)
    }

    /// Whether a pass is off.
    pub fn leaves_out(&self, pass: &Pass) -> bool {
        self.off.contains(pass.name)
    }
}

/// Runs the passes over a kernel.
///
/// # Errors
///
/// The kernel does not verify, or a pass has broken it: then the bug names the pass.
pub fn optimise(kernel: &Kernel, options: &Options) -> Result<Kernel, Bug> {
    optimise_with(kernel, options, |_, _| {})
}

/// As [`optimise`], and shows the kernel after each pass that ran.
///
/// # Errors
///
/// As [`optimise`].
pub fn optimise_with(
    kernel: &Kernel,
    options: &Options,
    mut show: impl FnMut(&Pass, &Kernel),
) -> Result<Kernel, Bug> {
    verify(kernel)?;
    let mut kernel = kernel.clone();
    for pass in PASSES.iter().filter(|pass| !options.leaves_out(pass)) {
        kernel = run(pass, &kernel)?;
        show(pass, &kernel);
    }
    Ok(kernel)
}

/// Runs one pass and verifies what it made.
///
/// # Errors
///
/// The pass gave up, or has made a kernel that does not verify.
pub fn run(pass: &Pass, kernel: &Kernel) -> Result<Kernel, Bug> {
    let named = |bug: Bug| Bug { stage: pass.name, ..bug };
    let new = (pass.run)(kernel).map_err(named)?;
    verify(&new).map_err(named)?;
    Ok(new)
}
