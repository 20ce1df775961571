//! Integer expressions the launcher evaluates: grid sizes and `require` conditions.
//!
//! Evaluated in `i128` with checked operations, so that no launch is ever sized by a wrapped
//! product. Division rounds down and the remainder has the divisor's sign, as in the language.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Operators, loosest binding first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum HostOp {
    Or,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Min,
    Max,
    /// Division that rounds up.
    Cdiv,
}

/// An expression over names: dimensions, integer arguments, constants and knobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HostExpr {
    /// A literal.
    Int(i64),
    /// A dimension, an integer argument, a constant or a knob.
    Name(String),
    /// `left op right`; truth is 1 or 0.
    Binary(HostOp, Box<HostExpr>, Box<HostExpr>),
    /// `not x`.
    Not(Box<HostExpr>),
}

impl HostOp {
    /// How the language writes it; `min`, `max` and `cdiv` are called.
    pub const fn symbol(self) -> &'static str {
        match self {
            HostOp::Or => "or",
            HostOp::And => "and",
            HostOp::Eq => "==",
            HostOp::Ne => "!=",
            HostOp::Lt => "<",
            HostOp::Le => "<=",
            HostOp::Gt => ">",
            HostOp::Ge => ">=",
            HostOp::Add => "+",
            HostOp::Sub => "-",
            HostOp::Mul => "*",
            HostOp::Div => "/",
            HostOp::Rem => "%",
            HostOp::Min => "min",
            HostOp::Max => "max",
            HostOp::Cdiv => "cdiv",
        }
    }

    /// Applies the operator; `None` on overflow or division by zero.
    pub fn apply(self, a: i128, b: i128) -> Option<i128> {
        let truth = |t: bool| Some(i128::from(t));
        match self {
            HostOp::Or => truth(a != 0 || b != 0),
            HostOp::And => truth(a != 0 && b != 0),
            HostOp::Eq => truth(a == b),
            HostOp::Ne => truth(a != b),
            HostOp::Lt => truth(a < b),
            HostOp::Le => truth(a <= b),
            HostOp::Gt => truth(a > b),
            HostOp::Ge => truth(a >= b),
            HostOp::Add => a.checked_add(b),
            HostOp::Sub => a.checked_sub(b),
            HostOp::Mul => a.checked_mul(b),
            HostOp::Div => floor_div(a, b),
            HostOp::Rem => floor_div(a, b).and_then(|q| a.checked_sub(q.checked_mul(b)?)),
            HostOp::Min => Some(a.min(b)),
            HostOp::Max => Some(a.max(b)),
            HostOp::Cdiv => floor_div(a.checked_neg()?, b).and_then(i128::checked_neg),
        }
    }
}

fn floor_div(a: i128, b: i128) -> Option<i128> {
    let q = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q })
}

impl HostExpr {
    /// `left op right`.
    pub fn binary(op: HostOp, left: HostExpr, right: HostExpr) -> HostExpr {
        HostExpr::Binary(op, Box::new(left), Box::new(right))
    }

    /// The value under `names`; `None` where a name is unknown, a step overflows or divides by 0.
    pub fn eval(&self, names: &dyn Fn(&str) -> Option<i128>) -> Option<i128> {
        match self {
            HostExpr::Int(value) => Some(i128::from(*value)),
            HostExpr::Name(name) => names(name),
            HostExpr::Binary(op, a, b) => op.apply(a.eval(names)?, b.eval(names)?),
            HostExpr::Not(x) => Some(i128::from(x.eval(names)? == 0)),
        }
    }

    /// Puts values in place of the names that have one.
    pub fn bind(&self, names: &dyn Fn(&str) -> Option<i64>) -> HostExpr {
        match self {
            HostExpr::Int(value) => HostExpr::Int(*value),
            HostExpr::Name(name) => names(name).map_or_else(|| self.clone(), HostExpr::Int),
            HostExpr::Binary(op, a, b) => HostExpr::binary(*op, a.bind(names), b.bind(names)),
            HostExpr::Not(x) => HostExpr::Not(Box::new(x.bind(names))),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, nested: bool) -> fmt::Result {
        match self {
            HostExpr::Int(value) => write!(f, "{value}"),
            HostExpr::Name(name) => f.write_str(name),
            HostExpr::Binary(op @ (HostOp::Min | HostOp::Max | HostOp::Cdiv), a, b) => {
                write!(f, "{}({a}, {b})", op.symbol())
            }
            HostExpr::Binary(op, a, b) => {
                f.write_str(if nested { "(" } else { "" })?;
                a.write(f, true)?;
                write!(f, " {} ", op.symbol())?;
                b.write(f, true)?;
                f.write_str(if nested { ")" } else { "" })
            }
            HostExpr::Not(x) => {
                f.write_str("not ")?;
                x.write(f, true)
            }
        }
    }
}

/// Every nested operation stands in parentheses, so that the text reads back as the same tree.
impl fmt::Display for HostExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_rounds_down_and_up() {
        let div = |a, b| HostOp::Div.apply(a, b);
        assert_eq!(
            [div(7, 2), div(-7, 2), div(7, -2), div(7, 0)],
            [Some(3), Some(-4), Some(-4), None]
        );
        assert_eq!(HostOp::Rem.apply(-7, 2), Some(1));
        assert_eq!(HostOp::Cdiv.apply(7, 2), Some(4));
        assert_eq!(HostOp::Cdiv.apply(0, 2), Some(0));
    }
}
