//! Reductions. Rows that stay side by side are reduced side by side, a vector of rows at a time; a row that
//! runs along the vectors is reduced by vectors and then across one.

use tilec_ir::{Axis, AxisSet, InstData, Op, ReduceOp, Value};
use tilec_vocab::DType;

use super::emit::{Buffer, Emitter, Kind, Result};
use super::eval::{Point, Val, constant};
use super::math::literal;

/// Sums made side by side, so that they do not wait for one another.
const MOST_SUMS: usize = 4;

/// What is reduced.
pub(super) struct Source {
    op: ReduceOp,
    over: Vec<Axis>,
    /// One value, or two to be multiplied.
    pub of: Vec<Value>,
    pub kind: Kind,
    /// Of the result.
    pub dtype: DType,
    /// The axis its vectors run along.
    inner: Option<Axis>,
}

/// What a reduction has so far, in stack slots.
pub(super) struct Sum {
    slot: String,
    /// Of a greatest or least float: whether no NaN has come. The instruction that takes the greater of two forgets one.
    ordered: Option<String>,
    vector: bool,
}

impl Emitter<'_> {
    pub fn source(&mut self, data: &InstData) -> Result<Source> {
        let (op, over) = match &data.op {
            Op::Reduce(op, over) => (*op, over.to_vec()),
            Op::Dot(over, _) => (ReduceOp::Sum, over.to_vec()),
            _ => return self.unsupported("a reduction of another op", data.span),
        };
        let of = data.args.to_vec();
        let axes = of.iter().fold(AxisSet::new(), |set, &value| set.union(self.axes(value)));
        let (dtype, kind) = (self.dtype(data.results[0]), self.kind(data.results[0]));
        let inner = of.iter().find_map(|&value| self.layouts.inner(value));
        let inner = inner.or_else(|| axes.iter().next_back());
        Ok(Source { op, over, of, kind, dtype, inner })
    }

    /// A reduction over every axis.
    pub fn reduce_to_scalar(&mut self, data: &InstData) -> Result<String> {
        let source = self.source(data)?;
        self.reduce_across(&source, &Point::default())
    }

    /// A reduction over some axes.
    pub fn reduce_to_tile(&mut self, data: &InstData, into: &Buffer) -> Result<()> {
        let source = self.source(data)?;
        let axes = self.axes(data.results[0]);
        if source.inner.is_some_and(|inner| axes.contains(inner)) {
            return self.reduce_beside(&source, axes, into);
        }
        self.nest(axes.as_slice(), None, &mut |this, point| {
            let text = this.reduce_across(&source, point)?;
            this.write(into, axes, point, &Val::uniform(text));
            Ok(())
        })
    }

    /// Vectors of rows.
    fn reduce_beside(&mut self, source: &Source, axes: &AxisSet, into: &Buffer) -> Result<()> {
        let width = self.host.lanes;
        let inner = into.inner;
        let vectors = self.extent(inner).div_ceil(width);
        let at_once = (1..=MOST_SUMS).rev().find(|n| vectors.is_multiple_of(*n)).unwrap_or(1);
        // Where there are few vectors, several steps each have a sum.
        let (over, last) = match source.over[..] {
            [ref over @ .., last] => (over, Some(last)),
            [] => (&[][..], None),
        };
        let fits = |ways: &usize| last.is_some_and(|last| self.is_whole(last, *ways));
        let ways = [MOST_SUMS, 2]
            .into_iter()
            .find(|ways| ways * at_once <= MOST_SUMS && *ways > 1 && fits(ways))
            .unwrap_or(1);
        let outer: Vec<Axis> = axes.iter().filter(|&axis| axis != inner).collect();
        let (count, step) = (self.count(inner), (width * at_once).to_string());
        let sums: Vec<Sum> = (0..at_once * ways).map(|_| self.sum_slot(source, true)).collect();
        self.nest(&outer, None, &mut |this, point| {
            let opened = this.text.open_loop("0", &count, &step);
            let mut bases = Vec::new();
            for n in 0..at_once {
                let base = format_args!("add nuw nsw i64 {}, {}", opened.at, n * width);
                bases.push(this.text.def(base));
            }
            for sum in &sums {
                this.start_sum(source, sum);
            }
            this.nest_from(point, over, None, &mut |this, point| {
                let steps = last.map(|last| {
                    let count = this.count(last);
                    this.text.open_loop("0", &count, &ways.to_string())
                });
                for (n, sum) in sums.iter().enumerate() {
                    let mut point = point.along(inner, &bases[n / ways]);
                    if let (Some(last), Some(steps)) = (last, &steps) {
                        let at = format_args!("add nuw nsw i64 {}, {}", steps.at, n % ways);
                        let at = this.text.def(at);
                        point = point.with(last, &at);
                    }
                    let val = this.term(source, &mut point)?;
                    let val = this.lift(&val, source.kind.lane());
                    this.accumulate(source, sum, &val);
                }
                if let Some(steps) = steps {
                    this.text.close_loop(steps);
                }
                Ok(())
            })?;
            for (sums, base) in sums.chunks(ways).zip(&bases) {
                let sum = this.total_of(source, sums.iter());
                let sum = this.rounded(sum, source.dtype, true);
                this.write(into, axes, &point.along(inner, base), &Val::lanes(sum));
            }
            this.text.close_loop(opened);
            Ok(())
        })
    }

    /// One row, at a point of the kept axes.
    fn reduce_across(&mut self, source: &Source, point: &Point) -> Result<String> {
        let Some(inner) = source.inner.filter(|axis| source.over.contains(axis)) else {
            let sum = self.sum_slot(source, false);
            self.start_sum(source, &sum);
            self.nest_from(point, &source.over, None, &mut |this, point| {
                let val = this.term(source, point)?;
                this.accumulate(source, &sum, &val.text);
                Ok(())
            })?;
            let total = self.total(source, &sum);
            return Ok(self.rounded(total, source.dtype, false));
        };
        let ty = self.ty(source.kind, true);
        let identity = self.identity(source, true);
        let sum = self.sum_slot(source, true);
        self.start_sum(source, &sum);
        let rest: Vec<Axis> = source.over.iter().copied().filter(|&axis| axis != inner).collect();
        self.nest_from(point, &rest, Some(inner), &mut |this, point| {
            let val = this.term(source, point)?;
            let mut val = this.lift(&val, source.kind.lane());
            if !this.is_whole(inner, this.host.lanes) {
                let (count, base) = (this.count(inner), point.vector.clone().map(|(_, base)| base));
                let left = format!("sub i64 {count}, {}", base.unwrap_or_default());
                let left = this.text.def(left);
                let mask = this.lanes_below(&left);
                let masks = this.lanes_of("i1", true);
                let some = format_args!("select {masks} {mask}, {ty} {val}, {ty} {identity}");
                val = this.text.def(some);
            }
            this.accumulate(source, &sum, &val);
            Ok(())
        })?;
        let lanes = self.total(source, &sum);
        let total = self.across(source, &ty, &lanes);
        Ok(self.rounded(total, source.dtype, false))
    }

    fn term(&mut self, source: &Source, point: &mut Point) -> Result<Val> {
        match source.of[..] {
            [a, b] => self.product(a, b, point),
            _ => self.eval(source.of[0], point),
        }
    }

    pub fn identity(&self, source: &Source, vector: bool) -> String {
        let text = constant(source.op.identity(source.dtype));
        literal(source.kind.lane(), text, vector)
    }

    /// Room for a reduction.
    pub fn sum_slot(&mut self, source: &Source, vector: bool) -> Sum {
        let ty = self.ty(source.kind, vector);
        let watches =
            source.kind == Kind::Float && matches!(source.op, ReduceOp::Max | ReduceOp::Min);
        let mask = self.ty(Kind::Bool, vector);
        let slot = self.text.slot(&ty);
        Sum { slot, ordered: watches.then(|| self.text.slot(&mask)), vector }
    }

    pub fn start_sum(&mut self, source: &Source, sum: &Sum) {
        let (ty, identity) = (self.ty(source.kind, sum.vector), self.identity(source, sum.vector));
        self.text.line(format_args!("store {ty} {identity}, ptr {}", sum.slot));
        if let Some(ordered) = &sum.ordered {
            let (mask, all) = (self.ty(Kind::Bool, sum.vector), literal("i1", "true", sum.vector));
            self.text.line(format_args!("store {mask} {all}, ptr {ordered}"));
        }
    }

    pub fn accumulate(&mut self, source: &Source, sum: &Sum, val: &str) {
        let v = sum.vector;
        let ty = self.ty(source.kind, v);
        let old = self.text.def(format_args!("load {ty}, ptr {}", sum.slot));
        let new = match (source.op, source.kind) {
            (ReduceOp::Sum, Kind::Float) => self.fop("fadd contract", v, &old, val),
            (ReduceOp::Sum, _) => self.text.def(format_args!("add {ty} {old}, {val}")),
            (ReduceOp::Max, Kind::Float) => self.greater("ogt", sum, &old, val),
            (ReduceOp::Min, Kind::Float) => self.greater("olt", sum, &old, val),
            (ReduceOp::Max, kind) => self.intrinsic("smax", kind, v, &[&old, val]),
            (ReduceOp::Min, kind) => self.intrinsic("smin", kind, v, &[&old, val]),
            (ReduceOp::All, _) => self.text.def(format_args!("and {ty} {old}, {val}")),
            (ReduceOp::Any, _) => self.text.def(format_args!("or {ty} {old}, {val}")),
        };
        self.text.line(format_args!("store {ty} {new}, ptr {}", sum.slot));
    }

    /// The greater or less of two; notes NaN beside.
    fn greater(&mut self, order: &str, sum: &Sum, old: &str, val: &str) -> String {
        let (ty, mask) = (self.ty(Kind::Float, sum.vector), self.ty(Kind::Bool, sum.vector));
        let better = self.text.def(format_args!("fcmp {order} {ty} {old}, {val}"));
        if let Some(ordered) = &sum.ordered {
            let number = self.text.def(format_args!("fcmp ord {ty} {val}, {val}"));
            let so_far = self.text.def(format_args!("load {mask}, ptr {ordered}"));
            let so_far = self.text.def(format_args!("and {mask} {so_far}, {number}"));
            self.text.line(format_args!("store {mask} {so_far}, ptr {ordered}"));
        }
        self.text.def(format_args!("select {mask} {better}, {ty} {old}, {ty} {val}"))
    }

    /// What several parts of a reduction came to.
    pub fn total_of<'s>(
        &mut self,
        source: &Source,
        mut parts: impl Iterator<Item = &'s Sum>,
    ) -> String {
        let Some(first) = parts.next() else { return self.identity(source, true) };
        for part in parts {
            let part = self.total(source, part);
            self.accumulate(source, first, &part);
        }
        self.total(source, first)
    }

    /// What a reduction came to.
    pub fn total(&mut self, source: &Source, sum: &Sum) -> String {
        let ty = self.ty(source.kind, sum.vector);
        let total = self.text.def(format_args!("load {ty}, ptr {}", sum.slot));
        let Some(ordered) = &sum.ordered else { return total };
        let mask = self.ty(Kind::Bool, sum.vector);
        let ordered = self.text.def(format_args!("load {mask}, ptr {ordered}"));
        let nan = literal("float", "0x7FF8000000000000", sum.vector);
        self.text.def(format_args!("select {mask} {ordered}, {ty} {total}, {ty} {nan}"))
    }

    /// The lanes of one vector together.
    fn across(&mut self, source: &Source, ty: &str, lanes: &str) -> String {
        let width = self.host.lanes;
        let name = match (source.op, source.kind) {
            (ReduceOp::Sum, Kind::Float) => "fadd",
            (ReduceOp::Sum, _) => "add",
            (ReduceOp::Max, Kind::Float) => "fmaximum",
            (ReduceOp::Min, Kind::Float) => "fminimum",
            (ReduceOp::Max, _) => "smax",
            (ReduceOp::Min, _) => "smin",
            (ReduceOp::All, _) => "and",
            (ReduceOp::Any, _) => "or",
        };
        let (lane, element) = match source.kind {
            Kind::Float => ("float", "f32"),
            Kind::Int => ("i64", "i64"),
            Kind::Bool => ("i1", "i1"),
        };
        let name = format!("llvm.vector.reduce.{name}.v{width}{element}");
        if source.op == ReduceOp::Sum && source.kind == Kind::Float {
            // From -0, the zero that changes nothing; in any order.
            let start = super::eval::float(-0.0);
            return self.text.call_flags("reassoc", lane, &name, &[(lane, &start), (ty, lanes)]);
        }
        self.text.call(lane, &name, &[(ty, lanes)])
    }
}
