//! Loops and the axes that statements declare.

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::{AxisData, Extent, GenericKind, Value, limits};
use tilec_syntax::ast::{self, Block, Expr, ExprKind, Pattern, StmtKind};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::lower::{Arg, Lower};
use crate::scope::{Env, Literal, Thing, VarId};

impl<'a> Lower<'a> {
    #[inline(never)]
    pub fn for_stmt(
        &mut self,
        env: Env,
        name: &'a ast::Ident,
        (range, by): (&'a ast::Range, Option<&'a Expr>),
        body: &'a Block,
        span: Span,
    ) {
        let bounds = self.bounds(env, range);
        let axis = match by {
            None => Some(None),
            Some(by) => self.block_extent(env, by).map(Some),
        };
        let shadowed = by.is_some() && self.axis_shadowed(env, name);
        let carried = self.assigned(env, name, body);
        let (Some(bounds), Some(extent), false) = (bounds, axis, shadowed) else {
            // The loop itself is wrong; what stands in it is looked at once all the same.
            let env = self.scopes.bind(env, &name.name, name.span, Thing::Poison);
            self.stmts(env, &body.stmts);
            return;
        };
        let axis = extent.map(|extent| {
            let name_text = name.name.clone();
            let data = AxisData { name: name_text, extent, full: false, span: name.span };
            self.kernel.axes.push(data)
        });
        let Some(looped) = self.begin_for(axis, bounds, carried, span) else { return };
        let thing = match axis {
            Some(axis) => Thing::Axis(axis),
            None => Thing::Value(looped.index),
        };
        if axis.is_none() {
            self.name_value(looped.index, &name.name);
        }
        let inner = self.scopes.bind(env, &name.name, name.span, thing);
        self.stmts(inner, &body.stmts);
        self.drop_value(body);
        self.end_for(looped);
    }

    fn bounds(&mut self, env: Env, range: &'a ast::Range) -> Option<(Value, Value)> {
        let lo = match &range.lo {
            Some(lo) => {
                let lo = self.eval(env, lo);
                self.scalar_integer(&lo, "a bound")
            }
            None => {
                let zero = Thing::Literal(Literal::Int(0));
                let zero = Arg { thing: zero, span: range.hi.span, tight: true };
                self.scalar_integer(&zero, "a bound")
            }
        };
        let hi = self.eval(env, &range.hi);
        let hi = self.scalar_integer(&hi, "a bound");
        Some((lo?, hi?))
    }

    /// The size after `by`.
    pub fn block_extent(&mut self, env: Env, by: &'a Expr) -> Option<Extent> {
        let arg = self.eval(env, by);
        let extent = match arg.thing {
            Thing::Poison => return None,
            Thing::Extent(extent @ (Extent::Const(_) | Extent::Generic(_))) => extent,
            Thing::Literal(Literal::Int(value)) => Extent::Const(value),
            other => {
                let text = self.thing_text(&other);
                self.report(
                    Diagnostic::error(
                        codes::E0402,
                        by.span,
                        "the size of a block must be known at compile time",
                        format!("this is {text}"),
                    )
                    .help("use an integer, a `const` parameter or a knob: `tune BN in [32, 64]`"),
                );
                return None;
            }
        };
        self.extent_in_range(extent, by.span).then_some(extent)
    }

    /// Whether an axis can have this many lanes, under every choice of a knob.
    pub fn extent_in_range(&mut self, extent: Extent, span: Span) -> bool {
        let choices = match extent {
            Extent::Const(value) => vec![value],
            Extent::Generic(generic) => match &self.kernel.generics[generic].kind {
                GenericKind::Knob(choices) => choices.clone(),
                GenericKind::Const | GenericKind::DType(_) => Vec::new(),
            },
            Extent::Dim(_) => Vec::new(),
        };
        let wrong = choices.into_iter().find(|n| !(1..=limits::TILE_ELEMENTS).contains(n));
        let Some(wrong) = wrong else { return true };
        let message = match extent {
            Extent::Const(_) => format!("an axis cannot have {wrong} lanes"),
            _ => format!(
                "knob `{}` may be {wrong}, and an axis cannot have {wrong} lanes",
                self.extent_text(extent)
            ),
        };
        let label = format!("from 1 to {} lanes", limits::TILE_ELEMENTS);
        self.report(Diagnostic::error(codes::E0414, span, message, label));
        false
    }

    /// Whether an axis of this name is already there; reports it.
    pub fn axis_shadowed(&mut self, env: Env, name: &'a ast::Ident) -> bool {
        let (found, _) = self.scopes.find(env, &name.name);
        let Some((Thing::Axis(_), first)) = found else { return false };
        self.report(
            Diagnostic::error(
                codes::E0303,
                name.span,
                format!("axis `{}` is declared twice", name.name),
                "again here",
            )
            .with(first, "there is an axis of this name")
            .help("give one of them another name: two axes of one name could not be told apart"),
        );
        true
    }

    #[inline(never)]
    pub fn axis_stmt(
        &mut self,
        env: Env,
        name: &'a ast::Ident,
        range: &'a ast::Range,
        by: Option<&'a Expr>,
        span: Span,
    ) -> Env {
        let shadowed = self.axis_shadowed(env, name);
        let axis = match by {
            Some(by) => {
                let extent = self.block_extent(env, by);
                let bounds = self.bounds(env, range);
                match (extent, bounds) {
                    (Some(extent), Some((lo, hi))) if !shadowed => {
                        let data = AxisData {
                            name: name.name.clone(),
                            extent,
                            full: false,
                            span: name.span,
                        };
                        self.span = span;
                        Some(self.build().axis(data, lo, hi))
                    }
                    _ => None,
                }
            }
            None => match self.whole_extent(env, range) {
                Some(extent) if !shadowed => Some(self.whole_axis(&name.name, extent, name.span)),
                _ => None,
            },
        };
        let thing = axis.map_or(Thing::Poison, Thing::Axis);
        self.scopes.bind(env, &name.name, name.span, thing)
    }

    /// The extent of a whole axis: known at compile time, or in a spec any dimension.
    fn whole_extent(&mut self, env: Env, range: &'a ast::Range) -> Option<Extent> {
        if let Some(lo) = &range.lo
            && !matches!(lo.kind, ExprKind::Int(0))
        {
            self.report(
                Diagnostic::error(codes::E0401, lo.span, "a whole axis starts at 0", "starts elsewhere")
                    .help("say how many lanes it has: `axis n in lo..hi by 64;` is one block that starts anywhere"),
            );
            return None;
        }
        let arg = self.eval(env, &range.hi);
        match arg.thing {
            Thing::Poison => None,
            Thing::Extent(extent @ Extent::Generic(_)) => Some(extent),
            Thing::Extent(extent @ Extent::Const(_)) => {
                self.extent_in_range(extent, range.hi.span).then_some(extent)
            }
            Thing::Literal(Literal::Int(value)) => {
                let extent = Extent::Const(value);
                self.extent_in_range(extent, range.hi.span).then_some(extent)
            }
            Thing::Extent(extent @ Extent::Dim(_)) if self.spec => Some(extent),
            Thing::Extent(extent) => {
                let name = self.extent_text(extent);
                self.needs_by(range, &format!("`{name}`, a run-time dimension"), Some(name));
                None
            }
            other => {
                let text = self.thing_text(&other);
                self.needs_by(range, &text, None);
                None
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn needs_by(&mut self, range: &ast::Range, what: &str, dimension: Option<String>) {
        let mut report = Diagnostic::error(
            codes::E0401,
            range.hi.span,
            format!("a whole axis needs an extent known at compile time, got {what}"),
            "not known at compile time",
        );
        report = if self.spec {
            report.help("in a spec a dimension will do; else say how large a block is: `by 64`")
        } else {
            let report = report.help("go through it in blocks, `for n in N by BN { … }`, or take one block, `axis n in lo..hi by BN;`");
            match dimension {
                Some(name) => report
                    .help(format!("or make `{name}` a constant of the kernel: `<const {name}>`")),
                None => report,
            }
        };
        self.report(report);
    }

    /// The variables around a loop that its body assigns, in order of declaration.
    fn assigned(&mut self, env: Env, name: &'a ast::Ident, body: &'a Block) -> Vec<VarId> {
        let mut found = Assigned::default();
        found.shadow(&name.name);
        found.block(body);
        self.count_steps(found.steps, body.span);
        let mut vars = Vec::new();
        for name in found.names {
            if let (Some((Thing::Var(id), _)), _) = self.scopes.find(env, name) {
                vars.push(*id);
            }
        }
        vars.retain(|id| self.vars[id.0 as usize].frame == self.frame);
        vars.sort_by_key(|id| id.0);
        vars
    }
}

/// Names assigned in a block that are not declared in it.
#[derive(Default)]
struct Assigned<'a> {
    names: BTreeSet<&'a str>,
    hidden: BTreeMap<&'a str, usize>,
    order: Vec<&'a str>,
    steps: usize,
}

impl<'a> Assigned<'a> {
    fn shadow(&mut self, name: &'a str) {
        *self.hidden.entry(name).or_default() += 1;
        self.order.push(name);
    }

    fn block(&mut self, block: &'a Block) {
        let outer = self.order.len();
        for stmt in &block.stmts {
            self.steps += 1;
            match &stmt.kind {
                StmtKind::Let { pattern, .. } => self.pattern(pattern, Assigned::shadow),
                StmtKind::Var { name, .. } | StmtKind::Axis { name, .. } => self.shadow(&name.name),
                StmtKind::Assign { pattern, .. } => self.pattern(pattern, |found, name| {
                    if found.hidden.get(name).is_none_or(|&count| count == 0) {
                        found.names.insert(name);
                    }
                }),
                StmtKind::For { name, body, .. } => {
                    let inner = self.order.len();
                    self.shadow(&name.name);
                    self.block(body);
                    self.unshadow(inner);
                }
                StmtKind::If { then, otherwise, .. } => {
                    self.block(then);
                    if let Some(otherwise) = otherwise {
                        self.block(otherwise);
                    }
                }
                StmtKind::Store { .. } | StmtKind::Return | StmtKind::Expr(_) => {}
                StmtKind::Error(names) => names.iter().for_each(|name| self.shadow(&name.name)),
            }
        }
        self.unshadow(outer);
    }

    fn unshadow(&mut self, to: usize) {
        for name in self.order.drain(to..) {
            if let Some(count) = self.hidden.get_mut(name) {
                *count -= 1;
            }
        }
    }

    fn pattern(&mut self, pattern: &'a Pattern, each: impl Fn(&mut Self, &'a str)) {
        match pattern {
            Pattern::Name(name) => each(self, &name.name),
            Pattern::Tuple(names, _) => names.iter().for_each(|name| each(self, &name.name)),
        }
    }
}
