//! Names, before anything is lowered: every body of every file is walked once, called or not.
//!
//! Finds names that stand for nothing, names nobody uses, and which functions each body mentions;
//! the last decides recursion and which knobs a kernel inherits.

use std::collections::{BTreeMap, BTreeSet};

use tilec_syntax::ast::{self, Block, Expr, ExprKind, Pattern, StmtKind, TypeKind};
use tilec_vocab::{DType, Diagnostic, Span, codes};

use crate::builtins;
use crate::import::{Item, Program};
use crate::report::{Sink, closest, unknown_name};
use crate::scope::FileIndex;

/// A function: its file, and its position among the file's items.
pub(crate) type FunctionId = (FileIndex, usize);

/// What one body mentions.
#[derive(Default)]
pub(crate) struct Mentions<'a> {
    /// Functions, in order of mention.
    pub functions: Vec<(FunctionId, Span)>,
    /// Imported names.
    pub imports: BTreeSet<&'a str>,
    /// Names that stand for nothing unless a function mentioned has a knob of that name.
    pub unknown: Vec<Unknown<'a>>,
    /// Own knobs that the body itself does not mention.
    pub idle_knobs: Vec<(&'a str, Span)>,
    /// Warnings, for the root file.
    pub warnings: Vec<Diagnostic>,
}

/// A name that stands for nothing here.
pub(crate) struct Unknown<'a> {
    /// The name.
    pub name: &'a str,
    /// Where.
    pub span: Span,
    /// A name like it that is known.
    pub near: Option<&'a str>,
}

impl Unknown<'_> {
    /// Says so.
    pub fn report(&self, sink: &mut Sink) {
        sink.add(unknown_name(self.name, self.span, self.near));
    }
}

/// The body and signature of a function.
pub(crate) fn function<'a>(
    program: &'a Program,
    file: FileIndex,
    function: &'a ast::Function,
) -> Mentions<'a> {
    let mut walk = Walk::new(program, file);
    for generic in &function.generics {
        walk.declare(&generic.name.name, generic.name.span, Kind::Silent);
    }
    walk.knobs(&function.knobs);
    for param in &function.params {
        if let Some(default) = &param.default {
            walk.expr(default);
        }
        if let Some(ty) = &param.ty {
            walk.param_type(ty, None);
        }
        walk.declare(&param.name.name, param.name.span, Kind::Silent);
    }
    function.requires.iter().for_each(|condition| walk.expr(condition));
    walk.block(&function.body);
    walk.finish()
}

/// The body and signature of a kernel.
pub(crate) fn kernel<'a>(program: &'a Program, kernel: &'a ast::Kernel) -> Mentions<'a> {
    let mut walk = Walk::new(program, FileIndex(0));
    walk.signature(kernel, Kind::Param);
    walk.knobs(&kernel.knobs);
    kernel.requires.iter().for_each(|condition| walk.expr(condition));
    for axis in &kernel.grid {
        walk.expr(&axis.extent);
        axis.by.iter().for_each(|by| walk.expr(by));
    }
    for axis in &kernel.grid {
        walk.declare(&axis.name.name, axis.name.span, Kind::Silent);
    }
    walk.block(&kernel.body);
    walk.finish()
}

/// The body of a spec.
pub(crate) fn spec<'a>(
    program: &'a Program,
    spec: &'a ast::Spec,
    kernel: &'a ast::Kernel,
) -> Mentions<'a> {
    let mut walk = Walk::new(program, FileIndex(0));
    walk.signature(kernel, Kind::Silent);
    walk.block(&spec.body);
    walk.finish()
}

/// How a local name wants to be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing is said if nobody uses it.
    Silent,
    Let,
    Var {
        assigned: bool,
    },
    /// A parameter of a kernel.
    Param,
    /// A dimension first mentioned by the parameter at this place.
    Dim(usize),
    Knob,
}

struct Local<'a> {
    name: &'a str,
    span: Span,
    kind: Kind,
    used: bool,
}

struct Walk<'a> {
    program: &'a Program,
    file: FileIndex,
    locals: Vec<Local<'a>>,
    by_name: BTreeMap<&'a str, Vec<usize>>,
    found: Mentions<'a>,
}

/// Unknown names for which a similar one is looked for.
const MAX_ADVICE: usize = 32;

impl<'a> Walk<'a> {
    fn new(program: &'a Program, file: FileIndex) -> Walk<'a> {
        let (locals, by_name) = (Vec::new(), BTreeMap::new());
        Walk { program, file, locals, by_name, found: Mentions::default() }
    }

    fn declare(&mut self, name: &'a str, span: Span, kind: Kind) {
        self.by_name.entry(name).or_default().push(self.locals.len());
        self.locals.push(Local { name, span, kind, used: false });
    }

    /// Ends the scope of all names declared since there were `count`.
    fn close(&mut self, count: usize) {
        let mut used_dims = BTreeSet::new();
        for local in self.locals.drain(count..).rev() {
            if let Some(places) = self.by_name.get_mut(local.name) {
                places.pop();
            }
            if let (Kind::Dim(param), true) = (local.kind, local.used) {
                used_dims.insert(param);
            }
            let quiet = local.name.starts_with('_');
            let name = local.name;
            let warning = match local.kind {
                Kind::Let if !local.used && !quiet => Some(
                    Diagnostic::warning(
                        codes::W0901,
                        local.span,
                        format!("`{name}` is never used"),
                        "named here",
                    )
                    .help(format!("remove it, or call it `_{name}` if that is meant")),
                ),
                Kind::Var { .. } if !local.used && !quiet => Some(Diagnostic::warning(
                    codes::W0901,
                    local.span,
                    format!("variable `{name}` is never read"),
                    "declared here",
                )),
                Kind::Var { assigned: false } if !quiet => Some(
                    Diagnostic::warning(
                        codes::W0909,
                        local.span,
                        format!("variable `{name}` is never assigned again"),
                        "declared with `var`",
                    )
                    .help("declare it with `let`"),
                ),
                Kind::Param if !local.used && !quiet && !used_dims.contains(&place_of(&local)) => {
                    Some(Diagnostic::warning(
                        codes::W0902,
                        local.span,
                        format!("parameter `{name}` is never used"),
                        "a parameter of the kernel",
                    ))
                }
                Kind::Knob if !local.used => {
                    self.found.idle_knobs.push((name, local.span));
                    None
                }
                _ => None,
            };
            self.found.warnings.extend(warning);
        }
    }

    fn finish(mut self) -> Mentions<'a> {
        self.close(0);
        self.found
    }

    fn knobs(&mut self, knobs: &'a [ast::Knob]) {
        for knob in knobs {
            self.declare(&knob.name.name, knob.name.span, Kind::Knob);
        }
    }

    fn signature(&mut self, kernel: &'a ast::Kernel, kind: Kind) {
        for generic in &kernel.generics {
            self.declare(&generic.name.name, generic.name.span, Kind::Silent);
        }
        for param in &kernel.params {
            // A parameter's place is known by where its name stands.
            let place = param.name.span.start as usize;
            if let Some(ty) = &param.ty {
                self.param_type(ty, Some(place));
            }
            self.declare(&param.name.name, param.name.span, kind);
        }
    }

    /// The names that the type of a parameter mentions or binds.
    fn param_type(&mut self, ty: &'a ast::Type, place: Option<usize>) {
        match &ty.kind {
            TypeKind::Scalar(elem) => self.elem(elem),
            TypeKind::Tile { elem, axes } => {
                self.elem(elem);
                // A kernel takes no tiles, which is reported once.
                if place.is_none() {
                    axes.iter().for_each(|axis| self.name(&axis.name, axis.span));
                }
            }
            TypeKind::Tensor { elem, dims, .. } => {
                self.elem(elem);
                for dim in dims {
                    let ExprKind::Name(name) = &dim.kind else { continue };
                    match self.program.find(self.file, name) {
                        _ if self.is_local(name) => {}
                        Some(named) if matches!(named.item, Item::Const(_)) => {
                            self.name(name, dim.span);
                        }
                        _ => self.declare(name, dim.span, place.map_or(Kind::Silent, Kind::Dim)),
                    }
                }
            }
            TypeKind::Error => {}
        }
    }

    fn is_local(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|places| !places.is_empty())
    }

    fn elem(&mut self, elem: &'a ast::Ident) {
        // What is no type is reported where the type is needed.
        if DType::from_name(&elem.name).is_none() {
            self.mark(&elem.name);
        }
    }

    fn mark(&mut self, name: &str) -> bool {
        let place = self.by_name.get(name).and_then(|places| places.last());
        let Some(&place) = place else { return false };
        self.locals[place].used = true;
        true
    }

    fn name(&mut self, name: &'a str, span: Span) {
        if self.mark(name) {
            return;
        }
        match self.program.find(self.file, name) {
            Some(named) => {
                if named.imported {
                    self.found.imports.insert(name);
                }
                if let Item::Function(at) = named.item {
                    self.found.functions.push(((named.file, at), span));
                }
            }
            None if builtins::find(name).is_some() => {}
            None => {
                let near = if self.found.unknown.len() < MAX_ADVICE {
                    let locals = self.locals.iter().rev().map(|local| local.name);
                    let items = self.program.file(self.file).names.keys().map(String::as_str);
                    let builtins = builtins::ALL.iter().map(|builtin| builtin.name);
                    closest(name, locals.chain(items).chain(builtins))
                } else {
                    None
                };
                self.found.unknown.push(Unknown { name, span, near });
            }
        }
    }

    fn block(&mut self, block: &'a Block) {
        let outer = self.locals.len();
        for stmt in &block.stmts {
            self.stmt(stmt);
        }
        if let Some(value) = &block.value {
            self.expr(value);
        }
        self.close(outer);
    }

    fn stmt(&mut self, stmt: &'a ast::Stmt) {
        match &stmt.kind {
            StmtKind::Let { pattern, value } => {
                self.expr(value);
                for name in names_of(pattern) {
                    self.declare(&name.name, name.span, Kind::Let);
                }
            }
            StmtKind::Var { name, value } => {
                self.expr(value);
                self.declare(&name.name, name.span, Kind::Var { assigned: false });
            }
            StmtKind::Assign { pattern, value } => {
                self.expr(value);
                for name in names_of(pattern) {
                    self.assigned(name);
                }
            }
            StmtKind::Store { tensor, indices, value, .. } => {
                self.name(&tensor.name, tensor.span);
                indices.iter().for_each(|index| self.expr(index));
                self.expr(value);
            }
            StmtKind::For { name, range, by, body } => {
                self.range(range);
                by.iter().for_each(|by| self.expr(by));
                let outer = self.locals.len();
                self.declare(&name.name, name.span, Kind::Silent);
                self.block(body);
                self.close(outer);
            }
            StmtKind::If { condition, then, otherwise } => {
                self.expr(condition);
                self.block(then);
                otherwise.iter().for_each(|block| self.block(block));
            }
            StmtKind::Axis { name, range, by } => {
                self.range(range);
                by.iter().for_each(|by| self.expr(by));
                self.declare(&name.name, name.span, Kind::Silent);
            }
            StmtKind::Expr(value) => self.expr(value),
            StmtKind::Return => {}
            StmtKind::Error(names) => {
                names.iter().for_each(|name| self.declare(&name.name, name.span, Kind::Silent));
            }
        }
    }

    fn assigned(&mut self, name: &'a ast::Ident) {
        let place = self.by_name.get(name.name.as_str()).and_then(|places| places.last());
        match place {
            Some(&place) => match &mut self.locals[place].kind {
                Kind::Var { assigned } => *assigned = true,
                // An error, reported where it is lowered; not also a name nobody uses.
                _ => self.locals[place].used = true,
            },
            None => self.name(&name.name, name.span),
        }
    }

    fn range(&mut self, range: &'a ast::Range) {
        range.lo.iter().for_each(|lo| self.expr(lo));
        self.expr(&range.hi);
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Chain { first, rest } => {
                self.expr(first);
                rest.iter().for_each(|(_, operand)| self.expr(operand));
            }
            ExprKind::Compare { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Not(inner) | ExprKind::Neg(inner) | ExprKind::Paren(inner) => {
                self.expr(inner);
            }
            ExprKind::Cast { value, to } => {
                self.expr(value);
                self.elem(to);
            }
            ExprKind::Call { function, args, over } => self.call(function, args, over),
            ExprKind::Index { base, indices } => {
                self.name(&base.name, base.span);
                indices.iter().for_each(|index| self.expr(index));
            }
            ExprKind::Closure { params, body, .. } => {
                let outer = self.locals.len();
                for param in params {
                    self.declare(&param.name, param.span, Kind::Silent);
                }
                self.block(body);
                self.close(outer);
            }
            ExprKind::Tuple(parts) => parts.iter().for_each(|part| self.expr(part)),
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::Error => {}
        }
    }

    fn call(&mut self, function: &'a ast::Ident, args: &'a [ast::Arg], over: &'a [ast::Ident]) {
        let hidden = self.is_local(&function.name);
        self.name(&function.name, function.span);
        let is = |name: &str| !hidden && function.name == name;
        for (n, arg) in args.iter().enumerate() {
            let named = arg.name.as_ref().map(|name| name.name.as_str());
            match &arg.value.kind {
                // The names of precisions and of element types are no names of values.
                ExprKind::Name(_) if is("dot") && named == Some("precision") => {}
                ExprKind::Index { base, indices } if is("fill") && n == 1 => {
                    self.elem(base);
                    indices.iter().for_each(|index| self.expr(index));
                }
                ExprKind::Name(name) if is("fill") && n == 1 => {
                    self.mark(name);
                }
                _ => self.expr(&arg.value),
            }
        }
        over.iter().for_each(|axis| self.name(&axis.name, axis.span));
    }
}

/// Where the name of a parameter stands, as its dimensions know it.
fn place_of(local: &Local<'_>) -> usize {
    local.span.start as usize
}

fn names_of(pattern: &Pattern) -> &[ast::Ident] {
    match pattern {
        Pattern::Name(name) => std::slice::from_ref(name),
        Pattern::Tuple(names, _) => names,
    }
}
