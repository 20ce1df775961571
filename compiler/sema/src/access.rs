//! Loads and stores: an index is its axis.

use tilec_ir::{Axis, AxisSet, Elem, ParamType, Value};
use tilec_syntax::ast::{self, Expr};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::lower::Lower;
use crate::report::{count, count_of};
use crate::scope::{Env, Tensor, Thing};
use crate::types::Wanted;

impl<'a> Lower<'a> {
    /// `q[b, m, d]`
    #[inline(never)]
    pub fn load(
        &mut self,
        env: Env,
        base: &'a ast::Ident,
        indices: &'a [Expr],
        span: Span,
    ) -> Thing<'a> {
        let tensor = self.tensor(env, base);
        let indices = self.indices(env, tensor, base, indices, span);
        let (Some(tensor), Some(indices)) = (tensor, indices) else { return Thing::Poison };
        self.span = span;
        let value = self.build().load(tensor.param, &indices);
        self.checked(value, span)
    }

    /// `o[b, m, d] = x;`, `o[b, m, d] += x;`
    #[inline(never)]
    pub fn store(
        &mut self,
        env: Env,
        base: &'a ast::Ident,
        indices: &'a [Expr],
        value: &'a Expr,
        access: Access,
    ) {
        let tensor = self.tensor(env, base);
        let span = access.span;
        let index_values = self.indices(env, tensor, base, indices, access.index);
        let value = self.eval(env, value);
        let Some(tensor) = tensor else { return };
        if !tensor.mutable {
            let declared = self.lookup(env, &base.name, base.span).and_then(|(_, at)| at);
            self.only_read(tensor, base, declared);
            return;
        }
        let (elem, declared) = self.declared(tensor);
        if access.add && elem.is_bool() {
            self.report(
                Diagnostic::error(
                    codes::E0311,
                    span,
                    format!("`+=` adds numbers; `{}` holds `bool`", base.name),
                    "truth values cannot be added",
                )
                .with(declared, "declared here"),
            );
            return;
        }
        let what = format!("`{}`", base.name);
        let wanted = Wanted { what: &what, span: Some(declared) };
        let (Some(indices), Some(stored)) = (index_values, self.coerce(&value, elem, wanted))
        else {
            return;
        };
        let spanned = self.spanned(&indices);
        let axes = self.kernel.ty(stored).axes.clone();
        if !axes.is_subset(&spanned) {
            self.store_lacks_axes(&axes, &spanned, value.span, access, base);
            return;
        }
        if !self.bounded(&spanned, span) {
            return;
        }
        self.span = span;
        if access.add {
            self.build().atomic_add(tensor.param, stored, &indices);
        } else {
            self.build().store(tensor.param, stored, &indices);
        }
    }

    fn spanned(&self, indices: &[Value]) -> AxisSet {
        indices.iter().fold(AxisSet::new(), |axes, &v| axes.union(&self.kernel.ty(v).axes))
    }

    fn declared(&self, tensor: Tensor) -> (Elem, Span) {
        let param = &self.kernel.params[tensor.param];
        let (ParamType::Tensor { elem, .. } | ParamType::Scalar(elem)) = param.ty;
        (elem, param.span)
    }

    fn tensor(&mut self, env: Env, base: &'a ast::Ident) -> Option<Tensor> {
        match self.lookup(env, &base.name, base.span) {
            Some((Thing::Tensor(tensor), _)) => Some(tensor),
            Some((Thing::Poison, _)) => None,
            Some((thing, at)) => {
                self.not_indexed(base, &thing, at);
                None
            }
            None => {
                self.unknown_name(env, &base.name, base.span);
                None
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn not_indexed(&mut self, base: &ast::Ident, thing: &Thing<'a>, at: Option<Span>) {
        let text = self.thing_text(thing);
        let mut report = Diagnostic::error(
            codes::E0316,
            base.span,
            format!("`{}` is {text}; only tensors are indexed", base.name),
            "not a tensor",
        );
        if let Some(at) = at {
            report = report.with(at, "declared here");
        }
        if let Thing::Value(_) | Thing::Var(_) = thing {
            report = report.note(
                "a tile is used whole: what its lanes stand for is said by the axes of its type",
            );
        }
        self.report(report);
    }

    /// The indices of an access as `i64` values; `None` where one is wrong or their number is.
    fn indices(
        &mut self,
        env: Env,
        tensor: Option<Tensor>,
        base: &'a ast::Ident,
        indices: &'a [Expr],
        span: Span,
    ) -> Option<Vec<Value>> {
        let mut values = Vec::with_capacity(indices.len().min(16));
        let mut sound = true;
        for index in indices {
            let arg = self.eval(env, index);
            match self.integer(&arg, "an index") {
                Some(value) => values.push(value),
                None => sound = false,
            }
        }
        let tensor = tensor?;
        let rank = self.tensor_dims(tensor.param).len();
        if indices.len() != rank {
            self.wrong_rank(tensor, base, indices.len(), span);
            return None;
        }
        sound.then_some(values)
    }

    #[cold]
    #[inline(never)]
    fn wrong_rank(&mut self, tensor: Tensor, base: &ast::Ident, given: usize, span: Span) {
        let text = self.param_text(tensor.param);
        let rank = self.tensor_dims(tensor.param).len();
        let (_, declared) = self.declared(tensor);
        let dims = count(rank, "dimension");
        let indices = count_of(given, "index", "indices");
        self.report(
            Diagnostic::error(
                codes::E0314,
                span,
                format!("`{}` has {dims}, got {indices}", base.name),
                indices,
            )
            .with(declared, format!("`{text}`")),
        );
    }

    #[cold]
    #[inline(never)]
    fn only_read(&mut self, tensor: Tensor, base: &ast::Ident, named: Option<Span>) {
        let param = &self.kernel.params[tensor.param];
        let (name, declared) = (param.name.clone(), param.span);
        let is_mutable = matches!(param.ty, ParamType::Tensor { mutable: true, .. });
        let text = self.param_text(tensor.param);
        let report = Diagnostic::error(
            codes::E0315,
            base.span,
            format!("`{}` is only read: it is not a `&mut` tensor here", base.name),
            "stored to",
        );
        let report = if is_mutable {
            let report = match named {
                Some(named) => report.with(named, "the function takes it with `&`"),
                None => report,
            };
            report
                .with(declared, format!("`{text}` in the kernel"))
                .help("declare the function's parameter `&mut`")
        } else {
            let wanted = text.replacen('&', "&mut ", 1);
            report
                .with(declared, format!("`{text}`"))
                .help(format!("declare it `{name}: {wanted}`"))
        };
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    fn store_lacks_axes(
        &mut self,
        axes: &AxisSet,
        spanned: &AxisSet,
        value: Span,
        access: Access,
        base: &ast::Ident,
    ) {
        let missing: Vec<Axis> = axes.iter().filter(|&axis| !spanned.contains(axis)).collect();
        let (has, index) = (self.spans_text(axes.iter()), self.spans_text(spanned.iter()));
        let lost = self.axes_text(missing.iter().copied());
        let mut report = Diagnostic::error(
            codes::E0305,
            value,
            format!("the value {has}, the index of `{}` {index}", base.name),
            has,
        )
        .with(access.index, index);
        report = self.same_names(report, &missing, spanned);
        report = report.help(format!(
            "reduce it, as in `sum(… over {lost})`, or index `{}` with `{lost}` too",
            base.name
        ));
        self.report(report);
    }

    /// Explains axes that are missing although one of the same name is there.
    pub fn same_names(
        &self,
        mut report: Diagnostic,
        missing: &[Axis],
        there: &AxisSet,
    ) -> Diagnostic {
        for &axis in missing {
            let data = &self.kernel.axes[axis];
            let twin = there.iter().find(|&other| self.kernel.axes[other].name == data.name);
            if let Some(twin) = twin {
                report = report
                    .with(data.span, format!("one axis `{}`", data.name))
                    .with(self.kernel.axes[twin].span, format!("another axis `{}`", data.name))
                    .note(format!(
                        "two axes are called `{}`; only whole axes of one extent are the same axis",
                        data.name
                    ));
            }
        }
        report
    }
}

/// A store or add.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    /// The whole statement.
    pub span: Span,
    /// The tensor with its indices.
    pub index: Span,
    /// Whether it is `+=`.
    pub add: bool,
}
