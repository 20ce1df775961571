//! Integers known from the text alone: `const` items and the choices of knobs.

use std::collections::BTreeMap;

use tilec_syntax::ast::{self, BinaryOp, Expr, ExprKind};
use tilec_vocab::{Diagnostic, codes};

use crate::import::{Item, Program};
use crate::ops::floor_div;
use crate::report::Sink;
use crate::scope::FileIndex;

/// Expressions that a constant may go through, counted each time.
const MAX_STEPS: usize = 10_000;
/// Expressions inside one another, through the constants they name.
const MAX_DEPTH: usize = 200;

/// What one evaluation may still cost.
pub(crate) struct Budget {
    steps: usize,
    depth: usize,
    /// The constants whose values are being worked out, outermost first.
    path: Vec<ConstId>,
    /// Those that have been.
    known: BTreeMap<ConstId, Option<i64>>,
}

/// A `const` item: its file, and its position among the file's items.
pub(crate) type ConstId = (FileIndex, usize);

impl Budget {
    /// A whole one.
    pub fn new() -> Budget {
        Budget { steps: MAX_STEPS, depth: MAX_DEPTH, path: Vec::new(), known: BTreeMap::new() }
    }
}

/// Why there is no value: a report to make, or nothing where it has been made.
pub(crate) type Problem = Option<Box<Diagnostic>>;

/// The value of every `const` item, each worked out once; `None` where there is none, which is
/// reported.
pub(crate) fn all(program: &Program, sink: &mut Sink) -> BTreeMap<ConstId, Option<i64>> {
    let mut budget = Budget::new();
    for file in (0..program.files.len() as u32).map(FileIndex) {
        for at in 0..program.file(file).ast.items.len() {
            budget.steps = MAX_STEPS;
            if let ast::Item::Const(constant) = &program.file(file).ast.items[at]
                && let Err(Some(report)) = item_value(program, (file, at), constant, &mut budget)
            {
                sink.add(*report);
            }
        }
    }
    budget.known
}

fn item_value(
    program: &Program,
    id: ConstId,
    constant: &ast::Const,
    budget: &mut Budget,
) -> Result<i64, Problem> {
    if let Some(value) = budget.known.get(&id).or_else(|| program.constants.get(&id)) {
        return value.ok_or(None);
    }
    if let Some(from) = budget.path.iter().position(|other| *other == id) {
        return Err(needs_itself(program, &budget.path[from..]));
    }
    budget.path.push(id);
    let result = value(program, id.0, &constant.value, budget);
    budget.path.pop();
    budget.known.insert(id, result.as_ref().ok().copied());
    result
}

/// The value of an expression over integers and `const` items of a file.
pub(crate) fn value(
    program: &Program,
    file: FileIndex,
    expr: &Expr,
    budget: &mut Budget,
) -> Result<i64, Problem> {
    if budget.steps == 0 || budget.depth == 0 {
        return Err(report(Diagnostic::error(
            codes::E0603,
            expr.span,
            "too many constants are needed to work out this one",
            format!("more than {MAX_STEPS} steps, or {MAX_DEPTH} constants behind one another"),
        )));
    }
    budget.steps -= 1;
    budget.depth -= 1;
    let result = inner_value(program, file, expr, budget);
    budget.depth += 1;
    result
}

fn inner_value(
    program: &Program,
    file: FileIndex,
    expr: &Expr,
    budget: &mut Budget,
) -> Result<i64, Problem> {
    match &expr.kind {
        ExprKind::Int(value) => Ok(*value),
        ExprKind::Paren(inner) => value(program, file, inner, budget),
        ExprKind::Neg(inner) => {
            let inner = value(program, file, inner, budget)?;
            inner.checked_neg().ok_or_else(|| out_of_range(expr))
        }
        ExprKind::Chain { first, rest } => {
            let mut left = value(program, file, first, budget)?;
            for (op, right) in rest {
                let by = value(program, file, right, budget)?;
                left = apply(*op, left, by, expr, right)?;
            }
            Ok(left)
        }
        ExprKind::Name(name) => named(program, file, expr, name, budget),
        ExprKind::Call { function, args, over } => {
            call(program, file, expr, (function, args, over), budget)
        }
        ExprKind::Error => Err(None),
        ExprKind::Float(_)
        | ExprKind::Bool(_)
        | ExprKind::Compare { .. }
        | ExprKind::Not(_)
        | ExprKind::Cast { .. }
        | ExprKind::Index { .. }
        | ExprKind::Closure { .. }
        | ExprKind::Tuple(_) => Err(not_constant(expr)),
    }
}

fn named(
    program: &Program,
    file: FileIndex,
    expr: &Expr,
    name: &str,
    budget: &mut Budget,
) -> Result<i64, Problem> {
    let Some(named) = program.find(file, name) else { return Err(not_constant(expr)) };
    let item = match named.item {
        Item::Const(at) => program.file(named.file).ast.items.get(at),
        Item::Poison => return Err(None),
        Item::Function(_) | Item::Kernel(_) => None,
    };
    let (Some(ast::Item::Const(constant)), Item::Const(at)) = (item, named.item) else {
        return Err(not_constant(expr));
    };
    item_value(program, (named.file, at), constant, budget)
}

/// Said in the same words and at the same place from wherever the cycle is entered.
fn needs_itself(program: &Program, cycle: &[ConstId]) -> Problem {
    let first = cycle.iter().enumerate().min_by_key(|(_, at)| **at).map_or(0, |(n, _)| n);
    let (before, from) = cycle.split_at(first);
    let names: Vec<&ast::Ident> = from
        .iter()
        .chain(before)
        .filter_map(|&(file, at)| match program.file(file).ast.items.get(at) {
            Some(ast::Item::Const(constant)) => Some(&constant.name),
            _ => None,
        })
        .collect();
    let (first, rest) = names.split_first()?;
    let chain: Vec<String> = names.iter().map(|name| format!("`{}`", name.name)).collect();
    let message =
        format!("constant `{0}` needs itself: {1} needs `{0}`", first.name, chain.join(" needs "));
    let mut diagnostic = Diagnostic::error(codes::E0214, first.span, message, "has no value");
    for name in rest.iter().take(8) {
        diagnostic = diagnostic.with(name.span, "by way of this");
    }
    report(diagnostic)
}

fn call(
    program: &Program,
    file: FileIndex,
    expr: &Expr,
    (function, args, over): (&ast::Ident, &[ast::Arg], &[ast::Ident]),
    budget: &mut Budget,
) -> Result<i64, Problem> {
    let plain = over.is_empty() && args.iter().all(|arg| arg.name.is_none());
    let mut values = Vec::new();
    for arg in args {
        values.push(value(program, file, &arg.value, budget)?);
    }
    let folded = match (function.name.as_str(), values.as_slice()) {
        ("min", [first, rest @ ..]) if plain => Some(rest.iter().fold(*first, |a, &b| a.min(b))),
        ("max", [first, rest @ ..]) if plain => Some(rest.iter().fold(*first, |a, &b| a.max(b))),
        ("cdiv", &[a, b]) if plain => {
            return a
                .checked_neg()
                .and_then(|a| floor_div(a, b))
                .and_then(i64::checked_neg)
                .ok_or_else(|| out_of_range(expr));
        }
        _ => None,
    };
    folded.ok_or_else(|| not_constant(expr))
}

fn apply(op: BinaryOp, a: i64, b: i64, expr: &Expr, right: &Expr) -> Result<i64, Problem> {
    let result = match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div | BinaryOp::Rem if b == 0 => {
            return Err(report(Diagnostic::error(
                codes::E0602,
                right.span,
                format!("`{}` by a constant zero", op.symbol()),
                "always zero",
            )));
        }
        BinaryOp::Div => floor_div(a, b),
        BinaryOp::Rem => floor_div(a, b).map(|q| a.wrapping_sub(q.wrapping_mul(b))),
        BinaryOp::And | BinaryOp::Or => return Err(not_constant(expr)),
    };
    result.ok_or_else(|| out_of_range(expr))
}

fn not_constant(expr: &Expr) -> Problem {
    report(
        Diagnostic::error(
            codes::E0610,
            expr.span,
            "an integer known from the text alone is needed",
            "not such an integer",
        )
        .note("it may use integers, `const` items, `+ - * / %`, `min`, `max` and `cdiv`"),
    )
}

fn out_of_range(expr: &Expr) -> Problem {
    report(Diagnostic::error(
        codes::E0601,
        expr.span,
        "this constant does not fit in an `i64`",
        "beyond 64 bits",
    ))
}

fn report(diagnostic: Diagnostic) -> Problem {
    Some(Box::new(diagnostic))
}
