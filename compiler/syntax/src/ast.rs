//! The syntax tree of a `.tile` file.
//!
//! Every node knows its span. Trees are shallow: nesting is limited before the parser sees it, and a run of
//! operators of one level is one flat node, so that walking and dropping a tree needs little
//! stack whatever the text. Where the text was wrong there is an `Error` node, already reported.

use tilec_vocab::Span;

/// A name as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The text.
    pub name: String,
    /// Where.
    pub span: Span,
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// In source order.
    pub items: Vec<Item>,
    /// In source order; the tree does not hold them, the formatter puts them back.
    pub comments: Vec<Comment>,
}

/// A comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// With its markers, without the line end.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// What stands at the top level.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `use flash::{attend, merge};`
    Use(Use),
    /// `const PAGE = 16;`
    Const(Const),
    /// `fn merge(one, other) { … }`
    Function(Function),
    /// `kernel causal<T: float>(…) … { … }`
    Kernel(Kernel),
    /// `spec causal { … }`
    Spec(Spec),
    /// Reported already.
    Error {
        /// What was skipped.
        span: Span,
        /// What it seems to have declared; its uses are no errors of their own.
        names: Vec<Ident>,
    },
}

/// An import.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The file's name.
    pub file: Ident,
    /// What is taken from it.
    pub names: Vec<Ident>,
    /// The whole item.
    pub span: Span,
}

/// A named integer.
#[derive(Clone, Debug, PartialEq)]
pub struct Const {
    /// Its name.
    pub name: Ident,
    /// Its value.
    pub value: Expr,
    /// The whole item.
    pub span: Span,
}

/// `T: float` or `const D`.
#[derive(Clone, Debug, PartialEq)]
pub struct Generic {
    /// Its name.
    pub name: Ident,
    /// What it stands for.
    pub kind: GenericKind,
}

/// What a generic parameter stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum GenericKind {
    /// An element type of this family.
    DType(Ident),
    /// An integer.
    Const,
}

/// A function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: Ident,
    /// Element types and integers bound by the parameters' types.
    pub generics: Vec<Generic>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Conditions that every kernel that calls it inherits.
    pub requires: Vec<Expr>,
    /// Knobs that every kernel that calls it inherits.
    pub knobs: Vec<Knob>,
    /// What it does.
    pub body: Block,
    /// Whether it was written `= value;`.
    pub short: bool,
    /// The whole item.
    pub span: Span,
}

/// A parameter of a function, kernel or closure.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Its type; functions may leave it to the call.
    pub ty: Option<Type>,
    /// What it is where the call says nothing.
    pub default: Option<Expr>,
    /// The whole parameter.
    pub span: Span,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// Its name.
    pub name: Ident,
    /// Element types and constants.
    pub generics: Vec<Generic>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Conditions the launcher checks.
    pub requires: Vec<Expr>,
    /// Knobs.
    pub knobs: Vec<Knob>,
    /// Grid axes, slowest first.
    pub grid: Vec<GridAxis>,
    /// What one program does.
    pub body: Block,
    /// The whole item.
    pub span: Span,
}

/// `BM in [64, 128]`
#[derive(Clone, Debug, PartialEq)]
pub struct Knob {
    /// Its name.
    pub name: Ident,
    /// The choices, the default first.
    pub choices: Vec<Expr>,
    /// The whole clause.
    pub span: Span,
}

/// `m in M by BM`
#[derive(Clone, Debug, PartialEq)]
pub struct GridAxis {
    /// Its name.
    pub name: Ident,
    /// Its extent.
    pub extent: Expr,
    /// The size of a block; without one the name is a number.
    pub by: Option<Expr>,
    /// The whole clause.
    pub span: Span,
}

/// What a kernel must compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The kernel's name.
    pub name: Ident,
    /// The definition.
    pub body: Block,
    /// The whole item.
    pub span: Span,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// What it is.
    pub kind: TypeKind,
    /// Where.
    pub span: Span,
}

/// The kinds of types.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `f32`, `T`
    Scalar(Ident),
    /// `f32[m, d]`
    Tile {
        /// Element type.
        elem: Ident,
        /// Axes.
        axes: Vec<Ident>,
    },
    /// `&T[B, M, D]`, `&mut T[B, M, D]`
    Tensor {
        /// Whether it is written.
        mutable: bool,
        /// Element type.
        elem: Ident,
        /// Extents: names or integers.
        dims: Vec<Expr>,
    },
    /// Reported already.
    Error,
}

/// `{ statements; value }`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Statements.
    pub stmts: Vec<Stmt>,
    /// The value, where the last expression has no `;`.
    pub value: Option<Box<Expr>>,
    /// With its braces.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// With its `;`.
    pub span: Span,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let x = e;`, `let (a, b) = e;`
    Let {
        /// One name, or several for a tuple.
        pattern: Pattern,
        /// What they stand for.
        value: Expr,
    },
    /// `var x = e;`
    Var {
        /// The variable.
        name: Ident,
        /// Its first value, which fixes its type.
        value: Expr,
    },
    /// `x = e;`, `(a, b) = e;`
    Assign {
        /// Variables.
        pattern: Pattern,
        /// Their new value.
        value: Expr,
    },
    /// `o[b, m] = e;`, `o[b, m] += e;`
    Store {
        /// The tensor.
        tensor: Ident,
        /// An index for each dimension.
        indices: Vec<Expr>,
        /// What is stored or added.
        value: Expr,
        /// Whether it is `+=`.
        add: bool,
        /// The tensor with its indices.
        place: Span,
    },
    /// `for n in lo..hi by S { … }`
    For {
        /// The axis, or without `by` the number.
        name: Ident,
        /// What it runs over.
        range: Range,
        /// The size of a block.
        by: Option<Expr>,
        /// The body.
        body: Block,
    },
    /// `if c { … } else { … }`; an `else if` is a block of one statement.
    If {
        /// A scalar truth value.
        condition: Expr,
        /// Where it holds.
        then: Block,
        /// Where it does not.
        otherwise: Option<Block>,
    },
    /// `axis d in D;`, `axis n in lo..hi by S;`
    Axis {
        /// Its name.
        name: Ident,
        /// What it runs over.
        range: Range,
        /// The size of the block; without one the whole extent.
        by: Option<Expr>,
    },
    /// `return;`
    Return,
    /// A call whose value, if any, is dropped.
    Expr(Expr),
    /// Reported already; with the names that it seems to have declared.
    Error(Vec<Ident>),
}

/// `hi` or `lo..hi`
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The first index; 0 where absent.
    pub lo: Option<Expr>,
    /// One past the last index.
    pub hi: Expr,
}

/// What `let` and assignment name.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// One name.
    Name(Ident),
    /// `(a, b)`
    Tuple(Vec<Ident>, Span),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where, without parentheses around it.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `42`
    Int(i64),
    /// `0.5`, `1e-5`; `inf` is one too.
    Float(f64),
    /// `true`, `false`
    Bool(bool),
    /// A name.
    Name(String),
    /// `a + b - c`: operators of one level, applied from left to right.
    Chain {
        /// The first operand.
        first: Box<Expr>,
        /// Operators and the operands after them; not empty.
        rest: Vec<(BinaryOp, Expr)>,
    },
    /// `a <= b`
    Compare {
        /// The comparison.
        op: CompareOp,
        /// Left side.
        left: Box<Expr>,
        /// Right side.
        right: Box<Expr>,
    },
    /// `not a`
    Not(Box<Expr>),
    /// `-a`
    Neg(Box<Expr>),
    /// `a as f16`
    Cast {
        /// What is converted.
        value: Box<Expr>,
        /// To what.
        to: Ident,
    },
    /// `f(a, b over d, precision = tf32)`
    Call {
        /// The function.
        function: Ident,
        /// Arguments by position, then by name.
        args: Vec<Arg>,
        /// Axes after `over`; empty where there is no `over`.
        over: Vec<Ident>,
    },
    /// `q[b, m, d]`; `f32[m, d]` as an argument of `fill` too.
    Index {
        /// The tensor.
        base: Ident,
        /// An index for each dimension.
        indices: Vec<Expr>,
    },
    /// `|m, n| n <= m`, `|s| { …; value }`
    Closure {
        /// Parameter names.
        params: Vec<Ident>,
        /// What it computes; an expression is a block of nothing but its value.
        body: Box<Block>,
        /// Whether it was written with braces.
        braces: bool,
    },
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `(a)`: kept so that formatting changes no text.
    Paren(Box<Expr>),
    /// Reported already.
    Error,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// The parameter, where it is given by name.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// Operators of chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Or,
    And,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl BinaryOp {
    /// As written.
    pub const fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
        }
    }
}

impl CompareOp {
    /// As written.
    pub const fn symbol(self) -> &'static str {
        match self {
            CompareOp::Eq => "==",
            CompareOp::Ne => "!=",
            CompareOp::Lt => "<",
            CompareOp::Le => "<=",
            CompareOp::Gt => ">",
            CompareOp::Ge => ">=",
        }
    }
}
