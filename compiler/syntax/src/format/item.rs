//! Layout of items: signatures, clauses, bodies.

use tilec_vocab::Span;

use super::expr::names;
use super::{INDENT, Printer, WIDTH, fill};
use crate::ast::{Expr, Generic, GenericKind, GridAxis, Item, Knob, Param, Type, TypeKind};

/// Where an item stands.
pub(super) fn span(item: &Item) -> Span {
    match item {
        Item::Use(item) => item.span,
        Item::Const(item) => item.span,
        Item::Function(item) => item.span,
        Item::Kernel(item) => item.span,
        Item::Spec(item) => item.span,
        Item::Error(span) => *span,
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
                self.signature("fn", &f.name.name, &f.generics, &f.params, f.body.span);
                let clauses = self.clauses(&f.requires, &f.knobs, &[]);
                match (&f.body.value, f.short) {
                    (Some(value), true) => {
                        let column = self.column() + 3;
                        let value = self.expr(value, column, 0, 1);
                        self.out.push_str(&format!(" = {value};"));
                    }
                    _ => {
                        self.out.push_str(&clauses);
                        self.out.push(' ');
                        self.block(&f.body, 0);
                    }
                }
            }
            Item::Kernel(k) => {
                self.signature("kernel", &k.name.name, &k.generics, &k.params, k.body.span);
                let clauses = self.clauses(&k.requires, &k.knobs, &k.grid);
                self.out.push_str(&clauses);
                self.out.push(' ');
                self.block(&k.body, 0);
            }
            Item::Spec(item) => {
                self.out.push_str(&format!("spec {} ", item.name.name));
                self.block(&item.body, 0);
            }
            Item::Error(span) => {
                let source = self.source(*span).to_string();
                self.out.push_str(&source);
            }
        }
    }

    fn column(&self) -> usize {
        self.out.rsplit('\n').next().unwrap_or_default().chars().count()
    }

    fn signature(&mut self, word: &str, name: &str, generics: &[Generic], params: &[Param], body: Span) {
        let mut head = format!("{word} {name}");
        if !generics.is_empty() {
            let generics: Vec<String> = generics.iter().map(generic).collect();
            head.push_str(&format!("<{}>", generics.join(", ")));
        }
        head.push('(');
        self.out.push_str(&head);
        let parts: Vec<String> = params.iter().map(|param| self.param(param)).collect();
        let flat = parts.join(", ");
        let first = params.first().map_or(body.start, |param| param.span.start);
        let list = Span { start: first, end: body.start, ..body };
        if self.has_comment(list) {
            self.commented(params, &parts, body);
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
    fn commented(&mut self, params: &[Param], parts: &[String], body: Span) {
        self.out.push('\n');
        for (param, part) in params.iter().zip(parts) {
            self.leading(param.span.start as usize, param.span.start as usize, INDENT);
            self.indent(INDENT);
            self.out.push_str(part);
            self.out.push(',');
            let end = param.span.end as usize;
            let comma = self.text.get(end..).unwrap_or_default();
            let skip = comma.len() - comma.trim_start_matches([' ', ',']).len();
            self.trailing(end + skip);
            self.out.push('\n');
        }
        self.leading(body.start as usize, body.start as usize, INDENT);
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

    /// Each clause on a line of its own, before the body.
    fn clauses(&self, requires: &[Expr], knobs: &[Knob], grid: &[GridAxis]) -> String {
        let knob = |knob: &Knob| format!("{} in [{}]", knob.name.name, self.flat_list(&knob.choices));
        let axis = |axis: &GridAxis| {
            let by = axis.by.as_ref().map(|by| format!(" by {}", self.flat(by)));
            format!("{} in {}{}", axis.name.name, self.flat(&axis.extent), by.unwrap_or_default())
        };
        let clause = |word: &str, parts: Vec<String>| {
            if parts.is_empty() {
                return String::new();
            }
            let head = format!("\n{word} ");
            let list = fill(&parts, head.len() - 1, INDENT, 2);
            format!("{head}{list}")
        };
        clause("require", requires.iter().map(|r| self.flat(r)).collect())
            + &clause("tune", knobs.iter().map(knob).collect())
            + &clause("grid", grid.iter().map(axis).collect())
    }
}

fn generic(generic: &Generic) -> String {
    match &generic.kind {
        GenericKind::DType(class) => format!("{}: {}", generic.name.name, class.name),
        GenericKind::Const => format!("const {}", generic.name.name),
    }
}
