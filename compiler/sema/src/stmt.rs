//! Statements, and how `return` leaves a program.
//!
//! There is no early exit in the IR. What follows an `if` that returns moves into the arm that
//! goes on; where both arms may go on, a hidden variable says whether the program still runs, and
//! what follows stands in an `if` on it.

use tilec_ir::Value;
use tilec_syntax::ast::{Block, Expr, Pattern, Stmt, StmtKind};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::access::Access;
use crate::lower::{Arg, Lower};
use crate::report::count;
use crate::scope::{Env, FileIndex, Thing, VarId};

/// Whether a run of statements returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Never,
    Maybe,
    Always,
}

impl<'a> Lower<'a> {
    /// Statements of a function, a closure or a spec: none may return.
    pub fn stmts(&mut self, mut env: Env, stmts: &'a [Stmt]) -> Env {
        for stmt in stmts {
            env = self.stmt(env, stmt);
        }
        env
    }

    /// Statements of a kernel's body, or of an arm of an `if` there. A `return` among them clears
    /// `running`, if anybody asks.
    pub fn program(&mut self, mut env: Env, stmts: &'a [Stmt], running: Option<VarId>) {
        for (n, stmt) in stmts.iter().enumerate() {
            match &stmt.kind {
                StmtKind::Return => {
                    self.never_reached(&stmts[n + 1..], stmt.span);
                    if let Some(running) = running {
                        let no = self.boolean(false, stmt.span);
                        self.set_var(running, no);
                    }
                    return;
                }
                StmtKind::If { condition, then, otherwise } => {
                    let arms = (leaves(&then.stmts), leaves(else_stmts(otherwise)));
                    if arms == (Leaves::Never, Leaves::Never) {
                        env = self.stmt(env, stmt);
                        continue;
                    }
                    let rest = &stmts[n + 1..];
                    if self.enter(stmt.span) {
                        let parts = Parts { condition, then, otherwise, rest, span: stmt.span };
                        self.leaving_if(env, parts, arms, running);
                        self.leave();
                    }
                    return;
                }
                _ => env = self.stmt(env, stmt),
            }
        }
    }

    fn leaving_if(
        &mut self,
        env: Env,
        parts: Parts<'a>,
        arms: (Leaves, Leaves),
        mut running: Option<VarId>,
    ) {
        let Parts { condition, then, otherwise, rest, span } = parts;
        if arms == (Leaves::Always, Leaves::Always) {
            self.never_reached(rest, span);
        }
        let condition = self.if_condition(env, condition);
        let one_stays = (arms.0 == Leaves::Always) != (arms.1 == Leaves::Always);
        let maybe = arms.0 == Leaves::Maybe || arms.1 == Leaves::Maybe;
        if maybe && running.is_none() && !rest.is_empty() {
            running = Some(self.hidden_var(span));
        }
        let Some(mut branch) = self.begin_if(span) else { return };
        self.drop_value(then);
        otherwise.iter().for_each(|block| self.drop_value(block));
        for (n, stmts) in [&then.stmts[..], else_stmts(otherwise)].into_iter().enumerate() {
            self.program(env, stmts, running);
            let leaves = if n == 0 { arms.0 } else { arms.1 };
            match leaves {
                Leaves::Never if one_stays => self.program(env, rest, running),
                Leaves::Maybe if one_stays => self.if_running(env, rest, running, span),
                Leaves::Never | Leaves::Maybe | Leaves::Always => {}
            }
            if n == 0 {
                self.next_arm(&mut branch);
            }
        }
        self.end_if(branch, condition);
        if !one_stays && arms.0 != Leaves::Always {
            self.if_running(env, rest, running, span);
        }
    }

    /// What is left of a program, if it still runs.
    fn if_running(&mut self, env: Env, rest: &'a [Stmt], running: Option<VarId>, span: Span) {
        let Some(condition) = running.and_then(|id| self.var(id)).map(|var| var.value) else {
            return;
        };
        if rest.is_empty() {
            return;
        }
        let Some(mut branch) = self.begin_if(span) else { return };
        self.program(env, rest, running);
        self.next_arm(&mut branch);
        self.end_if(branch, condition);
    }

    fn hidden_var(&mut self, span: Span) -> VarId {
        let yes = self.boolean(true, span);
        // Bound to a name that no text can hold.
        self.declare_var(Env::of_file(FileIndex(0)), "running", span, yes);
        VarId(self.vars.len() as u32 - 1)
    }

    fn never_reached(&mut self, rest: &'a [Stmt], leaves: Span) {
        if let Some(first) = rest.first() {
            self.warn(
                Diagnostic::warning(
                    codes::W0905,
                    first.span,
                    "this is never reached",
                    "never runs",
                )
                .with(leaves, "the program has always returned here"),
            );
        }
    }

    /// One statement; the environment after it.
    pub fn stmt(&mut self, env: Env, stmt: &'a Stmt) -> Env {
        if !self.enter(stmt.span) {
            return env;
        }
        let env = self.stmt_kind(env, stmt);
        self.leave();
        env
    }

    fn stmt_kind(&mut self, env: Env, stmt: &'a Stmt) -> Env {
        match &stmt.kind {
            StmtKind::Let { pattern, value } => self.let_stmt(env, pattern, value),
            StmtKind::Var { name, value } => self.var_stmt(env, name, value),
            StmtKind::Assign { pattern, value } => {
                self.assign(env, pattern, value);
                env
            }
            StmtKind::Store { tensor, indices, value, add, place } => {
                let access = Access { span: stmt.span, index: *place, add: *add };
                self.store(env, tensor, indices, value, access);
                env
            }
            StmtKind::For { name, range, by, body } => {
                self.for_stmt(env, name, (range, by.as_ref()), body, stmt.span);
                env
            }
            StmtKind::If { condition, then, otherwise } => {
                self.if_stmt(env, condition, then, otherwise, stmt.span);
                env
            }
            StmtKind::Axis { name, range, by } => {
                self.axis_stmt(env, name, range, by.as_ref(), stmt.span)
            }
            StmtKind::Return => {
                self.misplaced_return(stmt.span);
                env
            }
            StmtKind::Expr(value) => {
                let value = self.eval(env, value);
                if !matches!(value.thing, Thing::Unit | Thing::Poison) {
                    let text = self.thing_text(&value.thing);
                    self.warn(Diagnostic::warning(
                        codes::W0906,
                        value.span,
                        "this value is not used",
                        format!("gives {text}"),
                    ));
                }
                env
            }
            StmtKind::Error(names) => names
                .iter()
                .fold(env, |env, name| self.scopes.bind(env, &name.name, name.span, Thing::Poison)),
        }
    }

    #[cold]
    #[inline(never)]
    fn misplaced_return(&mut self, span: Span) {
        let what = if self.frame != 0 {
            "a function ends with its value"
        } else if self.spec {
            "a spec has no program to leave"
        } else {
            "a loop runs to its end"
        };
        let report = Diagnostic::error(
            codes::E0410,
            span,
            format!("`return` cannot stand here: {what}"),
            "not at this place",
        )
        .note("`return` leaves the program, from the kernel's body or from an `if` in it");
        self.report(report);
    }

    #[inline(never)]
    fn let_stmt(&mut self, env: Env, pattern: &'a Pattern, value: &'a Expr) -> Env {
        let value = self.eval(env, value);
        match pattern {
            Pattern::Name(name) => {
                let thing = self.named(value, &name.name);
                self.scopes.bind(env, &name.name, name.span, thing)
            }
            Pattern::Tuple(names, span) => {
                let parts = self.take_apart(&value, names.len(), *span);
                let mut env = env;
                for (n, name) in names.iter().enumerate() {
                    let thing = parts.as_ref().map_or(Thing::Poison, |parts| parts[n].clone());
                    let part = Arg { thing, span: value.span, tight: value.tight };
                    let thing = self.named(part, &name.name);
                    env = self.scopes.bind(env, &name.name, name.span, thing);
                }
                env
            }
        }
    }

    /// What a `let` binds; the value remembers the name.
    fn named(&mut self, value: Arg<'a>, name: &str) -> Thing<'a> {
        match value.thing {
            Thing::Unit => {
                // Says that the call gives no value.
                self.operand(&value);
                Thing::Poison
            }
            Thing::Value(inner) => {
                self.name_value(inner, name);
                Thing::Value(inner)
            }
            thing => thing,
        }
    }

    pub fn take_apart(
        &mut self,
        value: &Arg<'a>,
        wanted: usize,
        span: Span,
    ) -> Option<std::rc::Rc<[Thing<'a>]>> {
        match &value.thing {
            Thing::Poison => None,
            Thing::Tuple(parts) if parts.len() == wanted => Some(parts.clone()),
            Thing::Tuple(parts) => {
                let got = parts.len();
                self.report(
                    Diagnostic::error(
                        codes::E0319,
                        span,
                        format!("{} for a tuple of {got}", count(wanted, "name")),
                        count(wanted, "name"),
                    )
                    .with(value.span, format!("a tuple of {got}")),
                );
                None
            }
            Thing::Unit => {
                self.operand(value);
                None
            }
            other => {
                let text = self.thing_text(other);
                self.report(
                    Diagnostic::error(
                        codes::E0320,
                        value.span,
                        format!("only a tuple can be taken apart; this is {text}"),
                        format!("this is {text}"),
                    )
                    .with(span, count(wanted, "name")),
                );
                None
            }
        }
    }

    #[inline(never)]
    fn if_stmt(
        &mut self,
        env: Env,
        condition: &'a Expr,
        then: &'a Block,
        otherwise: &'a Option<Block>,
        span: Span,
    ) {
        let condition = self.if_condition(env, condition);
        let Some(mut branch) = self.begin_if(span) else { return };
        self.stmts(env, &then.stmts);
        self.drop_value(then);
        self.next_arm(&mut branch);
        if let Some(otherwise) = otherwise {
            self.stmts(env, &otherwise.stmts);
            self.drop_value(otherwise);
        }
        self.end_if(branch, condition);
    }

    /// The arms of an `if` and the bodies of loops have no value.
    pub fn drop_value(&mut self, block: &Block) {
        if let Some(value) = &block.value {
            self.report(
                Diagnostic::error(
                    codes::E0413,
                    value.span,
                    "this block gives a value, and nothing takes it",
                    "a value without a place to go",
                )
                .help("to choose between two values, write `select(c, a, b)`; to change one, use a `var`"),
            );
        }
    }

    /// A condition that is one truth value for the whole program.
    fn if_condition(&mut self, env: Env, condition: &'a Expr) -> Value {
        let arg = self.eval(env, condition);
        let found = self.condition(&arg, "the condition of `if`");
        if let Some(value) = found {
            if self.kernel.ty(value).is_scalar() {
                return value;
            }
            self.tile_condition(value, arg.span);
        }
        // Whatever it is: what stands in the arms is still looked at.
        self.boolean(true, condition.span)
    }

    #[cold]
    #[inline(never)]
    fn tile_condition(&mut self, value: Value, span: Span) {
        let axes = self.axes_text(self.kernel.ty(value).axes.iter());
        self.report(
            Diagnostic::error(
                codes::E0310,
                span,
                format!("`if` needs one truth value, got a tile over [{axes}]"),
                format!("spans [{axes}]"),
            )
            .help(format!(
                "choose for each lane with `select(c, a, b)`, or reduce: `any(c over {axes})`, `all(c over {axes})`"
            )),
        );
    }
}

/// An `if` that may return, and what follows it.
struct Parts<'a> {
    condition: &'a Expr,
    then: &'a Block,
    otherwise: &'a Option<Block>,
    rest: &'a [Stmt],
    span: Span,
}

fn else_stmts(otherwise: &Option<Block>) -> &[Stmt] {
    otherwise.as_ref().map_or(&[], |block| &block.stmts)
}

fn leaves(stmts: &[Stmt]) -> Leaves {
    let mut all = Leaves::Never;
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Return => return Leaves::Always,
            StmtKind::If { then, otherwise, .. } => {
                match (leaves(&then.stmts), leaves(else_stmts(otherwise))) {
                    (Leaves::Always, Leaves::Always) => return Leaves::Always,
                    (Leaves::Never, Leaves::Never) => {}
                    _ => all = Leaves::Maybe,
                }
            }
            _ => {}
        }
    }
    all
}
