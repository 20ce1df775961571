//! How large a kernel may be.
//!
//! The front end reports these in the user's terms, the reader refuses longer text, and the
//! verifier holds every kernel to them, so that whatever verifies can be printed and read back.

/// Bytes of IR text.
pub const TEXT_BYTES: usize = 16 << 20;
/// Blocks inside one another, and operations inside one another in a host expression.
pub const DEPTH: usize = 64;
/// Bytes of one name, number or other word.
pub const WORD_BYTES: usize = 256;
/// Bytes of the source text of one `require`.
pub const REQUIRE_BYTES: usize = 4096;
/// Kernels and specs of one module, together.
pub const KERNELS: usize = 4096;
/// Instructions of one kernel.
pub const INSTS: usize = 100_000;
/// Operands, results or block parameters of one instruction.
pub const OPERANDS: usize = 1024;
/// Generics, parameters or requirements of one kernel; choices of one knob.
pub const SIGNATURE: usize = 256;
/// Dimensions of a tensor, axes of a type or of the grid.
pub const RANK: usize = 16;
/// Lanes of one axis, and logical elements of one tile.
pub const TILE_ELEMENTS: i64 = 1 << 20;
