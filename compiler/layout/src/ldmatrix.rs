//! `ldmatrix`: which fragments it can load, and where each lane must point.
//!
//! The instruction loads 1, 2 or 4 matrices of 8 rows of 16 bytes. Lane `l` gives the address of row
//! `l % 8` of matrix `l / 8`; lane `l` receives, of each matrix, the 4 bytes at row `l / 4`, bytes
//! `4 * (l % 4)` on; with `.trans` (16-bit elements) the two elements in rows `2 * (l % 4)` and
//! `2 * (l % 4) + 1` of column `l / 4`.
//!
//! So it turns one layout into another: 16-byte rows held by the lanes that point at them become the
//! fragment. [`Ldmatrix::of`] finds the first from the second. For A of `m16n8k16`, rows contiguous:
//!
//! ```text
//! fragment   register  2 k*1   2 m*8   2 k*8        addresses   register  8 k*1
//!            lane      4 k*2   8 m*1                            lane      16 m*1   2 k*8
//! ```
//!
//! # Source
//! PTX ISA, "Warp-level matrix load instruction: ldmatrix".

use crate::layout::{Layout, WARP};
use crate::part::{Part, Place};

/// Bytes of a row of a matrix.
const ROW_BYTES: u32 = 16;

/// How to load a fragment with `ldmatrix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ldmatrix<A> {
    /// Matrices of one instruction: 1, 2 or 4.
    pub num_matrices: u32,
    /// Whether it is `.trans`.
    pub trans: bool,
    /// The elements each lane points at: 16 bytes, the first registers, for each instruction. Lanes
    /// whose address is not read are copies. Instruction `i` fills the `num_matrices` 32-bit
    /// registers of the fragment from `i * num_matrices` on.
    pub addresses: Layout<A>,
}

/// The axes of the matrices of one instruction, for [`Ldmatrix::result`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matrix {
    /// The eight rows of a matrix.
    Row,
    /// Its eight columns of 16 bits.
    Column,
    /// Which matrix.
    Number,
}

impl Ldmatrix<Matrix> {
    /// What the lanes receive, as elements of 16 bits.
    pub fn result(num_matrices: u32, trans: bool) -> Layout<Matrix> {
        let (pairs, rows) =
            if trans { (Matrix::Row, Matrix::Column) } else { (Matrix::Column, Matrix::Row) };
        Layout::built([
            (Place::Register, Part::new(2, pairs, 1)),
            (Place::Register, Part::new(num_matrices, Matrix::Number, 1)),
            (Place::Lane, Part::new(4, pairs, 2)),
            (Place::Lane, Part::new(8, rows, 1)),
        ])
    }
}

impl<A: Copy + Ord> Ldmatrix<A> {
    /// How to load `fragment` from a buffer in which `contiguous` is the axis of neighbours in
    /// memory; none if `ldmatrix` cannot. Elements have 2 or 4 bytes, registers come in the
    /// fragment's order.
    pub fn of(fragment: &Layout<A>, contiguous: A, elem_bytes: u32) -> Option<Ldmatrix<A>> {
        // A 32-bit register holds `packed` elements along the axis that the lanes continue.
        let packed = match elem_bytes {
            2 => 2,
            4 => 1,
            _ => return None,
        };
        let &[inner, outer] = fragment.parts(Place::Lane) else { return None };
        let ((across, stride), (down, 1)) = (inner.along?, outer.along?) else { return None };
        if (inner.extent, outer.extent, stride) != (4, 8, packed) || across == down {
            return None;
        }
        let trans = match () {
            () if across == contiguous => false,
            () if down == contiguous && packed == 2 => true,
            () => return None,
        };
        let mut registers = fragment.parts(Place::Register);
        if packed == 2 {
            let (first, rest) = registers.split_first()?;
            if *first != Part::new(2, across, 1) {
                return None;
            }
            registers = rest;
        }
        let (num_matrices, numbers, instructions) =
            [4, 2, 1].into_iter().find_map(|n| split(registers, n).map(|(x, y)| (n, x, y)))?;
        let row = if trans { across } else { down };
        let vector = Part::new(ROW_BYTES / elem_bytes, contiguous, 1);
        let warps = fragment.parts(Place::Warp).iter().map(|p| (Place::Warp, *p));
        let parts = [(Place::Register, vector), (Place::Lane, Part::new(8, row, 1))]
            .into_iter()
            .chain(numbers.into_iter().map(|p| (Place::Lane, p)))
            .chain([(Place::Lane, Part::copies(WARP / 8 / num_matrices))])
            .chain(instructions.into_iter().map(|p| (Place::Register, p)))
            .chain(warps);
        Some(Ldmatrix { num_matrices, trans, addresses: Layout::built(parts) })
    }

    /// Instructions for the whole fragment.
    pub fn num_instructions(&self, elem_bytes: u32) -> u32 {
        self.addresses.count(Place::Register) * elem_bytes / ROW_BYTES
    }
}

/// Cuts a number of `parts` into its fastest `count` values and the rest.
fn split<A: Copy + Ord>(parts: &[Part<A>], count: u32) -> Option<(Vec<Part<A>>, Vec<Part<A>>)> {
    let (mut below, mut above, mut wanted) = (Vec::new(), Vec::new(), count);
    for part in parts {
        if wanted % part.extent == 0 {
            below.push(*part);
            wanted /= part.extent;
        } else if part.extent % wanted == 0 {
            let (axis, stride) = part.along?;
            below.push(Part::new(wanted, axis, stride));
            above.push(Part::new(part.extent / wanted, axis, stride * wanted));
            wanted = 1;
        } else {
            return None;
        }
    }
    (wanted == 1).then_some((below, above))
}
