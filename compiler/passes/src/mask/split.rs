//! Splits a loop over blocks into consecutive loops of one class each.
//!
//! ```text
//! for n: 64 = 0 .. N {                        for n: 64 = 0 .. f { p = s }             full: no mask
//!   %c = compare.le %n, %m           ->       for n: 64 = f .. e { select as written } mixed
//!   select %c, %s, -inf                                                                dead: not run
//! }
//! ```
//!
//! Stands after `hoist`, so that scalars loaded in the loop are known before it, and before the
//! last `fold`, which takes the constant masks of the full copy away. The order of blocks is kept, so the result is
//! the same bit for bit where no dead block is left out. It gives up, and copies the loop as it is, when no class but
//! mixed is found.

use std::collections::BTreeSet;

use tilec_ir::{
    Axis, BinaryOp, Block, Builder, CompareOp, Copier, Extent, Imm, Inst, Kernel, Op, ReduceOp,
    Value, ValueDef,
};
use tilec_vocab::Bug;

use super::classify::Interval;
use super::expr::Expr;
use super::plan::{Plan, plan};
use super::scope::Scope;

/// The kernel with every loop split that has blocks of more than one class.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    let scope = Scope::new(kernel);
    let mut new = Kernel::like(kernel);
    let mut to = Builder::new(&mut new);
    let mut splitter = Splitter { scope: &scope, copier: Copier::new(), known_true: Vec::new() };
    splitter.copy_insts(kernel.body, &mut to);
    Ok(new)
}

struct Splitter<'s, 'k> {
    scope: &'s Scope<'k>,
    copier: Copier,
    /// Conditions that hold in every lane where we are.
    known_true: Vec<Value>,
}

/// A copy of a loop over some of its blocks.
struct Piece {
    from: Value,
    to: Value,
    full: bool,
}

impl<'k> Splitter<'_, 'k> {
    fn copy_insts(&mut self, block: Block, to: &mut Builder<'_>) {
        let kernel = self.scope.kernel;
        for &inst in &kernel.blocks[block].insts {
            self.copy_inst(inst, to);
        }
    }

    fn copy_inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        let kernel: &'k Kernel = self.scope.kernel;
        let data = &kernel.insts[inst];
        if let Some(plan) = self.worthwhile(inst) {
            let span = std::mem::replace(&mut to.span, data.span);
            let results = self.split(&plan, to);
            for (&old, new) in data.results.iter().zip(results) {
                to.kernel.values[new].name.clone_from(&kernel.values[old].name);
                self.copier.map(old, new);
            }
            to.span = span;
            return;
        }
        if let &[result] = data.results.as_slice()
            && self.known_true.contains(&result)
        {
            let truth = to.constant(Imm::Bool(true), tilec_ir::Elem::BOOL);
            let axes = self.copier.ty(kernel.ty(result)).axes;
            let truth = if axes.is_empty() { truth } else { to.splat(truth, &axes) };
            self.copier.map(result, truth);
            return;
        }
        if data.blocks.is_empty() {
            self.copier.copy(kernel, inst, to);
            return;
        }
        if let Op::For(Some(axis)) = data.op {
            self.copier.copy_axis(kernel, axis, to, |_| {});
        }
        let blocks = data.blocks.iter().map(|&block| self.copy_block(block, to)).collect();
        self.copier.copy_with_blocks(kernel, data, blocks, to);
    }

    fn copy_block(&mut self, block: Block, to: &mut Builder<'_>) -> Block {
        let new = self.copier.copy_params(self.scope.kernel, block, to);
        let outer = std::mem::replace(&mut to.block, new);
        self.copy_insts(block, to);
        to.block = outer;
        new
    }

    /// The plan of a loop, if some block of it can be better than mixed.
    fn worthwhile(&self, inst: Inst) -> Option<Plan> {
        let plan = plan(self.scope, inst)?;
        let all_run = plan.live.iter().any(Interval::is_all);
        let all_mixed = plan.mixed.iter().any(Interval::is_all);
        let nothing_to_say = plan.mixed.is_empty() && plan.conditions.is_empty() && !plan.ragged;
        let already_full = self.scope.kernel.axes[plan.blocks.axis].full;
        let gains_nothing = all_run && (all_mixed || (nothing_to_say && already_full));
        if gains_nothing && plan.tests.is_empty() { None } else { Some(plan) }
    }

    fn split(&mut self, plan: &Plan, to: &mut Builder<'_>) -> Vec<Value> {
        let kernel = self.scope.kernel;
        let data = &kernel.insts[plan.inst];
        let initial = self.copier.values(&data.args[2..]);
        let count = plan.blocks.count();
        let safe = self.guard(plan, to);
        let ends = Ends { count: count.clone(), safe };

        if let [live] = plan.live.as_slice()
            && let Some((first, second)) = two_halves(&plan.mixed)
        {
            // One boundary between full and mixed blocks: two loops in a row.
            let from = self.end(&live.from, &Expr::Int(0), &ends, to);
            let until = self.end(&live.to, &count, &ends, to);
            let until = to.binary(BinaryOp::Max, from, until);
            let boundary = match second {
                Some(boundary) => {
                    // Where the end points cannot be trusted every block is mixed.
                    let all_mixed = if first { &count } else { &Expr::Int(0) };
                    let at = self.guarded(boundary, all_mixed, &ends, to);
                    clamp(at, from, until, to)
                }
                None => until,
            };
            return self.two_loops(
                plan,
                first,
                [from, boundary, until],
                initial,
                second.is_some(),
                to,
            );
        }
        self.segments(plan, &ends, initial, to)
    }

    /// `mixed_first`: mixed blocks up to the boundary, then full ones; else full ones first.
    fn two_loops(
        &mut self,
        plan: &Plan,
        mixed_first: bool,
        [from, boundary, until]: [Value; 3],
        initial: Vec<Value>,
        both: bool,
        to: &mut Builder<'_>,
    ) -> Vec<Value> {
        let mut carried = initial;
        if !both {
            let piece = self.piece(plan, from, until, !mixed_first, to);
            return self.emit(plan, &piece, &carried, to);
        }
        for (a, b, full) in [(from, boundary, !mixed_first), (boundary, until, mixed_first)] {
            let piece = self.piece(plan, a, b, full, to);
            carried = self.emit(plan, &piece, &carried, to);
        }
        carried
    }

    /// The general case: a few rounds of "skip dead blocks, run mixed ones, run full ones", each
    /// boundary found by looking for the next interval. One mixed and one full copy of the body.
    fn segments(
        &mut self,
        plan: &Plan,
        ends: &Ends,
        initial: Vec<Value>,
        to: &mut Builder<'_>,
    ) -> Vec<Value> {
        let zero = to.int(0);
        let count = ends.count.emit(self.scope, &self.copier, to);
        let live = self.intervals(&plan.live, ends, to);
        let mixed = self.intervals(&plan.mixed, ends, to);
        // Each round ends at the start of a mixed or the end of a live interval.
        let rounds = to.int((plan.mixed.len() + plan.live.len() + 1) as i64);

        let types: Vec<_> = std::iter::repeat_n(tilec_ir::Type::scalar(tilec_ir::Elem::I64), 2)
            .chain(initial.iter().map(|&v| to.kernel.ty(v).clone()))
            .collect();
        let body = to.new_block(types);
        let params = to.kernel.blocks[body].params.clone();
        let outer = std::mem::replace(&mut to.block, body);

        let at = next_inside(params[1], &live, count, to);
        let live_end = end_of_run(at, &live, to);
        let mixed_end = end_of_run(at, &mixed, to);
        let mixed_end = to.binary(BinaryOp::Min, mixed_end, live_end);
        let piece = self.piece(plan, at, mixed_end, false, to);
        let carried = self.emit(plan, &piece, &params[2..], to);
        let full_end = next_inside(mixed_end, &mixed, count, to);
        let full_end = to.binary(BinaryOp::Min, full_end, live_end);
        let full_end = to.binary(BinaryOp::Max, full_end, mixed_end);
        let piece = self.piece(plan, mixed_end, full_end, true, to);
        let carried = self.emit(plan, &piece, &carried, to);
        let yielded: Vec<Value> = std::iter::once(full_end).chain(carried).collect();
        to.yield_values(&yielded);

        to.block = outer;
        let start: Vec<Value> = std::iter::once(zero).chain(initial).collect();
        let results = to.for_loop(None, zero, rounds, &start, body);
        results[1..].to_vec()
    }

    /// Clamped end points of intervals, as values.
    fn intervals(
        &mut self,
        intervals: &[Interval],
        ends: &Ends,
        to: &mut Builder<'_>,
    ) -> Vec<(Value, Value)> {
        intervals
            .iter()
            .map(|interval| {
                let from = self.end(&interval.from, &Expr::Int(0), ends, to);
                let until = self.end(&interval.to, &ends.count, ends, to);
                (from, until)
            })
            .collect()
    }

    /// An end point between 0 and the number of blocks; `default` where there is none.
    fn end(
        &mut self,
        end: &Option<Expr>,
        default: &Expr,
        ends: &Ends,
        to: &mut Builder<'_>,
    ) -> Value {
        let Some(end) = end else { return default.emit(self.scope, &self.copier, to) };
        let end = self.guarded(end, default, ends, to);
        let zero = to.int(0);
        let count = ends.count.emit(self.scope, &self.copier, to);
        clamp(end, zero, count, to)
    }

    /// An end point, or `fallback` where it was computed from numbers too large to trust.
    fn guarded(&self, end: &Expr, fallback: &Expr, ends: &Ends, to: &mut Builder<'_>) -> Value {
        let value = end.emit(self.scope, &self.copier, to);
        let Some(safe) = ends.safe else { return value };
        let fallback = fallback.emit(self.scope, &self.copier, to);
        to.select(safe, value, fallback)
    }

    /// Whether every number the classes are made of is small enough, where that is not known.
    fn guard(&self, plan: &Plan, to: &mut Builder<'_>) -> Option<Value> {
        let mut safe = None;
        for &value in &plan.guards {
            let value = self.copier.value(value);
            let axes: Vec<Axis> = to.kernel.ty(value).axes.iter().collect();
            let limit = to.int(1 << 48);
            let low = to.int(-(1 << 48));
            let below = to.compare(CompareOp::Lt, value, limit);
            let above = to.compare(CompareOp::Gt, value, low);
            let mut small = to.binary(BinaryOp::And, below, above);
            if !axes.is_empty() {
                small = to.reduce(tilec_ir::ReduceOp::All, small, &axes);
            }
            safe = Some(match safe {
                Some(so_far) => to.binary(BinaryOp::And, so_far, small),
                None => small,
            });
        }
        safe
    }

    /// Blocks `from..until` as a range of indices.
    fn piece(
        &self,
        plan: &Plan,
        from: Value,
        until: Value,
        full: bool,
        to: &mut Builder<'_>,
    ) -> Piece {
        let data = &self.scope.kernel.insts[plan.inst];
        let lo = self.copier.value(data.args[0]);
        let hi = self.copier.value(data.args[1]);
        let index = |block: Value, to: &mut Builder<'_>| {
            let step = to.int(plan.blocks.step);
            let offset = to.binary(BinaryOp::Mul, block, step);
            to.binary(BinaryOp::Add, lo, offset)
        };
        let first = index(from, to);
        let past = index(until, to);
        let past = if full { past } else { to.binary(BinaryOp::Min, past, hi) };
        Piece { from: first, to: past, full }
    }

    /// A copy of the loop over one piece. In a full one every lane is present and every mask true.
    fn emit(
        &mut self,
        plan: &Plan,
        piece: &Piece,
        carried: &[Value],
        to: &mut Builder<'_>,
    ) -> Vec<Value> {
        let kernel = self.scope.kernel;
        let block = kernel.insts[plan.inst].blocks[0];
        let outside = (self.copier.clone(), self.known_true.len());
        let full = piece.full;
        let extent = Extent::Const(plan.blocks.step);
        let axis = self.copier.copy_axis(kernel, plan.blocks.axis, to, |axis| {
            axis.extent = extent;
            axis.full |= full;
        });
        if full {
            self.known_true.extend(plan.conditions.iter().map(|condition| condition.value));
        }
        let body = if full || plan.tests.is_empty() {
            self.copy_block(block, to)
        } else {
            self.tested_block(plan, block, to)
        };
        self.copier = outside.0;
        self.known_true.truncate(outside.1);
        to.for_loop(Some(axis), piece.from, piece.to, carried, body).to_vec()
    }
}

/// Blocks that are tested as they come.
impl<'k> Splitter<'_, 'k> {
    /// The body behind the question whether any lane, and whether every lane, meets the masks.
    fn tested_block(&mut self, plan: &Plan, block: Block, to: &mut Builder<'_>) -> Block {
        let kernel: &'k Kernel = self.scope.kernel;
        let new = self.copier.copy_params(kernel, block, to);
        let outer = std::mem::replace(&mut to.block, new);
        let carried = to.kernel.blocks[new].params[1..].to_vec();
        let types: Vec<_> = carried.iter().map(|&v| to.kernel.ty(v).clone()).collect();
        let run = self.all_of(&plan.tests, ReduceOp::Any, block, to);
        let before = self.copier.clone();

        let live = to.new_block([]);
        to.block = live;
        if plan.decides_full() {
            let conditions: Vec<Value> = plan.conditions.iter().map(|c| c.value).collect();
            let whole = self.all_of(&conditions, ReduceOp::All, block, to);
            let known = self.known_true.len();
            self.known_true.extend(conditions);
            let full = self.branch(block, to);
            self.known_true.truncate(known);
            let mixed = self.branch(block, to);
            to.block = live;
            let results = to.if_else(whole, full, mixed, types.clone()).to_vec();
            to.yield_values(&results);
        } else {
            self.copy_insts(block, to);
        }
        self.copier = before;

        let dead = to.new_block([]);
        to.block = dead;
        to.yield_values(&carried);
        to.block = new;
        let results = to.if_else(run, live, dead, types).to_vec();
        to.yield_values(&results);
        to.block = outer;
        new
    }

    /// A copy of a body as a branch of its own.
    fn branch(&mut self, block: Block, to: &mut Builder<'_>) -> Block {
        let before = self.copier.clone();
        let new = to.new_block([]);
        let outer = std::mem::replace(&mut to.block, new);
        self.copy_insts(block, to);
        to.block = outer;
        self.copier = before;
        new
    }

    /// Whether each condition holds in any lane, or in all.
    fn all_of(
        &mut self,
        conditions: &[Value],
        op: ReduceOp,
        block: Block,
        to: &mut Builder<'_>,
    ) -> Value {
        let inside = self.scope.inside(block);
        let mut result = None;
        for &condition in conditions {
            self.copy_slice(condition, &inside, to);
            let mut holds = self.copier.value(condition);
            let axes: Vec<Axis> = to.kernel.ty(holds).axes.iter().collect();
            if !axes.is_empty() {
                holds = to.reduce(op, holds, &axes);
            }
            result = Some(match result {
                None => holds,
                Some(so_far) => to.binary(BinaryOp::And, so_far, holds),
            });
        }
        result.unwrap_or_else(|| to.constant(Imm::Bool(true), tilec_ir::Elem::BOOL))
    }

    /// Copies what a condition is computed from, ahead of its place.
    fn copy_slice(&mut self, value: Value, inside: &BTreeSet<Block>, to: &mut Builder<'_>) {
        let kernel: &'k Kernel = self.scope.kernel;
        let mut done = BTreeSet::new();
        let mut work = vec![(value, false)];
        while let Some((value, operands_done)) = work.pop() {
            let ValueDef::Result(inst, _) = kernel.values[value].def else { continue };
            let is_inside = self.scope.home(inst).is_some_and(|home| inside.contains(&home));
            if !is_inside || done.contains(&inst) {
                continue;
            }
            if operands_done {
                self.copier.copy(kernel, inst, to);
                done.insert(inst);
            } else {
                work.push((value, true));
                work.extend(kernel.insts[inst].args.iter().map(|&arg| (arg, false)));
            }
        }
    }
}

/// What every end point is clamped to, and whether they can be trusted.
struct Ends {
    count: Expr,
    safe: Option<Value>,
}

/// Whether mixed blocks come in one run at the start or the end of the loop, and where the
/// boundary is: `(mixed first, boundary)`. No boundary: all blocks are of one kind.
fn two_halves(mixed: &[Interval]) -> Option<(bool, Option<&Expr>)> {
    match mixed {
        [] => Some((false, None)),
        [Interval { from: None, to: None }] => Some((true, None)),
        [Interval { from: Some(boundary), to: None }] => Some((false, Some(boundary))),
        [Interval { from: None, to: Some(boundary) }] => Some((true, Some(boundary))),
        _ => None,
    }
}

fn clamp(value: Value, low: Value, high: Value, to: &mut Builder<'_>) -> Value {
    let value = to.binary(BinaryOp::Max, value, low);
    to.binary(BinaryOp::Min, value, high)
}

/// The least block at or after `at` that lies in some interval; `count` where there is none.
fn next_inside(
    at: Value,
    intervals: &[(Value, Value)],
    count: Value,
    to: &mut Builder<'_>,
) -> Value {
    let mut next = count;
    for &(from, until) in intervals {
        let candidate = to.binary(BinaryOp::Max, from, at);
        let inside = to.compare(CompareOp::Lt, candidate, until);
        let candidate = to.select(inside, candidate, count);
        next = to.binary(BinaryOp::Min, next, candidate);
    }
    next
}

/// The end of the run of intervals that holds `at`; `at` itself where none does.
fn end_of_run(at: Value, intervals: &[(Value, Value)], to: &mut Builder<'_>) -> Value {
    let mut end = at;
    for _ in intervals {
        for &(from, until) in intervals {
            let begun = to.compare(CompareOp::Le, from, end);
            let longer = to.compare(CompareOp::Lt, end, until);
            let extends = to.binary(BinaryOp::And, begun, longer);
            end = to.select(extends, until, end);
        }
    }
    end
}
