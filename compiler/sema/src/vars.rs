//! `var` and assignment: a variable keeps the type it was declared with.

use tilec_ir::{Axis, Elem, Value};
use tilec_syntax::ast::{self, Expr, Pattern};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::lower::{Arg, Lower};
use crate::scope::{Env, Thing, VarId};
use crate::types::Wanted;

impl<'a> Lower<'a> {
    /// `var x = e;`
    #[inline(never)]
    pub fn var_stmt(&mut self, env: Env, name: &'a ast::Ident, value: &'a Expr) -> Env {
        let arg = self.eval(env, value);
        let value = match &arg.thing {
            Thing::Tensor(_) | Thing::Callable(_) | Thing::Tuple(_) | Thing::Elem(_) => {
                let text = self.thing_text(&arg.thing);
                self.report(
                    Diagnostic::error(
                        codes::E0330,
                        arg.span,
                        format!("a variable holds one number or tile, not {text}"),
                        format!("this is {text}"),
                    )
                    .with(name.span, "declared here")
                    .help(format!("name it with `let {} = …;`", name.name)),
                );
                None
            }
            _ => self.value(&arg),
        };
        let Some(value) = value else {
            return self.scopes.bind(env, &name.name, name.span, Thing::Poison);
        };
        // Arithmetic on integers gives `i64`, so a variable of a narrower type could never be
        // assigned what is worked out from it.
        let elem = self.kernel.ty(value).elem;
        let value = if elem.is_int() { self.build().cast(value, Elem::I64) } else { value };
        self.declare_var(env, &name.name, name.span, value)
    }

    /// `x = e;`, `(a, b) = e;`
    #[inline(never)]
    pub fn assign(&mut self, env: Env, pattern: &'a Pattern, value: &'a Expr) {
        let value = self.eval(env, value);
        match pattern {
            Pattern::Name(name) => self.assign_one(env, name, value),
            Pattern::Tuple(names, span) => {
                let Some(parts) = self.take_apart(&value, names.len(), *span) else { return };
                for (name, thing) in names.iter().zip(parts.iter()) {
                    let part = Arg { thing: thing.clone(), span: value.span, tight: value.tight };
                    self.assign_one(env, name, part);
                }
            }
        }
    }

    fn assign_one(&mut self, env: Env, name: &'a ast::Ident, value: Arg<'a>) {
        let id = match self.lookup(env, &name.name, name.span) {
            Some((Thing::Var(id), _)) => id,
            Some((Thing::Poison, _)) => return,
            Some((thing, at)) => {
                self.not_a_variable(name, &thing, at);
                return;
            }
            None => {
                self.unknown_name(env, &name.name, name.span);
                return;
            }
        };
        let Some(var) = self.var(id) else { return };
        let (ty, declared, frame) = (var.ty.clone(), var.span, var.frame);
        if frame != self.frame {
            self.outer_variable(name, declared);
            return;
        }
        let what = format!("`{}`", name.name);
        let wanted = Wanted { what: &what, span: Some(declared) };
        let Some(new) = self.coerce(&value, ty.elem, wanted) else { return };
        let axes = self.kernel.ty(new).axes.clone();
        if !axes.is_subset(&ty.axes) {
            self.other_axes(name, id, new, value.span);
            return;
        }
        self.span = value.span;
        let new = if axes == ty.axes { new } else { self.build().splat(new, &ty.axes) };
        self.set_var(id, new);
    }

    #[cold]
    #[inline(never)]
    fn not_a_variable(&mut self, name: &ast::Ident, thing: &Thing<'a>, at: Option<Span>) {
        let text = self.thing_text(thing);
        let mut report = Diagnostic::error(
            codes::E0210,
            name.span,
            format!("`{}` is no variable and cannot be assigned", name.name),
            "assigned here",
        );
        if let Some(at) = at {
            report = report.with(at, format!("`{}` is {text}", name.name));
        }
        report = match thing {
            Thing::Tensor(_) => {
                report.help(format!("store to its elements: `{}[…] = …;`", name.name))
            }
            Thing::Value(_) | Thing::Literal(_) => {
                report.help(format!("declare it with `var {} = …;`", name.name))
            }
            _ => report,
        };
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    fn outer_variable(&mut self, name: &ast::Ident, declared: Span) {
        self.report(
            Diagnostic::error(
                codes::E0218,
                name.span,
                format!(
                    "a closure cannot assign `{}`, a variable of the code around it",
                    name.name
                ),
                "assigned here",
            )
            .with(declared, "declared outside the closure")
            .help("give the new value as the closure's value, and assign it outside"),
        );
    }

    #[cold]
    #[inline(never)]
    fn other_axes(&mut self, name: &ast::Ident, id: VarId, new: Value, span: Span) {
        let Some(var) = self.var(id) else { return };
        let (ty, declared) = (var.ty.clone(), var.span);
        let got = self.kernel.ty(new).clone();
        let (has, wants) = (self.type_text(&got), self.type_text(&ty));
        let lost: Vec<Axis> = got.axes.iter().filter(|&axis| !ty.axes.contains(axis)).collect();
        let lost_text = self.axes_text(lost.iter().copied());
        // An axis declared after the variable is one of a block that the variable outlives.
        let inner = lost.iter().copied().find(|&axis| self.is_loop_axis(axis));
        let report = match inner {
            Some(axis) => {
                let axis = &self.kernel.axes[axis];
                Diagnostic::error(
                    codes::E0322,
                    span,
                    format!(
                        "`{}` outlives the loop over `{}`, so its value cannot span that axis",
                        name.name, axis.name
                    ),
                    format!("`{has}`"),
                )
                .with(axis.span, format!("`{}` exists only inside this loop", axis.name))
                .with(declared, format!("`{}` is `{wants}`", name.name))
                .help(format!("reduce it inside the loop, as in `sum(… over {lost_text})` or `max(… over {lost_text})`"))
            }
            None => {
                let list = self.axes_text(got.axes.union(&ty.axes).iter());
                let elem = self.elem_text(ty.elem);
                Diagnostic::error(
                    codes::E0304,
                    span,
                    format!("`{}` is `{wants}` and cannot become `{has}`", name.name),
                    format!("`{has}`"),
                )
                .with(declared, format!("`{wants}`"))
                .help(format!(
                    "declare it over these axes, `var {} = fill(…, {elem}[{list}]);`, or reduce the value over `{lost_text}`",
                    name.name
                ))
            }
        };
        let report = self.same_names(report, &lost, &ty.axes);
        self.report(report);
    }

    /// Whether an axis lives only inside a loop: no `axis` instruction declares it (the loop
    /// itself does, once its body is complete).
    fn is_loop_axis(&self, axis: Axis) -> bool {
        !self.kernel.insts.values().any(|inst| inst.op == tilec_ir::Op::Axis(axis))
    }
}
