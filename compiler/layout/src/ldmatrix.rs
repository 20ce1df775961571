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
    /// whose address is not read are copies.
    pub addresses: Layout<A>,
    /// The fragment with its registers in the order in which they are loaded: instruction `i` fills
    /// `num_matrices` 32-bit registers from `i * num_matrices` on.
    pub loaded: Layout<A>,
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
    /// memory; none if `ldmatrix` cannot. Elements have 2 or 4 bytes.
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
        let mut registers = fragment.parts(Place::Register).to_vec();
        let pair = Part::new(packed, across, 1);
        if packed == 2 {
            let at = registers.iter().position(|part| *part == pair)?;
            registers.remove(at);
        }
        let words: u32 = registers.iter().map(|part| part.extent).product();
        let num_matrices = 1 << words.trailing_zeros().min(2);
        let (numbers, instructions) = split(&registers, num_matrices);
        let row = if trans { across } else { down };
        let vector = Part::new(ROW_BYTES / elem_bytes, contiguous, 1);
        let warps = fragment.parts(Place::Warp).iter().map(|p| (Place::Warp, *p));
        let parts = [(Place::Register, vector), (Place::Lane, Part::new(8, row, 1))]
            .into_iter()
            .chain(numbers.iter().map(|p| (Place::Lane, *p)))
            .chain([(Place::Lane, Part::copies(WARP / 8 / num_matrices))])
            .chain(instructions.iter().map(|p| (Place::Register, *p)))
            .chain(warps);
        let addresses = Layout::built(parts);
        let order = [pair].into_iter().chain(numbers).chain(instructions);
        let threads = fragment.all_parts().filter(|(place, _)| *place != Place::Register);
        let loaded = Layout::built(order.map(|p| (Place::Register, p)).chain(threads));
        Some(Ldmatrix { num_matrices, trans, addresses, loaded })
    }

    /// Instructions for the whole fragment.
    pub fn num_instructions(&self, elem_bytes: u32) -> u32 {
        self.addresses.count(Place::Register) * elem_bytes / ROW_BYTES
    }
}

/// Takes digits of `count` values, a power of two that divides the product of the parts, from the
/// first parts that have a factor in common with it; and what is left.
fn split<A: Copy + Ord>(parts: &[Part<A>], count: u32) -> (Vec<Part<A>>, Vec<Part<A>>) {
    let (mut taken, mut left, mut wanted) = (Vec::new(), Vec::new(), count);
    for part in parts {
        let some = wanted.min(1 << part.extent.trailing_zeros());
        let rest = part.along.map(|(axis, stride)| (axis, stride * some));
        taken.push(Part { extent: some, ..*part });
        left.push(Part { extent: part.extent / some, along: rest });
        wanted /= some;
    }
    (taken, left)
}
