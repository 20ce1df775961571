//! Dots: where their operands lie, and what their results are added to.

use std::collections::BTreeMap;

use tilec_ir::{Axis, BinaryOp, Entity, Imm, Inst, InstData, Op as TileOp, Value};
use tilec_layout::{Access as SharedAccess, Buffer, Lanes, Layout, Ldmatrix, Plan, chunked};
use tilec_vocab::DType;

use super::{Home, Lower};
use crate::classes::{copies, memory_order};
use crate::error::{GpuError, Result};
use crate::fragments::Fragments;
use crate::gir::{Access, Buf, BufData, Conversion, Dot, DotKind, Op, Operand, Slot};
use crate::study::Study;

/// Which loads go straight to shared memory: those that only dots look at.
pub(super) fn staged(study: &Study<'_>, dots: &BTreeMap<Inst, Fragments>) -> Vec<bool> {
    let mut staged = vec![false; study.kernel.values.len()];
    for inst in study.kernel.walk() {
        let data = study.data(inst);
        let (TileOp::Load(_), [result]) = (&data.op, &data.results[..]) else { continue };
        let users = study.users(*result);
        staged[result.index()] = !study.is_scalar(*result)
            && !users.is_empty()
            && users.iter().all(|user| dots.contains_key(user));
    }
    staged
}

impl<'k> Lower<'k> {
    /// The addition that takes a dot's result, if nothing else does and it can be the accumulator's start.
    pub(super) fn fused_into(&self, dot: Inst) -> Option<Inst> {
        let result = *self.study.data(dot).results.first()?;
        let &[user] = self.study.users(result) else { return None };
        let data = self.study.data(user);
        let sum = *data.results.first()?;
        (data.op == TileOp::Binary(BinaryOp::Add)
            && data.args[0] != data.args[1]
            && self.study.block_of(user) == self.study.block_of(dot)
            && self.study.dtype(sum) == DType::F32
            && self.study.axes(sum) == self.study.axes(result)
            && self.fragments.contains_key(&dot))
        .then_some(user)
    }

    /// The dot among the operands of an addition that is fused with it.
    pub(super) fn fused_dot(&self, sum: Value, data: &InstData) -> Option<Inst> {
        if data.op != TileOp::Binary(BinaryOp::Add) {
            return None;
        }
        let dots = data.args.iter().filter_map(|&arg| match self.kernel.values[arg].def {
            tilec_ir::ValueDef::Result(inst, 0) => Some(inst),
            _ => None,
        });
        let mut fused = dots.filter(|&inst| {
            matches!(self.study.data(inst).op, TileOp::Dot(..))
                && self
                    .fused_into(inst)
                    .is_some_and(|user| self.study.data(user).results.first() == Some(&sum))
        });
        // Of two dots, the second takes the first for its accumulator.
        fused.next_back()
    }

    /// An addition and its dot as one.
    pub(super) fn fused(&mut self, dot: Inst, sum: &InstData) -> Result<Home> {
        let data = self.study.data(dot);
        let TileOp::Dot(over, _) = &data.op else {
            return Err(GpuError::bug("fused with what is no dot"));
        };
        let result = data.results[0];
        let Some(&other) = sum.args.iter().find(|&&arg| arg != result) else {
            return Err(GpuError::bug("a dot added to itself"));
        };
        // The other may be a dot that nobody has computed yet.
        if !self.scope.homes.contains_key(&other)
            && let tilec_ir::ValueDef::Result(inst, 0) = self.kernel.values[other].def
            && let TileOp::Dot(over, _) = &self.study.data(inst).op
        {
            let home = self.dot(inst, over, None)?;
            self.set(other, home);
        }
        self.dot(dot, over, Some(other))
    }

    /// A dot, added to `acc`.
    pub(super) fn dot(&mut self, inst: Inst, over: &[Axis], acc: Option<Value>) -> Result<Home> {
        let data = self.study.data(inst);
        let Some(fragments) = self.fragments.get(&inst).cloned() else {
            return self.sum_of_products(inst, over);
        };
        let acc = match acc {
            Some(acc) => Some(self.full(acc, &fragments.c)?),
            None => None,
        };
        let elem = self.study.dtype(data.args[0]);
        let first = self.roles[&inst].first;
        let kind = match fragments.mma {
            Some((mma, precision)) => DotKind::Mma(mma, precision),
            None => DotKind::Fma,
        };
        let a = self.operand_of(
            data.args[first],
            over,
            Some(&fragments.a).filter(|_| kind != DotKind::Fma),
        )?;
        let b = self.operand_of(data.args[1 - first], over, None)?;
        self.wait_for(&[a, b]);
        let op = Op::Dot(Box::new(Dot {
            kind,
            a,
            a_layout: fragments.a,
            b,
            b_layout: fragments.b,
            elem,
            over: over.to_vec(),
            acc,
        }));
        Ok(Home::Tile(self.push(op, DType::F32, Some(fragments.c))))
    }

    /// A dot that is no product of matrices: products, then a sum.
    fn sum_of_products(&mut self, inst: Inst, over: &[Axis]) -> Result<Home> {
        let data = self.study.data(inst);
        let axes = self.study.axes(data.args[0]);
        let others = self.study.axes(data.args[1]);
        let mut all = axes;
        all.extend(others.iter().filter(|axis| !all.contains(axis)).copied().collect::<Vec<_>>());
        all.sort_unstable_by_key(|axis| axis.index());
        let extents: Vec<(Axis, u32)> = all.iter().map(|&a| (a, self.study.extent(a))).collect();
        let layout = tilec_layout::blocked(&extents, 4, self.program.warps);
        let mut factors = Vec::new();
        for &arg in &data.args {
            let val = self.operand(arg, &layout)?;
            let shape = self.program.layout(val).cloned();
            factors.push(match self.program.elem(val) {
                DType::F32 => val,
                _ => self.push(Op::Cast(val), DType::F32, shape),
            });
        }
        let op = Op::Binary(BinaryOp::Mul, factors[0], factors[1]);
        let product = self.push(op, DType::F32, Some(layout));
        let product = self.masked(product, over, Imm::Float(0.0))?;
        let result = data.results[0];
        self.reduce_val(tilec_ir::ReduceOp::Sum, product, over, DType::F32, false, result)
    }

    /// Where an operand is: in registers if it lies as `fragment` wants it, else in shared memory.
    fn operand_of(
        &mut self,
        value: Value,
        over: &[Axis],
        fragment: Option<&Layout<Axis>>,
    ) -> Result<Operand> {
        if let Some(fragment) = fragment
            && let Some(&held) = self.scope.held.get(&(value, fragment.clone()))
        {
            return Ok(Operand::Registers(held));
        }
        if let Some(slot) = self.scope.shared.get(&value) {
            return Ok(Operand::Shared(*slot));
        }
        if let Some(fragment) = fragment
            && let Some(lies) = self.classes.layout(value).cloned()
            && let Some(map) = lies.register_map(fragment)
        {
            let val = self.full(value, &lies)?;
            let elem = self.program.elem(val);
            let val = self.masked(val, over, Self::zero(elem))?;
            if lies == *fragment {
                return Ok(Operand::Registers(val));
            }
            let op = Op::Convert(val, Conversion::Plan(Plan::Registers(map), None));
            return Ok(Operand::Registers(self.push(op, elem, Some(fragment.clone()))));
        }
        self.put(value).map(Operand::Shared)
    }

    /// Whether a dot feeds on a value by way of shared memory.
    fn wants_shared(&self, value: Value) -> bool {
        self.readers(value).into_iter().any(|(inst, operand)| {
            let fragments = &self.fragments[&inst];
            let first = self.roles[&inst].first == operand && fragments.mma.is_some();
            let lies = self.classes.layout(value);
            !(first && lies.is_some_and(|lies| lies.register_map(&fragments.a).is_some()))
        })
    }

    /// Dots that take a value, with the number of the operand.
    fn readers(&self, value: Value) -> Vec<(Inst, usize)> {
        let users = self.study.users(value).iter().filter(|user| self.fragments.contains_key(user));
        let mut readers: Vec<(Inst, usize)> = users
            .flat_map(|&user| {
                let args = &self.study.data(user).args;
                (0..2).filter(move |&operand| args[operand] == value).map(move |o| (user, o))
            })
            .collect();
        readers.sort_unstable();
        readers.dedup();
        readers
    }

    /// Puts what a dot will read from shared memory there, where it is computed rather than where it is read.
    pub(super) fn share_if_wanted(&mut self, value: Value) -> Result<()> {
        if !self.study.is_scalar(value) && self.wants_shared(value) {
            self.put(value)?;
        }
        Ok(())
    }

    /// Writes a tile into a buffer for its dots.
    fn put(&mut self, value: Value) -> Result<Slot> {
        if let Some(slot) = self.scope.shared.get(&value) {
            return Ok(*slot);
        }
        let layout = self.layout_of(value)?;
        let val = self.full(value, &layout)?;
        let elem = self.program.elem(val);
        // What is absent is zero, along every axis: then nobody who reads it need know.
        let axes = self.study.axes(value);
        let val = self.masked(val, &axes, Self::zero(elem))?;
        let mut order = axes;
        // Rows along which a thread has neighbours are written in the widest pieces.
        if let Some(at) = (0..order.len()).max_by_key(|&at| (layout.contiguous(order[at]), at)) {
            let contiguous = order.remove(at);
            order.push(contiguous);
        }
        let name = self.name_of(val, "operand");
        let buf = self.buffer_for(value, name, &order, &layout, 1)?;
        let slot = Slot { buf, slot: None };
        let short =
            self.program.buffers[buf].buffer.axes().iter().any(|(a, e)| layout.extent(*a) < *e);
        if short {
            // The dot reads past what there is to put: zeros.
            self.stmt(Vec::new(), Op::Clear(slot));
        }
        self.stmt(Vec::new(), Op::Put(val, slot));
        self.scope.shared.insert(value, slot);
        Ok(slot)
    }

    /// A buffer that all dots which read a value can read, written in the layout `writer`.
    pub(super) fn buffer_for(
        &mut self,
        value: Value,
        name: String,
        order: &[Axis],
        writer: &Layout<Axis>,
        slots: u32,
    ) -> Result<Buf> {
        let bytes = self.study.dtype(value).size_bytes() as u32;
        let mut reads: Vec<Layout<Axis>> = Vec::new();
        let mut fma = false;
        let mut extents: Vec<(Axis, u32)> =
            order.iter().map(|&axis| (axis, self.study.extent(axis))).collect();
        for (inst, operand) in self.readers(value) {
            let fragments = &self.fragments[&inst];
            let first = self.roles[&inst].first == operand;
            fma |= fragments.mma.is_none();
            // A multiply-add reads along the result's axes and, one by one, along the sum.
            let layout = match (fragments.mma, first) {
                (Some(_), true) => fragments.a.clone(),
                (Some(_), false) => fragments.b.clone(),
                (None, _) => fragments.c.clone(),
            };
            for (axis, extent) in &mut extents {
                *extent = (*extent).max(layout.extent(*axis));
            }
            reads.push(layout);
        }
        let buffer = Buffer::new(&extents, bytes).map_err(|error| {
            GpuError::unsupported(
                format!("an operand of a dot in shared memory: {error}"),
                self.span,
            )
        })?;
        let buffer = if fma {
            buffer
        } else {
            let matrices: Vec<(Layout<Axis>, Lanes)> = reads
                .into_iter()
                .map(|layout| {
                    let contiguous = buffer.contiguous();
                    match contiguous.and_then(|axis| Ldmatrix::of(&layout, axis, bytes)) {
                        Some(load) => (load.addresses, Lanes::FirstCopies),
                        None => (layout, Lanes::All),
                    }
                })
                .collect();
            let write = SharedAccess { layout: writer, lanes: Lanes::FirstCopies };
            let reads =
                matrices.iter().map(|(layout, lanes)| SharedAccess { layout, lanes: *lanes });
            let accesses: Vec<SharedAccess<'_, Axis>> = [write].into_iter().chain(reads).collect();
            buffer.best_swizzle(&accesses).0
        };
        Ok(self.program.buffers.push(BufData { name, buffer, slots, offset: 0 }))
    }

    /// A load that goes to shared memory, where it stands.
    pub(super) fn staged_load(&mut self, inst: Inst) -> Result<()> {
        let value = self.study.data(inst).results[0];
        if self.scope.shared.contains_key(&value) {
            return Ok(());
        }
        let (buf, layout) = self.ring(inst, 1)?;
        let slot = Slot { buf, slot: None };
        if self.copy(inst, slot, &layout)? {
            self.stmt(Vec::new(), Op::Commit);
            self.scope.pending.insert(buf);
        }
        self.scope.shared.insert(value, slot);
        Ok(())
    }

    /// A ring for the tiles of a load, and who copies what.
    pub(super) fn ring(&mut self, inst: Inst, slots: u32) -> Result<(Buf, Layout<Axis>)> {
        let value = self.study.data(inst).results[0];
        let order = memory_order(self.study, inst);
        let bytes = self.study.dtype(value).size_bytes() as u32;
        let TileOp::Load(param) = self.study.data(inst).op else {
            return Err(GpuError::bug("a ring for what is no load"));
        };
        let name = self.kernel.params[param].name.clone();
        let rough = copies(self.study, inst, self.program.warps);
        let buf = self.buffer_for(value, name, &order, &rough, slots)?;
        // Padding is copied too, as zeros.
        let padded = self.program.buffers[buf].buffer.axes().to_vec();
        Ok((buf, chunked(&padded, bytes, self.program.warps)))
    }

    /// Copies a load's tile into a slot; whether that is asynchronous.
    pub(super) fn copy(&mut self, inst: Inst, to: Slot, layout: &Layout<Axis>) -> Result<bool> {
        let data = self.study.data(inst);
        let TileOp::Load(param) = data.op else {
            return Err(GpuError::bug("a copy of what is no load"));
        };
        let axes = self.study.axes(data.results[0]);
        let access = self.access(param, &data.args, &axes, Some(layout))?;
        let is_async = self.options.prefetch && self.can_be_async(&access, to.buf, layout, inst);
        let op = Op::Copy { access, to, layout: layout.clone(), is_async, when: None };
        self.stmt(Vec::new(), op);
        Ok(is_async)
    }

    /// `cp.async` moves 16 bytes or nothing.
    pub(super) fn can_be_async(
        &self,
        access: &Access,
        buf: Buf,
        layout: &Layout<Axis>,
        inst: Inst,
    ) -> bool {
        let value = self.study.data(inst).results[0];
        let bytes = self.study.dtype(value).size_bytes() as u32;
        let buffer = &self.program.buffers[buf].buffer;
        let Some(last) = buffer.contiguous() else { return false };
        let whole = |lanes: u32| (lanes * bytes).is_multiple_of(16);
        let present = access.present.iter().any(|(axis, _)| *axis == last);
        let steps = access.dims.last().is_some_and(|index| {
            index.lanes.iter().any(|&(axis, by)| axis == last && by == 1) && !index.check
        });
        access.vector * bytes >= 16
            && whole(self.study.extent(last))
            && layout.contiguous(last) * bytes >= 16
            && buffer.vectors(layout).width * bytes >= 16
            && !present
            && steps
    }

    /// Makes sure that the operands' copies have landed.
    fn wait_for(&mut self, operands: &[Operand]) {
        let waits = operands.iter().any(|operand| match operand {
            Operand::Shared(slot) => self.scope.pending.contains(&slot.buf),
            Operand::Registers(_) => false,
        });
        if waits {
            self.stmt(Vec::new(), Op::Wait(0));
            self.scope.pending.clear();
        }
    }
}
