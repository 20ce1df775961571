//! Operators on numbers, tiles and literals.
//!
//! Two literals give a literal, worked out once here, exactly for integers and in double precision
//! for floats, so that `1.0 / 3.0` is rounded only when it takes a type.

use tilec_ir::{BinaryOp, CompareOp, Elem, Imm, UnaryOp};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::lower::{Arg, Lower};
use crate::scope::{Literal, Thing};
use crate::types::{Bools, Operand, convert_edit};

impl<'a> Lower<'a> {
    /// `a op b` for `+ - * / %`, `min` and `max`.
    pub fn arithmetic(&mut self, op: BinaryOp, a: &Arg<'a>, b: &Arg<'a>, span: Span) -> Thing<'a> {
        let (Some(x), Some(y)) = (self.operand(a), self.operand(b)) else { return Thing::Poison };
        if matches!(op, BinaryOp::Div | BinaryOp::Rem)
            && matches!(y, Operand::Literal(Literal::Int(0)))
            && self.type_of(x).elem.is_int()
        {
            self.report(
                Diagnostic::error(
                    codes::E0602,
                    b.span,
                    format!("`{}` by a constant zero", op.symbol()),
                    "always zero",
                )
                .note("at run time `x / 0` is 0 and `x % 0` is `x`; as a constant it is a mistake"),
            );
            return Thing::Poison;
        }
        if let (Operand::Literal(x), Operand::Literal(y)) = (x, y) {
            return self.fold(op, x, y, span);
        }
        let what = format!("`{}`", op.symbol());
        let Some((x, y)) = self.meet(&what, (x, a), (y, b), Bools::Refused) else {
            return Thing::Poison;
        };
        if op == BinaryOp::Rem && self.kernel.ty(x).elem.is_float() {
            let text = self.type_text(self.kernel.ty(x));
            self.report(
                Diagnostic::error(
                    codes::E0318,
                    span,
                    "`%` takes integers",
                    format!("both sides are `{text}` here"),
                )
                .help("convert to integers first: `(x as i64) % n`"),
            );
            return Thing::Poison;
        }
        self.span = span;
        let value = self.build().binary(op, x, y);
        self.checked(value, span)
    }

    fn fold(&mut self, op: BinaryOp, a: Literal, b: Literal, span: Span) -> Thing<'a> {
        let literal = match (a, b) {
            (Literal::Int(a), Literal::Int(b)) => match fold_ints(op, a, b) {
                Some(value) => Literal::Int(value),
                None => {
                    self.out_of_range(span, &format!("{a} {} {b}", op.symbol()));
                    return Thing::Poison;
                }
            },
            _ if op == BinaryOp::Rem => {
                self.report(Diagnostic::error(
                    codes::E0318,
                    span,
                    "`%` takes integers",
                    "one side is not an integer",
                ));
                return Thing::Poison;
            }
            (a, b) => Literal::Float(fold_floats(op, as_float(a), as_float(b))),
        };
        Thing::Literal(literal)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn out_of_range(&mut self, span: Span, text: &str) {
        self.report(Diagnostic::error(
            codes::E0601,
            span,
            format!("`{text}` does not fit in an `i64`"),
            "a constant beyond 64 bits",
        ));
    }

    /// `-x`
    pub fn negate(&mut self, x: &Arg<'a>, span: Span) -> Thing<'a> {
        match self.operand(x) {
            None => Thing::Poison,
            Some(Operand::Literal(Literal::Float(value))) => Thing::Literal(Literal::Float(-value)),
            Some(Operand::Literal(Literal::Int(value))) => match value.checked_neg() {
                Some(value) => Thing::Literal(Literal::Int(value)),
                None => {
                    self.out_of_range(span, &format!("-({value})"));
                    Thing::Poison
                }
            },
            Some(operand @ Operand::Value(_)) => self.sign(UnaryOp::Neg, "`-`", operand, x, span),
        }
    }

    /// `abs(x)`
    pub fn absolute(&mut self, x: &Arg<'a>, span: Span) -> Thing<'a> {
        match self.operand(x) {
            None => Thing::Poison,
            Some(Operand::Literal(Literal::Float(value))) => {
                Thing::Literal(Literal::Float(value.abs()))
            }
            Some(operand) => self.sign(UnaryOp::Abs, "`abs`", operand, x, span),
        }
    }

    fn sign(
        &mut self,
        op: UnaryOp,
        what: &str,
        operand: Operand,
        x: &Arg<'a>,
        span: Span,
    ) -> Thing<'a> {
        let ty = self.type_of(operand);
        if ty.elem.is_bool() {
            let text = self.type_text(&ty);
            self.report(
                Diagnostic::error(
                    codes::E0311,
                    x.span,
                    format!("{what} takes numbers, got `{text}`"),
                    format!("`{text}`"),
                )
                .help("the opposite of a truth value is `not x`"),
            );
            return Thing::Poison;
        }
        let elem = if ty.elem.is_int() { Elem::I64 } else { ty.elem };
        let Some(value) = self.operand_as(operand, elem, x.span) else { return Thing::Poison };
        self.span = span;
        Thing::Value(self.build().unary(op, value))
    }

    /// A function of one float: `exp(x)`.
    pub fn float_function(&mut self, op: UnaryOp, x: &Arg<'a>, span: Span) -> Thing<'a> {
        let Some(operand) = self.operand(x) else { return Thing::Poison };
        let ty = self.type_of(operand);
        let elem = match operand {
            Operand::Literal(_) => Elem::F32,
            Operand::Value(_) => ty.elem,
        };
        if !elem.is_float() {
            let (text, name) = (self.type_text(&ty), op.name());
            let mut report = Diagnostic::error(
                codes::E0317,
                x.span,
                format!("`{name}` takes floats, got `{text}`"),
                format!("`{text}`"),
            );
            if ty.elem.is_int() {
                report = convert_edit(report, "convert it", x, "f32");
            }
            self.report(report);
            return Thing::Poison;
        }
        let Some(value) = self.operand_as(operand, elem, x.span) else { return Thing::Poison };
        self.span = span;
        Thing::Value(self.build().unary(op, value))
    }

    /// `a op b` for comparisons.
    pub fn comparison(&mut self, op: CompareOp, a: &Arg<'a>, b: &Arg<'a>, span: Span) -> Thing<'a> {
        let (Some(x), Some(y)) = (self.operand(a), self.operand(b)) else { return Thing::Poison };
        if let (Operand::Literal(x), Operand::Literal(y)) = (x, y) {
            return Thing::Value(self.boolean(compare_literals(op, x, y), span));
        }
        let what = format!("`{}`", op.symbol());
        let Some((x, y)) = self.meet(&what, (x, a), (y, b), Bools::Allowed) else {
            return Thing::Poison;
        };
        if self.kernel.ty(x).elem.is_bool() && !matches!(op, CompareOp::Eq | CompareOp::Ne) {
            self.report(
                Diagnostic::error(
                    codes::E0324,
                    span,
                    format!("{what} of truth values: true is not more than false"),
                    "both sides are `bool`",
                )
                .help("use `and`, `or`, `not`, `==` or `!=`"),
            );
            return Thing::Poison;
        }
        self.span = span;
        let value = self.build().compare(op, x, y);
        self.checked(value, span)
    }

    /// `a and b`, `a or b`
    pub fn logic(&mut self, op: BinaryOp, a: &Arg<'a>, b: &Arg<'a>, span: Span) -> Thing<'a> {
        let (x, y) = (self.truth(a, op.symbol()), self.truth(b, op.symbol()));
        let (Some(x), Some(y)) = (x, y) else { return Thing::Poison };
        self.span = span;
        let value = self.build().binary(op, x, y);
        self.checked(value, span)
    }

    /// `not x`
    pub fn not(&mut self, x: &Arg<'a>, span: Span) -> Thing<'a> {
        let Some(value) = self.truth(x, "not") else { return Thing::Poison };
        self.span = span;
        Thing::Value(self.build().unary(UnaryOp::Not, value))
    }

    fn truth(&mut self, x: &Arg<'a>, what: &str) -> Option<tilec_ir::Value> {
        let operand = self.operand(x)?;
        let ty = self.type_of(operand);
        if let (Operand::Value(value), true) = (operand, ty.elem.is_bool()) {
            return Some(value);
        }
        let text = self.type_text(&ty);
        let report = Diagnostic::error(
            codes::E0312,
            x.span,
            format!("`{what}` takes truth values, got `{text}`"),
            format!("`{text}`"),
        )
        .help("compare to get one: `x != 0`");
        let report = self.worked_out(report, x, operand);
        self.report(report);
        None
    }

    /// A truth value that is needed as a condition.
    pub fn condition(&mut self, x: &Arg<'a>, what: &str) -> Option<tilec_ir::Value> {
        let operand = self.operand(x)?;
        let ty = self.type_of(operand);
        if let (Operand::Value(value), true) = (operand, ty.elem.is_bool()) {
            return Some(value);
        }
        let text = self.type_text(&ty);
        let report = Diagnostic::error(
            codes::E0309,
            x.span,
            format!("{what} is a `bool`, got `{text}`"),
            format!("`{text}`"),
        )
        .help("compare to get one: `x != 0`");
        let report = self.worked_out(report, x, operand);
        self.report(report);
        None
    }

    /// Adds where a value comes from, if that is not where it stands: behind a name, a call.
    fn worked_out(&self, report: Diagnostic, x: &Arg<'a>, operand: Operand) -> Diagnostic {
        let Operand::Value(value) = operand else { return report };
        let Some(at) = self.kernel.def(value).map(|inst| inst.span) else { return report };
        let here = at.file == x.span.file && x.span.start <= at.start && at.end <= x.span.end;
        if here || at == self.kernel.span { report } else { report.with(at, "worked out here") }
    }

    /// `true`, `false`
    pub fn boolean(&mut self, value: bool, span: Span) -> tilec_ir::Value {
        self.span = span;
        self.build().constant(Imm::Bool(value), Elem::BOOL)
    }

    /// `x as T`
    pub fn convert(&mut self, x: &Arg<'a>, elem: Elem, span: Span) -> Thing<'a> {
        let Some(operand) = self.operand(x) else { return Thing::Poison };
        let from = self.type_of(operand);
        if elem.is_bool() && !from.elem.is_bool() {
            let text = self.type_text(&from);
            self.report(
                Diagnostic::error(
                    codes::E0332,
                    span,
                    format!("`as bool` of `{text}`: a number is neither true nor false"),
                    format!("the value is `{text}`"),
                )
                .help("compare it: `x != 0`"),
            );
            return Thing::Poison;
        }
        self.span = span;
        let value = match operand {
            Operand::Literal(Literal::Float(_)) if !elem.is_float() => {
                self.operand_as(operand, Elem::F32, x.span)
            }
            Operand::Literal(_) => self.operand_as(operand, elem, x.span),
            Operand::Value(value) => Some(value),
        };
        let Some(value) = value else { return Thing::Poison };
        self.span = span;
        Thing::Value(self.build().cast(value, elem))
    }
}

fn as_float(literal: Literal) -> f64 {
    match literal {
        Literal::Int(value) => value as f64,
        Literal::Float(value) => value,
    }
}

/// `a / b` rounded down; the caller has excluded 0 and what overflows.
pub(crate) fn floor_div(a: i64, b: i64) -> Option<i64> {
    let quotient = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

fn fold_ints(op: BinaryOp, a: i64, b: i64) -> Option<i64> {
    match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => floor_div(a, b),
        BinaryOp::Rem => floor_div(a, b).map(|q| a.wrapping_sub(q.wrapping_mul(b))),
        BinaryOp::Min => Some(a.min(b)),
        BinaryOp::Max => Some(a.max(b)),
        BinaryOp::And | BinaryOp::Or => None,
    }
}

fn fold_floats(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Min | BinaryOp::Max if a.is_nan() || b.is_nan() => f64::NAN,
        // By total order, so that -0 is below +0.
        BinaryOp::Min => {
            if a.total_cmp(&b).is_le() {
                a
            } else {
                b
            }
        }
        BinaryOp::Max => {
            if a.total_cmp(&b).is_ge() {
                a
            } else {
                b
            }
        }
        BinaryOp::Rem | BinaryOp::And | BinaryOp::Or => f64::NAN,
    }
}

fn compare_literals(op: CompareOp, a: Literal, b: Literal) -> bool {
    let order = match (a, b) {
        (Literal::Int(a), Literal::Int(b)) => Some(a.cmp(&b)),
        (a, b) => as_float(a).partial_cmp(&as_float(b)),
    };
    match (op, order) {
        (CompareOp::Eq, order) => order.is_some_and(|o| o.is_eq()),
        (CompareOp::Ne, order) => !order.is_some_and(|o| o.is_eq()),
        (CompareOp::Lt, order) => order.is_some_and(|o| o.is_lt()),
        (CompareOp::Le, order) => order.is_some_and(|o| o.is_le()),
        (CompareOp::Gt, order) => order.is_some_and(|o| o.is_gt()),
        (CompareOp::Ge, order) => order.is_some_and(|o| o.is_ge()),
    }
}
