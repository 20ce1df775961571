//! Layout of statements and blocks.

use super::expr::names;
use super::{INDENT, Printer, WIDTH};
use crate::ast::{Block, Expr, Pattern, Range, Stmt, StmtKind};

impl Printer<'_> {
    /// A block behind something on its line; the closing brace at `indent`.
    pub(super) fn block(&mut self, block: &Block, indent: usize) {
        let inner = indent + INDENT;
        let empty = block.stmts.is_empty() && block.value.is_none();
        if empty && !self.has_comment(block.span) {
            self.out.push_str("{ }");
            return;
        }
        self.out.push('{');
        let mut end = self.trailing(block.span.start as usize + 1);
        self.out.push('\n');
        let mut joined = false;
        for (n, stmt) in block.stmts.iter().enumerate() {
            if !joined {
                end = self.leading(stmt.span.start as usize, end, inner);
                self.gap(end, stmt.span.start as usize);
                self.indent(inner);
            }
            self.leading_inside(stmt, inner);
            self.stmt(stmt, inner);
            end = stmt.span.end as usize;
            joined = self.joins(stmt, block.stmts.get(n + 1));
            if joined {
                self.out.push(' ');
            } else {
                end = self.trailing(end);
                self.out.push('\n');
            }
        }
        if let Some(value) = &block.value {
            end = self.leading(value.span.start as usize, end, inner);
            self.gap(end, value.span.start as usize);
            end = self.leading(value.span.end as usize, end, inner);
            self.indent(inner);
            let text = self.expr(value, inner, inner, 0);
            self.out.push_str(&text);
            self.trailing(value.span.end as usize);
            end = end.max(value.span.end as usize);
            self.out.push('\n');
        }
        self.leading(block.span.end as usize, end, inner);
        self.indent(indent);
        self.out.push('}');
    }

    /// Comments inside a simple statement move before it.
    fn leading_inside(&mut self, stmt: &Stmt, indent: usize) {
        let until = match &stmt.kind {
            StmtKind::For { body, .. } => body.span.start,
            StmtKind::If { then, .. } => then.span.start,
            _ => stmt.span.end,
        };
        let within = |comment: &crate::ast::Comment| comment.span.start < until;
        if !self.comments.get(self.next).is_some_and(within) {
            return;
        }
        // The indentation of the statement has been written; the comments take it.
        let length = self.out.trim_end_matches(' ').len();
        self.out.truncate(length);
        if !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        while let Some(comment) = self.comments.get(self.next)
            && within(comment)
        {
            self.indent(indent);
            self.out.push_str(&comment.text);
            self.out.push('\n');
            self.next += 1;
        }
        self.indent(indent);
    }

    /// Whether `next` stays on the line of `stmt`.
    fn joins(&self, stmt: &Stmt, next: Option<&Stmt>) -> bool {
        let axis = |s: &Stmt| matches!(s.kind, StmtKind::Axis { .. });
        let Some(next) = next else { return false };
        if !(axis(stmt) && axis(next) && self.same_line(stmt.span.end, next.span.start)) {
            return false;
        }
        let line = self.out.rsplit('\n').next().unwrap_or_default().chars().count();
        line + 1 + self.flat_stmt(next).chars().count() <= WIDTH
    }

    fn stmt(&mut self, stmt: &Stmt, indent: usize) {
        match &stmt.kind {
            StmtKind::For { body, .. } => {
                let head = self.head(stmt);
                self.out.push_str(&head);
                self.out.push(' ');
                self.block(body, indent);
            }
            StmtKind::If { .. } => self.branches(stmt, indent),
            _ => {
                let (head, value) = self.parts(stmt);
                let column = indent + head.chars().count();
                let value = value.map(|value| self.expr(value, column, indent, 1));
                self.out.push_str(&head);
                self.out.push_str(&value.unwrap_or_default());
                self.out.push(';');
            }
        }
    }

    fn branches(&mut self, stmt: &Stmt, indent: usize) {
        let mut branch = stmt;
        loop {
            let StmtKind::If { then, otherwise, .. } = &branch.kind else { return };
            let head = self.head(branch);
            self.out.push_str(&head);
            self.out.push(' ');
            self.block(then, indent);
            let Some(otherwise) = otherwise else { return };
            self.out.push_str(" else ");
            match otherwise.stmts.as_slice() {
                // `else if` is a block that begins with the `if`, not with a brace.
                [only] if only.span.start == otherwise.span.start => branch = only,
                _ => {
                    self.block(otherwise, indent);
                    return;
                }
            }
        }
    }

    /// What stands before the block of a `for` or `if`.
    pub(super) fn head(&self, stmt: &Stmt) -> String {
        match &stmt.kind {
            StmtKind::For { name, range, by, .. } => {
                format!("for {} in {}", name.name, self.range(range, by.as_ref()))
            }
            StmtKind::If { condition, .. } => format!("if {}", self.flat(condition)),
            _ => String::new(),
        }
    }

    fn range(&self, range: &Range, by: Option<&Expr>) -> String {
        let mut out = match &range.lo {
            Some(lo) => format!("{}..{}", self.flat(lo), self.flat(&range.hi)),
            None => self.flat(&range.hi),
        };
        if let Some(by) = by {
            out.push_str(&format!(" by {}", self.flat(by)));
        }
        out
    }

    /// A simple statement as what stands before its value, and the value.
    pub(super) fn parts<'s>(&self, stmt: &'s Stmt) -> (String, Option<&'s Expr>) {
        let pattern = |pattern: &Pattern| match pattern {
            Pattern::Name(name) => name.name.clone(),
            Pattern::Tuple(items, _) if items.len() == 1 => format!("({},)", names(items)),
            Pattern::Tuple(items, _) => format!("({})", names(items)),
        };
        match &stmt.kind {
            StmtKind::Let { pattern: p, value } => (format!("let {} = ", pattern(p)), Some(value)),
            StmtKind::Var { name, value } => (format!("var {} = ", name.name), Some(value)),
            StmtKind::Assign { pattern: p, value } => (format!("{} = ", pattern(p)), Some(value)),
            StmtKind::Store { tensor, indices, value, add, .. } => {
                let op = if *add { "+=" } else { "=" };
                (format!("{}[{}] {op} ", tensor.name, self.flat_list(indices)), Some(value))
            }
            StmtKind::Axis { name, range, by } => {
                (format!("axis {} in {}", name.name, self.range(range, by.as_ref())), None)
            }
            StmtKind::Return => ("return".into(), None),
            StmtKind::Expr(value) => (String::new(), Some(value)),
            StmtKind::For { .. } | StmtKind::If { .. } | StmtKind::Error(_) => {
                (self.source(stmt.span).to_string(), None)
            }
        }
    }
}
