//! Layout of expressions: on one line where that fits, else calls are filled and chains broken before
//! their operators.

use super::{INDENT, Printer, WIDTH, fill};
use crate::ast::{Arg, Block, Expr, ExprKind, Ident, Stmt, StmtKind};

impl Printer<'_> {
    /// An expression that begins at `column` in a statement indented by `indent` and is followed by
    /// `after` more columns.
    pub(super) fn expr(&self, expr: &Expr, column: usize, indent: usize, after: usize) -> String {
        let flat = self.flat(expr);
        if column + flat.chars().count() + after <= WIDTH {
            return flat;
        }
        let inner = indent + INDENT;
        match &expr.kind {
            ExprKind::Call { function, args, over } => {
                let open = format!("{}(", function.name);
                let mut parts: Vec<String> = Vec::new();
                let (front, back) = around_over(args, over);
                for arg in front {
                    parts.push(self.arg(arg, inner, inner));
                }
                if !over.is_empty() {
                    let axes = names(over);
                    match parts.last_mut() {
                        Some(last) => last.push_str(&format!(" over {axes}")),
                        None => parts.push(format!("over {axes}")),
                    }
                }
                for arg in back {
                    parts.push(self.arg(arg, inner, inner));
                }
                let list = fill(&parts, column + open.chars().count(), inner, after + 1);
                format!("{open}{list})")
            }
            ExprKind::Chain { first, rest } => {
                let mut out = self.expr(first, column, indent, 0);
                let mut at = column + last_width(&out);
                for (n, (op, operand)) in rest.iter().enumerate() {
                    let flat = self.flat(operand);
                    let more = if n + 1 == rest.len() { after } else { 0 };
                    let width = op.symbol().len() + 2 + flat.chars().count();
                    if at + width + more > WIDTH {
                        out.push('\n');
                        out.extend(std::iter::repeat_n(' ', inner));
                        out.push_str(op.symbol());
                        at = inner + op.symbol().len();
                    } else {
                        out.push(' ');
                        out.push_str(op.symbol());
                        at += op.symbol().len() + 1;
                    }
                    let operand = self.expr(operand, at + 1, inner, more);
                    out.push(' ');
                    at = if operand.contains('\n') {
                        last_width(&operand)
                    } else {
                        at + 1 + last_width(&operand)
                    };
                    out.push_str(&operand);
                }
                out
            }
            ExprKind::Paren(x) => format!("({})", self.expr(x, column + 1, indent, after + 1)),
            ExprKind::Closure { params, body, braces: false } => match &body.value {
                Some(value) => {
                    let head = format!("|{}| ", names(params));
                    let value = self.expr(value, column + head.chars().count(), indent, after);
                    format!("{head}{value}")
                }
                None => flat,
            },
            ExprKind::Closure { params, body, braces: true } => {
                format!("|{}| {}", names(params), self.tall_block(body, indent))
            }
            _ => flat,
        }
    }

    fn arg(&self, arg: &Arg, column: usize, indent: usize) -> String {
        match &arg.name {
            None => self.expr(&arg.value, column, indent, 1),
            Some(name) => {
                let head = format!("{} = ", name.name);
                let value = self.expr(&arg.value, column + head.chars().count(), indent, 1);
                format!("{head}{value}")
            }
        }
    }

    /// A block over several lines, without comments: those have been written before.
    fn tall_block(&self, block: &Block, indent: usize) -> String {
        let inner = indent + INDENT;
        let mut out = String::from("{\n");
        for stmt in &block.stmts {
            out.push_str(&format!("{:inner$}{}\n", "", self.flat_stmt(stmt)));
        }
        if let Some(value) = &block.value {
            out.push_str(&format!("{:inner$}{}\n", "", self.expr(value, inner, inner, 0)));
        }
        out.push_str(&format!("{:indent$}}}", ""));
        out
    }

    /// An expression on one line.
    pub(super) fn flat(&self, expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Error => {
                self.source(expr.span).to_string()
            }
            ExprKind::Name(name) => name.clone(),
            ExprKind::Chain { first, rest } => {
                let mut out = self.flat(first);
                for (op, operand) in rest {
                    out.push_str(&format!(" {} {}", op.symbol(), self.flat(operand)));
                }
                out
            }
            ExprKind::Compare { op, left, right } => {
                format!("{} {} {}", self.flat(left), op.symbol(), self.flat(right))
            }
            ExprKind::Not(x) => format!("not {}", self.flat(x)),
            ExprKind::Neg(x) => format!("-{}", self.flat(x)),
            ExprKind::Cast { value, to } => format!("{} as {}", self.flat(value), to.name),
            ExprKind::Call { function, args, over } => self.flat_call(function, args, over),
            ExprKind::Index { base, indices } => {
                format!("{}[{}]", base.name, self.flat_list(indices))
            }
            ExprKind::Closure { params, body, braces: false } => {
                let value = body.value.as_ref().map(|value| self.flat(value)).unwrap_or_default();
                format!("|{}| {value}", names(params))
            }
            ExprKind::Closure { params, body, braces: true } => {
                format!("|{}| {}", names(params), self.flat_block(body))
            }
            ExprKind::Tuple(items) if items.len() == 1 => format!("({},)", self.flat_list(items)),
            ExprKind::Tuple(items) => format!("({})", self.flat_list(items)),
            ExprKind::Paren(x) => format!("({})", self.flat(x)),
        }
    }

    fn flat_call(&self, function: &Ident, args: &[Arg], over: &[Ident]) -> String {
        let show = |arg: &Arg| match &arg.name {
            None => self.flat(&arg.value),
            Some(name) => format!("{} = {}", name.name, self.flat(&arg.value)),
        };
        let (front, back) = around_over(args, over);
        let front = front.into_iter().map(show).collect::<Vec<_>>().join(", ");
        let over = if over.is_empty() { String::new() } else { format!(" over {}", names(over)) };
        let back: String = back.into_iter().map(|arg| format!(", {}", show(arg))).collect();
        format!("{}({front}{over}{back})", function.name)
    }

    pub(super) fn flat_list(&self, items: &[Expr]) -> String {
        items.iter().map(|item| self.flat(item)).collect::<Vec<_>>().join(", ")
    }

    /// A block on one line: for bodies of closures.
    fn flat_block(&self, block: &Block) -> String {
        let mut parts: Vec<String> = block.stmts.iter().map(|s| self.flat_stmt(s)).collect();
        parts.extend(block.value.iter().map(|value| self.flat(value)));
        if parts.is_empty() { "{ }".into() } else { format!("{{ {} }}", parts.join(" ")) }
    }

    /// A statement on one line.
    pub(super) fn flat_stmt(&self, stmt: &Stmt) -> String {
        match &stmt.kind {
            StmtKind::For { body, .. } => format!("{} {}", self.head(stmt), self.flat_block(body)),
            StmtKind::If { then, otherwise, .. } => {
                let mut out = format!("{} {}", self.head(stmt), self.flat_block(then));
                if let Some(block) = otherwise {
                    out.push_str(&format!(" else {}", self.flat_block(block)));
                }
                out
            }
            _ => match self.parts(stmt) {
                (head, Some(value)) => format!("{head}{};", self.flat(value)),
                (head, None) => format!("{head};"),
            },
        }
    }
}

/// Names with commas between them.
pub(super) fn names(idents: &[Ident]) -> String {
    idents.iter().map(|ident| ident.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn last_width(text: &str) -> usize {
    text.rsplit('\n').next().unwrap_or_default().chars().count()
}

/// The arguments that stand before `over`, and those that stand behind: named ones, unless there are
/// no others.
fn around_over<'t>(args: &'t [Arg], over: &[Ident]) -> (Vec<&'t Arg>, Vec<&'t Arg>) {
    let all_named = args.iter().all(|arg| arg.name.is_some());
    args.iter().partition(|arg| over.is_empty() || all_named || arg.name.is_none())
}
