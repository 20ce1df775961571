//! Ops that make each lane of the result from the same lane of their operands.

use tilec_ir::{BinaryOp, CompareOp, UnaryOp};
use tilec_vocab::DType;

use crate::data::Data;
use crate::error::{InterpError, bug};
use crate::loops::{Loops, choose, map1, map2};
use crate::mode::{Mode, Rounding};
use crate::scalar;

type Eval = Result<Data, InterpError>;

fn refuse(op: &str, operands: &[&Data]) -> Eval {
    let classes: Vec<&str> = operands.iter().map(|data| data.class()).collect();
    bug(format!("`{op}` of {}", classes.join(" and ")))
}

/// One operand, of the result's axes.
pub(crate) fn unary(op: UnaryOp, x: &Data, rounding: Rounding) -> Eval {
    let float = |f: fn(f64) -> f64| match x {
        Data::Float(x) => {
            let mut out: Vec<f64> = x.iter().map(|&x| f(x)).collect();
            rounding.results(&mut out);
            Ok(Data::Float(out))
        }
        Data::Int(_) | Data::Bool(_) => refuse(op.name(), &[x]),
    };
    match (op, x) {
        (UnaryOp::Neg, Data::Int(x)) => Ok(Data::Int(x.iter().map(|x| x.wrapping_neg()).collect())),
        (UnaryOp::Abs, Data::Int(x)) => Ok(Data::Int(x.iter().map(|x| x.wrapping_abs()).collect())),
        (UnaryOp::Not, Data::Bool(x)) => Ok(Data::Bool(x.iter().map(|x| !x).collect())),
        (UnaryOp::Not, _) => refuse(op.name(), &[x]),
        (UnaryOp::Neg, _) => float(|x| -x),
        (UnaryOp::Abs, _) => float(f64::abs),
        (UnaryOp::Exp, _) => float(f64::exp),
        (UnaryOp::Exp2, _) => float(f64::exp2),
        (UnaryOp::Log, _) => float(f64::ln),
        (UnaryOp::Log2, _) => float(f64::log2),
        (UnaryOp::Tanh, _) => float(f64::tanh),
        (UnaryOp::Sqrt, _) => float(f64::sqrt),
        (UnaryOp::Rsqrt, _) => float(scalar::rsqrt),
    }
}

/// Two operands of one class.
pub(crate) fn binary(
    op: BinaryOp,
    a: &Data,
    b: &Data,
    loops: &Loops<2>,
    rounding: Rounding,
) -> Eval {
    match (a, b) {
        (Data::Float(x), Data::Float(y)) => {
            let mut out = match op {
                BinaryOp::Add => map2(loops, x, y, |x, y| x + y),
                BinaryOp::Sub => map2(loops, x, y, |x, y| x - y),
                BinaryOp::Mul => map2(loops, x, y, |x, y| x * y),
                BinaryOp::Div => map2(loops, x, y, |x, y| x / y),
                BinaryOp::Min => map2(loops, x, y, scalar::min),
                BinaryOp::Max => map2(loops, x, y, scalar::max),
                BinaryOp::Rem | BinaryOp::And | BinaryOp::Or => return refuse(op.name(), &[a, b]),
            };
            rounding.results(&mut out);
            Ok(Data::Float(out))
        }
        (Data::Int(x), Data::Int(y)) => Ok(Data::Int(match op {
            BinaryOp::Add => map2(loops, x, y, i64::wrapping_add),
            BinaryOp::Sub => map2(loops, x, y, i64::wrapping_sub),
            BinaryOp::Mul => map2(loops, x, y, i64::wrapping_mul),
            BinaryOp::Div => map2(loops, x, y, scalar::div_floor),
            BinaryOp::Rem => map2(loops, x, y, scalar::rem_floor),
            BinaryOp::Min => map2(loops, x, y, i64::min),
            BinaryOp::Max => map2(loops, x, y, i64::max),
            BinaryOp::And | BinaryOp::Or => return refuse(op.name(), &[a, b]),
        })),
        (Data::Bool(x), Data::Bool(y)) => Ok(Data::Bool(match op {
            BinaryOp::And => map2(loops, x, y, |x, y| x & y),
            BinaryOp::Or => map2(loops, x, y, |x, y| x | y),
            BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Rem
            | BinaryOp::Min
            | BinaryOp::Max => return refuse(op.name(), &[a, b]),
        })),
        _ => refuse(op.name(), &[a, b]),
    }
}

/// A comparison of two operands of one class.
pub(crate) fn compare(op: CompareOp, a: &Data, b: &Data, loops: &Loops<2>) -> Eval {
    fn ordered<T: Copy + PartialOrd>(
        op: CompareOp,
        a: &[T],
        b: &[T],
        loops: &Loops<2>,
    ) -> Vec<bool> {
        match op {
            CompareOp::Eq => map2(loops, a, b, |a, b| a == b),
            CompareOp::Ne => map2(loops, a, b, |a, b| a != b),
            CompareOp::Lt => map2(loops, a, b, |a, b| a < b),
            CompareOp::Le => map2(loops, a, b, |a, b| a <= b),
            CompareOp::Gt => map2(loops, a, b, |a, b| a > b),
            CompareOp::Ge => map2(loops, a, b, |a, b| a >= b),
        }
    }
    match (a, b) {
        (Data::Float(x), Data::Float(y)) => Ok(Data::Bool(ordered(op, x, y, loops))),
        (Data::Int(x), Data::Int(y)) => Ok(Data::Bool(ordered(op, x, y, loops))),
        (Data::Bool(x), Data::Bool(y)) => Ok(Data::Bool(ordered(op, x, y, loops))),
        _ => refuse(op.name(), &[a, b]),
    }
}

/// `a` where the condition holds, else `b`; the other lane is not looked at.
pub(crate) fn select(condition: &Data, a: &Data, b: &Data, loops: &Loops<3>) -> Eval {
    match (condition, a, b) {
        (Data::Bool(c), Data::Float(a), Data::Float(b)) => Ok(Data::Float(choose(loops, c, a, b))),
        (Data::Bool(c), Data::Int(a), Data::Int(b)) => Ok(Data::Int(choose(loops, c, a, b))),
        (Data::Bool(c), Data::Bool(a), Data::Bool(b)) => Ok(Data::Bool(choose(loops, c, a, b))),
        _ => refuse("select", &[condition, a, b]),
    }
}

/// The operand over the axes of `loops`.
pub(crate) fn splat(x: &Data, loops: &Loops<1>) -> Data {
    match x {
        Data::Float(x) => Data::Float(map1(loops, x, |x| x)),
        Data::Int(x) => Data::Int(map1(loops, x, |x| x)),
        Data::Bool(x) => Data::Bool(map1(loops, x, |x| x)),
    }
}

/// Conversion to `dtype`.
pub(crate) fn cast(x: &Data, dtype: DType, mode: Mode) -> Eval {
    let rounding = mode.rounding(dtype);
    match (x, dtype) {
        (Data::Float(x), DType::F16 | DType::BF16 | DType::F32) => {
            let mut out = x.clone();
            rounding.nearest_all(&mut out);
            Ok(Data::Float(out))
        }
        (Data::Float(x), DType::I64) => {
            Ok(Data::Int(x.iter().map(|&x| scalar::float_to_i64(x)).collect()))
        }
        (Data::Float(x), DType::I32) => {
            Ok(Data::Int(x.iter().map(|&x| scalar::float_to_i32(x)).collect()))
        }
        (Data::Int(x), DType::F16 | DType::BF16 | DType::F32) => {
            Ok(Data::Float(x.iter().map(|&x| scalar::int_to_float(x, rounding)).collect()))
        }
        (Data::Int(x), DType::I32) => {
            Ok(Data::Int(x.iter().map(|&x| scalar::saturate_i32(x)).collect()))
        }
        (Data::Int(x), DType::I64) => Ok(Data::Int(x.clone())),
        (Data::Bool(x), DType::F16 | DType::BF16 | DType::F32) => {
            Ok(Data::Float(x.iter().map(|&x| f64::from(u8::from(x))).collect()))
        }
        (Data::Bool(x), DType::I32 | DType::I64) => {
            Ok(Data::Int(x.iter().map(|&x| i64::from(x)).collect()))
        }
        (Data::Bool(x), DType::Bool) => Ok(Data::Bool(x.clone())),
        (Data::Float(_) | Data::Int(_), DType::Bool) => refuse("cast to bool", &[x]),
    }
}
