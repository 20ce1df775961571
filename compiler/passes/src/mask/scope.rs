//! Where things are defined: which values stay the same while a loop runs.

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::{Axis, Block, Inst, Kernel, Op, Value, ValueDef};

/// A kernel with the facts about nesting that the analysis asks for.
pub struct Scope<'k> {
    /// The kernel.
    pub kernel: &'k Kernel,
    /// The block each instruction stands in.
    home: BTreeMap<Inst, Block>,
    /// The block that holds the instruction that owns a block.
    parent: BTreeMap<Block, Block>,
    /// Start and end of each axis.
    ranges: BTreeMap<Axis, (Value, Value)>,
    /// The block in which each axis is known.
    declared: BTreeMap<Axis, Block>,
}

impl<'k> Scope<'k> {
    /// Gathers the facts.
    pub fn new(kernel: &'k Kernel) -> Scope<'k> {
        let mut scope = Scope {
            kernel,
            home: BTreeMap::new(),
            parent: BTreeMap::new(),
            ranges: BTreeMap::new(),
            declared: BTreeMap::new(),
        };
        let mut todo = vec![kernel.body];
        while let Some(block) = todo.pop() {
            for &inst in &kernel.blocks[block].insts {
                scope.home.insert(inst, block);
                let data = &kernel.insts[inst];
                match data.op {
                    Op::Axis(axis) => {
                        scope.ranges.insert(axis, (data.args[0], data.args[1]));
                        scope.declared.insert(axis, block);
                    }
                    Op::For(Some(axis)) => {
                        let iv = kernel.blocks[data.blocks[0]].params[0];
                        scope.ranges.insert(axis, (iv, data.args[1]));
                        scope.declared.insert(axis, data.blocks[0]);
                    }
                    _ => {}
                }
                for &nested in &data.blocks {
                    scope.parent.insert(nested, block);
                    todo.push(nested);
                }
            }
        }
        scope
    }

    /// The scalar an axis starts at.
    pub fn start(&self, axis: Axis) -> Value {
        self.ranges[&axis].0
    }

    /// The block in which an axis is known.
    pub fn declared_in(&self, axis: Axis) -> Block {
        self.declared[&axis]
    }

    /// The scalar an axis ends before.
    pub fn end(&self, axis: Axis) -> Value {
        self.ranges[&axis].1
    }

    /// Every block inside a block, itself included.
    pub fn inside(&self, block: Block) -> BTreeSet<Block> {
        let mut found = BTreeSet::from([block]);
        let mut todo = vec![block];
        while let Some(block) = todo.pop() {
            for &inst in &self.kernel.blocks[block].insts {
                for &nested in &self.kernel.insts[inst].blocks {
                    found.insert(nested);
                    todo.push(nested);
                }
            }
        }
        found
    }

    /// The block a value is defined in.
    pub fn block_of(&self, value: Value) -> Option<Block> {
        match self.kernel.values[value].def {
            ValueDef::Result(inst, _) => self.home.get(&inst).copied(),
            ValueDef::Param(block, _) => Some(block),
        }
    }

    /// The block an instruction stands in.
    pub fn home(&self, inst: Inst) -> Option<Block> {
        self.home.get(&inst).copied()
    }
}
