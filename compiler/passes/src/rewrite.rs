//! The shape most passes share: copy the kernel over, instruction by instruction, and do
//! something else where there is something to do.

use tilec_ir::{Block, Builder, Copier, Inst, Kernel, Op};

/// A pass under way.
pub(crate) trait Rewrite<'k> {
    /// The kernel being read.
    fn old(&self) -> &'k Kernel;

    /// What its parts have become.
    fn copier(&mut self) -> &mut Copier;

    /// Deals with one instruction; [`copy`](Rewrite::copy) leaves it as it is.
    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>);

    /// A nested block of the instruction has been entered.
    fn enter(&mut self, _owner: Inst, _to: &mut Builder<'_>) {}

    /// The block entered last has been left.
    fn leave(&mut self) {}

    /// Copies an instruction; those inside it go through [`inst`](Rewrite::inst).
    fn copy(&mut self, inst: Inst, to: &mut Builder<'_>) -> Inst {
        let old = self.old();
        let data = &old.insts[inst];
        if let Op::Axis(axis) | Op::For(Some(axis)) = data.op {
            self.copier().copy_axis(old, axis, to, |_| {});
        }
        let blocks = data.blocks.iter().map(|&block| self.nested(inst, block, to)).collect();
        self.copier().copy_with_blocks(old, data, blocks, to)
    }

    /// Copies a nested block.
    fn nested(&mut self, owner: Inst, block: Block, to: &mut Builder<'_>) -> Block {
        let old = self.old();
        let new = self.copier().copy_params(old, block, to);
        let outer = std::mem::replace(&mut to.block, new);
        self.enter(owner, to);
        self.insts(block, to);
        self.leave();
        to.block = outer;
        new
    }

    /// Deals with the instructions of a block, into the builder's block.
    fn insts(&mut self, block: Block, to: &mut Builder<'_>) {
        for &inst in &self.old().blocks[block].insts {
            self.inst(inst, to);
        }
    }
}

/// Runs a rewrite over the whole body.
pub(crate) fn rewrite<'k>(kernel: &'k Kernel, pass: &mut impl Rewrite<'k>) -> Kernel {
    let mut new = Kernel::like(kernel);
    pass.insts(kernel.body, &mut Builder::new(&mut new));
    new
}
