//! The functions of the language: one table.
//!
//! A row says how the function is called, in a form that fits a line of documentation, and which
//! function lowers it.

use tilec_ir::{Axis, AxisSet, BinaryOp, Elem, Precision, ReduceOp, UnaryOp};
use tilec_syntax::ast;
use tilec_vocab::{Diagnostic, Span, codes};

use crate::lower::{Arg, Lower};
use crate::report::count;
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

impl Builtin {
    fn advice(&self) -> String {
        format!("write `{}`", self.usage.replace("), ", ")` or `"))
    }
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
    /// By position.
    pub args: Vec<Arg<'a>>,
    /// The axes after `over`.
    pub over: Vec<(Axis, Span)>,
    /// The type that `fill` is given.
    pub ty: Option<(Elem, AxisSet, Span)>,
    /// The precision that `dot` is given.
    pub precision: Option<(Precision, Span)>,
    /// The whole call.
    pub span: Span,
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
        let mut call = Call { args: Vec::new(), over: Vec::new(), ty: None, precision: None, span };
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
                    let first = call.over.iter().find(|&&(other, _)| other == found);
                    self.axis_twice(axis, first.map_or(axis.span, |&(_, at)| at));
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
                    .help(builtin.advice()),
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
                    .help(builtin.advice()),
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
            (least, most) if least == most => count(least, "argument"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        self.report(
            Diagnostic::error(
                codes::E0215,
                span,
                format!("`{}` takes {wanted} here, got {given}", builtin.name),
                count(given, "argument"),
            )
            .help(builtin.advice()),
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
            .help(builtin.advice()),
        );
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
}
