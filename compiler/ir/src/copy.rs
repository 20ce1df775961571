//! Copying parts of one kernel into another: how passes rewrite.
//!
//! A pass makes a new kernel and copies the old one over, changing what it wants on the way. What
//! it leaves out is simply not there, so no dead rows stay behind. A part may be copied more than
//! once: each copy gets its own values, blocks and axes.

use std::collections::BTreeMap;

use crate::build::Builder;
use crate::kernel::{Axis, AxisData, Block, Inst, InstData, Kernel, Value};
use crate::ops::Op;
use crate::types::Type;

/// What the parts of the old kernel have become in the new one.
#[derive(Clone, Debug, Default)]
pub struct Copier {
    values: BTreeMap<Value, Value>,
    axes: BTreeMap<Axis, Axis>,
}

impl Copier {
    /// Nothing copied yet.
    pub fn new() -> Copier {
        Copier::default()
    }

    /// Says what an old value has become.
    pub fn map(&mut self, old: Value, new: Value) {
        self.values.insert(old, new);
    }

    /// Says what an old axis has become.
    pub fn map_axis(&mut self, old: Axis, new: Axis) {
        self.axes.insert(old, new);
    }

    /// The new value; the same name where none was said (a fault the verifier finds).
    pub fn value(&self, old: Value) -> Value {
        self.values.get(&old).copied().unwrap_or(old)
    }

    /// The new axis.
    pub fn axis(&self, old: Axis) -> Axis {
        self.axes.get(&old).copied().unwrap_or(old)
    }

    /// The new values.
    pub fn values(&self, old: &[Value]) -> Vec<Value> {
        old.iter().map(|&value| self.value(value)).collect()
    }

    /// A type with its axes renamed.
    pub fn ty(&self, old: &Type) -> Type {
        Type::tile(old.elem, old.axes.iter().map(|axis| self.axis(axis)).collect())
    }

    /// An op with its axes renamed.
    pub fn op(&self, old: &Op) -> Op {
        let rename = |axes: &[Axis]| axes.iter().map(|&axis| self.axis(axis)).collect();
        match old {
            Op::Axis(axis) => Op::Axis(self.axis(*axis)),
            Op::Index(axis) => Op::Index(self.axis(*axis)),
            Op::Reduce(op, over) => Op::Reduce(*op, rename(over)),
            Op::Dot(over, precision) => Op::Dot(rename(over), *precision),
            Op::For(axis) => Op::For(axis.map(|axis| self.axis(axis))),
            other => other.clone(),
        }
    }

    /// Declares a copy of an old axis, changed by `change`, without an instruction for it.
    pub fn copy_axis(
        &mut self,
        old: &Kernel,
        axis: Axis,
        to: &mut Builder<'_>,
        change: impl FnOnce(&mut AxisData),
    ) -> Axis {
        let mut data = old.axes[axis].clone();
        change(&mut data);
        let new = to.kernel.axes.push(data);
        self.map_axis(axis, new);
        new
    }

    /// Copies one instruction with all it contains.
    pub fn copy(&mut self, old: &Kernel, inst: Inst, to: &mut Builder<'_>) -> Inst {
        let data = &old.insts[inst];
        if let Op::Axis(axis) | Op::For(Some(axis)) = data.op {
            self.copy_axis(old, axis, to, |_| {});
        }
        let blocks: Vec<Block> =
            data.blocks.iter().map(|&block| self.copy_block(old, block, to)).collect();
        self.copy_with_blocks(old, data, blocks, to)
    }

    /// Copies an instruction whose blocks (and axis) have been dealt with.
    pub fn copy_with_blocks(
        &mut self,
        old: &Kernel,
        data: &InstData,
        blocks: Vec<Block>,
        to: &mut Builder<'_>,
    ) -> Inst {
        let span = std::mem::replace(&mut to.span, data.span);
        let types: Vec<Type> = data.results.iter().map(|&v| self.ty(old.ty(v))).collect();
        let new = to.inst(self.op(&data.op), self.values(&data.args), blocks, types);
        for (n, &result) in data.results.iter().enumerate() {
            let copy = to.kernel.insts[new].results[n];
            to.kernel.values[copy].name.clone_from(&old.values[result].name);
            self.map(result, copy);
        }
        to.span = span;
        new
    }

    /// Makes an empty copy of a block: parameters only.
    pub fn copy_params(&mut self, old: &Kernel, block: Block, to: &mut Builder<'_>) -> Block {
        let params = old.blocks[block].params.clone();
        let types: Vec<Type> = params.iter().map(|&v| self.ty(old.ty(v))).collect();
        let new = to.new_block(types);
        for (n, &param) in params.iter().enumerate() {
            let copy = to.kernel.blocks[new].params[n];
            to.kernel.values[copy].name.clone_from(&old.values[param].name);
            self.map(param, copy);
        }
        new
    }

    /// Copies a block with its instructions, as a block attached to nothing yet.
    pub fn copy_block(&mut self, old: &Kernel, block: Block, to: &mut Builder<'_>) -> Block {
        let new = self.copy_params(old, block, to);
        let outer = std::mem::replace(&mut to.block, new);
        for &inst in &old.blocks[block].insts {
            self.copy(old, inst, to);
        }
        to.block = outer;
        new
    }
}
