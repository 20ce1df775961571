//! First layer: every number names a row, and blocks form a tree of bounded depth.

use super::{Checker, Rule};
use crate::entity::{Entity, Table};
use crate::kernel::{Block, GenericKind, Inst, ParamType, Value, ValueDef};
use crate::limits;
use crate::ops::Op;
use crate::types::{Elem, Extent};

impl Checker<'_> {
    pub(super) fn structure(&mut self) {
        self.tables();
        if !self.found.is_empty() {
            return;
        }
        self.tree();
    }

    /// Numbers inside rows, and counts.
    fn tables(&mut self) {
        let kernel = self.kernel;
        for param in kernel.params.values() {
            let (elem, dims): (_, &[Extent]) = match &param.ty {
                ParamType::Scalar(elem) => (*elem, &[]),
                ParamType::Tensor { elem, dims, .. } => (*elem, dims),
            };
            let fine = self.has_elem(elem) && dims.iter().all(|&extent| self.has_extent(extent));
            self.numbers(fine, None, || format!("the type of `{}`", param.name));
            self.limit(dims.len(), limits::RANK, None, "dimensions of a tensor");
        }
        for axis in kernel.axes.values() {
            let fine = self.has_extent(axis.extent);
            self.numbers(fine, None, || format!("the extent of `{}`", axis.name));
        }
        for (id, value) in kernel.values.iter() {
            let mut axes = value.ty.axes.iter();
            let fine = self.has_elem(value.ty.elem) && axes.all(|axis| has(&kernel.axes, axis));
            self.numbers(fine, None, || format!("the type of value {}", id.index()));
            self.limit(value.ty.axes.len(), limits::RANK, None, "axes of a value");
        }
        for (id, inst) in kernel.insts.iter() {
            let fine = inst.args.iter().chain(&inst.results).all(|&v| has(&kernel.values, v))
                && inst.blocks.iter().all(|&block| has(&kernel.blocks, block))
                && self.has_op(&inst.op);
            self.numbers(fine, Some(id), || "a number without a row".to_owned());
            let operands = inst.args.len().max(inst.results.len());
            self.limit(operands, limits::OPERANDS, Some(id), "operands of one instruction");
        }
        for (id, block) in kernel.blocks.iter() {
            let fine = block.params.iter().all(|&value| has(&kernel.values, value))
                && block.insts.iter().all(|&inst| has(&kernel.insts, inst));
            self.numbers(fine, None, || format!("{id}"));
            self.limit(block.params.len(), limits::OPERANDS, None, "parameters of one block");
        }
        self.numbers(has(&kernel.blocks, kernel.body), None, || "the body".to_owned());
        let signature = [kernel.generics.len(), kernel.params.len(), kernel.requires.len()];
        for count in signature {
            self.limit(count, limits::SIGNATURE, None, "generics, parameters or requirements");
        }
        for generic in kernel.generics.values() {
            if let GenericKind::Knob(choices) = &generic.kind {
                self.limit(choices.len(), limits::SIGNATURE, None, "choices of a knob");
            }
        }
        self.limit(kernel.grid.len(), limits::RANK, None, "axes of the grid");
    }

    fn numbers(&mut self, fine: bool, inst: Option<Inst>, what: impl Fn() -> String) {
        if !fine {
            let message = what();
            self.report(Rule::Numbers, inst, message);
        }
    }

    pub(super) fn limit(&mut self, count: usize, limit: usize, inst: Option<Inst>, what: &str) {
        if count > limit {
            self.report(Rule::Limits, inst, format!("{count} {what}, at most {limit}"));
        }
    }

    fn has_elem(&self, elem: Elem) -> bool {
        match elem {
            Elem::Known(_) => true,
            Elem::Generic(generic, _) => has(&self.kernel.generics, generic),
        }
    }

    fn has_extent(&self, extent: Extent) -> bool {
        match extent {
            Extent::Const(_) => true,
            Extent::Generic(generic) => has(&self.kernel.generics, generic),
            Extent::Dim(dim) => has(&self.kernel.dims, dim),
        }
    }

    fn has_op(&self, op: &Op) -> bool {
        let kernel = self.kernel;
        match op {
            Op::Generic(generic) => has(&kernel.generics, *generic),
            Op::Dim(dim) => has(&kernel.dims, *dim),
            Op::Scalar(param) | Op::Load(param) | Op::Store(param) | Op::AtomicAdd(param) => {
                has(&kernel.params, *param)
            }
            Op::Program(position) => (*position as usize) < kernel.grid.len(),
            Op::Axis(axis) | Op::Index(axis) | Op::For(Some(axis)) => has(&kernel.axes, *axis),
            Op::Reduce(_, over) | Op::Dot(over, _) => {
                over.iter().all(|&axis| has(&kernel.axes, axis))
            }
            Op::Const(_)
            | Op::Splat
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select
            | Op::Cast
            | Op::For(None)
            | Op::If
            | Op::Yield => true,
        }
    }

    /// Ownership, definitions, yields and nesting, from the body down.
    fn tree(&mut self) {
        let kernel = self.kernel;
        let mut owned = vec![false; kernel.blocks.len()];
        let mut placed = vec![false; kernel.insts.len()];
        let mut count = 0;
        owned[kernel.body.index()] = true;
        let mut stack: Vec<(Block, Option<Inst>, usize)> = vec![(kernel.body, None, 1)];
        while let Some((block, owner, depth)) = stack.pop() {
            if depth > limits::DEPTH {
                self.report(Rule::Limits, owner, "blocks nested too deep");
                continue;
            }
            self.params_defined(block, owner);
            let insts = &kernel.blocks[block].insts;
            for (n, &inst) in insts.iter().enumerate() {
                if std::mem::replace(&mut placed[inst.index()], true) {
                    self.report(Rule::Tree, inst, "this instruction stands in two places");
                    continue;
                }
                count += 1;
                self.results_defined(inst);
                let is_yield = kernel.insts[inst].op == Op::Yield;
                if is_yield != (n + 1 == insts.len()) {
                    let message = match is_yield {
                        true => "this `yield` does not end its block",
                        false => "this block does not end in `yield`",
                    };
                    self.report(Rule::Yields, inst, message);
                }
                for &nested in &kernel.insts[inst].blocks {
                    if std::mem::replace(&mut owned[nested.index()], true) {
                        self.report(Rule::Tree, inst, format!("{nested} belongs to two"));
                    } else {
                        stack.push((nested, Some(inst), depth + 1));
                    }
                }
            }
            if insts.is_empty() {
                self.report(Rule::Yields, owner, "an empty block");
            }
        }
        self.limit(count, limits::INSTS, None, "instructions");
    }

    fn params_defined(&mut self, block: Block, owner: Option<Inst>) {
        for (n, &value) in self.kernel.blocks[block].params.iter().enumerate() {
            self.defined(value, ValueDef::Param(block, n as u32), owner);
        }
    }

    fn results_defined(&mut self, inst: Inst) {
        for (n, &value) in self.kernel.insts[inst].results.iter().enumerate() {
            self.defined(value, ValueDef::Result(inst, n as u32), Some(inst));
        }
    }

    fn defined(&mut self, value: Value, def: ValueDef, inst: Option<Inst>) {
        if self.kernel.values[value].def != def {
            let name = self.names.value(value).to_string();
            self.report(Rule::Definitions, inst, format!("{name} says it is made elsewhere"));
        }
    }
}

fn has<K: Entity, T>(table: &Table<K, T>, key: K) -> bool {
    table.get(key).is_some()
}
