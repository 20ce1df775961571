//! What to do with one loop: which blocks run, and which of them without a mask.

use std::collections::BTreeSet;

use tilec_ir::{
    Axis, BinaryOp, Extent, Imm, Inst, Kernel, Op, ParamType, UnaryOp, Value, ValueDef,
};
use tilec_vocab::{DType, HostExpr, HostOp};

use super::classify::{Blocks, Interval};
use super::expr::{Expr, name};
use super::formula::{Formula, Input};
use super::harmless::{self, Spoilt};
use super::linear::{Form, Reader, Term};
use super::logic::{Atom, disjunction};
use super::scope::Scope;

/// Endpoints are computed in 64 bits; what they are made of is known or checked to stay below this.
const SAFE: i64 = 1 << 48;

/// A condition that guards something in the loop's body.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The condition.
    pub value: Value,
    /// As source text cannot be seen here: where it stands.
    pub inst: Inst,
    /// What no linear form was found for, by name; empty where the whole condition is understood.
    pub opaque: Vec<String>,
    /// Whether blocks where it is false everywhere may be left out, or what forbids it.
    pub harmless: Result<(), String>,
}

/// The classes of a loop's blocks.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The loop.
    pub inst: Inst,
    /// Its blocks.
    pub blocks: Blocks,
    /// Conditions found in its body.
    pub conditions: Vec<Condition>,
    /// Blocks outside all of these are dead.
    pub live: Vec<Interval>,
    /// Blocks outside all of these are full; the others run with their masks.
    pub mixed: Vec<Interval>,
    /// Whether the last block may have absent lanes.
    pub ragged: bool,
    /// Scalars that must be checked to be smaller than 2^48 in size before the classes are trusted.
    pub guards: Vec<Value>,
    /// Conditions for which the intervals may be wider than need be: each mixed block is tested as it comes, and left
    /// out if one of these holds nowhere in it.
    pub tests: Vec<Value>,
}

impl Plan {
    /// Whether a tested block can also be found full: nothing about it depends on data.
    pub fn decides_full(&self) -> bool {
        !self.tests.is_empty() && self.conditions.iter().all(|c| c.opaque.is_empty())
    }
}

/// The plan for `inst`, a `for` over blocks of an axis; `None` for any other instruction.
pub fn plan(scope: &Scope<'_>, inst: Inst) -> Option<Plan> {
    let kernel = scope.kernel;
    let data = &kernel.insts[inst];
    let Op::For(Some(axis)) = data.op else { return None };
    let Extent::Const(step) = kernel.axes[axis].extent else { return None };
    let body = scope.inside(data.blocks[0]);
    let invariant = |value: Value| scope.block_of(value).is_some_and(|b| !body.contains(&b));
    let in_reach = |a: Axis| a == axis || !body.contains(&scope.declared_in(a));
    let reader = Reader { scope, invariant: &invariant, in_reach: &in_reach };

    let bound = |value: Value| reader.form(value).map_or(Expr::Value(value), |f| f.greatest());
    let blocks = Blocks { axis, lo: bound(data.args[0]), hi: bound(data.args[1]), step };

    let mut conditions = Vec::new();
    let mut live: Vec<Interval> = vec![Interval::default()];
    let mut mixed: Vec<Interval> = Vec::new();
    let mut tests = Vec::new();
    for value in conditions_of(kernel, inst) {
        let holds = disjunction(&reader, value, false);
        let fails = disjunction(&reader, value, true);
        let opaque: BTreeSet<String> = holds
            .iter()
            .chain(&fails)
            .flatten()
            .filter_map(|atom| match atom {
                Atom::Opaque(value) => Some(name(kernel, *value)),
                Atom::AtLeastZero(_) => None,
            })
            .collect();
        let harmless =
            harmless::check(kernel, inst, value).map_err(|why| why_not(kernel, inst, why));
        let exact = [&holds, &fails].into_iter().flatten().all(|all| is_exact(all));
        if harmless.is_ok() && opaque.is_empty() && !exact && is_known_outside(scope, inst, value) {
            tests.push(value);
        }
        if harmless.is_ok() {
            live = intersect(&live, &blocks.met(&holds));
        }
        for interval in blocks.met(&fails) {
            if !mixed.contains(&interval) {
                mixed.push(interval);
            }
        }
        let opaque = opaque.into_iter().collect();
        conditions.push(Condition { value, inst, opaque, harmless });
    }
    let ragged = !kernel.axes[axis].full && !divides(scope, &reader, &data.args[..2], step);
    if ragged {
        mixed.push(Interval { from: Some(blocks.whole()), to: None });
    }
    let live = merge(live);
    let mixed = merge(mixed);
    let guards = guards(scope, &blocks, live.iter().chain(&mixed));
    Some(Plan { inst, blocks, conditions, live, mixed, ragged, guards, tests })
}

/// Whether no integer is lost between the lines of a conjunction: one comparison of lanes and numbers, or several of which
/// none weighs a lane or adds two.
fn is_exact(all: &[Atom]) -> bool {
    let forms = all.iter().filter_map(|atom| match atom {
        Atom::AtLeastZero(form) => Some(form),
        Atom::Opaque(_) => None,
    });
    let forms: Vec<_> = forms.collect();
    let plain = |term: &Term| matches!(term, Term::Index(_) | Term::Scalar(_));
    let simple = forms.iter().all(|form| form.terms.keys().all(plain));
    let difference = |form: &&Form| {
        let lanes = form.terms.iter().filter(|(term, _)| matches!(term, Term::Index(_)));
        let weights: Vec<i64> = lanes.map(|(_, &weight)| weight).collect();
        matches!(weights[..], [] | [1 | -1] | [1, -1] | [-1, 1])
    };
    simple && (forms.len() <= 1 || forms.iter().all(difference))
}

/// Whether a condition can be computed at the start of a loop's body.
fn is_known_outside(scope: &Scope<'_>, inst: Inst, condition: Value) -> bool {
    let kernel = scope.kernel;
    let body = kernel.insts[inst].blocks[0];
    let inner = scope.inside(body);
    Formula::of(scope, condition).is_ok_and(|formula| {
        formula.inputs.iter().all(|input| match input {
            Input::Index(axis) => {
                let declared = scope.declared_in(*axis);
                declared == body || !inner.contains(&declared)
            }
            Input::Program(_) | Input::Name(_) => true,
        })
    })
}

/// The conditions of `select`s in the body that are not known to be uniform and constant.
fn conditions_of(kernel: &Kernel, inst: Inst) -> Vec<Value> {
    let mut found = Vec::new();
    let mut todo: Vec<_> = kernel.insts[inst].blocks.to_vec();
    while let Some(block) = todo.pop() {
        for &inner in &kernel.blocks[block].insts {
            let data = &kernel.insts[inner];
            todo.extend(&data.blocks);
            if matches!(data.op, Op::Select) {
                let condition = data.args[0];
                let bool_logic = kernel.def(condition).is_some_and(|d| is_integer_logic(kernel, d));
                if bool_logic && !found.contains(&condition) {
                    found.push(condition);
                }
            }
        }
    }
    found
}

/// Whether a condition speaks of integers at least somewhere; comparisons of computed floats, such as
/// the guard of an empty row, are no masks.
fn is_integer_logic(kernel: &Kernel, data: &tilec_ir::InstData) -> bool {
    match &data.op {
        Op::Compare(_) => kernel.ty(data.args[0]).elem.is_int(),
        Op::Binary(BinaryOp::And | BinaryOp::Or)
        | Op::Unary(UnaryOp::Not)
        | Op::Splat
        | Op::Select => data
            .args
            .iter()
            .any(|&arg| kernel.def(arg).is_some_and(|d| is_integer_logic(kernel, d))),
        Op::Load(_) => true,
        _ => false,
    }
}

fn why_not(kernel: &Kernel, inst: Inst, why: Spoilt) -> String {
    match why {
        Spoilt::Writes(writer) => match kernel.insts[writer].op {
            Op::Store(param) | Op::AtomicAdd(param) => {
                format!("the body writes `{}`", kernel.params[param].name)
            }
            _ => "the body writes memory".to_string(),
        },
        Spoilt::Carried(n) => {
            let param = kernel.blocks[kernel.insts[inst].blocks[0]].params[n + 1];
            format!("`{}` may change there", name(kernel, param))
        }
    }
}

/// The same union with fewer intervals: those open at one end make one.
fn merge(intervals: Vec<Interval>) -> Vec<Interval> {
    let (mut to_end, mut from_start, mut merged): (Option<Expr>, Option<Expr>, Vec<Interval>) =
        (None, None, Vec::new());
    for interval in intervals {
        match (interval.from, interval.to) {
            (None, None) => return vec![Interval::default()],
            (Some(from), None) => {
                to_end = Some(to_end.map_or(from.clone(), |so_far| so_far.min(from)));
            }
            (None, Some(to)) => {
                from_start = Some(from_start.map_or(to.clone(), |so_far| so_far.max(to)));
            }
            (from, to) => merged.push(Interval { from, to }),
        }
    }
    merged.extend(from_start.map(|to| Interval { from: None, to: Some(to) }));
    merged.extend(to_end.map(|from| Interval { from: Some(from), to: None }));
    merged
}

/// Blocks in some interval of each list. Where the products would be many, the first list stands.
fn intersect(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    if a.len() * b.len() > 16 {
        return a.to_vec();
    }
    let mut found = Vec::new();
    for x in a {
        for y in b {
            let both = x.clone().and(y.clone());
            if !found.contains(&both) {
                found.push(both);
            }
        }
    }
    found
}

/// Whether `hi - lo` is a multiple of `step`, from constants and `require N % c == 0` clauses.
fn divides(scope: &Scope<'_>, reader: &Reader<'_, '_>, bounds: &[Value], step: i64) -> bool {
    let forms = reader.form(bounds[1]).zip(reader.form(bounds[0]));
    let Some(length) = forms.and_then(|(hi, lo)| hi.plus(-1, &lo)) else { return false };
    length.constant % step == 0
        && length.terms.iter().all(|(term, coefficient)| {
            let Term::Scalar(value) = term else { return coefficient % step == 0 };
            coefficient
                .checked_mul(known_divisor(scope.kernel, *value))
                .is_some_and(|c| c % step == 0)
        })
}

/// The greatest constant a `require` clause says a dimension is a multiple of; 1 where none does.
fn known_divisor(kernel: &Kernel, value: Value) -> i64 {
    let Some(Op::Dim(dim)) = kernel.def(value).map(|data| &data.op) else { return 1 };
    let dim = &kernel.dims[*dim].name;
    let facts = kernel.requires.iter().filter_map(|require| multiple_of(&require.expr, dim));
    facts.max().unwrap_or(1)
}

fn multiple_of(expr: &HostExpr, dim: &str) -> Option<i64> {
    let HostExpr::Binary(op, a, b) = expr else { return None };
    match (op, a.as_ref(), b.as_ref()) {
        (HostOp::And, a, b) => multiple_of(a, dim).max(multiple_of(b, dim)),
        (HostOp::Eq, HostExpr::Binary(HostOp::Rem, x, c), HostExpr::Int(0)) => {
            match (x.as_ref(), c.as_ref()) {
                (HostExpr::Name(name), HostExpr::Int(c)) if name == dim && *c > 0 => Some(*c),
                _ => None,
            }
        }
        _ => None,
    }
}

fn guards<'a>(
    scope: &Scope<'_>,
    blocks: &Blocks,
    intervals: impl Iterator<Item = &'a Interval>,
) -> Vec<Value> {
    let mut wide = BTreeSet::new();
    let mut visit = |leaf: &Expr| {
        let mut check = |value: Value| {
            if !is_small(scope, value, 0) {
                wide.insert(value);
            }
        };
        match leaf {
            Expr::Value(value) | Expr::Extreme(_, value) => check(*value),
            Expr::First(axis) | Expr::Last(axis) => {
                check(scope.start(*axis));
                check(scope.end(*axis));
            }
            _ => {}
        }
    };
    let ends = intervals.flat_map(|interval| [&interval.from, &interval.to]).flatten();
    for expr in ends.chain([&blocks.lo, &blocks.hi]) {
        expr.leaves(&mut visit);
    }
    wide.into_iter().collect()
}

/// Whether a value is below [`SAFE`] in size whatever the arguments: dimensions (the launcher
/// bounds them), 32-bit numbers, block starts, and short sums and products of those with constants.
fn is_small(scope: &Scope<'_>, value: Value, depth: usize) -> bool {
    let kernel = scope.kernel;
    let dtype = kernel.ty(value).elem.known();
    if matches!(dtype, Some(DType::I32 | DType::Bool)) {
        return true;
    }
    if depth > 6 {
        return false;
    }
    let ValueDef::Result(inst, _) = kernel.values[value].def else {
        return is_small_start(scope, value, depth);
    };
    let data = &kernel.insts[inst];
    let small = |n: usize| is_small(scope, data.args[n], depth + 1);
    let constant = |n: usize| match kernel.def(data.args[n]).map(|d| &d.op) {
        Some(Op::Const(Imm::Int(c))) => Some(*c),
        _ => None,
    };
    match &data.op {
        Op::Const(Imm::Int(n)) => n.abs() < SAFE,
        Op::Dim(_) | Op::Program(_) | Op::Generic(_) | Op::Index(_) => true,
        Op::Scalar(param) | Op::Load(param) => {
            let (ParamType::Scalar(elem) | ParamType::Tensor { elem, .. }) =
                &kernel.params[*param].ty;
            elem.known() == Some(DType::I32)
        }
        Op::Splat | Op::Cast => small(0),
        Op::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::Min | BinaryOp::Max) => {
            small(0) && small(1)
        }
        Op::Binary(BinaryOp::Div | BinaryOp::Rem) => small(0) && small(1),
        Op::Binary(BinaryOp::Mul) => {
            let factor = constant(0).or_else(|| constant(1));
            factor.is_some_and(|c| c.abs() <= 1 << 12) && small(0) && small(1)
        }
        Op::Select => small(1) && small(2),
        _ => false,
    }
}

/// The start of a loop's block lies between the loop's bounds.
fn is_small_start(scope: &Scope<'_>, value: Value, depth: usize) -> bool {
    let kernel = scope.kernel;
    let ValueDef::Param(block, 0) = kernel.values[value].def else { return false };
    kernel.walk().into_iter().any(|inst| {
        let data = &kernel.insts[inst];
        matches!(data.op, Op::For(_))
            && data.blocks.first() == Some(&block)
            && is_small(scope, data.args[0], depth + 1)
            && is_small(scope, data.args[1], depth + 1)
    })
}
