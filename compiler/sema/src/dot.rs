//! `dot`: what may be contracted, and how precisely.

use tilec_ir::{Axis, AxisSet, Elem, Precision};
use tilec_syntax::ast::{self, ExprKind};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::builtins::Call;
use crate::lower::Lower;
use crate::report::{closest, listed};
use crate::scope::Thing;
use crate::types::{Bools, convert_edit};

impl<'a> Lower<'a> {
    pub(crate) fn dot(&mut self, call: &Call<'a>) -> Thing<'a> {
        let [a, b] = call.args.as_slice() else { return Thing::Poison };
        let (Some(x), Some(y)) = (self.operand(a), self.operand(b)) else { return Thing::Poison };
        let mut floats = true;
        for (operand, arg) in [(x, a), (y, b)] {
            let ty = self.type_of(operand);
            if !ty.elem.is_float() {
                let text = self.type_text(&ty);
                let message = format!("`dot` takes floats, got `{text}`");
                let mut report =
                    Diagnostic::error(codes::E0317, arg.span, message, format!("`{text}`"));
                if ty.elem.is_int() {
                    report = convert_edit(report, "convert it", arg, "f32");
                }
                self.report(report);
                floats = false;
            }
        }
        if !floats {
            return Thing::Poison;
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
        let text = |axes: &AxisSet| match axes.contains(axis) {
            true => self.spans_text(axes.iter()),
            false => format!("{}, not `{name}`", self.spans_text(axes.iter())),
        };
        let who = match a.1.contains(axis) || b.1.contains(axis) {
            true => "only one operand spans it",
            false => "neither operand spans it",
        };
        let shared: Vec<Axis> = a.1.iter().filter(|&axis| b.1.contains(axis)).collect();
        let mut report = Diagnostic::error(
            codes::E0306,
            at,
            format!("`dot` over `{name}`, but {who}"),
            format!("`{name}` is summed over"),
        )
        .with(a.0, text(a.1))
        .with(b.0, text(b.1));
        report = match shared.as_slice() {
            [] => report.note("the operands share no axis"),
            shared => report
                .note(format!("the operands share [{}]", self.axes_text(shared.iter().copied()))),
        };
        let lacking = if a.1.contains(axis) { b.1 } else { a.1 };
        let report = self.same_names(report, &[axis], lacking);
        self.report(report);
    }

    pub(crate) fn precision(&mut self, value: &'a ast::Expr) -> Option<Precision> {
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
}
