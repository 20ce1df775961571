//! The IR: kernels over tiles with named axes.
//!
//! **A kernel** is one function: generic parameters (element types, extents, knobs), tensor and
//! number parameters, a grid, and a body. There are no calls: the front end inlines everything, so
//! a kernel is the whole story of one program of the grid.
//!
//! **An axis** is a set of lanes with a name, declared once: by an `axis` op (whole or partial
//! extents and grid blocks) or by a `for` over blocks. It has a compile-time extent (the number of
//! lanes), a `start` and an `end`, both run-time scalars; lane `i` stands for index `start + i` and
//! is *present* where that is below `end`. Two axes of one name are two axes.
//!
//! **A value** is an element type over a set of axes; the set has no order. With no axes it is a
//! scalar. Element-wise ops take operands over different axes: the result spans the union, and a
//! missing axis means the same element for each lane (broadcasting by name, with no op for it).
//!
//! **Absent lanes** need no masks in the IR. What an element-wise op computes there is unspecified.
//! A load, a store or an atomic add does not happen at a lane that is absent in any axis it spans,
//! nor where an index lies outside its dimension: such a load gives zero. Reductions and dots leave
//! absent lanes of the axes they consume out. So nothing unspecified ever reaches memory.
//!
//! **Control flow** is structured: `for` and `if` own blocks, a block ends in `yield`, and what a
//! block assigns leaves through the results of its op. A value is visible in the rest of the block
//! that defines it and in the blocks nested there.
//!
//! **Time.** Ops without effects mean the same wherever their operands are known. Loads read global
//! memory in program order with the stores of the same program; no program sees another's stores.
//!
//! Deliberately absent: layouts, lanes of a warp, shared memory and barriers (they enter at the
//! gpu stage), transposes and reshapes (axes have no order), pointers, calls, and early exits.
//!
//! The stage is a type: [`Module<Tile>`](Module) is what the front end makes and the interpreter
//! runs; handing it to a consumer of another stage does not compile.

mod artifact;
mod build;
mod copy;
mod entity;
pub mod facts;
mod integers;
mod kernel;
pub mod limits;
mod names;
mod ops;
mod print;
pub mod random;
mod read;
mod types;
pub mod verify;

pub use artifact::loaded;
pub use build::Builder;
pub use copy::Copier;
pub use entity::{Entity, Table};
pub use kernel::{
    Axis, AxisData, Block, BlockData, DimData, DimId, Generic, GenericData, GenericKind, GridAxis,
    Inst, InstData, Kernel, Module, Param, ParamData, ParamType, Stage, Tile, Value, ValueData,
    ValueDef,
};
pub use names::Names;
pub use ops::{BinaryOp, CompareOp, Imm, Op, Precision, ReduceOp, UnaryOp};
pub use print::{Text, print, print_kernel};
pub use read::{ReadError, parse};
pub use types::{AxisSet, Elem, Extent, Type};
pub use verify::{verify, verify_module};
