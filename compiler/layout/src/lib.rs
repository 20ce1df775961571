//! Layouts: which register of which lane of which warp holds which element of a tile.
//!
//! **A layout** is a mixed-radix number system. A register number, a lane number and a warp number
//! are each cut into digits, and each digit walks along one named axis in steps of its stride. An
//! index along an axis is the sum of what its digits contribute. The strides of an axis are the
//! products of the extents below them, so the digits of an index are found by division: the inverse
//! ([`Layout::holders`]) is as direct as the layout ([`Layout::at`]). Extents need not be powers of
//! two; a head of 80 is five times sixteen. Only the 32 lanes are, because there are 32 of them.
//!
//! **Worked example.** Operand A of `mma.m16n8k16`, 16 rows `m` by 16 columns `k` of f16. Each cell
//! stands for two columns: the lane, and its two registers (elements; a 32-bit register has two).
//!
//! ```text
//!        k 0,1    2,3     4,5     6,7     8,9    10,11   12,13   14,15
//! m  0    0:0,1   1:0,1   2:0,1   3:0,1   0:4,5   1:4,5   2:4,5   3:4,5
//!    1    4:0,1   5:0,1   6:0,1   7:0,1   4:4,5   5:4,5   6:4,5   7:4,5
//!    .     .
//!    7   28:0,1  29:0,1  30:0,1  31:0,1  28:4,5  29:4,5  30:4,5  31:4,5
//!    8    0:2,3   1:2,3   2:2,3   3:2,3   0:6,7   1:6,7   2:6,7   3:6,7
//!    9    4:2,3   5:2,3   6:2,3   7:2,3   4:6,7   5:6,7   6:6,7   7:6,7
//!    .     .
//!   15   28:2,3  29:2,3  30:2,3  31:2,3  28:6,7  29:6,7  30:6,7  31:6,7
//! ```
//!
//! The lane's low digit (4 values) walks along `k` in steps of 2, its high digit (8 values) along
//! `m` in steps of 1. The register's digits, the fastest first, step by 1 along `k`, 8 along `m`
//! and 8 along `k`:
//!
//! ```text
//! register  2 k*1   2 m*8   2 k*8
//! lane      4 k*2   8 m*1
//! ```
//!
//! Row 9, column 11: `9 = 1*1 + 1*8`, so lane digit 1 and register digit 1; `11 = 1*1 + 1*2 + 1*8`, so
//! register digit 1, lane digit 1, register digit 1. Register `1 + 2*1 + 4*1 = 7` of lane
//! `1 + 4*1 = 5`, as the picture says.
//!
//! ```
//! use tilec_layout::{Coordinate, Dot, Mma, Position};
//!
//! let a = Mma::M16N8K16Half.a();
//! let element = Coordinate::from([(Dot::M, 9), (Dot::K, 11)]);
//! assert_eq!(a.holders(&element), [Position { register: 7, lane: 5, warp: 0 }]);
//! assert_eq!(a.at(Position { register: 7, lane: 5, warp: 0 }), element);
//!
//! // A tile of 128 rows and a head of 80, a quarter of the rows in each of four warps.
//! let q = a.covering(Dot::K, 80).covering(Dot::M, 32).over_warps(Dot::M, 4);
//! let lines = "register  2 k*1   2 m*8   10 k*8   2 m*16\n\
//!              lane      4 k*2   8 m*1\n\
//!              warp      4 m*32\n";
//! assert_eq!(q.to_string(), lines);
//! ```
//!
//! **Axes are names**, of whatever type the user of this crate has; the fragments use [`Dot`] and
//! are renamed. Axes have no order: which axis of a product becomes the rows of the `mma` is a
//! choice of names.
//!
//! **Copies.** A digit of lanes or warps may walk nowhere; then each of its values holds the same. A
//! value without an axis has the layout with the digits of that axis replaced by copies
//! ([`Layout::without`]), so broadcasting costs nothing, and a reduction ([`Layout::reduce`]) ends
//! there after one shuffle for each bit of those digits. A register digit is never a copy.
//!
//! **Registers have no order** in the program, only in the layout. Where lanes and warps agree, a
//! conversion is a renaming ([`Layout::register_map`]); where the names of axes differ too, as
//! between an accumulator and the next operand, [`Layout::renaming_to`] finds it. Registers count
//! elements; that two f16 share one is the business of code generation, which asks that the first
//! digit be the pair.
//!
//! **Normal form.** Digits that continue one another are one. So equal functions are equal values.
//!
//! **Past the end.** A layout may cover more indices than a tile has; who uses it leaves out the
//! rest, as a [`Buffer`] does.
//!
//! **Shared memory** is not a layout: an element there has an address. A [`Buffer`] is an order of
//! axes and one XOR [`Swizzle`]; [`Buffer::wavefronts`] counts what a layout's accesses cost there,
//! [`Buffer::best_swizzle`] finds the swizzle under which they cost least, and [`Buffer::bases`]
//! how few address registers they need.
//!
//! **Conversions** between any two layouts of a tile: [`convert`] gives the lightest [`Plan`].
//!
//! Deliberately absent: loops, time, instructions as text, and the choice of layouts for a program,
//! which is that of the passes. Nothing here knows the IR.
//!
//! # Source
//! The parts are the linear layouts of Zhou et al., "Linear Layouts: Robust Code Generation of
//! Efficient Tensor Computation Using F2" (2025), over mixed radices in place of bits, and so
//! without the XOR of axes that the field of two elements allows; CuTe's layouts are the same
//! digits without names (Shah et al., CUTLASS 3, "CuTe Layout Algebra").

mod banks;
mod bases;
mod blocked;
mod buffer;
mod choose;
mod compare;
mod convert;
mod layout;
mod ldmatrix;
mod mma;
mod part;
mod reduce;
mod shuffle;
mod tiling;

pub use banks::{Wavefronts, wavefronts};
pub use bases::Bases;
pub use blocked::{blocked, chunked};
pub use buffer::{Buffer, BufferError, CHUNK_BYTES, Lanes, Swizzle, Vectors};
pub use choose::Access;
pub use convert::{ConvertError, Cost, Exchange, Load, Plan, Sync, convert, exchange};
pub use layout::{Coordinate, Layout, LayoutError, Position, WARP};
pub use ldmatrix::{Ldmatrix, Matrix};
pub use mma::{Dot, Mma};
pub use part::{Part, Place};
pub use reduce::{Reduction, Shares};
pub use shuffle::{Shuffles, Source, Step};
pub use tiling::ReorderError;
