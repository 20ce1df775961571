//! Shared-memory buffers: an order of axes and one XOR swizzle, and what accesses to them cost.
//!
//! The fastest axis is a *row*, padded to 16 bytes; all others together number the rows. Inside a
//! row the swizzle moves chunks of `2^base_log2` bytes:
//!
//! ```text
//! column' = column ^ ((row >> row_shift) % 2^bits << base_log2)
//! ```
//!
//! It depends on the row only, and a row is a whole number of groups of `2^bits` chunks, so it is a
//! permutation of the row: no padding between rows, and a thread that moves by whole periods of
//! rows, or by whole groups along the row, adds a constant to its address. With 128-byte rows of
//! f16, `base_log2 = 4, bits = 3, row_shift = 0` (the 128-byte swizzle) puts chunk 2 of rows 0..8
//! here (numbers are chunks of 16 bytes, four banks each):
//!
//! ```text
//! row 0   .  .  2  .  .  .  .  .         row 4   .  .  .  .  .  .  2  .
//! row 1   .  .  .  2  .  .  .  .         row 5   .  .  .  .  .  .  .  2
//! row 2   2  .  .  .  .  .  .  .         row 6   .  .  .  .  2  .  .  .
//! row 3   .  2  .  .  .  .  .  .         row 7   .  .  .  .  .  2  .  .
//! ```
//!
//! so that an `ldmatrix` of eight rows finds each in banks of its own.

use std::collections::BTreeMap;

use crate::banks::{Wavefronts, wavefronts};
use crate::layout::{Coordinate, Layout};
use crate::part::Place;

/// Rows begin at multiples of this many bytes; no access is wider.
pub const CHUNK_BYTES: u32 = 16;

/// Moves chunks within a row, by the number of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Swizzle {
    /// Bits of the row number that count; 0 for none.
    pub bits: u32,
    /// The chunk moved as one, in bytes, as a power of two.
    pub base_log2: u32,
    /// The first bit of the row number that counts.
    pub row_shift: u32,
}

impl Swizzle {
    /// Nothing moves.
    pub const NONE: Swizzle = Swizzle { bits: 0, base_log2: 0, row_shift: 0 };

    /// Where byte `column` of a row goes.
    pub fn column(self, row: u32, column: u32) -> u32 {
        column ^ ((row >> self.row_shift & ((1 << self.bits) - 1)) << self.base_log2)
    }

    /// Whether rows of this many bytes are whole groups of chunks.
    pub fn fits(self, row_bytes: u32) -> bool {
        self.bits == 0 || row_bytes.is_multiple_of(1 << (self.base_log2 + self.bits))
    }
}

/// Axes that are no buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BufferError {
    /// An axis named twice, or with no indices.
    #[error("an axis twice, or of extent 0")]
    Axes,
    /// Not 1, 2, 4 or 8 bytes.
    #[error("elements of {0} bytes")]
    ElemBytes(u32),
    /// The swizzle would move chunks out of their row.
    #[error("rows of {row_bytes} bytes are too short for the swizzle")]
    Swizzle {
        /// Bytes of a row.
        row_bytes: u32,
    },
}

/// A tile in shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer<A> {
    /// Slowest first.
    axes: Vec<(A, u32)>,
    elem_bytes: u32,
    swizzle: Swizzle,
}

/// Which lanes take part in an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// All: a load into every copy.
    All,
    /// The first of those that hold the same elements: a store, or an `ldmatrix`, which reads no
    /// addresses of the others.
    FirstCopies,
}

/// The vector accesses of one thread to a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vectors {
    /// Elements of a vector.
    pub width: u32,
    /// For each access, the registers of its elements, in order of addresses.
    pub registers: Vec<Vec<u32>>,
}

/// Row, and column in bytes.
pub(crate) type RowColumn = (u32, u32);
impl<A: Copy + Ord> Buffer<A> {
    /// A buffer without swizzle; `axes` with their extents, the slowest first.
    ///
    /// # Errors
    /// Repeated or empty axes, elements of odd sizes.
    pub fn new(axes: &[(A, u32)], elem_bytes: u32) -> Result<Buffer<A>, BufferError> {
        let names: BTreeMap<A, u32> = axes.iter().copied().collect();
        if names.len() != axes.len() || axes.iter().any(|(_, extent)| *extent == 0) {
            return Err(BufferError::Axes);
        }
        if !matches!(elem_bytes, 1 | 2 | 4 | 8) {
            return Err(BufferError::ElemBytes(elem_bytes));
        }
        Ok(Buffer { axes: axes.to_vec(), elem_bytes, swizzle: Swizzle::NONE })
    }

    /// The same with another swizzle.
    ///
    /// # Errors
    /// The rows are not whole groups of its chunks.
    pub fn swizzled(&self, swizzle: Swizzle) -> Result<Buffer<A>, BufferError> {
        let row_bytes = self.row_bytes();
        if !swizzle.fits(row_bytes) {
            return Err(BufferError::Swizzle { row_bytes });
        }
        Ok(Buffer { swizzle, ..self.clone() })
    }

    /// The same without a swizzle.
    pub fn unswizzled(&self) -> Buffer<A> {
        Buffer { swizzle: Swizzle::NONE, ..self.clone() }
    }

    /// The swizzle.
    pub fn swizzle(&self) -> Swizzle {
        self.swizzle
    }

    /// Axes and extents, the slowest first.
    pub fn axes(&self) -> &[(A, u32)] {
        &self.axes
    }

    /// Bytes of an element.
    pub fn elem_bytes(&self) -> u32 {
        self.elem_bytes
    }

    /// The axis of neighbours in memory.
    pub fn contiguous(&self) -> Option<A> {
        self.axes.last().map(|(axis, _)| *axis)
    }

    /// Bytes from a row to the next.
    pub fn row_bytes(&self) -> u32 {
        let elements = self.axes.last().map_or(1, |(_, extent)| *extent);
        (elements * self.elem_bytes).next_multiple_of(CHUNK_BYTES)
    }

    /// Number of rows.
    pub fn num_rows(&self) -> u32 {
        self.axes.iter().rev().skip(1).map(|(_, extent)| extent).product()
    }

    /// Bytes of the buffer.
    pub fn bytes(&self) -> u32 {
        self.row_bytes() * self.num_rows()
    }

    /// The row that an index of each axis is worth; 0 for the contiguous axis and for strangers.
    pub fn row_weight(&self, axis: A) -> u32 {
        let mut weight = 1;
        for (other, extent) in self.axes.iter().rev().skip(1) {
            if *other == axis {
                return weight;
            }
            weight *= extent;
        }
        0
    }

    /// The bytes that an index of each axis is worth inside a row; 0 for all but the contiguous axis.
    pub fn column_weight(&self, axis: A) -> u32 {
        if self.contiguous() == Some(axis) { self.elem_bytes } else { 0 }
    }

    /// The byte at a row and a column in bytes.
    pub(crate) fn address_of(&self, (row, column): RowColumn) -> u32 {
        row * self.row_bytes() + self.swizzle.column(row, column)
    }

    /// The byte of an element, from the start of the buffer. Axes the buffer lacks say nothing.
    pub fn address(&self, coordinate: &Coordinate<A>) -> u32 {
        let sum = |weight: &dyn Fn(A) -> u32| {
            coordinate.iter().map(|(axis, index)| weight(*axis) * index).sum()
        };
        self.address_of((sum(&|a| self.row_weight(a)), sum(&|a| self.column_weight(a))))
    }

    /// Row and column in bytes that each register, lane and warp add up to.
    pub(crate) fn tables(&self, layout: &Layout<A>) -> [Vec<RowColumn>; 3] {
        let rows = layout.sums(|axis| self.row_weight(axis));
        let columns = layout.sums(|axis| self.column_weight(axis));
        let mut columns = columns.into_iter();
        rows.map(|rows| rows.into_iter().zip(columns.next().unwrap_or_default()).collect())
    }

    /// The widest accesses, up to 16 bytes, that move a thread's elements.
    pub fn vectors(&self, layout: &Layout<A>) -> Vectors {
        let run = self.contiguous().map_or(1, |axis| layout.contiguous(axis));
        let moved = if self.swizzle.bits == 0 { 31 } else { self.swizzle.base_log2 };
        let widest = CHUNK_BYTES.min(1 << moved) / self.elem_bytes;
        let width = widest.max(1).min(1 << run.trailing_zeros());
        let [registers, ..] = self.tables(layout);
        let at: BTreeMap<RowColumn, u32> = registers.iter().copied().zip(0..).collect();
        let vector_bytes = width * self.elem_bytes;
        let starts = registers.iter().filter(|(_, column)| column.is_multiple_of(vector_bytes));
        let registers = starts
            .map(|&(row, column)| {
                (0..width)
                    .filter_map(|i| at.get(&(row, column + i * self.elem_bytes)).copied())
                    .collect()
            })
            .collect();
        Vectors { width, registers }
    }

    /// The addresses of each access of one warp, lane by lane, and their width in bytes. Lanes whose
    /// elements lie outside the buffer take no part.
    pub fn addresses(
        &self,
        layout: &Layout<A>,
        lanes: Lanes,
        warp: u32,
    ) -> (u32, Vec<Vec<Option<u32>>>) {
        let (bytes, places) = self.places(layout, lanes, warp);
        let addresses = places
            .into_iter()
            .map(|lanes| lanes.into_iter().map(|p| p.map(|p| self.address_of(p))).collect())
            .collect();
        (bytes, addresses)
    }

    /// As [`Buffer::addresses`], but rows and columns, before the swizzle.
    pub(crate) fn places(
        &self,
        layout: &Layout<A>,
        lanes: Lanes,
        warp: u32,
    ) -> (u32, Vec<Vec<Option<RowColumn>>>) {
        let vectors = self.vectors(layout);
        let starts = vectors.registers.iter().filter_map(|elements| elements.first()).copied();
        let [of_register, of_lane, of_warp] = self.tables(layout);
        // Only axes that the layout covers with more indices than the buffer has need a look.
        let beyond: Vec<([Vec<u32>; 3], u32)> = self
            .axes
            .iter()
            .filter(|(axis, extent)| layout.extent(*axis) > *extent)
            .map(|&(axis, extent)| (layout.sums(|other| u32::from(other == axis)), extent))
            .collect();
        let first: Vec<bool> = (0..of_lane.len() as u32)
            .map(|lane| lanes == Lanes::All || layout.is_first_copy(Place::Lane, lane))
            .collect();
        let at = |register: u32, lane: usize| {
            let [r, l, w] = [register as usize, lane, warp as usize];
            let inside = beyond.iter().all(|([registers, lanes, warps], extent)| {
                registers[r] + lanes[l] + warps[w] < *extent
            });
            let sum = [of_register[r], of_lane[l], of_warp[w]]
                .into_iter()
                .fold((0, 0), |(row, column), (x, y)| (row + x, column + y));
            (first[lane] && inside).then_some(sum)
        };
        let places =
            starts.map(|register| (0..of_lane.len()).map(|lane| at(register, lane)).collect());
        (vectors.width * self.elem_bytes, places.collect())
    }

    /// Wavefronts of all accesses of one warp.
    pub fn wavefronts(&self, layout: &Layout<A>, lanes: Lanes, warp: u32) -> Wavefronts {
        let (bytes, addresses) = self.addresses(layout, lanes, warp);
        addresses.iter().map(|addresses| wavefronts(addresses, bytes)).sum()
    }
}
