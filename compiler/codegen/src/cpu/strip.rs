//! Loop bodies in strips: the part of a body that treats the lanes of an axis side by side, never together, is
//! done for a few lanes at a time, so that the tiles it makes on the way stay in the first cache. The rest of the
//! body comes first and is done once.
//!
//! ```text
//! for n { k, v; s[n, m] = k q; p[n, m] = exp(s); acc[d, m] += v p }
//!     ->
//! for n { k, v; for m in strips { s[n, m] = k q; p[n, m] = exp(s); acc[d, m] += v p } }
//! ```
//!
//! Inside, the axis is that strip of itself: it starts later and is shorter, and tiles from outside are seen from the
//! strip's first lane on.

use std::collections::BTreeSet;

use tilec_ir::{Axis, AxisSet, Block, Inst, Op, Value};

use super::control::Carried;
use super::emit::{Buffer, Emitter, Home, Kind, Lanes, Result};
use super::layout::{Format, Role};
use super::pack::Packed;

/// Vectors of a strip: what a block of AMX tiles is wide, or a block of registers where there are few.
const VECTORS: usize = 2;

/// And of registers where there are many.
const MORE_VECTORS: usize = 4;

impl<'k> Emitter<'k> {
    /// Writes a loop's body, in strips where that pays, and what it yields over what the next iteration reads.
    pub fn loop_body(&mut self, body: Block, carried: &[Carried]) -> Result<()> {
        let kernel = self.kernel;
        let insts = &kernel.blocks[body].insts;
        let Some((axis, width)) = self.strip_axis(body) else {
            let yielded = self.block(body)?;
            return self.assign(yielded, carried);
        };
        let in_strips = |inst: &Inst| {
            let data = &kernel.insts[*inst];
            data.op == Op::Yield
                || data.results.iter().any(|&value| self.axes(value).contains(axis))
        };
        let (inside, before): (Vec<Inst>, Vec<Inst>) =
            insts.iter().partition(|inst| in_strips(inst));
        self.instructions(&before)?;

        let outer = self.lanes.get(&axis).cloned();
        let Lanes { start, count } =
            outer.unwrap_or(Lanes { start: "0".into(), count: "0".into() });
        let opened = self.text.open_loop("0", &count, &width.to_string());
        let base = opened.at.clone();
        let whole = self.is_whole(axis, width);
        let start = self.text.def(format_args!("add i64 {start}, {base}"));
        let strip_count = match whole {
            true => width.to_string(),
            false => {
                let left = self.text.def(format_args!("sub i64 {count}, {base}"));
                self.intrinsic("smin", Kind::Int, false, &[&left, &width.to_string()])
            }
        };
        let kept = (self.homes.clone(), self.packed.clone(), self.lanes.clone());
        for value in self.used_by(&inside) {
            self.see_from(value, axis, &base);
        }
        let views: Vec<Carried> = carried
            .iter()
            .map(|carried| match carried {
                Carried::Tile(buffer) => Carried::Tile(self.view(buffer, axis, &base)),
                Carried::Scalar { slot, ty } => Carried::Scalar { slot: slot.clone(), ty },
            })
            .collect();
        self.lanes.insert(axis, Lanes { start, count: strip_count });
        self.strip = Some((axis, width));
        let yielded = self.instructions(&inside)?;
        self.assign(yielded, &views)?;
        self.strip = None;
        (self.homes, self.packed, self.lanes) = kept;
        self.text.close_loop(opened);
        Ok(())
    }

    /// The axis to do a body by, and the lanes of a strip: all that the body carries spans it, nothing sums over it, and
    /// there are two dots, of which the second takes what the first made.
    fn strip_axis(&self, body: Block) -> Option<(Axis, usize)> {
        let kernel = self.kernel;
        let insts = || kernel.blocks[body].insts.iter().map(|&inst| &kernel.insts[inst]);
        let simple = insts()
            .all(|data| !matches!(data.op, Op::For(_) | Op::If | Op::Store(_) | Op::AtomicAdd(_)));
        if self.strip.is_some() || !simple {
            return None;
        }
        let dots = || insts().filter(|data| matches!(data.op, Op::Dot(..)));
        let mut axes: Option<AxisSet> = None;
        let params = kernel.blocks[body].params[1..].iter().copied();
        for value in dots().map(|data| data.results[0]).chain(params) {
            let mine = self.axes(value);
            axes = Some(axes.map_or_else(
                || mine.clone(),
                |axes| axes.iter().filter(|&axis| mine.contains(axis)).collect(),
            ));
        }
        if dots().count() < 2 {
            return None;
        }
        let first = dots().next().and_then(|data| self.layouts.inner(data.results[0]))?;
        let few = self.host.registers() < 32
            || dots().any(|data| {
                self.layouts.dot(data.results[0]).is_some_and(|plan| plan.pairs.is_some())
            })
            || !self.extent(first).is_multiple_of(MORE_VECTORS * self.host.lanes);
        let width = if few { VECTORS } else { MORE_VECTORS } * self.host.lanes;
        let fits = axes.is_some_and(|axes| axes.contains(first))
            && self.extent(first) > width
            && self.extent(first).is_multiple_of(width);
        let side_by_side = insts().all(|data| {
            let spans = |&value: &Value| self.axes(value).contains(first);
            data.op == Op::Yield || !data.args.iter().any(spans) || data.results.iter().all(spans)
        });
        (fits && side_by_side).then_some((first, width))
    }

    /// All that these instructions are computed from.
    fn used_by(&self, insts: &[Inst]) -> BTreeSet<Value> {
        let mut work: Vec<Value> =
            insts.iter().flat_map(|&inst| self.kernel.insts[inst].args.to_vec()).collect();
        let mut used = BTreeSet::new();
        while let Some(value) = work.pop() {
            if used.insert(value)
                && let Some(data) = self.kernel.def(value)
            {
                work.extend(data.args.iter().copied());
            }
        }
        used
    }

    /// Moves what is known of a value to a strip's first lane.
    fn see_from(&mut self, value: Value, axis: Axis, base: &str) {
        if !self.axes(value).contains(axis) {
            return;
        }
        if let Some(Home::Buffer(buffer)) = self.homes.get(&value).cloned() {
            let view = self.view(&buffer, axis, base);
            self.homes.insert(value, Home::Buffer(view));
        }
        let packs: Vec<(Format, Packed)> = self
            .packed
            .iter()
            .filter(|((of, _), _)| *of == value)
            .map(|((_, format), packed)| (*format, packed.clone()))
            .collect();
        for (format, packed) in packs {
            let pointer = match (format.lanes == Some(axis), format.role) {
                (true, Role::Rows) => self.packed_row(&packed, &packed.pointer, base),
                (true, Role::Vectors) => {
                    let from = &packed.pointer;
                    self.text
                        .def(format_args!("getelementptr inbounds i32, ptr {from}, i64 {base}"))
                }
                (false, _) => {
                    let mut at = super::eval::Point::default();
                    at = at.with(axis, base);
                    self.packed_at(&packed, &at)
                }
            };
            self.packed.insert((value, format), Packed { pointer, ..packed });
        }
    }

    fn view(&mut self, buffer: &Buffer, axis: Axis, base: &str) -> Buffer {
        let stride = buffer.stride(axis);
        let offset = self.text.def(format_args!("mul nuw nsw i64 {base}, {stride}"));
        let (element, from) = (buffer.kind.stored(), &buffer.pointer);
        let pointer = self
            .text
            .def(format_args!("getelementptr inbounds {element}, ptr {from}, i64 {offset}"));
        Buffer { pointer, ..buffer.clone() }
    }
}
