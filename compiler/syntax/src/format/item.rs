//! Layout of items: signatures, clauses, bodies.

use tilec_vocab::Span;

use super::expr::names;
use super::{INDENT, Printer, WIDTH, fill};
use crate::ast::{Expr, Generic, GenericKind, GridAxis, Ident, Item, Knob, Param, Type, TypeKind};

/// Where an item stands.
pub(super) fn span(item: &Item) -> Span {
    match item {
        Item::Use(item) => item.span,
        Item::Const(item) => item.span,
        Item::Function(item) => item.span,
        Item::Kernel(item) => item.span,
        Item::Spec(item) => item.span,
        Item::Error { span, .. } => *span,
    }
}

impl Printer<'_> {
    pub(super) fn item(&mut self, item: &Item) {
        match item {
            Item::Use(item) => {
                let line = match item.names.as_slice() {
                    [only] => format!("use {}::{};", item.file.name, only.name),
                    many => format!("use {}::{{{}}};", item.file.name, names(many)),
                };
                self.out.push_str(&line);
            }
            Item::Const(item) => {
                let head = format!("const {} = ", item.name.name);
                let value = self.expr(&item.value, head.len(), 0, 1);
                self.out.push_str(&format!("{head}{value};"));
            }
            Item::Function(f) => {
                self.signature("fn", &f.name, &f.generics, &f.params);
                self.clauses(&f.requires, &f.knobs, &[], f.body.span);
                match (&f.body.value, f.short) {
                    (Some(value), true) => {
                        let clauses = !f.requires.is_empty() || !f.knobs.is_empty();
                        if clauses && !self.out.ends_with('\n') {
                            self.out.push('\n');
                        }
                        self.space();
                        let value = self.expr(value, self.column() + 2, 0, 1);
                        self.out.push_str(&format!("= {value};"));
                    }
                    _ => {
                        self.space();
                        self.block(&f.body, 0);
                    }
                }
            }
            Item::Kernel(k) => {
                self.signature("kernel", &k.name, &k.generics, &k.params);
                self.clauses(&k.requires, &k.knobs, &k.grid, k.body.span);
                self.space();
                self.block(&k.body, 0);
            }
            Item::Spec(item) => {
                self.out.push_str(&format!("spec {} ", item.name.name));
                self.block(&item.body, 0);
            }
            Item::Error { span, .. } => {
                let source = self.source(*span).to_string();
                self.out.push_str(&source);
            }
        }
    }

    fn column(&self) -> usize {
        self.out.rsplit('\n').next().unwrap_or_default().chars().count()
    }

    /// A space, unless a line begins here.
    fn space(&mut self) {
        if !self.out.ends_with('\n') {
            self.out.push(' ');
        }
    }

    /// Where the parenthesis behind `from` closes that no comment holds.
    fn closing(&self, from: u32) -> u32 {
        let mut at = from as usize;
        let comments = &self.comments[self.next.min(self.comments.len())..];
        let mut comments =
            comments.iter().skip_while(|comment| comment.span.end <= from).peekable();
        for (n, byte) in self.text.bytes().enumerate().skip(at) {
            while comments.peek().is_some_and(|comment| comment.span.end as usize <= n) {
                comments.next();
            }
            let inside = comments.peek().is_some_and(|comment| comment.span.start as usize <= n);
            if byte == b')' && !inside {
                at = n;
                break;
            }
        }
        at as u32
    }

    fn signature(&mut self, word: &str, name: &Ident, generics: &[Generic], params: &[Param]) {
        let mut head = format!("{word} {}", name.name);
        if !generics.is_empty() {
            let generics: Vec<String> = generics.iter().map(generic).collect();
            head.push_str(&format!("<{}>", generics.join(", ")));
        }
        head.push('(');
        self.out.push_str(&head);
        let parts: Vec<String> = params.iter().map(|param| self.param(param)).collect();
        let flat = parts.join(", ");
        let close = self.closing(params.last().map_or(name.span.end, |param| param.span.end));
        if self.has_comment(Span { end: close, ..name.span }) {
            self.commented(params, &parts, close);
        } else if head.chars().count() + flat.chars().count() + 3 <= WIDTH {
            self.out.push_str(&flat);
        } else {
            self.out.push('\n');
            self.indent(INDENT);
            self.out.push_str(&fill(&parts, INDENT, INDENT, 1));
            self.out.push_str(",\n");
        }
        self.out.push(')');
    }

    /// One parameter a line, each with its comments.
    fn commented(&mut self, params: &[Param], parts: &[String], close: u32) {
        self.out.push('\n');
        for (param, part) in params.iter().zip(parts) {
            self.leading(param.span.end as usize, param.span.start as usize, INDENT);
            self.indent(INDENT);
            self.out.push_str(part);
            self.out.push(',');
            let end = param.span.end as usize;
            let comma = self.text.get(end..).unwrap_or_default();
            let skip = comma.len() - comma.trim_start_matches([' ', ',']).len();
            self.trailing(end + skip);
            self.out.push('\n');
        }
        self.leading(close as usize, close as usize, INDENT);
    }

    fn param(&self, param: &Param) -> String {
        let mut out = param.name.name.clone();
        if let Some(ty) = &param.ty {
            out.push_str(&format!(": {}", self.ty(ty)));
        }
        if let Some(default) = &param.default {
            out.push_str(&format!(" = {}", self.flat(default)));
        }
        out
    }

    fn ty(&self, ty: &Type) -> String {
        match &ty.kind {
            TypeKind::Scalar(name) => name.name.clone(),
            TypeKind::Tile { elem, axes } => format!("{}[{}]", elem.name, names(axes)),
            TypeKind::Tensor { mutable, elem, dims } => {
                let mutable = if *mutable { "mut " } else { "" };
                format!("&{mutable}{}[{}]", elem.name, self.flat_list(dims))
            }
            TypeKind::Error => self.source(ty.span).to_string(),
        }
    }

    /// Each clause on a line of its own, with the comments before and behind it. Ends at the start of
    /// a line where a comment stands last.
    fn clauses(&mut self, requires: &[Expr], knobs: &[Knob], grid: &[GridAxis], body: Span) {
        let knob =
            |knob: &Knob| format!("{} in [{}]", knob.name.name, self.flat_list(&knob.choices));
        let axis = |axis: &GridAxis| {
            let by = axis.by.as_ref().map(|by| format!(" by {}", self.flat(by)));
            format!("{} in {}{}", axis.name.name, self.flat(&axis.extent), by.unwrap_or_default())
        };
        let end = |spans: Vec<Span>| spans.iter().map(|span| span.end as usize).max();
        let clauses: [(&str, Vec<String>, Option<usize>); 3] = [
            (
                "require",
                requires.iter().map(|r| self.flat(r)).collect(),
                end(requires.iter().map(|r| r.span).collect()),
            ),
            ("tune", knobs.iter().map(knob).collect(), end(knobs.iter().map(|k| k.span).collect())),
            ("grid", grid.iter().map(axis).collect(), end(grid.iter().map(|g| g.span).collect())),
        ];
        for (word, parts, end) in clauses {
            let Some(end) = end else { continue };
            self.own_lines(end);
            if !self.out.ends_with('\n') {
                self.out.push('\n');
            }
            let head = format!("{word} ");
            let list = fill(&parts, head.len(), INDENT, 2);
            self.out.push_str(&format!("{head}{list}"));
            let length = self.out.len();
            self.trailing(end);
            if self.out.len() > length {
                self.out.push('\n');
            }
        }
        self.own_lines(body.start as usize);
    }

    /// Comments before `to`, from a new line on.
    fn own_lines(&mut self, to: usize) {
        if self.comments.get(self.next).is_some_and(|comment| (comment.span.start as usize) < to) {
            if !self.out.ends_with('\n') {
                self.out.push('\n');
            }
            self.leading(to, to, 0);
        }
    }
}

fn generic(generic: &Generic) -> String {
    match &generic.kind {
        GenericKind::DType(class) => format!("{}: {}", generic.name.name, class.name),
        GenericKind::Const => format!("const {}", generic.name.name),
    }
}
