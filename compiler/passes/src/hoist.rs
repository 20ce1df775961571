//! Moves what is the same in every iteration out of loops.
//!
//! ```text
//! for n: 64, %1 = %0 .. %9 { %2: f16[m, d] = load q[%m, %d]  … }
//! ->
//! %2: f16[m, d] = load q[%m, %d]    for n: 64, %1 = %0 .. %9 { … }
//! ```
//!
//! Moved are pure ops, loads of tensors the kernel never writes, and declarations of axes, each as
//! far out as its operands and axes allow, past loops only: what stands in a branch was perhaps
//! put there so as not to run, and stays. Before `cse`, which then sees the same computation of
//! two loops side by side.
//!
//! Every op is total, loads out of range included, so running one for a loop of no iterations
//! harms nothing but time: it costs a program that finds its loop empty at most one iteration's
//! invariant work.
//!
//! # Numerics
//!
//! None.

use tilec_ir::{Axis, Block, Builder, Copier, Entity, Inst, Kernel, Op, Param, Value};
use tilec_vocab::Bug;

use crate::effects::written;
use crate::rewrite::Rewrite;

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    let mut new = Kernel::like(kernel);
    let mut hoist = Hoist {
        old: kernel,
        copier: Copier::new(),
        written: written(kernel),
        frames: vec![Frame { block: new.body, in_loop: false }],
        values: vec![0; kernel.values.len()],
        axes: vec![0; kernel.axes.len()],
    };
    hoist.insts(kernel.body, &mut Builder::new(&mut new));
    Ok(new)
}

/// An open block of the new kernel.
struct Frame {
    block: Block,
    /// Whether it is the body of a loop, so that things may leave it.
    in_loop: bool,
}

struct Hoist<'k> {
    old: &'k Kernel,
    copier: Copier,
    written: Vec<Param>,
    frames: Vec<Frame>,
    /// For each old value and axis, the frame that now defines it.
    values: Vec<usize>,
    axes: Vec<usize>,
}

impl<'k> Rewrite<'k> for Hoist<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn enter(&mut self, owner: Inst, to: &mut Builder<'_>) {
        let data = &self.old.insts[owner];
        self.frames.push(Frame { block: to.block, in_loop: matches!(data.op, Op::For(_)) });
        let here = self.frames.len() - 1;
        if let Op::For(Some(axis)) = data.op {
            self.set_axis(axis, here);
        }
        for &block in &data.blocks {
            for &param in &self.old.blocks[block].params {
                self.set(param, here);
            }
        }
    }

    fn leave(&mut self) {
        self.frames.pop();
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        let target = self.target(inst);
        let outer = std::mem::replace(&mut to.block, self.frames[target].block);
        self.copy(inst, to);
        to.block = outer;
        let data = &self.old.insts[inst];
        data.results.iter().for_each(|&result| self.set(result, target));
        if let Op::Axis(axis) = data.op {
            self.set_axis(axis, target);
        }
    }
}

impl Hoist<'_> {
    fn set(&mut self, value: Value, frame: usize) {
        self.values[value.index()] = frame;
    }

    fn set_axis(&mut self, axis: Axis, frame: usize) {
        self.axes[axis.index()] = frame;
    }

    /// The outermost frame the instruction can stand in.
    fn target(&self, inst: Inst) -> usize {
        let data = &self.old.insts[inst];
        let here = self.frames.len() - 1;
        let moves = match data.op {
            Op::Axis(_) => true,
            Op::Load(param) => !self.written.contains(&param),
            _ => data.op.is_pure(),
        };
        if !moves {
            return here;
        }
        let values = data.args.iter().map(|&v| self.values[v.index()]);
        let results = data.results.iter().flat_map(|&v| self.old.ty(v).axes.iter());
        let axes = results.map(|axis| self.axes[axis.index()]);
        let needed = values.chain(axes).max().unwrap_or(0);
        let mut target = here;
        while target > needed && self.frames[target].in_loop {
            target -= 1;
        }
        target
    }
}
