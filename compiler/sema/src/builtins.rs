//! The functions of the language: one table.
//!
//! A row says how the function is called, in a form that fits a line of documentation, and which
//! function lowers it.

use tilec_ir::{Axis, AxisSet, BinaryOp, Elem, Precision, ReduceOp, UnaryOp};
use tilec_syntax::ast::{self, ExprKind};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::lower::{Arg, Lower};
use crate::report::{closest, count, listed};
use crate::scope::{Env, Literal, Thing};
use crate::types::{Bools, Wanted};

/// A function of the language.
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// How it is called.
    pub usage: &'static str,
    /// What it gives.
    pub about: &'static str,
    /// The fewest arguments it takes, and the most.
    args: (usize, usize),
    over: Over,
    lower: for<'a> fn(&mut Lower<'a>, &Call<'a>) -> Thing<'a>,
}

/// Whether `over` may stand behind the arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Never,
    /// With one argument a reduction, with several not.
    Maybe,
    Always,
}

/// A call of a builtin, its arguments evaluated.
pub(crate) struct Call<'a> {
    args: Vec<Arg<'a>>,
    over: Vec<(Axis, Span)>,
    /// The type that `fill` is given.
    ty: Option<(Elem, AxisSet, Span)>,
    /// The precision that `dot` is given.
    precision: Option<(Precision, Span)>,
    span: Span,
}

const ANY: usize = 64;

macro_rules! table {
    ($($usage:literal, $about:literal, $name:ident, $args:expr, $over:ident, $lower:expr;)*) => {
        /// Every function of the language.
        pub const ALL: &[Builtin] = &[$(Builtin {
            name: stringify!($name),
            usage: $usage,
            about: $about,
            args: $args,
            over: Over::$over,
            lower: $lower,
        }),*];
    };
}

table! {
    "abs(x)", "magnitude", abs, (1, 1), Never, |l, c| l.absolute(&c.args[0], c.span);
    "exp(x)", "e to the x", exp, (1, 1), Never, |l, c| l.float_function(UnaryOp::Exp, &c.args[0], c.span);
    "exp2(x)", "2 to the x", exp2, (1, 1), Never, |l, c| l.float_function(UnaryOp::Exp2, &c.args[0], c.span);
    "log(x)", "natural logarithm", log, (1, 1), Never, |l, c| l.float_function(UnaryOp::Log, &c.args[0], c.span);
    "log2(x)", "logarithm to base 2", log2, (1, 1), Never, |l, c| l.float_function(UnaryOp::Log2, &c.args[0], c.span);
    "tanh(x)", "hyperbolic tangent", tanh, (1, 1), Never, |l, c| l.float_function(UnaryOp::Tanh, &c.args[0], c.span);
    "sqrt(x)", "square root", sqrt, (1, 1), Never, |l, c| l.float_function(UnaryOp::Sqrt, &c.args[0], c.span);
    "rsqrt(x)", "one over the square root", rsqrt, (1, 1), Never, |l, c| l.float_function(UnaryOp::Rsqrt, &c.args[0], c.span);
    "select(c, a, b)", "`a` where `c` holds, else `b`", select, (3, 3), Never, |l, c| l.select(c);
    "fill(x, f32[m, d])", "`x` over these axes, in this type", fill, (2, 2), Never, |l, c| l.fill(c);
    "cdiv(a, b)", "quotient of integers, rounded up", cdiv, (2, 2), Never, |l, c| l.cdiv(c);
    "min(a, b, …), min(x over n)", "the least", min, (1, ANY), Maybe, |l, c| l.extreme(BinaryOp::Min, ReduceOp::Min, c);
    "max(a, b, …), max(x over n)", "the greatest", max, (1, ANY), Maybe, |l, c| l.extreme(BinaryOp::Max, ReduceOp::Max, c);
    "sum(x over n)", "the sum", sum, (1, 1), Always, |l, c| l.reduction(ReduceOp::Sum, c);
    "any(x over n)", "whether any lane holds", any, (1, 1), Always, |l, c| l.reduction(ReduceOp::Any, c);
    "all(x over n)", "whether every lane holds", all, (1, 1), Always, |l, c| l.reduction(ReduceOp::All, c);
    "dot(a, b over d), dot(…, precision = tf32)", "the sum of products", dot, (2, 2), Always, |l, c| l.dot(c);
}

/// The builtin of this name.
pub fn find(name: &str) -> Option<&'static Builtin> {
    ALL.iter().find(|builtin| builtin.name == name)
}

impl<'a> Lower<'a> {
    /// Calls a builtin.
    #[inline(never)]
    pub(crate) fn call_builtin(
        &mut self,
        builtin: &'static Builtin,
        env: Env,
        args: &'a [ast::Arg],
        over: &'a [ast::Ident],
        span: Span,
    ) -> Thing<'a> {
        let mut call =
            Call { args: Vec::new(), over: Vec::new(), ty: None, precision: None, span };
        let mut sound = true;
        let mut given = 0;
        for arg in args {
            match &arg.name {
                Some(name) if builtin.name == "dot" && name.name == "precision" => {
                    match self.precision(&arg.value) {
                        Some(precision) => call.precision = Some((precision, arg.value.span)),
                        None => sound = false,
                    }
                }
                Some(name) => {
                    self.no_such_option(builtin, name);
                    sound = false;
                }
                None => {
                    given += 1;
                    if builtin.name == "fill" && given == 2 {
                        call.ty = self.fill_type(env, &arg.value);
                        sound &= call.ty.is_some();
                    } else {
                        let value = self.eval(env, &arg.value);
                        sound &= !matches!(value.thing, Thing::Poison);
                        call.args.push(value);
                    }
                }
            }
        }
        if !self.form_fits(builtin, given, over, span) {
            return Thing::Poison;
        }
        for axis in over {
            match self.axis(env, axis) {
                Some(found) if call.over.iter().any(|&(other, _)| other == found) => {
                    self.axis_twice(axis);
                    sound = false;
                }
                Some(found) => call.over.push((found, axis.span)),
                None => sound = false,
            }
        }
        if sound { (builtin.lower)(self, &call) } else { Thing::Poison }
    }

    fn form_fits(
        &mut self,
        builtin: &Builtin,
        given: usize,
        over: &[ast::Ident],
        span: Span,
    ) -> bool {
        let (least, most) = builtin.args;
        let reduces = match builtin.over {
            Over::Never => false,
            Over::Maybe => !over.is_empty() || given == 1,
            Over::Always => true,
        };
        let most = if builtin.over == Over::Maybe && !over.is_empty() { 1 } else { most };
        if given < least || given > most {
            self.wrong_count(builtin, given, (least, most), span);
            return false;
        }
        match (reduces, over.first()) {
            (true, None) => {
                self.report(
                    Diagnostic::error(
                        codes::E0333,
                        span,
                        format!("`{}` needs to know over which axis", builtin.name),
                        "no `over`",
                    )
                    .help(format!("write `{}`", builtin.usage)),
                );
                false
            }
            (false, Some(axis)) => {
                self.report(
                    Diagnostic::error(
                        codes::E0333,
                        axis.span,
                        format!("`{}` works element by element: it takes no `over`", builtin.name),
                        "not here",
                    )
                    .help(format!("write `{}`", builtin.usage)),
                );
                false
            }
            _ => true,
        }
    }

    #[cold]
    #[inline(never)]
    fn wrong_count(
        &mut self,
        builtin: &Builtin,
        given: usize,
        (least, most): (usize, usize),
        span: Span,
    ) {
        let wanted = match (least, most) {
            (least, most) if least == most => format!("takes {least}"),
            (least, most) => format!("takes {least} to {most}"),
        };
        self.report(
            Diagnostic::error(
                codes::E0215,
                span,
                format!("`{}` {wanted}, got {}", builtin.name, count(given, "argument")),
                count(given, "argument"),
            )
            .help(format!("write `{}`", builtin.usage)),
        );
    }

    #[cold]
    #[inline(never)]
    fn no_such_option(&mut self, builtin: &Builtin, name: &ast::Ident) {
        self.report(
            Diagnostic::error(
                codes::E0216,
                name.span,
                format!("`{}` has no parameter `{}`", builtin.name, name.name),
                "no such parameter",
            )
            .help(format!("write `{}`", builtin.usage)),
        );
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn axis_twice(&mut self, axis: &ast::Ident) {
        self.report(Diagnostic::error(
            codes::E0327,
            axis.span,
            format!("`{}` is named twice", axis.name),
            "again here",
        ));
    }

    fn precision(&mut self, value: &'a ast::Expr) -> Option<Precision> {
        let names = || Precision::ALL.iter().map(|precision| precision.name());
        let name = match &value.kind {
            ExprKind::Name(name) => name.as_str(),
            _ => "",
        };
        if let Some(precision) = Precision::from_name(name) {
            return Some(precision);
        }
        let mut report = Diagnostic::error(
            codes::E0328,
            value.span,
            "there is no such precision",
            format!("one of {}", listed(names())),
        );
        if let Some(near) = closest(name, names()) {
            report = report.replace("a similar one exists", value.span, near);
        }
        self.report(report);
        None
    }

    /// The second argument of `fill`: `f32[m, d]`.
    fn fill_type(&mut self, env: Env, ty: &'a ast::Expr) -> Option<(Elem, AxisSet, Span)> {
        let (elem, axes) = match &ty.kind {
            ExprKind::Index { base, indices } => {
                let elem = self.elem(env, base);
                let mut axes = AxisSet::new();
                for index in indices {
                    let ExprKind::Name(name) = &index.kind else {
                        self.no_axis_written(index);
                        return None;
                    };
                    let axis = self.axis_named(env, name, index.span)?;
                    if !axes.insert(axis) {
                        let name = name.clone();
                        self.axis_twice(&ast::Ident { name, span: index.span });
                        return None;
                    }
                }
                (elem, axes)
            }
            ExprKind::Name(name) => {
                (self.elem_named(env, name, ty.span), AxisSet::new())
            }
            ExprKind::Error => return None,
            _ => {
                self.report(
                    Diagnostic::error(
                        codes::E0211,
                        ty.span,
                        "the second argument of `fill` is a type",
                        "not a type",
                    )
                    .help("write `fill(x, f32[m, d])`"),
                );
                return None;
            }
        };
        Some((elem?, axes, ty.span))
    }

    #[cold]
    #[inline(never)]
    fn no_axis_written(&mut self, index: &ast::Expr) {
        if !matches!(index.kind, ExprKind::Error) {
            self.report(Diagnostic::error(
                codes::E0302,
                index.span,
                "the brackets of a tile's type hold the names of axes",
                "not a name",
            ));
        }
    }

    /// An axis by name.
    pub(crate) fn axis(&mut self, env: Env, name: &'a ast::Ident) -> Option<Axis> {
        self.axis_named(env, &name.name, name.span)
    }

    fn axis_named(&mut self, env: Env, name: &'a str, span: Span) -> Option<Axis> {
        match self.lookup(env, name, span) {
            Some((Thing::Axis(axis), _)) => Some(axis),
            Some((Thing::Poison, _)) => None,
            Some((thing, at)) => {
                self.not_an_axis(name, span, &thing, at);
                None
            }
            None => {
                self.unknown_name(env, name, span);
                None
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn not_an_axis(&mut self, name: &str, span: Span, thing: &Thing<'a>, at: Option<Span>) {
        let text = self.thing_text(thing);
        let mut report = Diagnostic::error(
            codes::E0302,
            span,
            format!("`{name}` is {text}, not an axis"),
            "an axis is needed here",
        );
        if let Some(at) = at {
            report = report.with(at, format!("`{name}` is declared here"));
        }
        if let Thing::Extent(extent) = thing {
            let over: Vec<&str> = self
                .kernel
                .axes
                .values()
                .filter(|axis| axis.extent == *extent)
                .map(|axis| axis.name.as_str())
                .collect();
            report = match over.first() {
                Some(axis) => report.replace(format!("the axis over it is `{axis}`"), span, *axis),
                None => report.help("declare an axis over it: `axis d in D;`"),
            };
        }
        self.report(report);
    }

    fn select(&mut self, call: &Call<'a>) -> Thing<'a> {
        let [condition, a, b] = call.args.as_slice() else { return Thing::Poison };
        let condition = self.condition(condition, "the first argument of `select`");
        let (Some(x), Some(y)) = (self.operand(a), self.operand(b)) else { return Thing::Poison };
        let (Some(condition), Some((x, y))) =
            (condition, self.meet("`select`", (x, a), (y, b), Bools::Allowed))
        else {
            return Thing::Poison;
        };
        self.span = call.span;
        let value = self.build().select(condition, x, y);
        self.checked(value, call.span)
    }

    fn fill(&mut self, call: &Call<'a>) -> Thing<'a> {
        let (Some(x), Some((elem, axes, at))) = (call.args.first(), &call.ty) else {
            return Thing::Poison;
        };
        let wanted = Wanted { what: "this `fill`", span: Some(*at) };
        let Some(value) = self.coerce(x, *elem, wanted) else { return Thing::Poison };
        let has = self.kernel.ty(value).axes.clone();
        if !has.is_subset(axes) {
            let (has, wants) = (self.axes_text(has.iter()), self.axes_text(axes.iter()));
            self.report(
                Diagnostic::error(
                    codes::E0329,
                    x.span,
                    format!("the value spans [{has}], the type of this `fill` only [{wants}]"),
                    format!("spans [{has}]"),
                )
                .with(*at, format!("spans [{wants}]")),
            );
            return Thing::Poison;
        }
        if has == *axes {
            return Thing::Value(value);
        }
        self.span = call.span;
        let value = self.build().splat(value, axes);
        self.checked(value, call.span)
    }

    fn cdiv(&mut self, call: &Call<'a>) -> Thing<'a> {
        let [a, b] = call.args.as_slice() else { return Thing::Poison };
        if let (Thing::Literal(Literal::Int(x)), Thing::Literal(Literal::Int(y))) =
            (&a.thing, &b.thing)
            && *y != 0
        {
            let (x, y) = (*x, *y);
            let up = x.checked_neg().and_then(|x| crate::ops::floor_div(x, y));
            return match up.and_then(i64::checked_neg) {
                Some(value) => Thing::Literal(Literal::Int(value)),
                None => {
                    self.out_of_range(call.span, &format!("cdiv({x}, {y})"));
                    Thing::Poison
                }
            };
        }
        let (Some(x), Some(y)) =
            (self.integer(a, "an argument of `cdiv`"), self.integer(b, "an argument of `cdiv`"))
        else {
            return Thing::Poison;
        };
        if let Thing::Literal(Literal::Int(0)) = b.thing {
            self.report(Diagnostic::error(
                codes::E0602,
                b.span,
                "`cdiv` by a constant zero",
                "always zero",
            ));
            return Thing::Poison;
        }
        // Division rounds down, so the quotient of the opposite is the opposite of the quotient
        // rounded up; `(a + b - 1) / b` could wrap.
        self.span = call.span;
        let negative = self.build().unary(UnaryOp::Neg, x);
        let quotient = self.build().binary(BinaryOp::Div, negative, y);
        let value = self.build().unary(UnaryOp::Neg, quotient);
        self.checked(value, call.span)
    }

    /// `min` and `max`, of several values or over an axis.
    fn extreme(&mut self, op: BinaryOp, reduce: ReduceOp, call: &Call<'a>) -> Thing<'a> {
        if !call.over.is_empty() {
            return self.reduction(reduce, call);
        }
        let Some((first, rest)) = call.args.split_first() else { return Thing::Poison };
        let mut left = first.clone();
        for right in rest {
            let thing = self.arithmetic(op, &left, right, call.span);
            left = Arg { thing, span: call.span, tight: true };
        }
        left.thing
    }

    fn reduction(&mut self, op: ReduceOp, call: &Call<'a>) -> Thing<'a> {
        let Some(x) = call.args.first() else { return Thing::Poison };
        let Some(operand) = self.operand(x) else { return Thing::Poison };
        let ty = self.type_of(operand);
        let logical = matches!(op, ReduceOp::All | ReduceOp::Any);
        if ty.elem.is_bool() != logical {
            self.wrong_reduction(op, &self.type_text(&ty), ty.elem.is_bool(), x.span);
            return Thing::Poison;
        }
        let elem = if ty.elem.is_int() { Elem::I64 } else { ty.elem };
        let Some(value) = self.operand_as(operand, elem, x.span) else { return Thing::Poison };
        let mut over = Vec::new();
        for &(axis, span) in &call.over {
            if !ty.axes.contains(axis) {
                self.lacks_axis(op.name(), x.span, &ty.axes, axis, span);
                return Thing::Poison;
            }
            over.push(axis);
        }
        self.span = call.span;
        Thing::Value(self.build().reduce(op, value, &over))
    }

    #[cold]
    #[inline(never)]
    fn wrong_reduction(&mut self, op: ReduceOp, text: &str, is_bool: bool, span: Span) {
        let name = op.name();
        let report = if is_bool {
            Diagnostic::error(
                codes::E0311,
                span,
                format!("`{name}` takes numbers, got `{text}`"),
                format!("`{text}`"),
            )
            .help("`any` and `all` combine truth values; `sum(x as i64 over n)` counts them")
        } else {
            Diagnostic::error(
                codes::E0312,
                span,
                format!("`{name}` takes truth values, got `{text}`"),
                format!("`{text}`"),
            )
            .help("compare to get them: `x != 0`")
        };
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    fn lacks_axis(&mut self, name: &str, value: Span, has: &AxisSet, axis: Axis, at: Span) {
        let missing = self.kernel.axes[axis].name.clone();
        let list = self.axes_text(has.iter());
        let (spans, label) = if has.is_empty() {
            ("is one number".to_string(), "spans no axis".to_string())
        } else {
            (format!("spans [{list}]"), format!("spans [{list}]"))
        };
        let report = Diagnostic::error(
            codes::E0307,
            at,
            format!("`{name}` over `{missing}`, but the value {spans}"),
            format!("`{missing}` is not one of its axes"),
        )
        .with(value, label);
        let report = self.same_names(report, &[axis], has);
        self.report(report);
    }

    fn dot(&mut self, call: &Call<'a>) -> Thing<'a> {
        let [a, b] = call.args.as_slice() else { return Thing::Poison };
        let (Some(x), Some(y)) = (self.operand(a), self.operand(b)) else { return Thing::Poison };
        for (operand, arg) in [(x, a), (y, b)] {
            let ty = self.type_of(operand);
            if !ty.elem.is_float() {
                let text = self.type_text(&ty);
                self.report(
                    Diagnostic::error(
                        codes::E0317,
                        arg.span,
                        format!("`dot` takes floats, got `{text}`"),
                        format!("`{text}`"),
                    )
                    .help("convert it: `as f32`"),
                );
                return Thing::Poison;
            }
        }
        let (ax, ay) = (self.operand_axes(x), self.operand_axes(y));
        for &(axis, span) in &call.over {
            if !(ax.contains(axis) && ay.contains(axis)) {
                self.not_shared((a.span, &ax), (b.span, &ay), axis, span);
                return Thing::Poison;
            }
        }
        let Some((x, y)) = self.meet("`dot`", (x, a), (y, b), Bools::Refused) else {
            return Thing::Poison;
        };
        let precision = match call.precision {
            Some((precision, span)) => {
                self.precision_matters(self.kernel.ty(x).elem, precision, span);
                precision
            }
            None => Precision::Ieee,
        };
        let over: Vec<Axis> = call.over.iter().map(|&(axis, _)| axis).collect();
        self.span = call.span;
        let value = self.build().dot(x, y, &over, precision);
        self.checked(value, call.span)
    }

    fn precision_matters(&mut self, elem: Elem, precision: Precision, span: Span) {
        if precision != Precision::Ieee
            && let Some(dtype) = elem.known()
            && elem != Elem::F32
        {
            self.warn(Diagnostic::warning(
                codes::W0908,
                span,
                format!("`precision` only matters for `f32`; the operands are `{dtype}`"),
                "has no effect",
            ));
        }
    }

    #[cold]
    #[inline(never)]
    fn not_shared(&mut self, a: (Span, &AxisSet), b: (Span, &AxisSet), axis: Axis, at: Span) {
        let name = self.kernel.axes[axis].name.clone();
        let text = |axes: &AxisSet| match axes.is_empty() {
            true => "spans no axis".to_string(),
            false => format!("spans [{}]", self.axes_text(axes.iter())),
        };
        let shared: Vec<Axis> = a.1.iter().filter(|&axis| b.1.contains(axis)).collect();
        let mut report = Diagnostic::error(
            codes::E0306,
            at,
            format!("`dot` over `{name}`, but not both operands span it"),
            format!("`{name}` is summed over"),
        )
        .with(a.0, text(a.1))
        .with(b.0, text(b.1));
        report = match shared.as_slice() {
            [] => report.note("the operands share no axis"),
            shared => report.note(format!("the operands share [{}]", self.axes_text(shared.iter().copied()))),
        };
        let lacking = if a.1.contains(axis) { b.1 } else { a.1 };
        let report = self.same_names(report, &[axis], lacking);
        self.report(report);
    }
}
