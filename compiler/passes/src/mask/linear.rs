//! Integer expressions as linear forms over lanes, scalars and a few monotone terms.
//!
//! A form is `constant + sum of coefficient * term`. A term is the index of an axis (`start + lane`),
//! a scalar or tile that stays the same while the loop runs, or a quotient, minimum or maximum of forms. `x % c`
//! is `x - c * (x / c)`. What has no form within small coefficients is refused, and the condition around
//! it stays opaque.

use std::collections::BTreeMap;

use tilec_ir::{Axis, BinaryOp, Imm, Op, ReduceOp, UnaryOp, Value};

use super::expr::Expr;
use super::scope::Scope;

/// Coefficients beyond this are refused, so that sums of a few products of them with indices that
/// fit 48 bits stay far from 64.
const MAX_COEFFICIENT: i64 = 1 << 12;
/// Constants beyond this are refused, for the same reason.
const MAX_CONSTANT: i64 = 1 << 48;

/// One term of a form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// `start + lane` of an axis.
    Index(Axis),
    /// A scalar with no finer structure.
    Scalar(Value),
    /// A tile with no finer structure, bounded by its least and greatest element.
    Tile(Value),
    /// A quotient by a positive constant, rounded down.
    Floor(Box<Form>, i64),
    /// The lesser of two.
    Min(Box<Form>, Box<Form>),
    /// The greater of two.
    Max(Box<Form>, Box<Form>),
}

/// `constant + sum of coefficient * term`, without zero coefficients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Form {
    /// The constant.
    pub constant: i64,
    /// The terms.
    pub terms: BTreeMap<Term, i64>,
}

impl Form {
    /// A constant.
    pub fn constant(constant: i64) -> Form {
        Form { constant, terms: BTreeMap::new() }
    }

    /// A single term.
    pub fn term(term: Term) -> Form {
        Form { constant: 0, terms: BTreeMap::from([(term, 1)]) }
    }

    /// `self + factor * other`; `None` where a number grows too large.
    pub fn plus(&self, factor: i64, other: &Form) -> Option<Form> {
        let mut sum = self.clone();
        sum.constant = sum.constant.checked_add(factor.checked_mul(other.constant)?)?;
        for (term, coefficient) in &other.terms {
            let entry = sum.terms.entry(term.clone()).or_insert(0);
            *entry = entry.checked_add(factor.checked_mul(*coefficient)?)?;
        }
        sum.terms.retain(|_, coefficient| *coefficient != 0);
        let small = sum.constant.abs() <= MAX_CONSTANT
            && sum.terms.values().all(|c| c.abs() <= MAX_COEFFICIENT);
        small.then_some(sum)
    }

    /// `factor * self`.
    pub fn scale(&self, factor: i64) -> Option<Form> {
        Form::default().plus(factor, self)
    }

    /// Quotient by a positive constant, rounded down; exact parts are taken out of it.
    pub fn floor(&self, divisor: i64) -> Form {
        let divides = |c: i64| c % divisor == 0;
        if divisor == 1 {
            return self.clone();
        }
        if self.terms.values().all(|&c| divides(c)) {
            let terms = self.terms.iter().map(|(t, c)| (t.clone(), c / divisor)).collect();
            return Form { constant: self.constant.div_euclid(divisor), terms };
        }
        Form::term(Term::Floor(Box::new(self.clone()), divisor))
    }

    /// Whether an axis' index occurs anywhere in it.
    pub fn mentions(&self, axis: Axis) -> bool {
        self.terms.keys().any(|term| match term {
            Term::Index(a) => *a == axis,
            Term::Scalar(_) | Term::Tile(_) => false,
            Term::Floor(x, _) => x.mentions(axis),
            Term::Min(a, b) | Term::Max(a, b) => a.mentions(axis) || b.mentions(axis),
        })
    }

    /// The greatest value over the present lanes of every axis in it.
    ///
    /// Exact for forms whose lane terms are plain indices; else an upper bound, since lanes shared between
    /// terms are bounded term by term.
    pub fn greatest(&self) -> Expr {
        self.extreme(true)
    }

    /// The least value over the present lanes.
    pub fn least(&self) -> Expr {
        self.extreme(false)
    }

    fn extreme(&self, greatest: bool) -> Expr {
        let mut sum = Expr::Int(self.constant);
        for (term, &coefficient) in &self.terms {
            let up = greatest == (coefficient > 0);
            sum = sum.add(term.extreme(up).scale(coefficient));
        }
        sum
    }
}

impl Term {
    fn extreme(&self, greatest: bool) -> Expr {
        match self {
            Term::Index(axis) if greatest => Expr::Last(*axis),
            Term::Index(axis) => Expr::First(*axis),
            Term::Scalar(value) => Expr::Value(*value),
            Term::Tile(value) if greatest => Expr::Extreme(ReduceOp::Max, *value),
            Term::Tile(value) => Expr::Extreme(ReduceOp::Min, *value),
            Term::Floor(x, divisor) => x.extreme(greatest).floor(*divisor),
            Term::Min(a, b) => a.extreme(greatest).min(b.extreme(greatest)),
            Term::Max(a, b) => a.extreme(greatest).max(b.extreme(greatest)),
        }
    }
}

/// Reads forms off the IR, for one loop.
pub struct Reader<'s, 'k> {
    /// Nesting facts.
    pub scope: &'s Scope<'k>,
    /// Whether a value stays the same while the loop runs.
    pub invariant: &'s dyn Fn(Value) -> bool,
    /// Whether the range of an axis is known before the loop, or it is the loop's own; an axis declared in the
    /// loop's body is neither.
    pub in_reach: &'s dyn Fn(Axis) -> bool,
}

impl Reader<'_, '_> {
    /// The form of an integer value, if it has one.
    pub fn form(&self, value: Value) -> Option<Form> {
        self.form_at(value, 0)
    }

    fn form_at(&self, value: Value, depth: usize) -> Option<Form> {
        if depth > 64 || !self.scope.kernel.ty(value).elem.is_int() {
            return None;
        }
        self.structured(value, depth).or_else(|| self.leaf(value))
    }

    /// A value without finer structure, if it is known before the loop.
    fn leaf(&self, value: Value) -> Option<Form> {
        if !(self.invariant)(value) {
            return None;
        }
        let scalar = self.scope.kernel.ty(value).is_scalar();
        Some(Form::term(if scalar { Term::Scalar(value) } else { Term::Tile(value) }))
    }

    fn structured(&self, value: Value, depth: usize) -> Option<Form> {
        let data = self.scope.kernel.def(value)?;
        let form = |n: usize| self.form_at(data.args[n], depth + 1);
        match &data.op {
            Op::Const(Imm::Int(n)) if n.abs() <= MAX_CONSTANT => Some(Form::constant(*n)),
            Op::Index(axis) if (self.in_reach)(*axis) => Some(Form::term(Term::Index(*axis))),
            Op::Splat => form(0),
            Op::Cast if self.scope.kernel.ty(data.args[0]).elem.is_int() => form(0),
            Op::Unary(UnaryOp::Neg) => form(0)?.scale(-1),
            Op::Binary(op) => self.binary(*op, form(0)?, form(1)?),
            _ => None,
        }
    }

    fn binary(&self, op: BinaryOp, a: Form, b: Form) -> Option<Form> {
        let constant = |form: &Form| form.terms.is_empty().then_some(form.constant);
        match op {
            BinaryOp::Add => a.plus(1, &b),
            BinaryOp::Sub => a.plus(-1, &b),
            BinaryOp::Mul => match (constant(&a), constant(&b)) {
                (Some(factor), _) => b.scale(factor),
                (_, Some(factor)) => a.scale(factor),
                (None, None) => None,
            },
            BinaryOp::Div => match constant(&b) {
                Some(divisor) if divisor > 0 => Some(a.floor(divisor)),
                _ => None,
            },
            BinaryOp::Rem => match constant(&b) {
                Some(divisor) if divisor > 0 => a.plus(-divisor, &a.floor(divisor)),
                _ => None,
            },
            BinaryOp::Min => Some(match a == b {
                true => a,
                false => Form::term(Term::Min(Box::new(a), Box::new(b))),
            }),
            BinaryOp::Max => Some(match a == b {
                true => a,
                false => Form::term(Term::Max(Box::new(a), Box::new(b))),
            }),
            BinaryOp::And | BinaryOp::Or => None,
        }
    }
}
