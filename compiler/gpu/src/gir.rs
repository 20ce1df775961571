//! GPU IR: what one CTA does, over tiles whose every element has a thread.
//!
//! A [`Program`] is the tile IR of one kernel with every freedom of a GPU used up: each tile has a layout, each
//! conversion between layouts is an instruction, shared memory, asynchronous copies, waits and barriers are explicit. What
//! is left to code generation is to write each instruction once for each register.
//!
//! **Values** are uniform (one for the CTA: every thread has the same) or tiles in a [`Layout`]. An element-wise
//! instruction takes operands over fewer axes than its result: an operand's layout is then the result's
//! [`without`](Layout::without) the missing axes, so that a register of the result names one register of each operand. 16-bit floats are computed in `f32` and rounded after each operation.
//!
//! **Lanes** of a tile are counted from 0 along each axis, whatever index the axis starts at. A layout may cover more lanes
//! than an axis has; such lanes are absent, and so are lanes past the end of the axis's range. Element-wise instructions do
//! not care; accesses, and whoever made the operands of reductions and dots, do.
//!
//! **Order.** Statements run in order in each thread; threads meet at [`Op::Barrier`] and inside conversions only. Control
//! flow is uniform.

mod print;

use tilec_ir::{
    Axis, BinaryOp, CompareOp, DimId, Entity, Imm, Kernel, Param, Precision, ReduceOp, Table,
    UnaryOp,
};
use tilec_layout::{Buffer, Layout, Mma, Plan, Reduction, Shares};
use tilec_vocab::{DType, Span, TensorFacts};

macro_rules! entity {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl Entity for $name {
            fn new(index: usize) -> $name {
                $name(index as u32)
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

entity!(/// A value.
    Val, "%");
entity!(/// A buffer in shared memory.
    Buf, "@");

/// A kernel for one CTA shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Name, parameters, dimensions, grid and axes; its body is empty.
    pub signature: Kernel,
    /// What the code assumes of each parameter.
    pub facts: Vec<TensorFacts>,
    /// Warps of a CTA.
    pub warps: u32,
    /// Values.
    pub values: Table<Val, ValData>,
    /// Shared memory.
    pub buffers: Table<Buf, BufData>,
    /// Bytes of shared memory in all.
    pub shared_bytes: u32,
    /// What is done.
    pub body: Vec<Stmt>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub struct ValData {
    /// Element type.
    pub elem: DType,
    /// Who holds which element; `None` for a uniform value.
    pub layout: Option<Layout<Axis>>,
    /// The name the source gives it, for dumps.
    pub name: Option<String>,
    /// Of a uniform integer: it is a natural number below this, where that is known from the start.
    pub below: Option<u32>,
}

/// A tile in shared memory, or a ring of them.
#[derive(Clone, Debug, PartialEq)]
pub struct BufData {
    /// For dumps and reports of the simulator.
    pub name: String,
    /// One slot.
    pub buffer: Buffer<Axis>,
    /// Slots, one after the other.
    pub slots: u32,
    /// First byte, from the start of shared memory; a multiple of 128.
    pub offset: u32,
}

/// An instruction with its place in the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it makes.
    pub results: Vec<Val>,
    /// What it does.
    pub op: Op,
    /// The source it comes from.
    pub span: Span,
}

/// A linear combination of lanes: for each axis, how much one lane counts.
pub type Lanes = Vec<(Axis, i64)>;

/// What an instruction does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A literal, uniform.
    Const(Imm),
    /// A run-time dimension, uniform `i64`.
    Dim(DimId),
    /// A number parameter, uniform.
    Scalar(Param),
    /// The program's position along a grid axis, uniform `i64`.
    Program(u32),
    /// The sum of the lanes of some axes, each times its coefficient; `i64` tile.
    Lanes(Lanes),
    /// Whether such a sum stands in this relation to a uniform `i64`.
    CompareLanes(CompareOp, Lanes, Val),
    /// Whether such a sum is at most a uniform `i64`, and the lane of an axis, whose coefficient is 1, below another.
    AtMostWithin {
        /// The sum.
        lanes: Lanes,
        /// What it may not exceed.
        most: Val,
        /// The axis, and how many of its lanes count.
        within: (Axis, Val),
    },
    /// Element-wise, as in tile IR.
    Unary(UnaryOp, Val),
    /// Element-wise.
    Binary(BinaryOp, Val, Val),
    /// Element-wise.
    Compare(CompareOp, Val, Val),
    /// `(condition, a, b)`, element-wise.
    Select(Val, Val, Val),
    /// Conversion to the result's element type.
    Cast(Val),
    /// `a * b + c` rounded once, `f32`.
    Fma(Val, Val, Val),
    /// The same value in the result's layout (of the same axes; a uniform value becomes copies).
    Convert(Val, Conversion),
    /// Combines the registers, then, unless `partial`, the lanes and the warps that share the reduced axes.
    /// A partial result has a part of the sum in each of the [`Shares`].
    Reduce {
        /// How to combine.
        op: ReduceOp,
        /// What.
        value: Val,
        /// One step for each reduced axis.
        steps: Vec<Reduction<Axis>>,
        /// Whether lanes and warps are left uncombined.
        partial: bool,
        /// Room for `warps` times the rows of a result, where warps share a reduced axis.
        through: Option<Buf>,
    },
    /// Combines what a partial [`Op::Reduce`] left.
    Combine {
        /// How to combine.
        op: ReduceOp,
        /// What.
        value: Val,
        /// Who holds what of it.
        shares: Shares,
        /// Room for `warps` times the rows, where warps hold shares.
        through: Option<Buf>,
    },
    /// Reads a tensor over the result's axes; zero where an element is outside.
    Load(Access),
    /// Writes a tile, or a uniform value; elements outside are left alone.
    Store(Access, Val),
    /// Adds a tile, or a uniform value, to memory.
    AtomicAdd(Access, Val),
    /// Writes a tile into a slot of a buffer.
    Put(Val, Slot),
    /// Fills a slot with zeros.
    Clear(Slot),
    /// Reads a tile out of a slot, in the result's layout; by `ldmatrix` where that can.
    Get(Slot),
    /// Copies a tile of a tensor into a slot; zero where an element is outside.
    Copy {
        /// Where from.
        access: Access,
        /// Where to.
        to: Slot,
        /// Which thread copies what: vectors along the buffer's contiguous axis are its fastest registers.
        layout: Layout<Axis>,
        /// By `cp.async` of 16 bytes; else through registers, complete when the statement is.
        is_async: bool,
        /// Uniform `bool`: without it the slot is filled with zeros and nothing is read. Of asynchronous copies only.
        when: Option<Val>,
    },
    /// Ends a group of asynchronous copies.
    Commit,
    /// Until all groups of this thread but the latest so many have landed.
    Wait(u32),
    /// All threads of the CTA.
    Barrier,
    /// A product of matrices.
    Dot(Box<Dot>),
    /// `for iv in lo..hi step`: results are what the last iteration yields, or `initial`.
    For(Box<For>),
    /// Results are what the branch taken yields. The condition is uniform.
    If {
        /// Uniform `bool`.
        condition: Val,
        /// Where it holds.
        then: Block,
        /// Where it does not.
        otherwise: Block,
    },
}

impl Op {
    /// Whether it only computes: neither memory, nor other threads, nor control.
    pub fn is_arithmetic(&self) -> bool {
        matches!(
            self,
            Op::Const(_)
                | Op::Dim(_)
                | Op::Scalar(_)
                | Op::Program(_)
                | Op::Lanes(_)
                | Op::CompareLanes(..)
                | Op::AtMostWithin { .. }
                | Op::Unary(..)
                | Op::Binary(..)
                | Op::Compare(..)
                | Op::Select(..)
                | Op::Cast(_)
                | Op::Fma(..)
        )
    }
}

/// Statements that end in values.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Block {
    /// In order.
    pub body: Vec<Stmt>,
    /// Its results.
    pub yields: Vec<Val>,
}

/// A counted loop.
#[derive(Clone, Debug, PartialEq)]
pub struct For {
    /// Uniform `i64`: the first value of `iv`.
    pub lo: Val,
    /// Uniform `i64`: `iv` stays below.
    pub hi: Val,
    /// Added to `iv`; positive.
    pub step: i64,
    /// Uniform `i64`.
    pub iv: Val,
    /// Values of the first iteration.
    pub initial: Vec<Val>,
    /// Their names in the body.
    pub params: Vec<Val>,
    /// What is done, and the values of the next iteration.
    pub body: Block,
}

/// How a value gets into another layout.
#[derive(Clone, Debug, PartialEq)]
// A program has few of them.
#[allow(clippy::large_enum_variant)]
pub enum Conversion {
    /// A uniform value becomes copies, or a layout another that differs in copies only.
    Free,
    /// By a plan of the layout algebra; one through shared memory has a buffer, whose slot 0 nobody else uses meanwhile.
    Plan(Plan<Axis>, Option<Buf>),
}

/// A slot of a ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// The ring.
    pub buf: Buf,
    /// Uniform `i64`, from 0 to the number of slots; `None` for slot 0.
    pub slot: Option<Val>,
}

/// The elements of a tensor that an access is to.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The tensor.
    pub param: Param,
    /// The index along each dimension.
    pub dims: Vec<Index>,
    /// Axes with absent lanes: uniform `i64` numbers of lanes that are present. Lanes past an axis's extent are always absent.
    pub present: Vec<(Axis, Val)>,
    /// Uniform `bool`: everything is present and inside, so nothing need be checked. Tested at run time.
    pub all_inside: Option<Val>,
    /// Elements along the last dimension that may be moved at once: addresses of multiples of so many lanes are
    /// aligned to as many elements.
    pub vector: u32,
}

/// An index along a dimension: `uniform + lanes + tile`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Index {
    /// Uniform `i64`.
    pub uniform: Option<Val>,
    /// Lanes times coefficients.
    pub lanes: Lanes,
    /// An `i64` tile, for an index of another form.
    pub tile: Option<Val>,
    /// Whether it can lie outside its dimension where its lanes are present.
    pub check: bool,
}

/// Where an operand of a dot is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    /// In registers, in the layout that the dot names.
    Registers(Val),
    /// In shared memory.
    Shared(Slot),
}

/// `result[m, n] = acc[m, n] + sum over k of a[m, k] * b[k, n]`, in `f32`.
///
/// Registers of each layout come in groups, one for each instruction: in the order of [`Mma::a`], [`Mma::b`] and [`Mma::c`]
/// within a group. Groups belong together whose first registers, in lane 0 of warp 0, have equal coordinates along the axes
/// they share.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    /// Which instruction.
    pub kind: DotKind,
    /// First operand.
    pub a: Operand,
    /// Its fragments.
    pub a_layout: Layout<Axis>,
    /// Second operand.
    pub b: Operand,
    /// Its fragments.
    pub b_layout: Layout<Axis>,
    /// Element type of both operands.
    pub elem: DType,
    /// The summed axes.
    pub over: Vec<Axis>,
    /// What the sum is added to.
    pub acc: Option<Val>,
}

/// How products are summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DotKind {
    /// Tensor cores. `f32` operands as tf32, or three products of tf32 parts.
    Mma(Mma, Precision),
    /// One fused multiply-add for each product: both operands in shared memory. `a_layout` and `b_layout` say nothing.
    Fma,
}

impl Program {
    /// The layout of a tile; `None` for a uniform value.
    pub fn layout(&self, value: Val) -> Option<&Layout<Axis>> {
        self.values[value].layout.as_ref()
    }

    /// Element type.
    pub fn elem(&self, value: Val) -> DType {
        self.values[value].elem
    }

    /// Number of lanes of an axis.
    pub fn extent(&self, axis: Axis) -> u32 {
        match self.signature.axes[axis].extent {
            tilec_ir::Extent::Const(lanes) => u32::try_from(lanes).unwrap_or(1),
            tilec_ir::Extent::Generic(_) | tilec_ir::Extent::Dim(_) => 1,
        }
    }
}
