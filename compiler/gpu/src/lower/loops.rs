//! Loops: what they carry, which sums wait until after them, which operands are fetched ahead.

use tilec_ir::{
    Axis, BinaryOp, Block as TileBlock, CompareOp, Inst, Op as TileOp, ReduceOp, Value, ValueDef,
};
use tilec_layout::{Layout, Reduction, Shares};
use tilec_vocab::DType;

use super::pipeline::{Schedule, Uses, schedule};
use super::{Home, Lower, Range};
use crate::error::{GpuError, Result};
use crate::gir::{Block, Buf, For, Op, Slot, Stmt, Val};

/// An operand of a loop that is fetched ahead.
struct Ring {
    load: Inst,
    /// What its address depends on, in order.
    needs: Vec<Inst>,
    buf: Buf,
    layout: Layout<Axis>,
    is_async: bool,
}

/// A carried value that is only scaled and added to.
struct Recurrence {
    sum: Inst,
    scale: Option<Value>,
    /// The sum, the scaled value, the next value.
    parts: Vec<Value>,
}

/// A loop with operands that are fetched ahead.
struct Pipeline {
    block: TileBlock,
    rings: Vec<Ring>,
    schedule: Schedule,
    hi: Val,
    step: i64,
    axis: Option<Axis>,
    slots: u32,
    /// This iteration's counter and slot.
    iv: Val,
    slot: Option<Val>,
}

/// The pipeline of the loop being lowered, for its syncs.
#[derive(Default)]
pub(super) struct Pipelines(Vec<Pipeline>);

impl<'k> Lower<'k> {
    /// `for`.
    pub(super) fn for_loop(&mut self, inst: Inst, axis: Option<Axis>) -> Result<()> {
        let data = self.study.data(inst);
        let block = data.blocks[0];
        let (lo, hi) = (self.scalar(data.args[0])?, self.scalar(data.args[1])?);
        let step = axis.map_or(1, |axis| i64::from(self.study.extent(axis)));
        let params = &self.kernel.blocks[block].params;
        let iv_name = params[0];
        let carried = &params[1..];

        let late: Vec<Option<Shares>> =
            (0..carried.len()).map(|n| self.late_sum(inst, n)).collect::<Result<_>>()?;
        let mut layouts = Vec::new();
        for &param in carried {
            layouts.push(self.carried_layout(param)?);
        }
        let mut initial = Vec::new();
        for (n, layout) in layouts.iter().enumerate() {
            initial.push(self.initial(data.args[n + 2], layout.as_ref(), late[n].as_ref())?);
        }
        let iv = self.val(DType::I64, None);
        let mut names: Vec<Val> = Vec::new();
        for (&param, layout) in carried.iter().zip(&layouts) {
            names.push(self.val(self.study.dtype(param), layout.clone()));
        }

        let mut pipeline = self.pipeline(block, axis, (iv_name, iv), (lo, hi), step)?;
        let mut groups = 0;
        if let Some(pipeline) = &mut pipeline {
            groups = self.prologue(pipeline, iv_name, lo)?;
            if pipeline.slots > 1 {
                initial.push(self.int(0));
                let slot = self.val(DType::I64, None);
                self.program.values[slot].below = Some(pipeline.slots);
                names.push(slot);
                pipeline.slot = Some(slot);
            }
        }
        self.hold(block, &layouts, groups);
        let slot = pipeline.as_ref().and_then(|pipeline| pipeline.slot);
        let slots = pipeline.as_ref().map_or(1, |pipeline| pipeline.slots);
        let (body, yields) = self.nested(|lower| {
            lower.set(iv_name, Home::Uniform(iv));
            if let Some(axis) = axis {
                let names = Some((iv_name, data.args[1]));
                lower.scope.axes.insert(axis, Range { start: iv, end: hi, names });
            }
            for (n, &param) in carried.iter().enumerate() {
                let home = match (&layouts[n], &late[n]) {
                    (None, _) => Home::Uniform(names[n]),
                    (Some(_), None) => Home::Tile(names[n]),
                    (Some(_), Some(shares)) => Home::Partial(names[n], shares.clone()),
                };
                lower.set(param, home);
            }
            if let Some(pipeline) = pipeline {
                for ring in &pipeline.rings {
                    let value = lower.study.data(ring.load).results[0];
                    lower.scope.shared.insert(value, Slot { buf: ring.buf, slot });
                }
                lower.pipelines.0.push(pipeline);
            }
            let yielded = lower.block(block)?;
            lower.pipelines.0.pop_if(|pipeline| pipeline.block == block);
            let mut vals = Vec::new();
            for (n, &value) in yielded.iter().enumerate() {
                vals.push(lower.yielded(value, layouts[n].as_ref(), late[n].as_ref())?);
            }
            if let Some(slot) = slot {
                vals.push(lower.slot_after(slot, 1, slots));
            }
            Ok(vals)
        })?;
        let mut results = Vec::new();
        for (n, &result) in data.results.iter().enumerate() {
            let val = self.val(self.study.dtype(result), layouts[n].clone());
            let home = match (&layouts[n], &late[n]) {
                (None, _) => Home::Uniform(val),
                (Some(_), None) => Home::Tile(val),
                (Some(_), Some(shares)) => Home::Partial(val, shares.clone()),
            };
            self.set(result, home);
            results.push(val);
        }
        if slot.is_some() {
            results.push(self.val(DType::I64, None));
        }
        let body = Block { body, yields };
        let whole = For { lo, hi, step, iv, initial, params: names, body };
        self.stmt(results, Op::For(Box::new(whole)));
        Ok(())
    }

    /// What a carried value starts as.
    fn initial(
        &mut self,
        value: Value,
        layout: Option<&Layout<Axis>>,
        late: Option<&Shares>,
    ) -> Result<Val> {
        match (layout, late, self.scope.homes.get(&value)) {
            (None, ..) => self.scalar(value),
            (Some(layout), Some(_), Some(&Home::Partial(val, _))) => self.converted(val, layout),
            (Some(layout), ..) => self.full(value, layout),
        }
    }

    fn yielded(
        &mut self,
        value: Value,
        layout: Option<&Layout<Axis>>,
        late: Option<&Shares>,
    ) -> Result<Val> {
        // The parts of a late sum are handed on as parts.
        self.initial(value, layout, late)
    }

    /// The lanes and warps over which a carried value can stay in parts: it is only ever scaled and added to, and starts as
    /// zero or as such parts.
    fn late_sum(&mut self, owner: Inst, n: usize) -> Result<Option<Shares>> {
        if !self.options.late_sums {
            return Ok(None);
        }
        let data = self.study.data(owner);
        let block = data.blocks[0];
        let param = self.kernel.blocks[block].params[n + 1];
        let Some(Recurrence { sum, scale, parts }) = self.recurrence(block, n, param) else {
            return Ok(None);
        };
        let reduce = self.study.data(sum);
        let TileOp::Reduce(ReduceOp::Sum, over) = &reduce.op else { return Ok(None) };
        if self.study.dtype(param) != DType::F32 || self.study.is_scalar(param) {
            return Ok(None);
        }
        let Some(of) = self.classes.layout(reduce.args[0]) else { return Ok(None) };
        let mut steps: Vec<Reduction<Axis>> = Vec::new();
        for &axis in over {
            let step = steps.last().map_or(of, |last| &last.result).reduce(axis);
            steps.push(step);
        }
        let shares = Shares::of(&steps);
        let layout = steps.pop().map_or_else(|| of.clone(), |last| last.result);
        // The factor and the sum lie alike, so that a part is scaled as the whole would be.
        let alike = |value: Value| {
            self.study.is_scalar(value) || self.classes.layout(value) == Some(&layout)
        };
        if shares.is_whole() || !alike(param) || !scale.is_none_or(alike) {
            return Ok(None);
        }
        let starts_in_parts = match self.scope.homes.get(&data.args[n + 2]) {
            Some(Home::Partial(_, others)) => *others == shares,
            _ => self.is_zero_tile(data.args[n + 2]),
        };
        if !starts_in_parts {
            return Ok(None);
        }
        for part in parts {
            self.late.insert(part, shares.clone());
        }
        Ok(Some(shares))
    }

    fn is_zero_tile(&self, value: Value) -> bool {
        match self.study.def(value) {
            Some(data) => match data.op {
                TileOp::Splat => self.is_zero_tile(data.args[0]),
                TileOp::Const(imm) => Self::is_zero(imm),
                _ => false,
            },
            None => false,
        }
    }

    /// `next = param * scale + sum`, with nobody else looking at any of them.
    fn recurrence(&self, block: TileBlock, n: usize, param: Value) -> Option<Recurrence> {
        let study = self.study;
        let inst_of = |value: Value| match self.kernel.values[value].def {
            ValueDef::Result(inst, _) => Some(inst),
            ValueDef::Param(..) => None,
        };
        let only = |value: Value, user: Inst| study.users(value) == [user];
        let last = *self.kernel.blocks[block].insts.last()?;
        let next = *study.data(last).args.get(n)?;
        let add = inst_of(next)?;
        if study.data(add).op != TileOp::Binary(BinaryOp::Add) || !only(next, last) {
            return None;
        }
        [(0, 1), (1, 0)].into_iter().find_map(|(old, new)| {
            let args = &study.data(add).args;
            let (old, new) = (args[old], args[new]);
            let sum = inst_of(new)?;
            if !matches!(study.data(sum).op, TileOp::Reduce(ReduceOp::Sum, _)) || !only(new, add) {
                return None;
            }
            if old == param {
                let parts = vec![new, next];
                return only(param, add).then_some(Recurrence { sum, scale: None, parts });
            }
            let mul = inst_of(old)?;
            let factors = &study.data(mul).args;
            if study.data(mul).op != TileOp::Binary(BinaryOp::Mul)
                || !only(old, add)
                || !only(param, mul)
            {
                return None;
            }
            let scale = *factors.iter().find(|&&arg| arg != param)?;
            let parts = vec![new, old, next];
            let scaled = factors.contains(&param);
            scaled.then_some(Recurrence { sum, scale: Some(scale), parts })
        })
    }

    /// The operands of a loop that can be fetched ahead, and when.
    fn pipeline(
        &mut self,
        block: TileBlock,
        axis: Option<Axis>,
        (iv_name, iv): (Value, Val),
        (lo, hi): (Val, Val),
        step: i64,
    ) -> Result<Option<Pipeline>> {
        if !self.options.prefetch {
            return Ok(None);
        }
        let insts = &self.kernel.blocks[block].insts;
        let mut found = Vec::new();
        for &inst in insts {
            let staged = self
                .study
                .data(inst)
                .results
                .first()
                .is_some_and(|&result| self.staged[tilec_ir::Entity::index(result)]);
            if staged
                && let Some(needs) = self.address_needs(block, inst, iv_name)
                && let Some(uses) = self.uses_in(block, inst)
            {
                found.push((inst, needs, uses));
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        let slots = self.options.stages;
        let mut rings = Vec::new();
        let mut uses = Vec::new();
        for (load, needs, used) in found {
            // Whether it is asynchronous shows in a trial.
            let buffers = self.program.buffers.clone();
            let (buf, layout) = self.ring(load, slots)?;
            let slot = Slot { buf, slot: None };
            self.check_early(load, block)?;
            let (_, is_async) = self.nested(|lower| {
                lower.iteration(axis, iv_name, lo, hi);
                needs.iter().try_for_each(|&need| lower.inst(need))?;
                lower.copy(load, slot, &layout)
            })?;
            if !is_async {
                self.program.buffers = buffers;
                continue;
            }
            rings.push(Ring { load, needs, buf, layout, is_async });
            uses.push(used);
        }
        if rings.is_empty() {
            return Ok(None);
        }
        let schedule = schedule(&uses, slots as usize, insts.len());
        Ok(Some(Pipeline { block, rings, schedule, hi, step, axis, slots, iv, slot: None }))
    }

    /// Tests what can be tested of an address before the loop; inside, the outcome is at hand.
    fn check_early(&mut self, load: Inst, block: TileBlock) -> Result<()> {
        let data = self.study.data(load);
        let TileOp::Load(param) = data.op else { return Ok(()) };
        for (dim, &index) in data.args.iter().enumerate() {
            let inside = match self.kernel.values[index].def {
                ValueDef::Result(inst, _) => self.study.block_of(inst) == block,
                ValueDef::Param(owner, _) => owner == block,
            };
            if !inside && self.study.is_scalar(index) {
                self.index_inside(param, dim, index)?;
            }
        }
        Ok(())
    }

    /// Says which iteration is meant.
    fn iteration(&mut self, axis: Option<Axis>, iv_name: Value, iv: Val, hi: Val) {
        self.scope.homes.insert(iv_name, Home::Uniform(iv));
        if let Some(axis) = axis {
            let end = self.scope.axes.get(&axis).and_then(|range| range.names).map(|(_, end)| end);
            let end = end.or_else(|| self.loop_end(iv_name));
            let names = end.map(|end| (iv_name, end));
            self.scope.axes.insert(axis, Range { start: iv, end: hi, names });
        }
        self.scope.made.clear();
    }

    /// The tile IR's name of the end of the loop that counts `iv`.
    fn loop_end(&self, iv: Value) -> Option<Value> {
        let ValueDef::Param(block, 0) = self.kernel.values[iv].def else { return None };
        let (_, data) = self.kernel.insts.iter().find(|(_, data)| data.blocks.contains(&block))?;
        data.args.get(1).copied()
    }

    /// The instructions of a loop's body that a load's address comes from, in order; none if it comes from anything but
    /// the counter, what stands before the loop, and tensors that nobody writes.
    fn address_needs(&self, block: TileBlock, load: Inst, iv: Value) -> Option<Vec<Inst>> {
        let insts = &self.kernel.blocks[block].insts;
        let mut needed = vec![load];
        let mut open = vec![load];
        while let Some(inst) = open.pop() {
            let data = self.study.data(inst);
            let pure = match data.op {
                TileOp::Load(param) => !self.study.written(param),
                TileOp::Axis(_) => true,
                ref op => op.is_pure() && data.blocks.is_empty(),
            };
            if !pure {
                return None;
            }
            let axes = data.results.iter().flat_map(|&result| self.study.axes(result));
            let declared = axes.filter_map(|axis| {
                insts.iter().copied().find(|&i| self.study.data(i).op == TileOp::Axis(axis))
            });
            let mut sources: Vec<Inst> = declared.collect();
            for &arg in &data.args {
                match self.kernel.values[arg].def {
                    ValueDef::Param(owner, _) if owner == block => {
                        if arg != iv {
                            return None;
                        }
                    }
                    ValueDef::Param(..) => {}
                    ValueDef::Result(source, _) => {
                        if self.study.block_of(source) == block {
                            sources.push(source);
                        }
                    }
                }
            }
            for source in sources {
                if !needed.contains(&source) {
                    needed.push(source);
                    open.push(source);
                }
            }
        }
        Some(insts.iter().copied().filter(|i| needed.contains(i) && *i != load).collect())
    }

    /// Where in a body a staged load is read.
    fn uses_in(&self, block: TileBlock, load: Inst) -> Option<Uses> {
        let insts = &self.kernel.blocks[block].insts;
        let result = self.study.data(load).results[0];
        let mut positions = Vec::new();
        for &user in self.study.users(result) {
            let mut inst = self.lowered_at(user);
            // A use inside a nested loop or branch counts where that stands.
            while self.study.block_of(inst) != block {
                let inner = self.study.block_of(inst);
                inst = self.kernel.insts.iter().find(|(_, d)| d.blocks.contains(&inner))?.0;
            }
            positions.push(insts.iter().position(|&other| other == inst)?);
        }
        Some(Uses { first: *positions.iter().min()?, last: *positions.iter().max()? })
    }

    /// The instruction at which a dot is computed: the addition it is part of, or itself.
    fn lowered_at(&self, dot: Inst) -> Inst {
        self.fused_into(dot).unwrap_or(dot)
    }

    /// The copies of the iterations before the first, and how many groups they are.
    fn prologue(&mut self, pipeline: &Pipeline, iv_name: Value, lo: Val) -> Result<u32> {
        let schedule = &pipeline.schedule;
        let furthest = schedule.issues.iter().map(|issue| issue.ahead).max().unwrap_or(0);
        let mut order: Vec<usize> = (0..pipeline.rings.len()).collect();
        order.sort_by_key(|&n| (schedule.issues[n].at, n));
        for back in (1..=furthest).rev() {
            for &n in &order {
                let ahead = schedule.issues[n].ahead;
                if ahead >= back {
                    let iteration = (ahead - back) as i64;
                    let offset = self.int(iteration * pipeline.step);
                    let iv = self.int_op(BinaryOp::Add, lo, offset);
                    let slot = self.int(iteration % i64::from(pipeline.slots));
                    let slot = (pipeline.slots > 1).then_some(slot);
                    self.fetch(pipeline, n, iv_name, iv, slot)?;
                }
                self.stmt(Vec::new(), Op::Commit);
            }
        }
        Ok((furthest * order.len()) as u32)
    }

    /// Copies operand `n` of the iteration that counts `iv`, if there is one.
    fn fetch(
        &mut self,
        pipeline: &Pipeline,
        n: usize,
        iv_name: Value,
        iv: Val,
        slot: Option<Val>,
    ) -> Result<()> {
        let ring = &pipeline.rings[n];
        // This iteration's own is there.
        let certain = iv == pipeline.iv;
        let to = Slot { buf: ring.buf, slot };
        let (body, ()) = self.nested(|lower| {
            lower.iteration(pipeline.axis, iv_name, iv, pipeline.hi);
            ring.needs.iter().try_for_each(|&need| lower.inst(need))?;
            let is_async = lower.copy(ring.load, to, &ring.layout)?;
            match is_async == ring.is_async {
                true => Ok(()),
                false => Err(GpuError::bug("a copy that is asynchronous at times")),
            }
        })?;
        if certain {
            self.body.extend(body);
            return Ok(());
        }
        let more = self.compare(CompareOp::Lt, iv, pipeline.hi);
        // A copy alone that checks nothing needs no branch.
        let bare = |stmt: &Stmt| match &stmt.op {
            Op::Copy { access, .. } => {
                access.present.is_empty() && access.dims.iter().all(|index| !index.check)
            }
            op => op.is_arithmetic(),
        };
        if body.iter().all(bare) {
            for mut stmt in body {
                if let Op::Copy { when, .. } = &mut stmt.op {
                    *when = Some(more);
                }
                self.body.push(stmt);
            }
            return Ok(());
        }
        let then = Block { body, yields: Vec::new() };
        let op = Op::If { condition: more, then, otherwise: Block::default() };
        self.stmt(Vec::new(), op);
        Ok(())
    }

    /// `(slot + by) % slots`, for `by` up to `slots`.
    fn slot_after(&mut self, slot: Val, by: u32, slots: u32) -> Val {
        if by.is_multiple_of(slots) {
            return slot;
        }
        let by = self.int(i64::from(by));
        let count = self.int(i64::from(slots));
        let next = self.int_op(BinaryOp::Add, slot, by);
        let wrapped = self.int_op(BinaryOp::Sub, next, count);
        let past = self.compare(CompareOp::Ge, next, count);
        self.uniform(Op::Select(past, wrapped, next), DType::I64)
    }

    /// What the pipeline has to do before an instruction of a loop's body.
    pub(super) fn before(&mut self, block: TileBlock, at: usize) -> Result<()> {
        let Some(pipeline) = self.pipelines.0.pop_if(|pipeline| pipeline.block == block) else {
            return Ok(());
        };
        let outcome = self.sync(&pipeline, at);
        self.pipelines.0.push(pipeline);
        outcome
    }

    fn sync(&mut self, pipeline: &Pipeline, at: usize) -> Result<()> {
        let Some(&(_, allowed)) = pipeline.schedule.waits.iter().find(|(wait, _)| *wait == at)
        else {
            return Ok(());
        };
        let iv_name = self.kernel.blocks[pipeline.block].params[0];
        for before_wait in [true, false] {
            for (n, issue) in pipeline.schedule.issues.iter().enumerate() {
                if issue.at != at || issue.before_wait != before_wait {
                    continue;
                }
                let offset = self.int(issue.ahead as i64 * pipeline.step);
                let iv = self.int_op(BinaryOp::Add, pipeline.iv, offset);
                let slot =
                    pipeline.slot.map(|s| self.slot_after(s, issue.ahead as u32, pipeline.slots));
                self.fetch(pipeline, n, iv_name, iv, slot)?;
                self.stmt(Vec::new(), Op::Commit);
            }
            if before_wait {
                self.stmt(Vec::new(), Op::Wait(allowed));
                // What was issued before the loop is older than any of its copies.
                self.scope.pending.clear();
            }
        }
        Ok(())
    }
}
