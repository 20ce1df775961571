//! Expressions the launcher evaluates: grid extents and `require` conditions.
//!
//! They may use dimensions, constants, knobs and integer parameters, under whatever names a
//! function knows them by.

use tilec_ir::{BinaryOp, CompareOp, Elem, Extent, Imm, Op, UnaryOp, Value, limits};
use tilec_syntax::ast::{self, Expr, ExprKind};
use tilec_vocab::{Diagnostic, HostExpr, HostOp, Require, codes};

use crate::lower::Lower;
use crate::scope::{Callable, Env, Literal, Thing};

/// A host expression on its way.
struct Host {
    expr: HostExpr,
    kind: Kind,
    /// Operations inside one another.
    depth: usize,
}

/// What a host expression gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Truth,
}

impl Host {
    fn leaf(expr: HostExpr, kind: Kind) -> Host {
        Host { expr, kind, depth: 1 }
    }

    fn binary(op: HostOp, a: Host, b: Host, kind: Kind) -> Host {
        let depth = 1 + a.depth.max(b.depth);
        Host { expr: HostExpr::binary(op, a.expr, b.expr), kind, depth }
    }
}

impl<'a> Lower<'a> {
    /// Adds a condition to the kernel, unless it is there.
    pub fn require(&mut self, env: Env, condition: &'a Expr) {
        let Some(host) = self.host(env, condition) else { return };
        let text_bytes = self.sources.text(condition.span).escape_default().count() + 2;
        if host.kind != Kind::Truth {
            self.report(
                Diagnostic::error(
                    codes::E0412,
                    condition.span,
                    "a requirement is a condition, this is a number",
                    "an integer",
                )
                .help("compare it, as in `H % G == 0`"),
            );
            return;
        }
        if self.kernel.requires.iter().any(|require| require.expr == host.expr) {
            return;
        }
        let problem = if text_bytes > limits::REQUIRE_BYTES {
            Some(format!("a requirement of more than {} bytes", limits::REQUIRE_BYTES))
        } else if self.kernel.requires.len() >= limits::SIGNATURE {
            Some(format!("more than {} requirements", limits::SIGNATURE))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.report(Diagnostic::error(codes::E0608, condition.span, problem, "too much"));
            return;
        }
        // The names of a function mean nothing to who launches the kernel.
        let written = self.sources.text(condition.span);
        let text = if self.frame == 0 { written.to_string() } else { host.expr.to_string() };
        self.kernel.requires.push(Require { expr: host.expr, text });
    }

    /// A number the launcher evaluates.
    pub fn host_number(&mut self, env: Env, number: &'a Expr) -> Option<HostExpr> {
        let host = self.host(env, number)?;
        if host.kind == Kind::Truth {
            self.report(Diagnostic::error(
                codes::E0313,
                number.span,
                "an extent is an integer, got a condition",
                "`bool`",
            ));
            return None;
        }
        Some(host.expr)
    }

    /// Deep trees are refused while they grow: they are walked and dropped by recursion.
    fn shallow(&mut self, host: Host, at: &Expr) -> Option<Host> {
        // One level is left for the division by the size of a block.
        if host.depth < limits::DEPTH {
            return Some(host);
        }
        self.report(Diagnostic::error(
            codes::E0608,
            at.span,
            format!("more than {} operations inside one another", limits::DEPTH - 1),
            "too long for the launcher",
        ));
        None
    }

    fn host(&mut self, env: Env, expr: &'a Expr) -> Option<Host> {
        if !self.enter(expr.span) {
            return None;
        }
        let result = self.host_kind(env, expr);
        self.leave();
        self.shallow(result?, expr)
    }

    fn host_kind(&mut self, env: Env, expr: &'a Expr) -> Option<Host> {
        match &expr.kind {
            ExprKind::Int(value) => Some(Host::leaf(HostExpr::Int(*value), Kind::Number)),
            ExprKind::Bool(value) => {
                Some(Host::leaf(HostExpr::Int(i64::from(*value)), Kind::Truth))
            }
            ExprKind::Paren(inner) => self.host(env, inner),
            ExprKind::Name(name) => self.host_name(env, name, expr),
            ExprKind::Neg(inner) => {
                let inner = self.host_of_kind(env, inner, Kind::Number)?;
                let zero = Host::leaf(HostExpr::Int(0), Kind::Number);
                Some(Host::binary(HostOp::Sub, zero, inner, Kind::Number))
            }
            ExprKind::Not(inner) => {
                let inner = self.host_of_kind(env, inner, Kind::Truth)?;
                let depth = inner.depth + 1;
                Some(Host { expr: HostExpr::Not(Box::new(inner.expr)), kind: Kind::Truth, depth })
            }
            ExprKind::Chain { first, rest } => self.host_chain(env, first, rest, expr),
            ExprKind::Compare { op, left, right } => {
                let left = self.host_of_kind(env, left, Kind::Number)?;
                let right = self.host_of_kind(env, right, Kind::Number)?;
                let op = match op {
                    ast::CompareOp::Eq => HostOp::Eq,
                    ast::CompareOp::Ne => HostOp::Ne,
                    ast::CompareOp::Lt => HostOp::Lt,
                    ast::CompareOp::Le => HostOp::Le,
                    ast::CompareOp::Gt => HostOp::Gt,
                    ast::CompareOp::Ge => HostOp::Ge,
                };
                Some(Host::binary(op, left, right, Kind::Truth))
            }
            ExprKind::Call { function, args, over } => {
                self.host_call(env, (function, args, over), expr)
            }
            ExprKind::Error => None,
            ExprKind::Float(_)
            | ExprKind::Cast { .. }
            | ExprKind::Index { .. }
            | ExprKind::Closure { .. }
            | ExprKind::Tuple(_) => {
                self.not_for_the_launcher(expr, None);
                None
            }
        }
    }

    fn host_of_kind(&mut self, env: Env, expr: &'a Expr, wanted: Kind) -> Option<Host> {
        let host = self.host(env, expr)?;
        if host.kind == wanted {
            return Some(host);
        }
        self.report(match wanted {
            Kind::Truth => Diagnostic::error(
                codes::E0312,
                expr.span,
                "`and`, `or` and `not` take truth values, got an integer",
                "an integer",
            ),
            Kind::Number => Diagnostic::error(
                codes::E0311,
                expr.span,
                "arithmetic and comparisons take integers here, got a condition",
                "a condition",
            ),
        });
        None
    }

    fn host_chain(
        &mut self,
        env: Env,
        first: &'a Expr,
        rest: &'a [(ast::BinaryOp, Expr)],
        at: &'a Expr,
    ) -> Option<Host> {
        let kind = match rest.first() {
            Some((ast::BinaryOp::And | ast::BinaryOp::Or, _)) => Kind::Truth,
            _ => Kind::Number,
        };
        let mut left = self.host_of_kind(env, first, kind)?;
        for (op, right) in rest {
            let by = self.host_of_kind(env, right, kind)?;
            let op = match op {
                ast::BinaryOp::Or => HostOp::Or,
                ast::BinaryOp::And => HostOp::And,
                ast::BinaryOp::Add => HostOp::Add,
                ast::BinaryOp::Sub => HostOp::Sub,
                ast::BinaryOp::Mul => HostOp::Mul,
                ast::BinaryOp::Div => HostOp::Div,
                ast::BinaryOp::Rem => HostOp::Rem,
            };
            if matches!(op, HostOp::Div | HostOp::Rem) && by.expr == HostExpr::Int(0) {
                self.report(Diagnostic::error(
                    codes::E0602,
                    right.span,
                    format!("`{}` by a constant zero", op.symbol()),
                    "always zero",
                ));
                return None;
            }
            left = self.shallow(Host::binary(op, left, by, kind), at)?;
        }
        Some(left)
    }

    fn host_call(
        &mut self,
        env: Env,
        (function, args, over): (&'a ast::Ident, &'a [ast::Arg], &'a [ast::Ident]),
        expr: &'a Expr,
    ) -> Option<Host> {
        let op = match self.lookup(env, &function.name, function.span) {
            Some((Thing::Callable(Callable::Builtin(builtin)), _)) => match builtin.name {
                "min" => Some(HostOp::Min),
                "max" => Some(HostOp::Max),
                "cdiv" => Some(HostOp::Cdiv),
                _ => None,
            },
            _ => None,
        };
        let plain = over.is_empty() && args.iter().all(|arg| arg.name.is_none());
        let (Some(op), true, Some((first, rest))) = (op, plain, args.split_first()) else {
            self.not_for_the_launcher(expr, None);
            return None;
        };
        if op == HostOp::Cdiv && rest.len() != 1 || rest.is_empty() {
            self.not_for_the_launcher(expr, None);
            return None;
        }
        let mut left = self.host_of_kind(env, &first.value, Kind::Number)?;
        for arg in rest {
            let right = self.host_of_kind(env, &arg.value, Kind::Number)?;
            left = self.shallow(Host::binary(op, left, right, Kind::Number), expr)?;
        }
        Some(left)
    }

    fn host_name(&mut self, env: Env, name: &'a str, expr: &'a Expr) -> Option<Host> {
        match self.lookup(env, name, expr.span) {
            Some((Thing::Literal(Literal::Int(value)), _)) => {
                Some(Host::leaf(HostExpr::Int(value), Kind::Number))
            }
            Some((Thing::Extent(extent), _)) => {
                Some(Host::leaf(self.host_extent(extent), Kind::Number))
            }
            Some((Thing::Value(value), _)) => {
                let mut budget = 256;
                let host = self.host_value(value, &mut budget);
                if host.is_none() {
                    self.not_for_the_launcher(expr, Some(value));
                }
                host
            }
            Some((Thing::Poison, _)) => None,
            Some(_) => {
                self.not_for_the_launcher(expr, None);
                None
            }
            None => {
                self.unknown_name(env, name, expr.span);
                None
            }
        }
    }

    /// An extent by the name the launcher knows it by.
    pub fn host_extent(&self, extent: Extent) -> HostExpr {
        match extent {
            Extent::Const(value) => HostExpr::Int(value),
            Extent::Generic(_) | Extent::Dim(_) => HostExpr::Name(self.extent_text(extent)),
        }
    }

    /// A scalar as the launcher would work it out, if it depends on nothing else. A value may be
    /// used many times on the way, so the tree is bounded by `budget`.
    fn host_value(&self, value: Value, budget: &mut usize) -> Option<Host> {
        *budget = budget.checked_sub(1)?;
        let inst = self.kernel.def(value)?;
        let ty = self.kernel.ty(value);
        if !ty.is_scalar() {
            return None;
        }
        let mut number = |n: usize| {
            let host = self.host_value(*inst.args.get(n)?, budget)?;
            (host.kind == Kind::Number && host.depth < limits::DEPTH / 2).then_some(host)
        };
        match &inst.op {
            Op::Const(Imm::Int(value)) => Some(Host::leaf(HostExpr::Int(*value), Kind::Number)),
            Op::Const(Imm::Bool(value)) => {
                Some(Host::leaf(HostExpr::Int(i64::from(*value)), Kind::Truth))
            }
            Op::Dim(dim) => Some(Host::leaf(self.host_extent(Extent::Dim(*dim)), Kind::Number)),
            Op::Generic(generic) => {
                Some(Host::leaf(self.host_extent(Extent::Generic(*generic)), Kind::Number))
            }
            Op::Scalar(param) if ty.elem.is_int() => {
                let name = self.kernel.params[*param].name.clone();
                Some(Host::leaf(HostExpr::Name(name), Kind::Number))
            }
            Op::Cast if ty.elem == Elem::I64 => number(0),
            Op::Unary(UnaryOp::Neg) => {
                let zero = Host::leaf(HostExpr::Int(0), Kind::Number);
                Some(Host::binary(HostOp::Sub, zero, number(0)?, Kind::Number))
            }
            Op::Binary(op) => {
                let op = match op {
                    BinaryOp::Add => HostOp::Add,
                    BinaryOp::Sub => HostOp::Sub,
                    BinaryOp::Mul => HostOp::Mul,
                    BinaryOp::Div => HostOp::Div,
                    BinaryOp::Rem => HostOp::Rem,
                    BinaryOp::Min => HostOp::Min,
                    BinaryOp::Max => HostOp::Max,
                    BinaryOp::And | BinaryOp::Or => return None,
                };
                Some(Host::binary(op, number(0)?, number(1)?, Kind::Number))
            }
            Op::Compare(op) => {
                let op = match op {
                    CompareOp::Eq => HostOp::Eq,
                    CompareOp::Ne => HostOp::Ne,
                    CompareOp::Lt => HostOp::Lt,
                    CompareOp::Le => HostOp::Le,
                    CompareOp::Gt => HostOp::Gt,
                    CompareOp::Ge => HostOp::Ge,
                };
                Some(Host::binary(op, number(0)?, number(1)?, Kind::Truth))
            }
            _ => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn not_for_the_launcher(&mut self, expr: &Expr, value: Option<Value>) {
        let mut report = Diagnostic::error(
            codes::E0408,
            expr.span,
            "the launcher evaluates this, before any program runs; it cannot know this value",
            "not known to the launcher",
        );
        if let Some(value) = value {
            let text = self.type_text(self.kernel.ty(value));
            let parameter =
                self.kernel.def(value).is_some_and(|inst| matches!(inst.op, Op::Scalar(_)));
            report = report.note(match parameter {
                true => {
                    format!("it is a parameter, but `{text}`: the launcher computes with integers")
                }
                false => format!("it is `{text}`, worked out by the kernel"),
            });
        }
        report = report.note(
            "it knows dimensions, constants, knobs and integer parameters, and computes + - * / %, comparisons, and, or, not, min, max and cdiv",
        );
        self.report(report);
    }
}
