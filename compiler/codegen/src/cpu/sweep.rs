//! Several uses of one tile in one pass over it: written, summed along an axis, packed for a dot, each vector while it is
//! in a register. A value whose every use is in the pass has no buffer at all.
//!
//! ```text
//! for n: e[n, m] = exp(s[n, m])                  for n:
//! for n: sum[m] += e[n, m]               ->        e = exp(s[n, m])
//! for n, n + 1: pack(e[n, m], e[n + 1, m])         sum[m] += e; pack(e of n and n + 1)
//! ```
//!
//! A pass goes over several vectors side by side. For that alone it is worth it where one vector's instructions wait long for
//! one another.

use std::collections::BTreeSet;

use tilec_ir::{Axis, Inst, InstData, Op, UnaryOp, Value};

use super::emit::{Buffer, Emitter, Home, Result};
use super::eval::{Point, Val};
use super::layout::{Format, Role};
use super::pack::Packed;
use super::reduce::{Source, Sum};

/// Vectors side by side, so that one does not wait for the other.
const MOST_VECTORS: usize = 2;

/// What one pass makes, all over the same two axes.
struct Pass {
    /// Vectors run along this axis.
    inner: Axis,
    /// And step along this one.
    steps: Axis,
    tiles: Vec<Value>,
    sums: Vec<Value>,
    packs: Vec<(Value, Format)>,
}

/// A pass whose results have their places.
struct Places {
    tiles: Vec<(Value, Buffer)>,
    sums: Vec<(Source, Buffer, Value)>,
    packs: Vec<(Value, Packed)>,
}

impl<'k> Emitter<'k> {
    /// Makes the value of the first of these instructions together with whatever later ones can be made in the same
    /// pass. Says whether there was any.
    pub fn sweep(&mut self, insts: &[Inst]) -> Result<bool> {
        let Some(pass) = self.pass(insts) else { return Ok(false) };
        let alone = pass.tiles.len() + pass.sums.len() + pass.packs.len() < 2;
        if alone && !pass.tiles.iter().any(|&tile| self.is_long(tile)) {
            return Ok(false);
        }
        let members: BTreeSet<Value> = pass
            .tiles
            .iter()
            .chain(&pass.sums)
            .copied()
            .chain(pass.packs.iter().map(|(value, _)| *value))
            .collect();
        let mut places = Places { tiles: Vec::new(), sums: Vec::new(), packs: Vec::new() };
        for &value in &pass.tiles {
            let users = self.layouts.users(value);
            let inside = |user: &Inst| {
                self.kernel.insts[*user].results.iter().all(|result| members.contains(result))
            };
            if !users.iter().all(inside) {
                places.tiles.push((value, self.allocate_for(value)?));
            }
        }
        for &value in &pass.sums {
            let Some(data) = self.kernel.def(value) else { continue };
            places.sums.push((self.source(data)?, self.allocate_for(value)?, value));
        }
        for &(value, format) in &pass.packs {
            places.packs.push((value, self.room_for(value, format)?));
        }
        self.write_pass(&pass, &places)?;
        for (value, buffer) in places.tiles {
            self.homes.insert(value, Home::Buffer(buffer));
        }
        for (_, buffer, value) in places.sums {
            self.homes.insert(value, Home::Buffer(buffer));
        }
        for ((value, format), (_, packed)) in pass.packs.iter().zip(places.packs) {
            self.packed.insert((*value, *format), packed);
        }
        self.swept.extend(members);
        Ok(true)
    }

    fn pass(&self, insts: &[Inst]) -> Option<Pass> {
        let kernel = self.kernel;
        let first = &kernel.insts[*insts.first()?];
        let (inner, steps) = self.domain(first)?;
        let mut pass =
            Pass { inner, steps, tiles: Vec::new(), sums: Vec::new(), packs: Vec::new() };
        for &inst in insts {
            let data = &kernel.insts[inst];
            if matches!(data.op, Op::For(_) | Op::If | Op::Store(_) | Op::AtomicAdd(_)) {
                break;
            }
            let &[result] = data.results.as_slice() else { continue };
            let lazy = self.layouts.is_lazy(result) || self.layouts.is_fused(result);
            if lazy || self.domain(data) != Some((inner, steps)) || !self.is_ready(data, &pass) {
                continue;
            }
            match &data.op {
                Op::Reduce(..) => pass.sums.push(result),
                _ if self.layouts.is_packed_only(result) => {
                    let format = Format { role: Role::Vectors, lanes: Some(inner), steps };
                    if self.layouts.packs(result).iter().all(|wanted| *wanted == format) {
                        pass.packs.push((result, format));
                    }
                }
                _ => pass.tiles.push(result),
            }
        }
        Some(pass)
    }

    /// Whether computing a value waits on a chain of instructions long enough that several vectors should go side by side.
    fn is_long(&self, value: Value) -> bool {
        let Some(data) = self.kernel.def(value).filter(|_| !self.homes.contains_key(&value)) else {
            return false;
        };
        let lazy = |&arg: &Value| self.layouts.is_lazy(arg) && self.is_long(arg);
        match &data.op {
            Op::Unary(op) => !matches!(op, UnaryOp::Neg | UnaryOp::Not | UnaryOp::Abs),
            Op::Splat | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast => {
                data.args.iter().any(lazy)
            }
            _ => false,
        }
    }

    /// The axis of the vectors and the other one, if an instruction can be part of a pass.
    fn domain(&self, data: &InstData) -> Option<(Axis, Axis)> {
        let &[result] = data.results.as_slice() else { return None };
        if self.homes.contains_key(&result) || self.layouts.fused_into(result).is_some() {
            return None;
        }
        let over = match &data.op {
            Op::Reduce(_, over) => data.args.first().copied().zip(Some(over)),
            Op::Splat | Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast => {
                None
            }
            _ => return None,
        };
        let tile = over.map_or(result, |(tile, _)| tile);
        let inner = self.layouts.inner(tile)?;
        let mut others = self.axes(tile).iter().filter(|&axis| axis != inner);
        let steps = others.next()?;
        if others.next().is_some() || over.is_some_and(|(_, over)| over[..] != [steps]) {
            return None;
        }
        (self.layouts.inner(result) == Some(inner)).then_some((inner, steps))
    }

    /// Whether all that an instruction needs is there, or made at the same point of the pass.
    fn is_ready(&self, data: &InstData, pass: &Pass) -> bool {
        data.args.iter().all(|&arg| self.is_ready_value(arg, pass))
    }

    fn is_ready_value(&self, value: Value, pass: &Pass) -> bool {
        if self.homes.contains_key(&value) || pass.tiles.contains(&value) {
            return true;
        }
        let Some(data) = self.kernel.def(value) else { return false };
        let at_its_use = self.axes(value).is_empty() || self.layouts.is_lazy(value);
        match &data.op {
            Op::Index(axis) => self.lanes.contains_key(axis),
            Op::Const(_) | Op::Dim(_) | Op::Program(_) | Op::Scalar(_) => true,
            Op::Splat
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select
            | Op::Cast
            | Op::Load(_) => at_its_use && self.is_ready(data, pass),
            _ => false,
        }
    }

    fn write_pass(&mut self, pass: &Pass, places: &Places) -> Result<()> {
        let lanes = self.host.lanes;
        let vectors = self.extent(pass.inner).div_ceil(lanes);
        let at_once = (1..=MOST_VECTORS).rev().find(|n| vectors.is_multiple_of(*n)).unwrap_or(1);
        // Steps at a time: both of a pair are packed at once, and each has sums of its own.
        let per_step = if places.packs.is_empty() && !self.is_whole(pass.steps, 2) { 1 } else { 2 };
        let mut sums: Vec<Vec<Sum>> = Vec::new();
        for _ in 0..at_once * per_step {
            let slots = places.sums.iter().map(|(source, ..)| self.sum_slot(source, true));
            sums.push(slots.collect());
        }
        let firsts: Vec<String> = places
            .packs
            .iter()
            .map(|(_, packed)| self.packed_at(packed, &Point::default()))
            .collect();
        let count = self.count(pass.inner);
        let columns = self.text.open_loop("0", &count, &(lanes * at_once).to_string());
        let mut points = Vec::new();
        for n in 0..at_once {
            let base = format_args!("add nuw nsw i64 {}, {}", columns.at, n * lanes);
            let base = self.text.def(base);
            points.push((Point::default().along(pass.inner, &base), base));
        }
        for slots in &sums {
            for ((source, ..), slot) in places.sums.iter().zip(slots) {
                self.start_sum(source, slot);
            }
        }
        let step_count = self.count(pass.steps);
        let steps = self.text.open_loop("0", &step_count, &per_step.to_string());
        let next = self.text.def(format_args!("add nuw nsw i64 {}, 1", steps.at));
        let (next, there) = match self.is_whole(pass.steps, 2) {
            true => (next, None),
            false => {
                let there = self.text.def(format_args!("icmp slt i64 {next}, {step_count}"));
                let at = &steps.at;
                let next = format_args!("select i1 {there}, i64 {next}, i64 {at}");
                (self.text.def(next), Some(there))
            }
        };
        // Line by line in turn: one vector's instructions wait for one another, so several vectors go side by side.
        let mut starts = Vec::new();
        let mut packs = Vec::new();
        for (n, slots) in sums.iter().enumerate() {
            let (point, _) = &points[n / per_step];
            let (at, there) = match n % per_step {
                0 => (&steps.at, None),
                _ => (&next, there.as_deref()),
            };
            starts.push(self.text.mark());
            packs.push(self.at_point(places, &mut point.with(pass.steps, at), slots, there)?);
        }
        self.text.interleave(&starts);
        if per_step == 2 {
            for ((_, base), pair) in points.iter().zip(packs.chunks(2)) {
                for (n, (_, packed)) in places.packs.iter().enumerate() {
                    self.write_pair(
                        packed,
                        &firsts[n],
                        &steps.at,
                        base,
                        [&pair[0][n], &pair[1][n]],
                    );
                }
            }
        }
        self.text.close_loop(steps);
        for (_, base) in &points {
            for (n, (_, packed)) in places.packs.iter().enumerate() {
                self.zero_pairs(pass.steps, packed, &firsts[n], base);
            }
        }
        for ((point, _), slots) in points.iter().zip(sums.chunks(per_step)) {
            for (n, (source, buffer, value)) in places.sums.iter().enumerate() {
                let sum = self.total_of(source, slots.iter().map(|slots| &slots[n]));
                let sum = self.rounded(sum, source.dtype, true);
                let axes = self.axes(*value);
                self.write(buffer, axes, point, &Val::lanes(sum));
            }
        }
        self.text.close_loop(columns);
        Ok(())
    }

    /// Does everything at one point, but for writing what is packed: that it gives. Where the point is not `there` it stands
    /// for one that is, and adds nothing.
    fn at_point(
        &mut self,
        places: &Places,
        point: &mut Point,
        slots: &[Sum],
        there: Option<&str>,
    ) -> Result<Vec<String>> {
        for (value, buffer) in &places.tiles {
            let val = self.eval_lifted(*value, point)?;
            let axes = self.axes(*value);
            self.write(buffer, axes, point, &val);
        }
        for ((source, ..), slot) in places.sums.iter().zip(slots) {
            let val = self.eval_lifted(source.of[0], point)?;
            let mut val = val.text;
            if let Some(there) = there {
                let (ty, identity) = (self.ty(source.kind, true), self.identity(source, true));
                val = self.text.def(format_args!("select i1 {there}, {ty} {val}, {ty} {identity}"));
            }
            self.accumulate(source, slot, &val);
        }
        let mut packs = Vec::new();
        for (value, _) in &places.packs {
            // Packing rounds, and to bf16 it is all the rounding there is.
            let val = self.eval_unrounded(*value, point)?;
            packs.push(match there {
                None => val,
                Some(there) => self.text.def(format_args!(
                    "select i1 {there}, <16 x float> {val}, <16 x float> zeroinitializer"
                )),
            });
        }
        Ok(packs)
    }
}
