//! Masks, computed where they are first used.
//!
//! ```text
//! %live: bool[m, n] = eq %a, %b    %s = dot …    select %live, %s, …
//! ->
//! %s = dot …    %live: bool[m, n] = eq %a, %b    select %live, %s, …
//! ```
//!
//! A GPU keeps a truth in one of seven predicates of a thread; 32 of them that wait for a product take instructions to put them
//! elsewhere and to fetch them back. And what a mask compares may still be on its way from memory while the product is made.
//!
//! # Numerics
//!
//! None.

use std::collections::BTreeMap;

use tilec_ir::{Block, Builder, Copier, Elem, Inst, Kernel, Op, Value};
use tilec_vocab::{Bug, DType};

use crate::rewrite::{Rewrite, rewrite};

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    let mut late = Late { old: kernel, copier: Copier::new(), waiting: BTreeMap::new() };
    Ok(rewrite(kernel, &mut late))
}

struct Late<'k> {
    old: &'k Kernel,
    copier: Copier,
    /// Masks of the blocks that are open, not yet used, and what makes them.
    waiting: BTreeMap<Value, Inst>,
}

impl<'k> Rewrite<'k> for Late<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        if self.is_mask(inst) {
            self.waiting.insert(self.old.insts[inst].results[0], inst);
            return;
        }
        self.make_operands(inst, to);
        self.copy(inst, to);
    }
}

impl Late<'_> {
    /// Whether an instruction makes a tile of truths and does nothing else.
    fn is_mask(&self, inst: Inst) -> bool {
        let data = &self.old.insts[inst];
        let pure = matches!(
            data.op,
            Op::Compare(_) | Op::Binary(_) | Op::Unary(_) | Op::Select | Op::Cast | Op::Splat
        );
        let ty = |value: &Value| &self.old.values[*value].ty;
        pure && data
            .results
            .iter()
            .all(|r| ty(r).elem == Elem::Known(DType::Bool) && !ty(r).axes.is_empty())
    }

    /// Makes what an instruction, or one inside it, is the first to use.
    fn make_operands(&mut self, inst: Inst, to: &mut Builder<'_>) {
        if self.waiting.is_empty() {
            return;
        }
        let data = &self.old.insts[inst];
        for value in &data.args {
            if let Some(mask) = self.waiting.remove(value) {
                self.make_operands(mask, to);
                self.copy(mask, to);
            }
        }
        for &block in &data.blocks {
            self.make_operands_of(block, to);
        }
    }

    fn make_operands_of(&mut self, block: Block, to: &mut Builder<'_>) {
        for &inst in &self.old.blocks[block].insts {
            self.make_operands(inst, to);
        }
    }
}
