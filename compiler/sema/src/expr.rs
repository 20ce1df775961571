//! Expressions.
//!
//! Frames are kept small: `eval` calls itself through every level of nesting of every inlined
//! body, and hostile text makes both deep.

use std::rc::Rc;

use tilec_ir::{BinaryOp, CompareOp, Elem};
use tilec_syntax::ast::{self, Expr, ExprKind};
use tilec_vocab::{DType, Diagnostic, Span, codes};

use crate::builtins;
use crate::import::Item;
use crate::lower::{Arg, Lower};
use crate::report::{closest, foreign_type, unknown_name};
use crate::scope::{Callable, Closure, Env, Literal, Thing};

impl<'a> Lower<'a> {
    /// Evaluates an expression.
    pub fn eval(&mut self, env: Env, expr: &'a Expr) -> Arg<'a> {
        let thing = if self.enter(expr.span) {
            let thing = self.eval_kind(env, expr);
            self.leave();
            thing
        } else {
            Thing::Poison
        };
        Arg { thing, span: expr.span, tight: is_tight(expr) }
    }

    fn eval_kind(&mut self, env: Env, expr: &'a Expr) -> Thing<'a> {
        match &expr.kind {
            ExprKind::Int(value) => Thing::Literal(Literal::Int(*value)),
            ExprKind::Float(value) => Thing::Literal(Literal::Float(*value)),
            ExprKind::Bool(value) => Thing::Value(self.boolean(*value, expr.span)),
            ExprKind::Name(name) => self.read_name(env, name, expr.span),
            ExprKind::Chain { first, rest } => self.chain(env, first, rest),
            ExprKind::Compare { op, left, right } => {
                self.compare_sides(env, *op, left, right, expr.span)
            }
            ExprKind::Not(inner) => {
                let inner = self.eval(env, inner);
                self.not(&inner, expr.span)
            }
            ExprKind::Neg(inner) => {
                let inner = self.eval(env, inner);
                self.negate(&inner, expr.span)
            }
            ExprKind::Cast { value, to } => self.cast_to(env, value, to, expr.span),
            ExprKind::Call { function, args, over } => {
                self.call(env, function, args, over, expr.span)
            }
            ExprKind::Index { base, indices } => self.load(env, base, indices, expr.span),
            ExprKind::Closure { params, body, .. } => {
                Thing::Callable(Callable::Closure(Closure { params, body, env }))
            }
            ExprKind::Tuple(parts) => self.tuple(env, parts),
            ExprKind::Paren(inner) => self.eval(env, inner).thing,
            ExprKind::Error => Thing::Poison,
        }
    }

    #[inline(never)]
    fn chain(&mut self, env: Env, first: &'a Expr, rest: &'a [(ast::BinaryOp, Expr)]) -> Thing<'a> {
        let mut left = self.eval(env, first);
        for (op, right) in rest {
            let right = self.eval(env, right);
            let span = left.span.to(right.span);
            let thing = match op {
                ast::BinaryOp::Or => self.logic(BinaryOp::Or, &left, &right, span),
                ast::BinaryOp::And => self.logic(BinaryOp::And, &left, &right, span),
                ast::BinaryOp::Add => self.arithmetic(BinaryOp::Add, &left, &right, span),
                ast::BinaryOp::Sub => self.arithmetic(BinaryOp::Sub, &left, &right, span),
                ast::BinaryOp::Mul => self.arithmetic(BinaryOp::Mul, &left, &right, span),
                ast::BinaryOp::Div => self.arithmetic(BinaryOp::Div, &left, &right, span),
                ast::BinaryOp::Rem => self.arithmetic(BinaryOp::Rem, &left, &right, span),
            };
            left = Arg { thing, span, tight: false };
        }
        left.thing
    }

    #[inline(never)]
    fn compare_sides(
        &mut self,
        env: Env,
        op: ast::CompareOp,
        left: &'a Expr,
        right: &'a Expr,
        span: Span,
    ) -> Thing<'a> {
        let left = self.eval(env, left);
        let right = self.eval(env, right);
        let op = match op {
            ast::CompareOp::Eq => CompareOp::Eq,
            ast::CompareOp::Ne => CompareOp::Ne,
            ast::CompareOp::Lt => CompareOp::Lt,
            ast::CompareOp::Le => CompareOp::Le,
            ast::CompareOp::Gt => CompareOp::Gt,
            ast::CompareOp::Ge => CompareOp::Ge,
        };
        self.comparison(op, &left, &right, span)
    }

    #[inline(never)]
    fn cast_to(&mut self, env: Env, value: &'a Expr, to: &'a ast::Ident, span: Span) -> Thing<'a> {
        let value = self.eval(env, value);
        match self.elem(env, to) {
            Some(elem) => self.convert(&value, elem, span),
            None => Thing::Poison,
        }
    }

    #[inline(never)]
    fn tuple(&mut self, env: Env, parts: &'a [Expr]) -> Thing<'a> {
        let parts: Vec<Thing<'a>> = parts.iter().map(|part| self.eval(env, part).thing).collect();
        Thing::Tuple(Rc::from(parts))
    }

    /// What a name stands for here; a variable gives what it holds now.
    fn read_name(&mut self, env: Env, name: &'a str, span: Span) -> Thing<'a> {
        match self.lookup(env, name, span) {
            Some((Thing::Var(id), _)) => {
                self.var(id).map_or(Thing::Poison, |var| Thing::Value(var.value))
            }
            Some((thing, _)) => thing,
            None => {
                self.unknown_name(env, name, span);
                Thing::Poison
            }
        }
    }

    /// What a name stands for, and where it was declared.
    pub fn lookup(
        &mut self,
        env: Env,
        name: &str,
        span: Span,
    ) -> Option<(Thing<'a>, Option<Span>)> {
        let (found, passed) = self.scopes.find(env, name);
        let found = found.map(|(thing, at)| (thing.clone(), Some(at)));
        // Far names cost time: no text may make a search of every name for every word.
        self.count_steps(passed / 32, span);
        found.or_else(|| self.top_level(env, name))
    }

    fn top_level(&mut self, env: Env, name: &str) -> Option<(Thing<'a>, Option<Span>)> {
        if let Some(named) = self.program.find(env.file, name) {
            let thing = match named.item {
                Item::Function(at) => {
                    self.program.function(named.file, at).map_or(Thing::Poison, |function| {
                        Thing::Callable(Callable::Function((named.file, at), function))
                    })
                }
                Item::Const(at) => self
                    .program
                    .constant(named.file, at)
                    .map_or(Thing::Poison, |value| Thing::Literal(Literal::Int(value))),
                Item::Kernel(_) => return None,
                Item::Poison => Thing::Poison,
            };
            return Some((thing, Some(named.span)));
        }
        builtins::find(name).map(|builtin| (Thing::Callable(Callable::Builtin(builtin)), None))
    }

    /// Reports a name that stands for nothing.
    #[cold]
    #[inline(never)]
    pub fn unknown_name(&mut self, env: Env, name: &str, span: Span) {
        if self.exhausted {
            return;
        }
        let mut near = None;
        if self.sink.would_say(codes::E0201, span) {
            let mut known = self.scopes.names(env);
            let program = self.program;
            known.extend(program.file(env.file).names.keys().map(String::as_str));
            known.extend(builtins::ALL.iter().map(|builtin| builtin.name));
            near = closest(name, known);
        }
        let report = unknown_name(name, span, near);
        self.report(report);
    }

    /// An element type by name.
    pub fn elem(&mut self, env: Env, name: &ast::Ident) -> Option<Elem> {
        self.elem_named(env, &name.name, name.span)
    }

    /// An element type by name.
    pub fn elem_named(&mut self, env: Env, name: &str, span: Span) -> Option<Elem> {
        if let Some(dtype) = DType::from_name(name) {
            return Some(Elem::Known(dtype));
        }
        match self.lookup(env, name, span) {
            Some((Thing::Elem(elem), _)) => Some(elem),
            Some((Thing::Poison, _)) => None,
            found => {
                self.not_a_type(name, span, found);
                None
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn not_a_type(&mut self, name: &str, span: Span, found: Option<(Thing<'a>, Option<Span>)>) {
        let mut report = match found {
            Some((thing, at)) => {
                let text = self.thing_text(&thing);
                let report = Diagnostic::error(
                    codes::E0211,
                    span,
                    format!("`{}` is {text}, not a type", name),
                    "an element type is needed here",
                );
                match at {
                    Some(at) => report.with(at, format!("`{}` is declared here", name)),
                    None => report,
                }
            }
            None => Diagnostic::error(
                codes::E0211,
                span,
                format!("there is no type `{}`", name),
                "not a type",
            ),
        };
        let types = DType::ALL.iter().map(|dtype| dtype.name());
        report = match closest(name, types) {
            _ if foreign_type(name).is_some() => {
                let here = foreign_type(name).unwrap_or_default();
                report.replace(format!("it is called `{here}` here"), span, here)
            }
            Some(near) => report.replace("a similar type exists", span, near),
            None => report.note(
                "types are bool, i32, i64, f16, bf16, f32, and generics such as `<T: float>`",
            ),
        };
        self.report(report);
    }
}

/// Whether `as T` written behind the text of an expression would convert all of it.
pub(crate) fn is_tight(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Bool(_)
        | ExprKind::Name(_)
        | ExprKind::Cast { .. }
        | ExprKind::Call { .. }
        | ExprKind::Index { .. }
        | ExprKind::Paren(_)
        | ExprKind::Error => true,
        ExprKind::Chain { .. }
        | ExprKind::Compare { .. }
        | ExprKind::Not(_)
        | ExprKind::Neg(_)
        | ExprKind::Closure { .. }
        | ExprKind::Tuple(_) => false,
    }
}
