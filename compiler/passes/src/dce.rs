//! Drops what no store depends on.
//!
//! ```text
//! %1, %2 = for %i = %lo .. %hi carry (%a = %x, %b = %y) { … yield %p, %q }    (%2 unused)
//! -> %1 = for %i = %lo .. %hi carry (%a = %x) { … yield %p }
//! ```
//!
//! Begins at stores and adds and walks backwards, through the carried values of loops and the
//! results of branches one by one: a value that only feeds itself around a loop goes, a loop or
//! branch that nothing depends on goes whole, and so do loads and axes without a use. Last of all,
//! since every pass before may leave such things behind.
//!
//! # Numerics
//!
//! None.

use tilec_ir::{Axis, Block, Builder, Copier, Entity, Inst, InstData, Kernel, Op, Value, ValueDef};
use tilec_vocab::Bug;

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    let live = Live::of(kernel);
    let mut sweep = Sweep { old: kernel, live, copier: Copier::new() };
    let mut new = Kernel::like(kernel);
    sweep.block(kernel.body, &[], &mut Builder::new(&mut new));
    Ok(new)
}

/// What stores depend on.
struct Live<'k> {
    kernel: &'k Kernel,
    values: Vec<bool>,
    insts: Vec<bool>,
    axes: Vec<bool>,
    /// The instruction that owns the block an instruction stands in.
    owners: Vec<Option<Inst>>,
    /// The instruction that owns a block.
    block_owners: Vec<Option<Inst>>,
    /// The `axis` instruction of an axis.
    declarations: Vec<Option<Inst>>,
    pending: Vec<Value>,
}

impl<'k> Live<'k> {
    fn of(kernel: &'k Kernel) -> Live<'k> {
        let mut live = Live {
            kernel,
            values: vec![false; kernel.values.len()],
            insts: vec![false; kernel.insts.len()],
            axes: vec![false; kernel.axes.len()],
            owners: vec![None; kernel.insts.len()],
            block_owners: vec![None; kernel.blocks.len()],
            declarations: vec![None; kernel.axes.len()],
            pending: Vec::new(),
        };
        let order = kernel.walk();
        for &inst in &order {
            let data = &kernel.insts[inst];
            for &block in &data.blocks {
                live.block_owners[block.index()] = Some(inst);
                for &nested in &kernel.blocks[block].insts {
                    live.owners[nested.index()] = Some(inst);
                }
            }
            if let Op::Axis(axis) = data.op {
                live.declarations[axis.index()] = Some(inst);
            }
        }
        for &inst in &order {
            if kernel.insts[inst].op.writes() {
                live.inst(inst);
            }
        }
        while let Some(value) = live.pending.pop() {
            live.made(value);
        }
        live
    }

    fn value(&mut self, value: Value) {
        if !std::mem::replace(&mut self.values[value.index()], true) {
            self.pending.push(value);
        }
    }

    /// What a live value is made of.
    fn made(&mut self, value: Value) {
        let kernel = self.kernel;
        kernel.ty(value).axes.iter().for_each(|axis| self.axis(axis));
        let (inst, slot) = match kernel.values[value].def {
            ValueDef::Result(inst, n) => (inst, Some(n as usize)),
            ValueDef::Param(block, n) => match self.block_owners[block.index()] {
                Some(owner) => (owner, (n as usize).checked_sub(1)),
                None => return,
            },
        };
        self.inst(inst);
        if let Some(slot) = slot {
            self.slot(&kernel.insts[inst], slot);
        }
    }

    /// One carried value of a loop or one result of a branch.
    fn slot(&mut self, data: &InstData, slot: usize) {
        let kernel = self.kernel;
        let carried: &[usize] = match data.op {
            Op::For(_) => &[2],
            Op::If => &[],
            _ => return,
        };
        carried.iter().for_each(|first| self.value(data.args[first + slot]));
        self.value(data.results[slot]);
        for &block in &data.blocks {
            let block = &kernel.blocks[block];
            if let Some(&param) = block.params.get(slot + 1) {
                self.value(param);
            }
            if let Some(&last) = block.insts.last() {
                self.value(kernel.insts[last].args[slot]);
            }
        }
    }

    /// The instruction itself: its operands but for carried values, its axes, what it stands in.
    fn inst(&mut self, inst: Inst) {
        if std::mem::replace(&mut self.insts[inst.index()], true) {
            return;
        }
        let data = &self.kernel.insts[inst];
        let operands = match data.op {
            Op::For(_) => &data.args[..2],
            _ => &data.args[..],
        };
        operands.iter().for_each(|&value| self.value(value));
        match &data.op {
            Op::Index(axis) => self.axis(*axis),
            Op::Reduce(_, over) | Op::Dot(over, _) => {
                over.iter().for_each(|&axis| self.axis(axis));
            }
            _ => {}
        }
        if let Some(owner) = self.owners[inst.index()] {
            self.inst(owner);
        }
    }

    fn axis(&mut self, axis: Axis) {
        if !std::mem::replace(&mut self.axes[axis.index()], true)
            && let Some(declaration) = self.declarations[axis.index()]
        {
            self.inst(declaration);
        }
    }
}

/// Copies what is live.
struct Sweep<'k> {
    old: &'k Kernel,
    live: Live<'k>,
    copier: Copier,
}

impl Sweep<'_> {
    /// A block whose yield keeps these slots.
    fn block(&mut self, block: Block, kept: &[usize], to: &mut Builder<'_>) {
        for &inst in &self.old.blocks[block].insts {
            let data = &self.old.insts[inst];
            if data.op == Op::Yield {
                let yielded: Vec<Value> =
                    kept.iter().map(|&slot| self.copier.value(data.args[slot])).collect();
                to.span = data.span;
                to.yield_values(&yielded);
            } else if self.live.insts[inst.index()] {
                match data.op {
                    Op::For(_) | Op::If => self.control(data, to),
                    _ => {
                        self.copier.copy(self.old, inst, to);
                    }
                }
            }
        }
    }

    /// A loop or branch with the slots that are live.
    fn control(&mut self, data: &InstData, to: &mut Builder<'_>) {
        let old = self.old;
        let kept: Vec<usize> = (0..data.results.len())
            .filter(|&slot| self.live.values[data.results[slot].index()])
            .collect();
        let fixed = match data.op {
            Op::For(_) => 2,
            _ => 1,
        };
        let carried = kept.iter().filter(|_| fixed == 2).map(|slot| data.args[slot + 2]);
        let args: Vec<Value> = data.args[..fixed].iter().copied().chain(carried).collect();
        let reduced = InstData {
            args: args.into(),
            results: kept.iter().map(|&slot| data.results[slot]).collect(),
            ..data.clone()
        };
        if let Op::For(Some(axis)) = data.op {
            self.copier.copy_axis(old, axis, to, |_| {});
        }
        let mut blocks = Vec::new();
        for &block in &data.blocks {
            let new = self.params(block, &kept, to);
            let outer = std::mem::replace(&mut to.block, new);
            self.block(block, &kept, to);
            to.block = outer;
            blocks.push(new);
        }
        self.copier.copy_with_blocks(old, &reduced, blocks, to);
    }

    /// An empty copy of a block with the loop's index and the slots kept.
    fn params(&mut self, block: Block, kept: &[usize], to: &mut Builder<'_>) -> Block {
        let params = &self.old.blocks[block].params;
        let Some((&index, carried)) = params.split_first() else { return to.new_block([]) };
        let kept: Vec<Value> =
            std::iter::once(index).chain(kept.iter().map(|&slot| carried[slot])).collect();
        let types: Vec<_> = kept.iter().map(|&v| self.copier.ty(self.old.ty(v))).collect();
        let new = to.new_block(types);
        for (n, &param) in kept.iter().enumerate() {
            let copy = to.kernel.blocks[new].params[n];
            to.kernel.values[copy].name.clone_from(&self.old.values[param].name);
            self.copier.map(param, copy);
        }
        new
    }
}
