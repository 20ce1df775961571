//! The fragments of `mma.sync`: a table with a row for each shape.
//!
//! With lane `l`, `g = l / 4` and `t = l % 4`, the PTX ISA gives row and column of fragment element
//! `i` of `m16n8k16` (16-bit operands) as
//!
//! ```text
//! A   row g + 8 for i in 2, 3, 6, 7, else g     column 2t + i % 2, + 8 for i >= 4
//! B   row 2t + i % 2, + 8 for i >= 2            column g
//! C   row g + 8 for i in 2, 3, else g           column 2t + i % 2
//! ```
//!
//! which are digits: of `i` (registers) and of `l` (lanes).
//!
//! # Source
//! PTX ISA, "Matrix fragments for mma.m16n8k8" and "for mma.m16n8k16".

use crate::layout::Layout;
use crate::part::{Part, Place};

/// The three axes of a product `d[m, n] = sum over k of a[m, k] * b[k, n] + c[m, n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dot {
    /// Rows of A, C and D.
    M,
    /// Columns of B, C and D.
    N,
    /// Columns of A and rows of B.
    K,
}

impl Dot {
    /// All axes.
    pub const ALL: [Dot; 3] = [Dot::M, Dot::N, Dot::K];
}

impl std::fmt::Display for Dot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Dot::M => "m",
            Dot::N => "n",
            Dot::K => "k",
        })
    }
}

/// A shape of `mma.sync`, with operands of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mma {
    /// f16 and bf16 operands, f32 (or f16) accumulator.
    M16N8K16Half,
    /// The same over half the depth.
    M16N8K8Half,
    /// tf32 operands, f32 accumulator.
    M16N8K8Tf32,
}

/// What the table says of a shape.
struct Row {
    name: &'static str,
    operand_bytes: u32,
    a: &'static [(Place, Part<Dot>)],
    b: &'static [(Place, Part<Dot>)],
}

const fn register(extent: u32, axis: Dot, stride: u32) -> (Place, Part<Dot>) {
    (Place::Register, Part::new(extent, axis, stride))
}

const fn lane(extent: u32, axis: Dot, stride: u32) -> (Place, Part<Dot>) {
    (Place::Lane, Part::new(extent, axis, stride))
}

use Dot::{K, M, N};

const M16N8K16_HALF: Row = Row {
    name: "m16n8k16 f16/bf16",
    operand_bytes: 2,
    a: &[register(2, K, 1), register(2, M, 8), register(2, K, 8), lane(4, K, 2), lane(8, M, 1)],
    b: &[register(2, K, 1), register(2, K, 8), lane(4, K, 2), lane(8, N, 1)],
};

const M16N8K8_HALF: Row = Row {
    name: "m16n8k8 f16/bf16",
    operand_bytes: 2,
    a: &[register(2, K, 1), register(2, M, 8), lane(4, K, 2), lane(8, M, 1)],
    b: &[register(2, K, 1), lane(4, K, 2), lane(8, N, 1)],
};

const M16N8K8_TF32: Row = Row {
    name: "m16n8k8 tf32",
    operand_bytes: 4,
    a: &[register(2, M, 8), register(2, K, 4), lane(4, K, 1), lane(8, M, 1)],
    b: &[register(2, K, 4), lane(4, K, 1), lane(8, N, 1)],
};

/// C and D of every shape.
const ACCUMULATOR: &[(Place, Part<Dot>)] =
    &[register(2, N, 1), register(2, M, 8), lane(4, N, 2), lane(8, M, 1)];

impl Mma {
    /// All shapes.
    pub const ALL: [Mma; 3] = [Mma::M16N8K16Half, Mma::M16N8K8Half, Mma::M16N8K8Tf32];

    fn row(self) -> &'static Row {
        match self {
            Mma::M16N8K16Half => &M16N8K16_HALF,
            Mma::M16N8K8Half => &M16N8K8_HALF,
            Mma::M16N8K8Tf32 => &M16N8K8_TF32,
        }
    }

    /// Shape and operand types, for dumps.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Bytes of an element of A or B.
    pub fn operand_bytes(self) -> u32 {
        self.row().operand_bytes
    }

    /// Extent of an axis: 16 rows, 8 columns, and the depth.
    pub fn extent(self, axis: Dot) -> u32 {
        match axis {
            M | K => self.a().extent(axis),
            N => self.b().extent(axis),
        }
    }

    /// The first operand, `[m, k]`.
    pub fn a(self) -> Layout<Dot> {
        Layout::built(self.row().a.iter().copied())
    }

    /// The second operand, `[k, n]`.
    pub fn b(self) -> Layout<Dot> {
        Layout::built(self.row().b.iter().copied())
    }

    /// The accumulator, before and after, `[m, n]`.
    pub fn c(self) -> Layout<Dot> {
        Layout::built(ACCUMULATOR.iter().copied())
    }
}
