//! When the result of a pure op is a literal, or a value there already is.

use tilec_ir::{BinaryOp, Builder, CompareOp, Elem, Imm, Op, Type, UnaryOp, Value};
use tilec_vocab::DType;

use super::{Folded, eval, literal};

/// What `op` on `args` comes to, if that is known; `ty` is its type.
pub(super) fn fold(op: &Op, args: &[Value], ty: &Type, to: &mut Builder<'_>) -> Option<Folded> {
    match (op, args) {
        (Op::Unary(op), &[x]) => unary(*op, x, to),
        (Op::Binary(op), &[a, b]) => binary(*op, a, b, to),
        (Op::Compare(op), &[a, b]) => compare(*op, a, b, to),
        (Op::Select, &[condition, a, b]) => select(condition, a, b, to),
        (Op::Cast, &[x]) => cast(x, ty.elem, to),
        (Op::Splat, &[x]) => splat(x, ty, to),
        _ => None,
    }
}

fn unary(op: UnaryOp, x: Value, to: &mut Builder<'_>) -> Option<Folded> {
    let dtype = to.kernel.ty(x).elem.known()?;
    if let Some(imm) = literal(to.kernel, x) {
        return eval::unary(op, imm, dtype).map(Folded::Imm);
    }
    let def = to.kernel.def(x)?;
    match (op, &def.op) {
        (UnaryOp::Neg, Op::Unary(UnaryOp::Neg)) | (UnaryOp::Not, Op::Unary(UnaryOp::Not)) => {
            Some(Folded::Value(def.args[0]))
        }
        (UnaryOp::Not, Op::Compare(compare)) => {
            let (a, b) = (def.args[0], def.args[1]);
            // With a NaN, neither a comparison nor its negation need hold; `eq` and `ne` do.
            let negates = !to.kernel.ty(a).elem.is_float()
                || matches!(compare, CompareOp::Eq | CompareOp::Ne);
            let negated = compare.negate();
            negates.then(|| Folded::Value(to.compare(negated, a, b)))
        }
        _ => None,
    }
}

fn binary(op: BinaryOp, a: Value, b: Value, to: &Builder<'_>) -> Option<Folded> {
    let dtype = to.kernel.ty(a).elem.known()?;
    let (left, right) = (literal(to.kernel, a), literal(to.kernel, b));
    if let (Some(left), Some(right)) = (left, right) {
        return eval::binary(op, left, right, dtype).map(Folded::Imm);
    }
    let same = a == b;
    let with_literal = |x: Value, imm: Option<Imm>| match imm? {
        Imm::Int(k) => int_right(op, k, x),
        Imm::Float(k) => float_right(op, k, x),
        Imm::Bool(k) => bool_right(op, k, x),
    };
    let commutes = match op {
        BinaryOp::Add
        | BinaryOp::Mul
        | BinaryOp::Min
        | BinaryOp::Max
        | BinaryOp::And
        | BinaryOp::Or => true,
        BinaryOp::Sub | BinaryOp::Div | BinaryOp::Rem => false,
    };
    with_literal(a, right).or_else(|| if commutes { with_literal(b, left) } else { None }).or_else(
        || match (op, left) {
            // 0 / 0 = 0 and 0 % 0 = 0, so this holds for every divisor.
            (BinaryOp::Div | BinaryOp::Rem, Some(Imm::Int(0))) => Some(Folded::Imm(Imm::Int(0))),
            (BinaryOp::Sub | BinaryOp::Rem, _) if same && dtype.is_int() => {
                Some(Folded::Imm(Imm::Int(0)))
            }
            (BinaryOp::Min | BinaryOp::Max | BinaryOp::And | BinaryOp::Or, _) if same => {
                Some(Folded::Value(a))
            }
            _ => None,
        },
    )
}

/// `x op k`.
fn int_right(op: BinaryOp, k: i64, x: Value) -> Option<Folded> {
    match (op, k) {
        (BinaryOp::Add | BinaryOp::Sub, 0)
        | (BinaryOp::Mul | BinaryOp::Div, 1)
        | (BinaryOp::Rem, 0)
        | (BinaryOp::Min, i64::MAX)
        | (BinaryOp::Max, i64::MIN) => Some(Folded::Value(x)),
        (BinaryOp::Mul | BinaryOp::Div, 0) | (BinaryOp::Rem, 1) => Some(Folded::Imm(Imm::Int(0))),
        _ => None,
    }
}

/// `x op k`. Only what keeps the sign of a zero and a NaN.
fn float_right(op: BinaryOp, k: f64, x: Value) -> Option<Folded> {
    let same = match op {
        BinaryOp::Add => k == 0.0 && k.is_sign_negative(),
        BinaryOp::Sub => k == 0.0 && k.is_sign_positive(),
        BinaryOp::Mul | BinaryOp::Div => k == 1.0,
        BinaryOp::Min => k == f64::INFINITY,
        BinaryOp::Max => k == f64::NEG_INFINITY,
        BinaryOp::Rem | BinaryOp::And | BinaryOp::Or => false,
    };
    same.then_some(Folded::Value(x))
}

/// `x op k`.
fn bool_right(op: BinaryOp, k: bool, x: Value) -> Option<Folded> {
    match (op, k) {
        (BinaryOp::And, true) | (BinaryOp::Or, false) => Some(Folded::Value(x)),
        (BinaryOp::And, false) | (BinaryOp::Or, true) => Some(Folded::Imm(Imm::Bool(k))),
        _ => None,
    }
}

fn compare(op: CompareOp, a: Value, b: Value, to: &Builder<'_>) -> Option<Folded> {
    if let (Some(left), Some(right)) = (literal(to.kernel, a), literal(to.kernel, b)) {
        return eval::compare(op, left, right).map(|holds| Folded::Imm(Imm::Bool(holds)));
    }
    // A NaN does not equal itself.
    if a != b || to.kernel.ty(a).elem.is_float() {
        return None;
    }
    let holds = match op {
        CompareOp::Eq | CompareOp::Le | CompareOp::Ge => true,
        CompareOp::Ne | CompareOp::Lt | CompareOp::Gt => false,
    };
    Some(Folded::Imm(Imm::Bool(holds)))
}

fn select(condition: Value, a: Value, b: Value, to: &Builder<'_>) -> Option<Folded> {
    match literal(to.kernel, condition) {
        Some(Imm::Bool(true)) => return Some(Folded::Value(a)),
        Some(Imm::Bool(false)) => return Some(Folded::Value(b)),
        _ => {}
    }
    (a == b).then_some(Folded::Value(a))
}

fn cast(x: Value, elem: Elem, to: &mut Builder<'_>) -> Option<Folded> {
    let from = to.kernel.ty(x).elem;
    if from == elem {
        return Some(Folded::Value(x));
    }
    let (from, wanted) = (from.known()?, elem.known()?);
    if let Some(imm) = literal(to.kernel, x) {
        return eval::cast(imm, wanted).map(Folded::Imm);
    }
    let def = to.kernel.def(x)?;
    if def.op != Op::Cast {
        return None;
    }
    let inner = def.args[0];
    let first = to.kernel.ty(inner).elem.known()?;
    holds_all(from, first).then(|| Folded::Value(to.cast(inner, elem)))
}

/// Whether every value of `small` is one of `large`, so that going through it loses nothing.
fn holds_all(large: DType, small: DType) -> bool {
    match small {
        DType::Bool => large != DType::Bool,
        DType::I32 => large == DType::I64,
        DType::F16 | DType::BF16 => large == DType::F32,
        DType::I64 | DType::F32 => false,
    }
}

fn splat(x: Value, ty: &Type, to: &mut Builder<'_>) -> Option<Folded> {
    if to.kernel.ty(x).axes == ty.axes {
        return Some(Folded::Value(x));
    }
    let def = to.kernel.def(x)?;
    // Spread over the result's axes by the caller.
    (def.op == Op::Splat).then(|| Folded::Value(def.args[0]))
}
