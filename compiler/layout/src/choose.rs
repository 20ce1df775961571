//! The choice of a swizzle: the simplest with the fewest wavefronts over given accesses.
//!
//! Rows of `2^a * odd` chunks of 16 bytes come back to the same banks after `8 / 2^a` rows. XORing
//! `a` bits (at most 3) of the row number above those rows into the chunk number makes any eight
//! rows differ, so for `ldmatrix` the search ends at
//!
//! | row, f16 | chunks | bits | row shift |
//! | --- | --- | --- | --- |
//! | 8, 24, 40 | 1, 3, 5 | 0 | |
//! | 16, 48, 80 | 2, 6, 10 | 1 | 2 |
//! | 32, 96 | 4, 12 | 2 | 1 |
//! | 64, 128, 192, 256 | 8, 16, 24, 32 | 3 | 0 |
//!
//! Other accesses (four rows of 32 bytes, as tf32 operands are read along a column) want larger
//! chunks; nothing is assumed, every candidate is counted.

use crate::banks::{Wavefronts, wavefronts};
use crate::buffer::{Buffer, Lanes, Swizzle};
use crate::layout::Layout;

/// Bits of the row number that can matter: the banks are eight chunks of 16 bytes.
const MAX_BITS: u32 = 3;
/// Chunks are at most 64 bytes, half of all banks.
const MAX_BASE_LOG2: u32 = 6;
/// The first bit of the row number that may be used.
const MAX_ROW_SHIFT: u32 = 5;

/// One way in which a kernel goes to a buffer: a store, a load, an `ldmatrix` (by its addresses).
#[derive(Clone, Copy, Debug)]
pub struct Access<'a, A> {
    /// What each lane moves or points at.
    pub layout: &'a Layout<A>,
    /// Who takes part.
    pub lanes: Lanes,
}

impl<A: Copy + Ord> Buffer<A> {
    /// This buffer with the swizzle under which a warp's accesses take the fewest wavefronts, of
    /// those that leave vectors as wide as they are without one; the simplest of the best.
    pub fn best_swizzle(&self, accesses: &[Access<'_, A>]) -> (Buffer<A>, Wavefronts) {
        let plain = self.unswizzled();
        let patterns: Vec<_> =
            accesses.iter().map(|access| plain.places(access.layout, access.lanes, 0)).collect();
        let widest = patterns.iter().map(|(bytes, _)| *bytes).max().unwrap_or(1);
        let count = |buffer: &Buffer<A>| -> Wavefronts {
            let each = patterns
                .iter()
                .flat_map(|(bytes, pattern)| pattern.iter().map(|lanes| (*bytes, lanes)));
            each.map(|(bytes, lanes)| {
                let addresses: Vec<_> =
                    lanes.iter().map(|p| p.map(|place| buffer.address_of(place))).collect();
                wavefronts(&addresses, bytes)
            })
            .sum()
        };
        let mut best = (plain.clone(), count(&plain));
        for swizzle in candidates(widest) {
            if best.1.conflicts() == 0 {
                break;
            }
            if let Ok(buffer) = plain.swizzled(swizzle) {
                let found = count(&buffer);
                if found.actual < best.1.actual {
                    best = (buffer, found);
                }
            }
        }
        best
    }
}

/// Swizzles that keep `vector_bytes` together, the simplest first.
fn candidates(vector_bytes: u32) -> impl Iterator<Item = Swizzle> {
    let least = vector_bytes.next_power_of_two().trailing_zeros();
    (1..=MAX_BITS).flat_map(move |bits| {
        (least..=MAX_BASE_LOG2).flat_map(move |base_log2| {
            (0..=MAX_ROW_SHIFT).map(move |row_shift| Swizzle { bits, base_log2, row_shift })
        })
    })
}
