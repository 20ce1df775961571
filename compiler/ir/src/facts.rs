//! What can be seen of a float value from how it is made.

use tilec_vocab::DType;

use crate::kernel::{Kernel, Value, ValueDef};
use crate::ops::{BinaryOp, CompareOp, Imm, Op, ReduceOp, UnaryOp};
use crate::types::Elem;

/// How far back one looks.
const MAX_DEPTH: u32 = 16;

/// The float that a value, or each of its elements, is.
pub fn literal(kernel: &Kernel, value: Value) -> Option<f64> {
    let data = kernel.def(value)?;
    match data.op {
        Op::Const(Imm::Float(x)) => Some(x),
        Op::Splat => literal(kernel, *data.args.first()?),
        _ => None,
    }
}

/// Whether a value is over `f32`.
pub fn is_f32(kernel: &Kernel, value: Value) -> bool {
    kernel.ty(value).elem == Elem::Known(DType::F32)
}

/// Whether every element is above zero, or no number.
pub fn positive(kernel: &Kernel, value: Value) -> bool {
    is_positive(kernel, value, MAX_DEPTH)
}

fn is_positive(kernel: &Kernel, value: Value, depth: u32) -> bool {
    if let Some(x) = literal(kernel, value) {
        return x > 0.0;
    }
    let Some(data) = kernel.def(value).filter(|_| depth > 0) else { return false };
    let args = &data.args;
    let go = |value| is_positive(kernel, value, depth - 1);
    match data.op {
        // A product with a literal from 1 up does not vanish.
        Op::Binary(BinaryOp::Mul) => [(0, 1), (1, 0)]
            .into_iter()
            .any(|(x, by)| go(args[x]) && literal(kernel, args[by]).is_some_and(|by| by >= 1.0)),
        Op::Splat => go(args[0]),
        // select(x == 0, positive, |x|)
        Op::Select => {
            let magnitude = kernel.def(args[2]);
            let condition = kernel.def(args[0]);
            match (magnitude, condition) {
                (Some(magnitude), Some(condition)) => {
                    magnitude.op == Op::Unary(UnaryOp::Abs)
                        && condition.op == Op::Compare(CompareOp::Eq)
                        && condition.args[0] == magnitude.args[0]
                        && literal(kernel, condition.args[1]) == Some(0.0)
                        && go(args[1])
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whether no element is -inf: a choice that replaces it, times something positive, or a running maximum that starts above it.
pub fn above_minus_infinity(kernel: &Kernel, value: Value) -> bool {
    is_above(kernel, value, MAX_DEPTH)
}

fn is_above(kernel: &Kernel, value: Value, depth: u32) -> bool {
    if let Some(x) = literal(kernel, value) {
        return x > f64::NEG_INFINITY;
    }
    if depth == 0 {
        return false;
    }
    let go = |value| is_above(kernel, value, depth - 1);
    if let Some((initial, param, next)) = carried(kernel, value) {
        let rises = kernel
            .def(next)
            .is_some_and(|data| data.op == Op::Binary(BinaryOp::Max) && data.args.contains(&param));
        return rises && go(initial);
    }
    let Some(data) = kernel.def(value) else { return false };
    let args = &data.args;
    match data.op {
        Op::Binary(BinaryOp::Max) => args.iter().any(|&arg| go(arg)),
        // Of what is not -inf; log2(e) times the least f32 is -inf too, and as harmless as that f32.
        Op::Binary(BinaryOp::Mul) => [(0, 1), (1, 0)].into_iter().any(|(x, by)| {
            go(args[x]) && literal(kernel, args[by]).is_some_and(|by| by > 0.0 && by < 2.0)
        }),
        // select(x == -inf, number, x)
        Op::Select => {
            let Some(condition) = kernel.def(args[0]) else { return false };
            condition.op == Op::Compare(CompareOp::Eq)
                && condition.args[0] == args[2]
                && literal(kernel, condition.args[1]) == Some(f64::NEG_INFINITY)
                && literal(kernel, args[1]).is_some_and(f64::is_finite)
        }
        _ => false,
    }
}

/// Of a value that a loop carries, or hands on at its end: what it starts as, its name in the body, and what it becomes.
fn carried(kernel: &Kernel, value: Value) -> Option<(Value, Value, Value)> {
    let (owner, n) = match kernel.values[value].def {
        ValueDef::Param(block, at) => {
            let (_, owner) = kernel.insts.iter().find(|(_, data)| data.blocks.contains(&block))?;
            (owner, (at as usize).checked_sub(1)?)
        }
        ValueDef::Result(inst, n) => (&kernel.insts[inst], n as usize),
    };
    let Op::For(_) = owner.op else { return None };
    let block = &kernel.blocks[owner.blocks[0]];
    let last = &kernel.insts[*block.insts.last()?];
    Some((*owner.args.get(n + 2)?, *block.params.get(n + 1)?, *last.args.get(n)?))
}

/// Whether every element of `value` is -inf, or no number, where the element of `bound` beside it is -inf: `bound` is a maximum
/// over elements of `value` among others, but for positive factors.
pub fn falls_with(kernel: &Kernel, value: Value, bound: Value) -> bool {
    is_below(kernel, value, bound, MAX_DEPTH)
}

fn is_below(kernel: &Kernel, value: Value, bound: Value, depth: u32) -> bool {
    if value == bound {
        return true;
    }
    if depth == 0 {
        return false;
    }
    let unscaled = |of: Value| {
        let data = kernel.def(of).filter(|data| data.op == Op::Binary(BinaryOp::Mul))?;
        let (a, b) = (data.args[0], data.args[1]);
        [(a, b), (b, a)].into_iter().find(|&(_, scale)| positive(kernel, scale)).map(|(x, _)| x)
    };
    let go = |value, bound| is_below(kernel, value, bound, depth - 1);
    if let Some(x) = unscaled(value).filter(|&x| go(x, bound)) {
        return x != value;
    }
    let Some(data) = kernel.def(bound) else { return false };
    match data.op {
        Op::Binary(BinaryOp::Max) => data.args.iter().any(|&arg| go(value, arg)),
        Op::Reduce(ReduceOp::Max, _) => go(value, data.args[0]),
        Op::Binary(BinaryOp::Mul) => unscaled(bound).is_some_and(|x| go(value, x)),
        _ => false,
    }
}
