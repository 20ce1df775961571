//! The shape most passes share: copy the kernel over, instruction by instruction, and do
//! something else where there is something to do.

use tilec_ir::{Block, Builder, Copier, Inst, Kernel, Op};

/// A pass under way.
pub(crate) trait Rewrite {
    /// The kernel being read.
    fn old(&self) -> &Kernel;

    /// What its parts have become.
    fn copier(&mut self) -> &mut Copier;

    /// Deals with one instruction; [`copy`](Rewrite::copy) leaves it as it is.
    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>);

    /// A nested block has been entered.
    fn enter(&mut self, _owner: Inst) {}

    /// A nested block has been left.
    fn leave(&mut self) {}

    /// Copies an instruction; those inside it go through [`inst`](Rewrite::inst).
    fn copy(&mut self, inst: Inst, to: &mut Builder<'_>) -> Inst {
        if let Op::Axis(axis) | Op::For(Some(axis)) = self.old().insts[inst].op {
            let data = self.old().axes[axis].clone();
            let new = to.kernel.axes.push(data);
            self.copier().map_axis(axis, new);
        }
        let blocks = self.old().insts[inst].blocks.clone();
        let blocks = blocks.into_iter().map(|block| self.nested(inst, block, to)).collect();
        let data = self.old().insts[inst].clone();
        let mut copier = std::mem::take(self.copier());
        let new = copier.copy_with_blocks(self.old(), &data, blocks, to);
        *self.copier() = copier;
        new
    }

    /// Copies a nested block.
    fn nested(&mut self, owner: Inst, block: Block, to: &mut Builder<'_>) -> Block {
        let mut copier = std::mem::take(self.copier());
        let new = copier.copy_params(self.old(), block, to);
        *self.copier() = copier;
        let outer = std::mem::replace(&mut to.block, new);
        self.enter(owner);
        self.insts(block, to);
        self.leave();
        to.block = outer;
        new
    }

    /// Deals with the instructions of a block, into the builder's block.
    fn insts(&mut self, block: Block, to: &mut Builder<'_>) {
        for inst in self.old().blocks[block].insts.clone() {
            self.inst(inst, to);
        }
    }
}

/// Runs a rewrite over the whole body.
pub(crate) fn rewrite(kernel: &Kernel, mut pass: impl Rewrite) -> Kernel {
    let mut new = Kernel::like(kernel);
    pass.insts(kernel.body, &mut Builder::new(&mut new));
    new
}
