//! Names that must be axes: after `over`, and in the type of a tile.

use tilec_ir::{Axis, AxisSet, Elem};
use tilec_syntax::ast::{self, ExprKind};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::lower::Lower;
use crate::scope::{Env, Thing};

impl<'a> Lower<'a> {
    /// The second argument of `fill`: `f32[m, d]`.
    pub(crate) fn fill_type(
        &mut self,
        env: Env,
        ty: &'a ast::Expr,
    ) -> Option<(Elem, AxisSet, Span)> {
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
                        let same = |other: &&ast::Expr| matches!(&other.kind, ExprKind::Name(n) if n == name);
                        let first =
                            indices.iter().find(same).map_or(index.span, |other| other.span);
                        self.axis_twice(
                            &ast::Ident { name: name.clone(), span: index.span },
                            first,
                        );
                        return None;
                    }
                }
                (elem, axes)
            }
            ExprKind::Name(name) => (self.elem_named(env, name, ty.span), AxisSet::new()),
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

    #[cold]
    #[inline(never)]
    pub(crate) fn axis_twice(&mut self, axis: &ast::Ident, first: Span) {
        let message = format!("axis `{}` is named twice", axis.name);
        let report = Diagnostic::error(codes::E0327, axis.span, message, "again here");
        self.report(report.with(first, "first here"));
    }
}
