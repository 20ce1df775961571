//! What names stand for, and where they are known.
//!
//! An environment is a chain of bindings that only grows: each `let` makes a new link and leaves
//! the older ones as they were. A closure is its text and the link at which it was written, so it
//! sees the names around it as they were there, whatever is declared later.

use std::rc::Rc;

use tilec_ir::{Axis, Elem, Extent, Param, Type, Value};
use tilec_syntax::ast;
use tilec_vocab::Span;

use crate::builtins::Builtin;
use crate::names::FunctionId;

/// A number that has no type yet: it takes the one that is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Literal {
    /// `3`
    Int(i64),
    /// `1e-5`, `inf`
    Float(f64),
}

/// What a name or an expression stands for.
#[derive(Clone)]
pub(crate) enum Thing<'a> {
    /// Something wrong that has been reported; silences what follows from it.
    Poison,
    /// Nothing: a call of a function without a value.
    Unit,
    /// A number without a type.
    Literal(Literal),
    /// A number or tile.
    Value(Value),
    /// The place of a `var`.
    Var(VarId),
    /// An axis; as a number, its indices.
    Axis(Axis),
    /// A dimension, constant or knob; as a number, its value.
    Extent(Extent),
    /// A tensor.
    Tensor(Tensor),
    /// A function, closure or builtin.
    Callable(Callable<'a>),
    /// Several things.
    Tuple(Rc<[Thing<'a>]>),
    /// An element type.
    Elem(Elem),
}

/// A tensor as it is seen here: `&` parameters of functions hide that it may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tensor {
    /// Which.
    pub param: Param,
    /// Whether it may be written under this name.
    pub mutable: bool,
}

/// Something that can be called.
#[derive(Clone)]
pub(crate) enum Callable<'a> {
    /// A function of a file.
    Function(FunctionId, &'a ast::Function),
    /// A closure.
    Closure(Closure<'a>),
    /// A function of the language.
    Builtin(&'static Builtin),
}

/// A closure: its text and the names around it.
#[derive(Clone, Copy)]
pub(crate) struct Closure<'a> {
    /// Parameters.
    pub params: &'a [ast::Ident],
    /// What it computes.
    pub body: &'a ast::Block,
    /// What it sees.
    pub env: Env,
}

/// Position of a file among those that take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileIndex(pub u32);

/// Position of a variable among those of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VarId(pub u32);

/// A `var`: its type never changes, its value is that at the point of lowering.
pub(crate) struct Var<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it is declared.
    pub span: Span,
    /// Its type.
    pub ty: Type,
    /// What it holds now.
    pub value: Value,
    /// The call whose body declares it; only that body assigns it.
    pub frame: u32,
}

/// A point in the chain of bindings, and the file whose items lie behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Env {
    link: u32,
    /// The file.
    pub file: FileIndex,
}

impl Env {
    /// Only the items of the file.
    pub fn of_file(file: FileIndex) -> Env {
        Env { link: NONE, file }
    }
}

const NONE: u32 = u32::MAX;

struct Link<'a> {
    outer: u32,
    name: &'a str,
    span: Span,
    thing: Thing<'a>,
}

/// All bindings made so far.
#[derive(Default)]
pub(crate) struct Scopes<'a> {
    links: Vec<Link<'a>>,
}

impl<'a> Scopes<'a> {
    /// `env` with one more name.
    pub fn bind(&mut self, env: Env, name: &'a str, span: Span, thing: Thing<'a>) -> Env {
        self.links.push(Link { outer: env.link, name, span, thing });
        Env { link: self.links.len() as u32 - 1, ..env }
    }

    /// What a name stands for, where it was declared, and how many names stand between.
    pub fn find(&self, env: Env, name: &str) -> (Option<(&Thing<'a>, Span)>, usize) {
        let mut passed = 0;
        let mut at = env.link;
        while let Some(link) = self.links.get(at as usize) {
            if link.name == name {
                return (Some((&link.thing, link.span)), passed);
            }
            at = link.outer;
            passed += 1;
        }
        (None, passed)
    }

    /// The names known at a point, the nearest first; at most a thousand, for advice only.
    pub fn names(&self, env: Env) -> Vec<&'a str> {
        let mut names = Vec::new();
        let mut at = env.link;
        while let Some(link) = self.links.get(at as usize)
            && names.len() < 1000
        {
            names.push(link.name);
            at = link.outer;
        }
        names
    }
}
