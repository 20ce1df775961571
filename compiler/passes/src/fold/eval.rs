//! Element-wise ops on literals, exactly as every target computes them.
//!
//! # Numerics
//!
//! Floats: `+ - * /`, `sqrt`, `min`, `max` and comparisons are computed in f32 and rounded to the
//! type, which is exact IEEE arithmetic for each type: f32 has more than twice the bits of f16 and
//! bf16, so the second rounding does no harm (Figueroa, "When is double rounding innocuous?",
//! 1995). Integers wrap at 64 bits; `/` rounds down, `x / 0 = 0`, `x % 0 = x`.
//!
//! Deliberately absent: `exp` and its kin, where targets may differ in the last bit.

use tilec_ir::{BinaryOp, CompareOp, Imm, UnaryOp};
use tilec_vocab::DType;

/// A float result, rounded to its type.
fn float(value: f32, dtype: DType) -> Imm {
    Imm::Float(dtype.round(f64::from(value)))
}

/// `op x`.
pub(super) fn unary(op: UnaryOp, x: Imm, dtype: DType) -> Option<Imm> {
    match (op, x) {
        (UnaryOp::Neg, Imm::Int(x)) => Some(Imm::Int(x.wrapping_neg())),
        (UnaryOp::Neg, Imm::Float(x)) => Some(Imm::Float(-x)),
        (UnaryOp::Abs, Imm::Int(x)) => Some(Imm::Int(x.wrapping_abs())),
        (UnaryOp::Abs, Imm::Float(x)) => Some(Imm::Float(x.abs())),
        (UnaryOp::Not, Imm::Bool(x)) => Some(Imm::Bool(!x)),
        (UnaryOp::Sqrt, Imm::Float(x)) => Some(float((x as f32).sqrt(), dtype)),
        _ => None,
    }
}

/// `a op b`.
pub(super) fn binary(op: BinaryOp, a: Imm, b: Imm, dtype: DType) -> Option<Imm> {
    match (a, b) {
        (Imm::Int(_), Imm::Int(_)) if matches!(op, BinaryOp::And | BinaryOp::Or) => None,
        (Imm::Int(a), Imm::Int(b)) => Some(Imm::Int(op.of_integers(a, b))),
        (Imm::Bool(a), Imm::Bool(b)) => match op {
            BinaryOp::And => Some(Imm::Bool(a && b)),
            BinaryOp::Or => Some(Imm::Bool(a || b)),
            _ => None,
        },
        (Imm::Float(a), Imm::Float(b)) => {
            let (x, y) = (a as f32, b as f32);
            match op {
                BinaryOp::Add => Some(float(x + y, dtype)),
                BinaryOp::Sub => Some(float(x - y, dtype)),
                BinaryOp::Mul => Some(float(x * y, dtype)),
                BinaryOp::Div => Some(float(x / y, dtype)),
                BinaryOp::Min => Some(Imm::Float(minimum(a, b))),
                BinaryOp::Max => Some(Imm::Float(-minimum(-a, -b))),
                BinaryOp::Rem | BinaryOp::And | BinaryOp::Or => None,
            }
        }
        _ => None,
    }
}

/// NaN if either is; -0 below +0. `f64::min` is neither.
fn minimum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    match a == b {
        true if a.is_sign_negative() => a,
        true => b,
        false => a.min(b),
    }
}

/// `a op b`.
pub(super) fn compare(op: CompareOp, a: Imm, b: Imm) -> Option<bool> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (a, b) {
        (Imm::Int(a), Imm::Int(b)) => Some(a.cmp(&b)),
        (Imm::Bool(a), Imm::Bool(b)) => Some(a.cmp(&b)),
        (Imm::Float(a), Imm::Float(b)) => a.partial_cmp(&b),
        _ => return None,
    };
    Some(match op {
        CompareOp::Eq => order == Some(Equal),
        CompareOp::Ne => order != Some(Equal),
        CompareOp::Lt => order == Some(Less),
        CompareOp::Le => matches!(order, Some(Less | Equal)),
        CompareOp::Gt => order == Some(Greater),
        CompareOp::Ge => matches!(order, Some(Greater | Equal)),
    })
}

/// Integers to here are exact in f32, so that no conversion of one rounds twice.
const EXACT_INT: i64 = 1 << 24;

/// `x as to`.
pub(super) fn cast(x: Imm, to: DType) -> Option<Imm> {
    match (x, to) {
        (Imm::Bool(_), DType::Bool) => Some(x),
        (Imm::Bool(x), DType::I32 | DType::I64) => Some(Imm::Int(i64::from(x))),
        (Imm::Bool(x), DType::F16 | DType::BF16 | DType::F32) => {
            Some(Imm::Float(f64::from(u8::from(x))))
        }
        (Imm::Int(x), DType::I32) => i32::try_from(x).ok().map(|x| Imm::Int(i64::from(x))),
        (Imm::Int(_), DType::I64) => Some(x),
        (Imm::Int(x), DType::F16 | DType::BF16 | DType::F32) => {
            (-EXACT_INT..=EXACT_INT).contains(&x).then(|| Imm::Float(to.round(x as f64)))
        }
        (Imm::Float(x), DType::I32) => Some(Imm::Int(i64::from(x as i32))),
        (Imm::Float(x), DType::I64) => Some(Imm::Int(x as i64)),
        (Imm::Float(x), DType::F16 | DType::BF16 | DType::F32) => Some(Imm::Float(to.round(x))),
        (Imm::Int(_) | Imm::Float(_), DType::Bool) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(op: BinaryOp, a: i64, b: i64) -> Imm {
        binary(op, Imm::Int(a), Imm::Int(b), DType::I64).unwrap()
    }

    #[test]
    fn integer_division_rounds_down_and_never_traps() {
        for (a, b, quotient, remainder) in [
            (7, 2, 3, 1),
            (-7, 2, -4, 1),
            (7, -2, -4, -1),
            (-7, -2, 3, -1),
            (6, 3, 2, 0),
            (-6, 3, -2, 0),
            (5, 0, 0, 5),
            (i64::MIN, -1, i64::MIN, 0),
            (i64::MIN, i64::MAX, -2, i64::MAX - 1),
            (i64::MIN, 0, 0, i64::MIN),
        ] {
            assert_eq!(ints(BinaryOp::Div, a, b), Imm::Int(quotient), "{a} / {b}");
            assert_eq!(ints(BinaryOp::Rem, a, b), Imm::Int(remainder), "{a} % {b}");
        }
    }

    #[test]
    fn integers_wrap() {
        assert_eq!(ints(BinaryOp::Add, i64::MAX, 1), Imm::Int(i64::MIN));
        assert_eq!(unary(UnaryOp::Neg, Imm::Int(i64::MIN), DType::I64), Some(Imm::Int(i64::MIN)));
        assert_eq!(unary(UnaryOp::Abs, Imm::Int(i64::MIN), DType::I64), Some(Imm::Int(i64::MIN)));
    }

    #[test]
    fn minimum_orders_zeros_and_keeps_nan() {
        let bits = |op, a: f64, b: f64| match binary(op, Imm::Float(a), Imm::Float(b), DType::F32) {
            Some(Imm::Float(x)) => x.to_bits(),
            other => panic!("{other:?}"),
        };
        assert_eq!(bits(BinaryOp::Min, 0.0, -0.0), (-0.0_f64).to_bits());
        assert_eq!(bits(BinaryOp::Min, -0.0, 0.0), (-0.0_f64).to_bits());
        assert_eq!(bits(BinaryOp::Max, 0.0, -0.0), 0.0_f64.to_bits());
        assert_eq!(bits(BinaryOp::Max, -0.0, 0.0), 0.0_f64.to_bits());
        for op in [BinaryOp::Min, BinaryOp::Max] {
            assert!(f64::from_bits(bits(op, f64::NAN, 1.0)).is_nan());
            assert!(f64::from_bits(bits(op, 1.0, f64::NAN)).is_nan());
        }
    }

    #[test]
    fn floats_round_to_their_type() {
        let add = |a, b, dtype| binary(BinaryOp::Add, Imm::Float(a), Imm::Float(b), dtype);
        assert_eq!(add(2048.0, 1.0, DType::F16), Some(Imm::Float(2048.0)));
        assert_eq!(add(2048.0, 3.0, DType::F16), Some(Imm::Float(2052.0)));
        assert_eq!(add(65504.0, 16.0, DType::F16), Some(Imm::Float(f64::INFINITY)));
        assert_eq!(add(256.0, 1.0, DType::BF16), Some(Imm::Float(256.0)));
        assert_eq!(add(16777216.0, 1.0, DType::F32), Some(Imm::Float(16777216.0)));
    }

    #[test]
    fn comparisons_with_nan_are_false_but_for_ne() {
        for &op in CompareOp::ALL {
            let found = compare(op, Imm::Float(f64::NAN), Imm::Float(1.0));
            assert_eq!(found, Some(op == CompareOp::Ne));
        }
    }

    #[test]
    fn casts_truncate_saturate_and_give_up() {
        assert_eq!(cast(Imm::Float(-2.9), DType::I64), Some(Imm::Int(-2)));
        assert_eq!(cast(Imm::Float(1e30), DType::I32), Some(Imm::Int(i64::from(i32::MAX))));
        assert_eq!(cast(Imm::Float(f64::NAN), DType::I64), Some(Imm::Int(0)));
        assert_eq!(cast(Imm::Float(0.1), DType::F16), Some(Imm::Float(0.0999755859375)));
        assert_eq!(cast(Imm::Int(1 << 31), DType::I32), None);
        assert_eq!(cast(Imm::Int((1 << 24) + 1), DType::F32), None);
        assert_eq!(cast(Imm::Bool(true), DType::BF16), Some(Imm::Float(1.0)));
    }
}
