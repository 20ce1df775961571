//! Types as messages show them, and the conversions that happen unasked.
//!
//! What loses nothing is implicit: `i32` becomes `i64`, any float meets an `f32` as an `f32`, an
//! integer that meets a float becomes that float, and a literal takes the type that is wanted.
//! All arithmetic on integers is done in `i64`. Everything else says `as`.

use tilec_ir::{Axis, AxisSet, Elem, Extent, GenericKind, Imm, ParamType, Type, Value, limits};
use tilec_vocab::{DType, Diagnostic, Span, codes};

use crate::lower::{Arg, Lower};
use crate::report::count_of;
use crate::scope::{Callable, Literal, Thing};

/// A number ready for arithmetic: a literal still without type, or a value.
#[derive(Clone, Copy)]
pub(crate) enum Operand {
    /// Takes the type that is wanted.
    Literal(Literal),
    /// Has one.
    Value(Value),
}

impl<'a> Lower<'a> {
    /// `f32`, `T`.
    pub fn elem_text(&self, elem: Elem) -> String {
        match elem {
            Elem::Known(dtype) => dtype.name().to_string(),
            Elem::Generic(generic, _) => self.kernel.generics[generic].name.clone(),
        }
    }

    /// `spans [m, n]`, `spans no axis`.
    pub fn spans_text(&self, axes: impl IntoIterator<Item = Axis>) -> String {
        match self.axes_text(axes) {
            list if list.is_empty() => "spans no axis".to_string(),
            list => format!("spans [{list}]"),
        }
    }

    /// `m, n`.
    pub fn axes_text(&self, axes: impl IntoIterator<Item = Axis>) -> String {
        let names: Vec<&str> =
            axes.into_iter().map(|axis| self.kernel.axes[axis].name.as_str()).collect();
        names.join(", ")
    }

    /// `f32[m, n]`.
    pub fn type_text(&self, ty: &Type) -> String {
        let elem = self.elem_text(ty.elem);
        if ty.is_scalar() { elem } else { format!("{elem}[{}]", self.axes_text(ty.axes.iter())) }
    }

    /// `64`, `BM`, `N`.
    pub fn extent_text(&self, extent: Extent) -> String {
        match extent {
            Extent::Const(value) => value.to_string(),
            Extent::Generic(generic) => self.kernel.generics[generic].name.clone(),
            Extent::Dim(dim) => self.kernel.dims[dim].name.clone(),
        }
    }

    /// `&T[B, H, M, D]`.
    pub fn param_text(&self, param: tilec_ir::Param) -> String {
        match &self.kernel.params[param].ty {
            ParamType::Scalar(elem) => self.elem_text(*elem),
            ParamType::Tensor { elem, dims, mutable } => {
                let dims: Vec<String> = dims.iter().map(|&dim| self.extent_text(dim)).collect();
                let mutable = if *mutable { "mut " } else { "" };
                format!("&{mutable}{}[{}]", self.elem_text(*elem), dims.join(", "))
            }
        }
    }

    /// What a thing is, for a message: `f32[m, n]`, `an axis`, `a function`.
    pub fn thing_text(&self, thing: &Thing<'a>) -> String {
        match thing {
            Thing::Poison => "an error".to_string(),
            Thing::Unit => "no value".to_string(),
            Thing::Literal(Literal::Int(value)) => format!("the integer {value}"),
            Thing::Literal(Literal::Float(value)) => format!("the number {value:?}"),
            Thing::Value(value) => format!("`{}`", self.type_text(self.kernel.ty(*value))),
            Thing::Var(var) => {
                self.var(*var).map_or_else(String::new, |v| format!("`{}`", self.type_text(&v.ty)))
            }
            Thing::Axis(axis) => format!("the axis `{}`", self.kernel.axes[*axis].name),
            Thing::Extent(Extent::Const(value)) => format!("the integer {value}"),
            Thing::Extent(Extent::Dim(_)) => "a dimension".to_string(),
            Thing::Extent(Extent::Generic(generic)) => match self.kernel.generics[*generic].kind {
                GenericKind::Knob(_) => "a knob".to_string(),
                GenericKind::Const | GenericKind::DType(_) => "a constant".to_string(),
            },
            Thing::Tensor(tensor) => {
                let param = &self.kernel.params[tensor.param];
                format!("the tensor `{}: {}`", param.name, self.param_text(tensor.param))
            }
            Thing::Callable(Callable::Closure(_)) => "a closure".to_string(),
            Thing::Callable(_) => "a function".to_string(),
            Thing::Tuple(parts) => format!("a tuple of {}", parts.len()),
            Thing::Elem(elem) => format!("the type `{}`", self.elem_text(*elem)),
        }
    }

    /// A thing as a number or tile; a report if it is none.
    pub fn operand(&mut self, arg: &Arg<'a>) -> Option<Operand> {
        let value = match &arg.thing {
            Thing::Poison => return None,
            Thing::Literal(literal) => return Some(Operand::Literal(*literal)),
            Thing::Value(value) => *value,
            Thing::Var(var) => self.var(*var)?.value,
            Thing::Axis(axis) => self.build().index(*axis),
            Thing::Extent(extent) => self.extent_value(*extent),
            Thing::Unit
            | Thing::Tensor(_)
            | Thing::Callable(_)
            | Thing::Tuple(_)
            | Thing::Elem(_) => {
                self.not_a_value(arg);
                return None;
            }
        };
        Some(Operand::Value(value))
    }

    #[cold]
    #[inline(never)]
    fn not_a_value(&mut self, arg: &Arg<'a>) {
        let text = self.thing_text(&arg.thing);
        let report = match &arg.thing {
            Thing::Unit => Diagnostic::error(
                codes::E0334,
                arg.span,
                "this call gives no value",
                "a number or tile is needed here",
            )
            .note("a function gives the value of the expression its body ends in, written without `;`"),
            Thing::Tensor(tensor) => {
                let name = self.kernel.params[tensor.param].name.clone();
                let rank = self.tensor_dims(tensor.param).len();
                Diagnostic::error(
                    codes::E0323,
                    arg.span,
                    format!("`{name}` is a tensor, and has no value until it is indexed"),
                    format!("this is {text}"),
                )
                .help(format!("index it: `{name}[…]`, with {}", count_of(rank, "index", "indices")))
            }
            _ => Diagnostic::error(
                codes::E0219,
                arg.span,
                format!("{text} is not a number or tile"),
                format!("this is {text}"),
            ),
        };
        self.report(report);
    }

    /// A thing as a value; literals become `i64` or `f32`.
    pub fn value(&mut self, arg: &Arg<'a>) -> Option<Value> {
        match self.operand(arg)? {
            Operand::Value(value) => Some(value),
            Operand::Literal(literal @ Literal::Int(_)) => {
                self.literal(literal, Elem::I64, arg.span)
            }
            Operand::Literal(literal @ Literal::Float(_)) => {
                self.literal(literal, Elem::F32, arg.span)
            }
        }
    }

    /// The type a thing has as a value.
    pub fn type_of(&self, operand: Operand) -> Type {
        match operand {
            Operand::Value(value) => self.kernel.ty(value).clone(),
            Operand::Literal(Literal::Int(_)) => Type::scalar(Elem::I64),
            Operand::Literal(Literal::Float(_)) => Type::scalar(Elem::F32),
        }
    }

    /// A literal in a type it fits. The caller has seen to it that the kinds agree.
    pub fn literal(&mut self, literal: Literal, elem: Elem, span: Span) -> Option<Value> {
        let imm = match (literal, elem.is_float()) {
            (Literal::Int(value), false) => {
                if elem == Elem::Known(DType::I32) && i32::try_from(value).is_err() {
                    self.report(Diagnostic::error(
                        codes::E0601,
                        span,
                        format!("{value} does not fit in an `i32`"),
                        "an `i32` holds -2147483648 to 2147483647",
                    ));
                    return None;
                }
                Imm::Int(value)
            }
            (Literal::Int(value), true) => self.float_imm(value as f64, elem, span)?,
            (Literal::Float(value), _) => self.float_imm(value, elem, span)?,
        };
        let saved = std::mem::replace(&mut self.span, span);
        let value = self.build().constant(imm, elem);
        self.span = saved;
        Some(value)
    }

    fn float_imm(&mut self, value: f64, elem: Elem, span: Span) -> Option<Imm> {
        // A generic type is not known yet: `specialise` rounds.
        let rounded = elem.known().map_or(value, |dtype| dtype.round(value));
        if value.is_finite() && rounded.is_infinite() {
            let elem = self.elem_text(elem);
            self.report(
                Diagnostic::error(
                    codes::E0609,
                    span,
                    format!("{value:e} is beyond what `{elem}` can hold"),
                    format!("infinite as `{elem}`"),
                )
                .help("if infinity is meant, write `inf`"),
            );
            return None;
        }
        Some(Imm::Float(rounded))
    }

    /// The element type in which two numbers meet, if they do without losing anything.
    fn join(&self, a: Elem, b: Elem) -> Option<Elem> {
        if a.is_int() && b.is_int() {
            return Some(Elem::I64);
        }
        match (a.is_float(), b.is_float()) {
            (true, true) if a == b => Some(a),
            (true, true) if a == Elem::F32 || b == Elem::F32 => Some(Elem::F32),
            (true, false) if b.is_int() => Some(a),
            (false, true) if a.is_int() => Some(b),
            _ => None,
        }
    }

    /// Two numbers in the one element type in which they meet.
    ///
    /// `what` names the operation; truth values meet each other where `bools` says so.
    pub fn meet(
        &mut self,
        what: &str,
        a: (Operand, &Arg<'a>),
        b: (Operand, &Arg<'a>),
        bools: Bools,
    ) -> Option<(Value, Value)> {
        let (ta, tb) = (self.type_of(a.0).elem, self.type_of(b.0).elem);
        if ta.is_bool() && tb.is_bool() && bools == Bools::Allowed {
            return Some((self.value(a.1)?, self.value(b.1)?));
        }
        for (ty, arg) in [(ta, a.1), (tb, b.1)] {
            if ty.is_bool() {
                self.needs_numbers(what, a, b, arg.span);
                return None;
            }
        }
        let elem = match (a.0, b.0) {
            (Operand::Literal(literal), Operand::Value(_)) => literal_meets(literal, tb),
            (Operand::Value(_), Operand::Literal(literal)) => literal_meets(literal, ta),
            _ => match self.join(ta, tb) {
                Some(elem) => elem,
                None => {
                    self.floats_do_not_mix(what, a, b);
                    return None;
                }
            },
        };
        Some((self.operand_as(a.0, elem, a.1.span)?, self.operand_as(b.0, elem, b.1.span)?))
    }

    /// An operand in an element type it can take.
    pub fn operand_as(&mut self, operand: Operand, elem: Elem, span: Span) -> Option<Value> {
        match operand {
            Operand::Literal(literal) => self.literal(literal, elem, span),
            Operand::Value(value) => Some(self.build().cast(value, elem)),
        }
    }

    #[cold]
    #[inline(never)]
    fn needs_numbers(
        &mut self,
        what: &str,
        a: (Operand, &Arg<'a>),
        b: (Operand, &Arg<'a>),
        at: Span,
    ) {
        let (ta, tb) = (self.type_of(a.0), self.type_of(b.0));
        let (ta, tb) = (self.type_text(&ta), self.type_text(&tb));
        let (other, text, here) = if at == a.1.span {
            (b.1.span, tb.clone(), ta.clone())
        } else {
            (a.1.span, ta.clone(), tb.clone())
        };
        let mut report = Diagnostic::error(
            codes::E0311,
            at,
            format!("{what} takes numbers, got `{ta}` and `{tb}`"),
            format!("`{here}`"),
        );
        if other != at {
            report = report.with(other, format!("`{text}`"));
        }
        self.report(
            report.help("to count truth as 1, write `as i64`; to choose by it, `select(c, a, b)`"),
        );
    }

    #[cold]
    #[inline(never)]
    fn floats_do_not_mix(&mut self, what: &str, a: (Operand, &Arg<'a>), b: (Operand, &Arg<'a>)) {
        let (ta, tb) = (self.type_of(a.0), self.type_of(b.0));
        let (ta, tb) = (self.type_text(&ta), self.type_text(&tb));
        let report = Diagnostic::error(
            codes::E0308,
            a.1.span,
            format!("{what} of `{ta}` and `{tb}`: neither float type holds the other"),
            format!("`{ta}`"),
        )
        .with(b.1.span, format!("`{tb}`"));
        self.report(convert_edit(report, "convert one of them", a.1, "f32"));
    }

    /// A thing in the wanted element type, if that loses nothing; `wanted` says where it goes.
    pub fn coerce(&mut self, arg: &Arg<'a>, elem: Elem, wanted: Wanted<'_>) -> Option<Value> {
        let operand = self.operand(arg)?;
        let fits = match operand {
            Operand::Literal(Literal::Int(_)) => !elem.is_bool(),
            Operand::Literal(Literal::Float(_)) => elem.is_float(),
            Operand::Value(value) => {
                let from = self.kernel.ty(value).elem;
                from == elem
                    || from.is_int() && elem == Elem::I64
                    || from.is_float() && elem == Elem::F32
            }
        };
        if fits {
            return self.operand_as(operand, elem, arg.span);
        }
        self.does_not_convert(arg, operand, elem, wanted);
        None
    }

    #[cold]
    #[inline(never)]
    fn does_not_convert(
        &mut self,
        arg: &Arg<'a>,
        operand: Operand,
        elem: Elem,
        wanted: Wanted<'_>,
    ) {
        let got = self.type_of(operand);
        let (to, from) = (self.elem_text(elem), self.type_text(&got));
        if elem.is_bool() || got.elem.is_bool() {
            let mut report = Diagnostic::error(
                codes::E0311,
                arg.span,
                format!("{} takes `{to}`, got `{from}`", wanted.what),
                format!("`{from}`"),
            );
            if let Some(span) = wanted.span {
                report = report.with(span, format!("`{to}`"));
            }
            report = if elem.is_bool() {
                report.help("compare to get a truth value: `x != 0`")
            } else {
                report.help(format!("convert it: `as {to}` makes 1 of true and 0 of false"))
            };
            self.report(report);
            return;
        }
        let mut report = Diagnostic::error(
            codes::E0301,
            arg.span,
            format!(
                "{} takes `{to}`, got `{from}`; this conversion is never implicit",
                wanted.what
            ),
            format!("`{from}`"),
        );
        if let Some(span) = wanted.span {
            report = report.with(span, format!("`{to}`"));
        }
        self.report(convert_edit(report, &format!("convert it to `{to}`"), arg, &to));
    }

    /// An integer scalar or tile as `i64`; for indices and bounds.
    pub fn integer(&mut self, arg: &Arg<'a>, what: &str) -> Option<Value> {
        let operand = self.operand(arg)?;
        let ty = self.type_of(operand);
        if ty.elem.is_int() {
            return self.operand_as(operand, Elem::I64, arg.span);
        }
        let text = self.type_text(&ty);
        let mut report = Diagnostic::error(
            codes::E0313,
            arg.span,
            format!("{what} is an integer, got `{text}`"),
            format!("`{text}`"),
        );
        if ty.elem.is_float() {
            report = report.help("`as i64` drops the fraction");
        }
        self.report(report);
        None
    }

    /// An integer that is one number for the whole program, not a tile.
    pub fn scalar_integer(&mut self, arg: &Arg<'a>, what: &str) -> Option<Value> {
        let value = self.integer(arg, what)?;
        let ty = self.kernel.ty(value).clone();
        if ty.is_scalar() {
            return Some(value);
        }
        let text = self.type_text(&ty);
        self.report(
            Diagnostic::error(
                codes::E0321,
                arg.span,
                format!("{what} is one number for the whole program, got `{text}`"),
                format!("spans [{}]", self.axes_text(ty.axes.iter())),
            )
            .help(format!("reduce it first: `max(… over {})`", self.axes_text(ty.axes.iter()))),
        );
        None
    }

    /// The axes an operand spans.
    pub fn operand_axes(&self, operand: Operand) -> AxisSet {
        match operand {
            Operand::Literal(_) => AxisSet::new(),
            Operand::Value(value) => self.kernel.ty(value).axes.clone(),
        }
    }

    /// Whether a tile over these axes stays within the limit, whatever the knobs and constants.
    pub fn bounded(&mut self, axes: &AxisSet, span: Span) -> bool {
        let mut lanes: i128 = 1;
        for axis in axes.iter() {
            let least = match self.kernel.axes[axis].extent {
                Extent::Const(value) => value,
                Extent::Generic(generic) => match &self.kernel.generics[generic].kind {
                    GenericKind::Knob(choices) => choices.iter().copied().min().unwrap_or(1),
                    GenericKind::Const | GenericKind::DType(_) => 1,
                },
                Extent::Dim(_) => 1,
            };
            lanes = lanes.saturating_mul(i128::from(least.max(1)));
        }
        if lanes <= i128::from(limits::TILE_ELEMENTS) && axes.len() <= limits::RANK {
            return true;
        }
        let list = self.axes_text(axes.iter());
        let message = if axes.len() > limits::RANK {
            format!("a tile over {} axes; at most {}", axes.len(), limits::RANK)
        } else {
            format!(
                "a tile over [{list}] has at least {lanes} elements; at most {}",
                limits::TILE_ELEMENTS
            )
        };
        self.report(
            Diagnostic::error(codes::E0605, span, message, format!("spans [{list}]"))
                .help("work through one of the axes in blocks: `for n in N by BN { … }`"),
        );
        false
    }

    /// A finished value as a thing, if its tile is of a size that can be.
    pub fn checked(&mut self, value: Value, span: Span) -> Thing<'a> {
        let axes = &self.kernel.ty(value).axes;
        if axes.is_empty() {
            return Thing::Value(value);
        }
        let axes = axes.clone();
        if self.bounded(&axes, span) { Thing::Value(value) } else { Thing::Poison }
    }
}

/// Whether an operation also takes two truth values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bools {
    /// `==`, `select`.
    Allowed,
    /// Arithmetic.
    Refused,
}

/// Where a converted value goes: `the store to \`o\``, and where its type is written.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'w> {
    /// For the message.
    pub what: &'w str,
    /// The other side of the disagreement.
    pub span: Option<Span>,
}

/// The type in which a literal meets a value of type `elem`.
fn literal_meets(literal: Literal, elem: Elem) -> Elem {
    match literal {
        Literal::Int(_) if elem.is_int() => Elem::I64,
        Literal::Float(_) if elem.is_int() => Elem::F32,
        Literal::Int(_) | Literal::Float(_) => elem,
    }
}

/// `report` with the edits that convert an argument: `x as f32`, `(x + y) as f32`.
pub(crate) fn convert_edit(
    report: Diagnostic,
    message: &str,
    arg: &Arg<'_>,
    to: &str,
) -> Diagnostic {
    let span = arg.span;
    if arg.tight {
        return report.replace(message, span.after(), format!(" as {to}"));
    }
    let mut report = report.replace(message, span.after(), format!(") as {to}"));
    let open = tilec_vocab::Edit { span: Span { end: span.start, ..span }, text: "(".to_string() };
    if let Some(suggestion) = report.suggestions.last_mut() {
        suggestion.edits.insert(0, open);
    }
    report
}
