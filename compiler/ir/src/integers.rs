//! What element-wise ops give for integers: sums and products wrap at 64 bits, division rounds down, `x / 0 = 0`,
//! `x % 0 = x`. The passes and the models of targets compute with these; the interpreter, which they are tested against, does not.

use crate::ops::{BinaryOp, CompareOp};

impl BinaryOp {
    /// `a op b`; a `bool` is 0 or 1.
    pub fn of_integers(self, a: i64, b: i64) -> i64 {
        match self {
            BinaryOp::Add => a.wrapping_add(b),
            BinaryOp::Sub => a.wrapping_sub(b),
            BinaryOp::Mul => a.wrapping_mul(b),
            BinaryOp::Div => floor_div(a, b),
            BinaryOp::Rem if b == 0 => a,
            BinaryOp::Rem => a.wrapping_sub(floor_div(a, b).wrapping_mul(b)),
            BinaryOp::Min => a.min(b),
            BinaryOp::Max => a.max(b),
            BinaryOp::And => a & b,
            BinaryOp::Or => a | b,
        }
    }
}

impl CompareOp {
    /// `a op b`.
    pub fn of_integers(self, a: i64, b: i64) -> bool {
        match self {
            CompareOp::Eq => a == b,
            CompareOp::Ne => a != b,
            CompareOp::Lt => a < b,
            CompareOp::Le => a <= b,
            CompareOp::Gt => a > b,
            CompareOp::Ge => a >= b,
        }
    }
}

fn floor_div(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let quotient = a.wrapping_div(b);
    let rounded_up = a.wrapping_rem(b) != 0 && (a < 0) != (b < 0);
    quotient - i64::from(rounded_up)
}
