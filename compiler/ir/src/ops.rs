//! The ops of the tile stage, and the tables of the families that have many members.
//!
//! [`Op`] says what an instruction does; its operands, results and nested blocks stand in
//! [`InstData`](crate::InstData). The interpreter is the definition of each.

use smallvec::SmallVec;
use tilec_vocab::DType;

use crate::kernel::{Axis, DimId, Generic, Param};

/// A literal. `Float` holds the exact value of its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Imm {
    /// `bool`.
    Bool(bool),
    /// `i32` or `i64`.
    Int(i64),
    /// A float of any width.
    Float(f64),
}

/// What an instruction does. Operands are listed as `(a, b)`; `*` is a tile or scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// `()`: a literal of the result's element type.
    Const(Imm),
    /// `()`: a constant or knob, `i64`; gone after `specialise`.
    Generic(Generic),
    /// `()`: a run-time dimension, `i64`.
    Dim(DimId),
    /// `()`: a number parameter.
    Scalar(Param),
    /// `()`: this program's position along a grid axis, `i64`.
    Program(u32),
    /// `(start, end)`, both scalar `i64`: declares an axis. No result.
    Axis(Axis),
    /// `()`: `start + lane` of an axis, `i64[axis]`.
    Index(Axis),
    /// `(x)`: `x` over the result's axes, a superset of its own.
    Splat,
    /// `(x)`: element-wise.
    Unary(UnaryOp),
    /// `(a, b)`: element-wise over the union of axes; both have the result's element type.
    Binary(BinaryOp),
    /// `(a, b)` of one element type: `bool` over the union of axes.
    Compare(CompareOp),
    /// `(condition, a, b)`: element-wise over the union of axes.
    Select,
    /// `(x)`: conversion to the result's element type.
    Cast,
    /// `(x)`: combines over axes; absent lanes left out.
    Reduce(ReduceOp, SmallVec<[Axis; 2]>),
    /// `(a, b)`: sum of products over axes both span; `f32`. Absent lanes left out.
    Dot(SmallVec<[Axis; 2]>, Precision),
    /// `(index for each dimension)`, `i64`: reads a tensor over the union of the indices' axes.
    Load(Param),
    /// `(value, index for each dimension)`: writes; the value's axes are among the indices' axes.
    Store(Param),
    /// `(value, index for each dimension)`: adds to memory; programs may collide.
    AtomicAdd(Param),
    /// `(lo, hi, initial…)`: `for t in lo..hi` without an axis (step 1), or over blocks of an
    /// axis (step is its extent; each iteration declares the axis as `iv..hi`).
    ///
    /// One block with parameters `(iv, carried…)` that yields the carried values.
    For(Option<Axis>),
    /// `(condition)`, scalar `bool`: two blocks that yield the results.
    If,
    /// `(value…)`: ends a block.
    Yield,
}

macro_rules! family {
    ($(#[$doc:meta])* $name:ident { $($(#[$row_doc:meta])* $variant:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$row_doc])* $variant,)* }

        impl $name {
            /// Every member, in table order.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// Its name in IR text.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The member with this name.
            pub fn from_name(name: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|op| op.name() == name)
            }
        }
    };
}

family! {
    /// Element-wise ops of one operand. `neg` and `abs` take ints and floats, `not` takes bool,
    /// the rest floats; f16 and bf16 are computed in f32 and rounded once.
    UnaryOp {
        /// `-x`; ints wrap.
        Neg "neg",
        /// Logical not.
        Not "not",
        /// `|x|`; ints wrap.
        Abs "abs",
        /// e^x.
        Exp "exp",
        /// 2^x.
        Exp2 "exp2",
        /// Natural logarithm; of 0 -inf, of a negative number NaN.
        Log "log",
        /// Base-2 logarithm.
        Log2 "log2",
        /// Hyperbolic tangent.
        Tanh "tanh",
        /// Square root; of a negative number NaN.
        Sqrt "sqrt",
        /// `1 / sqrt(x)`; of 0 inf.
        Rsqrt "rsqrt",
    }
}

family! {
    /// Element-wise ops of two operands. `and`, `or` take bool; the rest `i64` or floats.
    BinaryOp {
        /// `a + b`; ints wrap at 64 bits.
        Add "add",
        /// `a - b`.
        Sub "sub",
        /// `a * b`.
        Mul "mul",
        /// Floats: IEEE division. Ints: rounds down; by 0 gives 0.
        Div "div",
        /// Ints only: sign of the divisor; by 0 gives `a`.
        Rem "rem",
        /// NaN if either is NaN; -0 below +0.
        Min "min",
        /// NaN if either is NaN; -0 below +0.
        Max "max",
        /// Logical and.
        And "and",
        /// Logical or.
        Or "or",
    }
}

family! {
    /// Comparisons. With a NaN all but `ne` are false. `bool` operands: `eq` and `ne` only.
    CompareOp {
        /// `a == b`
        Eq "eq",
        /// `a != b`
        Ne "ne",
        /// `a < b`
        Lt "lt",
        /// `a <= b`
        Le "le",
        /// `a > b`
        Gt "gt",
        /// `a >= b`
        Ge "ge",
    }
}

family! {
    /// Reductions. Of no lane: 0, -inf (ints: the least), inf (the greatest), true, false.
    ReduceOp {
        /// Sum; f16 and bf16 accumulate in f32 and round once.
        Sum "sum",
        /// Greatest; NaN if any is NaN.
        Max "max",
        /// Least; NaN if any is NaN.
        Min "min",
        /// Whether all are true.
        All "all",
        /// Whether any is true.
        Any "any",
    }
}

family! {
    /// How a `dot` of `f32` multiplies. Other types multiply exactly; all accumulate in f32.
    Precision {
        /// Full f32 products.
        Ieee "ieee",
        /// Operands rounded to 10-bit mantissas, where the target has that; else as `ieee`.
        Tf32 "tf32",
        /// Three tf32 products: close to f32.
        Tf32x3 "tf32x3",
    }
}

impl BinaryOp {
    /// As the source writes it.
    pub const fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::Min | BinaryOp::Max | BinaryOp::And | BinaryOp::Or => self.name(),
        }
    }
}

impl CompareOp {
    /// As the source writes it.
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

    /// The comparison that holds exactly where this one does not, for operands without NaN.
    pub const fn negate(self) -> CompareOp {
        match self {
            CompareOp::Eq => CompareOp::Ne,
            CompareOp::Ne => CompareOp::Eq,
            CompareOp::Lt => CompareOp::Ge,
            CompareOp::Le => CompareOp::Gt,
            CompareOp::Gt => CompareOp::Le,
            CompareOp::Ge => CompareOp::Lt,
        }
    }
}

impl ReduceOp {
    /// What the reduction of no lane gives, in `dtype`.
    pub fn identity(self, dtype: DType) -> Imm {
        match (self, dtype.is_float()) {
            (ReduceOp::Sum, true) => Imm::Float(0.0),
            (ReduceOp::Sum, false) => Imm::Int(0),
            (ReduceOp::Max, true) => Imm::Float(f64::NEG_INFINITY),
            (ReduceOp::Max, false) => Imm::Int(i64::MIN),
            (ReduceOp::Min, true) => Imm::Float(f64::INFINITY),
            (ReduceOp::Min, false) => Imm::Int(i64::MAX),
            (ReduceOp::All, _) => Imm::Bool(true),
            (ReduceOp::Any, _) => Imm::Bool(false),
        }
    }
}

impl Op {
    /// Whether the instruction writes memory.
    pub fn writes(&self) -> bool {
        matches!(self, Op::Store(_) | Op::AtomicAdd(_))
    }

    /// Whether the instruction may be dropped when unused, repeated, or moved: it neither
    /// touches memory nor declares or controls anything.
    pub fn is_pure(&self) -> bool {
        match self {
            Op::Const(_)
            | Op::Generic(_)
            | Op::Dim(_)
            | Op::Scalar(_)
            | Op::Program(_)
            | Op::Index(_)
            | Op::Splat
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select
            | Op::Cast
            | Op::Reduce(..)
            | Op::Dot(..) => true,
            Op::Axis(_)
            | Op::Load(_)
            | Op::Store(_)
            | Op::AtomicAdd(_)
            | Op::For(_)
            | Op::If
            | Op::Yield => false,
        }
    }
}
