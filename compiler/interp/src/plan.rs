//! When each value is last used, so that its memory is free from then on.

use tilec_ir::{Block, Entity, Inst, Kernel, Value, ValueDef};

/// For each instruction, the values of its block that nobody uses after it.
pub(crate) fn last_uses(kernel: &Kernel) -> Vec<Vec<Value>> {
    let mut home: Vec<Option<Block>> = vec![None; kernel.insts.len()];
    let mut owner: Vec<Option<Inst>> = vec![None; kernel.blocks.len()];
    let order = kernel.walk();
    for (block, data) in kernel.blocks.iter() {
        for &inst in &data.insts {
            home[inst.index()] = Some(block);
            for nested in &kernel.insts[inst].blocks {
                owner[nested.index()] = Some(inst);
            }
        }
    }
    let home_of = |value: Value| match kernel.values[value].def {
        ValueDef::Result(inst, _) => home[inst.index()],
        ValueDef::Param(block, _) => Some(block),
    };
    // The instruction of the value's own block that is the user or holds it.
    let user = |value: Value, mut inst: Inst| loop {
        let block = home[inst.index()]?;
        if Some(block) == home_of(value) {
            return Some(inst);
        }
        inst = owner[block.index()]?;
    };
    // The walk goes through each block in order, so the user met last is the last.
    let mut last: Vec<Option<Inst>> = vec![None; kernel.values.len()];
    for &inst in &order {
        let data = &kernel.insts[inst];
        for &value in data.args.iter().chain(&data.results) {
            last[value.index()] = user(value, inst);
        }
    }
    let mut dead: Vec<Vec<Value>> = vec![Vec::new(); kernel.insts.len()];
    for (index, inst) in last.into_iter().enumerate() {
        if let Some(inst) = inst {
            dead[inst.index()].push(Value::new(index));
        }
    }
    dead
}
